"""Mixtures and pools of real tasks."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reasongym import parts
from reasongym.core import Demonstrator, FiniteTask, Problem, Task, UserError, Verdict
from reasongym.tasks.arithmetic import Arithmetic
from reasongym.tasks.mixture import Mixture
from reasongym.tasks.pool import Pool
from reasongym.tasks.register import Register


class Mute:
    """A task that shows no solutions."""

    def sample(self, rng: np.random.Generator, level: int = 0) -> Problem:
        return Problem.of("1?", "1", level)

    def verify(self, problem: Problem, text: str) -> Verdict:
        return Verdict(float(text == problem.answer))

    def __repr__(self) -> str:
        return "Mute()"


def _draw(task: Task, n: int, level: int = 0, seed: int = 0) -> list[Problem]:
    rng = np.random.default_rng(seed)
    return [task.sample(rng, level) for _ in range(n)]


def test_a_mixture_is_drawn_by_weight_and_verified_by_the_right_task() -> None:
    task = Mixture(["register(low=2, high=4)", Arithmetic(terms=2, digits=1)], weights=[3, 1])
    problems, rng = _draw(task, 400), np.random.default_rng(1)
    names = [p.data["task"] for p in problems]
    assert set(names) == {"register(low=2, high=4)", repr(Arithmetic(terms=2, digits=1))}
    assert 0.68 < names.count("register(low=2, high=4)") / 400 < 0.82
    for problem in problems[:60]:
        assert task.verify(problem, str(task.demonstrate(problem, rng))).score == 1.0
        wrong = "=0000" if problem.prompt.startswith("^") else "\\boxed{12345}"
        assert task.verify(problem, wrong).score == 0.0


def test_a_mixture_is_a_pure_picklable_task_with_content_ids() -> None:
    task = parts.make("tasks", "mixture")
    assert isinstance(task, Mixture) and isinstance(task, Demonstrator)
    copy = pickle.loads(pickle.dumps(task))
    assert _draw(task, 20) == _draw(copy, 20) and copy == task
    for p in _draw(copy, 20):
        assert p.id == Problem.of(p.prompt, p.answer, p.level, **p.data).id


def test_the_level_passes_through_and_mixtures_nest() -> None:
    task = Mixture((Mixture(("register",)), "arithmetic"), weights=(1, 0))
    for problem in _draw(task, 5, level=7):
        assert problem.level == problem.data["data"]["data"]["n"] == 7
        assert task.verify(problem, f"={problem.answer}").score == 1.0


@pytest.mark.parametrize(
    "bad", [{"tasks": ()}, {"tasks": "register"}, {"weights": (1,)}, {"weights": (0, 0)}, {"weights": (-1, 2)}]
)
def test_bad_mixtures_are_named(bad: dict[str, object]) -> None:
    with pytest.raises(UserError, match="mixture: "):
        Mixture(**bad)  # type: ignore[arg-type]


def test_a_mixture_names_the_member_that_cannot_demonstrate_and_refuses_strangers() -> None:
    task, rng = Mixture((Mute(),)), np.random.default_rng(0)
    with pytest.raises(UserError, match=r"Mute\(\) has no demonstrate"):
        task.demonstrate(task.sample(rng), rng)
    with pytest.raises(UserError, match="from none of"):
        task.verify(Register().sample(rng), "=1234")


def test_a_pool_is_a_finite_task_pure_in_seed_and_index() -> None:
    pool = Pool("register(low=2, high=9)", 12, seed=3)
    assert isinstance(pool, FiniteTask) and isinstance(pool, Demonstrator)
    assert (len(pool), pool.split) == (12, "pool")
    problems = [pool.problem(i) for i in range(12)]
    assert problems == [pool.problem(i) for i in reversed(range(12))][::-1]
    assert problems == [Pool(Register(2, 9), 99, seed=3).problem(i) for i in range(12)]
    assert problems[0] != Pool(Register(2, 9), 12, seed=4).problem(0)
    assert len({p.id for p in problems}) == 12


def test_a_pool_of_a_finite_task_repeats_no_problem_before_it_has_all(tmp_path: Path) -> None:
    rows = [{"problem": f"Q{n}", "answer": "1", "level": 1 + n % 2} for n in range(40)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = parts.make("tasks", f"math(source='{tmp_path}/rows.jsonl')")

    def ids(n: int, **more: Any) -> list[str]:
        pool = Pool(task, n, **more)
        return [pool.problem(i).id for i in range(n)]

    whole = ids(40, seed=1)
    assert len(set(whole)) == 40 and ids(20, seed=1) == whole[:20] != ids(20, seed=2)
    assert ids(50, seed=1) == whole + whole[:10]
    assert len(set(ids(20, level=2))) == 20 and {Pool(task, 20, level=2).problem(i).level for i in range(20)} == {2}
    with pytest.raises(UserError, match="has level 3"):
        ids(1, level=3)


def test_a_pool_samples_its_own_problems_only() -> None:
    pool = parts.make("tasks", "pool(task='register', n=5, level=6)")
    own = {pool.problem(i).id for i in range(5)}
    drawn = _draw(pool, 100, level=3)
    assert {p.id for p in drawn} == own and {p.level for p in drawn} == {6}
    assert pickle.loads(pickle.dumps(pool)).problem(2) == pool.problem(2)


def test_a_pool_passes_verify_and_demonstrate_on() -> None:
    pool, rng = Pool(Register(), 3), np.random.default_rng(0)
    problem = pool.problem(1)
    assert pool.verify(problem, str(pool.demonstrate(problem, rng))).score == 1.0
    assert pool.verify(problem, "=").score == 0.0
    with pytest.raises(UserError, match="no demonstrate"):
        Pool(Mute(), 1).demonstrate(problem, rng)


@pytest.mark.parametrize("i", [-1, 3])
def test_a_pool_has_no_other_problems(i: int) -> None:
    with pytest.raises(UserError, match="0 to 2"):
        Pool(Register(), 3).problem(i)
    with pytest.raises(UserError, match="n=0"):
        Pool(Register(), 0)
