"""Satisfiability problems from rows in SATURN's schema."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from reasongym import cnf
from reasongym.core import Problem, UserError, Verdict
from reasongym.rows import Row, read_rows


@dataclass(frozen=True)
class Saturn:
    """SATURN's released problems, or any rows with ``n_sat``, ``k``, ``solution`` and ``clause``: a `core.FiniteTask`.

    ``source`` is what `reasongym.rows.read_rows` reads. A row's own ``prompt``, where it has one, is what is posed.
    Any satisfying assignment is right; ``solution`` is only the planted one. All problems are of level 0.

    Args:
        compat: ``"saturn"`` scores as the official scorer does (see `reasongym.cnf.judge_saturn`); by default an
            answer must give all k values and nothing else.

    Source: arXiv 2505.16368; Saturn-code ``data/``.
    Differs: the strict reading of answers, unless ``compat`` is set.
    """

    source: str
    split: str = "train"
    compat: Literal["saturn"] | None = None

    def __post_init__(self) -> None:
        if self.compat not in (None, "saturn"):
            raise UserError(f"saturn: compat={self.compat!r} must be None or 'saturn'")

    def __len__(self) -> int:
        return len(self._rows)

    def problem(self, i: int) -> Problem:
        """The i-th row of the file. UserError for a row that is no problem of the paper's form."""
        if not 0 <= i < len(self):
            raise UserError(f"saturn: there is no problem {i}; there are problems 0 to {len(self) - 1}")
        row, where = self._rows[i], f"saturn: row {i + 1} of {self.source!r}"
        try:
            n, k, solution = int(row["n_sat"]), int(row["k"]), str(row["solution"])
            if not 1 <= n <= k <= len(cnf.LETTERS):
                raise UserError(f"n_sat={n} and k={k} must be 1 <= n_sat <= k <= {len(cnf.LETTERS)}")
            clauses = cnf.from_letters(row["clause"], k)
        except ValueError as error:  # a UserError is one
            raise UserError(f"{where}: {error}") from error
        if len(solution) != k or solution.strip("01") or not cnf.satisfies(clauses, solution):
            raise UserError(f"{where}: its solution {solution!r} is no assignment of {k} variables that satisfies it")
        prompt = row.get("prompt") or cnf.ask(row["clause"], k)
        return Problem.of(prompt, solution, n=n, k=k, l=len(clauses), clauses=clauses)

    def sample(self, rng: np.random.Generator, level: int = 0) -> Problem:
        return self.problem(int(rng.integers(len(self))))

    def verify(self, problem: Problem, text: str) -> Verdict:
        judge = cnf.judge_saturn if self.compat else cnf.judge
        return judge(text, problem.data["clauses"], problem.data["k"], problem.answer)

    def demonstrate(self, problem: Problem, rng: np.random.Generator) -> str:
        """The search written out (see `cnf.solve_by_hand`), and the first solution that it comes upon."""
        search, answer = cnf.solve_by_hand(problem.data["clauses"], problem.data["k"])
        return f"{search}\n\\boxed{{{answer}}}"

    @cached_property
    def _rows(self) -> list[Row]:
        return read_rows(self.source, ("n_sat", "k", "solution", "clause"), self.split)


def make(**kw: Any) -> Saturn:
    return Saturn(**kw)
