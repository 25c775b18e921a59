"""Is what matches right? Gold against gold, mutants against an independent comparison, and traps.

    python -m benchmarks.sql_match [--data FOLDER] [--mutants 6000] [--save]

``gold``: the gold query of every question, given as an answer, through the task itself: each must score 1.

``mutants``: single changes of the gold queries (`reasongym.sql.mutants`), at least 5,000, labelled by plain execution
match. Each label is compared with one that this file makes on its own: the query is run by the standard library on the
file, and results are compared by trying all permutations of the columns, as Spider's test suite does. ``false_match``
counts those that only the task takes for right, and traps; ``false_miss`` those that only it takes for wrong.
``refuted`` are mutants that equal the gold result on the database and not on its copies (the default rule).

``traps``: queries that are wrong and may look right, by kind, under the default rule.

``exec_ms_p50``: median time to execute a query in the sandbox and compare its result, database open and gold result
known, over the dev set; ``verify_ms_p50`` is all of ``task.verify``, with the copies.
"""

from __future__ import annotations

import argparse
import os
import random
import sqlite3
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import permutations
from typing import Any

from benchmarks.report import finish
from reasongym.core import Problem, UserError
from reasongym.parts import make
from reasongym.sandbox.sqlite import Database, execute, match
from reasongym.sql.execution import ExecutionMatch
from reasongym.sql.folders import Item, read
from reasongym.sql.mutants import mutants
from reasongym.sql.schema import names
from reasongym.sql.text import is_ordered

BAR = {"dev": 493, "train": 3482, "mutants": 5000, "exec_ms_p50": 0.4}
ROUNDS = 5  # of the timing
STEPS, WIDEST = 20_000, 6  # thousands of SQLite's steps in the comparison; columns whose permutations are all tried

PETS = """CREATE TABLE pet (id INTEGER PRIMARY KEY, name TEXT, kind TEXT, age INTEGER, weight REAL, owner_id INTEGER);
CREATE TABLE owner (id INTEGER PRIMARY KEY, name TEXT, city TEXT, pets INTEGER);
INSERT INTO owner VALUES (1, 'Ann', 'Rome', 3), (2, 'Bob', 'Oslo', 2), (3, 'Cid', 'Rome', 1), (4, 'Dan', 'Lima', 0),
 (5, 'Eve', 'Lima', 0), (6, 'Fay', 'Kyiv', 0);
INSERT INTO pet VALUES (1, 'Rex', 'dog', 4, 20.5, 1), (2, 'Tom', 'cat', 9, 4.25, 1), (3, 'Jim', 'dog', 2, 11.0, 2),
 (4, 'Kit', 'cat', NULL, 3.5, 2), (5, 'Moo', 'cow', 6, 300.0, 1), (6, 'Bug', 'cat', 3, 5.0, 3);"""
