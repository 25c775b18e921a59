"""Queries on databases: what is refused and stopped, what the host's failures are, and what equals what (S7, S8)."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reasongym.core import HostError
from reasongym.sandbox import workers
from reasongym.sandbox.comparison import EFFORT, WIDEST
from reasongym.sandbox.sqlite import Copy, Database, Guard, Result, close_all, execute, execute_on_copies, match

INSIDE = Path(workers.__file__).with_name("inside")
SHOP = Database(
    script="CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT UNIQUE, price REAL, picture BLOB);\n"
    "INSERT INTO item VALUES (1, 'pen', 1.5, x'00ff'), (2, 'ink', NULL, NULL), (3, CAST(x'fffe41' AS TEXT), 2.0, '');"
)
FOREVER = "WITH RECURSIVE x(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM x) SELECT max(n) FROM x"
SLOW = (  # few steps, each of which takes long
    "SELECT sum(instr(printf('%.65000c', 'a') || i.id, printf('%.32000c', 'a') || 'b')) "
    "FROM item i, item j, item k, item l, item m, item n, item o"
)


def table(*rows: tuple[Any, ...], more: bool = False, error: str = "") -> Result:
    return Result(tuple(f"c{i}" for i in range(len(rows[0]) if rows else 1)), rows, more, error)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "it's a shop?.sqlite"
    with closing(sqlite3.connect(path)) as made:
        made.executescript(SHOP.script)
    return path


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """What runs inside, here: its guard alone, without the sandbox around it."""
    monkeypatch.syspath_prepend(str(INSIDE))
    import queries  # type: ignore[import-not-found]

    yield queries
    for connection in queries.databases.values():
        connection.close()
    del sys.modules["queries"]


# --- what a query gives


def test_values_keep_their_types_and_bad_text_is_shown() -> None:
    result = execute(SHOP, "SELECT name, price, picture, 1 << 62, 1e999, id AS 'a b' FROM item ORDER BY id")
    assert result.columns == ("name", "price", "picture", "1 << 62", "1e999", "a b")
    assert result.rows[0] == ("pen", 1.5, b"\x00\xff", 1 << 62, float("inf"), 1)
    assert result.rows[1][:3] == ("ink", None, None) and result.rows[2][:3] == ("\\xff\\xfeA", 2.0, "")
    assert [type(v) for v in result.rows[0]] == [str, float, bytes, int, float, int]
    assert result.ok and not result.more


def test_a_file_and_a_script_are_the_same(file: Path) -> None:
    sql = "SELECT count(*), max(price) FROM item"
    assert execute(Database(path=str(file)), sql) == execute(SHOP, sql)
    assert Database.of(f"\n {SHOP.script}").script and Database.of(str(file)) == Database(path=str(file))


@pytest.mark.parametrize("path", ["created_sets/database/a.sqlite", "Create", "create.sqlite"])
def test_a_path_may_begin_with_the_word(path: str) -> None:
    assert Database.of(path) == Database(path=path)
    assert Database.of("\ncreate\ttable t (a)").script


def test_a_file_that_changes_is_read_again(file: Path) -> None:
    database = Database(path=str(file))
    assert execute(database, "SELECT count(*) FROM item").rows == ((3,),)
    with closing(sqlite3.connect(file)) as changed, changed:
        changed.execute("DELETE FROM item WHERE id > 1")
    os.utime(file, ns=(1, 1))
    assert execute(database, "SELECT count(*) FROM item").rows == ((1,),)


@pytest.mark.parametrize(
    "sql",
    ["SELECT 1;", " -- a\n/* b; */ sElEcT 1", ";SELECT 1", "VALUES (1)", "WITH x AS (SELECT 1) SELECT * FROM x"],
)
def test_one_query_in_any_dress(sql: str) -> None:
    assert execute(SHOP, sql).rows == ((1,),)


def test_reading_that_is_allowed() -> None:
    for sql in (
        "SELECT name FROM sqlite_master",
        "SELECT value FROM json_each('[1, 2]')",
        "SELECT rank() OVER (ORDER BY price) FROM item",
        "WITH RECURSIVE x(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM x WHERE n < 9) SELECT sum(n) FROM x",
        "SELECT count(*) FROM (SELECT 1) AS s",
        "SELECT date('2024-02-30'), strftime('%Y', '2024-01-01'), upper('a'), iif(1, 2, 3), round(1.5)",
    ):
        assert execute(SHOP, sql).ok, sql


# --- what is refused

REFUSED = [
    "INSERT INTO item VALUES (9, 'x', 1, NULL)", "UPDATE item SET price = 0", "DELETE FROM item", "DROP TABLE item",
    "CREATE TABLE x (a)", "CREATE TEMP TABLE x (a)", "ALTER TABLE item RENAME TO x", "ATTACH '{}' AS x",
    "VACUUM INTO '{}'",
    "ATTACH ':memory:' AS x", "PRAGMA query_only = OFF", "PRAGMA user_version = 1", "PRAGMA database_list",
    "SELECT * FROM pragma_database_list", "BEGIN EXCLUSIVE", "SAVEPOINT s", "SELECT load_extension('x')",
    "SELECT fts3_tokenizer('simple')", "SELECT random()", "SELECT zeroblob(9)", "SELECT * FROM sqlite_stmt",
    "SELECT count(*) FROM sqlite_stmt", "SELECT * FROM dbstat", "SELECT * FROM temp.sqlite_master", "ANALYZE", "VACUUM",
    "WITH x AS (SELECT 1) DELETE FROM item", "INSERT INTO item VALUES (9, 'x', 1, NULL) RETURNING id",
    "CREATE VIRTUAL TABLE z USING fts5(a)", "CREATE TRIGGER t AFTER INSERT ON item BEGIN SELECT 1; END",
]  # fmt: skip


@pytest.mark.parametrize("sql", [*REFUSED, "SELECT 1; SELECT 2", "EXPLAIN SELECT 1", "REINDEX", "", "\x00", "SELECT ?"])
def test_s8_what_is_no_query_is_refused(sql: str, tmp_path: Path) -> None:
    new = tmp_path / "new.sqlite"
    result = execute(SHOP, sql.replace("{}", str(new)))
    assert result.error and not result.rows and not new.exists()
    assert execute(SHOP, "SELECT count(*), sum(price) FROM item").rows == ((3, 3.5),)


def test_the_guard_inside_refuses_it_without_the_check_of_the_first_word(inside: Any, tmp_path: Path) -> None:
    """Of the two, this one must hold alone. (REINDEX of nothing, and EXPLAIN, are asked of nobody, and do nothing.)"""
    inside.pieces.append(SHOP.script.encode())
    assert inside.load("shop", True, 65_536, 1 << 30) == ""
    guarded = inside.databases["shop"]
    for sql in REFUSED:
        inside.left[0] = 1000
        with pytest.raises((sqlite3.DatabaseError, MemoryError)):
            guarded.execute(sql.replace("{}", str(tmp_path / "new"))).fetchall()
    assert not [*tmp_path.iterdir()]
    assert guarded.execute("SELECT count(*) FROM item").fetchone() == (3,)


def test_lone_surrogates_and_long_queries_are_errors_of_the_query() -> None:
    assert "surrogates" in execute(SHOP, "SELECT '\ud800'").error
    assert "large" in execute(SHOP, f"SELECT '{'a' * 70_000}'").error
    assert "longer" in execute(SHOP, f"SELECT '{'a' * 200_000}'").error


# --- what is stopped


def test_s8_a_query_without_end_is_stopped_after_so_many_steps() -> None:
    assert execute(SHOP, FOREVER, Guard(seconds=30.0)).error == "the query was stopped after 10,000,000 steps"
    assert "50,000 steps" in execute(SHOP, FOREVER, Guard(steps=50_000)).error


def test_a_query_that_hangs_is_killed_and_the_next_one_runs() -> None:
    start = time.monotonic()
    result = execute(SHOP, SLOW, Guard(seconds=0.3))
    assert result.error == "TimeoutError: the query took longer than 0.3 s and was stopped"
    assert time.monotonic() - start < 20.0  # its own time would be minutes
    assert execute(SHOP, "SELECT count(*) FROM item", Guard(seconds=0.3)).rows == ((3,),)


def test_rows_and_bytes_of_a_result_are_cut() -> None:
    many = "WITH RECURSIVE x(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM x) SELECT n FROM x"
    result = execute(SHOP, many, Guard(rows=7))
    assert (result.rows, result.more) == (tuple((n,) for n in range(1, 8)), True)
    result = execute(SHOP, f"{many} LIMIT 7", Guard(rows=7))
    assert (len(result.rows), result.more) == (7, False)
    wide = "SELECT printf('%.60000c', 'a') FROM item a, item b, item c"
    result = execute(SHOP, wide, Guard(size=250_000))
    assert (len(result.rows), result.more) == (2, True)
    assert execute(SHOP, f'SELECT 1 AS "{"c" * 5000}"', Guard(size=4000)).more


def test_long_results_come_in_pages() -> None:
    many = "WITH RECURSIVE x(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM x WHERE n < 4000)"
    result = execute(SHOP, f"{many} SELECT n, '{'☃' * 20}\"' FROM x", Guard(seconds=30.0))
    assert result.rows == tuple((n, "☃" * 20 + '"') for n in range(1, 4001)), result.error


def test_every_page_boundary() -> None:
    """The JSON of a result that fills its last page to the brim."""
    empty = len(json.dumps([{"columns": ["s"], "rows": [[""]], "more": False, "error": ""}]))
    for n in range(workers.PAGE - empty - 20, workers.PAGE - empty + 20):
        assert execute(SHOP, f"SELECT printf('%.{n}c', 'a') AS s").rows == (("a" * n,),)


def test_memory_and_length_are_bounded() -> None:
    sort = "WITH RECURSIVE x(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM x) SELECT n FROM x ORDER BY hex(n) DESC"
    errors = {
        execute(SHOP, "SELECT printf('%.60000c', 'a') || printf('%.60000c', 'a')").error,
        execute(SHOP, sort, Guard(seconds=60.0, steps=10**9)).error,
    }
    assert errors == {"string or blob too big", "the query ran out of memory"}
    assert execute(SHOP, "SELECT length(printf('%.60000c', 'a') || printf('%.60000c', 'a'))", Guard(length=200_000)).ok


def test_a_process_that_dies_otherwise_is_started_again_for_the_same_query() -> None:
    guard = Guard(seconds=7.0)  # for processes of its own
    assert execute(SHOP, "SELECT 1", guard).ok
    (worker,) = workers._idle[guard.place()][-1:]
    assert worker.session._link is not None
    signal.pidfd_send_signal(worker.session._link.handle, signal.SIGKILL)  # type: ignore[attr-defined]
    assert execute(SHOP, "SELECT 2", guard).rows == ((2,),)


# --- the host's failures


def test_broken_locked_and_missing_files_are_the_hosts_failure(file: Path, tmp_path: Path) -> None:
    database = Database(path=str(file))
    whole = file.read_bytes()
    cases = {
        "not a database": b"this is text" * 100,
        "is empty": b"",
        "malformed": whole[: len(whole) // 2],
        "broken": whole[:4096] + b"\xff" * (len(whole) - 4096),
    }
    for said, content in cases.items():
        file.write_bytes(content)
        with pytest.raises(HostError, match=said) as caught:
            execute(database, "SELECT 1")
        assert str(file) in str(caught.value)
    file.write_bytes(whole)
    assert execute(database, "SELECT 1").ok
    for path in (tmp_path / "none.sqlite", tmp_path, Path("\0")):
        with pytest.raises(HostError, match="cannot be read"):
            execute(Database(path=str(path)), "SELECT 1")
    with pytest.raises(HostError, match="script.*broken.*incomplete"):
        execute(Database(script="CREATE TABLE"), "SELECT 1")


def test_a_locked_file_is_the_hosts_failure(file: Path) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(HostError, match="database is locked"):
            execute(Database(path=str(file)), "SELECT 1")
        other.execute("ROLLBACK")
    assert execute(Database(path=str(file)), "SELECT 1").ok


def test_a_write_ahead_log_is_read_too(file: Path) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode=WAL")
        other.execute("INSERT INTO item (name) VALUES ('new')")
        assert execute(Database(path=str(file)), "SELECT count(*) FROM item").rows == ((4,),)
        other.execute("INSERT INTO item (name) VALUES ('newer')")
        assert execute(Database(path=str(file)), "SELECT count(*) FROM item").rows == ((5,),), "the log alone changed"
    key = Database(path=str(file)).key()
    assert execute(Database(path=str(file)), "SELECT count(*) FROM item").rows == ((5,),)
    assert Database(path=str(file)).key() == key, "to read it is no change"


def test_values_that_break_a_tables_own_rules_do_not_make_it_broken(tmp_path: Path) -> None:
    path = tmp_path / "loose.sqlite"
    with closing(sqlite3.connect(path)) as made:
        made.executescript(
            "CREATE TABLE t (a INTEGER NOT NULL, b CHECK (b > 0)); PRAGMA ignore_check_constraints=ON;"
            "INSERT INTO t VALUES (1, -1); PRAGMA writable_schema=ON;"
            "UPDATE sqlite_master SET sql = replace(sql, 'b CHECK', 'b NOT NULL CHECK');"
        )
    assert execute(Database(path=str(path)), "SELECT b FROM t").rows == ((-1,),)


# --- processes


def test_many_databases_share_a_process_and_old_ones_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "MANY", 3)
    guard = Guard(seconds=8.0)
    shops = [Database(script=f"CREATE TABLE t (a); INSERT INTO t VALUES ({i})") for i in range(7)]
    for i in [*range(7), 0, 6, 3]:
        assert execute(shops[i], "SELECT a FROM t", guard).rows == ((i,),)
    (worker,) = workers._idle[guard.place()]
    assert len(worker.loaded) == 3


def test_a_database_larger_than_what_a_process_keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "CAPACITY", 1 << 20)
    rows = ", ".join(f"({i}, printf('%.60000c', 'a'))" for i in range(50))
    large = Database(script=f"CREATE TABLE t (a INTEGER, b TEXT); INSERT INTO t VALUES {rows}")
    guard = Guard(seconds=9.0)
    for database, count in ((SHOP, 3), (large, 50), (SHOP, 3)):
        name = "item" if database is SHOP else "t"
        assert execute(database, f"SELECT count(*) FROM {name}", guard).rows == ((count,),)


def test_a_file_of_several_mebibytes_goes_over_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "large.sqlite"
    with closing(sqlite3.connect(path)) as made, made:
        made.execute("CREATE TABLE t (a INTEGER, b BLOB)")
        made.executemany("INSERT INTO t VALUES (?, ?)", [(i, random.Random(i).randbytes(50_000)) for i in range(80)])
    large = Database(path=str(path))
    assert execute(large, "SELECT sum(a), sum(length(b)) FROM t").rows == ((3160, 4_000_000),)
    assert execute(large, "SELECT b FROM t WHERE a = 7").rows == ((random.Random(7).randbytes(50_000),),)
    assert execute_on_copies(large, "SELECT 1", [Copy()]) == []


def test_trusted_queries_run_where_no_other_query_ran() -> None:
    assert Guard(trusted=True).place() != Guard().place()
    assert replace(Guard(), rows=1, size=2, steps=3, seconds=4.0).place() == Guard().place()


def test_threads_have_processes_of_their_own() -> None:
    found: list[list[Any]] = [[] for _ in range(4)]

    def work(i: int) -> None:
        for n in range(20):
            found[i].append(execute(SHOP, f"SELECT {i} * 100 + {n}").rows[0][0])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[i * 100 + n for n in range(20)] for i in range(4)]


def _in_a_fork(pipe: Any) -> None:
    pipe.send(execute(SHOP, "SELECT count(*) FROM item").rows)
    pipe.close()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # Python 3.12 where there are threads
def test_a_fork_starts_its_own_and_leaves_its_parents_alone() -> None:
    guard = Guard(seconds=6.0)
    assert execute(SHOP, "SELECT 1", guard).ok and execute(SHOP, "SELECT 1").ok
    links = {id(w.session._link) for there in workers._idle.values() for w in there}
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=_in_a_fork, args=(theirs,))
    child.start()
    assert ours.recv() == ((3,),)
    child.join()
    assert child.exitcode == 0
    assert execute(SHOP, "SELECT 1", guard).ok and execute(SHOP, "SELECT 1").ok
    assert links == {id(w.session._link) for there in workers._idle.values() for w in there}


def test_close_all_ends_the_processes() -> None:
    assert execute(SHOP, "SELECT 1").ok
    close_all()
    assert not workers._idle
    assert execute(SHOP, "SELECT 1").ok


# --- copies

PEOPLE = Database(
    script="CREATE TABLE p (id INTEGER PRIMARY KEY, name TEXT UNIQUE, age INTEGER, city TEXT);\n"
    + "".join(f"INSERT INTO p VALUES ({i}, 'n{i}', {i % 7}, 'c{i % 3}');" for i in range(40))
    + "CREATE TABLE one (a); INSERT INTO one VALUES (5);"
)
ALL = "SELECT id, name, age, city FROM p ORDER BY id"


def test_each_copy_lacks_rows_and_no_row_is_in_all() -> None:
    whole = set(execute(PEOPLE, ALL).rows)
    copies = execute_on_copies(PEOPLE, ALL, [Copy(seed) for seed in range(6)])
    for three in (copies[:3], copies[3:]):
        assert all(set(c.rows) < whole and len(c.rows) > 10 for c in three)
        assert not set.intersection(*(set(c.rows) for c in three))
        assert sum(len(whole) - len(c.rows) for c in three) == len(whole)
    assert len({c.rows for c in copies}) == 6
    assert set(execute(PEOPLE, ALL).rows) == whole


def test_shuffled_copies_keep_keys_and_values() -> None:
    kept, shuffled = (execute_on_copies(PEOPLE, ALL, [Copy(1, kind)])[0].rows for kind in ("drop", "shuffle"))
    assert [row[:2] for row in kept] == [row[:2] for row in shuffled]
    for i in (2, 3):
        assert sorted(r[i] for r in kept) == sorted(r[i] for r in shuffled)
        assert [r[i] for r in kept] != [r[i] for r in shuffled]


def test_constants_are_planted_in_columns_of_their_name() -> None:
    planted = Copy(0, "plant", plant=(("AGE", 99), ("name", "Zoe"), ("no such", 1)))
    rows = execute_on_copies(PEOPLE, ALL, [planted])[0].rows
    assert 3 < sum(row[2] == 99 for row in rows) < len(rows)
    assert sum(row[1] == "Zoe" for row in rows) == 1, "a unique column holds it once"


@pytest.mark.parametrize("value", ["text", 1 << 70])
def test_what_a_column_refuses_is_not_planted_and_the_copy_lacks_rows_all_the_same(value: str | int) -> None:
    copies = [[Copy(seed, kind, plant=(("id", value),)) for seed in range(3)] for kind in ("drop", "plant")]
    dropped, planted = (execute_on_copies(PEOPLE, ALL, three) for three in copies)
    assert planted == dropped


def test_nothing_is_planted_twice_in_keys_and_where_it_is_to_stand_apart() -> None:
    each = "SELECT count(*), count(DISTINCT id), count(DISTINCT name), sum(age = 99), sum(city = 'X') FROM p"
    plant = (("id", 100), ("id", 3), ("name", "Zoe"), ("name", "n4"), ("age", 99), ("city", "X"))
    for result in execute_on_copies(PEOPLE, each, [Copy(seed, "plant", 3, plant, ("AGE",)) for seed in range(6)]):
        assert len(set(result.rows[0][:3])) == result.rows[0][3] == 1 < result.rows[0][4]


def test_copies_of_few_rows_have_each_row_once() -> None:
    copies = execute_on_copies(PEOPLE, ALL, [Copy(seed, "few", 8) for seed in range(8)])
    assert sorted(row for c in copies for row in c.rows) == sorted(execute(PEOPLE, ALL).rows)
    assert max(len(c.rows) for c in copies) < 15


def test_foreign_keys_that_hold_still_do_on_copies() -> None:
    def made(held: int) -> Database:
        tables = (
            "CREATE TABLE a (id INTEGER PRIMARY KEY);"
            "CREATE TABLE b (x INTEGER PRIMARY KEY, a INT REFERENCES a (id), up INT REFERENCES b (x));"
        )
        a = "".join(f"INSERT INTO a VALUES ({i});" for i in range(held))
        return Database(script=tables + a + "".join(f"INSERT INTO b VALUES ({i}, {i % 20}, 0);" for i in range(60)))

    rows, joined = "SELECT b.x FROM b", "SELECT b.x FROM b JOIN a ON b.a = a.id"
    copies = [Copy(seed, kind, plant=(("a", 77),)) for seed in range(6) for kind in ("drop", "plant")]
    assert execute_on_copies(made(20), rows, copies) == execute_on_copies(made(20), joined, copies)
    assert all(r.rows for r in execute_on_copies(made(20), rows, copies)), "a table may refer to itself"
    assert all(len(r.rows) > 25 for r in execute_on_copies(made(10), rows, copies)), "they did not hold before"


def test_generated_columns_and_odd_names_are_varied_too() -> None:
    script = "CREATE TABLE sqlitet (a, b AS (a + 1)); " + "".join(
        f"INSERT INTO sqlitet VALUES ({i});" for i in range(9)
    )
    got = execute_on_copies(Database(script=script), "SELECT b FROM sqlitet", [Copy(seed) for seed in range(3)])
    assert sorted(9 - len(r.rows) for r in got) != [0, 0, 0] and sum(9 - len(r.rows) for r in got) == 9


@pytest.mark.parametrize("name", ["ftse", "rtrees", "dbstats", "bytecodes"])
def test_own_tables_may_be_named_like_sqlites(name: str) -> None:
    shop = Database(script=f"CREATE TABLE {name} (id INTEGER PRIMARY KEY); INSERT INTO {name} VALUES (1), (2)")
    for sql in (f"SELECT count(*) FROM {name}", f"SELECT max(id) FROM {name}"):
        assert execute(shop, sql).rows == ((2,),)


def test_copies_are_the_same_in_every_process() -> None:
    program = (
        "from reasongym.sandbox.sqlite import *; import tests.sandbox.test_sqlite as t;"
        "print(execute_on_copies(t.PEOPLE, t.ALL, [Copy(4), Copy(2, 'shuffle'), Copy(3, 'plant', 3, (('age', 9),))]))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            timeout=100,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1 and "Result" in said.pop()


def test_copies_are_made_anew_when_they_were_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "CAPACITY", 2 << 20)
    guard = Guard(seconds=5.5)
    first = [execute_on_copies(PEOPLE, ALL, [Copy(seed)], guard)[0] for seed in range(30)]
    assert first == execute_on_copies(PEOPLE, ALL, [Copy(seed) for seed in range(30)][:5], guard) + first[5:]


# --- when results are equal


def test_s7_rows_are_a_multiset_in_order_only_where_that_is_asked() -> None:
    gold = table((1, "a"), (2, "b"), (2, "b"))
    assert match(gold, table((2, "b"), (1, "a"), (2, "b")), ordered=False)
    assert not match(gold, table((2, "b"), (1, "a"), (2, "b")), ordered=True)
    assert not match(gold, table((1, "a"), (1, "a"), (2, "b")), ordered=False), "duplicates matter"
    assert not match(gold, table((1, "a"), (2, "b")), ordered=False)


def test_s7_columns_may_stand_in_another_order_the_same_for_all_rows() -> None:
    gold = table((1, 2, "a"), (2, 1, "b"), (3, 3, "c"))
    for order in permutations(range(3)):
        moved = table(*(tuple(row[i] for i in order) for row in gold.rows))
        assert match(gold, moved, ordered=False) and match(gold, moved, ordered=True)
    assert not match(gold, table((1, 2, "a"), (1, 2, "b"), (3, 3, "c")), ordered=False)
    assert not match(table((1, 2), (2, 1), (1, 1)), table((1, 2), (1, 2), (1, 1)), ordered=False)
    assert not match(gold, table((1, "a"), (2, "b"), (3, "c")), ordered=False), "one column less"


def test_values_of_all_types() -> None:
    for value in (None, 0, 1, -(1 << 62), 0.5, "1", "", b"1", b"", "2024-01-01", float("inf")):
        assert match(table((value,)), table((value,)), ordered=False)
    for one, two in ((None, 0), (None, ""), (1, "1"), ("1", b"1"), (0.5, "0.5"), ("a", "A"), (1, 2), (1.0, "1.0")):
        assert not match(table((one,)), table((two,)), ordered=False), (one, two)
    assert match(table((1,)), table((1.0,)), ordered=True), "a number is a number"


def test_floats_have_a_tolerance_and_integers_do_not() -> None:
    assert match(table((0.1 + 0.2,), (1e9,)), table((1e9 + 1e-3,), (0.3,)), ordered=False)
    assert match(table((0.0,)), table((1e-17,)), ordered=False)
    assert not match(table((1.5,)), table((1.50001,)), ordered=False)
    assert match(table((1.5,)), table((1.50001,)), ordered=False, tolerance=1e-4)
    assert not match(table((1.5,)), table((1.5 + 1e-12,)), ordered=False, tolerance=0.0)
    assert not match(table((10**12, 0.5)), table((10**12 + 1, 0.5)), ordered=False)
    for between in (10**12 + 0.5, 10**12 + 1.0):
        assert not match(table((10**12, between)), table((10**12 + 1, between)), ordered=False), "nor by a float"
        assert not match(table((between, 10**12)), table((between, 10**12 + 1)), ordered=True)
    assert match(table((float("inf"), 0.5)), table((float("inf"), 0.5 + 1e-12)), ordered=False)


def test_errors_and_cut_results_equal_nothing() -> None:
    whole = table((1,))
    for other in (table((1,), more=True), table((1,), error="no"), table(error="no")):
        assert not match(whole, other, ordered=False) and not match(other, whole, ordered=False)
        assert not match(other, other, ordered=False)


def test_empty_results_are_equal_where_they_are_as_wide() -> None:
    assert match(Result(("a", "b")), Result(("x", "y")), ordered=False)
    assert not match(Result(("a", "b")), Result(("x",)), ordered=False)


VALUES = st.one_of(st.none(), st.integers(-2, 2), st.sampled_from(["a", "b", b"a", 0.5]))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_match_is_what_trying_everything_says(data: st.DataObject) -> None:
    width, height = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 5))
    rows = st.lists(st.tuples(*[VALUES] * width), min_size=height, max_size=height)
    one, two = data.draw(rows), data.draw(rows)
    if data.draw(st.booleans()):  # a change of the other one, so that both answers are frequent
        order, two = data.draw(st.permutations(range(width))), list(one)
        two = [tuple(row[i] for i in order) for row in data.draw(st.permutations(two))]
    for ordered in (False, True):
        wanted = any(
            (moved == one) if ordered else sorted(map(repr, moved)) == sorted(map(repr, one))
            for order in permutations(range(width))
            for moved in [[tuple(row[i] for i in order) for row in two]]
        )
        assert match(table(*one), table(*two), ordered) == wanted


def test_a_search_without_end_is_given_up_and_equal_columns_cost_nothing() -> None:
    rng = random.Random(0)
    rows = [[rng.randrange(2) for _ in range(40)] for _ in range(400)]
    for column in range(40):  # all columns with as many ones
        ones = [i for i, row in enumerate(rows) if row[column]]
        for i in ones[200:]:
            rows[i][column] = 0
        for i in [i for i, row in enumerate(rows) if not row[column]][: max(0, 200 - len(ones))]:
            rows[i][column] = 1
    gold = table(*map(tuple, rows))
    other = table(*(tuple(rng.sample(row, 40)) for row in rows))
    start = time.process_time()
    assert not match(gold, other, ordered=False)
    moved = [rng.sample(range(40), 40)]
    assert match(gold, table(*(tuple(row[i] for i in moved[0]) for row in rows[::-1])), ordered=False)
    same = table(*[(1,) * WIDEST] * 200)
    assert match(same, same, ordered=False) and match(same, replace(same, rows=same.rows[::-1]), ordered=False)
    assert time.process_time() - start < 20 * EFFORT / 1e6
    wide = table(*[tuple(range(200))] * 2, tuple(range(1, 201)))
    assert match(wide, replace(wide, rows=wide.rows[::-1]), ordered=False)
    assert not match(wide, table(*(row[::-1] for row in wide.rows[::-1])), ordered=False), "too wide to permute"
