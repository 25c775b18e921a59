"""What the words of a question say about the parts of a query: the worked thoughts that small judges learn from."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import NamedTuple

from reasongym.sql.text import normal_form, pieces

MISSING = "missing"
_BOUNDS = "more than|less than|at least|at most|above|below"
_WORDS = {  # what parts of a kind are called in a query, and the words that speak of them: the first that are found
    ("avg", "sum", "min", "max"): ("average|total|highest|lowest|latest|earliest",),
    ("count",): ("how many", "different", "most|at least"),
    (">", "<", ">=", "<="): (_BOUNDS, "is"),
    ("=", "<>"): ("is", _BOUNDS),
    ("asc", "desc"): ("highest|lowest|most",),
    ("and", "or"): ("and whose|or whose",),
    ("distinct",): ("different",),
    ("intersect", "except", "union"): ("both|but not|one list|and also",),
}
_FIND = {
    part: [re.compile(rf"\b(?:{words})\b") for words in by_turns]
    for parts, by_turns in _WORDS.items()
    for part in parts
}
_PLAIN = frozenset("select from where group by having order limit as join on in not like between is null".split())


class Step(NamedTuple):
    """One part of a query, what the question says of it (for operators alone), and whether it is right."""

    part: str
    words: str
    right: bool

    def __str__(self) -> str:
        """A name is but ``c`` and a constant ``v``: to copy them is more than a small model can learn."""
        mark = "yes" if self.right else "no"
        if self.part in _FIND:
            return f"{self.part} {self.words or '-'} {mark}"
        constant = self.part[0] in "'\"" or self.part[0].isdigit()
        return f"{self.part if self.part == MISSING else 'v' if constant else 'c'} {mark}"


def steps(question: str, sql: str, gold: str) -> list[Step]:
    """The parts of a query in order, up to the first that is wrong."""
    ours, theirs = _parts(sql), _parts(gold)
    asked, found = question.lower(), list[Step]()
    for same, _, _, start, end in SequenceMatcher(None, theirs, ours, autojunk=False).get_opcodes():
        parts = [part for part in ours[start:end] if part not in _PLAIN and not part.startswith("from ")]
        if same != "equal":
            part = parts[0] if parts else MISSING
            return [*found, Step(part, _said(asked, part), False)]
        found += [Step(part, _said(asked, part), True) for part in parts]
    return found


def _said(asked: str, part: str) -> str:
    """The question's first words that speak of parts of this kind."""
    found = (pattern.search(asked) for pattern in _FIND.get(part, ()))
    return next((match.group() for match in found if match), "")


def _parts(sql: str) -> list[str]:
    """The tokens of the normal form; tables stand with their FROM, and an ORDER BY that does not fall rises."""
    tokens = [text for _, text in pieces(normal_form(sql)) if text not in ("(", ")", ",", ";", "*")]
    told: list[str] = []
    for i, token in enumerate(tokens):
        if told and told[-1] == "from":
            told[-1] = f"from {token}"
        else:
            told.append(token)
        last = i + 1 == len(tokens) or tokens[i + 1] == "limit"
        if last and "order" in told and "limit" not in told and token not in ("asc", "desc"):
            told.append("asc")
    return told
