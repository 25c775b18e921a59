"""Shuffled steps of worked solutions: the order shown, what is paid, what is malformed."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from reasongym import parts
from reasongym.core import Demonstrator, FiniteTask, Problem, UserError
from reasongym.tasks.reorder import Reorder, ReorderSet, make, r_order, r_pairs, shuffled

RNG = np.random.default_rng(0)
POOL = "pool(task='doubling(low=5, high=5)', n=20)"
STEPS = ["a", "b", "c", "d"]


def posed(steps: list[str], shown: list[int]) -> Problem:
    return Problem.of("?", "", reorder=(steps, shown))


@pytest.mark.parametrize(
    ("said", "steps", "order", "pairs"),
    [
        ("abcd", "abcd", 1.0, 1.0),
        ("bacd", "abcd", 0.5, 5 / 6),
        ("bcda", "abcd", 0.0, 0.5),  # a rotation: harsh by position
        ("dcba", "abcd", 0.0, 0.0),
        ("cba", "abc", 1 / 3, 0.0),
        ("aba", "aba", 1.0, 1.0),  # equal steps may stand for each other
        ("baaa", "aaba", 0.5, 4 / 6),
    ],
)
def test_the_reward_is_the_share_of_positions(said: str, steps: str, order: float, pairs: float) -> None:
    """Identity 1, a swap of two in four .5, a rotation of four 0, reversals 0 and 1/3."""
    assert r_order(said, steps) == pytest.approx(order)
    assert r_pairs(said, steps) == pytest.approx(pairs)
    problem, text = posed(list(steps), list(range(len(steps)))), "\n".join(said)
    assert Reorder(form="whole").verify(problem, text).score == pytest.approx(order)
    assert Reorder(form="whole", reward="pairs").verify(problem, text).score == pytest.approx(pairs)


def test_numbers_name_the_steps_as_they_are_shown() -> None:
    problem = posed(STEPS, [2, 0, 3, 1])  # shown: c a d b
    assert Reorder().verify(problem, "so <answer>2 4 1 3</answer>").score == 1.0
    assert Reorder().verify(problem, "<answer>4, 2, 1,3</answer>\n").score == 0.5
    assert Reorder().verify(problem, "<answer>1 2 3 4</answer>").score == 0.0


@pytest.mark.parametrize(
    "body",
    ["2 4 1", "2 4 1 1", "2 4 1 3 3", "2 4 1 5", "2 4 1 0", "2 4 1 3.", "[2] [4] [1] [3]", "2413", "", "02 4 1 3", "²"],
)
def test_what_is_malformed_is_worth_nothing(body: str) -> None:
    """Missing, twice, out of range."""
    verdict = Reorder().verify(posed(STEPS, [2, 0, 3, 1]), f"<answer>{body}</answer>")
    assert (verdict.score, verdict.answer, verdict.valid) == (0.0, None, True)
    assert Reorder().verify(posed(STEPS, [2, 0, 3, 1]), "2 4 1 3").answer is None


@pytest.mark.parametrize("text", ["a\nb\nc", "a\nb\nc\nc", "a\nb\nc\nd\n", "a\nb\nc\nd\nd", "a b c d", ""])
def test_other_steps_are_malformed(text: str) -> None:
    assert Reorder(form="whole").verify(posed(STEPS, [2, 0, 3, 1]), text).answer is None


def test_a_shuffle_is_never_the_identity() -> None:
    """Nor does it read as one, where steps are the same."""
    seen = set()
    for seed in range(200):
        order = shuffled(["a", "b"], np.random.default_rng(seed))
        assert order == [1, 0]
        steps = ["x", "y", "x"]
        order = shuffled(steps, np.random.default_rng(seed))
        assert [steps[i] for i in order] != steps and sorted(order) == [0, 1, 2]
        seen.add(tuple(order))
    assert len(seen) == 4  # of the 6 permutations, those that move y


def test_every_problem_shows_another_order_than_the_right_one() -> None:
    task = ReorderSet(POOL, form="whole")
    for i in range(20):
        problem = task.problem(i)
        shown = "\n".join(problem.prompt.split("\n")[1:-1])
        assert task.verify(problem, shown).score < 1.0
        assert task.verify(problem, task.demonstrate(problem, RNG)).score == 1.0


def test_shuffles_are_fixed_by_content_and_seed_or_fresh() -> None:
    fixed, other, fresh = (ReorderSet(POOL, **kw) for kw in ({}, {"seed": 1}, {"fresh": True}))
    drawn = {fixed.sample(np.random.default_rng(s)).id for s in range(200)}
    assert drawn == {fixed.problem(i).id for i in range(20)} and len(drawn) == 20
    assert sum(fixed.problem(i) != other.problem(i) for i in range(20)) > 15
    assert fresh.problem(3) == fixed.problem(3)
    assert len({fresh.sample(np.random.default_rng(s)).id for s in range(200)}) > 100


def test_rows_and_what_is_refused(tmp_path: Path) -> None:
    solutions = ["One.\nTwo.\nThree.", "One. Two.", "Same.\nSame.\nSame.", "We have\n\\[a\n= 1.\\]\nSo b."]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps({"q": f"{n}?", "s": text}) for n, text in enumerate(solutions)))
    task = parts.make("tasks", f"reorder(data={str(path)!r}, fields=('q', 's'))")
    assert isinstance(task, ReorderSet) and [task.problem(i).prompt[55:57] for i in range(len(task))] == ["0?", "3?"]
    assert "] \\[a\n= 1.\\]" in task.problem(1).prompt
    whole = make(data=str(path), fields=("q", "s"), form="whole")
    assert len(whole) == 1  # type: ignore[arg-type]
    two = make(data=str(path), fields=("q", "s"), by="sentence", least=2)
    assert len(two) == 3  # type: ignore[arg-type]
    assert set(two.problem(0).data["reorder"][0]) == {"One.", "Two.", "Three."}  # type: ignore[attr-defined]


@pytest.mark.parametrize("wrong", [{"least": 1}, {"reward": "x"}, {"form": "x"}, {"by": "x"}])
def test_settings_that_cannot_be(wrong: dict[str, object]) -> None:
    with pytest.raises(UserError, match="reorder: "):
        Reorder(**wrong)  # type: ignore[arg-type]


def test_endless_and_finite_ones_are_tasks() -> None:
    endless, finite = make(), make(task=POOL)
    assert not isinstance(endless, FiniteTask) and isinstance(finite, FiniteTask) and isinstance(finite, Demonstrator)
    assert endless.sample(np.random.default_rng(4), 3).level == 3
    assert pickle.loads(pickle.dumps(finite)).problem(7) == finite.problem(7)
    with pytest.raises(UserError, match="problems 0 to 19"):
        finite.problem(20)


@pytest.mark.skipif("REASONGYM_DATA" not in os.environ, reason="REASONGYM_DATA names no folder of data sets")
def test_real_solutions() -> None:
    folder = Path(os.environ["REASONGYM_DATA"])
    school = make(task=f"gsm8k(source={str(folder / 'gsm8k')!r}, split='test')")
    competition = make(task=f"math(source={str(folder / 'math500')!r})", by="sentence")
    for task, kept in ((school, 1250), (competition, 300)):
        assert isinstance(task, ReorderSet) and len(task) > kept
        for i in range(0, len(task), 7):
            problem = task.problem(i)
            steps, shown = problem.data["reorder"]
            assert [steps[j] for j in shown] != list(steps)
            assert task.verify(problem, task.demonstrate(problem, RNG)).score == 1.0
