"""SATURN's rewards: 1 for a right answer, 0 for a wrong one, -1 for none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from reasongym.core import Trajectory
from reasongym.shaping import EpisodeShaper


@dataclass(frozen=True)
class Saturn(EpisodeShaper):
    r"""The verdict's score, and ``nothing`` where no answer could be found (no ``\boxed{}``, for one).

    A box that cannot be read is a wrong answer, not a missing one.

    Source: arXiv 2505.16368; Saturn-code ``src/reward_function/reward_func.py``.
    Differs: the official -2 for an error inside the scorer has no counterpart: verifiers do not raise.
    """

    nothing: float = -1.0

    def score(self, trajectory: Trajectory) -> float:
        verdict = trajectory.verdict
        return self.nothing if verdict.answer is None else verdict.score


def make(**kw: Any) -> Saturn:
    return Saturn(**kw)
