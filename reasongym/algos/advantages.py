"""Advantages: from the rewards ``[P, G]`` of a batch to one number a trajectory, ``[P, G]``; or, by `gae`, one a token.

Numpy only. NaN marks an invalid trajectory (the host failed): it counts in no mean and no deviation,
as if it had never been attempted, and its advantage is 0. So is a whole group without a valid member.
An advantage belongs to a trajectory or to its tokens, never to a training row.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reasongym.core import UserError

Rewards = NDArray[np.float64]  # [P, G]
Std = Literal["unbiased", "population"]


def grpo(rewards: ArrayLike, *, std: Std | None = "unbiased", eps: float = 1e-6) -> Rewards:
    """Group-relative advantage ``(R - mean) / (std + eps)``, [P, G] to [P, G].

    A group of one has nothing to compare with: its mean is 0 and its deviation 1.

    Source: arXiv 2402.03300, section 4.1.2; the-markovian-thinker ``verl/trainer/ppo/core_algos.py``
    (``compute_grpo_outcome_advantage``).
    Differs: invalid trajectories are left out; a group of equal rewards gives exact zeros, without
    the rounding of its mean.
    """
    r, valid = _checked(rewards)
    n = valid.sum(axis=1, keepdims=True)
    centred = _centred(r, valid, n)
    if std is None:
        return centred
    if std not in ("unbiased", "population"):
        raise UserError(f"grpo: std={std!r} must be 'unbiased', 'population' or None")
    squares = (centred**2).sum(axis=1, keepdims=True)
    deviation = np.sqrt(squares / np.maximum(n - (std == "unbiased"), 1))
    return centred / (np.where((n > 1) & (squares > 0), deviation, 1.0) + eps)


def dr_grpo(rewards: ArrayLike) -> Rewards:
    """The reward less its group's mean, [P, G]: no deviation, which favours too easy and too hard problems.

    Source: arXiv 2503.20783, section 3.2. Its other half is ``loss_norm="constant"``.
    Differs: none (a group of one keeps its reward, as in ``grpo``).
    """
    return grpo(rewards, std=None)


def rloo(rewards: ArrayLike) -> Rewards:
    """The reward less the mean of the *other* members' rewards, [P, G]: an unbiased baseline.

    Source: arXiv 2402.14740 (RLOO estimator); verl ``core_algos.py`` (``compute_rloo_outcome_advantage``).
    Differs: invalid trajectories are left out. A group of one keeps its reward, as there.
    """
    r, valid = _checked(rewards)
    n = valid.sum(axis=1, keepdims=True)
    return _centred(r, valid, n) * np.where(n > 1, n / np.maximum(n - 1, 1), 1.0)


def identity(rewards: ArrayLike) -> Rewards:
    """The reward itself, [P, G]: REINFORCE without a baseline, or for shapers that make advantages.

    Source: Williams 1992, REINFORCE with a baseline of 0. Differs: none.
    """
    r, valid = _checked(rewards)
    return np.where(valid, r, 0.0)


def mgpo(scores: ArrayLike, strength: float = 1.0, p0: float = 0.5) -> Rewards:
    """What groups' advantages are multiplied by, less the further their accuracy p is from ``p0``: [P, G] to [P, 1].

    ``exp(-strength * D)`` with ``D = p ln(p / p0) + (1 - p) ln((1 - p) / (1 - p0))``: 1 where p is p0, less towards all
    right and all wrong. ``scores`` are the truth, not shaped rewards; right is a score of 1. 0 is GRPO.

    Source: VibeThinker-1.5B, arXiv 2511.06221, section 3.4 (no training code is public).
    Differs: none in the weight. The paper does not say which deviation its advantage divides by: ours is `grpo`'s,
    unbiased. It weighs up groups of extreme p, which this takes back in part.
    """
    s, valid = _checked(scores)
    if strength < 0 or not 0 < p0 < 1:
        raise UserError(f"mgpo: strength={strength} must be at least 0, and p0={p0} between 0 and 1")
    n = valid.sum(axis=1, keepdims=True)
    p = np.where(n > 0, (valid & (s >= 1)).sum(axis=1, keepdims=True) / np.maximum(n, 1), p0)
    right = p * np.log(np.where(p > 0, p, 1.0) / p0)  # 0 ln 0 is 0
    wrong = (1 - p) * np.log(np.where(p < 1, 1 - p, 1.0) / (1 - p0))
    return np.asarray(np.exp(-strength * (right + wrong)))


def informative(rewards: ArrayLike) -> NDArray[np.bool_]:
    """Which groups have a spread of rewards among their valid members, [P, G] to [P].

    The others have no gradient under a group baseline: dynamic sampling replaces them by new problems.

    Source: arXiv 2503.14476, eq. 11; verl ``recipe/dapo/dapo_ray_trainer.py`` (``filter_groups``).
    Differs: the paper asks for neither all right nor all wrong; any spread will do, as in the code,
    but the spread is exact where the code takes a deviation above 0. A group of one never has any
    (the code lets it pass).
    """
    r, valid = _checked(rewards)
    spread: NDArray[np.bool_] = _spread(r, valid)[:, 0]
    return spread


def gae(
    rewards: ArrayLike, values: ArrayLike, gamma: float = 1.0, lam: float = 1.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Generalised advantages of a trajectory's T sampled tokens, and the returns that its critic is taught, [T] each.

    ``A_t = sum_k (gamma lam)^k delta_{t+k}``, ``delta_t = r_t + gamma V_{t+1} - V_t``, with ``V_T = 0``; the return is
    ``A_t + V_t``. ``values`` [T] are those of what the policy saw before each sampled token, all windows of the
    trajectory end to end: a context reset or a tool's output is a step of the environment like any other, and the
    end, also that of the budget, is an end.

    Source: arXiv 1506.02438, equation 16; the returns are TD(lam)'s, as in arXiv 1707.06347's code.
    Differs: the sum is made by doubling its reach, log2(T) times, in place of T steps.
    """
    r, v = np.asarray(rewards, np.float64), np.asarray(values, np.float64)
    if r.ndim != 1 or r.shape != v.shape:
        raise UserError(f"gae: rewards {r.shape} and values {v.shape} must both be [T]")
    if not (0 <= gamma <= 1 and 0 <= lam <= 1):
        raise UserError(f"gae: gamma={gamma} and lam={lam} must be from 0 to 1")
    advantages = r + gamma * np.append(v[1:], 0.0)[: len(v)] - v
    reach = 1
    while reach < len(v):
        advantages[:-reach] += (gamma * lam) ** reach * advantages[reach:]
        reach *= 2
    return advantages, advantages + v


