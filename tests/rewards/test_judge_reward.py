"""A discriminator as a shaper: what it pays, and how often it is asked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from reasongym.core import Problem, Trajectory, UserError, Verdict
from reasongym.rewards.judge import Judge


class Fixed:
    def __init__(self, **scores: float) -> None:
        self.scores, self.asked = scores, list[tuple[str, list[str]]]()

    def score(self, question: str, candidates: Sequence[str]) -> list[float]:
        self.asked.append((question, list(candidates)))
        return [self.scores[c] for c in candidates]


def attempts(*verdicts: Verdict) -> list[Trajectory]:
    problem = Problem.of("How many?", "a")
    return [Trajectory(problem, [], "text", verdict, False) for verdict in verdicts]


def test_pays_beside_the_truth() -> None:
    judge = Fixed(a=-0.75, b=-0.5, c=1.0, d=0.5)
    group = attempts(*(Verdict(score, answer) for score, answer in [(1.0, "a"), (0.0, "b"), (0.0, "c"), (0.0, "d")]))
    assert Judge(judge, weight=0.5)([group]) == pytest.approx(np.array([[1.375, 0.25, 0.0, 0.0]]))
    assert Judge(judge, weight=0.5).score(group[1]) == 0.25


def test_asks_about_each_distinct_answer_of_a_group_once() -> None:
    judge = Fixed(a=-1.0, b=0.0)
    group = attempts(
        Verdict(1.0, "a"), Verdict(1.0, "a"), Verdict(0.0, None), Verdict(0.0, "b"), Verdict(0.0, "a", False)
    )
    rewards = Judge(judge)([group])
    assert judge.asked == [("How many?", ["a", "b"])]
    assert np.array_equal(rewards, [[1.2, 1.2, 0.0, 0.0, np.nan]], equal_nan=True)


def test_a_group_without_an_answer_asks_nobody() -> None:
    judge = Fixed()
    assert Judge(judge)([attempts(Verdict(0.0, None))]).tolist() == [[0.0]] and judge.asked == []


@pytest.mark.parametrize(
    ("spec", "weight", "message"),
    [(Fixed(), 0.0, "weight"), (Fixed(), 1.5, "weight"), ("builtins:dict()", 0.2, "score")],
)
def test_what_cannot_be(spec: object, weight: float, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Judge(spec, weight)
