"""Losses of pairs (a right and a wrong response to one prompt), and the watch over what they may break.

B pairs, R responses, N rows of T tokens; the T - 1 columns of ``logp`` and ``mask`` belong to ``ids[:, 1:]``. A
response may be several rows (windows of a thought), so a loss takes what `response_logprobs` sums up: [B] for each
side. It gives one value a pair, [B]: divide their sum by the pairs of the optimiser step, and micro-batches add up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite, nan
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from reasongym.core import UserError


def response_logprobs(logp: Tensor, mask: Tensor, response: Tensor, n: int) -> Tensor:
    """Log-probability of each of R = ``n`` responses, [R]: the sum over the masked tokens [N, T - 1] of all its rows.

    ``response`` [N] names the response of each row; one without rows has log-probability 0.

    Source: arXiv 2505.24850, eq. 5; trl ``dpo2_trainer.py`` (``all_logps``).
    Differs: a response may have several rows.
    """
    if logp.ndim != 2 or mask.shape != logp.shape or response.shape != logp.shape[:1]:
        shapes = f"logp {tuple(logp.shape)}, mask {tuple(mask.shape)}, response {tuple(response.shape)}"
        raise UserError(f"response_logprobs: {shapes} must be [N,T-1], [N,T-1] and [N]")
    rows = torch.where(mask.bool(), logp, 0.0).sum(dim=1)
    return rows.new_zeros(n).index_add(0, response, rows)


def redi(
    chosen: Tensor,
    rejected: Tensor,
    chosen_length: Tensor,
    rejected_length: Tensor,
    alpha: float = 0.8,
    weighting: float | None = None,
) -> Tensor:
    """REDI's asymmetric loss without a reference, [B]: ``-chosen / length + alpha * rejected / length``.

    ``alpha=0`` is SFT on the right responses, each weighing the same; ``alpha=1`` is symmetric, the limit of SimPO for
    beta to 0. The second term has no lower bound: it needs a small learning rate and `CollapseMonitor`. ``weighting``
    (the code's gamma, 1 there, off by default) multiplies it by ``exp(weighting * rejected / length)``, through
    which its gradient flows.

    Source: arXiv 2505.24850, eq. 5; reinforcement-distillation ``trl/trl/trainer/dpo2_trainer.py`` (``"reinforce"``).
    Differs: none in the formula. Lengths are those that the caller gives: of the tokens that are summed, or, as in
    the official code, of the whole response even where it was truncated (``--compat official`` of the agent).
    """
    right, wrong = _means(chosen, rejected, chosen_length, rejected_length)
    penalty = alpha * wrong
    if weighting is not None:
        penalty = penalty * (weighting * wrong).exp()
    return penalty - right


def dpo(chosen: Tensor, rejected: Tensor, ref_chosen: Tensor, ref_rejected: Tensor, beta: float = 0.1) -> Tensor:
    """DPO's loss, [B]: ``-log sigmoid(beta * ((chosen - ref_chosen) - (rejected - ref_rejected)))``.

    Source: arXiv 2305.18290, eq. 7; trl ``DPOTrainer``, loss ``"sigmoid"``. Differs: none (no label smoothing).
    """
    _check(chosen, rejected=rejected, ref_chosen=ref_chosen, ref_rejected=ref_rejected)
    return -logsigmoid(beta * ((chosen - ref_chosen.detach()) - (rejected - ref_rejected.detach())))


def simpo(
    chosen: Tensor,
    rejected: Tensor,
    chosen_length: Tensor,
    rejected_length: Tensor,
    beta: float = 2.0,
    gamma: float = 1.0,
) -> Tensor:
    """SimPO's loss, [B]: ``-log sigmoid(beta * (chosen / length - rejected / length) - gamma)``.

    Source: arXiv 2405.14734, eq. 6; beta and gamma those of arXiv 2505.24850's baseline. Differs: none.
    """
    right, wrong = _means(chosen, rejected, chosen_length, rejected_length)
    return -logsigmoid(beta * (right - wrong) - gamma)


@dataclass
class CollapseMonitor:
    """Whether the right responses have lost their log-probability: the way in which REDI's loss goes wrong.

    Called once a step with the mean log-probability a token of the chosen side. True where the mean of the last
    ``window`` steps is more than ``drop`` nats below that of the first ``window``, or no number.

    Source: arXiv 2505.24850, alpha = 1 at learning rate 1e-6: both sides' log-probabilities crash.
    Differs: the paper looks at curves; the rule is ours.
    """

    drop: float = 0.5
    window: int = 5
    first: list[float] = field(default_factory=list)
    last: deque[float] = field(default_factory=deque)

    def __call__(self, chosen: float) -> bool:
        self.last.append(chosen)
        if len(self.last) > self.window:
            self.last.popleft()
        if len(self.first) < self.window and isfinite(chosen):
            self.first.append(chosen)
        return not self.fallen <= self.drop

    @property
    def fallen(self) -> float:
        """By how many nats a token."""
        return float(np.mean(self.first) - np.mean(self.last)) if self.first and self.last else nan

    def __str__(self) -> str:
        return f"the right responses lost {self.fallen:.2f} nats a token (the limit is {self.drop:g})"

    def state_dict(self) -> dict[str, Any]:
        return {"first": list(self.first), "last": list(self.last)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.first, self.last = list(state["first"]), deque(state["last"])


def _means(chosen: Tensor, rejected: Tensor, chosen_length: Tensor, rejected_length: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probabilities a token, [B] each; a response of no tokens counts as one of 1."""
    _check(chosen, rejected=rejected, chosen_length=chosen_length, rejected_length=rejected_length)
    return chosen / chosen_length.clamp(min=1), rejected / rejected_length.clamp(min=1)


def _check(first: Tensor, **others: Tensor) -> None:
    for name, x in others.items():
        if first.ndim != 1 or x.shape != first.shape:
            raise UserError(f"{name} has shape {tuple(x.shape)}, expected {tuple(first.shape)} = [B]")
