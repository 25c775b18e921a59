"""Mutants of gold queries: what each kind does, and that all of them are queries."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from reasongym.core import UserError
from reasongym.sql.mutants import KINDS, canonical, mutants, mutate

DATA = Path(os.environ.get("REASONGYM_DATA", ""), "spider_en")
SCHEMA = {"Singer": ["Name", "Age", "Country"], "song": ["title", "singer", "year"]}


@pytest.mark.parametrize(
    ("kind", "sql", "changed"),
    [
        ("aggregate", "SELECT avg(age) FROM singer", {f"SELECT {f}(age) FROM singer" for f in ("SUM", "MIN", "MAX")}),
        ("comparison", "SELECT 1 FROM song WHERE year = 'x'", {"SELECT 1 FROM song WHERE year <> 'x'"}),
        ("column", "SELECT name FROM singer", {"SELECT age FROM singer", "SELECT country FROM singer"}),
        (
            "distinct",
            "SELECT count(DISTINCT name) FROM singer",
            {"SELECT COUNT(name) FROM singer", "SELECT DISTINCT COUNT(DISTINCT name) FROM singer"},
        ),
        ("distinct", "SELECT name FROM singer", {"SELECT DISTINCT name FROM singer"}),
        ("number", "SELECT 'a' FROM song LIMIT 3", {"SELECT 'a' FROM song LIMIT 4", "SELECT 'a' FROM song LIMIT 2"}),
        ("order", "SELECT 1 FROM song ORDER BY x DESC", {"SELECT 1 FROM song ORDER BY x"}),
        ("connective", "SELECT 1 FROM t WHERE a AND b", {"SELECT 1 FROM t WHERE a OR b"}),
        (
            "condition",
            "SELECT 1 FROM t WHERE a AND b",
            {"SELECT 1 FROM t", "SELECT 1 FROM t WHERE a", "SELECT 1 FROM t WHERE b"},
        ),
        ("negation", "SELECT 1 FROM t WHERE NOT a LIKE 'x'", {"SELECT 1 FROM t WHERE a LIKE 'x'"}),
        ("set", "SELECT 1 UNION SELECT 2", {"SELECT 1 INTERSECT SELECT 2", "SELECT 1 EXCEPT SELECT 2"}),
    ],
)
def test_each_kind(kind: str, sql: str, changed: set[str]) -> None:
    assert {m.sql for m in mutants(sql, SCHEMA) if m.kind == kind} == changed


def test_columns_come_from_the_table_that_the_alias_names() -> None:
    sql = "SELECT T1.name FROM singer AS T1 JOIN song AS T2 ON T1.name = T2.singer"
    found = {m.sql for m in mutants(sql, SCHEMA) if m.kind == "column"}
    assert "SELECT T1.age FROM singer AS T1 JOIN song AS T2 ON T1.name = T2.singer" in found
    assert not any("T1.title" in text or "T2.age" in text for text in found)
    assert any("T2.singer = T2.singer" not in text and "= T2.title" in text for text in found), "joins are changed too"


def test_one_is_drawn_from_all_and_the_same_by_the_same_stream() -> None:
    sql = "SELECT name FROM singer WHERE age > 20 ORDER BY age DESC LIMIT 3"
    every = set(mutants(sql, SCHEMA))
    drawn = {mutate(sql, SCHEMA, np.random.default_rng(n)) for n in range(200)}
    assert drawn <= every and {m.kind for m in drawn if m} == {m.kind for m in every}
    assert mutate(sql, SCHEMA, np.random.default_rng(5)) == mutate(sql, SCHEMA, np.random.default_rng(5))
    assert canonical(sql) not in {m.sql for m in every}


def test_nothing_to_change() -> None:
    assert mutants("VALUES ('a')", SCHEMA) == []
    assert mutate("VALUES ('a')", SCHEMA, np.random.default_rng(0)) is None


def test_what_is_no_sql() -> None:
    with pytest.raises(UserError, match="no SQL"):
        mutants("SELECT FROM WHERE ((", SCHEMA)


@pytest.mark.skipif(not DATA.is_dir(), reason="REASONGYM_DATA holds no spider_en")
def test_spiders_mutants_execute_and_its_gold_means_the_same_in_their_style() -> None:
    tables = {t["db_id"]: t for t in json.loads((DATA / "tables.json").read_text())}
    rows = [json.loads(line) for line in (DATA / "dev.jsonl").read_text().splitlines()][::12]
    kinds, failed, count = set(), 0, 0
    for row in rows:
        columns = tables[row["db_id"]]["column_names_original"]
        schema = {
            name: [c for t, c in columns if t == n]
            for n, name in enumerate(tables[row["db_id"]]["table_names_original"])
        }
        base = sqlite3.connect(f"file:{DATA}/database/{row['db_id']}/{row['db_id']}.sqlite?mode=ro", uri=True)
        base.text_factory = lambda raw: raw.decode("utf-8", "replace")
        assert base.execute(canonical(row["query"])).fetchall() == base.execute(row["query"]).fetchall()
        for mutant in mutants(row["query"], schema):
            kinds.add(mutant.kind)
            count += 1
            try:
                base.execute(mutant.sql).fetchmany(10)
            except sqlite3.Error:
                failed += 1
        base.close()
    assert count > 500 and failed / count < 0.02 and len(kinds) >= len(KINDS) - 2
