"""Drawing tokens: one id a row, each row from a random stream of its own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from reasongym.core import Sampling


class Sampler:
    """Draws one id a row by inverse CDF, so that a row's randomness never depends on its batch."""

    def __init__(self, settings: Sequence[Sampling], device: torch.device) -> None:
        heat = [s.temperature or 1.0 for s in settings]  # greedy rows report log-probs at temperature 1
        cold = [s.temperature == 0 for s in settings]
        cut = [i for i, s in enumerate(settings) if not cold[i] and (s.top_p < 1 or s.top_k > 0)]
        self.draws = not all(cold)
        self.heat = torch.tensor(heat, device=device)[:, None] if set(heat) != {1.0} else None
        self.cold = torch.tensor(cold, device=device)[:, None] if self.draws and any(cold) else None
        self.cut = torch.tensor(cut, device=device) if cut else None
        if cut:
            top_k = [settings[i].top_k or 1 << 40 for i in cut]
            top_p = [p if (p := settings[i].top_p) < 1 else 2.0 for i in cut]  # rounded sums may pass 1; off keeps all
            self.most = max(top_k)
            self.top_k = torch.tensor(top_k, device=device)[:, None]
            self.top_p = torch.tensor(top_p, device=device)[:, None]

    def __call__(self, logits: Tensor, uniforms: Sequence[float]) -> tuple[Tensor, Tensor]:
        """Ids [n] and their log-probabilities [n] under the full softmax of ``logits`` [n, V]."""
        x = logits.float()
        if self.heat is not None:
            x = x / self.heat
        top, best = x.max(-1, keepdim=True)
        mass = (x - top).exp_()  # [n, V], not normalised
        picked = best
        if self.draws:
            u = torch.tensor(uniforms, dtype=torch.float32, device=x.device)[:, None]
            picked = _inverse(mass.cumsum(-1), u, x.shape[-1] - 1)
            picked = torch.where(mass.gather(1, picked) > 0, picked, best)
            if self.cut is not None:
                picked[self.cut] = self._restricted(mass[self.cut], u[self.cut])
            if self.cold is not None:
                picked = torch.where(self.cold, best, picked)
        logprobs = x.gather(1, picked) - top - mass.sum(-1, keepdim=True).log()
        return picked[:, 0], logprobs[:, 0]

    def _restricted(self, mass: Tensor, u: Tensor) -> Tensor:
        """As above among the top_k likeliest ids, and of these the fewest whose mass reaches top_p."""
        size = mass.shape[-1]
        if self.most < size:
            mass, order = mass.topk(self.most, dim=-1)
        else:
            mass, order = mass.sort(dim=-1, descending=True, stable=True)
        mass = mass * (torch.arange(mass.shape[-1], device=mass.device) < self.top_k)
        cdf = mass.cumsum(-1)
        kept = ((cdf - mass < self.top_p * cdf[:, -1:]) & (mass > 0)).sum(-1, keepdim=True).clamp_(min=1)
        picked = torch.searchsorted(cdf, u * cdf.gather(1, kept - 1), right=True)
        return order.gather(1, torch.minimum(picked, kept - 1))


def _inverse(cdf: Tensor, u: Tensor, last: int) -> Tensor:
    """The first place where ``cdf`` [n, V] passes ``u`` [n, 1] of its total; rounding may not pass ``last``."""
    return torch.searchsorted(cdf, u * cdf[:, -1:], right=True).clamp_(max=last)
