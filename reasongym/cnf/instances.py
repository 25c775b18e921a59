"""Drawing formulas until enough of them are proved to be of the kind that is wanted."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reasongym.cnf.drawing import Bits, Clauses, Codes, draw
from reasongym.cnf.formula import Formula
from reasongym.core import UserError

Size = tuple[int, int, int]  # n literals a clause, k variables, l clauses
Prove = Callable[[Codes, "Bits | None", Size], "list[str | None]"]

UNKNOWN = "UNKNOWN"  # the proof of a formula on which the solver spent its effort
TRIES = 20_000  # formulas drawn in vain, one after the other, before a kind of instance counts as out of reach
BLOCK = 1024  # formulas drawn at once while looking for a rare kind


class Instances(NamedTuple):
    """N formulas of one size, each proved."""

    size: Size
    codes: Codes  # [N, l], see `reasongym.cnf.drawing`
    answers: list[str]  # an assignment that satisfies it, or UNSAT
    drawn: int  # formulas looked at, these N among them
    unknown: int  # those of them that were dropped because the solver spent its effort

    def formulas(self) -> list[Formula]:
        """The formulas as lists of clauses."""
        return Clauses(*self.size[:2]).formulas(self.codes)

    def texts(self, joint: str = " & ") -> list[str]:
        """The formulas in SATURN's letters."""
        return Clauses(*self.size[:2]).texts(self.codes, joint)

    def mixed_with(self, others: Instances, where: NDArray[np.bool_]) -> Instances:
        """These where ``where`` is false and the others where it is true, each in their order."""
        order = np.argsort(np.argsort(where, kind="stable"), kind="stable")
        answers = [*self.answers, *others.answers]
        codes = np.concatenate([self.codes, others.codes])[order]
        counts = self.drawn + others.drawn, self.unknown + others.unknown
        return Instances(self.size, codes, [answers[i] for i in order], *counts)


def collect(rng: np.random.Generator, count: int, size: Size, prove: Prove, *, planted: bool, lack: str) -> Instances:
    """The first ``count`` formulas drawn for which ``prove`` gives an answer, neither None nor `UNKNOWN`.

    ``lack`` says what is missing, and what to change, where there is no such formula among the many drawn.
    """
    kept: list[Codes] = [np.zeros((0, size[2]), dtype=Clauses(*size[:2]).dtype)]
    answers: list[str] = []
    drawn = unknown = vain = 0
    block = count
    while len(answers) < count:
        if vain > TRIES:
            lack = f"the solver left {unknown} open: raise its effort" if unknown else lack
            raise UserError(f"sat: of {vain} formulas drawn with (n, k, l) = {size}, {lack}")
        codes, values = draw(rng, block, *size, planted=planted)
        proofs = prove(codes, values, size)
        right = [i for i, proof in enumerate(proofs) if proof and proof != UNKNOWN][: count - len(answers)]
        kept.append(codes[right])
        answers += [str(proofs[i]) for i in right]
        looked = right[-1] + 1 if len(answers) == count else block  # what comes after was drawn for nothing
        drawn, unknown = drawn + looked, unknown + proofs[:looked].count(UNKNOWN)
        vain = 0 if right else vain + block
        block = min(BLOCK, max(2 * block, 16))
    return Instances(size, np.concatenate(kept), answers, drawn, unknown)
