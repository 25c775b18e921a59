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

import atexit
import base64
import hashlib
import json
import os
import sqlite3
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from reasongym import sandbox
from reasongym.core import HostError
from reasongym.sandbox.comparison import Value as Value
from reasongym.sandbox.comparison import match as match

PIECE = 64 << 10  # bytes of a database that go over at once: a frame has 128 KiB
LOAD_S = 60.0
CAPACITY = 32 << 20  # bytes of databases that a process keeps open
KEPT = 8  # processes that wait for the next query
MANY = 64  # databases that a process keeps open
COPIED = 8 << 20  # bytes of a database, beyond which no copies of it are made


@dataclass(frozen=True)
class Database:
    """A SQLite file, or the statements that make a database."""

    path: str = ""
    script: str = ""

    @classmethod
    def of(cls, text: str) -> Database:
        """What a text names: statements if it begins with CREATE, else a file."""
        return cls(script=text) if text.lstrip()[:6].upper() == "CREATE" else cls(path=text)

    def key(self) -> str:
        """Another one for another content. HostError where there is no such file."""
        if self.script:
            return hashlib.sha256(self.script.encode("utf-8", "replace")).hexdigest()
        try:
            found = os.stat(Path(self.path).expanduser())
        except (OSError, ValueError) as error:
            raise HostError(f"the database {self.path!r} cannot be read: {error}") from error
        return f"{self.path}:{found.st_mtime_ns}:{found.st_size}"

    def image(self) -> bytes:
        """The bytes to hand over. HostError where the file is broken, locked or empty."""
        if self.script:
            return self.script.encode("utf-8", "replace")
        path = Path(self.path).expanduser()
        try:
            found = _read(path, "mode=ro") or b""
        except sqlite3.OperationalError as error:
            if "unable to open" not in str(error) or path.with_name(f"{path.name}-wal").exists():
                raise HostError(f"the database {self.path!r} cannot be read: {error}") from error
            found = self._immutable(path)
        except sqlite3.Error as error:
            raise HostError(f"the database {self.path!r} cannot be read: {error}") from error
        if not found:
            raise HostError(f"the database {self.path!r} is empty")
        return found

    def _immutable(self, path: Path) -> bytes:
        """A file with a write-ahead log's header, in a folder where SQLite cannot make the log."""
        try:
            return _read(path, "mode=ro&immutable=1")
        except sqlite3.Error as error:
            raise HostError(f"the database {self.path!r} cannot be read: {error}") from error


@dataclass(frozen=True)
class Guard:
    """What a query may use.

    Args:
        seconds: Of time, after which its process is killed.
        steps: Of SQLite's virtual machine, after which it is interrupted: the same on every machine, and well before
            ``seconds`` on most.
        rows: Of its result; of more, the first ones are given, and ``more`` is said.
        size: The same, in bytes or characters (numbers count 8).
        length: Bytes of the longest text or blob, a table's own rows included: some functions take its square in time.
        heap: MiB that SQLite may allocate, over and above the databases that are open.
        trusted: Run it where only trusted queries run: not in a process that any other query has used.
        backend: Of `reasongym.sandbox.open_session`.
        unsafe: The same.
    """

    seconds: float = 1.0
    steps: int = 10_000_000
    rows: int = 10_000
    size: int = 1 << 19
    length: int = 65_536
    heap: int = 32
    trusted: bool = False
    backend: str = "auto"
    unsafe: bool = False

    def place(self) -> Guard:
        """What a process is set up for: the rest is said with each query."""
        return replace(self, steps=0, rows=0, size=0)


@dataclass(frozen=True)
class Copy:
    """How a copy differs from its database: rows are missing, and more by ``kind``.

    Each row is in one of ``parts``, by chance, and missing from the copy whose ``seed`` is that one: copies 0 to
    ``parts`` - 1 are each without other rows, and no row is in all of them. ``"drop"`` leaves it at that, so what
    depends on each other in a row still does. ``"shuffle"`` also permutes the values of each column that is in no key.
    ``"plant"`` also writes the values of ``plant``, (column, value), into some rows of each column of that name.
    """

    seed: int = 0
    kind: Literal["drop", "shuffle", "plant"] = "drop"
    parts: int = 3
    plant: tuple[tuple[str, Value], ...] = ()


@dataclass(frozen=True)
class Result:
    """What a query gave: columns and rows, or an error in one line. ``more``: these are only the first rows."""

    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Value, ...], ...] = ()
    more: bool = False
    error: str = ""

    @property
    def ok(self) -> bool:
        return not self.error


def execute(database: Database, sql: str, guard: Guard = Guard()) -> Result:  # noqa: B008  (frozen)
    """Run one query. HostError where the database is broken or locked, UserError where there is no sandbox."""
    return execute_all(database, sql, (), guard)[0]


def execute_all(
    database: Database,
    sql: str,
    copies: Sequence[Copy],
    guard: Guard = Guard(),  # noqa: B008  (frozen)
) -> list[Result]:
    """The results on the database, then on these copies of it; up to the first that is an error.

    A database of more than 8 MiB has no copies.
    """
    place, key = guard.place(), database.key()
    worker = _take(place, key)
    try:
        return worker.run(database, key, sql, copies, guard)
    finally:
        _give_back(place, worker)


# --- processes


