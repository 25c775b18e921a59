"""Attempts made by hand, for golden numbers: a score, a length in tokens, a text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reasongym.core import Batch, Group, Problem, Segment, Trajectory, Verdict

PROBLEM = Problem.of("What is 1 + 1?", "2")


def attempt(
    score: float = 1.0,
    length: int = 3,
    text: str = "",
    *,
    answer: str | None = "?",
    valid: bool = True,
    problem: Problem = PROBLEM,
    **info: Any,
) -> Trajectory:
    """One attempt, in one window; ``answer=None`` is one in which no answer was found."""
    ids = tuple(range(7, 7 + length))
    rows = [Segment((5, 6, *ids), (0, 0, *[1] * length), (0.0,) * (length + 2))]
    verdict = Verdict(score, answer if valid else None, valid)
    return Trajectory(problem, rows if valid else [], text, verdict, False, {"used": length, **info})


def group(scores: Sequence[float], lengths: Sequence[int], **rest: Any) -> Group:
    return [attempt(s, n, **rest) for s, n in zip(scores, lengths, strict=True)]


def one(*attempts: Trajectory) -> Batch:
    """A batch of one group."""
    return [list(attempts)]
