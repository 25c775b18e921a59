"""reasoning-gym's datasets as tasks, with its real package; the refusals are proven on its real scorers."""

from __future__ import annotations

import ast
import functools
import importlib.util
import json
import multiprocessing
import os
import pickle
import random
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reasongym import parts
from reasongym.core import Problem, Task, UserError, Verdict
from reasongym.tasks import reasoning_gym as rg

pytest.importorskip("reasoning_gym", reason="needs the extra reasongym[reasoning-gym]")

FAST = [
    *("ab", "aiw", "base_conversion", "bf", "binary_matrix", "caesar_cipher", "calendar_arithmetic", "chain_sum"),
    *("countdown", "cryptarithm", "decimal_arithmetic", "game_of_life", "gsm_symbolic", "graph_color", "jugs"),
    *("knights_knaves", "list_functions", "maze", "mini_sudoku", "number_format", "path_star", "pool_matrix"),
    *("prime_factorization", "quantum_lock", "rubiks_cube", "shortest_path", "simple_integration", "spell_backward"),
    *("spiral_matrix", "string_insertion", "syllogism", "time_intervals", "tower_of_hanoi", "tsumego", "word_sorting"),
]
HASH_DEPENDENT = ["isomorphic_strings", "knight_swap", "polynomial_multiplication", "ransom_note", "word_ladder"]
JUNK = [
    *("", " ", "hello world", "nan", "NaN", "inf", "None", "null", "[[]]", "{}", "()", "\x00", "\ud800", "%s", "x"),
    *("[NaN, NaN]", '{"a": 1}', "(" * 500, "9" * 5000, "lorem ipsum " * 99, "-1e999", "6*4*1*1"),
    "__import__('os').getpid()",
]


def _sample(task: Task, seed: int = 0, level: int = 0) -> Problem:
    return task.sample(np.random.default_rng(seed), level)


def _say(answer: Any) -> str:
    return f"I think that it is so.\n<answer>{answer}</answer>"


@pytest.mark.parametrize("name", FAST)
def test_gold_scores_1_and_junk_0(name: str) -> None:
    task: Task = parts.make("tasks", f"reasoning_gym/{name}")
    for seed in range(3):
        problem = _sample(task, seed)
        assert problem == _sample(pickle.loads(pickle.dumps(task)), seed) and problem.prompt.endswith(rg.INSTRUCTION)
        assert task.verify(problem, _say(problem.answer)) == Verdict(1.0, problem.answer.strip(), detail={"raw": 1.0})
        assert task.verify(problem, str(problem.answer)).score == 0.0  # no tags
        for junk in JUNK:
            verdict = task.verify(problem, _say(junk))
            assert (verdict.score, verdict.valid) == (0.0, True), (junk, problem.answer)


def test_every_dataset_is_either_had_or_refused() -> None:
    from reasoning_gym.factory import DATASETS

    assert set(rg.datasets()) | set(rg.REFUSED) == set(DATASETS)
    assert not set(rg.datasets()) & set(rg.REFUSED) and set(rg.PLAIN) | set(rg.GOLD) <= set(rg.datasets())
    assert {*FAST, *HASH_DEPENDENT} <= set(rg.datasets())


def _scorer(name: str, **config: Any) -> tuple[Callable[[str, Any], float], Any]:
    import reasoning_gym

    dataset = reasoning_gym.create_dataset(name, seed=1, size=10, **config)
    return dataset.score_answer, dataset


def test_each_refusal_is_true() -> None:
    assert _scorer("boxnet")[1][0]["answer"] is None
    assert _scorer("codeio")[0]("{}", {"answer": "[]"}) == 1.0
    assert _scorer("coin_flip")[0]("0", {"answer": "0.890625"}) == 1.0
    score, items = _scorer("complex_arithmetic")
    assert score("nan", items[0]) == 1.0
    assert _scorer("figlet_font")[0]("abcdefghijxx", {"answer": "abcdefghijkl"}) == 1.0
    score, items = _scorer("game_of_life_halting")
    assert {score("hello", items[i]) for i in range(10)} == {1.0}
    score, items = _scorer("number_sorting")
    assert score(str(["NaN"] * len(ast.literal_eval(items[0]["answer"]))), items[0]) == 1.0
    assert _scorer("polynomial_equations")[0]("hello", {"answer": ""}) == 1.0
    score, items = _scorer("propositional_logic")
    assert 1.0 in {score(p, items[i]) for i in range(10) for p in items[i]["metadata"]["premises"]}
    score, items = _scorer("puzzle24")
    assert {score("6*4*1*1", items[i]) for i in range(10)} == {1.0}


