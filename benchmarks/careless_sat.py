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
        given = problem.data
        search, answer = cnf.solve_by_hand(given["clauses"], given["k"], noticed=lambda: rng.random() >= self.overlook)
        return f"{search}={answer}"
