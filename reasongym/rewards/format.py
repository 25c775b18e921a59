"""A reward for the form of a response alone: each mark stands there exactly once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reasongym.core import Batch, Trajectory, UserError
from reasongym.shaping import EpisodeShaper, alone, shape


@dataclass(frozen=True)
class Format(EpisodeShaper):
    r"""The share of ``marks`` that the whole text holds exactly once, whether or not the answer is right.

    The default is open-rs's format reward; ``marks=("<think>\\n", "\\n</think>\\n")`` is its tag count.

    Source: arXiv 2503.16219; knoveleng/open-rs ``src/open_r1/rewards.py`` (``format_reward``, ``tag_count_reward``).
    Differs: a prefix that the environment wrote is part of the text; the official prompt is not.
    """

    marks: Sequence[str] = ("\n</think>\n",)

    def __post_init__(self) -> None:
        marks = self.marks
        if not isinstance(marks, list | tuple) or not marks or not all(m and isinstance(m, str) for m in marks):
            raise UserError(f"format: marks={marks!r} must be a list of strings, none of them empty")

    def score(self, trajectory: Trajectory) -> float:
        return float(self([[trajectory]])[0, 0])

    def __call__(self, batch: Batch) -> NDArray[np.float64]:
        size, every = shape(batch), [t for group in batch for t in group]
        once = np.array([[holds(t.text) for t in every] for holds in map(alone, self.marks)], bool)
        valid = np.array([t.verdict.valid for t in every], bool)
        return np.where(valid, once.mean(axis=0), np.nan).reshape(size)


def make(**kw: Any) -> Format:
    return Format(**kw)
