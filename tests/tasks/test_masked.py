"""Masks on worked solutions: where they are, what is paid, what is malformed."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from reasongym import answers, parts
from reasongym.core import Demonstrator, FiniteTask, HostError, Problem, UserError
from reasongym.tasks.masked import Masked, MaskedSet, make, match, read_list, read_whole
from reasongym.tasks.reorder import Reorder

RNG = np.random.default_rng(0)
SUMS = "2 + 3 = 5 eggs.\n5 * 4 = 20 eggs.\n20 - 1 = 19 eggs.\nThe answer is \\boxed{19}."
POOL = "pool(task='doubling(low=5, high=5)', n=20)"


def rows(tmp_path: Path, *solutions: str) -> str:
    lines = [json.dumps({"problem": f"How many, {n}?", "solution": text}) for n, text in enumerate(solutions)]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    return str(tmp_path / "rows.jsonl")


def answer(*said: str) -> str:
    return "<answer>" + "\n".join(f"[{k}] {text}" for k, text in enumerate(said, 1)) + "</answer>"


def test_the_reward_is_the_mean_of_the_matches() -> None:
    """Three slots, two equal and one of similarity .4, are worth .8."""
    task, problem = Masked(), Problem.of("?", ("12", "1/2", "abcde"), masked=("", ()))
    assert task.verify(problem, answer("12", "1/2", "abxyz")).score == pytest.approx(0.8)
    assert task.verify(problem, answer("12.0", "0.5", "abxyz")).score == pytest.approx(0.8)  # equal as answers
    assert Masked(similar=False).verify(problem, answer("12", "1/2", "abxyz")).score == pytest.approx(2 / 3)
    assert task.verify(problem, answer("12", "1/2", "abcde")).score == 1.0
    assert task.verify(problem, answer("", "", "")).score == 0.0


def test_match() -> None:
    assert match("abxyz", "abcde") == pytest.approx(0.4) and match("abxyz", "abcde", similar=False) == 0.0
    assert match(" --- ", "---") == 1.0 and match("x = 5", "5") == 1.0 and match("\\frac12", "0.5") == 1.0
    assert match("", "5") == match("q" * 10_000_000, "5") == 0.0
    assert 0.99 < match("the same" * 60 + "!", "the same" * 60 + "?") < 1.0  # beyond what is compared


@pytest.mark.parametrize(
    "text",
    [
        "[1] 12\n[2] 7",  # no tags
        "<answer>[1] 12\n[2] 7</answer> so",
        "<answer>[1] 12</answer>",  # one is missing
        "<answer>[1] 12\n[1] 12\n[2] 7</answer>",  # one is there twice
        "<answer>[1] 12\n[3] 7</answer>",  # out of range
        "<answer>[0] 1\n[1] 12\n[2] 7</answer>",
        "<answer>[1] 12\n[2] 7\n[3] 1</answer>",
        "<answer>[01] 12\n[2] 7</answer>",
        f"<answer>[{'9' * 5000}] 12\n[2] 7</answer>",
        "<answer>they are\n[1] 12\n[2] 7</answer>",
        "<answer>12 7</answer>",
        "<answer></answer>",
    ],
)
def test_what_is_malformed_is_worth_nothing(text: str) -> None:
    verdict = Masked().verify(Problem.of("?", ("12", "7"), masked=("", ())), text)
    assert (verdict.score, verdict.answer, verdict.valid) == (0.0, None, True)


def test_a_lost_worker_is_the_hosts_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: object) -> bool:
        raise HostError("no worker")

    monkeypatch.setattr(answers, "equal", lost)
    verdict = Masked().verify(Problem.of("?", ("12",), masked=("", ())), answer("13"))
    assert not verdict.valid and verdict.detail == {"error": "no worker"}


def test_lines_may_come_in_any_order_and_texts_may_have_several() -> None:
    assert read_list("[2] b\n c\n[1]\ta", 2) == ["a", "b\n c"]
    assert read_list("", 1) is None


def test_an_example(tmp_path: Path) -> None:
    task = make(data=rows(tmp_path, SUMS), kinds=("number",), slots=2)
    problem = task.sample(RNG)
    assert len(problem.answer) == 2 and problem.prompt.count("[MASK ") == 2 and "How many, 0?" in problem.prompt
    shown = problem.prompt.partition("Solution:\n")[2].partition("\n\nPlease")[0]
    for k, hidden in enumerate(problem.answer, 1):
        shown = shown.replace(f"[MASK {k}]", hidden)
    assert shown == SUMS
    assert task.verify(problem, "I think so.\n" + answer(*problem.answer)).score == 1.0


def test_a_solution_with_too_few_places_is_refused(tmp_path: Path) -> None:
    few = "2 + 3 = 5 eggs.\nSo it is \\boxed{5}."  # four numbers
    task = make(data=rows(tmp_path, few, SUMS, few), kinds=("number",))
    assert isinstance(task, FiniteTask) and len(task) == 1
    assert {task.sample(RNG).id for _ in range(9)} == {task.problem(0).id}
    assert len(parts.make("tasks", f"masked(data={task.data!r}, kinds=('number',), slots=4, least=4)")) == 3
    for wanting in (make(data=task.data, least=99), make(task="arithmetic", least=99)):
        with pytest.raises(UserError, match="will do: ask for less"):
            wanting.sample(RNG)
    with pytest.raises(UserError, match="no solution of .* will do"):
        len(make(data=task.data, least=99))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["equation", "number", "step"])
def test_kinds(kind: str, tmp_path: Path) -> None:
    task = make(data=rows(tmp_path, SUMS), kinds=(kind,), slots=3, least=3)
    wanted = {
        "equation": {"2 + 3 = 5", "5 * 4 = 20", "20 - 1 = 19"},
        "number": {"1", "2", "3", "4", "5", "19", "20"},
        "step": set(SUMS.split("\n")),
    }
    assert set(task.sample(RNG).answer) <= wanted[kind]


def test_masks_are_fixed_by_content_and_seed_or_fresh() -> None:
    """The paper fixes them; fresh ones are an option."""
    fixed, other, fresh = (MaskedSet(POOL, **kw) for kw in ({}, {"seed": 1}, {"fresh": True}))
    drawn = {fixed.sample(np.random.default_rng(s)).id for s in range(200)}
    assert drawn <= {fixed.problem(i).id for i in range(20)} and len(drawn) == 20
    assert all(fixed.problem(i) != other.problem(i) for i in range(20))
    assert fresh.problem(3) == fixed.problem(3)
    assert len({fresh.sample(np.random.default_rng(s)).id for s in range(200)}) > 100
    assert fresh.sample(np.random.default_rng(1)) == fresh.sample(np.random.default_rng(1))


def test_the_whole_form_is_as_long_as_what_it_shows() -> None:
    task = make(task=POOL, kinds=("step",), slots=3, least=5, form="whole")
    problem = task.problem(0)  # type: ignore[attr-defined]
    question, *shown = problem.prompt.split("\n")[:-1]
    solution = str(task.demonstrate(problem, RNG))
    assert question.endswith("%10000=") and len("\n".join(shown)) == len(solution) == 57
    hidden = [n for n, line in enumerate(shown) if set(line) == {"?"}]
    assert len(hidden) == 3 and [solution.split("\n")[n] for n in hidden] == list(problem.answer)
    assert task.verify(problem, solution).score == 1.0
    for malformed in (solution + "\n", solution[:-1], solution.replace("\n", " ", 1), ""):
        assert task.verify(problem, malformed).answer is None
    assert task.verify(problem, "\n".join(shown)).score < 0.5  # a space or two are right
    first = problem.answer[0]
    verdict = task.verify(problem, solution.replace(first, "x" * len(first), 1))
    assert verdict.score == pytest.approx(2 / 3) and verdict.detail["matches"] == [0.0, 1.0, 1.0]


def test_reading_the_whole() -> None:
    """Only what is hidden counts; the rest gives it its place."""
    assert read_whole("abXY\n?", "abcd\ne", [(2, 4)]) == ["XY"]
    assert read_whole("ab\nd\ne", "abcd\ne", [(2, 4)]) == ["\nd"]
    assert read_whole("abXYe", "abcd\ne", [(2, 4)]) is read_whole("abcde\n", "abcd\ne", [(2, 4)]) is None


def test_a_hidden_text_that_would_not_parse_is_refused(tmp_path: Path) -> None:
    odd = "So \\[x =\n[1] 2\\] and y = \\[y = 3\\]"
    task = make(data=rows(tmp_path, odd, SUMS), kinds=("equation",), slots=2, least=2)
    assert [len(p.answer) for p in task._problems] == [2] and "How many, 1?" in task.problem(0).prompt  # type: ignore[attr-defined]


def test_a_problem_of_another_kind_or_of_two_is_refused() -> None:
    """Both indicators on is an error."""
    masked, reorder = Masked().sample(RNG), Reorder().sample(RNG)
    both = Problem.of("?", ("1",), **masked.data, **reorder.data)
    for task in (Masked(), Reorder()):
        with pytest.raises(UserError, match="is masked and reorder"):
            task.verify(both, "")
        with pytest.raises(UserError, match="neither"):
            task.verify(Problem.of("?", "1"), "")
    with pytest.raises(UserError, match="masked: problem .* is reorder"):
        Masked().verify(reorder, "")


@pytest.mark.parametrize(
    "wrong",
    [{"kinds": "number"}, {"kinds": ()}, {"kinds": ("word",)}, {"slots": 8}, {"slots": 0}, {"form": "x"}, {"by": "x"}],
)
def test_settings_that_cannot_be(wrong: dict[str, object]) -> None:
    with pytest.raises(UserError, match="masked: "):
        Masked(**wrong)  # type: ignore[arg-type]


def test_endless_and_finite_ones_are_tasks() -> None:
    endless, finite = make(), make(task=POOL)
    assert not isinstance(endless, FiniteTask) and isinstance(finite, FiniteTask) and isinstance(finite, Demonstrator)
    assert endless.sample(np.random.default_rng(4), 3).level == 3
    assert pickle.loads(pickle.dumps(finite)).problem(7) == finite.problem(7)
    with pytest.raises(UserError, match="problems 0 to 19"):
        finite.problem(20)


@pytest.mark.skipif("REASONGYM_DATA" not in os.environ, reason="REASONGYM_DATA names no folder of data sets")
def test_real_solutions() -> None:
    """All of GSM8K's test set and of MATH-500, but for those with fewer than seven places."""
    folder = Path(os.environ["REASONGYM_DATA"])
    school = make(task=f"gsm8k(source={str(folder / 'gsm8k')!r}, split='test')")
    competition = make(task=f"math(source={str(folder / 'math500')!r})", by="sentence")
    for task, kept in ((school, 1250), (competition, 400)):
        assert isinstance(task, MaskedSet) and len(task) > kept
        for i in range(0, len(task), 7):
            problem = task.problem(i)
            verdict = task.verify(problem, task.demonstrate(problem, RNG))
            assert verdict.score == 1.0 and len(problem.answer) <= 4
