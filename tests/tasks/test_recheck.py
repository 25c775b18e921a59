"""The task with slack: checks of no use, and answers at once."""

from __future__ import annotations

import numpy as np
import pytest

from reasongym.core import Problem, UserError
from reasongym.tasks.recheck import Recheck
from reasongym.thinking import mode

EXAMPLE = Problem.of("417*2", "668", 2)
THOUGHT = ":834*1:668*0=668"
EASY = Problem.of("417+2", "073", 2)


def test_the_worked_example() -> None:
    rng, task = np.random.default_rng(0), Recheck()
    assert task.demonstrate(EXAMPLE, rng) == THOUGHT
    assert Recheck(direct=1.0).demonstrate(EASY, rng) == "=073"
    assert task.demonstrate(EASY, rng) == ":740+1:073+0=073" and task.verify(EASY, "=073").score == 1.0
    for right in (THOUGHT, ":834*1?834*1?834*1:668*0=668", "=668", "668"):
        assert task.verify(EXAMPLE, right).score == 1.0
    for wrong in ("=669", "=668 ", "=0668", "=", THOUGHT + "\n", "=668=1", ":668*0", "=६६८"):
        assert task.verify(EXAMPLE, wrong).score == 0.0
    assert mode(THOUGHT, closer="=") == "think" and mode("=668", closer="=") == "no_think"


def test_python_agrees() -> None:
    rng, task = np.random.default_rng(0), Recheck(high=9, checks=0.5)
    for _ in range(200):
        problem = task.sample(rng)
        start, sign, n = problem.prompt[:3], problem.prompt[3], int(problem.prompt[4:])
        assert n == problem.level and (sign == "+") == (n <= 3)
        added = "".join(str((int(d) + 3 * n) % 10) for d in start)
        assert problem.answer == (added if sign == "+" else f"{int(start) * 2**n % 1000:03}")
        text = task.demonstrate(problem, rng)
        assert task.verify(problem, text).score == 1.0
        assert len(text) == 6 * (n + text.count("?")) + 4


def test_levels() -> None:
    rng = np.random.default_rng(0)
    assert {Recheck(low=2, high=4).sample(rng).level for _ in range(100)} == {2, 3, 4}
    assert {Recheck().sample(rng, 7).level for _ in range(20)} == {7}


def test_checks_repeat_the_line_above_and_are_as_often_as_said() -> None:
    rng, task, found = np.random.default_rng(0), Recheck(checks=0.5), []
    for _ in range(300):
        text = task.demonstrate(task.sample(rng), rng)
        lines = [text[i : i + 6] for i in range(0, len(text) - 4, 6)]
        assert all(b[1:] == a[1:] for a, b in zip(lines, lines[1:], strict=False) if b[0] == "?")
        found.append(text.count("?") / text.count(":"))
    assert 0.8 < np.mean(found) < 1.2


def test_the_careless_and_the_hasty() -> None:
    """A forgotten carry is gone on from; without a thought a digit is wrong at nine tenths of the rate that is said."""
    rng, task = np.random.default_rng(0), Recheck(slip=1.0)
    assert task.demonstrate(EXAMPLE, rng) == ":824*1:648*0=648"
    hasty = Recheck(direct=1.0, haste=0.5)
    answers = [hasty.demonstrate(EASY, rng) for _ in range(400)]
    assert all(sum(a != b for a, b in zip(answer, "=073", strict=True)) <= 1 for answer in answers)
    assert 0.48 < np.mean([answer == "=073" for answer in answers]) < 0.62


def test_answers_at_once_are_rarer_where_it_is_hard() -> None:
    rng, task = np.random.default_rng(0), Recheck(direct=0.8)
    share = {n: np.mean([task.demonstrate(task.sample(rng, n), rng)[0] == "=" for _ in range(400)]) for n in (3, 4)}
    assert 0.7 < share[3] < 0.9 and 0.1 < share[4] < 0.3


@pytest.mark.parametrize("wrong", [{"low": 0}, {"high": 10}, {"low": 7}, {"direct": 1.5}, {"slip": -1}, {"checks": 1}])
def test_settings_that_cannot_be(wrong: dict[str, float]) -> None:
    with pytest.raises(UserError, match="recheck: "):
        Recheck(**wrong)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="level"):
        Recheck().sample(np.random.default_rng(0), 10)
