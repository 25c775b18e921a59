"""The query that a response gives."""

from __future__ import annotations

import re

from reasongym.sql.text import first_statement

_FENCE = re.compile(r"```[ \t]*sql(?:ite)?\b[ \t]*", re.IGNORECASE)
_OTHER = re.compile(r"```[a-z]*[ \t]*\n(.*?)```", re.IGNORECASE | re.DOTALL)
_BEGINS = re.compile(
    r"(?:select|with\s+(?:recursive\s+)?\w+\s*(?:\([^()]*\)\s*)?as\s*(?:not\s+materialized\s*|materialized\s*)?\()\W*",
    re.IGNORECASE,
)  # noqa: E501
_LINE = re.compile(r"^[ \t>*`]*(?:[^\n:`]{0,40}:[ \t`]*)?(?=(?:select|with)\s)", re.IGNORECASE | re.MULTILINE)
_BLANK = re.compile(r"\n[ \t]*\n")
LONGEST = 1 << 16  # characters of a response's end in which a query without a fence is looked for


def query_in(text: str) -> str | None:
    """The answer of a response, or None.

    It is what stands in the last block that begins with three back-ticks and ``sql``, whether it is closed or not.
    Without any, it is the last block of another kind that begins like a query; without that, the last paragraph with a
    line that begins like one (``SELECT``, ``WITH name AS (``, or either after a few words and a colon), from there to
    the semicolon.
    """
    fences = list(_FENCE.finditer(text))
    if fences:
        return _clean(text[fences[-1].end() :].partition("```")[0])
    end = text[-LONGEST:]
    blocks = [block for block in _OTHER.findall(end) if _BEGINS.match(block.lstrip())]
    return _clean(blocks[-1]) if blocks else _bare(end)


def _bare(text: str) -> str | None:
    for paragraph in reversed(_BLANK.split(text)):
        for line in _LINE.finditer(paragraph):
            rest = paragraph[line.end() :]
            if _BEGINS.match(rest):
                return _clean(_statement(rest))
    return None


def _statement(text: str) -> str:
    """Up to the first semicolon outside of quotes, or a back-tick that closes what was opened before."""
    found = first_statement(text)
    return text.rstrip("`* \n") if found is None else found


def _clean(sql: str) -> str | None:
    return sql.strip().rstrip(";").rstrip() or None
