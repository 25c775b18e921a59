"""What the words of a question say about each part of a query: the worked thoughts that small judges learn from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

from reasongym.sql.text import normal_form, pieces

NONE = "-"
_WORDS = {  # kind of a part: what it is called in a query, and the words of a question that speak of it
    "aggregate": (
        ("avg", "sum", "min", "max", "count"),
        "average|total|highest|lowest|latest|earliest|how many|most common|most|at least",
    ),
    "comparison": ((">", "<", ">=", "<=", "=", "<>", "!="), "more than|less than|at least|at most|above|below|is"),
    "direction": (("asc", "desc"), "highest|lowest|latest|earliest|most"),
    "connective": (("and", "or"), "and whose|or whose"),
    "distinct": (("distinct",), "different"),
}
_FIND = {kind: re.compile(rf"\b(?:{words})\b") for kind, (_, words) in _WORDS.items()}
_KIND = {part: kind for kind, (parts, _) in _WORDS.items() for part in parts}
_PLAIN = frozenset("select from where group by having order limit as join on in not like between is null".split())


class Step(NamedTuple):
    """One part: the question's words for it, what stands in the query, and whether that is right."""

    words: str
    part: str
    right: bool

    def __str__(self) -> str:
        return f"{self.words} {self.part} {'yes' if self.right else 'no'}"


def steps(question: str, sql: str, gold: str) -> list[Step]:
    """The parts of a query in order, up to the first that is wrong, each with the words that speak of it.

    The words are found by spelling and by a short list of English phrases; ``-`` stands where none are found.
    """
    ours, theirs = _parts(sql), _parts(gold)
    asked, found = question.lower(), list[Step]()
    for same, a, b, c, d in SequenceMatcher(None, theirs, ours, autojunk=False).get_opcodes():
        if same == "equal":
            found += [Step(_words(asked, part), part, True) for part in theirs[a:b] if _tells(part)]
            continue
        missed = next((part for part in theirs[a:b] if _tells(part)), "")
        found.append(Step(_words(asked, missed), " ".join(ours[c:d]) or "missing", False))
        break
    return found


def _parts(sql: str) -> list[str]:
    """The tokens of the normal form; an ORDER BY that does not fall is said to rise."""
    tokens = [text for _, text in pieces(normal_form(sql)) if text not in ("(", ")", ",", ";", "*")]
    told: list[str] = []
    for i, token in enumerate(tokens):
        if told and told[-1] == "from":
            told[-1] = f"from {token}"  # a table: no question names its columns by it
            continue
        told.append(token)
        last = i + 1 == len(tokens) or tokens[i + 1] == "limit"
        if last and "order" in tokens[: i + 1] and "limit" not in told and token not in ("asc", "desc"):
            told.append("asc")
    return told


def _tells(part: str) -> bool:
    return part not in _PLAIN and not part.startswith("from ")


def _words(asked: str, part: str) -> str:
    """What the question says about a part."""
    if not part:
        return NONE
    if (kind := _KIND.get(part)) is not None:
        found = _FIND[kind].search(asked)
        return found.group() if found else NONE
    if part[0] in "'\"" or part[0].isdigit():
        inner = part.strip("'\"")
        return inner if re.search(rf"\b{re.escape(inner.lower())}\b", asked) else NONE
    return _spelled(re.findall(r"[a-z]+", asked), re.sub(r"[^a-z]", "", part.rpartition(".")[2])) or NONE


def _spelled(words: Sequence[str], name: str) -> str:
    """The longest run of up to three words that a name ends in, or is the singular of."""
    best = ""
    for n in (3, 2, 1):
        for i in range(len(words) - n + 1):
            run = "".join(words[i : i + n])
            fits = name.endswith(run) or name.endswith(run.removesuffix("s"))
            if fits and len(run) > max(2, len(best.replace(" ", ""))):
                best = " ".join(words[i : i + n])
    return best
