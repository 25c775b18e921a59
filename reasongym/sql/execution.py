"""Whether a query is right: it must give what the gold query gives, on the database and on copies of it."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from reasongym.core import HostError, UserError, Verdict
from reasongym.sandbox.sqlite import Copy, Database, Guard, Result, Value, execute, execute_on_copies, match
from reasongym.sql.text import has_limit, is_ordered, normal_form, without_distinct

PARTS = 3  # of the rows, of which a copy lacks one
LONGEST = 200  # characters of a constant that is planted
PLANTED = 6  # copies with planted constants, or with few rows, where the others tell nothing
FEW = 8  # parts of the rows, of which a copy with few rows has one


@dataclass(frozen=True)
class ExecutionMatch:
    """Execution accuracy, with Spider's conventions and a guard against queries that are right by luck.

    Results are compared as `reasongym.sandbox.sqlite.match` says: a multiset of rows, in order only where the gold
    query itself has an ORDER BY, up to the order of the columns.

    Args:
        keep_distinct: False leaves each DISTINCT out of both queries before they run, as Spider's test suite does.
        copies: Copies of the database on which the two must agree as well, each without some of the rows, and no row
            in all of them: a constant, or a count of the wrong table, that hits the answer by luck does not. Ties may
            be broken differently on a copy: for the order of the rows, and for which of them the gold query's LIMIT
            leaves, most of the copies on which the gold result is another are enough; so they are where a LIMIT of the
            other query leaves too few rows. 0 is plain execution accuracy.
        perturb: What is done to the copies besides: see `reasongym.sandbox.sqlite.Copy`. ``"plant"`` plants the
            constants of the gold query and their neighbours, so that a list of the right rows by their keys, or a
            condition that is nearly right, does not hit either. (Columns in which all rows stand in one order tell no
            copy apart but a shuffled one, which also breaks what depends on each other.)
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
    copies: int = 6
    perturb: Literal["drop", "shuffle", "plant"] = "plant"
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
        try:
            found = list(_gold(database, database.key(), gold, tuple(copies), guard))
        except _Failed as failed:
            found = list(failed.args[0])
        if found[0].error or found[0].more:
            why = found[0].error or f"its result is longer than {guard.rows:,} rows or {guard.size:,} characters"
            raise HostError(f"the gold query {gold!r} cannot be used: {why}")
        return found

    def guard(self, rows: int) -> Guard:
        """For the query that is judged, whose result is of interest up to one row too many."""
        return Guard(self.seconds, self.steps, rows=rows + 1, backend=self.backend, unsafe=self.unsafe)

    def _compare(self, database: Database, gold: str, sql: str) -> tuple[float, dict[str, Any]]:
        run, asked = (gold, sql) if self.keep_distinct else (without_distinct(gold), without_distinct(sql))
        first, ordered = self.golden(database, run)[0], is_ordered(gold)
        flags: dict[str, Any] = {} if first.rows else {"empty_gold": True}
        got = execute(database, asked, self.guard(len(first.rows)))
        if got.error:
            return 0.0, {"error": got.error, **flags}
        if not match(first, got, ordered, self.tolerance):
            return 0.0, {"differs": _difference(first, got), **flags}
        copies, wanted = self._wanted(database, gold, run)
        more = execute_on_copies(database, asked, copies, self.guard(max(len(w.rows) for w in wanted)))
        if self._lucky(gold, sql, wanted, [got, *more]):
            return 0.0, {"differs": "on copies of the database", **flags}
        return 1.0, flags

    def _wanted(self, database: Database, gold: str, run: str) -> tuple[list[Copy], list[Result]]:
        """The copies to compare on, and the gold results on the database and on these."""
        planting = _planting(gold) if self.perturb == "plant" else ((), ())
        copies = [Copy(seed, self.perturb, PARTS, *planting) for seed in range(self.copies)]
        wanted = self.golden(database, run, copies)
        unsure = copies or (not wanted[0].rows and self.empty == "strict")
        if unsure and (self.perturb != "plant" or not copies) and not _changed(wanted):
            copies = [Copy(seed, "plant", PARTS, *_planting(gold)) for seed in range(PLANTED)]
            wanted = self.golden(database, run, copies)
        if copies and wanted[0].rows and not _changed(wanted):
            copies = [Copy(seed, "few", FEW) for seed in range(PLANTED)]
            wanted = self.golden(database, run, copies)
        return copies, wanted

    def _lucky(self, gold: str, sql: str, wanted: list[Result], got: list[Result]) -> bool:
        """Whether the copies show that results which are the same on the database are so by luck."""
        changed, ordered = _changed(wanted), is_ordered(gold)
        if not wanted[0].rows and self.empty == "strict" and not changed:
            return normal_form(gold) != normal_form(sql)  # any false condition would do
        got = got + [Result(error="not run")] * (len(wanted) - len(got))  # after one that failed
        agree = [match(w, g, ordered, self.tolerance) for w, g in zip(wanted, got, strict=True)]
        if changed and 2 * sum(agree[i] for i in changed) <= len(changed):
            return True
        if has_limit(gold):
            return False
        rest = [(w, g) for w, g, same in zip(wanted, got, agree, strict=True) if not (same or w.error or w.more)]
        cut = has_limit(sql)
        return not all(match(w, g, False, self.tolerance) or (cut and _fewer(g, w)) for w, g in rest)


