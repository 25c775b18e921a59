"""The demonstration task: run a register of six digits until it shows 00."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from reasongym.core import Completion, Problem, UserError, Verdict

WIDTH = 6  # digits of the register
TRIES = 20_000  # end states drawn before a number of steps counts as out of reach; there are 9000
SLIPS = frozenset({(7, 8), (6, 7), (9, 6), (8, 4)})  # (s_{t-6}, s_{t-1}) where "slip" errs
SLIP_RATE, STRAY_RATE, NOISE_RATE = 0.6, 0.004, 0.02

_ANSWER = re.compile(r"[0-9]{4}")


@dataclass(frozen=True)
class Register:
    """``^`` and six digits: run the register until it writes ``00``, then ``=`` and the 4 digits before that.

    The next digit is s_t = (s_{t-1}^2 - s_{t-6} + 3) mod 10. The thought is the digits themselves,
    with no counter and no separator: a problem of n steps takes n digits, ``=abcd`` and an end token,
    n + 6 tokens. Everything that the next digit needs stands in the last six, so that a carry of 12
    tokens loses nothing.

    ``level`` 0 draws n uniformly from ``low`` .. ``high``; level k > 0 has exactly n = k steps.
    ``demonstrator`` chooses who writes `demonstrate`: ``"exact"`` never errs; ``"slip"`` writes the
    right digit + 1 with probability .6 at four of the 100 pairs (s_{t-6}, s_{t-1}), and a uniform
    digit with probability .004 elsewhere; ``"noise"`` writes a uniform digit with probability .02.
    The sloppy ones go on honestly from what they wrote.

    Source: none, our own.
    Differs: none.
    """

    low: int = 24
    high: int = 60
    demonstrator: Literal["exact", "slip", "noise"] = "exact"

    def __post_init__(self) -> None:
        if not 1 <= self.low <= self.high:
            raise UserError(f"register: low={self.low}, high={self.high} must be 1 <= low <= high")
        if self.demonstrator not in ("exact", "slip", "noise"):
            raise UserError(f"register: demonstrator={self.demonstrator!r} must be 'exact', 'slip' or 'noise'")

    def sample(self, rng: np.random.Generator, level: int = 0) -> Problem:
        if level < 0:
            raise UserError(f"register: level={level} must be 0 (n from low to high) or the number of steps")
        n = level or int(rng.integers(self.low, self.high + 1))
        for _ in range(TRIES):
            digits = _run_backwards(_end_state(rng), n)
            if digits is not None:
                start, answer = digits[:WIDTH], digits[-6:-2]
                return Problem.of(f"^{_text(start)}", _text(answer), level, n=n)
        raise UserError(f"register: no problem of exactly {n} steps was found; there are 80 of 480 steps, 5 of 700")

    def verify(self, problem: Problem, text: str) -> Verdict:
        """1.0 iff what follows the last ``=`` is the four right digits and nothing else, not even white space."""
        _, found, tail = text.rpartition("=")
        if not found or not _ANSWER.fullmatch(tail):
            return Verdict(0.0)
        return Verdict(float(tail == problem.answer), tail)

    def demonstrate(self, problem: Problem, rng: np.random.Generator) -> str | Completion:
        """The demonstrator's thought; a sloppy one breaks off after ``high`` digits (or the problem's n, if more)."""
        digits = [int(c) for c in problem.prompt[1:]]
        longest = WIDTH + max(self.high, int(problem.data["n"]))
        while len(digits) < longest:
            digits.append(self._write(digits[-WIDTH], digits[-1], rng))
            if digits[-2:] == [0, 0]:
                return f"{_text(digits[WIDTH:])}={_text(digits[-6:-2])}"
        return Completion(_text(digits[WIDTH:]), finish="length")

    def _write(self, oldest: int, newest: int, rng: np.random.Generator) -> int:
        right = (newest * newest - oldest + 3) % 10
        if self.demonstrator == "exact":
            return right
        if self.demonstrator == "slip" and (oldest, newest) in SLIPS:
            return (right + 1) % 10 if rng.random() < SLIP_RATE else right
        rate = STRAY_RATE if self.demonstrator == "slip" else NOISE_RATE
        return int(rng.integers(10)) if rng.random() < rate else right


def make(**kw: Any) -> Register:
    return Register(**kw)


def _end_state(rng: np.random.Generator) -> list[int]:
    """abcd00 with d != 0, so that the register cannot have halted one step earlier."""
    abcd = int(rng.integers(9000))
    return [abcd // 900, abcd // 90 % 10, abcd // 9 % 10, abcd % 9 + 1, 0, 0]


def _run_backwards(end: list[int], n: int) -> list[int] | None:
    """The n + 6 digits that lead to ``end``, or None if they show 00 on the way.

    The update is a bijection of the register: s_{t-6} = (s_{t-1}^2 + 3 - s_t) mod 10.
    """
    newest_first = end[::-1]
    if (0, 0) in pairwise(end[:-1]):
        return None
    for t in range(n):
        digit = (newest_first[t + 1] ** 2 + 3 - newest_first[t]) % 10
        if digit == 0 == newest_first[-1]:
            return None
        newest_first.append(digit)
    return newest_first[::-1]


def _text(digits: list[int]) -> str:
    return "".join(map(str, digits))
