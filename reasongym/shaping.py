"""What shapers share: their base where they look at one trajectory at a time, a batch as columns, and the truth."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reasongym.core import Batch, Trajectory, UserError
from reasongym.thinking import CLOSER, Mode, mode


class EpisodeShaper(ABC):
    """A `core.Shaper` made from one method; only such shapers may also pay inside an environment."""

    @abstractmethod
    def score(self, trajectory: Trajectory) -> float:
        """The training reward of one valid trajectory."""

    def __call__(self, batch: Batch) -> NDArray[np.float64]:
        """Rewards [P, G], NaN where the trajectory is invalid (``score`` is not asked)."""
        _check_groups(batch)
        rows = [[self.score(t) if t.valid else np.nan for t in group] for group in batch]
        return np.array(rows, dtype=np.float64).reshape(len(batch), -1 if batch else 0)

    def update(self, batch: Batch) -> None:  # noqa: B027  (nothing to learn is the usual case)
        """After the optimiser's step."""


@dataclass(frozen=True)
class Truth(EpisodeShaper):
    """Pays the verdict's score, unshaped."""

    def score(self, trajectory: Trajectory) -> float:
        return trajectory.verdict.score


class Columns(NamedTuple):
    """A batch as arrays, [P, G] each. An invalid trajectory is neither right nor answered, and its score is NaN."""

    score: NDArray[np.float64]
    right: NDArray[np.bool_]  # a score of 1: less is not right
    answered: NDArray[np.bool_]  # an answer was found, right or wrong
    length: NDArray[np.float64]  # sampled tokens
    valid: NDArray[np.bool_]


def columns(batch: Batch) -> Columns:
    """What most shapers ask of a batch."""
    _check_groups(batch)
    every = [t for group in batch for t in group]
    verdicts = [t.verdict for t in every]
    shape = (len(batch), len(batch[0]) if batch else 0)
    valid = np.array([v.valid for v in verdicts], bool).reshape(shape)
    score = np.where(valid, np.array([v.score for v in verdicts], np.float64).reshape(shape), np.nan)
    answered = np.array([v.answer is not None for v in verdicts], bool).reshape(shape) & valid
    length = np.array([t.length for t in every], np.float64).reshape(shape)
    return Columns(score, score >= 1, answered, length, valid)


def over_members(
    values: NDArray[np.float64], members: NDArray[np.bool_]
) -> tuple[NDArray[np.int_], NDArray[np.float64], NDArray[np.float64]]:
    """Count, mean and unbiased deviation of each group's members, [P, 1] each; 0 where there are too few."""
    n = members.sum(axis=1, keepdims=True)
    mean = np.where(members, values, 0.0).sum(axis=1, keepdims=True) / np.maximum(n, 1)
    squares = (np.where(members, values - mean, 0.0) ** 2).sum(axis=1, keepdims=True)
    return n, mean, np.sqrt(squares / np.maximum(n - 1, 1))


def span(values: NDArray[np.float64], members: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The least and the greatest of each group's members, [P, 1] each; infinite and minus that without any."""
    low = np.where(members, values, np.inf).min(axis=1, keepdims=True, initial=np.inf)
    return low, np.where(members, values, -np.inf).max(axis=1, keepdims=True, initial=-np.inf)


def mode_of(trajectory: Trajectory, closer: str = CLOSER) -> Mode:
    """Think or no-think as the environment reported it; by the text where it did not, or for another closer."""
    reported: Mode | None = trajectory.info.get("mode") if closer == CLOSER else None
    return reported or mode(trajectory.text, closer=closer)


def occurrences(text: str, mark: str) -> int:
    """``text.count(mark)`` for marks of one rare character among others: hops from one "<" to the next.

    A search for one character is more than ten times as fast as one for a string, and texts are long.
    """
    pivot = max(mark.find("<"), 0)
    found, at = 0, text.find(mark[pivot], pivot)
    while at >= 0:
        hit = text.startswith(mark, at - pivot)
        found += hit
        at = text.find(mark[pivot], at + (len(mark) if hit else 1))
    return found


def _check_groups(batch: Batch) -> None:
    if len({len(group) for group in batch}) > 1:
        raise UserError("all groups of a batch must have the same number of attempts")
