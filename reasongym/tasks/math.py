"""Competition mathematics: MATH, MATH-500, AIME, or any rows of problems with answers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from reasongym import answers
from reasongym.core import Problem, UserError, Verdict
from reasongym.rows import Row, read_rows


@dataclass(frozen=True)
class Math:
    r"""Problems with one exact answer, checked as `reasongym.answers` says: a `core.FiniteTask`.

    ``source`` is what `reasongym.rows.read_rows` reads. Where ``answer_field`` is None, the gold answer is the last
    ``\boxed{}`` of the solution (the original MATH has no other). ``level`` is what the row says in ``level_field``
    (5 or "Level 5"; 0 where it says nothing); `sample` draws from that level, and from all with level 0.
    """

    source: str = "HuggingFaceH4/MATH-500"
    split: str = "test"
    problem_field: str = "problem"
    answer_field: str | None = "answer"
    solution_field: str = "solution"
    level_field: str = "level"
    timeout_s: float = answers.TIMEOUT_S

    def __len__(self) -> int:
        return len(self._rows)

    def problem(self, i: int) -> Problem:
        if not 0 <= i < len(self):
            raise UserError(f"math: there is no problem {i}; there are problems 0 to {len(self) - 1}")
        row = self._rows[i]
        solution = {"solution": row[self.solution_field]} if row.get(self.solution_field) else {}
        return Problem.of(answers.ask(row[self.problem_field]), self._gold(i), self._level(row), **solution)

    @property
    def last_level(self) -> int:
        return max(self._of_level, default=0)

    def sample(self, rng: np.random.Generator, level: int = 0) -> Problem:
        there = self._of_level.get(level, []) if level else range(len(self))
        if not there:
            raise UserError(f"math: no problem of {self.source!r} has level {level}; there is {sorted(self._of_level)}")
        return self.problem(int(there[int(rng.integers(len(there)))]))

    def verify(self, problem: Problem, text: str) -> Verdict:
        return answers.check(text, problem.answer, timeout_s=self.timeout_s)

    def demonstrate(self, problem: Problem, rng: np.random.Generator) -> str:
        """The worked solution of the data set."""
        if "solution" not in problem.data:
            raise UserError(f"math: the rows of {self.source!r} have no {self.solution_field!r} to show")
        return str(problem.data["solution"])

    @cached_property
    def _rows(self) -> list[Row]:
        return read_rows(self.source, (self.problem_field, self.answer_field or self.solution_field), self.split)

    @cached_property
    def _of_level(self) -> dict[int, list[int]]:
        found: dict[int, list[int]] = {}
        for i, row in enumerate(self._rows):
            found.setdefault(self._level(row), []).append(i)
        return found

    def _gold(self, i: int) -> str:
        if self.answer_field is not None:
            return str(self._rows[i][self.answer_field])
        gold = answers.extract(self._rows[i][self.solution_field])
        if gold is None:
            raise UserError(f"math: the solution of row {i + 1} of {self.source!r} boxes no answer")
        return gold

    def _level(self, row: Row) -> int:
        digits = str(row.get(self.level_field) or "0").removeprefix("Level").strip()
        return int(digits) if digits.isdecimal() else 0  # MATH has a few of "Level ?"


def make(**kw: Any) -> Math:
    return Math(**kw)