# kind, gold query, and a query that must not count as right
TRAPS: tuple[tuple[str, str, str], ...] = (
    ("duplicates", "SELECT DISTINCT kind FROM pet", "SELECT kind FROM pet"),
    ("duplicates", "SELECT kind FROM pet", "SELECT DISTINCT kind FROM pet"),
    ("duplicates", "SELECT city FROM owner", "SELECT city FROM owner UNION SELECT city FROM owner"),
    ("duplicates", "SELECT kind FROM pet", "SELECT kind FROM pet UNION ALL SELECT 'dog' EXCEPT SELECT 'cow'"),
    ("duplicates", "SELECT kind FROM pet", "SELECT p.kind FROM pet p JOIN owner o"),
    ("duplicates", "SELECT count(DISTINCT kind) FROM pet", "SELECT count(kind) FROM pet"),
    ("duplicates", "SELECT kind FROM pet", "VALUES ('dog'), ('cat'), ('cow')"),
    ("order", "SELECT name FROM pet ORDER BY weight", "SELECT name FROM pet ORDER BY weight DESC"),
    ("order", "SELECT name FROM pet ORDER BY weight", "SELECT name FROM pet"),
    ("order", "SELECT name, age FROM pet ORDER BY weight", "SELECT age, name FROM pet ORDER BY age"),
    ("order", "SELECT name FROM pet UNION SELECT name FROM owner ORDER BY 1 DESC", "SELECT name FROM pet UNION SELECT name FROM owner"),  # noqa: E501
    ("order", "WITH x AS (SELECT * FROM pet) SELECT name FROM x ORDER BY weight", "SELECT name FROM pet ORDER BY id"),
    ("empty", "SELECT name FROM pet WHERE age > 500", "SELECT name FROM pet WHERE age < 0"),
    ("empty", "SELECT name FROM pet WHERE age > 500", "SELECT name FROM pet WHERE 0"),
    ("empty", "SELECT name FROM pet WHERE age > 500", "SELECT name FROM pet LIMIT 0"),
    ("empty", "SELECT name FROM pet WHERE age > 500", "SELECT name FROM owner WHERE pets > 500"),
    ("empty", "SELECT name FROM pet WHERE age > 500", "SELECT 1 WHERE 0"),
    ("empty", "SELECT name FROM pet WHERE age > 500", "SELECT name, age FROM pet WHERE age > 500"),
    ("empty", "SELECT name FROM pet WHERE kind = 'owl'", "SELECT name FROM pet WHERE kind = 'fox'"),
    ("empty", "SELECT name FROM pet WHERE age > 500", "SELECT name FROM pet WHERE age >= 500"),
    ("empty", "SELECT name FROM pet WHERE name LIKE '%zz%'", "SELECT name FROM pet WHERE kind LIKE '%zz%'"),
    ("empty", "SELECT count(*) FROM pet WHERE age > 500", "SELECT 0"),
    ("empty", "SELECT max(age) FROM pet WHERE age > 500", "SELECT NULL"),
    ("empty", "SELECT count(*) FROM pet WHERE kind = 'owl'", "SELECT count(*) FROM pet WHERE 0"),
    ("host", "SELECT count(*) FROM pet", "ATTACH 'trap.db' AS x"),
    ("host", "SELECT count(*) FROM pet", "SELECT count(*) FROM pet; ATTACH 'trap.db' AS x"),
    ("host", "SELECT name FROM pet WHERE age > 500", "DELETE FROM pet"),
    ("host", "SELECT name FROM pet WHERE age > 500", "CREATE TABLE x AS SELECT 1"),
    ("host", "SELECT name FROM pet WHERE age > 500", "PRAGMA user_version = 3"),
    ("host", "SELECT count(*) FROM pet", "EXPLAIN SELECT count(*) FROM pet"),
    ("constant", "SELECT count(*) FROM pet", "SELECT 6"),
    ("constant", "SELECT count(*) FROM pet", "SELECT 6 LIMIT 1"),
    ("constant", "SELECT count(*) FROM pet", "SELECT 6 FROM pet LIMIT 1"),
    ("constant", "SELECT count(*) FROM pet", "WITH x(n) AS (VALUES (6)) SELECT n FROM x"),
    ("constant", "SELECT count(*) FROM pet", "SELECT count(*) FROM json_each('[1,2,3,4,5,6]')"),
    ("constant", "SELECT count(*) FROM pet", "SELECT max(id) FROM pet WHERE id = 6"),
    ("constant", "SELECT name FROM pet ORDER BY age DESC LIMIT 1", "SELECT 'Tom'"),
    ("constant", "SELECT name FROM pet ORDER BY age DESC LIMIT 1", "SELECT name FROM pet WHERE id = 2"),
    ("constant", "SELECT name FROM pet WHERE age = (SELECT max(age) FROM pet)", "SELECT name FROM pet WHERE age = 9"),
    ("constant", "SELECT name FROM pet WHERE kind = 'dog'", "VALUES ('Rex'), ('Jim')"),
    ("constant", "SELECT name FROM pet WHERE kind = 'dog'", "SELECT name FROM pet WHERE name IN ('Rex', 'Jim') OR id = 0 AND kind IS NULL OR id = 1"),  # noqa: E501
    ("constant", "SELECT avg(weight) FROM pet", "SELECT 57.375"),
    ("constant", "SELECT kind, count(*) FROM pet GROUP BY kind", "VALUES ('cat', 3), ('cow', 1), ('dog', 2)"),
    ("constant", "SELECT count(*) FROM pet p JOIN owner o ON p.owner_id = o.id", "SELECT 6"),
    ("constant", "SELECT p.name FROM pet p JOIN owner o ON p.owner_id = o.id WHERE o.city = 'Rome'", "VALUES ('Rex'), ('Tom'), ('Moo'), ('Bug')"),  # noqa: E501
    ("constant", "SELECT p.name FROM pet p JOIN owner o ON p.owner_id = o.id WHERE o.city = 'Rome'", "SELECT name FROM pet WHERE id IN (1, 2, 5, 6)"),  # noqa: E501
    ("constant", "SELECT o.name, count(*) FROM owner o JOIN pet p ON p.owner_id = o.id GROUP BY o.id", "VALUES ('Ann', 3), ('Bob', 2), ('Cid', 1)"),  # noqa: E501
    ("constant", "SELECT name FROM pet WHERE id <> 'x'", "VALUES ('Rex'), ('Tom'), ('Jim'), ('Kit'), ('Moo'), ('Bug')"),
    ("luck", "SELECT count(*) FROM pet", "SELECT count(*) FROM owner"),
    ("luck", "SELECT count(*) FROM pet", "SELECT count(*) FROM owner LIMIT 1"),
    ("luck", "SELECT name FROM pet WHERE age >= 6", "SELECT name FROM pet WHERE age > 4 LIMIT 1000"),
    ("luck", "SELECT kind FROM pet GROUP BY kind HAVING count(*) >= 2", "SELECT kind FROM pet GROUP BY kind HAVING sum(age) < 20 AND kind <> 'cow' LIMIT 9"),  # noqa: E501
    ("luck", "SELECT count(*) FROM pet", "SELECT max(id) FROM owner"),
    ("luck", "SELECT count(*) FROM pet", "SELECT age FROM pet WHERE name = 'Moo'"),
    ("luck", "SELECT count(*) FROM pet", "SELECT sum(pets) FROM owner"),
    ("luck", "SELECT name FROM pet ORDER BY age DESC LIMIT 1", "SELECT max(name) FROM pet"),
    ("luck", "SELECT name FROM pet ORDER BY weight DESC LIMIT 1", "SELECT name FROM pet WHERE kind = 'cow'"),
    ("luck", "SELECT count(*) FROM pet WHERE kind = 'dog'", "SELECT count(*) FROM owner WHERE city = 'Rome'"),
    ("value", "SELECT age FROM pet WHERE id = 1", "SELECT '4'"),
    ("value", "SELECT age FROM pet WHERE id = 1", "SELECT CAST(age AS TEXT) FROM pet WHERE id = 1"),
    ("value", "SELECT name FROM pet WHERE id = 1", "SELECT CAST(name AS BLOB) FROM pet WHERE id = 1"),
    ("value", "SELECT age FROM pet", "SELECT coalesce(age, 0) FROM pet"),
    ("value", "SELECT age FROM pet", "SELECT coalesce(age, '') FROM pet"),
    ("value", "SELECT count(*) FROM pet", "SELECT count(age) FROM pet"),
    ("value", "SELECT avg(weight) FROM pet", "SELECT round(avg(weight), 2) FROM pet"),
    ("value", "SELECT name FROM pet", "SELECT lower(name) FROM pet"),
    ("columns", "SELECT name, kind FROM pet", "SELECT name FROM pet"),
    ("columns", "SELECT name FROM pet", "SELECT name, kind FROM pet"),
    ("columns", "SELECT id, age FROM pet WHERE age > 0", "SELECT min(id, age), max(id, age) FROM pet WHERE age > 0"),
    ("columns", "SELECT id, owner_id FROM pet", "SELECT id, 4 - owner_id FROM pet"),
    ("columns", "SELECT o.name, p.name FROM pet p JOIN owner o ON o.id = p.owner_id", "SELECT p.name, p.name FROM pet p JOIN owner o ON o.id = p.owner_id"),  # noqa: E501
    ("limit", "SELECT name FROM pet ORDER BY weight LIMIT 3", "SELECT name FROM pet ORDER BY weight LIMIT 2"),
    ("limit", "SELECT name FROM pet ORDER BY weight LIMIT 2", "SELECT name FROM pet ORDER BY weight LIMIT 2 OFFSET 1"),
)  # fmt: skip


