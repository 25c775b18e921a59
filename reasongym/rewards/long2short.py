"""VibeThinker's Long2Short: among a group's right answers the shorter ones take from the longer ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reasongym.core import Batch, UserError
from reasongym.shaping import columns, over_members, span


@dataclass(frozen=True)
class Long2Short:
    """The verdict's score; to right answers also ``strength * (s - mean s) / max |s - mean s|``, s = 1 / L; [P, G].

    What a group's right answers are paid in all does not change. Where they are of one length, nothing does.

    Source: arXiv 2606.16140 (VibeThinker-3B), the Long2Short reward, strength 0.2; no training code is public.
    Differs: none.
    """

    strength: float = 0.2

    def __post_init__(self) -> None:
        if not 0 <= self.strength < 1:
            raise UserError(f"long2short: strength={self.strength} must be in [0, 1): right answers shall pay")

    def __call__(self, batch: Batch) -> NDArray[np.float64]:
        c = columns(batch)
        s = 1.0 / np.maximum(c.length, 1.0)
        _, mean, _ = over_members(s, c.right)
        shortest, longest = span(c.length, c.right)
        off = np.where(c.right & (longest > shortest), s - mean, 0.0)
        most = np.abs(off).max(axis=1, keepdims=True, initial=0.0)
        return c.score + self.strength * off / np.where(most > 0, most, 1.0)

    def update(self, batch: Batch) -> None:
        """Nothing to learn."""


def make(**kw: Any) -> Long2Short:
    return Long2Short(**kw)
