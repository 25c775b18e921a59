"""A candidate query as a judge is shown it, and what is right and wrong about it, clause by clause."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from reasongym.sql.text import QUOTED, next_clause, normal_form, pieces

# Of a name alone, outside of quotes; a longer argument keeps its parentheses.
_CALL = re.compile(rf"{QUOTED} | \b(\w+)\(((?:distinct\ )?[\w.*]+)\)", re.VERBOSE)
ROWS, CELL = 5, 128  # of a result, and characters of a text in it

_ASK = """Decide whether the SQL query is the right answer to the question about this database.

{schema}
-- Question: {question}
-- SQL: {sql}{result}

First go through the query clause by clause, and say what each does. Then decide whether the whole gives just what \
is asked for. Judge only; do not write another query. End with your verdict as a JSON object: \
{{"correct": true or false}}"""


class Clause(NamedTuple):
    """One clause, such as ``where a = 1``, and whether the gold query has it too."""

    text: str
    right: bool

    @property
    def name(self) -> str:
        first, second = (*self.text.split(" ", 2), "")[:2]
        return f"{first} by" if second == "by" else first


def asked(question: str, sql: str, tables: Mapping[str, Sequence[str]], result: str = "") -> str:
    """The prompt of a judge.

    Source: arXiv 2505.03786, section 3 (its shape: the schema a line a table, question, query, result, JSON verdict).
    Differs: in words of our own.
    """
    schema = "\n".join(f"-- {table}: {', '.join(columns)}".lower() for table, columns in tables.items())
    shown = f"\n-- Result: {result}" if result else ""
    return _ASK.format(schema=schema, question=question, sql=sql, result=shown)


def asked_shortly(question: str, sql: str, tables: Mapping[str, Sequence[str]]) -> str:
    """For small models: the question, and the query as `spoken`, a line each."""
    return f"{question}\n{spoken(sql, tables)}\n"


def spoken(sql: str, tables: Mapping[str, Sequence[str]]) -> str:
    """The normal form as words a blank apart: ``MAX(BirthYear)`` is ``max birth year``, and ``'a'`` is ``' a '``.

    A name is split where the schema's own spelling of it is, so how the query spells it tells nothing.
    """
    words = {name.lower(): _words(name) for table, columns in tables.items() for name in (table, *columns)}

    def said(name: str) -> str:  # which may have its table's before it
        return ".".join(words.get(part, part) for part in name.split("."))

    return " ".join(_quoted(text) if kind == "kept" else said(text) for kind, text in pieces(_called(sql)))


def rewritten(sql: str, gold: str, tables: Mapping[str, Sequence[str]]) -> str:
    """A worked thought: the gold query as `spoken`, up to the first word that ``sql`` has not there, which is a no."""
    ours, theirs = spoken(sql, tables).split(), spoken(gold, tables).split()
    if ours == theirs:
        return " ".join(theirs)
    same = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(len(ours), len(theirs)))
    return " ".join([*theirs[: same + 1], "no"])


def _words(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).replace("_", " ").lower().strip()


def _quoted(text: str) -> str:
    opened = 1 + (text[0] in "xX")  # of a blob
    return f"{text[:opened]} {text[opened:-1]} {text[-1]}"


def _called(sql: str) -> str:
    """The normal form with functions of a name alone called without parentheses."""
    return _CALL.sub(lambda m: f"{m[1]} {m[2]}" if m[1] else m.group(), normal_form(sql).removesuffix(";"))


def result_text(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """The first rows of a result, column by column; ``None`` where there is no row.

    Source: arXiv 2505.03786 and llm-planning-eval (5 rows, texts cut to 128 characters). Differs: none.
    """
    if not rows:
        return "None"
    cut = [[str(cell)[:CELL] for cell in row] for row in rows[:ROWS]]
    return "; ".join(f"{name}: {', '.join(cells)}" for name, cells in zip(columns, zip(*cut, strict=True), strict=True))


def compared(sql: str, gold: str) -> list[Clause]:
    """The clauses of a query, each marked, and at the end those of the gold query that it lacks, marked wrong."""
    ours, theirs = _clauses(sql), _clauses(gold)
    marked = [Clause(text, text in theirs) for text in ours]
    names = {clause.name for clause in marked}
    lacking = [Clause(text, False) for text in theirs if Clause(text, False).name not in names]
    return [*marked, *lacking]


def _clauses(sql: str) -> list[str]:
    whole, prefix, found = normal_form(sql), "", list[str]()
    while prefix != whole:
        longer = next_clause(prefix, whole)
        found.append(longer[len(prefix) :].strip(" ;"))
        prefix = longer
    return found
