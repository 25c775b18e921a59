"""Losses as pure functions of torch tensors: token log-probabilities, the clipped policy loss, SFT.

N rows of T tokens; the T - 1 columns of ``logp`` and its like belong to ``ids[:, 1:]``. A loss is the
plain sum ``sum(weight * mask * token_loss)``: the normaliser lives in ``weight`` and is fixed on the
whole batch (`normalise.token_weights`), so the losses and gradients of micro-batches add up.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from reasongym.core import UserError

Ratio = Literal["token", "sequence", "geometric"]

LOG_RATIO_LIMIT = 20.0  # exp(20) is far outside every clip range and far from overflow
CHUNK_ELEMENTS = 2**24  # logits that are worked on at a time: 64 MB in float32, for each of a few temporaries


def token_logprobs(
    logits: Tensor, ids: Tensor, temperature: float = 1.0, *, entropy: bool = True, chunk: int | None = None
) -> tuple[Tensor, Tensor | None]:
    """Log-probability of each next token, and the entropy there: both [N, T - 1] in float32 or wider.

    ``logits`` [N, T, V] of any float type, ``ids`` [N, T]. Both results are of the softmax at
    ``temperature``. Work goes in chunks of T, and what a chunk needs for its gradient is computed
    again in the backward pass: a float32 copy of the logits never exists as a whole.

    Source: plain log-softmax. Differs: none.
    """
    if logits.ndim != 3 or logits.shape[:2] != ids.shape:
        raise UserError(f"logits {tuple(logits.shape)} and ids {tuple(ids.shape)} must be [N,T,V] and [N,T]")
    if temperature <= 0:
        raise UserError(f"temperature={temperature} must be positive: greedy rows cannot be trained on")
    n, t, v = logits.shape
    chunk = chunk or max(1, CHUNK_ELEMENTS // max(1, n * v))
    target = ids.roll(-1, dims=1)  # the last column wraps around and is dropped below
    parts = list(zip(torch.split(logits, chunk, dim=1), torch.split(target, chunk, dim=1), strict=True))
    if len(parts) > 1 and torch.is_grad_enabled() and logits.requires_grad:
        score: Callable[..., Tensor] = partial(checkpoint, _score, use_reentrant=False, preserve_rng_state=False)
    else:
        score = _score
    done = torch.cat([score(z, y, temperature, entropy) for z, y in parts], dim=2)[:, :, :-1]
    return done[0], done[1] if entropy else None


def _score(logits: Tensor, target: Tensor, temperature: float, entropy: bool) -> Tensor:
    """[1 or 2, N, t]: log-probabilities of ``target`` and, if asked for, entropies."""
    wide = logits if logits.dtype == torch.float64 else logits.float()
    logz = (wide / temperature).log_softmax(dim=-1)
    logp = logz.gather(-1, target.unsqueeze(-1)).squeeze(-1)
    if not entropy:
        return logp.unsqueeze(0)
    finite = logz.clamp(min=-100.0)  # 0 * -inf where a logit is masked out
    return torch.stack([logp, -(logz.exp() * finite).sum(dim=-1)])


def log_ratios(
    logp: Tensor, old_logp: Tensor, mask: Tensor, ratio: Ratio = "token", trajectory: Tensor | None = None
) -> Tensor:
    """Log importance ratios [N, T - 1] of the new to the old policy, 0 where ``mask`` is 0, within +-20.

    * ``"token"``: each token's own.
    * ``"sequence"``: the sum over all sampled tokens of the trajectory (the ratio is their product).
    * ``"geometric"``: the mean over them, which is GSPO's sequence ratio.

    A trajectory may have several rows: ``trajectory`` [N] names each row's, and for the last two all
    rows of a trajectory must come in one call.

    Source: token: arXiv 1707.06347 eq. 6; geometric: arXiv 2507.18071 eq. 7; the clamp:
    the-markovian-thinker ``verl/trainer/ppo/core_algos.py``.
    Differs: GSPO's sequence is a trajectory with all its rows.
    """
    _check(logp, old_logp=old_logp, mask=mask)
    own = torch.where(mask.bool(), logp - old_logp.detach(), 0.0)
    if ratio == "token":
        return own.clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT)
    if ratio not in ("sequence", "geometric"):
        raise UserError(f"ratio={ratio!r} must be 'token', 'sequence' or 'geometric'")
    if trajectory is None or trajectory.shape != logp.shape[:1]:
        raise UserError(f"ratio={ratio!r} needs trajectory [N]: the trajectory that each row belongs to")
    same = trajectory[:, None] == trajectory[None, :]  # [N, N]: sums over rows without scattering
    total = (same * own.sum(dim=1)).sum(dim=1)
    if ratio == "geometric":
        total = total / (same * mask.to(own.dtype).sum(dim=1)).sum(dim=1).clamp(min=1.0)
    whole = total.clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT).unsqueeze(1)
    return torch.where(mask.bool(), whole, 0.0)


def clipped_surrogate(
    ratio: Tensor, advantages: Tensor, clip_low: float = 0.2, clip_high: float = 0.2, dual_clip: float | None = None
) -> tuple[Tensor, Tensor]:
    """PPO's pessimistic loss a token, and where its clip is active (no gradient there); all [N, T - 1].

    ``-min(ratio * A, clip(ratio, 1 - clip_low, 1 + clip_high) * A)``; with ``dual_clip`` the loss of a
    token with negative A is at most ``dual_clip * |A|``.

    Source: arXiv 1707.06347 eq. 7; clip-higher: arXiv 2503.14476 eq. 10; dual clip: arXiv 1912.09729 (dual-clip PPO).
    Differs: none.
    """
    _check(ratio, advantages=advantages)
    if dual_clip is not None and dual_clip <= 1:
        raise UserError(f"dual_clip={dual_clip} must be above 1, or None")
    loss = torch.maximum(-advantages * ratio, -advantages * ratio.clamp(1 - clip_low, 1 + clip_high))
    active = ((advantages > 0) & (ratio > 1 + clip_high)) | ((advantages < 0) & (ratio < 1 - clip_low))
    if dual_clip is None:
        return loss, active
    loss = torch.where(advantages < 0, torch.minimum(loss, -advantages * dual_clip), loss)
    return loss, active | ((advantages < 0) & (ratio > dual_clip))


def truncated_importance(old_logp: Tensor, behaviour_logp: Tensor, cap: float = 2.0) -> Tensor:
    """Weight ``min(exp(old_logp - behaviour_logp), cap)`` for an engine that samples with other numerics, detached.

    Source: Yao et al. 2025, "Your Efficient RL Framework Secretly Brings You Off-Policy RL Training";
    the-markovian-thinker ``core_algos.py`` (cap 2). Differs: none.
    """
    _check(old_logp, behaviour_logp=behaviour_logp)
    difference = (old_logp - behaviour_logp).detach()
    return difference.clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT).exp().clamp(max=cap)


def kl_k3(logp: Tensor, ref_logp: Tensor) -> Tensor:
    """Estimate of KL(policy || reference) a token, never negative: ``exp(d) - d - 1``, ``d = ref - logp``.

    Source: Schulman 2020, "Approximating KL Divergence" (k3); arXiv 2402.03300 eq. 4.
    Differs: d is kept within +-20.
    """
    _check(logp, ref_logp=ref_logp)
    d = (ref_logp.detach() - logp).clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT)
    return d.exp() - d - 1


def policy_loss(
    logp: Tensor,
    old_logp: Tensor | None,
    advantages: Tensor,
    mask: Tensor,
    weight: Tensor,
    *,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    dual_clip: float | None = None,
    ratio: Ratio = "token",
    trajectory: Tensor | None = None,
    tis: float | None = None,
    behaviour_logp: Tensor | None = None,
    ref_logp: Tensor | None = None,
    kl: float = 0.0,
    kl_unbiased: bool = False,
    entropy: Tensor | None = None,
    entropy_coef: float = 0.0,
    policy_coef: float = 1.0,
) -> tuple[Tensor, dict[str, float]]:
    """The clipped policy loss of a (micro-)batch, and statistics of its masked tokens.

    ``sum(weight * mask * (policy_coef * tis * surrogate + kl * k3 - entropy_coef * entropy))``

    All tensors are [N, T - 1]; ``advantages`` and ``weight`` may be [N]. ``old_logp=None`` means
    on-policy: the ratio is 1 and its gradient that of REINFORCE. The settings of the field:

    * GRPO and PPO: the defaults. DAPO: ``clip_high=0.28`` and ``loss_norm="token"``. Dr. GRPO:
      ``loss_norm="constant"`` and its advantage. Delethink: ``dual_clip=3, tis=2``, ``loss_norm="trajectory"``.
    * GSPO: ``ratio="geometric", clip_low=3e-4, clip_high=4e-4``, ``loss_norm="trajectory"``.
    * 1-shot RLVR's ablations: ``policy_coef=0`` leaves the entropy and KL terms alone, whatever the rewards
      (``pg_loss_coeff`` of One-Shot-RLVR ``verl/workers/actor/dp_actor.py``).

    The gradient of plain k3 is not that of the KL; ``kl_unbiased`` multiplies it by the importance
    ratio, which makes it so (arXiv 2512.02556; TRL 1.16's default).

    Statistics are means over this call's ``tokens``: weigh them by that when averaging micro-batches.

    Source: arXiv 2510.06557 eq. 3 with arXiv 1707.06347 eq. 7; the-markovian-thinker ``core_algos.py``.
    Differs: the entropy bonus and the KL term share the policy term's normaliser.
    """
    advantages, weight = _wide(advantages, logp), _wide(weight, logp)
    _check(logp, advantages=advantages, mask=mask, weight=weight)
    old = logp.detach() if old_logp is None else old_logp.detach()
    log_ratio = log_ratios(logp, old, mask, ratio, trajectory)
    loss, clipped = clipped_surrogate(log_ratio.exp(), advantages, clip_low, clip_high, dual_clip)
    if tis is not None:
        loss = loss * truncated_importance(old, _given(behaviour_logp, "tis", "behaviour_logp"), tis)
    loss = policy_coef * loss
    if kl:
        k3 = kl_k3(logp, _given(ref_logp, "kl", "ref_logp"))
        loss = loss + kl * (k3 * log_ratio.exp() if kl_unbiased else k3)
    if entropy_coef:
        loss = loss - entropy_coef * _given(entropy, "entropy_coef", "entropy")
    total = torch.where(mask.bool(), weight * loss, 0.0).sum()
    seen = {"clip_fraction": clipped, "kl_old": kl_k3(old, logp.detach()), "ratio_mean": log_ratio.exp()}
    seen |= {} if entropy is None else {"entropy": entropy}
    seen |= {} if ref_logp is None else {"kl_ref": kl_k3(logp.detach(), ref_logp)}
    return total, _statistics(mask.bool(), seen, log_ratio.exp())


def value_loss(
    values: Tensor,
    returns: Tensor,
    mask: Tensor,
    weight: Tensor,
    *,
    old_values: Tensor | None = None,
    clip: float = 0.0,
) -> tuple[Tensor, dict[str, float]]:
    """The critic's loss of a (micro-)batch, ``sum(weight * mask * squared error / 2)``, and statistics.

    All tensors are [N, T - 1]; ``weight`` may be [N]. With ``clip`` a value that has left ``old_values`` +- clip is
    judged there if that is worse, so that it does not run further.

    Source: openai/baselines ``ppo2/model.py``, the code of arXiv 1707.06347. Differs: none.
    """
    weight = _wide(weight, values)
    _check(values, returns=returns, mask=mask, weight=weight)
    error = loss = torch.where(mask.bool(), values - returns, 0.0) ** 2
    clipped = torch.zeros_like(loss, dtype=torch.bool)
    if clip:
        moved = (values - _given(old_values, "clip", "old_values")).detach()
        held = (values.detach() - moved + moved.clamp(-clip, clip) - returns) ** 2
        clipped = (moved.abs() > clip) & (held > error)
        loss = torch.where(clipped, held, error)
    total = torch.where(mask.bool(), 0.5 * weight * loss, 0.0).sum()
    seen = {"value_error": error, "value_clip_fraction": clipped}
    statistics = _statistics(mask.bool(), seen, values)
    return total, {name: statistics[name] for name in seen}


def sft_loss(logp: Tensor, mask: Tensor, weight: Tensor | None = None) -> Tensor:
    """Negative log-likelihood of the masked tokens, [N, T - 1]: their mean, or their sum under ``weight``.

    Source: maximum likelihood. Differs: none. Micro-batches need ``weight`` to add up, as in `policy_loss`.
    """
    _check(logp, mask=mask)
    nll = torch.where(mask.bool(), -logp, 0.0)
    return nll.sum() / mask.sum().clamp(min=1) if weight is None else (_wide(weight, logp) * nll).sum()


@torch.no_grad()
def _statistics(mask: Tensor, means: dict[str, Tensor], ratio: Tensor) -> dict[str, float]:
    """Means over the masked tokens, fetched from the device in one go."""
    tokens = mask.sum()
    values = [torch.where(mask, x.detach(), 0.0).sum() / tokens.clamp(min=1) for x in means.values()]
    highest = torch.where(mask, ratio.detach(), 0.0).max() if ratio.numel() else tokens
    stacked = torch.stack([v.double() for v in [*values, highest, tokens]]).tolist()
    return dict(zip([*means, "ratio_max", "tokens"], stacked, strict=True))


def _wide(x: Tensor, like: Tensor) -> Tensor:
    """A value a row [N] or a token, as [N, T - 1] in the type of ``like``."""
    x = x.to(like.dtype)
    return x.unsqueeze(1).expand_as(like) if x.ndim == 1 and x.shape == like.shape[:1] else x


def _given(x: Tensor | None, setting: str, name: str) -> Tensor:
    if x is None:
        raise UserError(f"policy_loss: {setting} is set, so {name} must be given")
    return x


def _check(first: Tensor, **others: Tensor) -> None:
    for name, x in others.items():
        if first.ndim != 2 or x.shape != first.shape:
            raise UserError(f"{name} has shape {tuple(x.shape)}, expected {tuple(first.shape)} = [N, T-1]")
