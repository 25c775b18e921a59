"""The task that is long by hand and one line of Python."""

from __future__ import annotations

import numpy as np
import pytest

from reasongym.core import Problem, UserError
from reasongym.tasks.doubling import Doubling

EXAMPLE = Problem.of("4173*2**4%10000=", "6768", 4, start=4173, n=4)
BY_HAND = "04 4173\n03 8346\n02 6692\n01 3384\n00 6768\n---\n=6768"
CALL = "```python\n4173*2**4%10000\n```\n=6768"


def test_the_worked_example() -> None:
    rng = np.random.default_rng(0)
    assert Doubling().demonstrate(EXAMPLE, rng) == BY_HAND
    assert Doubling(calls=1.0).demonstrate(EXAMPLE, rng) == CALL
    assert Doubling().verify(EXAMPLE, BY_HAND).score == Doubling().verify(EXAMPLE, CALL).score == 1.0
    for wrong in ("=6769", "6768", "=6768 ", "=06768", "=", BY_HAND + "\n", "=6768=1"):
        assert Doubling().verify(EXAMPLE, wrong).score == 0.0


def test_python_agrees() -> None:
    rng = np.random.default_rng(0)
    for digits in (1, 3, 4, 9):
        task = Doubling(digits=digits)
        for _ in range(50):
            problem = task.sample(rng)
            assert str(eval(problem.prompt[:-1])) == problem.answer and len(problem.answer) == digits
            text = task.demonstrate(problem, rng)
            assert task.verify(problem, text).score == 1.0
            assert len(text) == (digits + 4) * (problem.data["n"] + 1) + 4 + digits + 1


def test_levels() -> None:
    rng = np.random.default_rng(0)
    assert {Doubling().sample(rng).data["n"] for _ in range(300)} == set(range(10, 17))
    assert {Doubling().sample(rng, 7).data["n"] for _ in range(20)} == {7}


def test_the_careless_forget_carries_and_go_on_from_there() -> None:
    rng, task = np.random.default_rng(0), Doubling(careless=True)
    right, errors, doubled = [], 0, 0
    for _ in range(300):
        problem = task.sample(rng)
        text = task.demonstrate(problem, rng)
        right.append(task.verify(problem, text).score)
        numbers = [line[3:] for line in text.split("\n")[:-2]]
        assert numbers[0] == str(problem.data["start"]) and text.endswith(f"={numbers[-1]}")
        for before, after in zip(numbers, numbers[1:], strict=False):
            doubled += 1
            errors += after != f"{2 * int(before) % 10000:04}"
    assert 0.2 < np.mean(right) < 0.6 and 0.01 < errors / doubled < 0.2


@pytest.mark.parametrize("wrong", [{"low": 0}, {"high": 5}, {"high": 100}, {"digits": 0}, {"calls": 1.5}])
def test_settings_that_cannot_be(wrong: dict[str, float]) -> None:
    with pytest.raises(UserError, match="doubling: "):
        Doubling(**wrong)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="level"):
        Doubling().sample(np.random.default_rng(0), 100)
