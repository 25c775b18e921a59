"""SIRI's schedules by the hand-computed cases of its paper (2509.25176), the simple ones, and what a budget does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reasongym import ByteTokenizer, Problem, ReasoningEnv, UserError, Verdict, parts, rollout
from reasongym.policies.scripted import Scripted
from reasongym.schedules import Constant, Cosine, Linear, Listed, Stair, StairCosine


@pytest.mark.parametrize(
    ("step", "budget"),
    [
        (0, 16384), (80, 15184.3), (160, 12288), (240, 9391.7), (320, 8192), (480, 12288), (560, 15184.3), (640, 16384),
    ],
)  # fmt: skip
def test_siris_cosine(step: int, budget: float) -> None:
    """Section 5.4, the cosine scheduler: 16384, 8192, T = 640; rounded to whole tokens."""
    assert Cosine()(step) == round(budget)


STAIR_COSINE = {
    **dict.fromkeys((0, 40, 80), 16384), 120: 15184.3, 160: 12288, 200: 9391.7, **dict.fromkeys((240, 320, 400), 8192),
    440: 9391.7, 480: 12288, 520: 15184.3, **dict.fromkeys((560, 600, 640), 16384),
}  # fmt: skip


@pytest.mark.parametrize(("step", "budget"), STAIR_COSINE.items())
def test_siris_stair_cosine(step: int, budget: float) -> None:
    """Section 5.4, the stair-cosine scheduler."""
    assert StairCosine()(step) == round(budget)


def test_siris_stair() -> None:
    """Section 5.1: compression in one half of a cycle, expansion in the other."""
    assert [Stair()(t) for t in (0, 319, 320, 639, 640)] == [8192, 8192, 16384, 16384, 8192]
    assert [Stair(first="high")(t) for t in (0, 319, 320, 639, 640)] == [16384, 16384, 8192, 8192, 16384]


@given(
    st.sampled_from([Cosine, Stair, StairCosine]), st.integers(1, 99), st.integers(0, 99), st.integers(1, 50),
    st.integers(0, 400),
)  # fmt: skip
def test_they_repeat_between_their_ends(made: Any, low: int, more: int, period: int, step: int) -> None:
    schedule = made(high=low + more, low=low, period=period)
    assert schedule(step) == schedule(step + period)
    assert low <= schedule(step) <= low + more and isinstance(schedule(step), int)


def test_the_simple_ones() -> None:
    assert {Constant(7)(t) for t in range(9)} == {7}
    assert [Linear(10, 20, 4)(t) for t in range(6)] == [10, 12, 15, 18, 20, 20]
    assert [Linear(20, 10, 5)(t) for t in (0, 1, 5, 99)] == [20, 18, 10, 10]
    assert [Listed((4096, 3072, 2048), each=2)(t) for t in range(8)] == [4096] * 2 + [3072] * 2 + [2048] * 4


def test_they_are_parts_with_names() -> None:
    assert parts.names("schedules") == ["constant", "cosine", "linear", "listed", "stair", "staircosine"]
    assert parts.make("schedules", "cosine(high=20, low=10, period=4)")(2) == 10


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ("cosine(high=8, low=9)", "low=9 must not be above high=8"),
        ("stair(period=0)", "period=0"),
        ("stair(first='up')", "first='up'"),
        ("staircosine(low=0.5)", "low=0.5"),
        ("constant(budget=0)", "budget=0"),
        ("linear(first=1, last=2, steps=0)", "steps=0"),
        ("listed(budgets=[])", "budgets is empty"),
        ("listed(budgets=[3, 0])", r"budgets\[1\]=0"),
    ],
)
def test_refusals(spec: str, named: str) -> None:
    with pytest.raises(UserError, match=named):
        parts.make("schedules", spec)


class Boxed:
    def sample(self, rng: np.random.Generator, level: int = 0) -> Problem:
        return Problem.of("?", "4")

    def verify(self, problem: Problem, text: str) -> Verdict:
        return Verdict(float(text.endswith("=4")))


@pytest.mark.parametrize("thinking", ["longcot(budget=16384)", "delethink(chunk=8192, carry=4096, head=100)"])
def test_a_right_answer_pays_if_it_is_given_within_the_cap(thinking: str) -> None:
    """Section 5.4: a right answer that finishes at token 9000 is 1 at t = 0 and 0 at t = 320."""

    def script(request: Any) -> str:
        return "x" * 8997 + "=4" if len(request.key) and request.key[-1] == 0 else "x" * 805 + "=4"

    def reward(step: int) -> tuple[float, int]:
        options = {"problem": Problem.of("?", "4"), "budget": Cosine()(step)}
        [t] = rollout(Scripted(script, ByteTokenizer()), [ReasoningEnv(Boxed(), thinking)], [{"options": options}])
        return t.verdict.score, t.length

    assert reward(0) == (1.0, 9000)
    assert reward(320) == (0.0, 8192)