@pytest.mark.parametrize("name", sorted(rg.REFUSED))
def test_refusals_are_by_name_and_say_why(name: str) -> None:
    with pytest.raises(UserError, match=f"reasoning_gym/{name} is refused: it"):
        parts.make("tasks", f"reasoning_gym/{name}")


def _digests(names: list[str]) -> dict[str, list[str]]:
    return {name: [_sample(rg.make(name), seed).id for seed in range(3)] for name in names}


def test_another_process_under_another_hash_seed_poses_the_same_problems() -> None:
    here = Path(rg.__file__).parents[2]
    code = (
        "import json,sys;from tests.tasks.test_reasoning_gym import _digests;print(json.dumps(_digests(sys.argv[1:])))"
    )
    names = [*HASH_DEPENDENT[::-1], "list_functions", "pool_matrix"]  # and two that use global random states
    env = os.environ | {"PYTHONHASHSEED": "77", "PYTHONPATH": str(here)}
    done = subprocess.run([sys.executable, "-c", code, *names], env=env, cwd=here, capture_output=True, text=True)
    assert json.loads(done.stdout) == _digests(sorted(names)), done.stderr


def test_problems_do_not_depend_on_what_was_posed_before() -> None:
    before = [_sample(rg.make("decimal_chain_sum"), seed, 5) for seed in range(4)]
    for name in ("decimal_arithmetic", "power_function", "list_functions"):  # set precision and seeds for all
        _sample(rg.make(name), 0, 5)
    after = [rg.make("decimal_chain_sum", allow_negation=False).sample(np.random.default_rng(s), 5) for s in range(4)]
    assert [(p.prompt, p.answer) for p in before] == [(p.prompt, p.answer) for p in after]


@pytest.mark.filterwarnings("ignore:.*fork")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_has_a_child_of_its_own() -> None:
    before = _sample(rg.make("chain_sum"))
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply(_digests, (["chain_sum"],))["chain_sum"][0] == before.id
    assert _sample(rg.make("chain_sum")) == before


def test_the_global_random_states_are_left_alone() -> None:
    states = random.getstate(), repr(np.random.get_state())
    task = rg.make("list_functions")
    task.verify(_sample(task, 4), _say("1"))
    assert states == (random.getstate(), repr(np.random.get_state()))


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("countdown", "__import__('pathlib').Path('{path}').touch()"),
        ("n_queens", "[open('{path}', 'w')]"),
        ("spiral_matrix", "[open('{path}', 'w')]"),
        ("binary_matrix", "[[open('{path}', 'w')]]"),
        ("string_insertion", "[open('{path}', 'w')]"),
        ("simple_integration", "open('{path}', 'w')"),
        ("polynomial_multiplication", "open('{path}', 'w')"),
    ],
)
def test_answers_are_never_run_as_code(name: str, answer: str, tmp_path: Path) -> None:
    task, path = rg.make(name), tmp_path / "written"
    assert task.verify(_sample(task), _say(answer.format(path=path))).score == 0.0
    assert not path.exists()


def test_answers_that_let_the_scorer_do_the_work_are_wrong() -> None:
    task = rg.make("simple_integration")
    problem = _sample(task)
    integrand = problem.prompt.partition("∫ ")[2].partition(" d")[0]
    hack = f"Integral({integrand}, X)"
    score, _ = _scorer("simple_integration")
    item = {"metadata": {"variable": "X", "integrand": integrand}}
    assert score(hack, item) == 1.0 and task.verify(problem, _say(hack)).score == 0.0


