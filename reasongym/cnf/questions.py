r"""Asking for a satisfying assignment, and judging what is answered.

`judge` reads the last ``\boxed{}`` strictly, `judge_saturn` as the official scorer does, and `judge_marked` what stands
after the last ``=`` (the answer to a `short` prompt). None raises, whatever the text is, and each takes time linear in
its length. A verdict's ``answer`` is what stood in the box; None where there was none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from reasongym.cnf.formula import LETTERS, UNSAT, Formula, satisfies
from reasongym.core import Verdict

BOX = "\\boxed{"

_PROMPT = """\
Find values, 0 (false) or 1 (true), of the {k} variables {names} for which this formula is true:

{formula}

{how} Every clause must be true, and a clause is true if at least one of its literals is. {more}

Please reason step by step. Answer with {k} characters, each 0 or 1: the values of the variables in their order, \
without spaces{unsat}. Put your final answer within \\boxed{{}}."""
_LETTERS = 'Clauses are separated by " & "; the literals of a clause stand side by side; "!" negates the next variable.'
_DIMACS = "This is a DIMACS CNF file: each further line is a clause, ended by 0, and -3 is the negation of variable 3."

_SPLIT = re.compile(r"[\s,;]+")
_SET = re.compile(r"\s*(?:x_?)?([A-Z]|\d{1,7})\s*[=:]\s*([01])\s*")
_WRAPPED = re.compile(r"\\text\{([^{}]*)\}|\\[{}]|[$\[\](){}]")


def ask(formula: str, k: int, *, letters: bool = True, unsat: bool = False) -> str:
    """The question in words. ``unsat``: there may be no solution, and then the answer is UNSAT."""
    names = (LETTERS[:k] if k < 3 else f"{LETTERS[0]} to {LETTERS[k - 1]}") if letters else f"1 to {k}"
    return _PROMPT.format(
        k=k,
        names=names,
        formula=formula.rstrip("\n"),
        how=_LETTERS if letters else _DIMACS,
        more="There may be no solution." if unsat else "There is a solution, and any one is right.",
        unsat=f", or with {UNSAT} if there is no solution" if unsat else "",
    )


def short(formula: str, k: int, *, letters: bool = True) -> str:
    """The question as a small byte model may read it: ``3:AB!C&!ABC``, or the DIMACS file itself."""
    return f"{k}:{formula}" if letters else formula.rstrip("\n")


def judge(text: str, clauses: Formula, k: int, gold: str) -> Verdict:
    r"""1.0 iff the last box holds an assignment of all ``k`` variables that satisfies the clauses.

    It may be written as 101, 1 0 1, [1, 0, 1] or A=1, B=0, C=1 (x1=1, x2=0 ...); nothing may be missing or left over.
    ``UNSAT`` is right iff it is the ``gold`` answer.
    """
    start = _last_box(text)
    if start is None:
        return Verdict(0.0)
    body = _closed(text, start, 64 + 32 * k)
    if body is None:  # no box that one could read, but one it is
        return Verdict(0.0, text[start : start + k])
    bits = body if len(body) == k and not body.strip("01") else unmarked(body, k)
    return Verdict(_score(bits, clauses, gold), body)


def judge_marked(text: str, clauses: Formula, k: int, gold: str) -> Verdict:
    """1.0 iff after the last ``=`` stand k characters, 0 or 1, that satisfy the clauses (or a rightful UNSAT)."""
    at = text.rfind("=")
    if at < 0:
        return Verdict(0.0)
    body = text[at + 1 : at + 2 + max(k, len(UNSAT))]
    bits = body if body == UNSAT or (len(body) == k and not body.strip("01")) else None
    return Verdict(_score(bits, clauses, gold), body)


def judge_saturn(text: str, clauses: Formula, k: int, gold: str) -> Verdict:
    r"""The official scorer's verdict, for parity: the last ``\boxed{...}`` that closes on its line, read by position.

    Missing characters count as 0, further ones are ignored, and one that is neither 0 nor 1 makes no literal true.

    Source: Saturn-code ``src/reward_function/reward_func.py``.
    Differs: none in the score. Its regular expression takes quadratic time on boxes that never close, this does not.
    """
    body = _last_match(text)
    if body is None:
        return Verdict(0.0)
    values = body[:k].ljust(k, "0")
    holds = {v if bit == "1" else -v for v, bit in enumerate(values, 1) if bit in "01"}
    return Verdict(float(not any(map(holds.isdisjoint, clauses))), body)


def unmarked(body: str, k: int) -> str | None:
    """The assignment, or UNSAT, that an answer spells in any of the forms that `judge` takes; else None."""
    if len(body) > 64 + 32 * k:
        return None
    plain = _WRAPPED.sub(lambda found: found[1] or "", body).strip()
    if plain.upper() in (UNSAT, "UNSATISFIABLE"):
        return UNSAT
    if len(plain) == k and not plain.strip("01"):
        return plain
    words = _SPLIT.split(plain.strip(",; \n\t"))
    if len(words) == k and all(word in ("0", "1") for word in words):
        return "".join(words)
    return _from_equations(re.split(r"[,;\n]|(?<=[01])\s+(?=\w)", plain.strip(",; \n\t")), k)


def _from_equations(parts: Sequence[str], k: int) -> str | None:
    """``["A=1", "B=0"]`` as 10: each variable once, by letter or by number."""
    found: dict[int, str] = {}
    for part in parts:
        match = _SET.fullmatch(part)
        if match is None:
            return None
        name = match[1]
        v = int(name) if name.isdecimal() else ord(name) - 64
        if v in found or not 1 <= v <= k:
            return None
        found[v] = match[2]
    return "".join(found[v] for v in range(1, k + 1)) if len(found) == k else None


def _score(bits: str | None, clauses: Formula, gold: str) -> float:
    if bits is None or bits == UNSAT:
        return float(bits == gold)
    return float(satisfies(clauses, bits))


def _last_box(text: str) -> int | None:
    """Where the last box begins that has any closing brace after it: one at the very end was cut off."""
    end = text.rfind("}")
    at = text.rfind(BOX, 0, max(end, 0))
    return None if at < 0 else at + len(BOX)


def _closed(text: str, start: int, most: int) -> str | None:
    """The text from ``start`` to the brace that closes it, at most ``most`` characters later."""
    end, other = text.find("}", start, start + most), text.find("{", start, start + most)
    if end < 0 or not 0 <= other < end:
        return text[start:end].strip() if end >= 0 else None
    depth = 1
    for i in range(other, min(len(text), start + most)):
        depth += (text[i] == "{") - (text[i] == "}")
        if depth == 0:
            return text[start:i].strip()
    return None


def _last_match(text: str) -> str | None:
    r"""What the last match of ``\\boxed{(.*?)}`` captures: found left to right, on one line, up to the next brace."""
    found, end, line = None, -1, -1
    at = text.find(BOX)
    while at >= 0:
        start = at + len(BOX)
        if end < start and (end := text.find("}", start)) < 0:
            break
        if line < start and (line := text.find("\n", start)) < 0:
            line = len(text)
        if end < line:
            found = text[start:end]
            at = text.find(BOX, end + 1)
        else:
            at = text.find(BOX, start)
    return found
