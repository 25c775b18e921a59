"""The demonstration task, against the worked example of its definition."""

from __future__ import annotations

import itertools
import pickle
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reasongym.core import Completion, Demonstrator, Problem, Task, UserError
from reasongym.tasks.register import Register, make

EXAMPLE = Problem.of("^520549", "1948", 40, n=40)
EXAMPLE_THOUGHT = "9277888517416480936503398279150173194800=1948"


def _run(prompt: str) -> str:
    """The definition, forwards and word for word."""
    digits = [int(c) for c in prompt.removeprefix("^")]
    for t in itertools.count(6):
        digits.append((digits[t - 1] ** 2 - digits[t - 6] + 3) % 10)
        if digits[t] == digits[t - 1] == 0:
            return "".join(map(str, digits[6:])) + "=" + "".join(map(str, digits[-6:-2]))
    raise AssertionError


def test_the_worked_example() -> None:
    assert Register().demonstrate(EXAMPLE, np.random.default_rng(0)) == EXAMPLE_THOUGHT == _run(EXAMPLE.prompt)
    assert Register().verify(EXAMPLE, EXAMPLE_THOUGHT).score == 1.0


def test_it_is_a_task_that_demonstrates_and_pickles() -> None:
    task: Task = make(low=4, high=8)
    assert isinstance(task, Demonstrator)
    assert pickle.loads(pickle.dumps(task)) == task == Register(4, 8)


@given(level=st.integers(1, 200), seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_a_level_is_the_exact_number_of_steps(level: int, seed: int) -> None:
    problem = Register().sample(np.random.default_rng(seed), level)
    thought = _run(problem.prompt)
    assert (len(thought), problem.data["n"], problem.level) == (level + 5, level, level)
    assert thought.endswith(f"={problem.answer}") and "00" not in problem.prompt
    assert Register().demonstrate(problem, np.random.default_rng(0)) == thought
    assert problem == Register().sample(np.random.default_rng(seed), level)


def test_level_0_draws_every_length_between_low_and_high() -> None:
    rng = np.random.default_rng(0)
    problems = [Register(3, 7).sample(rng) for _ in range(300)]
    counts = np.bincount([p.data["n"] for p in problems], minlength=8)[3:]
    assert counts.min() > 35 and counts.sum() == 300 and len({p.id for p in problems}) > 250


def test_long_problems_are_found_quickly() -> None:
    start = time.perf_counter()
    problems = [Register().sample(np.random.default_rng(s), 480) for s in range(40)]
    assert time.perf_counter() - start < 4  # 5 ms each, and a wide margin
    assert all(len(_run(p.prompt)) == 485 for p in problems)


def test_lengths_out_of_reach_are_refused_in_bounded_time() -> None:
    with pytest.raises(UserError, match="no problem of exactly 5000 steps"):
        Register().sample(np.random.default_rng(0), 5000)
    with pytest.raises(UserError, match="level=-1"):
        Register().sample(np.random.default_rng(0), -1)


@pytest.mark.parametrize(
    ("text", "score", "answer"),
    [
        ("=1948", 1.0, "1948"),
        ("12=34=1948", 1.0, "1948"),
        ("=1948=1948", 1.0, "1948"),
        ("=1949", 0.0, "1949"),
        ("=1948 ", 0.0, None),
        ("=1948\n", 0.0, None),
        ("= 1948", 0.0, None),
        ("=01948", 0.0, None),
        ("=1948=", 0.0, None),
        ("=1948$", 0.0, None),
        ("1948", 0.0, None),
        ("=194", 0.0, None),
        ("=١٩٤٨", 0.0, None),  # other digits are not these digits
        ("", 0.0, None),
        ("\ud800", 0.0, None),
    ],
)
def test_verify_is_strict(text: str, score: float, answer: str | None) -> None:
    verdict = Register().verify(EXAMPLE, text)
    assert (verdict.score, verdict.answer, verdict.valid) == (score, answer, True)


@given(st.text())
def test_verify_never_raises(text: str) -> None:
    assert Register().verify(EXAMPLE, text).score == 0.0


def _rates(task: Register, problems: int = 400) -> tuple[float, float, float]:
    """Of the demonstrations: share right, share broken off, wrong digits per digit written honestly."""
    rng, right, broken, wrong, written = np.random.default_rng(1), 0, 0, 0, 0
    for _ in range(problems):
        problem = task.sample(rng)
        thought = task.demonstrate(problem, rng)
        text = thought.text if isinstance(thought, Completion) else thought
        broken += isinstance(thought, Completion)
        right += task.verify(problem, text).score == 1.0
        digits = [int(c) for c in (problem.prompt[1:] + text).partition("=")[0]]
        pairs = [(digits[t], (digits[t - 1] ** 2 - digits[t - 6] + 3) % 10) for t in range(6, len(digits))]
        wrong += sum(a != b for a, b in pairs)
        written += len(pairs)
    return right / problems, broken / problems, wrong / written


def test_the_exact_demonstrator_is_always_right() -> None:
    assert _rates(Register(), 100) == (1.0, 0.0, 0.0)


def test_the_slipping_demonstrator_slips_as_often_as_it_should() -> None:
    right, broken, wrong = _rates(Register(demonstrator="slip"))
    assert wrong == pytest.approx(0.04 * 0.6 + 0.96 * 0.004 * 0.9, abs=0.005)
    assert 0.25 < right < 0.5 and broken > 0.2


def test_the_noisy_demonstrator_errs_as_often_as_it_should() -> None:
    right, _, wrong = _rates(Register(demonstrator="noise"))
    assert wrong == pytest.approx(0.02 * 0.9, abs=0.004)
    assert 0.35 < right < 0.65


def test_a_sloppy_thought_is_broken_off_at_high_digits() -> None:
    task, rng = Register(low=1, high=60, demonstrator="slip"), np.random.default_rng(3)
    thoughts = [task.demonstrate(task.sample(rng), rng) for _ in range(200)]
    unfinished = [t for t in thoughts if isinstance(t, Completion)]
    assert unfinished and all(t.finish == "length" and len(t.text) == 60 and t.text.isdecimal() for t in unfinished)
    assert all(len(t) <= 65 and "=" in t for t in thoughts if isinstance(t, str))


def test_slips_are_the_four_pairs() -> None:
    task, rng = Register(demonstrator="slip"), np.random.default_rng(5)
    wrong = {
        (x, y)
        for x, y in itertools.product(range(10), repeat=2)
        if sum(task._write(x, y, rng) == (y * y - x + 4) % 10 for _ in range(60)) > 15
    }
    assert wrong == {(7, 8), (6, 7), (9, 6), (8, 4)}


@pytest.mark.parametrize("bad", [{"low": 0}, {"low": 9, "high": 8}, {"demonstrator": "sloppy"}])
def test_bad_settings_are_named(bad: dict[str, object]) -> None:
    with pytest.raises(UserError, match="register: "):
        make(**bad)