def check_traps(rule: ExecutionMatch) -> dict[str, dict[str, Any]]:
    """How many traps of each kind there are, and which count as right."""
    pets = Database(script=PETS)
    found: dict[str, dict[str, Any]] = {}
    for kind, gold, query in TRAPS:
        right = rule.judge(pets, gold, gold)
        if right.score != 1.0:
            raise AssertionError(f"the gold query of a trap does not match itself: {gold}: {right}")
        entry = found.setdefault(kind, {"n": 0, "matched": []})
        entry["n"] += 1
        if rule.judge(pets, gold, query).score != 0.0:
            entry["matched"].append(query)
    return found


def check_gold(folder: str, split: str) -> tuple[dict[str, int], list[str]]:
    """Every gold query as an answer, through the task."""
    task = make("tasks", f"sql(source={folder!r}, split={split!r})")
    failed = []
    for i in range(len(task)):
        problem: Problem = task.problem(i)
        verdict = task.verify(problem, f"The query is\n```sql\n{problem.answer}\n```")
        if not (verdict.valid and verdict.score == 1.0):
            failed.append(f"{split} {i}: {problem.answer}: {dict(verdict.detail)}")
    return {"n": len(task), "passed": len(task) - len(failed)}, failed


# --- mutants


def drawn_mutants(items: Sequence[Item], wanted: int, rng: random.Random) -> Iterator[tuple[Item, str, str]]:
    """(question, kind, query): a few of each question, in a random order of the questions, each pair once."""
    order = list(items)
    rng.shuffle(order)
    seen = set()
    each = 1 + -(-2 * wanted // len(order))
    for item in order:
        try:
            there = mutants(item.gold, names(item.tables))
        except UserError:
            continue
        kinds = sorted({m.kind for m in there})
        for _ in range(each if there else 0):  # a kind first, or most would be another column
            kind = rng.choice(kinds)
            mutant = rng.choice([m for m in there if m.kind == kind])
            if (item.path, item.gold, mutant.sql) not in seen:
                seen.add((item.path, item.gold, mutant.sql))
                yield item, mutant.kind, mutant.sql


def check_mutants(items: Sequence[Item], wanted: int, seed: int) -> dict[str, Any]:
    plain, default = ExecutionMatch(copies=0, empty="spider"), ExecutionMatch()
    counts: Counter[str] = Counter()
    by_kind: dict[str, Counter[str]] = {}
    differ = []
    for item, kind, sql in drawn_mutants(items, wanted, random.Random(seed)):
        if counts["n"] >= wanted:
            break
        database = Database(path=item.path)
        ours, theirs = plain.judge(database, item.gold, sql), compared(item.path, item.gold, sql)
        if theirs is None:
            counts["undecided"] += 1  # too many columns, or too long to run
            continue
        label = "right" if ours.score else "failed" if "error" in ours.detail else "wrong"
        counts.update(["n", label])
        by_kind.setdefault(kind, Counter()).update([label])
        if bool(ours.score) != theirs:
            counts["false_match" if ours.score else "false_miss"] += 1
            differ.append([item.path, item.gold, sql])
        if ours.score and not default.judge(database, item.gold, sql).score:
            counts["refuted"] += 1
    keys = ("n", "right", "wrong", "failed", "refuted", "false_match", "false_miss", "undecided")
    return {**{key: counts[key] for key in keys}, "by_kind": by_kind, "differ": differ[:10]}


def compared(path: str, gold: str, sql: str) -> bool | None:
    """The label by other means: the standard library on the file, every permutation of the columns."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as file:
        file.text_factory = lambda raw: str(raw, "utf-8", "backslashreplace")
        wanted = _run(file, gold)
        got = _run(file, sql)
    if wanted is None or got == "slow":
        return None
    if got is None or isinstance(got, str) or isinstance(wanted, str):
        return False
    (width, rows), (other, found) = wanted, got
    if width != other or len(rows) != len(found):
        return False
    if width > WIDEST and rows != found:
        return None if Counter(map(frozenset, rows)) == Counter(map(frozenset, found)) else False
    ordered = is_ordered(gold)
    rounded = [tuple(_rounded(v) for v in row) for row in rows]
    again = [tuple(_rounded(v) for v in row) for row in found]
    for order in permutations(range(width)) if width <= WIDEST else [tuple(range(width))]:
        moved = [tuple(row[i] for i in order) for row in again]
        if moved == rounded if ordered else Counter(moved) == Counter(rounded):
            return True
    return False


def _rounded(value: Any) -> Any:
    return float(f"{value:.8g}") if isinstance(value, float) else value


def _run(file: sqlite3.Connection, sql: str) -> tuple[int, list[Any]] | str | None:
    left = [STEPS]

    def tick() -> bool:
        left[0] -= 1
        return left[0] < 0

    file.set_progress_handler(tick, 1000)
    try:
        cursor = file.execute(sql)
        rows = cursor.fetchmany(20_000)
    except sqlite3.Error:
        return "slow" if left[0] < 0 else None
    return len(cursor.description or ()), rows


# --- time


def time_executions(items: Sequence[Item]) -> dict[str, Any]:
    """Of a query that is right, over all items, `ROUNDS` times."""
    rule = ExecutionMatch()
    known = [(Database(path=i.path), i.gold, rule.golden(Database(path=i.path), i.gold)[0]) for i in items]
    executed, verified = [], []
    for database, sql, gold in known * (1 + ROUNDS):
        start = time.perf_counter()
        same = match(gold, execute(database, sql, rule.guard(len(gold.rows))), is_ordered(sql))
        executed.append(time.perf_counter() - start)
        assert same
    executed = executed[len(known) :]  # the first round opens the databases
    for database, sql, _ in known:
        rule.judge(database, sql, sql)  # whose copies are open, and gold results known, from here on
        start = time.perf_counter()
        rule.judge(database, sql, sql)
        verified.append(time.perf_counter() - start)
    return {
        "exec_ms_p10": 1e3 * sorted(executed)[len(executed) // 10],
        "exec_ms_p50": 1e3 * statistics.median(executed),
        "exec_ms_p99": 1e3 * sorted(executed)[len(executed) * 99 // 100],
        "exec_n": len(executed),
        "verify_ms_p50": 1e3 * statistics.median(verified),
        "load": os.getloadavg()[0],
    }


def main(data: str, wanted: int, seed: int, save: bool) -> bool:
    started = time.perf_counter()
    folder = os.path.join(data, "spider_en")
    if not data or not os.path.isdir(folder):
        raise UserError(f"no folder {folder!r}: set REASONGYM_DATA or --data to a folder with spider_en/")
    items = {split: read(folder, split) for split in ("dev", "train")}
    traps = check_traps(ExecutionMatch())
    gold, failed = {}, []
    for split in items:
        gold[split], lines = check_gold(folder, split)
        failed += lines
    mutated = check_mutants([*items["dev"], *items["train"]], wanted, seed)
    times = time_executions(items["dev"])
    false = mutated["false_match"] + sum(len(t["matched"]) for t in traps.values())
    ok = (
        all(gold[s]["passed"] == gold[s]["n"] >= BAR[s] for s in gold)
        and mutated["n"] >= BAR["mutants"]
        and false == mutated["false_miss"] == 0
        and times["exec_ms_p50"] <= BAR["exec_ms_p50"]
    )
    figures = {
        "gold": gold,
        "gold_failed": failed[:10],
        "mutants": mutated["n"],
        "mutants_detail": mutated,
        "false_match": false,
        "traps": traps,
        **times,
    }
    return bool(finish("sql_match", ok, figures, seeds=(seed,), started=started, save=save)["ok"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("REASONGYM_DATA", ""), help="a folder with spider_en/")
    parser.add_argument("--mutants", dest="wanted", type=int, default=6000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", action="store_true")
    try:
        sys.exit(not main(**vars(parser.parse_args())))
    except UserError as error:
        sys.exit(f"sql_match: {error}")