def _changed(wanted: Sequence[Result]) -> list[int]:
    """The copies on which the gold query gives something else than on the database."""
    usable = [i for i, w in enumerate(wanted) if not w.error and not w.more]
    return [i for i in usable if wanted[i].rows != wanted[0].rows]


def _fewer(got: Result, wanted: Result) -> bool:
    return got.ok and len(got.rows) < len(wanted.rows)


def _difference(wanted: Result, got: Result) -> str:
    if len(wanted.columns) != len(got.columns):
        return f"{len(got.columns)} columns, not {len(wanted.columns)}"
    if got.more or len(got.rows) != len(wanted.rows):
        return f"{'more than ' if got.more else ''}{len(got.rows)} rows, not {len(wanted.rows)}"
    return "the values or their order"


class _Failed(Exception):
    """Results with an error among them: raised, so that the cache does not keep what may have been the machine's."""


@functools.lru_cache(maxsize=256)
def _gold(database: Database, key: str, sql: str, copies: tuple[Copy, ...], guard: Guard) -> tuple[Result, ...]:
    """What the gold query gives: ``key`` is the database's content."""
    found = (execute(database, sql, guard), *execute_on_copies(database, sql, copies, guard))
    if any(result.error for result in found):
        raise _Failed(found)
    return found


@functools.lru_cache(maxsize=4096)
def _planting(sql: str) -> tuple[tuple[tuple[str, Value], ...], tuple[str, ...]]:
    """What to plant for a query: each (column, constant) that it compares, and the numbers next to it.

    Beside it, the columns that it orders by, where a value planted twice would be a tie. Without sqlglot, or where that
    cannot read the query, nothing.
    """
    try:
        import sqlglot
        from sqlglot import exp
    except ImportError:
        return (), ()
    try:
        tree = sqlglot.parse_one(sql, read="sqlite")
    except (sqlglot.errors.SqlglotError, RecursionError):
        return (), ()
    found: dict[tuple[str, Value], None] = {}
    for node in tree.find_all(exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Like, exp.Between, exp.In):
        columns = list(node.find_all(exp.Column))
        texts = [
            c.name for c in columns[1:] if c.this.quoted and not c.table
        ]  # which a text in double quotes looks like
        values = [v for literal in node.find_all(exp.Literal) for v in _near(literal)]
        found |= {(column.name, value): None for column in columns[:2] for value in [*values, *texts]}
    ordering = {column.name for ordered in tree.find_all(exp.Ordered) for column in ordered.find_all(exp.Column)}
    return tuple(pair for pair in found if len(str(pair[1])) <= LONGEST)[:32], tuple(sorted(ordering))


def _near(literal: Any) -> list[Value]:
    text = str(literal.this)
    if literal.is_string:
        return [text.replace("%", "").replace("_", " ")]
    try:
        number = int(text)
    except ValueError:
        return [float(text)]
    return [n if abs(n) < 2**63 else float(n) for n in (number, number + 1, number - 1)]  # as SQLite reads them
