"""What `reasongym.sandbox.sqlite` takes and gives: databases, copies of them, limits and results."""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from reasongym.core import HostError
from reasongym.sandbox.comparison import Value


@dataclass(frozen=True)
class Database:
    """A SQLite file, or the statements that make a database. Virtual tables in it (fts, rtree) cannot be queried."""

    path: str = ""
    script: str = ""

    @classmethod
    def of(cls, text: str) -> Database:
        """What a text names: statements if it begins with CREATE, else a file."""
        return cls(script=text) if re.match(r"\s*CREATE\s", text, re.IGNORECASE) else cls(path=text)

    def key(self) -> str:
        """Another one for another content. HostError where there is no such file."""
        if self.script:
            return hashlib.sha256(self.script.encode("utf-8", "replace")).hexdigest()
        try:
            found = os.stat(os.path.expanduser(self.path))
        except (OSError, ValueError) as error:
            raise HostError(f"the database {self.path!r} cannot be read: {error}") from error
        return f"{self.path}:{found.st_mtime_ns}:{found.st_size}{self._log()}"

    def _log(self) -> str:
        """The same of its write-ahead log. An empty one is as good as none: to read the file may make one."""
        try:
            found = os.stat(f"{os.path.expanduser(self.path)}-wal")
        except OSError:
            return ""
        return f":{found.st_mtime_ns}:{found.st_size}" if found.st_size else ""

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


Place = tuple[int, int, bool, str, bool]


@dataclass(frozen=True)
class Guard:
    """What a query may use.

    Args:
        seconds: Of time, after which its process is killed; on copies, as many times as there are copies.
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

    def place(self) -> Place:
        """What a process is set up for: the rest is said with each query."""
        return self.length, self.heap, self.trusted, self.backend, self.unsafe


@dataclass(frozen=True)
class Copy:
    """How a copy differs from its database: rows are missing, and more by ``kind``.

    Each row is in one of ``parts``, by chance, and missing from the copy whose ``seed`` is that one: copies 0 to
    ``parts`` - 1 are each without other rows, and no row is in all of them. ``"drop"`` leaves it at that, so what
    depends on each other in a row still does. ``"shuffle"`` also permutes the values of each column that is in no key.
    ``"plant"`` also writes the values of ``plant``, (column, value), into some rows of each column of that name, but
    none into a second row where the column is in a key or named in ``apart``. ``"few"`` is the other way round: a row
    is only in the copy whose ``seed`` is its part.

    Where a database's foreign keys hold, they hold on its copies: of every second ``parts`` copies, tables that others
    refer to lose no rows; of the others, rows that refer to missing ones of another table are missing too.
    """

    seed: int = 0
    kind: Literal["drop", "shuffle", "plant", "few"] = "drop"
    parts: int = 3
    plant: tuple[tuple[str, Value], ...] = ()
    apart: tuple[str, ...] = ()


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


def _read(path: Path, how: str) -> bytes:
    """The file as SQLite sees it, its log included, under a lock for reading."""
    with closing(sqlite3.connect(f"file:{quote(str(path))}?{how}", uri=True, timeout=0, isolation_level=None)) as file:
        file.execute("BEGIN")
        (tables,) = file.execute("SELECT count(*) FROM sqlite_master").fetchone()
        return file.serialize() if tables else b""
