"""Queries as text and as trees: normal form, clauses, hardness."""

from __future__ import annotations

import json
import os
import sqlite3
from collections import Counter
from pathlib import Path

import pytest

from reasongym.core import UserError
from reasongym.sql.hardness import hardness
from reasongym.sql.text import next_clause, normal_form

DATA = Path(os.environ.get("REASONGYM_DATA", ""), "spider_en")


@pytest.mark.parametrize(
    ("sql", "normal"),
    [
        ("SELECT  count( * )\nFROM singer", "select count(*) from singer;"),
        ("select a ,b from T where x='It''s A' ;", "select a, b from t where x = 'It''s A';"),
        ('SELECT "Song Name" FROM t -- why\n', 'select "Song Name" from t;'),
        ("select a from t; drop table t", "select a from t;"),
        ("SELECT a FROM t WHERE b IN(SELECT c FROM u)", "select a from t where b in (select c from u);"),
        ("select t1.a from t as t1 where t1.b>=3 and c!=4", "select t1.a from t as t1 where t1.b >= 3 and c != 4;"),
        ("select a from t where w>1E-5 and v<.5e+3-1", "select a from t where w > 1e-5 and v < .5e+3 - 1;"),
        ("select 5-1, 0x1E-5, t1e-5, a.b", "select 5 - 1, 0x1e - 5, t1e - 5, a.b;"),
        ("select X'4142'||x", "select X'4142' || x;"),
        ("select j->'$.a', j ->> 'a'", "select j -> '$.a', j ->> 'a';"),
        (" ; -- why\n;SELECT 1;", "select 1;"),
        ("/* nothing */ ;", ""),
        ("", ""),
    ],
)
def test_normal_form(sql: str, normal: str) -> None:
    assert normal_form(sql) == normal
    assert normal_form(normal) == normal


def test_a_search_goes_from_clause_to_clause() -> None:
    whole = "select a from t where x in (select y from u where z = 'from') group by a order by b limit 3;"
    steps, prefix = [], ""
    while prefix != whole:
        longer = next_clause(prefix, whole)
        steps.append(longer.removeprefix(prefix).strip())
        prefix = longer
    assert steps == [
        "select a",
        "from t",
        "where x in (select y from u where z = 'from')",
        "group by a",
        "order by b",
        "limit 3;",
    ]


@pytest.mark.parametrize(
    ("sql", "named"),
    [  # of Spider's own examples
        ("SELECT COUNT(*) FROM cars_data WHERE cylinders > 4", "easy"),
        ("; SELECT count(*) FROM singer; -- why", "easy"),
        ("SELECT 1;;", "easy"),
        ("SELECT T2.name, COUNT(*) FROM a AS T1 JOIN b AS T2 ON T1.i = T2.i GROUP BY T1.i", "medium"),
        (
            "SELECT T1.c FROM a AS T1 JOIN b AS T2 ON T1.x = T2.y JOIN c AS T3 ON T2.z = T3.z "
            "WHERE T3.f = 'e' GROUP BY T1.c HAVING count(*) >= 3",
            "extra",
        ),
        ("SELECT AVG(e) FROM c WHERE n NOT IN (SELECT T1.n FROM c AS T1 JOIN d AS T2 ON T1.k = T2.k)", "hard"),
        ("SELECT a FROM t UNION SELECT b FROM u", "hard"),
        ("SELECT a FROM t WHERE b = 1 UNION SELECT b FROM u WHERE c = 2", "hard"),
        ("SELECT a, b FROM t WHERE c = 1 OR d = 2 EXCEPT SELECT a, b FROM u", "extra"),
    ],
)
def test_hardness(sql: str, named: str) -> None:
    assert hardness(sql) == named


@pytest.mark.parametrize("sql", ["select from where ((", "", "; -- nothing", f"SELECT {'(' * 2000}1{')' * 2000}"])
def test_hardness_of_no_sql(sql: str) -> None:
    with pytest.raises(UserError, match="no SQL"):
        hardness(sql)


@pytest.mark.skipif(not DATA.is_dir(), reason="REASONGYM_DATA holds no spider_en")
def test_on_all_of_spider() -> None:
    """The normal form runs and finds the same rows; the shares of the classes are near those that Spider states."""
    rows = [json.loads(line) for line in (DATA / "dev.jsonl").read_text().splitlines()]
    for row in rows:
        base = sqlite3.connect(f"file:{DATA}/database/{row['db_id']}/{row['db_id']}.sqlite?mode=ro", uri=True)
        base.text_factory = lambda raw: raw.decode("utf-8", "replace")
        assert base.execute(normal_form(row["query"])).fetchall() == base.execute(row["query"]).fetchall(), row["query"]
        base.close()
    shares = {name: count / len(rows) for name, count in Counter(hardness(row["query"]) for row in rows).items()}
    published = {"easy": 248 / 1034, "medium": 446 / 1034, "hard": 174 / 1034, "extra": 166 / 1034}
    assert all(abs(shares[name] - published[name]) < 0.06 for name in published), shares