def whiten(advantages: ArrayLike, eps: float = 1e-8) -> NDArray[np.float64]:
    """The advantages of a batch's tokens less their mean, over their deviation, [T] to [T].

    Source: the code of arXiv 1707.06347 (openai/baselines ``ppo2``). Differs: over the whole batch, not a mini-batch.
    """
    a = np.asarray(advantages, np.float64)
    return (a - a.mean()) / (a.std() + eps) if a.size else a


ADVANTAGES = {"grpo": grpo, "dr_grpo": dr_grpo, "rloo": rloo, "identity": identity}


def _checked(rewards: ArrayLike) -> tuple[Rewards, NDArray[np.bool_]]:
    r = np.asarray(rewards, dtype=np.float64)
    if r.ndim != 2:
        raise UserError(f"rewards have shape {r.shape}; advantages need [problems, attempts]")
    return r, ~np.isnan(r)


def _centred(r: Rewards, valid: NDArray[np.bool_], n: NDArray[np.int_]) -> Rewards:
    """Rewards less their group's mean, 0 where invalid; exact zeros without spread, a lone reward as it is."""
    total = np.where(valid, r, 0.0).sum(axis=1, keepdims=True)
    mean = np.where(n > 1, total / np.maximum(n, 1), 0.0)
    return np.where(valid & (_spread(r, valid) | (n == 1)), r - mean, 0.0)


def _spread(r: Rewards, valid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    highest = np.where(valid, r, -np.inf).max(axis=1, keepdims=True, initial=-np.inf)
    lowest = np.where(valid, r, np.inf).min(axis=1, keepdims=True, initial=np.inf)
    return np.asarray(highest > lowest)
