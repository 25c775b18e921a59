"""What may a query do? Attacks in SQL, judged from the host's side.

    python -m benchmarks.sql_attacks [--backend auto] [--save] [--say]

Each attack is a query that `reasongym.sandbox.sqlite.execute` runs on a database file beside which anybody may write.
An attack succeeds if, after it,

- a file beside the database, the database, or the folder that the process is in has changed, or a file is new;
- it took more than 1.1 s to come back (a query has 1 s);
- its result has a secret in it: of a file, of the environment, of another database, or another's query;
- an honest query on this database, or on another one, gives something else than before;
- the sandbox's processes have taken more than 256 MiB over what they had, or this one more than 64 MiB;
- it was one that must be refused, and gave rows.

``invalid_caused`` counts attacks that made the host fail (a HostError), which would make a wrong answer invalid.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import resource
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from benchmarks.report import finish
from reasongym import sandbox
from reasongym.core import HostError, UserError
from reasongym.sandbox.sqlite import Database, Guard, execute

BAR, SECONDS, GROWTH_MIB, OURS_MIB = 40, 1.1, 256, 64
SECRET = "open-sesame-4711"  # in a file, in another database, in the environment and in a query run before
SCRIPT = "CREATE TABLE singer (id INTEGER PRIMARY KEY, name TEXT, age INTEGER);" + "".join(
    f"INSERT INTO singer VALUES ({i}, 'name {i}', {20 + i % 40});" for i in range(200)
)
HONEST = "SELECT count(*), sum(age), max(name) FROM singer"


class Attack(NamedTuple):
    """A kind, a query ({other} is another database, {new} a file that is not there), and whether it must fail."""

    kind: str
    sql: str
    refused: bool = True


def _many(kind: str, refused: bool, *queries: str) -> list[Attack]:
    return [Attack(kind, sql, refused) for sql in queries]


_LONG = "printf('%.65000c', 'a')"
_N = "WITH RECURSIVE x(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM x)"
ATTACKS: tuple[Attack, ...] = (
    *_many(
        "files", True,
        "ATTACH '{new}' AS x", "ATTACH '{other}' AS x", "ATTACH 'file:{new}?mode=rwc' AS x", "ATTACH '' AS x",
        "SELECT 1; ATTACH '{new}' AS x", "SELECT 1 /* ; */ ; ATTACH '{new}' AS x", "/* */ ; ATTACH '{new}' AS x",
        "VACUUM INTO '{new}'", "VACUUM", "DETACH main", "SELECT * FROM '{other}'.vault", "SELECT * FROM vault",
        "SELECT load_extension('{other}')", "SELECT load_extension('libc.so.6', 'system')",
        "SELECT readfile('{other}')",
        "SELECT writefile('{new}', 'x')", "SELECT edit('x', 'touch {new}')", "SELECT fts3_tokenizer('simple')",
        "SELECT fts3_tokenizer('simple', x'4141414141414141')", "SELECT * FROM fsdir('/')",
        "SELECT * FROM csv('{other}')",
        "SELECT * FROM zipfile('{other}')", "CREATE VIRTUAL TABLE z USING fts5(a)", "SELECT * FROM sqlite_dbpage",
        "PRAGMA temp_store_directory = '{new}'", "PRAGMA journal_mode = WAL", "PRAGMA data_store_directory = '{new}'",
        "PRAGMA database_list", "SELECT * FROM pragma_database_list", "SELECT file FROM pragma_database_list()",
    ),
    *_many(
        "writing", True,
        "INSERT INTO singer VALUES (999, 'x', 1)", "UPDATE singer SET age = 0", "DELETE FROM singer",
        "DROP TABLE singer",
        "REPLACE INTO singer VALUES (1, 'x', 1)", "ALTER TABLE singer RENAME TO x", "CREATE TABLE x (a)",
        "CREATE TEMP TABLE x AS SELECT * FROM singer", "CREATE VIEW x AS SELECT 1", "CREATE INDEX i ON singer (age)",
        "CREATE TRIGGER t AFTER INSERT ON singer BEGIN SELECT 1; END", "ANALYZE", "REINDEX",
        "INSERT INTO singer VALUES (999, 'x', 1) RETURNING *", "WITH x AS (SELECT 1) DELETE FROM singer",
        "WITH x AS (SELECT 1) INSERT INTO singer SELECT 999, 'x', 1 FROM x RETURNING *",
        "WITH x AS (SELECT 1) UPDATE singer SET age = 0 RETURNING age", "UPDATE sqlite_master SET sql = ''",
        "PRAGMA writable_schema = ON", "PRAGMA query_only = OFF", "PRAGMA user_version = 7",
        "PRAGMA hard_heap_limit = 0",
        "PRAGMA trusted_schema = ON", "BEGIN EXCLUSIVE", "SAVEPOINT s", "COMMIT", "ROLLBACK", "END",
    ),
    *_many(
        "secrets", True,
        "SELECT sql FROM sqlite_stmt", "SELECT count(*) FROM sqlite_stmt", "SELECT * FROM dbstat",
        "SELECT * FROM bytecode('SELECT 1')", "SELECT * FROM tables_used('SELECT 1')",
        "SELECT * FROM temp.sqlite_master",
        "EXPLAIN SELECT * FROM singer", "EXPLAIN QUERY PLAN SELECT * FROM singer", "SELECT getenv('REASONGYM_PROBE')",
        "SELECT * FROM pragma_function_list", "SELECT random()", "SELECT hex(randomblob(16))",
        "SELECT last_insert_rowid()",
        "SELECT sqlite_source_id()", "SELECT sqlite_log(1, '{other}')",
    ),
    *_many(
        "time", False,
        f"{_N} SELECT max(n) FROM x", f"{_N} SELECT n FROM x ORDER BY n DESC", f"{_N} SELECT DISTINCT n % 3 FROM x",
        "SELECT count(*) FROM singer a, singer b, singer c, singer d, singer e",
        "SELECT sum(a.age * b.age + c.age) FROM singer a, singer b, singer c, singer d",
        "SELECT (SELECT count(*) FROM singer b, singer c WHERE c.age > a.age + b.age) FROM singer a, singer d",
        f"SELECT instr({_LONG}, {_LONG} || 'b')",
        f"SELECT sum(instr({_LONG} || a.id, printf('%.32000c', 'a') || 'b')) FROM singer a, singer b",
        f"SELECT sum({_LONG} LIKE '%a%a%a%a%a%a%a%a%b') FROM singer a, singer b",
        f"SELECT sum({_LONG} GLOB '*a*a*a*a*a*a*a*a*a*b') FROM singer a, singer b",
        f"SELECT sum(length(replace({_LONG}, 'a', 'b'))) FROM singer a, singer b",
        f"SELECT sum(length(hex({_LONG} || a.id))) FROM singer a, singer b",
        f"SELECT sum(length(upper(quote({_LONG})))) FROM singer a, singer b",
        f"SELECT sum(unicode(trim({_LONG}, 'abc'))) FROM singer a, singer b",
        "SELECT sum(a.age) OVER (ORDER BY b.age ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING EXCLUDE TIES) "
        "FROM singer a, singer b",
        "SELECT median FROM (SELECT nth_value(a.id, 2) OVER (ORDER BY b.id DESC, a.id ROWS 100 PRECEDING) AS median "
        "FROM singer a, singer b, singer c)",
        "SELECT count(*) FROM singer a WHERE EXISTS "
        "(SELECT 1 FROM singer b, singer c, singer d WHERE b.age + c.age + d.age = -a.age)",
        "SELECT " + "+".join(["(SELECT count(*) FROM singer a, singer b, singer c)"] * 40),
        "SELECT * FROM " + ", ".join(f"singer s{i}" for i in range(64)),
        "SELECT count(*) FROM "
        + " NATURAL JOIN ".join(f"(SELECT id AS c{i}, age AS d{i} FROM singer)" for i in range(12)),
        "SELECT 1 WHERE " + " OR ".join(f"'{i}' IN (SELECT name FROM singer)" for i in range(1500)),
        "SELECT " + "(" * 3000 + "1" + ")" * 3000, "SELECT " + "-" * 1 + " -".join(["1"] * 20_000),
        "SELECT " + " UNION ALL SELECT ".join(["1"] * 3000), "SELECT 1 IN (" + ",".join(["1"] * 30_000) + ")",
        "SELECT " + ", ".join(f"{i} AS c{i}" for i in range(5000)), "SELECT '" + "a" * 100_000 + "'",
        "SELECT '" + "a" * 1_000_000 + "'", "SELECT " + "CASE WHEN 1 THEN " * 400 + "1" + " END" * 400,
        "WITH t0 AS (SELECT 1), " + ", ".join(f"t{i} AS (SELECT * FROM t{i - 1}, t{i - 1})" for i in range(1, 30))
        + " SELECT count(*) FROM t29",
        "SELECT json_array_length('" + "[" * 30_000 + "]" * 30_000 + "')",
        "SELECT count(*) FROM json_tree('[" + ",".join(["1"] * 20_000) + "]') a, json_tree('[1,2,3,4,5,6,7,8,9]') b, "
        "singer c",
        "SELECT sum(length(printf('%.60000f', 1e300 / a.id))) FROM singer a, singer b",
        "SELECT sum(length(strftime('%J %s %f', 'now', '+' || a.id || ' days'))) FROM singer a, singer b, singer c",
    ),
    *_many(
        "memory", False,
        "SELECT printf('%1000000000d', 1)", "SELECT printf('%.*c', 1000000000, 'a')", "SELECT zeroblob(1000000000)",
        "SELECT hex(zeroblob(100000000))", "SELECT randomblob(1000000000)",
        "SELECT replace(printf('%.65000c', 'a'), 'a', 'bbbb')",
        "WITH RECURSIVE x(s) AS (SELECT 'aaaaaaaa' UNION ALL SELECT s || s FROM x) SELECT max(length(s)) FROM x",
        f"WITH RECURSIVE x(n, s) AS (SELECT 1, {_LONG} UNION ALL SELECT n + 1, s || n FROM x) "
        "SELECT * FROM x ORDER BY s DESC",
        f"WITH RECURSIVE x(n, s) AS (SELECT 1, {_LONG} UNION SELECT n + 1, n || substr(s, 9) FROM x) "
        "SELECT count(*) FROM x",
        f"SELECT group_concat({_LONG}) FROM singer", f"SELECT json_group_array({_LONG}) FROM singer",
        f"SELECT a.id, b.id, {_LONG} || a.id FROM singer a, singer b, singer c", f"{_N} SELECT n FROM x",
        f"{_N} SELECT n, {_LONG}, {_LONG}, {_LONG} FROM x",
        "SELECT * FROM singer a, singer b, singer c ORDER BY a.name || b.name",
        "SELECT DISTINCT a.name || b.name || c.name FROM singer a, singer b, singer c",
        "SELECT a.name || b.name, count(*) FROM singer a, singer b, singer c GROUP BY 1, c.name",
        "SELECT a.name || b.name || c.name FROM singer a, singer b, singer c EXCEPT SELECT 'x'",
        f"SELECT first_value({_LONG} || a.id) OVER (PARTITION BY a.id % 2 ORDER BY b.id) "
        "FROM singer a, singer b, singer c",
        "WITH x AS MATERIALIZED (SELECT a.name || b.name AS s FROM singer a, singer b, singer c) "
        "SELECT count(*) FROM x, x AS y",
        'SELECT 1 AS "' + "c" * 60_000 + '"', "SELECT " + ", ".join([_LONG] * 500), "SELECT " + ", ".join([_LONG] * 60),
    ),
    *_many(
        "protocol", False,
        "SELECT '{{\"id\": 1, \"ok\": true, \"value\": \"[]\"}}'",
        "SELECT char(0), char(10), char(34), char(55357), x'00ff'",
        "SELECT CAST(x'fffe80' AS TEXT)", "SELECT 1e999, -1e999, 9223372036854775807, -9223372036854775808",
        "SELECT abs(-9223372036854775808)", "SELECT sum(9223372036854775807) FROM singer", "\x00", "SELECT '\ud800'",
        "SELECT 1 AS \"\n```\n\"", "", ";;;", "--", "/*", "SELECT ?", "SELECT :a, @b, $c", "\\", "SELECT '",
        "\N{SNOWMAN}",
    ),
)  # fmt: skip


@dataclass
class Scene:
    """The host: a folder with what is to be guarded, and what it looked like."""

    folder: Path
    backend: str
    victim: Database = field(init=False)
    other: Database = field(init=False)

    def __post_init__(self) -> None:
        for name, script in {
            "victim": SCRIPT,
            "other": f"CREATE TABLE vault (word TEXT); INSERT INTO vault VALUES ('{SECRET}')",
        }.items():
            with closing(sqlite3.connect(self.folder / f"{name}.sqlite")) as file:
                file.executescript(script)
        (self.folder / "secret.txt").write_text(SECRET)
        for path in (self.folder, *self.folder.iterdir()):
            path.chmod(0o777)
        self.victim = Database(path=str(self.folder / "victim.sqlite"))
        self.other = Database(path=str(self.folder / "other.sqlite"))

    def run(self, attack: Attack) -> tuple[str, float, str, float]:
        """How it succeeded ("" if it did not), its time, its result in words, and what the processes grew, in MiB."""
        new, other = self.folder / "new.file", self.folder / "other.sqlite"
        sql = attack.sql.replace("{new}", str(new)).replace("{other}", str(other)).replace("{{", "{").replace("}}", "}")
        self.honest()
        before, ours = self.state(), _own_peak()
        with _watched() as peaks:
            start = time.perf_counter()
            result = execute(self.victim, sql, self.guard())
            took = time.perf_counter() - start
        said = result.error or f"{len(result.rows)} rows{', and more' if result.more else ''}"
        signs = {
            "a file has changed": self.state() != before,
            f"it took {took:.2f} s": took > SECONDS,
            "it told a secret": SECRET in repr(result.rows),
            "an honest query is answered otherwise": not self.honest(),
            f"the sandbox grew by {peaks['growth']:.0f} MiB": peaks["growth"] > GROWTH_MIB,
            f"this process grew by {_own_peak() - ours:.0f} MiB": _own_peak() - ours > OURS_MIB,
            "it was not refused": attack.refused and result.ok,
        }
        return "; ".join(sign for sign, seen in signs.items() if seen), took, said, peaks["growth"]

    def honest(self) -> bool:
        """Whether honest queries are answered as they should be."""
        total = sum(20 + i % 40 for i in range(200))
        one = execute(self.victim, HONEST, self.guard()).rows
        return one == ((200, total, "name 99"),) and execute(
            self.other, f"SELECT count(*), '{SECRET}' FROM vault", self.guard()
        ).rows == ((1, SECRET),)

    def guard(self) -> Guard:
        return Guard(backend=self.backend)

    def state(self) -> dict[str, str]:
        """Every file of the folder, and the names in the working directory and in the temporary one."""
        found = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in self.folder.iterdir()}
        return found | {"here": " ".join(sorted(os.listdir())), "mode": oct(self.folder.stat().st_mode)}


@contextmanager
def _watched() -> Iterator[dict[str, float]]:
    """Sample the memory of the sandbox's processes: by how much one of them has grown, from nothing if it is new."""
    first = _descendants()
    found = {"growth": 0.0}
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            grown = [now - first.get(pid, 0.0) for pid, now in _descendants().items()]
            found["growth"] = max(found["growth"], *grown, 0.0)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        done.set()
        thread.join()


