"""When two results are equal: as multisets of rows, or in order, up to the order of the columns."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

Value = None | int | float | str | bytes
Rows = Sequence[Sequence[Value]]

EFFORT = 1_000_000  # cells looked at in the search for a permutation of the columns, before it is given up
WIDEST = 64  # columns that are permuted at all
SMALLEST = 1e-3  # below it the tolerance is absolute: a sum of floats that should be 0 is not


class Table(Protocol):
    """What `match` reads of a result."""

    @property
    def columns(self) -> Sequence[str]: ...
    @property
    def rows(self) -> Rows: ...
    @property
    def more(self) -> bool: ...
    @property
    def error(self) -> str: ...


def match(gold: Table, result: Table, ordered: bool, tolerance: float = 1e-9, effort: int = EFFORT) -> bool:
    """Whether ``result`` says what ``gold`` says.

    Rows are compared as a multiset, or in order where ``ordered``; columns may stand in another order, the same for all
    rows, and their names do not matter. Numbers are equal within ``tolerance`` of their size; a text never equals a
    number, nor a blob a text. An error, or a result that was cut (``more``), equals nothing. The search for the order
    of many like columns is given up, as no match, after ``effort`` cells.

    Source: taoyds/test-suite-sql-eval ``exec_eval.py`` (``result_eq``).
    Differs: empty results must have as many columns; floats have a tolerance; the search has a bound.
    """
    if gold.error or result.error or gold.more or result.more:
        return False
    if len(gold.rows) != len(result.rows) or len(gold.columns) != len(result.columns):
        return False
    if not gold.rows or list(gold.rows) == list(result.rows):
        return True
    one, two = _columns(gold.rows, result.rows, tolerance)
    if ordered:
        return Counter(one) == Counter(two)
    if Counter(zip(*one, strict=True)) == Counter(zip(*two, strict=True)):
        return True
    return len(one) <= WIDEST and _aligns(one, two, effort)


Column = tuple[object, ...]


def _columns(one: Rows, two: Rows, tolerance: float) -> tuple[list[Column], list[Column]]:
    """The columns of both, with numbers that are equal within the tolerance made the same."""
    found = [v for rows in (one, two) for row in rows for v in row if isinstance(v, (int, float))]
    numbers = {v for v in found if type(v) is int}.union(found)  # of 2 and 2.0, the integer
    if not tolerance or all(type(v) is int for v in numbers):
        return list(zip(*one, strict=True)), list(zip(*two, strict=True))
    same = dict(_merged(sorted(v for v in numbers if math.isfinite(v)), tolerance))

    def made(rows: Rows) -> list[Column]:
        return [tuple(same.get(v, v) if isinstance(v, (int, float)) else v for v in c) for c in zip(*rows, strict=True)]

    return made(one), made(two)


def _merged(numbers: list[float], tolerance: float) -> Iterator[tuple[float, float]]:
    """Each number with the first of those that it is equal to, one neighbour after the other; two integers never."""
    first = last = numbers[0] if numbers else 0.0
    whole = False  # whether an integer is among those since the first
    for number in numbers:
        close = number - last <= tolerance * max(abs(number), abs(last), SMALLEST)
        if not close or (type(number) is int and whole):
            first, whole = number, False
        last, whole = number, whole or type(number) is int
        yield number, first


Classes = tuple[list[int], list[int]]  # of the columns of both; only equal ones can stand for each other


def _aligns(one: list[Column], two: list[Column], effort: int) -> bool:
    """Whether some order of the columns of ``two`` makes the same multiset of rows."""
    classes = _classes([_counted(c) for c in one], [_counted(c) for c in two])
    if sorted(classes[0]) != sorted(classes[1]):
        return False
    # Columns of one class are told apart by the rows that they are in, and these by what else is in them.
    ids: dict[object, int] = {}
    ours, theirs = (_labels(columns, own, ids) for columns, own in zip((one, two), classes, strict=True))
    classes = _classes(
        [_counted(zip(ours, c, strict=True)) for c in one], [_counted(zip(theirs, c, strict=True)) for c in two]
    )
    if sorted(classes[0]) != sorted(classes[1]):
        return False
    start = [0] * len(one[0])
    return _extend(one, two, classes, start, start, set(range(len(two))), [effort])


def _counted(values: Iterable[object]) -> frozenset[tuple[object, int]]:
    return frozenset(Counter(values).items())


def _classes(one: Sequence[object], two: Sequence[object]) -> Classes:
    ids: dict[object, int] = {}
    return [ids.setdefault(v, len(ids)) for v in one], [ids.setdefault(v, len(ids)) for v in two]


def _labels(columns: list[Column], classes: list[int], ids: dict[object, int]) -> list[int]:
    """A number for each row, by what is in it and in which class of columns."""
    rows = zip(*([(own, v) for v in c] for c, own in zip(columns, classes, strict=True)), strict=True)
    return [ids.setdefault(_counted(row), len(ids)) for row in rows]


def _extend(
    one: list[Column],
    two: list[Column],
    classes: Classes,
    rows: list[int],
    others: list[int],
    free: set[int],
    left: list[int],
) -> bool:
    """Find a column of ``two`` for the next one of ``one``, and so on, depth first.

    Rows are told apart by the columns so far, as numbers, so that a wrong choice is seen soon. Columns that are equal
    cell by cell stand for each other. ``left`` is the effort that may still be spent.
    """
    at = len(two) - len(free)
    if not free:
        return True
    labels: dict[tuple[int, object], int] = {}
    ours = [labels.setdefault(pair, len(labels)) for pair in zip(rows, one[at], strict=True)]
    counted = Counter(ours)
    tried: set[Column] = set()
    for choice in sorted(free, key=lambda i: (i != at, i)):
        if classes[1][choice] != classes[0][at] or two[choice] in tried:
            continue
        tried.add(two[choice])
        left[0] -= len(rows)
        if left[0] < 0:
            return False
        theirs = [labels.get(pair, -1) for pair in zip(others, two[choice], strict=True)]
        if Counter(theirs) == counted and _extend(one, two, classes, ours, theirs, free - {choice}, left):
            return True
    return False
