"""A search that can be written down step by step, each step from the line before it: an odometer that skips."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from reasongym.cnf.formula import LETTERS, UNSAT, Clause, Formula
from reasongym.core import UserError

LONGEST = 1 << 20  # characters of a demonstration


def solve_by_hand(
    clauses: Formula,
    k: int,
    *,
    letters: bool = True,
    longest: int = LONGEST,
    noticed: Callable[[], bool] = lambda: True,
) -> tuple[str, str]:
    """What one writes while searching, and the answer: the first model in the order of the search, or UNSAT.

    One line is one candidate: all variables with their values, a colon, and the clauses, each literal followed by its
    variable's value, up to the first false one::

        A0B0C0:A0B0!C0&A0!B0C0&!A0B0C0&A0B0C0
        A1B0C0:A1B0!C0&A1!B0C0&!A1B0C0

    ``&`` says that the clause before it is true; a line that ends without an answer says that its last clause is
    false. Candidates count upwards from all 0, and the first variable turns fastest. No change to the variables before
    the false clause's first one can make it true, so these go back to 0 and the count goes on at that one: if it is 0
    it turns to 1, else it turns to 0 and the next one is to turn, and so on. When all have turned back to 0, there is
    no solution. What the next symbol needs stands in the prompt or, since its beginning, in the line.

    ``noticed`` is asked at each false clause: one that goes unnoticed is read past as if it were true, so that the
    answer may be wrong (a demonstrator with something left to learn).
    """
    value, literal, join = (_lettered, _lettered, "") if letters else (_numbered, _numbered, " ")
    lines, written = [], 0
    for bits, false in candidates(clauses, k, noticed):
        checked = clauses if false is None else clauses[: false + 1]
        shown = [join.join(literal(x, bits) for x in clause) for clause in checked]
        lines.append(f"{join.join(value(v, bits) for v in range(1, k + 1))}:{'&'.join(shown)}")
        written += len(lines[-1])
        if written > longest:
            raise UserError(f"sat: with k={k}, l={len(clauses)} the search takes more than {longest} characters")
    if false is None:
        return "\n".join(lines), "".join(map(str, bits))
    return "\n".join([*lines, ""]), UNSAT


def candidates(
    clauses: Formula, k: int, noticed: Callable[[], bool] = lambda: True
) -> Iterator[tuple[list[int], int | None]]:
    """The assignments that the search tries, each with the place of its first false clause that is ``noticed``."""
    bits = [0] * k
    while True:
        wrong = (i for i, clause in enumerate(clauses) if not _true(clause, bits))
        false = next((i for i in wrong if noticed()), None)
        yield list(bits), false
        if false is None or not _advance(bits, min(map(abs, clauses[false])) - 1):
            return


def _true(clause: Clause, bits: list[int]) -> bool:
    return any((bits[abs(x) - 1] == 1) == (x > 0) for x in clause)


def _advance(bits: list[int], first: int) -> bool:
    """Count on at position ``first``; False where the odometer is through."""
    bits[:first] = [0] * first
    for i in range(first, len(bits)):
        bits[i] ^= 1
        if bits[i]:
            return True
    return False


def _lettered(x: int, bits: list[int]) -> str:
    return f"{'!' * (x < 0)}{LETTERS[abs(x) - 1]}{bits[abs(x) - 1]}"


def _numbered(x: int, bits: list[int]) -> str:
    return f"{x}:{bits[abs(x) - 1]}"
