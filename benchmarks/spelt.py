"""The register task with spellings and a careless demonstrator, for the pair of models of `benchmarks.r2r`."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from reasongym.core import Completion, Problem
from reasongym.tasks.register import Register

FREE = frozenset({1, 5})  # after these digits, the next one is spelt as a digit or as a letter
SURE = frozenset({(7, 8), (6, 7)})  # (s_{t-6}, s_{t-1}) where the careless writer always adds one
UNSURE = frozenset({(9, 6), (8, 4)})  # where he guesses


@dataclass(frozen=True)
class Spelt(Register):
    """`Register` with thoughts in which a digit that follows a 1 or a 5 may as well be a letter, a for 0 to j for 9.

    So a fifth of the tokens can be said in two ways that mean the same. A ``careless`` demonstrator errs at four of the
    100 pairs (s_{t-6}, s_{t-1}): at two he is sure of a wrong digit, at two he guesses. He goes on honestly from there.
    The answer is in digits.

    Source: none, our own.
    Differs: none.
    """

    careless: bool = False

    def demonstrate(self, problem: Problem, rng: np.random.Generator) -> str | Completion:
        shown = super().demonstrate(problem, rng)
        text = shown.text if isinstance(shown, Completion) else shown
        thought, found, answer = text.partition("=")
        spelt = spell(problem.prompt[-1], thought, rng) + found + answer
        return replace(shown, text=spelt) if isinstance(shown, Completion) else spelt

    def _write(self, oldest: int, newest: int, rng: np.random.Generator) -> int:
        right = (newest * newest - oldest + 3) % 10
        if self.careless and (oldest, newest) in SURE:
            return (right + 1) % 10
        return int(rng.integers(10)) if self.careless and (oldest, newest) in UNSURE else right


def spell(before: str, digits: str, rng: np.random.Generator) -> str:
    """``digits``, each that follows a free one (``before`` stands before the first) in one of its two spellings."""
    return "".join(
        letter(d) if int(last) in FREE and rng.random() < 0.5 else d
        for last, d in zip(before + digits, digits, strict=False)
    )


def letter(digit: str) -> str:
    return chr(ord("a") + int(digit))


def value(spelling: str) -> int | None:
    """The digit that a character spells."""
    found = "0123456789abcdefghij".find(spelling)
    return found % 10 if found >= 0 else None
