"""SAT shown by somebody careless, for the SFT of the model "tiny-sat" (`make tiny-sat`): errors that RL can remove."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reasongym import cnf
from reasongym.core import Problem
from reasongym.tasks.sat import SAT


@dataclass(frozen=True)
class Careless(SAT):
    """`SAT` with ``prompt="short"``, whose demonstrator overlooks that a clause is false with probability ``overlook``.

    It then reads on as if the clause were true, and answers wrongly where none after it is found false. All else is the
    search of `reasongym.cnf.solve_by_hand`, continued honestly from what stands there.

    Source: none, our own.
    Differs: none.
    """

    overlook: float = 0.5

    def demonstrate(self, problem: Problem, rng: np.random.Generator) -> str:
        clauses, k = problem.data["clauses"], problem.data["k"]
        bits, lines = [0] * k, []
        while True:
            noticed = (i for i, c in enumerate(clauses) if not true(c, bits) and rng.random() >= self.overlook)
            at = next(noticed, None)
            lines.append(line(clauses if at is None else clauses[: at + 1], bits))
            if at is None:
                return "\n".join(lines) + "=" + "".join(map(str, bits))
            if not advance(bits, min(map(abs, clauses[at])) - 1):
                return "\n".join([*lines, ""]) + "=" + cnf.UNSAT


def line(checked: list[list[int]], bits: list[int]) -> str:
    """A candidate, and the clauses that were read with it."""
    shown = ["".join(f"{'!' * (x < 0)}{cnf.LETTERS[abs(x) - 1]}{bits[abs(x) - 1]}" for x in c) for c in checked]
    return "".join(f"{cnf.LETTERS[v]}{bit}" for v, bit in enumerate(bits)) + ":" + "&".join(shown)


def true(clause: list[int], bits: list[int]) -> bool:
    return any((bits[abs(x) - 1] == 1) == (x > 0) for x in clause)


def advance(bits: list[int], first: int) -> bool:
    """Count on at position ``first``, all before it at 0; False where all have turned back to 0."""
    bits[:first] = [0] * first
    for i in range(first, len(bits)):
        bits[i] ^= 1
        if bits[i]:
            return True
    return False
