"""Arithmetic: Python's own evaluation of the posed expression is the reference."""

from __future__ import annotations

import pickle
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reasongym.core import Demonstrator, Problem, Task, UserError
from reasongym.tasks.arithmetic import Arithmetic, make


def _expression(problem: Problem) -> str:
    found = re.fullmatch(r"Compute ([-+*() 0-9]+)\. Give the final answer .* \\boxed\{\}\.", problem.prompt)
    assert found
    return found[1]


@given(
    terms=st.integers(2, 9),
    digits=st.integers(1, 25),
    operators=st.sampled_from(["+-*", "*", "-", "+"]),
    level=st.integers(0, 6),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=80, deadline=None)
def test_the_answer_is_the_value_of_the_prompt(terms: int, digits: int, operators: str, level: int, seed: int) -> None:
    task = Arithmetic(terms, digits, operators)
    problem = task.sample(np.random.default_rng(seed), level)
    numbers = re.findall(r"\d+", _expression(problem))
    assert eval(_expression(problem)) == problem.answer
    assert len(numbers) == terms + level and max(map(len, numbers)) <= digits + level // 2
    assert set(_expression(problem)) <= set(f"0123456789 (){operators}")
    assert problem == task.sample(np.random.default_rng(seed), level)


@given(seed=st.integers(0, 2**32), level=st.integers(0, 8))
@settings(max_examples=60, deadline=None)
def test_every_line_of_a_demonstration_is_true(seed: int, level: int) -> None:
    task = Arithmetic()
    problem = task.sample(np.random.default_rng(seed), level)
    *steps, last = task.demonstrate(problem, np.random.default_rng(0)).split("\n")
    assert len(steps) == level + 2 and last == f"The answer is \\boxed{{{problem.answer}}}."
    for step in steps:
        done, _, left = step.removesuffix(".").partition(", which leaves ")
        operation, _, value = done.partition(" = ")
        assert eval(operation) == int(value) and eval(left or value) == problem.answer


def test_a_golden_demonstration() -> None:
    problem = Problem.of("", 55, expression="(12 - 20) * (3 - 10) - 4 + 3")
    assert Arithmetic().demonstrate(problem, np.random.default_rng(0)).split("\n") == [
        "12 - 20 = -8, which leaves -8 * (3 - 10) - 4 + 3.",
        "3 - 10 = -7, which leaves -8 * (-7) - 4 + 3.",
        "-8 * (-7) = 56, which leaves 56 - 4 + 3.",
        "56 - 4 = 52, which leaves 52 + 3.",
        "52 + 3 = 55.",
        "The answer is \\boxed{55}.",
    ]


@pytest.mark.parametrize("seed", range(5))
def test_the_gold_answer_and_the_demonstration_verify_and_junk_does_not(seed: int) -> None:
    task: Task = make(digits=6, terms=8)
    assert isinstance(task, Demonstrator)
    rng = np.random.default_rng(seed)
    problem = task.sample(rng)
    gold = problem.answer
    assert task.verify(problem, f"So \\boxed{{{gold}}}.").score == 1.0
    assert task.verify(problem, str(task.demonstrate(problem, rng))).score == 1.0
    boxes = [f"\\boxed{{{junk}}}" for junk in (gold + 1, -gold, "", "9^{9^{9^9}}")]
    for junk in ("", "hello", "\ud800", *boxes):
        verdict = task.verify(problem, junk)
        assert (verdict.score, verdict.valid) == (0.0, True), junk


def test_operators_and_nesting_all_occur() -> None:
    rng = np.random.default_rng(0)
    text = " ".join(_expression(Arithmetic(terms=8).sample(rng)) for _ in range(20))
    assert set("+-*") < set(text) and "((" in text


def test_it_pickles() -> None:
    assert pickle.loads(pickle.dumps(make(terms=4))) == Arithmetic(terms=4)


@pytest.mark.parametrize("bad", [{"terms": 1}, {"digits": 0}, {"operators": "+/"}, {"operators": ""}])
def test_bad_settings_are_named(bad: dict[str, object]) -> None:
    with pytest.raises(UserError, match="arithmetic: "):
        make(**bad)


@pytest.mark.parametrize("level", [-1, 1000])
def test_levels_out_of_range_are_named(level: int) -> None:
    with pytest.raises(UserError, match=f"level={level}"):
        Arithmetic().sample(np.random.default_rng(0), level)
