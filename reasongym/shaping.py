"""What shapers share: their base where they look at one trajectory at a time, a batch as columns, and the truth."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reasongym.core import Batch, Trajectory, UserError
from reasongym.thinking import CLOSER, OPENER, mode


class EpisodeShaper(ABC):
    """A `core.Shaper` made from one method; only such shapers may also pay inside an environment."""

    @abstractmethod
    def score(self, trajectory: Trajectory) -> float:
        """The training reward of one valid trajectory."""

    def __call__(self, batch: Batch) -> NDArray[np.float64]:
        """Rewards [P, G], NaN where the trajectory is invalid (``score`` is not asked)."""
        size = shape(batch)
        rows = [[self.score(t) if t.valid else np.nan for t in group] for group in batch]
        return np.array(rows, dtype=np.float64).reshape(size)

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
    size, every = shape(batch), [t for group in batch for t in group]
    verdicts = [t.verdict for t in every]
    valid = np.array([v.valid for v in verdicts], bool).reshape(size)
    score = np.where(valid, np.array([v.score for v in verdicts], np.float64).reshape(size), np.nan)
    answered = np.array([v.answer is not None for v in verdicts], bool).reshape(size) & valid
    length = np.array([t.length for t in every], np.float64).reshape(size)
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


def own(trajectory: Trajectory) -> str:
    """What the response itself says: its text without the prefix that the environment wrote."""
    return trajectory.text.removeprefix(trajectory.info.get("prefix", ""))


def skipped(batch: Batch, closer: str = CLOSER, opener: str = OPENER) -> NDArray[np.bool_]:
    """Which attempts did not think, [P, G]: by the environment's report if that is about ``closer``, or by the text."""
    modes = [
        ((info := t.info).get("closer", CLOSER) == closer and info.get("mode")) or mode(own(t), opener, closer)
        for group in batch
        for t in group
    ]
    return np.array([m == "no_think" for m in modes], bool).reshape(shape(batch))


def shape(batch: Batch) -> tuple[int, int]:
    """(P, G); a UserError where groups are not of one size."""
    if len({len(group) for group in batch}) > 1:
        raise UserError("all groups of a batch must have the same number of attempts")
    return len(batch), len(batch[0]) if batch else 0


def alone(mark: str, *others: str, pivot: str = "<") -> Callable[[str], bool]:
    """A function that says whether a text holds ``mark`` exactly once, and none of ``others``.

    Thoughts are long, and a single rare character is found ten times as fast as a string: so by hops from ``pivot`` to
    ``pivot``, if all marks hold that at the same place. The last mark is looked for first: the rest must be without.
    """
    before, marks = mark.find(pivot), (mark, *others)

    def plainly(text: str) -> bool:
        return text.count(mark) == 1 and not any(other in text for other in others)

    like = any(other.startswith(mark) or mark.startswith(other) for other in others)
    if before < 0 or like or any(m.find(pivot) != before or len(m) < before + 2 for m in marks):
        return plainly
    second = frozenset(m[before + 1] for m in marks)

    def holds(text: str) -> bool:
        last = text.rfind(mark)
        if last < 0:
            return False
        if others and text.find(pivot, last + before + 1) >= 0:  # behind it too
            return plainly(text)
        at = text.find(pivot, before, last)
        while at >= 0:  # two that overlap are one, as str.count has it
            if text[at + 1] in second and (
                text.startswith(mark, at - before, last) or text.startswith(others, at - before)
            ):
                return False
            at = text.find(pivot, at + 1, last)
        return True

    return holds
