"""Drawing formulas of distinct clauses, many at once.

A clause is drawn as one integer, its code: the digits, in base 2k, are its literals in the order of their variables,
v for a negated variable v (from 0) and k + v for a plain one. Codes order clauses as SATURN orders their text.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, product
from math import comb
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from reasongym.cnf.formula import LETTERS, Clause, Formula

DENSE = 1 << 16  # up to so many clauses of a size, they are listed and drawn by number
CELLS = 1 << 24  # of the table that holds which are drawn already

Codes = NDArray[Any]  # [N, l] int64, or Python's integers where these do not fit
Bits = NDArray[np.int8]  # [N, k]
Index = NDArray[np.int64]


@dataclass(frozen=True)
class Clauses:
    """All clauses of n literals over k variables: from codes to literals and text."""

    n: int
    k: int

    @property
    def dtype(self) -> Any:
        """Of codes: int64 where these fit, else Python's own integers."""
        return np.int64 if (2 * self.k) ** self.n < 1 << 63 else object

    def formulas(self, codes: Codes, *, shared: bool = False) -> list[Formula]:
        """The clauses of each row, as lists of literals; ``shared`` ones are only to be read."""
        if self._few:
            known = _literals_of(self.n, self.k)
            found = [list(map(known.__getitem__, row)) for row in codes.tolist()]
            return found if shared else [[list(clause) for clause in formula] for formula in found]
        digits = np.stack([codes // (2 * self.k) ** i % (2 * self.k) for i in reversed(range(self.n))], axis=-1)
        return cast("list[Formula]", np.where(digits < self.k, -1 - digits, digits - self.k + 1).tolist())

    def texts(self, codes: Codes, joint: str = " & ") -> list[str]:
        """Each row in letters: all of them as one table of bytes of fixed width, then without its padding of zeros."""
        cell = np.dtype([("joint", f"S{len(joint) or 1}"), ("literals", "S2", (self.n,))])
        table = np.empty(codes.shape, dtype=cell)
        table["joint"][:, 0], table["joint"][:, 1:] = "\n", joint
        names = np.array([f"!{x}" for x in LETTERS[: self.k]] + [*LETTERS[: self.k]], dtype="S2")
        for i in reversed(range(self.n)):
            rest = codes // len(names)
            table["literals"][..., i] = names[(codes - rest * len(names)).astype(np.intp, copy=False)]
            codes = rest
        return table.tobytes().translate(None, b"\0").decode("ascii").split("\n")[1:]

    @property
    def _few(self) -> bool:
        return comb(self.k, self.n) << self.n <= DENSE


@lru_cache(maxsize=16)
def _literals_of(n: int, k: int) -> dict[int, Clause]:
    """Code to clause, of all clauses."""
    subsets, signs = _subsets(n, k), np.array(list(product((0, 1), repeat=n)), dtype=np.int64).T
    variables = (column[:, None] for column in subsets)
    codes = _join(variables, signs, None, np.zeros(1, dtype=np.int64), k, np.int64)
    clauses = np.stack([np.outer(v + 1, 2 * plain - 1) for v, plain in zip(subsets, signs, strict=True)], axis=-1)
    return dict(zip(codes.ravel().tolist(), clauses.reshape(-1, n).tolist(), strict=True))


def draw(
    rng: np.random.Generator,
    count: int,
    n: int,
    k: int,
    l: int,  # noqa: E741
    *,
    planted: bool = True,
) -> tuple[Codes, Bits | None]:
    """``count`` formulas: codes [count, l], ascending in each row, and the planted assignments [count, k].

    Planted: an assignment, uniform, then l distinct clauses, uniform among those that it satisfies. Else l distinct
    clauses, uniform among all, and None.
    """
    values = rng.integers(0, 2, (count, k), dtype=np.int8) if planted else None
    total = comb(k, n) * ((1 << n) - planted)
    if total > DENSE:
        return _draw_by_literals(rng, values, count, n, k, l), values
    block = max(1, CELLS // total)
    parts = [
        _draw_by_number(rng, None if values is None else values[at : at + block], min(block, count - at), n, k, l)
        for at in range(0, count, block)
    ]
    return np.concatenate(parts) if parts else np.zeros((0, l), dtype=np.int64), values


def _draw_by_number(rng: np.random.Generator, values: Bits | None, count: int, n: int, k: int, l: int) -> Codes:  # noqa: E741
    """Which clauses, among all that there are: exact and fast for any l."""
    patterns = (1 << n) - (values is not None)
    which, signs = np.divmod(_distinct(rng, count, comb(k, n) * patterns, l), patterns)
    if values is not None:
        signs += 1  # the pattern 0, in which no literal holds
    subsets = _subsets(n, k)
    variables = (subsets[i][which] for i in range(n))
    codes = _join(variables, ((signs >> i) & 1 for i in range(n)), values, np.arange(count)[:, None], k, np.int64)
    codes.sort(axis=1)
    return codes


def _distinct(rng: np.random.Generator, count: int, total: int, l: int) -> NDArray[np.int64]:  # noqa: E741
    """[count, l] distinct numbers below ``total`` in each row, any order: Floyd's algorithm, all rows at once."""
    if count == 1:
        return rng.choice(total, l, replace=False, shuffle=False)[None]
    taken = np.zeros(count * total, dtype=bool)
    found = np.empty((l, count), dtype=np.int64)
    first = np.arange(count) * total
    for i, top in enumerate(range(total - l, total)):
        at = first + rng.integers(0, top + 1, count)
        at = np.where(taken[at], first + top, at)
        taken[at] = True
        found[i] = at - first
    return np.ascontiguousarray(found.T)


def _draw_by_literals(
    rng: np.random.Generator,
    values: Bits | None,
    count: int,
    n: int,
    k: int,
    l: int,  # noqa: E741
) -> Codes:
    """Clauses one by one; a repeated one is drawn again, which leaves every set of l clauses as likely as another."""
    rows = np.repeat(np.arange(count), l)
    codes = _some(rng, values, rows, n, k).reshape(count, l)
    while True:
        codes.sort(axis=1)
        again, at = np.nonzero(codes[:, 1:] == codes[:, :-1])
        if not len(again):
            return codes
        codes[again, at] = _some(rng, values, again, n, k)


def _some(rng: np.random.Generator, values: Bits | None, rows: Index, n: int, k: int) -> Codes:
    """One clause for each of ``rows``, uniform among those that the row's assignment satisfies (or among all)."""
    variables = np.empty((n, len(rows)), dtype=np.int64)
    for i, top in enumerate(range(k - n, k)):  # Floyd's algorithm again
        drawn = rng.integers(0, top + 1, len(rows))
        variables[i] = np.where((variables[:i] == drawn).any(0), top, drawn)
    variables.sort(axis=0)
    signs = rng.integers(0, 2, (n, len(rows)), dtype=np.int8)
    while values is not None and len(bad := np.flatnonzero(~signs.any(0))):
        signs[:, bad] = rng.integers(0, 2, (n, len(bad)), dtype=np.int8)
    return _join(variables, signs, values, rows, k, Clauses(n, k).dtype)


def _join(
    variables: Iterable[Index], signs: Iterable[NDArray[Any]], values: Bits | None, rows: Index, k: int, dtype: Any
) -> Codes:
    """Codes from the variables and signs of clauses; sign 1: the literal holds under ``values`` (None: it is plain)."""
    codes: Any = 0
    for variable, sign in zip(variables, signs, strict=True):
        plain = sign != 0 if values is None else sign == values.ravel()[rows * k + variable]
        codes = codes * (2 * k) + (variable + k * plain).astype(dtype, copy=False)
    found: Codes = codes
    return found


@lru_cache(maxsize=64)
def _subsets(n: int, k: int) -> NDArray[np.int64]:
    """All sets of n of k variables (from 0), [n, C(k, n)]."""
    return np.array(list(combinations(range(k), n)), dtype=np.int64).T.copy()
