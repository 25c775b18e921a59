"""The cell that a session of `reasongym.sandbox.sqlite` runs first: databases in memory, and queries that only read.

Standard library only. A database comes as bytes or as the statements that make it, in pieces; no file is opened.
"""

from __future__ import annotations

import base64
import json
import random
import re
import sqlite3
from typing import Any

PAGE = 50_000  # characters of a reply: as JSON in JSON it may be several times as long
TICK = 1000  # steps of SQLite's machine between two looks at what is left
# What a query may call: functions of their arguments alone. (Not: random, zeroblob, load_extension, fts3_tokenizer.)
FUNCTIONS = frozenset(
    "-> ->> abs acos acosh asin asinh atan atan2 atanh avg ceil ceiling char coalesce concat concat_ws cos cosh count "
    "cume_dist current_date current_time current_timestamp date datetime degrees dense_rank exp first_value floor "
    "format glob group_concat hex if ifnull iif instr json json_array json_array_length json_extract json_group_array "
    "json_group_object json_insert json_object json_patch json_quote json_remove json_replace json_set json_type "
    "json_valid julianday lag last_value lead length like likelihood likely ln log log10 log2 lower ltrim max median "
    "min mod nth_value ntile nullif octet_length percent_rank percentile pi pow power printf quote radians rank "
    "replace round row_number rtrim sign sin sinh soundex sqrt strftime string_agg substr substring sum tan tanh time "
    "timediff total trim trunc typeof unhex unicode unixepoch unlikely upper".split()
)
LIMITS = {
    "SQL_LENGTH": 65_536, "COLUMN": 1000, "EXPR_DEPTH": 200, "COMPOUND_SELECT": 100, "VDBE_OP": 100_000,
    "FUNCTION_ARG": 64, "ATTACHED": 0, "LIKE_PATTERN_LENGTH": 1000, "VARIABLE_NUMBER": 10, "TRIGGER_DEPTH": 10,
    "WORKER_THREADS": 0,
}  # fmt: skip
ALWAYS = frozenset(("sqlite_master", "sqlite_schema", "json_each", "json_tree"))
QUERY = re.compile(r"(?:\s|;|--[^\n]*(?:\n|$)|/\*.*?\*/)*(?:select|with|values)\b", re.IGNORECASE | re.DOTALL)
HARMLESS = ("ok", "NULL value in", "CHECK constraint failed", "NUMERIC value in", "TEXT value in")  # says quick_check

databases: dict[str, sqlite3.Connection] = {}
pieces: list[bytes] = []
rest: list[str] = []  # pages that are still to be fetched
left = [0]  # ticks that the running query still has


def receive(piece: str) -> None:
    """Keep a piece of what `load` shall open, in base64."""
    pieces.append(base64.b64decode(piece))


def load(key: str, script: bool, length: int, heap: int) -> str:
    """Open what was received; what is wrong with it, or ""."""
    data = bytearray(b"".join(pieces))
    pieces.clear()
    try:
        if script:
            made = _connect()
            made.executescript(data.decode())
            data[:] = made.serialize()
            made.close()
        if data[18:20] == b"\2\2":
            data[18:20] = b"\1\1"  # it had a log, which memory cannot have
        connection = _connect()
        connection.deserialize(data)
        del data
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if not found.startswith(HARMLESS):
            return str(found)
        connection.execute(f"PRAGMA hard_heap_limit={heap}").fetchall()
        _guard(connection, length)
    except (sqlite3.Error, sqlite3.Warning, UnicodeError, MemoryError) as error:
        return str(error) or type(error).__name__
    databases[key] = connection
    return ""


def vary(source: str, wanted: list[list[Any]], length: int) -> None:
    """Open copies of a database, each by name, seed, parts, kind, what to plant, and where only once.

    Each row is drawn into one of the parts, and missing from the copy where the seed is that one; "few" has only these.
    """
    image = databases[source].serialize()
    for key, *how in wanted:
        copy = _connect()
        copy.deserialize(image)
        _change(copy, *how)
        _guard(copy, length)
        databases[key] = copy


