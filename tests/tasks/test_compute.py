from __future__ import annotations

import math
import pickle
import re

import numpy as np
import pytest

from reasongym.core import Demonstrator, Problem, Task, UserError
from reasongym.sandbox import open_session
from reasongym.tasks import compute
from reasongym.tasks.compute import KINDS, LEVELS, Compute, make


def sampled(kind: str, level: int, seeds: int = 6) -> list[Problem]:
    return [Compute((kind,)).sample(np.random.default_rng(seed), level) for seed in range(seeds)]


@pytest.mark.parametrize("kind", KINDS)
def test_the_program_prints_the_answer_at_every_level(kind: str) -> None:
    """The answers are worked out otherwise than the programs do; here they meet, in the sandbox."""
    session = open_session()
    for level in range(LEVELS + 1):
        for problem in sampled(kind, level, 2):
            reply = session.run(problem.data["code"])
            assert (reply.ok, reply.output) == (True, str(problem.answer)), problem
    session.close()


@pytest.mark.parametrize("kind", KINDS)
def test_the_numbers_of_the_question_are_those_of_the_program(kind: str) -> None:
    for problem in sampled(kind, 3):
        stated = [int(n) for n in re.findall(r"\d+", problem.prompt)]
        asked = {int(n) for n in re.findall(r"\d+", problem.data["code"].replace("n**0.5", ""))} - {0, 1, 2}
        assert asked <= {*stated}, (problem.prompt, problem.data["code"])


@pytest.mark.parametrize("kind", KINDS)
def test_levels_grow_and_seldom_repeat(kind: str) -> None:
    lengths = [np.mean([len(p.prompt) + len(str(abs(p.answer))) for p in sampled(kind, k, 20)]) for k in (0, LEVELS)]
    assert lengths[0] < lengths[1]
    assert len({p.id for p in sampled(kind, 0, 20)}) >= 18
    assert len({p.answer for p in sampled(kind, 0, 20)}) >= 15


@pytest.mark.parametrize("level", [0, 4])
def test_the_demonstration_and_the_gold_answer_verify_and_junk_does_not(level: int) -> None:
    task: Task = make()
    assert isinstance(task, Demonstrator)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        problem = task.sample(rng, level)
        text = str(task.demonstrate(problem, rng))
        assert text.count("```python\n") == text.count("```output\n") == 1
        assert task.verify(problem, text).score == task.verify(problem, f"\\boxed{{{problem.answer}}}").score == 1.0
        for junk in ("", problem.prompt, f"\\boxed{{{problem.answer + 1}}}", "\\boxed{9^{9^{9^9}}}"):
            verdict = task.verify(problem, junk)
            assert (verdict.score, verdict.valid) == (0.0, True), junk


def test_golden_questions() -> None:
    rng = np.random.default_rng(0)
    work = compute.power(rng, 0)
    a, b, m = map(int, re.findall(r"\d+", work.question))
    assert work.answer == math.prod([a] * b) % m
    rows = [[2, 0, 1], [0, 0, 3], [4, 5, 6]]
    assert compute._determinant(rows) == -30 and rows == [[2, 0, 1], [0, 0, 3], [4, 5, 6]]
    assert compute._determinant([[0, 1], [0, 2]]) == 0 and compute._determinant([[0, 1], [1, 0]]) == -1
    assert [compute._count_primes(n) for n in (2, 3, 4, 100, 101, 102)] == [0, 1, 2, 25, 25, 26]


def test_all_kinds_occur() -> None:
    assert {make().sample(np.random.default_rng(s)).data["kind"] for s in range(200)} == set(KINDS)


def test_it_pickles_and_settings_are_checked() -> None:
    assert pickle.loads(pickle.dumps(make(kinds=("days",)))) == Compute(("days",))
    with pytest.raises(UserError, match="compute: no kind sudoku; there is power"):
        make(kinds=("sudoku",))
    for level in (-1, LEVELS + 1):
        with pytest.raises(UserError, match=f"level={level}"):
            make().sample(np.random.default_rng(0), level)
