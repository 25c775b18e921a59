"""Judging as a task: what is right is what execution says, and what a verdict earns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reasongym import parts
from reasongym.core import Problem, UserError
from reasongym.sandbox.sqlite import Guard, Result
from reasongym.tasks import sql_judge
from reasongym.tasks.sql_judge import SQLCandidates, SQLJudge, make

ROWS = [
    {
        "id": 7,
        "question": "How many?",
        "candidate": "SELECT  count(*) FROM t",
        "correct": True,
        "gold": "select count(*) from t",
    },
    {"id": 7, "question": "How many?", "candidate": "SELECT sum(a) FROM t", "correct": False, "tables": {"T": ["A"]}},
    {
        "id": 8,
        "question": "Which?",
        "candidate": "select b from t",
        "correct": True,
        "gold": "select c from t",
        "level": 2,
    },
]


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "candidates.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return str(path)


def drawn(task: SQLJudge, n: int, level: int = 0) -> list[Problem]:
    return [task.sample(np.random.default_rng((5, i)), level) for i in range(n)]


def test_half_are_right_and_execution_says_so() -> None:
    task = SQLJudge("sql", prompt="short")
    problems = drawn(task, 60)
    assert 20 <= sum(p.answer for p in problems) <= 40
    inner = parts.make("tasks", "sql")
    for i, p in enumerate(problems[:25]):
        posed = inner.sample(np.random.default_rng((5, i)))
        verdict = inner.verify(posed, f"```sql\n{p.data['candidate']}\n```")
        assert verdict.valid and (verdict.score == 1.0) is p.answer, p
        assert (p.data["kind"] == "gold") is p.answer


def test_no_style_tells_right_from_wrong() -> None:
    texts = [p.data["candidate"] for p in drawn(SQLJudge(), 40)]
    assert all(text == " ".join(text.split()) and text.endswith(";") for text in texts)
    outside = ["".join(text.split("'")[::2]) for text in texts]
    assert all(text == text.lower() for text in outside)


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ('{"correct": true}', 1.0),
        ('I think {"correct": false}, no: {"correct": True,}', 1.0),
        ('{"correct": false}', 0.0),
        ("true", 0.0),
        ('{"correct": true} </think> {"correct": false}', 0.0),
    ],
)
def test_what_a_verdict_earns(file: str, text: str, score: float) -> None:
    task = SQLCandidates(file)
    assert task.verify(task.problem(0), text).score == score


def test_candidates_from_a_file(file: str) -> None:
    task = make(file, prompt="short")
    assert isinstance(task, SQLCandidates) and len(task) == 3 and task.split == "train"
    first, second, third = (task.problem(i) for i in range(3))
    assert first.prompt == "How many?\nselect count * from t\n" and first.answer is True
    assert first.data["of"] == second.data["of"] == "7" and third.level == 2
    assert task.demonstrate(first, np.random.default_rng(0)) == 'select count * from t\n{"correct": true}'
    assert task.demonstrate(second, np.random.default_rng(0)) == '{"correct": false}'
    assert task.demonstrate(third, np.random.default_rng(0)) == '{"correct": true}', (
        "right in other words than the gold's"
    )
    assert "-- t: a\n" in SQLCandidates(file).problem(1).prompt
    with pytest.raises(UserError, match="no problem 3"):
        task.problem(3)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("question", 3),
        ("candidate", ["select 1"]),
        ("correct", "false"),
        ("correct", 2),
        ("level", "easy"),
        ("tables", ["t"]),
        ("tables", {"t": "a"}),
        ("tables", {"t": [1]}),
    ],
)
def test_a_row_with_the_wrong_type_is_named(field: str, value: Any, tmp_path: Path) -> None:
    path = tmp_path / "candidates.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in (ROWS[0], {**ROWS[1], field: value})))
    with pytest.raises(UserError, match=f"row 2: {field}=.* must be"):
        len(SQLCandidates(str(path)))


def test_a_label_may_be_a_number(tmp_path: Path) -> None:
    path = tmp_path / "candidates.jsonl"
    path.write_text("".join(json.dumps({**ROWS[0], "correct": n, "level": None}) + "\n" for n in (0, 1)))
    assert [SQLCandidates(str(path)).problem(i).answer for i in (0, 1)] == [False, True]


def test_the_result_is_shown_when_asked_for() -> None:
    for p in drawn(SQLJudge(result=True), 4, level=2):
        assert "\n-- Result: " in p.prompt
    assert "-- Result" not in SQLJudge().sample(np.random.default_rng(0)).prompt


def test_the_result_is_made_as_the_task_judges(monkeypatch: pytest.MonkeyPatch) -> None:
    guards: list[Guard] = []
    monkeypatch.setattr(sql_judge, "execute", lambda database, sql, guard: guards.append(guard) or Result(error="no"))
    assert "\n-- Result: ERROR" in drawn(SQLJudge("sql(seconds=7.0)", result=True), 1)[0].prompt
    assert [guard.seconds for guard in guards] == [7.0]


def test_what_cannot_be(file: str) -> None:
    with pytest.raises(UserError, match="full"):
        SQLJudge(prompt="long")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="question, tables"):
        SQLJudge("arithmetic").sample(np.random.default_rng(0))
