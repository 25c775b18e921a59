"""The program of a worker: questions on stdin, one a line, and replies on stdout; it ends with its stdin.

It is run by path and imports nothing of reasongym, to start fast. Each question is answered by a fork, whose exit code
is the reply: a fork starts warm and clean, and whatever a text does to it (time, memory, a crash) ends with it.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import re
import resource
import signal
import sys
from fractions import Fraction
from typing import Any

MEMORY = 2 << 30  # bytes of address space for one question
DIGITS = 60  # beyond those of the question itself
POINTS = (Fraction(17, 11), Fraction(29, 7), Fraction(5, 13))  # for a numeric test, the n-th variable n steps further
REPLIES = {0: "equal", 1: "different"}  # by exit code; all else is "failed"
WARM = [  # so that no fork pays for what its first question would build
    ([r"\frac{\sqrt{3}}{3}"], [r"\frac{1}{\sqrt{3}}"]),
    ([r"x^{2}-1"], ["(x-1)(x+1)"]),
    (["y", "2x"], ["2x-y", "0"]),
    ([r"\sin(2x)+\frac{\pi}{4}"], [r"2\sin x\cos x+\pi/4"]),
    (["3-4i"], ["-4i+3"]),
    ([r"e^{2}"], [r"2\log_2 8"]),
]


def equal(gold: list[str], answer: list[str]) -> bool:
    """Whether two expressions, or two equations given as their sides, are the same."""
    real = not any(_complex(text) for text in gold + answer)
    ours, theirs = [_parse(text, real) for text in gold], [_parse(text, real) for text in answer]
    digits = DIGITS + sum(map(len, gold + answer))
    if len(ours) == len(theirs) == 1:
        return _same(ours[0], theirs[0], digits)
    if len(ours) != len(theirs):
        return False
    return _proportional(ours[0] - ours[1], theirs[0] - theirs[1], digits)


def _complex(text: str) -> bool:
    from math_verify.grader import should_treat_as_complex

    return bool(should_treat_as_complex(text)) or "i" in re.sub(r"\\[A-Za-z]+", " ", text)


def _parse(text: str, real: bool) -> Any:
    """math-verify's parser, in the case that is written, with units left alone and decimals exact."""
    import sympy
    from latex2sympy2_extended.latex2sympy2 import ConversionConfig, NormalizationConfig, latex2sympy

    tidy = NormalizationConfig(
        basic_latex=True, units=False, malformed_operators=True, nits=False, boxed="none", equations=False
    )
    parsed = latex2sympy(
        text, is_real=real, normalization_config=tidy, conversion_config=ConversionConfig(lowercase_symbols=False)
    )
    if not isinstance(parsed, sympy.Expr) or parsed.has(sympy.nan, sympy.zoo, sympy.oo):
        raise ValueError("not one finite expression")
    exact = {f: sympy.Rational(str(f)) for f in parsed.atoms(sympy.Float)}
    unit = {} if real else {s: sympy.I for s in parsed.free_symbols if s.name == "i"}
    return parsed.xreplace(exact | unit)


def _same(gold: Any, answer: Any, digits: int) -> bool:
    """math-verify's verdict, after a numeric test: it compares to 15 digits, which would let 22 digits of pi pass."""
    from math_verify import verify

    if gold == answer:
        return True
    if not all(_near(gold, answer, at, digits) for at in POINTS):
        return False
    return bool(verify(gold, answer, numeric_precision=digits, timeout_seconds=None))


def _near(gold: Any, answer: Any, at: Fraction, digits: int) -> bool:
    import sympy

    names = sorted(gold.free_symbols | answer.free_symbols, key=str)
    here = {s: sympy.Rational(at.numerator, at.denominator) + n for n, s in enumerate(names)}
    a, b = (side.subs(here).doit().evalf(digits, maxn=4 * digits + 400) for side in (gold, answer))
    if not (a.is_number and b.is_number):
        return True  # an unknown function, say: there is no number to test
    return bool(abs(a - b) <= sympy.Float(10) ** -(digits - 10) * max(abs(a), abs(b)))


def _proportional(gold: Any, answer: Any, digits: int) -> bool:
    """Whether two left sides of ``... = 0`` differ by a constant factor other than 0."""
    import sympy

    if not gold.free_symbols or not answer.free_symbols:
        return False
    factor = sympy.simplify(gold / answer)
    return bool(factor.is_number and not factor.has(sympy.nan, sympy.zoo, sympy.oo) and factor != 0)


def _answer(question: dict[str, Any]) -> int:
    """In a fork: the exit code. The timers' signals have their default action, which no code here can hold up.

    Half of the time may be spent computing: so the verdict does not change with the machine's other work, short of
    half of its time.
    """
    signal.setitimer(signal.ITIMER_REAL, question["timeout_s"])
    signal.setitimer(signal.ITIMER_PROF, question["timeout_s"] / 2)
    try:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        return 0 if equal(question["gold"], question["answer"]) else 1
    except BaseException:
        return 2


def main() -> None:
    """Serve until stdin ends."""
    out = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # whatever a library prints is no reply
    try:
        import math_verify  # noqa: F401
    except ImportError as error:
        os.write(out, f"{error}\n".encode())
        return
    logging.disable()
    for gold, answer in WARM:
        equal(gold, answer)
    for timer in (signal.SIGALRM, signal.SIGPROF):  # the parent may have them ignored or blocked
        signal.signal(timer, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM, signal.SIGPROF})
    gc.freeze()
    os.write(out, b"ready\n")
    for line in sys.stdin.buffer:
        child = os.fork()
        if child == 0:
            os._exit(_answer(json.loads(line)))
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os.write(out, REPLIES.get(status, "failed").encode() + b"\n")


if __name__ == "__main__":
    main()