def test_a_scorer_that_hangs_is_a_wrong_answer_and_the_next_is_served() -> None:
    task = rg.make("simple_integration")
    problem = _sample(task)
    verdict = task.verify(problem, _say("9**9**9**9"))
    assert (verdict.score, verdict.valid) == (0.0, True)
    assert task.verify(problem, _say(problem.answer)).score == 1.0


def test_a_child_that_the_host_killed_is_replaced() -> None:
    task = rg.make("chain_sum")
    problem = _sample(task)
    process = rg._child(os.getpid())._process
    assert process is not None
    process.kill()
    process.wait()
    assert task.verify(problem, _say(problem.answer)).score == 1.0 and _sample(task) == problem


def test_an_interrupt_leaves_no_reply_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    task = rg.make("chain_sum")
    problem = _sample(task)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(json, "loads", lambda text: (_ for _ in ()).throw(KeyboardInterrupt))
        task.verify(problem, _say("0"))
    assert task.verify(problem, _say(problem.answer)).score == 1.0


def test_a_host_that_cannot_start_it_is_no_wrong_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    task = rg.make("chain_sum")
    problem = _sample(task)
    fresh = functools.cache(rg._child.__wrapped__)
    monkeypatch.setattr(rg, "_child", fresh)
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    verdict = task.verify(problem, _say(problem.answer))
    assert not verdict.valid and "cannot start" in verdict.detail["error"]


def test_levels_follow_the_curriculum_and_config_overrides_it() -> None:
    task = rg.make("chain_sum")
    lengths = [np.mean([len(_sample(task, s, level).prompt) for s in range(20)]) for level in (1, 4)]
    assert lengths[0] < lengths[1]
    fixed = rg.make("chain_sum", min_terms=2, max_terms=2, min_digits=1, max_digits=1)
    prompts = [_sample(fixed, seed, level).prompt for seed in range(5) for level in (0, 3)]
    assert all(re.search(r"\b\d [-+] \d =", prompt) for prompt in prompts)
    assert _sample(task, 0, 99).level == 99
    caesar = rg.make("caesar_cipher")  # its own curriculum asks for impossible rotations from level 3 on
    problem = _sample(caesar, 0, 6)
    assert caesar.verify(problem, _say(problem.answer)).score == 1.0


def test_items_whose_own_answer_is_judged_wrong_are_drawn_again() -> None:
    task = rg.make("jugs")
    problems = [_sample(task, s, 2) for s in range(12)]
    assert all(task.verify(p, _say(p.answer)).score == 1.0 and "No solution" not in p.answer for p in problems)


def test_rush_hour_which_has_no_gold_accepts_a_solution_found_by_search() -> None:
    task = rg.make("rush_hour", min_moves=1, max_moves=1)
    problem = _sample(task)
    scores = [task.verify(problem, _say(f"A+{steps}")).score for steps in range(1, 6)]
    assert problem.answer is None and sorted(set(scores)) == [0.0, 1.0]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<answer>5</answer>", "5"),
        ("<answer>4</answer> no, <answer> 5\n</answer>.", "5"),
        ("<answer><answer>5</answer>", "5"),
        ("<answer>5</answer> <answer>", "5"),
        ("</answer>", None),
        ("<answer>5", None),
        ("</answer><answer>", None),
        ("5", None),
    ],
)
def test_extraction(text: str, answer: str | None) -> None:
    assert rg._extract(text) == answer


def test_mistakes_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for spec, message in [
        ("reasoning_gym/nonesuch", "no such dataset; there is ab, "),
        ("reasoning_gym", "no such dataset"),
        ("reasoning_gym/chain_sum(nonesuch=1)", "nonesuch"),
        ("reasoning_gym/chain_sum(min_terms=0)", "min_terms must be positive"),
        ("reasoning_gym/chain_sum(seed=1)", "leave them out"),
    ]:
        with pytest.raises(UserError, match=message):
            parts.make("tasks", spec)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"reasongym\[reasoning-gym\]"):
        rg.make("chain_sum")
