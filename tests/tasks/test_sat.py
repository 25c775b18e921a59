"""SAT: every instance is of its kind, the same for the same seed, at every level; what cannot be is one line."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import reasongym
from reasongym import cnf, parts
from reasongym.core import Problem, UserError
from reasongym.env import ReasoningEnv

pytest.importorskip("pycosat")

from reasongym.tasks import sat

ROOT = Path(__file__).resolve().parents[2]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def solutions(clauses: Any, k: int) -> list[str]:
    """The truth table, the slow way."""
    rows = itertools.product((0, 1), repeat=k)
    return ["".join(map(str, r)) for r in rows if all(any((r[abs(x) - 1] == 1) == (x > 0) for x in c) for c in clauses)]


# --- kinds of instances


@st.composite
def sizes(draw: Any) -> tuple[int, int, int]:
    n = draw(st.integers(1, 4))
    k = draw(st.integers(n, 6))
    return n, k, draw(st.integers(1, min(40, cnf.clauses_satisfied(n, k))))


def drawn(size: tuple[int, int, int], seed: int, count: int = 4, **settings_: Any) -> cnf.Instances:
    """Instances of a size; a kind of which that size has too few is not what is tested."""
    try:
        return sat.SAT(*size, levels=(), **settings_).batch(rng(seed), count)
    except UserError as error:
        assert "\n" not in str(error)
        assume(False)
        raise


@settings(max_examples=60)
@given(sizes(), st.integers(0, 2**32), st.booleans())
def test_instances_have_a_solution(size: tuple[int, int, int], seed: int, planted: bool) -> None:
    found = drawn(size, seed, planted=planted)
    for formula, answer in zip(found.formulas(), found.answers, strict=True):
        assert answer in solutions(formula, size[1])
        assert len(formula) == size[2] and {len(set(map(abs, c))) for c in formula} == {size[0]}
    assert found.drawn - found.unknown >= 4


@settings(max_examples=40)
@given(st.sampled_from([(1, 3, 3), (2, 3, 5), (2, 4, 10), (3, 3, 7), (3, 4, 20), (3, 5, 30)]), st.integers(0, 2**32))
def test_unique_instances_have_one(size: tuple[int, int, int], seed: int) -> None:
    for planted in (True, False):
        found = drawn(size, seed, planted=planted, solutions="unique")
        for formula, answer in zip(found.formulas(), found.answers, strict=True):
            assert [answer] == solutions(formula, size[1]) and cnf.count_models(formula, size[1]) == 1


@settings(max_examples=40)
@given(st.sampled_from([(1, 4, 3), (2, 4, 9), (3, 4, 24), (3, 5, 30)]), st.integers(0, 2**32), st.booleans())
def test_mixed_instances_say_unsat_where_it_is_so(size: tuple[int, int, int], seed: int, unique: bool) -> None:
    kind: Any = "unique" if unique and size[2] > 3 else "any"
    found = drawn(size, seed, 8, satisfiable="mixed", solutions=kind)
    for formula, answer in zip(found.formulas(), found.answers, strict=True):
        models = solutions(formula, size[1])
        assert (answer == cnf.UNSAT) == (not models) and (answer == cnf.UNSAT or answer in models)


def test_half_of_the_mixed_ones_have_no_solution() -> None:
    found = sat.SAT(3, 5, 25, satisfiable="mixed").batch(rng(), 400)
    none = found.answers.count(cnf.UNSAT)
    assert 160 < none < 240
    kinds = "".join(str(int(a == cnf.UNSAT)) for a in found.answers)
    assert "0101" in kinds and "1010" in kinds, "the two kinds are not shuffled"
    assert found.drawn > 400 and found.unknown == 0


def test_any_satisfying_assignment_is_right() -> None:
    task = sat.SAT(3, 5, 5)
    problem = task.sample(rng())
    right = solutions(problem.data["clauses"], 5)
    assert problem.answer in right and len(right) > 1
    for bits in map("".join, itertools.product("01", repeat=5)):
        assert task.verify(problem, f"\\boxed{{{bits}}}").score == float(bits in right)


def test_planted_instances_of_a_batch_are_confirmed_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """One call of the solver for all that share an assignment; where it says no, none of them is served."""
    calls: list[Any] = []
    honest = sat._solver()

    def solver() -> Any:
        def solve(clauses: Any, **limits: Any) -> Any:
            calls.append(clauses)
            return "UNSAT" if [[1], [-2], [3], [-4], [5]] == clauses[:5] else honest(clauses, **limits)

        return solve

    monkeypatch.setattr(sat, "_solver", solver)
    found = sat.SAT(3, 5, 20).batch(rng(), 500)
    assert 32 <= len(calls) < 100 and len(found.answers) == 500
    assert "10101" not in found.answers and len(set(found.answers)) == 31
    assert found.drawn > 500


def test_an_unknown_is_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The effort is counted in propagations, not in seconds: the same seed gives the same instances."""
    settings_: dict[str, Any] = {"planted": False, "format": "dimacs", "levels": ()}
    short, long = sat.SAT(3, 60, 240, effort=400, **settings_), sat.SAT(3, 60, 240, **settings_)
    found = short.batch(rng(), 10)
    assert found.unknown > 0 and found.drawn >= 10 + found.unknown
    assert found.answers == short.batch(rng(), 10).answers and long.batch(rng(), 10).unknown == 0
    assert all(cnf.satisfies(f, a) for f, a in zip(found.formulas(), found.answers, strict=True))
    monkeypatch.setattr("reasongym.cnf.instances.TRIES", 50)
    with pytest.raises(UserError, match="solver left .* open: raise its effort"):
        sat.SAT(3, 60, 240, effort=1, **settings_).batch(rng(), 1)


