"""A reward for the form of a response alone: each mark stands there exactly once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from reasongym.core import Trajectory, UserError
from reasongym.shaping import EpisodeShaper, occurrences


@dataclass(frozen=True)
class Format(EpisodeShaper):
    r"""The share of ``marks`` that the whole text holds exactly once, whether or not the answer is right.

    The default is open-rs's format reward; ``marks=("<think>\\n", "\\n</think>\\n")`` is its tag count.

    Source: arXiv 2503.16219; knoveleng/open-rs ``src/open_r1/rewards.py`` (``format_reward``, ``tag_count_reward``).
    Differs: a prefix that the environment wrote is part of the text; the official prompt is not.
    """

    marks: Sequence[str] = ("\n</think>\n",)

    def __post_init__(self) -> None:
        if isinstance(self.marks, str) or not self.marks or not all(self.marks):
            raise UserError(f"format: marks={self.marks!r} must be a list of strings, none of them empty")

    def score(self, trajectory: Trajectory) -> float:
        return sum(occurrences(trajectory.text, mark) == 1 for mark in self.marks) / len(self.marks)


def make(**kw: Any) -> Format:
    return Format(**kw)
