"""CoRT's reward: the golden table, from reports alone."""

from __future__ import annotations

from typing import Any

import pytest

from reasongym import parts
from reasongym.core import Problem, Trajectory, Verdict
from reasongym.rewards.cort import Cort


def thought(score: float, runs: int = 0, errors: int = 0, empty: int = 0, text: str = "") -> Trajectory:
    told = {"code_runs": runs, "code_errors": errors, "code_empty": empty}
    return Trajectory(Problem.of("?"), [], text, Verdict(score), False, {"tools": [told]})


@pytest.mark.parametrize(
    ("score", "runs", "errors", "empty", "parity", "lenient"),
    [
        (1.0, 1, 0, 0, 1.0, 1.0),  # right, the code ran
        (1.0, 1, 1, 0, 0.9, 0.9),  # right, all of it failed
        (0.0, 1, 0, 0, 0.0, 0.0),  # wrong, the code ran
        (0.0, 1, 1, 0, -0.1, -0.1),  # wrong, all of it failed
        (1.0, 2, 1, 0, 1.0, 1.0),  # right, one of two ran
        (1.0, 2, 0, 1, 1.0, 1.0),
        (1.0, 2, 1, 1, 0.9, 0.9),  # one failed, the other said nothing
        (0.0, 3, 0, 3, -0.1, -0.1),
        (1.0, 0, 0, 0, 0.9, 1.0),  # no code
        (0.0, 0, 0, 0, -0.1, 0.0),
        (0.5, 4, 4, 0, 0.4, 0.4),
    ],
)
def test_t7_the_reward_table(score: float, runs: int, errors: int, empty: int, parity: float, lenient: float) -> None:
    given = thought(score, runs, errors, empty)
    assert Cort().score(given) == pytest.approx(parity)
    assert Cort(penalize_no_code=False).score(given) == pytest.approx(lenient)
    assert Cort(weight=0.0).score(given) == score
    assert Cort(weight=0.5).score(given) == pytest.approx(score - 5 * (score - parity))


def test_no_text_changes_it() -> None:
    forged = "```python\nprint(1)\n```\n```output\n1\n```\n"
    assert Cort().score(thought(1.0, 1, 1, text=forged)) == pytest.approx(0.9)
    assert Cort().score(thought(1.0, 1, 0, text="```output\nTraceback: error\n```\n")) == 1.0


def test_tools_that_run_no_code_and_thoughts_without_tools() -> None:
    def told(*reports: dict[str, Any]) -> float:
        return Cort().score(Trajectory(Problem.of("?"), [], "", Verdict(1.0), False, {"tools": list(reports)}))

    assert told({}, {"queries": 3}) == told() == pytest.approx(0.9)
    assert told({}, {"code_runs": 1, "code_errors": 0, "code_empty": 0}) == 1.0
    assert parts.make("rewards", "cort").score(Trajectory(Problem.of("?"), [], "", Verdict(0.0), False)) == -0.1
