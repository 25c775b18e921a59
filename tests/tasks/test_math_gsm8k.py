r"""MATH and GSM8K: problems from rows, levels, gold answers, demonstrations."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reasongym import parts
from reasongym.core import Demonstrator, FiniteTask, Task, UserError
from reasongym.tasks import gsm8k, math

MATH = [
    {"problem": "What is $1+1$?", "solution": "It is $\\boxed{2}$.", "answer": "2", "level": 1, "subject": "Algebra"},
    {"problem": "Half of $1$?", "solution": "So $\\boxed{\\frac12}$.", "answer": "\\frac{1}{2}", "level": "Level 5"},
    {"problem": "Which?", "solution": "\\boxed{\\text{(A)}}", "answer": "\\text{(A)}", "level": "Level ?"},
    {"problem": "Solve.", "solution": "\\boxed{\\frac{\\sqrt3}{3}}", "answer": "\\frac{\\sqrt{3}}{3}", "level": 5},
]
GSM8K = [
    {"question": "6 x 7?", "answer": "6 times 7 is <<6*7=42>>42.\n#### 42"},
    {"question": "How much?", "answer": "It costs $<<1000+234=1234>>1,234.\n#### 1,234"},
]


def written(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture
def competition(tmp_path: Path) -> math.Math:
    return math.make(source=written(tmp_path / "math.jsonl", MATH))


@pytest.fixture
def school(tmp_path: Path) -> gsm8k.Gsm8k:
    return gsm8k.make(source=written(tmp_path / "gsm8k.jsonl", GSM8K))


def test_both_are_finite_tasks_that_demonstrate(competition: math.Math, school: gsm8k.Gsm8k) -> None:
    tasks: list[Task] = [competition, school]
    for task in tasks:
        assert isinstance(task, FiniteTask) and isinstance(task, Demonstrator)
        for i in range(len(task)):
            problem = task.problem(i)
            assert problem == task.problem(i) and problem.prompt.endswith("\\boxed{}.")
            shown = task.demonstrate(problem, np.random.default_rng(0))
            assert task.verify(problem, shown).score == 1.0
            assert task.verify(problem, f"\\boxed{{{problem.answer}}}").score == 1.0
            for junk in ("", "hello world", "\\boxed{}", "\\boxed{0}", "####", "2 42 1/2 A 1234"):
                assert task.verify(problem, junk).score == 0.0
        with pytest.raises(UserError, match="problems 0 to"):
            task.problem(len(task))


def test_math_problems(competition: math.Math) -> None:
    first = competition.problem(0)
    assert first.prompt == ("What is $1+1$?\n\nPlease reason step by step, and put your final answer within \\boxed{}.")
    assert (first.answer, first.level, competition.split) == ("2", 1, "test")
    assert [competition.problem(i).level for i in range(4)] == [1, 5, 0, 5]
    assert competition.verify(competition.problem(3), "\\boxed{\\frac{1}{\\sqrt3}}").score == 1.0


def test_math_levels(competition: math.Math) -> None:
    rng = np.random.default_rng(0)
    assert {competition.sample(rng, 5).answer for _ in range(50)} == {"\\frac{1}{2}", "\\frac{\\sqrt{3}}{3}"}
    assert {competition.sample(rng).answer for _ in range(100)} == {row["answer"] for row in MATH}
    with pytest.raises(UserError, match=r"has level 3; there is \[0, 1, 5\]"):
        competition.sample(rng, 3)
    assert competition.last_level == 5
    assert competition.sample(np.random.default_rng(7)) == competition.sample(np.random.default_rng(7))


def test_math_with_other_fields(tmp_path: Path) -> None:
    original = [{k: v for k, v in row.items() if k != "answer"} for row in MATH]
    task = math.make(source=written(tmp_path / "a.jsonl", original), answer_field=None)
    assert [task.problem(i).answer for i in range(4)] == ["2", "\\frac12", "\\text{(A)}", "\\frac{\\sqrt3}{3}"]
    task = math.make(
        source=written(tmp_path / "b.jsonl", [{"q": "?", "gold": 7}]), problem_field="q", answer_field="gold"
    )
    assert (task.problem(0).answer, task.problem(0).level) == ("7", 0)
    with pytest.raises(UserError, match="have no 'solution' to show"):
        task.demonstrate(task.problem(0), np.random.default_rng(0))
    task = math.make(source=written(tmp_path / "c.jsonl", [{"problem": "?", "solution": "7" * 200}]), answer_field=None)
    with pytest.raises(UserError, match="row 1 .* boxes no answer"):
        task.problem(0)


def test_gsm8k_problems(school: gsm8k.Gsm8k) -> None:
    problem = school.problem(1)
    assert (problem.answer, problem.level) == ("1,234", 0)
    assert school.verify(problem, "so\n#### 1234").score == 1.0
    assert school.verify(problem, "so \\boxed{\\$1234}").score == 1.0
    assert school.verify(problem, "so\n#### 1235").score == 0.0
    assert school.verify(problem, GSM8K[1]["answer"]).score == 1.0


def test_gsm8k_demonstrations_without_or_with_marks(school: gsm8k.Gsm8k) -> None:
    rng = np.random.default_rng(0)
    assert school.demonstrate(school.problem(0), rng) == "6 times 7 is 42.\nThe answer is \\boxed{42}."
    marked = gsm8k.make(source=school.source, strip_marks=False)
    assert marked.demonstrate(marked.problem(0), rng) == "6 times 7 is <<6*7=42>>42.\nThe answer is \\boxed{42}."


def test_gsm8k_without_a_gold_answer(tmp_path: Path) -> None:
    task = gsm8k.make(source=written(tmp_path / "a.jsonl", [{"question": "?", "answer": "42"}]))
    with pytest.raises(UserError, match="row 1 .* has no '#### NUMBER'"):
        task.problem(0)


def test_a_missing_field_is_named_when_the_rows_are_read_and_not_before(tmp_path: Path) -> None:
    rows = [dict(GSM8K[0]) for _ in range(9)]
    del rows[6]["answer"]
    task = gsm8k.make(source=written(tmp_path / "a.jsonl", rows))
    with pytest.raises(UserError, match=r"a\.jsonl, line 7: the field 'answer' is missing"):
        len(task)


@pytest.mark.parametrize("name", ["math", "gsm8k"])
def test_made_from_a_string_and_pickled(name: str, competition: math.Math, school: gsm8k.Gsm8k) -> None:
    there = {"math": competition, "gsm8k": school}[name]
    task = parts.make("tasks", f"{name}(source={there.source!r})")
    assert task == there and len(task) == len(there)
    copy = pickle.loads(pickle.dumps(task))
    assert copy == task and copy.problem(1) == task.problem(1)


@pytest.mark.skipif("REASONGYM_DATA" not in os.environ, reason="REASONGYM_DATA names no folder of data sets")
def test_the_real_data_sets() -> None:
    folder = Path(os.environ["REASONGYM_DATA"])
    school = gsm8k.make(source=str(folder / "gsm8k"), split="test")
    assert len(school) == 1319 and school.problem(0).answer == "18"
    competition = math.make(source=str(folder / "math500"), split="test")
    assert len(competition) == 500
    assert {competition.problem(i).level for i in range(500)} == {1, 2, 3, 4, 5}
    for i in range(0, 500, 25):
        problem = competition.problem(i)
        assert competition.verify(problem, competition.demonstrate(problem, np.random.default_rng(0))).score == 1.0
    aime = math.make(source=str(folder / "aime" / "aime24.jsonl"), answer_field="gt_answer")
    assert len(aime) == 30 and aime.verify(aime.problem(0), f"\\boxed{{{aime.problem(0).answer}}}").score == 1.0
