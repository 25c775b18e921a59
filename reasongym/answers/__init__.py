r"""Checking answers: find the answer in a response, and compare it exactly with the gold answer.

Plain answers (numbers, letters, words, and tuples, intervals, sets, matrices of these) never leave this process.
Only where algebra is needed (``\frac{\sqrt3}{3}`` against ``\frac{1}{\sqrt3}``) does math-verify decide, in a
process that the kernel kills after ``timeout_s`` (see `worker`). What counts as equal is written down in `compare`.
"""

from __future__ import annotations

import math
from fractions import Fraction

from reasongym.answers.algebra import TIMEOUT_S, Algebra
from reasongym.answers.compare import same
from reasongym.answers.extraction import extract
from reasongym.answers.notation import MAX_CHARS, read
from reasongym.answers.numerals import plain
from reasongym.answers.spelling import squeeze
from reasongym.answers.worker import stop_workers
from reasongym.core import HostError, UserError, Verdict

__all__ = ["INSTRUCTION", "TIMEOUT_S", "ask", "check", "equal", "extract", "stop_workers"]

INSTRUCTION = "Please reason step by step, and put your final answer within \\boxed{}."

Gold = str | int | float | Fraction


def ask(question: str) -> str:
    """The prompt that asks ``question`` and for an answer that `extract` will find."""
    return f"{question}\n\n{INSTRUCTION}"


def check(text: str, gold: Gold, *, timeout_s: float = TIMEOUT_S) -> Verdict:
    """The verdict on a whole response: 1.0 iff the answer that `extract` finds equals ``gold``.

    Whatever ``text`` is, the verdict is valid: what cannot be parsed, or not within ``timeout_s`` seconds, is a
    wrong answer. ``valid=False`` says that the worker process could not be run.
    """
    answer = extract(text)
    if answer is None:
        return Verdict(0.0)
    try:
        return Verdict(float(equal(answer, gold, timeout_s=timeout_s)), answer)
    except HostError as error:
        return Verdict(0.0, answer, valid=False, detail={"error": str(error)})


def equal(answer: str, gold: Gold, *, timeout_s: float = TIMEOUT_S) -> bool:
    """Whether ``answer``, alone and without a text around it, equals ``gold`` (see `compare` for the rules)."""
    wanted = _text(gold)
    ours, theirs = plain(wanted), plain(answer)
    if ours is not None and theirs is not None:  # the most common case by far, and what follows is 20 times slower
        return ours == theirs
    if (short := squeeze(answer)) == squeeze(wanted):
        return bool(short)
    if len(answer) > MAX_CHARS or len(wanted) > MAX_CHARS:
        return False
    gold_value, value = read(wanted), read(answer)
    return gold_value is not None and value is not None and same(gold_value, value, Algebra(timeout_s))


def _text(gold: Gold) -> str:
    if isinstance(gold, bool) or not isinstance(gold, (str, int, float, Fraction)):
        raise UserError(f"gold answer {gold!r} must be a string or a number, not {type(gold).__name__}")
    if isinstance(gold, float) and not math.isfinite(gold):
        raise UserError(f"gold answer {gold!r} is not a finite number")
    return str(gold)
