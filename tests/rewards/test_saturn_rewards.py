"""SATURN's rewards."""

from __future__ import annotations

import numpy as np
import pytest

from reasongym import parts
from reasongym.core import Problem, Trajectory, Verdict
from reasongym.tasks.saturn import Saturn


def trajectory(verdict: Verdict) -> Trajectory:
    return Trajectory(Problem.of("?"), [], "", verdict, False)


def test_one_for_right_zero_for_wrong_minus_one_for_none() -> None:
    shaper = parts.make("rewards", "saturn")
    verdicts = [Verdict(1.0, "1101"), Verdict(0.0, "0101"), Verdict(0.0), Verdict(0.0, ""), Verdict(0.0, valid=False)]
    rewards = shaper([[trajectory(v) for v in verdicts]])
    assert np.array_equal(rewards, [[1.0, 0.0, -1.0, 0.0, np.nan]], equal_nan=True)
    assert parts.make("rewards", "saturn(nothing=0.0)").score(trajectory(Verdict(0.0))) == 0.0


@pytest.mark.parametrize("compat", [None, "saturn"])
@pytest.mark.parametrize(
    ("text", "reward"),
    [("\\boxed{1101}", 1.0), ("\\boxed{0101}", 0.0), ("1101", -1.0), ("\\boxed{1101} \\boxed{0101}", 0.0)],
)
def test_the_official_cases(tmp_path: pytest.TempPathFactory, text: str, reward: float, compat: str | None) -> None:
    source = tmp_path / "rows.jsonl"  # type: ignore[operator]
    source.write_text('{"n_sat": 3, "k": 4, "solution": "1101", "clause": "!B!C!D & A!B!D & AB!D"}\n')
    task = Saturn(str(source), compat=compat)  # type: ignore[arg-type]
    problem = task.problem(0)
    end = Trajectory(problem, [], text, task.verify(problem, text), False)
    assert parts.make("rewards", "saturn").score(end) == reward
