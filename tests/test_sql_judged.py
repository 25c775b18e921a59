"""What a judge is shown, and the clauses of a candidate that are not those of the gold query."""

from __future__ import annotations

import pytest

from reasongym.sql.judged import asked, asked_shortly, compared, result_text

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


def test_a_result_as_it_is_shown() -> None:
    assert result_text(("a", "b"), [(1, "x"), (2, None)]) == "a: 1, 2; b: x, None"
    assert result_text(("a",), []) == "None"
    assert result_text(("a",), [(n,) for n in range(9)]) == "a: 0, 1, 2, 3, 4"
    assert result_text(("a",), [("y" * 500,)]) == "a: " + "y" * 128


def test_prompts() -> None:
    long = asked("How many?", "select 1;", {"Book": ["Id", "Name"]}, "1: 1")
    assert "-- book: id, name\n-- Question: How many?\n-- SQL: select 1;\n-- Result: 1: 1\n" in long
    assert "-- Result" not in asked("How many?", "select 1;", {})
    assert asked_shortly("How many?", "select 1;") == "How many?\nselect 1;\n"
