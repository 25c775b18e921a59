"""Judging a query is itself a task: question, schema, candidate in; a verdict in JSON out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np

from reasongym import parts
from reasongym.core import HostError, Problem, Task, UserError, Verdict
from reasongym.curriculum import last_level
from reasongym.judging import said
from reasongym.rows import Row, read_rows
from reasongym.sandbox.sqlite import Database, Guard, execute
from reasongym.sql import judged
from reasongym.sql.execution import ExecutionMatch
from reasongym.sql.mutants import canonical, mutate
from reasongym.sql.text import normal_form

Form = Literal["full", "short"]
TRIES = 12  # mutants that are tried for one that is wrong
_FIELDS: Mapping[str, tuple[str, Callable[[Any], bool]]] = {  # of a candidate's row: what each must be
    "question": ("a text", lambda value: isinstance(value, str)),
    "candidate": ("a text", lambda value: isinstance(value, str)),
    "correct": ("true or false, or 1 or 0", lambda value: isinstance(value, int) and value in (0, 1)),
    "level": ("a whole number", lambda value: type(value) is int),
    "tables": ("an object of tables, each a list of its columns' names", lambda value: _are_tables(value)),
}


@dataclass(frozen=True)
class SQLJudge:
    """Candidates for the questions of another task: half of them gold queries, half mutants that execution finds wrong.

    A candidate is right iff ``task`` says so of it; mutants that it accepts are passed over, so a wrong candidate is
    never wrong by its text alone. The level is the other task's.

    Args:
        task: Who poses the questions and labels the candidates: `reasongym.tasks.sql`, or what is like it.
        prompt: ``"full"`` shows schema, question, query and what to do; ``"short"`` question and query alone.
        result: Show the candidate's result too (``"full"`` only).

    Source: arXiv 2505.03786, section 3 (the reasoning discriminator); arXiv 2402.10890 trains one on labels alone.
    Differs: there, candidates are a generator's samples: see `SQLCandidates`.
    """

    task: Any = "sql"
    prompt: Form = "full"
    result: bool = False
    _task: Task = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_form(self.prompt)
        object.__setattr__(self, "_task", parts.make("tasks", self.task))

    @property
    def last_level(self) -> int | None:
        return last_level(self._task)

    def sample(self, rng: np.random.Generator, level: int = 0) -> Problem:
        posed = self._task.sample(rng, level)
        if not {"question", "tables", "database"} <= set(posed.data):
            raise UserError(f"sql_judge: {self.task!r} is no task with question, tables and database in its data")
        sql, kind = canonical(posed.answer), "gold"
        if rng.random() < 0.5:
            sql, kind = wrong_query(self._task, posed, rng) or (sql, kind)
        result = self._shown(posed, sql) if self.result else ""
        data = posed.data
        told = {"question": data["question"], "tables": data["tables"], "gold": posed.answer, "kind": kind}
        return _problem(self.prompt, sql, kind == "gold", level, result, told)

    def verify(self, problem: Problem, text: str) -> Verdict:
        return _verify(problem, text)

    def demonstrate(self, problem: Problem, rng: np.random.Generator) -> str:
        """Each clause and whether it is right (``"short"``: `judged.rewritten`), then the verdict."""
        return _demonstrate(problem, self.prompt)

    def _shown(self, posed: Problem, sql: str) -> str:
        rule = getattr(self._task, "rule", None)
        guard = rule.guard(judged.ROWS) if isinstance(rule, ExecutionMatch) else Guard(rows=judged.ROWS)
        found = execute(Database.of(posed.data["database"]), sql, guard)
        return judged.result_text(found.columns, found.rows) if found.ok else "ERROR"


@dataclass(frozen=True)
class SQLCandidates:
    """Candidates from a file, such as a generator's samples: a `core.FiniteTask`.

    A row has ``question``, ``candidate`` and ``correct`` (by execution), and may have ``id`` (of the question: what
    ranks candidates compares those of one id), ``tables`` (name to columns), ``result``, ``gold`` and ``level``.

    Args:
        candidates: A file or a folder (see `reasongym.rows.read_rows`).
        split: As there.
        prompt: As in `SQLJudge`.
    """

    candidates: str
    split: str = "train"
    prompt: Form = "full"

    def __post_init__(self) -> None:
        _check_form(self.prompt)

    def __len__(self) -> int:
        return len(self._rows)

    def problem(self, i: int) -> Problem:
        if not 0 <= i < len(self):
            raise UserError(f"sql_judge: there is no problem {i}; there are problems 0 to {len(self) - 1}")
        row = self._rows[i]
        told = {"question": row["question"], "tables": row.get("tables") or {}, "of": str(row.get("id", ""))}
        told |= {key: str(row[key]) for key in ("gold", "kind") if row.get(key)}
        level = row.get("level") or 0
        return _problem(self.prompt, row["candidate"], bool(row["correct"]), level, str(row.get("result") or ""), told)

    def sample(self, rng: np.random.Generator, level: int = 0) -> Problem:
        """One of the rows, whatever its level."""
        return self.problem(int(rng.integers(len(self))))

    def verify(self, problem: Problem, text: str) -> Verdict:
        return _verify(problem, text)

    def demonstrate(self, problem: Problem, rng: np.random.Generator) -> str:
        """As in `SQLJudge`; of a row without ``gold``, the verdict alone."""
        return _demonstrate(problem, self.prompt)

    @cached_property
    def _rows(self) -> list[Row]:
        rows = read_rows(self.candidates, ("question", "candidate", "correct"), self.split)
        return [_checked(f"{self.candidates}, row {n}", row) for n, row in enumerate(rows, 1)]


def make(
    candidates: str = "", *, split: str = "train", task: Any = "sql", prompt: Form = "full", result: bool = False
) -> SQLJudge | SQLCandidates:
    """`SQLCandidates` of a file, or `SQLJudge` without one."""
    if candidates:
        return SQLCandidates(candidates, split, prompt)
    return SQLJudge(task, prompt, result)


def wrong_query(task: Task, posed: Problem, rng: np.random.Generator) -> tuple[str, str] | None:
    """A mutant of the gold query that ``task`` finds wrong, and its kind; None where none is found."""
    for _ in range(TRIES):
        mutant = mutate(posed.answer, posed.data["tables"], rng)
        if mutant and not is_right(task, posed, mutant.sql):
            return mutant.sql, mutant.kind
    return None


def is_right(task: Task, posed: Problem, sql: str) -> bool:
    """What ``task`` says of a query. HostError where it cannot tell."""
    verdict = task.verify(posed, f"```sql\n{sql}\n```")
    if not verdict.valid:
        raise HostError(f"sql_judge: a candidate could not be labelled: {verdict.detail.get('error')}")
    return verdict.score >= 1


def _problem(form: Form, sql: str, correct: bool, level: int, result: str, told: Mapping[str, Any]) -> Problem:
    shown = normal_form(sql)
    if form == "short":
        prompt = judged.asked_shortly(told["question"], shown, told["tables"])
    else:
        prompt = judged.asked(told["question"], shown, told["tables"], result)
    return Problem.of(prompt, correct, level, candidate=shown, **told)


def _verify(problem: Problem, text: str) -> Verdict:
    found = said(text)
    if found is None:
        return Verdict(0.0, detail={"error": 'no {"correct": true} or false in the response'})
    return Verdict(float(found.correct == problem.answer), str(found.correct).lower())


def _demonstrate(problem: Problem, form: Form) -> str:
    verdict = f'{{"correct": {str(problem.answer).lower()}}}'
    if not problem.data.get("gold"):
        return verdict
    sql, gold = problem.data["candidate"], canonical(problem.data["gold"])
    if problem.answer and normal_form(sql) != normal_form(gold):
        return verdict  # right, and in other words than the gold query
    if form == "short":
        thought = judged.rewritten(sql, gold, problem.data["tables"])
        return f"{thought}\n{verdict}"
    clauses = judged.compared(sql, gold)
    lines = [f"{clause.text}: {'as asked' if clause.right else 'not as asked'}." for clause in clauses]
    return "\n".join([*lines, verdict])


def _checked(where: str, row: Row) -> Row:
    for name, (what, fits) in _FIELDS.items():
        if row.get(name) is not None and not fits(row[name]):
            raise UserError(f"{where}: {name}={row[name]!r} must be {what}")
    return row


def _are_tables(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(columns, list) and all(isinstance(column, str) for column in columns) for columns in value.values()
    )


def _check_form(form: str) -> None:
    if form not in ("full", "short"):
        raise UserError(f"sql_judge: prompt={form!r} must be 'full' or 'short'")