def _descendants() -> dict[int, float]:
    """MiB of resident memory of every process below this one."""
    found, todo = {}, [os.getpid()]
    while todo:
        pid = todo.pop()
        try:
            todo += [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
            if pid != os.getpid():
                found[pid] = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize() / 2**20
        except (OSError, ValueError, IndexError):
            continue  # it has ended
    return found


def _own_peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def best(backend: str) -> str:
    """What ``auto`` takes here."""
    taken = sandbox.nursery(backend)
    return next(name for name, made in sandbox._nurseries.items() if made is taken and name != "auto")


def main(backend: str = "auto", save: bool = False, say: bool = False) -> bool:
    started = time.perf_counter()
    os.environ["REASONGYM_PROBE"] = SECRET
    backend = best(backend)
    rows, succeeded, invalid = [], [], 0
    with tempfile.TemporaryDirectory(prefix="reasongym-") as folder:
        scene = Scene(Path(folder), backend)
        for attack in ATTACKS:
            try:
                how, took, said, growth = scene.run(attack)
            except HostError as error:
                invalid += 1
                how, took, said, growth = "the host failed", 0.0, str(error), 0.0
            rows.append({"kind": attack.kind, "sql": attack.sql[:80], "said": said[:80], "s": round(took, 3)})
            if how:
                succeeded.append(f"{attack.kind}: {attack.sql[:120]}: {how}")
            if how or say:
                became = f"{how or 'blocked'} ({said[:90]}; {took:.3f} s; {growth:.0f} MiB)"
                print(f"{attack.kind}: {attack.sql[:90]!r}: {became}")
            rows[-1]["grew_mib"] = round(growth, 1)
    figures = {
        "backend": backend,
        "kernel": platform.release(),
        "attacks": len(ATTACKS),
        "blocked": len(ATTACKS) - len(succeeded),
        "succeeded": succeeded,
        "invalid_caused": invalid,
        "max_return_s": max(row["s"] for row in rows),
        "sandbox_grew_mib_max": max(row["grew_mib"] for row in rows),
        "rows": rows,
    }
    ok = len(ATTACKS) >= BAR and not succeeded and not invalid
    return bool(finish("sql_attacks", ok, figures, started=started, save=save)["ok"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", default="auto", help="auto, or the name of one")
    parser.add_argument("--save", action="store_true")
    parser.add_argument("--say", action="store_true", help="print what became of each")
    try:
        sys.exit(not main(**vars(parser.parse_args())))
    except UserError as error:
        sys.exit(f"sql_attacks: {error}")
