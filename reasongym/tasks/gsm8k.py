"""Grade-school word problems: GSM8K, or any rows of questions whose answers end in ``#### NUMBER``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from reasongym import answers
from reasongym.core import Problem, UserError, Verdict
from reasongym.rows import Row, read_rows

_MARKS = re.compile(r"<<[^<>]*>>")


@dataclass(frozen=True)
class Gsm8k:
    r"""Questions whose answer is a number: a `core.FiniteTask`, all of level 0.

    ``source`` is what `reasongym.rows.read_rows` reads. A response may end in ``\boxed{}`` or in ``####``.
    ``strip_marks`` takes the calculator's marks, ``<<48/2=24>>``, out of demonstrations, which end in ``\boxed{}`` as
    the prompt asks.

    Source: arXiv 2110.14168; openai/grade-school-math ``dataset.py`` (the answer stands after ``####``).
    Differs: the answer is compared by value, not by letters: 1,000 is 1000, and $18 is 18.
    """

    source: str = "openai/gsm8k:main"
    split: str = "train"
    strip_marks: bool = True

    def __len__(self) -> int:
        return len(self._rows)

    def problem(self, i: int) -> Problem:
        if not 0 <= i < len(self):
            raise UserError(f"gsm8k: there is no problem {i}; there are problems 0 to {len(self) - 1}")
        row = self._rows[i]
        solution, mark, gold = row["answer"].rpartition("####")
        if not mark or not gold.strip():
            raise UserError(f"gsm8k: the answer of row {i + 1} of {self.source!r} has no '#### NUMBER' at its end")
        return Problem.of(answers.ask(row["question"]), gold.strip(), solution=solution.strip())

    def sample(self, rng: np.random.Generator, level: int = 0) -> Problem:
        return self.problem(int(rng.integers(len(self))))

    def verify(self, problem: Problem, text: str) -> Verdict:
        return answers.check(text, problem.answer)

    def demonstrate(self, problem: Problem, rng: np.random.Generator) -> str:
        """The worked solution of the data set, with its answer boxed."""
        solution = problem.data["solution"]
        steps = _MARKS.sub("", solution) if self.strip_marks else solution
        return f"{steps}\nThe answer is \\boxed{{{problem.answer}}}."

    @cached_property
    def _rows(self) -> list[Row]:
        return read_rows(self.source, ("question", "answer"), self.split)


def make(**kw: Any) -> Gsm8k:
    return Gsm8k(**kw)
