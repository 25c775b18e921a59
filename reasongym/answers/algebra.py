r"""Algebra on LaTeX: what may go to math-verify, and in which spelling."""

from __future__ import annotations

import re
import time

from reasongym.answers.worker import ask_worker

MAX_LATEX = 500  # characters
TIMEOUT_S = 1.5  # on the clock; half of it computing

_FUNCTIONS = (
    "arcsin|arccos|arctan|sinh|cosh|tanh|sin|cos|tan|cot|sec|csc|log|ln|exp|theta|alpha|beta|gamma|lambda|pi|sqrt"
)
_BARE = re.compile(rf"(?<![\\A-Za-z])({_FUNCTIONS})(?![A-Za-z])")
_ROOT = re.compile(r"\\sqrt\s*\(([^()]*)\)|\\sqrt\s*([0-9]+)")
_POWER = re.compile(r"\^\s*(?:\(([^()]*)\)|(-?\d+))")
_COMMAND = re.compile(r"\\[A-Za-z]+")
_COMMANDS = frozenset(
    f"{_FUNCTIONS}|frac|cdot|times|div|binom|lvert|rvert|lfloor|rfloor|lceil|rceil|overline|delta|epsilon|varepsilon|"
    "zeta|eta|iota|kappa|mu|nu|xi|rho|sigma|tau|phi|varphi|chi|psi|omega|Gamma|Delta|Theta|Lambda|Sigma|Phi|Psi|Omega|"
    "ell|imath".split("|")
)
# What is left besides commands. Numbers side by side and longer words are no expression, whatever a lenient parser
# would make of them, and neither are relations, commas and text.
_REST = re.compile(r"[-+/^_()\[\]{}|!.\sA-Za-z0-9]*")
_NO_EXPRESSION = re.compile(r"\d\s+[\d.]|[\d.]\s*_|\.\d*\.|[A-Za-z]{4}|!\s*!")


class Algebra:
    """Decides by algebra, for at most ``timeout_s`` seconds over all that one comparison asks."""

    def __init__(self, timeout_s: float = TIMEOUT_S) -> None:
        self._left = timeout_s

    def __call__(self, gold: tuple[str, ...], answer: tuple[str, ...]) -> bool:
        ours, theirs = [expression(g) for g in gold], [expression(a) for a in answer]
        if None in ours or None in theirs or _letters(gold) != _letters(answer) or self._left <= 0:
            return False
        start = time.monotonic()
        try:
            return ask_worker([str(g) for g in ours], [str(a) for a in theirs], self._left)
        finally:
            self._left -= time.monotonic() - start


def expression(text: str) -> str | None:
    r"""``text`` as the LaTeX of one expression, or None. Plain spellings such as sqrt(2)*x^10 are translated."""
    if not text or len(text) > MAX_LATEX or not _balanced(text):
        return None
    text = _BARE.sub(r"\\\1 ", text.replace("**", "^").replace("*", r"\cdot "))
    text = _ROOT.sub(lambda m: rf"\sqrt{{{m[1] or m[2]}}}", text)
    text = _POWER.sub(lambda m: f"^{{{m[1] or m[2]}}}", text)
    rest = _COMMAND.sub(" ", text)
    known = _COMMANDS.issuperset(command[1:] for command in _COMMAND.findall(text))
    return text if known and _REST.fullmatch(rest) and not _NO_EXPRESSION.search(rest) else None


def _balanced(text: str) -> bool:
    depth = 0
    for char in text.replace(r"\{", "").replace(r"\}", ""):
        depth += (char == "{") - (char == "}")
        if depth < 0:
            return False
    return depth == 0


def _letters(sides: tuple[str, ...]) -> set[str]:
    """The letters of variables, in their case: equal expressions have the same (but for e, a number)."""
    return {c for side in sides for c in _COMMAND.sub(" ", _BARE.sub(" ", side)) if c.isalpha()} - {"e"}
