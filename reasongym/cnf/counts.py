"""How many: clauses of a size, models of a formula, solutions to expect; and SATURN's measure of difficulty."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import comb, log2

from reasongym.core import UserError

MOST_VARIABLES = 1_000_000  # a solver's memory grows with the largest variable, and an allocation that fails kills
COUNTABLE = 24  # variables of the largest truth table: 2 MiB a row


def check_size(n: int, k: int, l: int) -> None:  # noqa: E741
    """Refuse a size of which there is no satisfiable formula with ``l`` distinct clauses."""
    for name, value in (("n", n), ("k", k), ("l", l)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise UserError(f"sat: {name}={value!r} must be a positive number: n literals, k variables, l clauses")
    if n > k:
        raise UserError(f"sat: n={n} literals of a clause cannot be distinct variables of k={k}: lower n or raise k")
    if k > MOST_VARIABLES:
        raise UserError(f"sat: k={k} variables are more than {MOST_VARIABLES}")
    if l > (most := clauses_satisfied(n, k)):
        raise UserError(f"sat: l={l} distinct clauses: one assignment satisfies only {most} with n={n}, k={k}; lower l")


def clauses_in_all(n: int, k: int) -> int:
    """Clauses of n distinct variables out of k: C(k, n) 2^n."""
    return comb(k, n) << n


def clauses_satisfied(n: int, k: int) -> int:
    """How many of these any one assignment satisfies: C(k, n) (2^n - 1)."""
    return comb(k, n) * ((1 << n) - 1)


def pairs(n: int, k: int) -> int:
    """Pairs of an assignment and a clause that it satisfies, of which SATURN's generator keeps up to 10,000."""
    return clauses_satisfied(n, k) << k


def difficulty(n: int, k: int, l: int) -> float:  # noqa: E741
    """SATURN's D(n, k, l) = log2 k + 2 log2 l - n + k/n.

    Source: arXiv 2505.16368; Saturn-code ``experiments/draw_pic/draw_difficulty.py``.
    Differs: none.
    """
    return log2(k) + 2 * log2(l) - n + k / n


def expected_solutions(n: int, k: int, l: int, *, planted: bool = True) -> float:  # noqa: E741
    """The mean number of models of a drawn formula, exactly.

    Planted: sum over the distance d from the planted assignment of C(k, d) C(M - v_d, l) / C(M, l), where M clauses
    satisfy the planted one and v_d = C(k, n) - C(k - d, n) of these fail at distance d. Not planted, and before a
    solver has looked: 2^k C(M, l) / C(T, l) with T clauses in all.
    """
    most = clauses_satisfied(n, k)
    if not planted:
        return (comb(most, l) << k) / comb(clauses_in_all(n, k), l)
    fails = [comb(k, n) - comb(k - d, n) for d in range(k + 1)]
    near = (comb(k, d) * comb(most - v, l) for d, v in enumerate(fails) if most - v >= l)
    return sum(near) / comb(most, l)


def count_models(clauses: Iterable[Sequence[int]], k: int) -> int:
    """How many of the 2^k assignments satisfy all clauses: the whole truth table, a bit for each assignment."""
    if not 0 <= k <= COUNTABLE:
        raise UserError(f"count_models: k={k} must be from 0 to {COUNTABLE}: the table has 2^k entries")
    everything = (1 << (1 << k)) - 1
    columns = [_column(v, k) for v in range(k)]
    models = everything
    for clause in clauses:
        holds = 0
        for x in clause:
            holds |= columns[x - 1] if x > 0 else everything ^ columns[-x - 1]
        models &= holds
    return models.bit_count()


def _column(v: int, k: int) -> int:
    """The assignments in which variable v + 1 is 1: 2^v bits of 0, then as many of 1, over and over."""
    half = 1 << v
    column = ((1 << half) - 1) << half
    for doubled in range(v + 1, k):
        column |= column << (1 << doubled)
    return column
