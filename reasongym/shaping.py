"""Shapers that look at one trajectory at a time: the base they share, and the truth itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reasongym.core import Batch, Trajectory, UserError


class EpisodeShaper(ABC):
    """A `core.Shaper` made from one method; only such shapers may also pay inside an environment."""

    @abstractmethod
    def score(self, trajectory: Trajectory) -> float:
        """The training reward of one valid trajectory."""

    def __call__(self, batch: Batch) -> NDArray[np.float64]:
        """Rewards [P, G], NaN where the trajectory is invalid (``score`` is not asked)."""
        if len({len(group) for group in batch}) > 1:
            raise UserError("all groups of a batch must have the same number of attempts")
        rows = [[self.score(t) if t.valid else np.nan for t in group] for group in batch]
        return np.array(rows, dtype=np.float64).reshape(len(batch), -1 if batch else 0)

    def update(self, batch: Batch) -> None:  # noqa: B027  (nothing to learn is the usual case)
        """After the optimiser's step."""


@dataclass(frozen=True)
class Truth(EpisodeShaper):
    """Pays the verdict's score, unshaped."""

    def score(self, trajectory: Trajectory) -> float:
        return trajectory.verdict.score
