"""What a judge is shown, and the clauses of a candidate that are not those of the gold query."""

from __future__ import annotations

import pytest

from reasongym.sql.judged import asked, asked_shortly, compared, result_text, rewritten, spoken

GOLD = "SELECT name FROM book WHERE price > 3 ORDER BY price LIMIT 1"


@pytest.mark.parametrize(
    ("sql", "wrong"),
    [
        (GOLD.lower(), []),
        ("SELECT price FROM book WHERE price > 3 ORDER BY price LIMIT 1", ["select price"]),
        (
            "SELECT name FROM book WHERE price >= 3 ORDER BY price DESC LIMIT 1",
            ["where price >= 3", "order by price desc"],
        ),
        ("SELECT name FROM book ORDER BY price LIMIT 1", ["where price > 3"]),
        ("SELECT name FROM book WHERE price > 3 ORDER BY price", ["limit 1"]),
    ],
)
def test_clauses_that_differ(sql: str, wrong: list[str]) -> None:
    assert [clause.text for clause in compared(sql, GOLD) if not clause.right] == wrong


def test_clause_names() -> None:
    names = [clause.name for clause in compared("SELECT a FROM t GROUP BY a HAVING b UNION SELECT c FROM u", GOLD)]
    assert names == ["select", "from", "group by", "having", "union", "select", "from", "where", "order by", "limit"]


SCHEMA = {"Exhibit": ["ExhibitId", "Name", "InsuredValue", "Material"], "museum": ["museum_id", "opening_year"]}


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("SELECT MAX(InsuredValue), count(*) FROM Exhibit", "select max insured value , count * from exhibit"),
        ("select exhibitid from exhibit", "select exhibit id from exhibit"),
        ("SELECT COUNT(DISTINCT e.Material) FROM Exhibit AS e", "select count distinct e.material from exhibit as e"),
        ("SELECT 1 FROM museum WHERE opening_year > 3.5;", "select 1 from museum where opening year > 3.5"),
        ("SELECT Name WHERE Material = 'Red_Clay' OR x = ''", "select name where material = ' Red_Clay ' or x = '  '"),
        ("SELECT sum(a + 1) FROM t", "select sum ( a + 1 ) from t"),
        ("SELECT X'4A'", "select X' 4A '"),
        ("SELECT max(a) WHERE b = 'f(x)' OR \"g(x)\" = 1", "select max a where b = ' f(x) ' or \" g(x) \" = 1"),
        ("SELECT max(InsuredValue", "select max ( insured value"),
        ("", ""),
    ],
)
def test_a_query_in_words(sql: str, told: str) -> None:
    assert spoken(sql, SCHEMA) == told


def test_no_spelling_tells_who_wrote_a_name() -> None:
    assert spoken("SELECT insuredvalue FROM EXHIBIT", SCHEMA) == spoken("SELECT InsuredValue FROM Exhibit", SCHEMA)


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        (GOLD, "select name from book where price > 3 order by price limit 1"),
        ("SELECT price FROM book WHERE price > 3 ORDER BY price LIMIT 1", "select name no"),
        ("SELECT name FROM book WHERE price > 3 ORDER BY price DESC LIMIT 1", None),
        ("SELECT name FROM book ORDER BY price LIMIT 1", "select name from book where no"),
        ("SELECT name FROM book WHERE price > 3 ORDER BY price", None),
        (f"{GOLD} OFFSET 1", "select name from book where price > 3 order by price limit 1 no"),
    ],
)
def test_the_gold_query_is_rewritten_up_to_the_first_difference(sql: str, told: str | None) -> None:
    told = told or "select name from book where price > 3 order by price limit no"
    assert rewritten(sql, GOLD, {"book": ["name", "price"]}) == told


def test_a_result_as_it_is_shown() -> None:
    assert result_text(("a", "b"), [(1, "x"), (2, None)]) == "a: 1, 2; b: x, None"
    assert result_text(("a",), []) == "None"
    assert result_text(("a",), [(n,) for n in range(9)]) == "a: 0, 1, 2, 3, 4"
    assert result_text(("a",), [("y" * 500,)]) == "a: " + "y" * 128


def test_prompts() -> None:
    long = asked("How many?", "select 1;", {"Book": ["Id", "Name"]}, "1: 1")
    assert "-- book: id, name\n-- Question: How many?\n-- SQL: select 1;\n-- Result: 1: 1\n" in long
    assert "-- Result" not in asked("How many?", "select 1;", {})
    assert asked_shortly("How many?", "SELECT aB FROM t;", {"t": ["aB"]}) == "How many?\nselect a b from t\n"
