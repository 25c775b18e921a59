"""DAPO's soft overlong punishment: the last tokens before the limit cost more and more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from reasongym.core import Trajectory, UserError
from reasongym.shaping import EpisodeShaper


@dataclass(frozen=True)
class SoftOverlong(EpisodeShaper):
    """The verdict's score, less up to 1 for a thought that ends in the last ``buffer`` tokens before ``limit``.

    The penalty is 0 up to ``limit - buffer`` sampled tokens, then linear to -1 at ``limit``, and -1
    beyond. The defaults are the paper's (L_max, L_cache).

    Source: arXiv 2503.14476, eq. 13; verl ``verl/workers/reward_manager/dapo.py``.
    Differs: it is added to a score in [0, 1], the paper's is -1 or 1; the code's line goes on below
    -1 beyond the limit, the paper's and this one do not.
    """

    limit: int = 20480
    buffer: int = 4096

    def __post_init__(self) -> None:
        if not 0 <= self.buffer <= self.limit or self.limit == 0:
            raise UserError(f"SoftOverlong: limit={self.limit} must be positive and buffer={self.buffer} in [0, limit]")

    def penalty(self, length: int) -> float:
        """What ``length`` sampled tokens cost: 0 to -1."""
        over = length - (self.limit - self.buffer)
        if over <= 0:
            return 0.0
        return -1.0 if over >= self.buffer else -over / self.buffer

    def score(self, trajectory: Trajectory) -> float:
        return trajectory.verdict.score + self.penalty(trajectory.length)


def make(**kw: Any) -> SoftOverlong:
    return SoftOverlong(**kw)