# --- the same seed, the same instances


def digest() -> str:
    """A hash over instances of all kinds, drawn both ways."""
    tasks = [
        (sat.SAT(3, 5, 20), 50),
        (sat.SAT(4, 8, 40), 20),
        (sat.SAT(3, 5, 20, solutions="unique"), 10),
        (sat.SAT(3, 5, 25, satisfiable="mixed"), 20),
        (sat.SAT(3, 20, 85, planted=False), 5),
        (sat.SAT(3, 100, 420, format="dimacs"), 3),
    ]
    told: list[Any] = []
    for task, count in tasks:
        found = task.batch(rng(11), count)
        told.append([found.formulas(), found.answers, found.drawn])
        told.append([[p.id, p.prompt, p.answer] for p in (task.sample(rng(s)) for s in range(3))])
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


GOLDEN = "880dc4e25e40e537"


def test_the_same_instances_everywhere() -> None:
    program = "from tests.tasks.test_sat import digest; print(digest())"
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert done.stdout.strip() == GOLDEN, done.stderr
    assert digest() == GOLDEN


def test_batches_are_pure() -> None:
    for task in (sat.SAT(), sat.SAT(3, 5, 25, satisfiable="mixed"), sat.SAT(3, 5, 20, solutions="unique")):
        one, two = task.batch(rng(3), 30), task.batch(rng(3), 30)
        assert np.array_equal(one.codes, two.codes) and one.answers == two.answers
        assert len(task.batch(rng(3), 0).answers) == 0
        assert pickle.loads(pickle.dumps(task)) == task


def test_a_problems_clauses_are_its_own() -> None:
    task = sat.SAT()
    problem = task.sample(rng(1))
    before = json.dumps(problem.data)
    problem.data["clauses"][0][0] = 99
    assert json.dumps(task.sample(rng(1)).data) == before
    again = task.sample(rng(1))
    assert again == Problem.of(again.prompt, again.answer, 0, **json.loads(json.dumps(again.data)))


# --- levels


