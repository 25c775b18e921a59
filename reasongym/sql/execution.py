"""Whether a query is right: it must give what the gold query gives, on the database and on copies of it."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from reasongym.core import HostError, UserError, Verdict
from reasongym.sandbox.sqlite import Copy, Database, Guard, Result, Value, execute_all, match
from reasongym.sql.text import has_limit, is_ordered, normal_form, without_distinct

PLANTED = 4  # copies, where the gold result is empty


@dataclass(frozen=True)
class ExecutionMatch:
    """Execution accuracy, with Spider's conventions and a guard against queries that are right by luck.

    Results are compared as `reasongym.sandbox.sqlite.match` says: a multiset of rows, in order only where the gold
    query itself has an ORDER BY, up to the order of the columns.

    Args:
        keep_distinct: False leaves each DISTINCT out of both queries before they run, as Spider's test suite does.
        copies: Copies of the database, with a third of the rows missing, on which the two must agree as well: a
            constant, or a count of the wrong table, that hits the answer by luck does not. Where either query has a
            LIMIT, ties may be broken differently on a copy, and one copy on which the gold result is another is enough.
            0 is plain execution accuracy.
        perturb: What is done to the copies besides: see `reasongym.sandbox.sqlite.Copy`. ``"plant"`` plants the
            constants of the gold query and their neighbours.
        empty: What equals an empty gold result, which any false condition gives. ``"strict"``: the same query, or one
            that agrees on copies in which the gold query's constants are planted, where the gold result is not empty
            on one of them at least. ``"spider"``: any empty result with as many columns.
        tolerance: Of numbers, relative.
        seconds: That the query may take, before its process is killed.
        steps: Of SQLite's machine that the query may take.
        backend: Of `reasongym.sandbox.open_session`.
        unsafe: The same.

    Source: Yu et al. 2018 and taoyds/test-suite-sql-eval ``exec_eval.py``; arXiv 2505.03786, section 4.
    Differs: ORDER BY counts at top level only (there, anywhere in the text); DISTINCT is kept by default; the copies
    stand for the test suite's databases; empty gold results; a query is stopped after a second, not a minute.
    """

    keep_distinct: bool = True
    copies: int = 2
    perturb: Literal["drop", "shuffle", "plant"] = "drop"
    empty: Literal["strict", "spider"] = "strict"
    tolerance: float = 1e-9
    seconds: float = 1.0
    steps: int = 10_000_000
    backend: str = "auto"
    unsafe: bool = False

    def __post_init__(self) -> None:
        if self.copies < 0 or self.seconds <= 0 or self.steps < 1 or self.tolerance < 0:
            raise UserError(f"sql: copies and tolerance must be 0 or more, seconds and steps positive: {self!r}")
        for name, choices in {"perturb": ("drop", "shuffle", "plant"), "empty": ("strict", "spider")}.items():
            if getattr(self, name) not in choices:
                raise UserError(f"sql: {name}={getattr(self, name)!r} must be {' or '.join(map(repr, choices))}")

    def judge(self, database: Database, gold: str, sql: str | None) -> Verdict:
        """The verdict on a query. ``valid=False`` where the database, the gold query or the sandbox fails."""
        if sql is None:
            return Verdict(0.0, detail={"error": "there is no query in the response"})
        try:
            score, detail = self._compare(database, gold, sql)
        except (HostError, UserError) as error:
            return Verdict(0.0, sql, valid=False, detail={"error": str(error)})
        return Verdict(score, sql, detail=detail)

    def golden(self, database: Database, gold: str, copies: Sequence[Copy] = ()) -> list[Result]:
        """What the gold query gives, on the database and on these copies. HostError where it fails."""
        guard = Guard(seconds=30.0, steps=10**9, trusted=True, backend=self.backend, unsafe=self.unsafe)
        found = list(_gold(database, database.key(), gold, tuple(copies), guard))
        if found[0].error or found[0].more:
            why = found[0].error or f"its result is longer than {guard.rows:,} rows or {guard.size:,} characters"
            raise HostError(f"the gold query {gold!r} cannot be used: {why}")
        return found

    def guard(self, rows: int) -> Guard:
        """For the query that is judged, whose result is of interest up to one row too many."""
        return Guard(self.seconds, self.steps, rows=rows + 1, backend=self.backend, unsafe=self.unsafe)

    def _compare(self, database: Database, gold: str, sql: str) -> tuple[float, dict[str, Any]]:
        run, asked = (gold, sql) if self.keep_distinct else (without_distinct(gold), without_distinct(sql))
        ordered = is_ordered(gold)
        copies = [Copy(seed, self.perturb, self._plant(gold)) for seed in range(self.copies)]
        wanted = self.golden(database, run, copies)
        empty = not wanted[0].rows
        if empty and self.empty == "strict":
            copies = [Copy(seed, "plant", _constants(gold)) for seed in range(PLANTED)]
            wanted = self.golden(database, run, copies)
        got = execute_all(database, asked, copies, self.guard(max(len(w.rows) for w in wanted)))
        if got[0].error:
            return 0.0, {"error": got[0].error, **_flag(empty)}
        agree = [match(w, g, ordered, self.tolerance) for w, g in zip(wanted, got, strict=False)]
        if not agree[0]:
            return 0.0, {"differs": _difference(wanted[0], got[0]), **_flag(empty)}
        if empty and self.empty == "strict":
            return self._of_empty(gold, sql, wanted, agree)
        if not self._holds(wanted, agree, loose=has_limit(gold) or has_limit(sql)):
            return 0.0, {"differs": "on a copy of the database", **_flag(empty)}
        return 1.0, _flag(empty)

    def _plant(self, gold: str) -> tuple[tuple[str, Value], ...]:
        return _constants(gold) if self.perturb == "plant" else ()

    @staticmethod
    def _of_empty(gold: str, sql: str, wanted: list[Result], agree: list[bool]) -> tuple[float, dict[str, Any]]:
        told = any(w.rows for w in wanted[1:] if not w.error)
        same = normal_form(gold) == normal_form(sql)
        held = len(agree) == len(wanted) and all(a or w.error or w.more for a, w in zip(agree, wanted, strict=True))
        if same or (told and held):
            return 1.0, _flag(True)
        return 0.0, {
            "differs": "where the gold result is not empty" if told else "nothing tells it apart",
            **_flag(True),
        }

    @staticmethod
    def _holds(wanted: list[Result], agree: list[bool], loose: bool) -> bool:
        """Whether they agree on the copies too; ``loose``: on one of those on which the gold result is another."""
        agree = agree + [False] * (len(wanted) - len(agree))
        usable = [i for i, w in enumerate(wanted) if i and not w.error and not w.more]
        if not loose:
            return all(agree[i] for i in usable)
        changed = [i for i in usable if wanted[i].rows != wanted[0].rows]
        return not changed or any(agree[i] for i in changed)


def _flag(empty: bool) -> dict[str, Any]:
    return {"empty_gold": True} if empty else {}


def _difference(wanted: Result, got: Result) -> str:
    if len(wanted.columns) != len(got.columns):
        return f"{len(got.columns)} columns, not {len(wanted.columns)}"
    if got.more or len(got.rows) != len(wanted.rows):
        return f"{'more than ' if got.more else ''}{len(got.rows)} rows, not {len(wanted.rows)}"
    return "the values or their order"


@functools.lru_cache(maxsize=256)
def _gold(database: Database, key: str, sql: str, copies: tuple[Copy, ...], guard: Guard) -> tuple[Result, ...]:
    """What the gold query gives: ``key`` is the database's content."""
    return tuple(execute_all(database, sql, copies, guard))


@functools.lru_cache(maxsize=4096)
def _constants(sql: str) -> tuple[tuple[str, Value], ...]:
    """What to plant for a query: each (column, constant) that it compares, and the numbers next to it.

    Without sqlglot, or where that cannot read the query, nothing.
    """
    try:
        import sqlglot
        from sqlglot import exp
    except ImportError:
        return ()
    try:
        tree = sqlglot.parse_one(sql, read="sqlite")
    except (sqlglot.errors.SqlglotError, RecursionError):
        return ()
    found: dict[tuple[str, Value], None] = {}
    for node in tree.find_all(exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Like, exp.Between, exp.In):
        columns = [c.name for c in node.find_all(exp.Column)]
        for column in columns[:2]:
            for value in (v for literal in node.find_all(exp.Literal) for v in _near(literal)):
                found[column, value] = None
            for other in columns[1:]:  # a text in double quotes looks like a column
                found[column, other] = None
    return tuple(found)[:32]


def _near(literal: Any) -> list[Value]:
    text = str(literal.this)
    if literal.is_string:
        return [text.replace("%", "").replace("_", " ")]
    try:
        number = int(text)
    except ValueError:
        return [float(text)]
    return [number, number + 1, number - 1]
