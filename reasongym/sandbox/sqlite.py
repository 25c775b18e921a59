"""Queries that nobody trusts, on SQLite databases: run by `execute` in a process apart, compared by `match`.

A database is handed over as bytes and opened there in memory, so that no query can reach a file of this machine. A
query is one SELECT (or WITH, VALUES), bounded in steps, time, memory and result; one that hangs is killed with its
process, which is started again for the next. Whatever a query does is in its `Result`; only a database that cannot be
read, or a sandbox that fails, raises (`core.HostError`).

    >>> shop = Database(script="CREATE TABLE item (name TEXT, price REAL); INSERT INTO item VALUES ('pen', 1.5);")
    >>> execute(shop, "SELECT name FROM item").rows
    (('pen',),)
"""

from __future__ import annotations

from collections.abc import Sequence

from reasongym.sandbox import workers
from reasongym.sandbox.comparison import Value as Value
from reasongym.sandbox.comparison import match as match
from reasongym.sandbox.databases import Copy as Copy
from reasongym.sandbox.databases import Database as Database
from reasongym.sandbox.databases import Guard as Guard
from reasongym.sandbox.databases import Result as Result
from reasongym.sandbox.workers import close_all as close_all


def execute(database: Database, sql: str, guard: Guard = Guard()) -> Result:  # noqa: B008  (frozen)
    """Run one query. HostError where the database is broken or locked, UserError where there is no sandbox."""
    return workers.run(database, sql, guard)[0]


def execute_on_copies(
    database: Database,
    sql: str,
    copies: Sequence[Copy],
    guard: Guard = Guard(),  # noqa: B008  (frozen)
) -> list[Result]:
    """The results on these copies of the database, up to the first that is an error. None of a database over 1 MiB."""
    return workers.run(database, sql, guard, copies) if copies else []