@dataclass
class _Worker:
    """A session, and which databases are open in it."""

    session: sandbox.Session
    guard: Guard
    loaded: dict[str, int] = field(default_factory=dict)  # bytes of each
    copies: set[str] = field(default_factory=set)
    used: float = 0.0  # seconds: a session has so many of processor
    started: bool = False

    def run(self, database: Database, key: str, sql: str, copies: Sequence[Copy], guard: Guard) -> list[Result]:
        for again in (False, True):
            keys = self._open(database, key, copies)
            start = time.monotonic()
            reply = self.session.call("query", [keys, sql, guard.steps, guard.rows, guard.size], _NO_KEYWORDS)
            took = time.monotonic() - start
            self.used += took
            if reply.ok:
                return [_result(told) for told in json.loads(reply.value)]
            if not reply.lost:
                break
            self._restart()
            if again or took > 0.9 * guard.seconds:  # else it was perhaps not the query that ended the process
                break
        return [Result(error=reply.output.split(". ")[0].replace("the cell", "the query"))]

    def _open(self, database: Database, key: str, copies: Sequence[Copy]) -> list[str]:
        if key not in self.loaded:
            self._load(database, key)
        wanted = [(f"{key}#{copy!r}", copy) for copy in copies if self.loaded[key] <= COPIED]
        for name, copy in wanted:
            if name not in self.copies:
                plant = [list(pair) for pair in copy.plant]
                self._call("vary", [key, name, self.guard.length, [copy.seed, copy.parts], copy.kind, plant], database)
                self.copies.add(name)
        return [key, *(name for name, _ in wanted)]

    def _load(self, database: Database, key: str) -> None:
        image = database.image()
        if len(image) > CAPACITY:
            self._restart()
        while self.loaded and (sum(self.loaded.values()) + len(image) > CAPACITY or len(self.loaded) >= MANY):
            self._drop(next(iter(self.loaded)), database)
        if not self.started:
            self._begin(len(image))
        for at in range(0, len(image), PIECE):
            self._call("receive", [base64.b64encode(image[at : at + PIECE]).decode()], database)
        heap = (self.guard.heap << 20) + 2 * max(CAPACITY, len(image))
        wrong = self._call("load", [key, bool(database.script), self.guard.length, heap], database)
        if wrong:
            raise HostError(f"the database {database.path or 'script'!r} is broken: {wrong}")
        self.loaded[key] = len(image)

    def _drop(self, key: str, database: Database) -> None:
        self._call("drop", [key], database)
        del self.loaded[key]
        self.copies = {name for name in self.copies if not name.startswith(f"{key}#")}

    def _begin(self, size: int) -> None:
        """A process with addresses enough for its databases."""
        memory = 1024 + 4 * (size >> 20)
        self.session.limits = replace(self.session.limits, memory=memory)
        reply = self.session.run(_PROGRAM)
        if not reply.ok:
            raise HostError(f"the sandbox cannot run SQLite: {reply.output}")
        self.started = True

    def _call(self, name: str, arguments: list[Any], database: Database) -> Any:
        limits = self.session.limits
        self.session.limits = replace(limits, seconds=LOAD_S)
        try:
            reply = self.session.call(name, arguments, _NO_KEYWORDS)
        finally:
            self.session.limits = limits
        if not reply.ok:
            self._restart()
            raise HostError(f"the database {database.path or 'script'!r} cannot be opened: {reply.output}")
        return reply.value

    def _restart(self) -> None:
        self.session.close()
        self.loaded.clear()
        self.copies.clear()
        self.used, self.started = 0.0, False


_NO_KEYWORDS: Any = {"dict": []}  # as JSON of inside/values.py
_PROGRAM = Path(__file__).with_name("inside").joinpath("queries.py").read_text(encoding="utf-8")

# Processes that wait for a query, by what they are set up for: to start one and open a database in it takes longer than
# most queries, and a task is a frozen value that is pickled and copied.
_idle: dict[Guard, list[_Worker]] = {}
_lock = threading.Lock()


def _take(place: Guard, key: str) -> _Worker:
    """A process that nobody uses, best one that has this database open."""
    with _lock:
        there = _idle.get(place, [])
        if there:
            best = next((w for w in there if key in w.loaded), there[-1])
            there.remove(best)
            return best
    limits = sandbox.Limits(seconds=place.seconds)
    return _Worker(sandbox.open_session(place.backend, limits, unsafe=place.unsafe), place)


def _give_back(place: Guard, worker: _Worker) -> None:
    if worker.used > worker.session.limits.total_seconds / 2:
        worker._restart()
    with _lock:
        there = _idle.setdefault(place, [])
        there.append(worker)
        spare = there.pop(0) if len(there) > KEPT else None
    if spare is not None:
        spare.session.close()


def close_all() -> None:
    """End every process; the next query starts one."""
    with _lock:
        workers = [w for there in _idle.values() for w in there]
        _idle.clear()
    for worker in workers:
        worker.session.close()


atexit.register(close_all)


def _forget() -> None:
    """In a fork: its parent's sessions are not its own."""
    for there in _idle.values():
        for worker in there:
            worker.session.let_go()
    _idle.clear()
    _lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_forget)


def _read(path: Path, how: str) -> bytes:
    """The file as SQLite sees it, its log included, under a lock for reading."""
    with closing(sqlite3.connect(f"file:{quote(str(path))}?{how}", uri=True, timeout=0, isolation_level=None)) as file:
        file.execute("BEGIN")
        file.execute("SELECT count(*) FROM sqlite_master").fetchone()
        return file.serialize()


def _result(told: dict[str, Any]) -> Result:
    rows = tuple(tuple(_value(v) for v in row) for row in told["rows"])
    return Result(tuple(told["columns"]), rows, bool(told["more"]), str(told["error"]))


def _value(told: Any) -> Value:
    return bytes.fromhex(told["bytes"]) if isinstance(told, dict) else told
