"""Processes in which `reasongym.sandbox.sqlite` runs queries: warm sessions with databases open in them."""

from __future__ import annotations

import atexit
import base64
import json
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from reasongym import sandbox
from reasongym.core import HostError
from reasongym.sandbox.comparison import Value
from reasongym.sandbox.databases import Copy, Database, Guard, Place, Result

PIECE = 64 << 10  # bytes of a database that go over at once: a frame has 128 KiB
PAGE = 50_000  # characters of a result that come back at once, as in inside/queries.py
LOAD_S = 60.0
CAPACITY = 32 << 20  # bytes of databases that a process keeps open, and of copies
KEPT = 8  # processes that wait for the next query
MANY = 64  # databases that a process keeps open
OPENED = 200 << 10  # bytes that a database takes beside its own: its connection's cache
COPIED = 1 << 20  # bytes of a database, beyond which no copies of it are made


def run(database: Database, sql: str, guard: Guard, copies: Sequence[Copy] | None = None) -> list[Result]:
    """The result on the database, or those on these copies, up to the first that is an error."""
    place, key = guard.place(), database.key()
    worker = _take(place, key, guard)
    try:
        return worker.run(database, key, sql, guard, copies)
    finally:
        _give_back(place, worker)


@dataclass
class _Worker:
    """A session, and which databases are open in it."""

    session: sandbox.Session
    guard: Guard  # of its first query; only what it has in common with the later ones counts
    loaded: dict[str, int] = field(default_factory=dict)  # bytes of each
    copies: dict[str, int] = field(default_factory=dict)  # the same
    used: float = 0.0  # seconds: a session has so many of processor
    started: bool = False

    def run(self, database: Database, key: str, sql: str, guard: Guard, copies: Sequence[Copy] | None) -> list[Result]:
        seconds = guard.seconds * max(1, len(copies or ()))
        for again in (False, True):
            keys = self._keys(database, key, copies)
            start = time.monotonic()
            reply = self._ask("query", [keys, sql, guard.steps, guard.rows, guard.size], seconds)
            took = time.monotonic() - start
            self.used += took
            if reply.ok:
                return _results(self._whole(reply.value, 16 * guard.size))
            if not reply.lost:
                break
            self._restart()
            seconds -= took
            if again or seconds < 0.1 * guard.seconds:  # else it was perhaps not the query that ended the process
                break
        return [Result(error=reply.output.split(". ")[0].replace("the cell", "the query"))]

    def _whole(self, first: Any, longest: int) -> str:
        """What a query says, page by page."""
        pages = [str(first)]
        while len(pages[-1]) == PAGE and len(pages) * PAGE < longest:
            pages.append(str(self._ask("page", [], LOAD_S).value))
        return "".join(pages)

    def _keys(self, database: Database, key: str, copies: Sequence[Copy] | None) -> list[str]:
        """What to query, open; in a new process, where that fails in an old one."""
        for last in (not self.started, True):
            try:
                if key not in self.loaded:
                    self._load(database, key)
                return [key] if copies is None else self._vary(database, key, copies)
            except HostError:
                self._restart()
                if last:
                    raise
        raise AssertionError

    def _vary(self, database: Database, key: str, copies: Sequence[Copy]) -> list[str]:
        """The names of these copies, which are made if need be."""
        size = self.loaded[key]
        if size > COPIED + OPENED:
            return []
        names = {f"{key}#{copy!r}": copy for copy in copies}
        missing = {name: copy for name, copy in names.items() if name not in self.copies}
        if sum(self.copies.values()) + size * len(missing) > CAPACITY:
            self._call("drop", [[*self.copies]], database)
            self.copies.clear()
            missing = names
        if missing:
            wanted = [
                [name, c.seed, c.parts, c.kind, [list(pair) for pair in c.plant], list(c.apart)]
                for name, c in missing.items()
            ]
            self._call("vary", [key, wanted, self.guard.length], database)
            self.copies |= dict.fromkeys(missing, size)
        return list(names)

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
        self.loaded[key] = len(image) + OPENED

    def _drop(self, key: str, database: Database) -> None:
        self._call("drop", [[key]], database)
        del self.loaded[key]

    def _begin(self, size: int) -> None:
        """A process with addresses enough for its databases."""
        self.session.limits = replace(self.session.limits, seconds=LOAD_S, memory=1024 + 4 * (size >> 20))
        reply = self.session.run(_PROGRAM)
        if not reply.ok:
            raise HostError(f"the sandbox cannot run SQLite: {reply.output}")
        self.started = True

    def _call(self, name: str, arguments: list[Any], database: Database) -> Any:
        reply = self._ask(name, arguments, LOAD_S)
        if not reply.ok:
            raise HostError(f"the database {database.path or 'script'!r} cannot be opened: {reply.output}")
        return reply.value

    def _ask(self, name: str, arguments: list[Any], seconds: float) -> sandbox.Reply:
        if seconds != self.session.limits.seconds:
            self.session.limits = replace(self.session.limits, seconds=seconds)
        return self.session.call(name, arguments, _NO_KEYWORDS)

    def _restart(self) -> None:
        self.session.close()
        self.loaded.clear()
        self.copies.clear()
        self.used, self.started = 0.0, False


_NO_KEYWORDS: Any = {"dict": []}  # as JSON of inside/values.py
_PROGRAM = Path(__file__).with_name("inside").joinpath("queries.py").read_text(encoding="utf-8")

# Processes that wait for a query, by what they are set up for: to start one and open a database in it takes longer than
# most queries, and a task is a frozen value that is pickled and copied.
_idle: dict[Place, list[_Worker]] = {}
_lock = threading.Lock()


def _take(place: Place, key: str, guard: Guard) -> _Worker:
    """A process that nobody uses, best one that has this database open."""
    with _lock:
        there = _idle.get(place, [])
        if there:
            best = next((w for w in there if key in w.loaded), there[-1])
            there.remove(best)
            return best
    return _Worker(sandbox.open_session(guard.backend, unsafe=guard.unsafe), guard)


def _give_back(place: Place, worker: _Worker) -> None:
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
    """In a fork: its parent's sessions are not its own, and their ends are closed here without ending them."""
    for there in _idle.values():
        for worker in there:
            worker.session.close()
    _idle.clear()
    _lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_forget)


def _results(told: str) -> list[Result]:
    """What a process said, which had to be a session's answer and nothing else."""
    try:
        return [
            Result(
                tuple(map(str, one["columns"])),
                tuple(tuple(map(_value, row)) for row in one["rows"]),
                bool(one["more"]),
                str(one["error"]),
            )
            for one in json.loads(told)
        ]
    except (TypeError, ValueError, KeyError, RecursionError):
        return [Result(error="the query broke the interpreter")]


def _value(told: Any) -> Value:
    return bytes.fromhex(told["bytes"]) if isinstance(told, dict) else told