def _change(
    copy: sqlite3.Connection, seed: int, parts: int, kind: str, plant: list[list[Any]], apart: list[str]
) -> None:
    names = r"SELECT name FROM sqlite_master WHERE type = '{}' AND name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY rowid"
    copy.execute("BEGIN")
    for (trigger,) in copy.execute(names.format("trigger")).fetchall():
        copy.execute(f"DROP TRIGGER {_quoted(trigger)}")
    tables = [table for (table,) in copy.execute(names.format("table")).fetchall()]
    sound = [table for table in tables if _orphans(copy, table) == []]
    whole = {name for table in sound for name in _referred(copy, table)} if seed // parts % 2 else set()
    for table in tables:
        copy.execute("SAVEPOINT one")
        try:
            drawn, rng = random.Random(f"{seed // parts} {table}"), random.Random(f"{seed} {table}")
            columns = [str(row[1]) for row in copy.execute(f"PRAGMA table_info({_quoted(table)})")]  # none generated
            rows = copy.execute(f"SELECT {_listed(columns)} FROM {_quoted(table)}").fetchall()
            if table.lower() not in whole:
                rows = [row for row in rows if (int(drawn.random() * parts) == seed % parts) == (kind == "few")]
            once = _unique(copy, _quoted(table)) | ({name.lower() for name in apart} if kind == "plant" else set())
            _put(copy, table, columns, _varied(rows, columns, once, rng, kind, plant), rows)
        except sqlite3.Error:  # a virtual table
            copy.execute("ROLLBACK TO one")
        copy.execute("RELEASE one")
    while any([_bury(copy, table) for table in sound]):
        pass
    copy.execute("COMMIT")


def drop(keys: list[str]) -> None:
    """Forget databases or copies."""
    for key in keys:
        databases.pop(key).close()


def query(keys: list[str], sql: str, steps: int, rows: int, size: int) -> str:
    """The results of one query on each of these databases, as JSON; of several, up to the first that fails.

    It is the first page of it; where that is a full one, `page` has the next.
    """
    told = []
    for key in keys:
        result = _run(databases[key], sql, steps, rows, size)
        told.append(result)
        size -= result.pop("size", 0)
        if result["error"]:
            break
    text = json.dumps(told, default=lambda value: {"bytes": value.hex()})
    rest[:] = [text[at : at + PAGE] for at in range(0, len(text) + 1, PAGE)]
    return rest.pop(0)


def page() -> str:
    """The next page of what `query` has to say."""
    return rest.pop(0)


def _run(connection: sqlite3.Connection, sql: str, steps: int, most: int, size: int) -> dict[str, Any]:
    left[0] = steps // TICK
    rows: list[Any] = []
    spent, more = 0, False
    try:
        if not QUERY.match(sql):
            raise sqlite3.Error("only one query is allowed: SELECT, WITH or VALUES")
        cursor = connection.execute(sql)
        columns = [column[0] for column in cursor.description or ()]
        spent = sum(map(len, columns))
        for row in cursor:
            spent += 8 * len(row) + sum(2 * len(v) for v in row if type(v) in (str, bytes))
            if len(rows) >= most or spent > size:
                more = True
                break
            rows.append(row)
        cursor.close()
    except Exception as error:
        return {"columns": [], "rows": [], "more": False, "error": _said(error, steps)}
    return {"columns": columns, "rows": rows, "more": more, "error": "", "size": spent}


def _said(error: Exception, steps: int) -> str:
    if left[0] < 0:
        return f"the query was stopped after {steps:,} steps"
    if isinstance(error, MemoryError):
        return "the query ran out of memory"
    return str(error)[:1000] or type(error).__name__


def _connect() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None, cached_statements=0)
    connection.text_factory = lambda raw: str(raw, "utf-8", "backslashreplace")
    for setting in (
        "temp_store=MEMORY",
        "trusted_schema=OFF",
        "foreign_keys=OFF",
        "secure_delete=OFF",
        "cache_size=-100",
    ):
        connection.execute(f"PRAGMA {setting}").fetchall()
    return connection


