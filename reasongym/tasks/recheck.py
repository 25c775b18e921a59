"""Recheck: easy and hard steps, shown by somebody who checks lines for no reason and often answers at once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from reasongym.core import Problem, UserError, Verdict

_ANSWER = re.compile(r"[0-9]{3}")
LONGEST = 9  # steps: their count is one digit


@dataclass(frozen=True)
class Recheck:
    """``417+2``: add 3 to each digit, without carries, two times. ``417*5``: double five times, keeping three digits.

    A thought has a line for each step with what is left to do, ``:740+1`` and ``:073+0``, and then ``=073``. Any line
    may be checked before it is gone on from, once or more: ``?740+1``, which is of no use. Without a thought the answer
    is written at once. So a thought begins with ``:`` and no thought with ``=``. Number, sign and count stand 6 bytes
    further on in each line than in the one above: n steps with c checks are 6 (n + c) + 5 tokens with the end, an
    answer at once is 5. A small model soon knows n additions by heart, digit for digit, and never several doublings,
    whose carries run into each other.

    ``level`` 0 draws n uniformly from ``low`` .. ``high``; level k > 0 has exactly n = k steps. Up to ``easy`` they are
    additions, above it doublings. ``demonstrate`` checks each line, and each check again, with probability ``checks``.
    It answers at once with probability ``direct`` where it is easy, and a quarter of that where it is not; then, with
    probability ``haste``, it puts any digit in the place of one. In a thought each carry is forgotten with probability
    ``slip``, and what follows goes on honestly from what was written.

    Source: none, our own.
    Differs: none.
    """

    low: int = 1
    high: int = 6
    easy: int = 3
    checks: float = 0.0
    direct: float = 0.0
    slip: float = 0.0
    haste: float = 0.0

    def __post_init__(self) -> None:
        if not 1 <= self.low <= self.high <= 9:
            raise UserError(f"recheck: low={self.low} and high={self.high} must be from 1 to 9, low <= high")
        for name in ("direct", "slip", "haste"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"recheck: {name}={getattr(self, name)} must be a share from 0 to 1")
        if not 0 <= self.checks < 1:
            raise UserError(f"recheck: checks={self.checks} must be in [0, 1), or checking never ends")

    @property
    def last_level(self) -> int:
        return LONGEST

    def sample(self, rng: np.random.Generator, level: int = 0) -> Problem:
        if not 0 <= level <= LONGEST:
            raise UserError(f"recheck: level={level} must be 0 (n from low to high) or the number of steps, below 10")
        n, start = level or int(rng.integers(self.low, self.high + 1)), f"{rng.integers(1000):03}"
        number, sign = start, "+" if n <= self.easy else "*"
        for _ in range(n):
            number = _step(number, sign)
        return Problem.of(f"{start}{sign}{n}", number, n)

    def verify(self, problem: Problem, text: str) -> Verdict:
        """1.0 iff what follows the last ``=``, or all where there is none, is the answer and nothing else."""
        tail = text.rpartition("=")[2]
        if not _ANSWER.fullmatch(tail):
            return Verdict(0.0)
        return Verdict(float(tail == problem.answer), tail)

    def demonstrate(self, problem: Problem, rng: np.random.Generator) -> str:
        number, sign = problem.prompt[:3], problem.prompt[3]
        if rng.random() < self.direct / (1 if sign == "+" else 4):
            return self._at_once(str(problem.answer), rng)
        lines = []
        for left in range(problem.level - 1, -1, -1):
            number = _step(number, sign, self.slip, rng)
            lines.append(f":{number}{sign}{left}")
            while rng.random() < self.checks:
                lines.append(f"?{number}{sign}{left}")
        return "".join(lines) + f"={number}"

    def _at_once(self, answer: str, rng: np.random.Generator) -> str:
        at = int(rng.integers(3))
        return f"={answer[:at]}{rng.integers(10)}{answer[at + 1 :]}" if rng.random() < self.haste else f"={answer}"


def _step(number: str, sign: str, slip: float = 0.0, rng: np.random.Generator | None = None) -> str:
    """The next number; with ``slip`` and a generator, a carry may be forgotten."""
    digits = [*map(int, number)]
    if sign == "+":
        return "".join(str((d + 3) % 10) for d in digits)
    carries = [right >= 5 and (rng is None or rng.random() >= slip) for right in (*digits[1:], 0)]
    return "".join(str((2 * d + carry) % 10) for d, carry in zip(digits, carries, strict=True))


def make(**kw: Any) -> Recheck:
    return Recheck(**kw)
