"""What a judge is shown, and the clauses of a candidate that are not those of the gold query."""

from __future__ import annotations

import pytest

from reasongym.sql.evidence import steps
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


@pytest.mark.parametrize(
    ("question", "gold", "sql", "told"),
    [
        (
            "What is the total insured value of the exhibits whose material is clay?",
            "SELECT SUM(InsuredValue) FROM Exhibit WHERE material = 'clay'",
            "SELECT SUM(InsuredValue) FROM Exhibit WHERE material = 'clay'",
            ["sum total yes", "c yes", "c yes", "= is yes", "v yes"],
        ),
        ("What is the highest price?", "SELECT MAX(price) FROM t", "SELECT AVG(price) FROM t", ["avg highest no"]),
        (
            "List the names of all books, from the lowest number of pages to the highest.",
            "SELECT book_name FROM book ORDER BY book_pages",
            "SELECT book_name FROM book ORDER BY book_pages DESC",
            ["c yes", "c yes", "desc lowest no"],
        ),
        (
            "How many books have a price of at least 3?",
            "SELECT COUNT(*) FROM book WHERE price >= 3",
            "SELECT COUNT(*) FROM book",
            ["count how many yes", "missing no"],
        ),
        ("Which name?", "SELECT name FROM t", "SELECT DISTINCT name FROM t", ["distinct - no"]),
    ],
)
def test_what_the_question_says_of_each_part(question: str, gold: str, sql: str, told: list[str]) -> None:
    assert [str(step) for step in steps(question, sql, gold)] == told


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