def test_the_ladder_climbs_smoothly() -> None:
    task = sat.SAT()
    assert task.sizes == sat.LADDER and task.size(0) == (3, 5, 5) and task.size(1) == (3, 3, 2)
    d = [cnf.difficulty(*size) for size in sat.LADDER]
    steps = np.diff(d)
    assert d[0] < 2 and d[-1] > 20 and 0 < steps.min() and steps.max() < 0.85
    official = {(3, 5, 5), (3, 5, 6), (3, 5, 13), (3, 5, 15), (3, 5, 20), (3, 6, 20), (3, 7, 20), (3, 7, 40)}
    assert official <= set(sat.LADDER)


@pytest.mark.parametrize("kind", [{}, {"solutions": "unique"}, {"satisfiable": "mixed"}, {"planted": False}])
def test_every_level_of_the_ladder_can_be_had(kind: dict[str, Any]) -> None:
    task = sat.SAT(l=20, **kind)
    assert len(task.sizes) >= 4
    for level, size in enumerate(task.sizes, 1):
        found = task.batch(rng(level), 2, level)
        assert found.size == size == task.size(level) and len(found.answers) == 2
        problem = task.sample(rng(level), level)
        assert problem.level == level and (problem.data["n"], problem.data["k"], problem.data["l"]) == size


def test_any_levels_can_be_given() -> None:
    task = sat.SAT(levels=[[3, 6, 9], [2, 4, 4]])  # as JSON would have them; in this order, whatever D says
    assert task.sizes == ((3, 6, 9), (2, 4, 4)) and task == sat.SAT(levels=((3, 6, 9), (2, 4, 4)))
    assert task.sample(rng(), 2).data["k"] == 4
    with pytest.raises(UserError, match="level=3 must be from 0.*to 2"):
        task.sample(rng(), 3)
    with pytest.raises(UserError, match="level=-1"):
        task.sample(rng(), -1)
    assert eval(repr(task), vars(sat)) == task and "levels=None" in repr(sat.SAT())


# --- what cannot be