def _guard(connection: sqlite3.Connection, length: int) -> None:
    """From here on, nothing but reading, of this database's own tables."""
    names = {str(name).lower() for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    for table in ("json_each", "json_tree"):  # they are declared when first used, which the authorizer would forbid
        try:
            connection.execute(f"SELECT * FROM {table}('[]')").fetchall()
        except sqlite3.Error:
            continue
    connection.execute("PRAGMA query_only=ON").fetchall()
    for name, value in {**LIMITS, "LENGTH": length}.items():
        connection.setlimit(getattr(sqlite3, f"SQLITE_LIMIT_{name}"), value)
    connection.set_progress_handler(_tick, TICK)
    connection.set_authorizer(_authorizer(names | ALWAYS))


def _authorizer(tables: set[str]) -> Any:
    allow, deny, read, function = sqlite3.SQLITE_OK, sqlite3.SQLITE_DENY, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION
    always = (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE)

    def allowed(action: int, one: str | None, two: str | None, base: str | None, inner: str | None) -> int:
        if action == read:
            # A name without a database is a common table expression, a subquery, or count(*) of any table.
            own = base in ("main", None) and str(one).lower() in tables
            return allow if own or (base is None and not str(one).lower().startswith(HIDDEN)) else deny
        if action == function:
            return allow if str(two).lower() in FUNCTIONS else deny
        return allow if action in always else deny

    return allowed


HIDDEN = ("sqlite_stmt", "sqlite_dbpage", "dbstat", "pragma_", "bytecode", "tables_used", "fts", "rtree")


def _tick() -> bool:
    left[0] -= 1
    return left[0] < 0


def _varied(
    rows: list[Any], names: list[str], once: set[str], rng: random.Random, kind: str, plant: list[list[Any]]
) -> list[list[Any]]:
    """The rows with values shuffled, or planted: in columns where each may stand but ``once``, in one row."""
    varied = [list(row) for row in rows]
    for i, name in enumerate(map(str.lower, names)):
        values = [row[i] for row in rows]
        if kind == "shuffle" and name not in once:
            rng.shuffle(values)
            for row, value in zip(varied, values, strict=True):
                row[i] = value
        share = 0.0 if name in once else 0.3
        for value in (v for column, v in plant if column.lower() == name and kind == "plant" and rows):
            first = rng.randrange(len(rows))
            for n, row in enumerate(varied if share or value not in values else ()):
                row[i] = value if n == first or rng.random() < share else row[i]
    return varied


def _put(copy: sqlite3.Connection, table: str, names: list[str], rows: list[list[Any]], plain: list[Any]) -> None:
    """Put these rows in a table in place of its own; one with a value that its column refuses stays ``plain``."""
    insert = f"INSERT OR IGNORE INTO {_quoted(table)} ({_listed(names)}) VALUES ({', '.join('?' * len(names))})"
    copy.execute(f"DELETE FROM {_quoted(table)}")
    try:
        copy.executemany(insert, rows)
    except (sqlite3.IntegrityError, OverflowError):
        copy.execute(f"DELETE FROM {_quoted(table)}")
        for row, was in zip(rows, plain, strict=True):
            try:
                copy.execute(insert, row)
            except (sqlite3.IntegrityError, OverflowError):
                copy.execute(insert, was)


def _orphans(copy: sqlite3.Connection, table: str) -> list[int] | None:
    """Rows that refer to a row of another table which is not there; None where the declaration is faulty."""
    try:
        found = copy.execute(f"PRAGMA foreign_key_check({_quoted(table)})").fetchall()
    except sqlite3.Error:
        return None
    return [rowid for _, rowid, parent, _ in found if rowid is not None and parent.lower() != table.lower()]


def _referred(copy: sqlite3.Connection, table: str) -> set[str]:
    """The other tables that it refers to, in lower case."""
    found = copy.execute(f"PRAGMA foreign_key_list({_quoted(table)})").fetchall()
    return {str(row[2]).lower() for row in found} - {table.lower()}


def _bury(copy: sqlite3.Connection, table: str) -> bool:
    """Delete the orphans, where there were none: a join that changes nothing there changes nothing here."""
    orphans = {(rowid,) for rowid in _orphans(copy, table) or ()}
    return copy.executemany(f"DELETE FROM {_quoted(table)} WHERE rowid = ?", orphans).rowcount > 0


def _listed(names: list[str]) -> str:
    return ", ".join(map(_quoted, names))


def _unique(copy: sqlite3.Connection, table: str) -> set[str]:
    """The columns of keys and unique indexes, in lower case."""
    found = {str(row[1]).lower() for row in copy.execute(f"PRAGMA table_info({table})") if row[5]}
    for index in copy.execute(f"PRAGMA index_list({table})").fetchall():
        if index[2]:
            found |= {str(row[2]).lower() for row in copy.execute(f"PRAGMA index_info({_quoted(index[1])})")}
    return found


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
