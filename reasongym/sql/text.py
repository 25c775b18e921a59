"""Queries as text: a normal form in which equal ones compare equal, and where the next clause ends."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

QUOTED = r"""[xX]?'(?:[^']|'')*'? | "(?:[^"]|"")*"? | `[^`]*`? | \[[^\]]*\]?"""  # a text, a blob or a name
_PIECE = re.compile(
    rf"""
    (?P<skip>\s+ | --[^\n]*\n? | /\*.*?(?:\*/|\Z))
  | (?P<kept>{QUOTED})
  | (?P<word>\.?\d[\d._]*[eE][+-]\d+ | [\w.]+)
  | (?P<sign>->>? | [<>=!|]+ | .)
    """,
    re.VERBOSE | re.DOTALL,
)
_APART = frozenset(  # words that a parenthesis stands apart from, unlike a function's name
    "all and as between by case distinct else except exists from having in intersect is join like limit not on or "
    "over select set then union using values when where with".split()
)
_CLAUSE = re.compile(r"\b(select|from|where|group by|having|order by|limit|intersect|union|except)\b")
_FROM = re.compile(r"\s+from\b", re.IGNORECASE)


def pieces(sql: str) -> list[tuple[str, str]]:
    """(kind, text) of every token but comments and blanks: kind is ``kept`` (quoted), ``word`` or ``sign``."""
    found = ((str(m.lastgroup), m.group()) for m in _PIECE.finditer(sql))
    return [(kind, text) for kind, text in found if kind != "skip"]


def first_statement(sql: str) -> str | None:
    """What stands before the first semicolon outside of quotes and comments; None where there is no such semicolon."""
    return next((sql[: m.start()] for m in _PIECE.finditer(sql) if m["sign"] == ";"), None)


def normal_form(sql: str) -> str:
    """The first statement in lower case outside of quotes, evenly spaced, with one final semicolon; "" for none.

    Source: llm-planning-eval ``utils/normalize_sql.py``, as arXiv 2505.03786 uses it to tell candidates apart.
    Differs: keywords are in lower case as all else, and double quotes stay, since they may quote a name.
    """
    text, last = "", ""
    for kind, token in pieces(sql):
        if token == ";":
            if text:
                break
            continue
        token = token if kind == "kept" else token.lower()
        tight = not text or token in (",", ")") or last == "(" or (token == "(" and _calls(last))
        text, last = text + ("" if tight else " ") + token, token
    return f"{text};" if text else ""


def _calls(word: str) -> bool:
    return bool(re.fullmatch(r"[\w.]+", word)) and word not in _APART


def next_clause(prefix: str, sql: str) -> str:
    """``prefix`` and the next clause of ``sql``, which begins with it: up to the keyword of the one after, or the end.

    Both are in `normal_form` (a prefix lacks the semicolon).

    Source: llm-planning-eval ``planning_methods.py``: the tree search's step is the next SQL clause.
    Differs: keywords are found outside of quotes and parentheses by a scanner, not by sqlparse.
    """
    starts = [at for at in _clause_starts(sql) if at > len(prefix) + 1]
    return sql[: starts[0]].rstrip() if starts else sql


def _clause_starts(sql: str) -> list[int]:
    """Where a clause of the outermost query begins."""
    masked, depth = [], 0
    for m in _PIECE.finditer(sql):
        depth -= m.group() == ")"
        hidden = m.lastgroup == "kept" or depth > 0
        depth += m.group() == "("
        masked.append("\x00" * len(m.group()) if hidden else m.group())
    return [m.start() for m in _CLAUSE.finditer("".join(masked))]


def is_ordered(sql: str) -> bool:
    """Whether the outermost query has an ORDER BY, so that the order of its rows is part of its answer."""
    return ("order", "by") in pairwise(_outermost(sql))


def has_limit(sql: str) -> bool:
    """Whether a LIMIT stands anywhere in it: which rows it leaves may hang on how ties are broken."""
    return any(kind == "word" and text.lower() == "limit" for kind, text in pieces(sql))


def without_distinct(sql: str) -> str:
    """The query with each DISTINCT left out, that of an aggregate too.

    Source: taoyds/test-suite-sql-eval ``exec_eval.py`` (``remove_distinct``).
    Differs: that of IS DISTINCT FROM stays.
    """

    def left(m: re.Match[str]) -> str:
        return "" if (m["word"] or "").lower() == "distinct" and not _FROM.match(sql, m.end()) else m.group()

    return _PIECE.sub(left, sql)


def _outermost(sql: str) -> Iterator[str]:
    """The words in no parentheses, in lower case; any other token as it is."""
    depth = 0
    for kind, text in pieces(sql):
        depth -= kind == "sign" and text == ")"
        if depth == 0:
            yield text.lower() if kind == "word" else text
        depth += kind == "sign" and text == "("