@pytest.mark.parametrize(
    ("settings_", "says"),
    [
        ({"n": 6}, "n=6.*k=5"),
        ({"l": 71}, "l=71.*only 70"),
        ({"k": 0}, "k=0 must be"),
        ({"k": 27}, "k=27.*letters.*format='dimacs'"),
        ({"levels": [(3, 27, 4)]}, "k=27"),
        ({"levels": [(3, 5)]}, "levels=.*must be some"),
        ({"levels": 3}, "levels=3 must be some"),
        ({"levels": [(4, 3, 2)]}, "n=4"),
        ({"l": "5"}, "l='5' must be"),
        ({"solutions": "one"}, "solutions='one' must be 'any' or 'unique'"),
        ({"satisfiable": "never"}, "'always' or 'mixed'"),
        ({"format": "cnf"}, "'letters' or 'dimacs'"),
        ({"prompt": "long"}, "'saturn' or 'short'"),
        ({"compat": "openrlhf"}, "None or 'saturn'"),
        ({"planted": "yes"}, "planted='yes'"),
        ({"effort": 0}, "effort=0"),
        ({"compat": "saturn", "prompt": "short"}, "compat='saturn' knows neither"),
        ({"compat": "saturn", "satisfiable": "mixed", "l": 20}, "compat='saturn' knows neither"),
        ({"satisfiable": "mixed"}, "l=5: no formula of n=3, k=5 and fewer than 8 clauses is unsatisfiable"),
        ({"solutions": "unique"}, "fewer than 8 clauses is of one solution"),
    ],
)
def test_one_clear_line(settings_: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says) as caught:
        parts.make("tasks", "sat", **settings_)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("task", "says"),
    [
        (sat.SAT(3, 8, 9, solutions="unique", levels=()), "none had exactly one solution: raise l"),
        (sat.SAT(3, 8, 9, satisfiable="mixed", levels=()), "none was unsatisfiable: raise l"),
        (sat.SAT(3, 6, 100, planted=False, levels=()), "none was satisfiable: lower l"),
    ],
)
def test_kinds_that_are_out_of_reach(task: sat.SAT, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reasongym.cnf.instances.TRIES", 2000)
    with pytest.raises(UserError, match=says):
        task.batch(rng(), 20)


def test_without_pycosat_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pycosat", None)
    with pytest.raises(UserError, match=r"pip install 'reasongym\[sat\]'"):
        gym.make("SAT-v0")


# --- prompts, formats and demonstrations


@pytest.mark.parametrize("prompt", ["saturn", "short"])
@pytest.mark.parametrize("form", ["letters", "dimacs"])
@pytest.mark.parametrize("kind", [{}, {"satisfiable": "mixed"}, {"solutions": "unique"}, {"planted": False}])
def test_demonstrations_are_right(prompt: Any, form: Any, kind: dict[str, Any]) -> None:
    task = sat.SAT(3, 5, 20, format=form, prompt=prompt, levels=(), **kind)
    for seed in range(6):
        problem = task.sample(rng(seed))
        thought = task.demonstrate(problem, rng())
        assert task.verify(problem, thought).score == 1.0
        assert task.verify(problem, problem.prompt).score == 0.0
        right = f"={problem.answer}" if prompt == "short" else f"\\boxed{{{problem.answer}}}"
        assert task.verify(problem, right).score == 1.0


def test_the_short_prompt_and_its_thought() -> None:
    task = sat.SAT(3, 4, 4, prompt="short", levels=())
    problem = task.sample(rng(5))
    letters = cnf.to_letters(problem.data["clauses"], "&")
    assert problem.prompt == f"4:{letters}"
    thought = task.demonstrate(problem, rng())
    assert thought.startswith("A0B0C0D0:") and thought[-5] == "=" and " " not in thought


def test_dimacs_prompts() -> None:
    problem = sat.SAT(3, 100, 420, format="dimacs").sample(rng())
    assert "p cnf 100 420\n" in problem.prompt and problem.prompt.count(" 0\n") >= 420
    clauses, k = cnf.from_dimacs(problem.prompt[problem.prompt.index("p cnf") :].split("\n\n")[0])
    assert (clauses, k) == (problem.data["clauses"], 100)
    assert sat.SAT(3, 30, 60, format="dimacs", prompt="short").sample(rng()).prompt.startswith("p cnf 30 60\n")


def test_compat_scores_as_the_official_scorer() -> None:
    strict, compat = sat.SAT(), sat.SAT(compat="saturn")
    problem = strict.sample(rng())
    assert problem == compat.sample(rng())
    too_long = f"\\boxed{{{problem.answer}01}}"
    assert (strict.verify(problem, too_long).score, compat.verify(problem, too_long).score) == (0.0, 1.0)


def test_the_environment() -> None:
    assert reasongym.IDS["SAT-v0"] == {"task": "sat", "thinking": "longcot"}
    env: Any = gym.make("SAT-v0", prompt="short", levels=((3, 3, 2), (3, 3, 3)))
    obs, info = env.reset(seed=0, options={"level": 2})
    assert obs["prompt"].startswith("3:") and info["problem"].data["l"] == 3
    thought = env.unwrapped.task.demonstrate(info["problem"], rng())
    assert env.step(thought)[1:4] == (1.0, True, False)
    markovian = ReasoningEnv("sat", "delethink(chunk=64, carry=32, head=0)", prompt="short")
    assert markovian.reset(seed=0)[0]["prompt"].startswith("5:")


def test_verification_is_fast() -> None:
    """The bar (5 us) is the benchmark's; this only notices a mistake of an order of magnitude."""
    task = sat.SAT(3, 7, 40)
    problem = task.sample(rng())
    clauses, answer = problem.data["clauses"], problem.answer
    times = []
    for _ in range(7):
        start = time.perf_counter()
        for _ in range(1000):
            cnf.satisfies(clauses, answer)
        times.append(time.perf_counter() - start)
    assert min(times) / 1000 < 50e-6
