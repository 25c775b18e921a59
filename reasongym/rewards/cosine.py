"""open-rs: right answers pay by a cosine of their length, and wrong ones too."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from reasongym.core import Batch, Trajectory, UserError
from reasongym.shaping import EpisodeShaper, columns


@dataclass(frozen=True)
class Cosine(EpisodeShaper):
    """Half a cosine from the reward of an empty thought to that of one of ``limit`` tokens; [P, G].

    ``right`` and ``wrong`` are those two ends: a right thought pays more the shorter it is, a wrong one less, so that
    hard problems are thought about longer. Beyond the limit the reward stays.

    Source: arXiv 2503.16219; knoveleng/open-rs ``src/open_r1/rewards.py`` (``get_cosine_scaled_reward``).
    Differs: tokens and no wrap-around. ``compat="official"``: characters, of which no limit keeps the cosine from going
    up again, wrong ends of (0, -0.5) as its command line sets them (long wrong ones pay *less*, against the paper),
    and 1 where there is no gold answer to compare with.
    """

    limit: int = 3584
    right: tuple[float, float] = (1.0, 0.5)
    wrong: tuple[float, float] | None = None
    compat: Literal["official"] | None = None

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise UserError(f"cosine: limit={self.limit} must be 1 token or more")
        for name, ends in (("right", self.right), ("wrong", self.ends)):
            if not isinstance(ends, list | tuple) or len(ends) != 2 or not all(isinstance(end, Real) for end in ends):
                raise UserError(f"cosine: {name}={ends!r} must be two numbers, such as (1.0, 0.5)")
        if self.compat not in (None, "official"):
            raise UserError(f"cosine: compat={self.compat!r} must be None or 'official'")

    @property
    def ends(self) -> tuple[float, float]:
        """Those of a wrong answer."""
        return self.wrong or ((0.0, -0.5) if self.compat else (-1.0, -0.5))

    def score(self, trajectory: Trajectory) -> float:
        return float(self([[trajectory]])[0, 0])

    def __call__(self, batch: Batch) -> NDArray[np.float64]:
        c = columns(batch)
        length = self._characters(batch, c.length) if self.compat else np.minimum(c.length, self.limit)
        paid = half_cosine(length / self.limit, np.where(c.right[..., None], self.right, self.ends))
        if self.compat:
            unknown = [group[0].problem.answer is None for group in batch]
            paid[np.array(unknown, bool)] = 1.0
        return np.where(c.valid, paid, np.nan)

    def _characters(self, batch: Batch, like: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.array([len(t.text) for group in batch for t in group], np.float64).reshape(like.shape)


def half_cosine(u: NDArray[np.float64], ends: NDArray[np.float64]) -> NDArray[np.float64]:
    """From ``ends[..., 0]`` at u = 0 to ``ends[..., 1]`` at u = 1."""
    first, last = ends[..., 0], ends[..., 1]
    return np.asarray(last + (first - last) / 2 * (1 + np.cos(np.pi * u)))


def make(**kw: Any) -> Cosine:
    return Cosine(**kw)
