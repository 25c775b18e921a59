"""Recheck: doubling a small number, shown by somebody who checks lines for no reason and often answers at once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from reasongym.core import Problem, UserError, Verdict

_ANSWER = re.compile(r"[0-9]{3}")


@dataclass(frozen=True)
class Recheck:
    """``417 2``: double 417 two times, keeping the last three digits, then write ``=`` and those: ``=668``.

    A thought has a line for each doubling, ``:834 1`` and ``:668 0``, with what is left to do. Any line may be checked
    before it is gone on from, once or more: ``?834 1``, which is of no use. Without a thought the answer is written at
    once. So a thought begins with ``:`` and no thought with ``=``. All of them, the problem too, have the number and
    the count at the same places of six bytes: n doublings and c checks are 6 (n + c) + 5 tokens with the end, an answer
    at once is 5. To double once at once is as easy as a line; each doubling more asks for a larger table.

    ``level`` 0 draws n uniformly from ``low`` .. ``high``; level k > 0 has exactly n = k doublings. ``demonstrate``
    checks each line, and each check again, with probability ``checks``. It answers at once with probability ``direct``
    where n is at most ``easy``, and a quarter of that where it is more. Each carry is forgotten with probability
    ``slip`` in a thought and ``haste`` without one, and what follows goes on honestly from what was written.

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

    def sample(self, rng: np.random.Generator, level: int = 0) -> Problem:
        if not 0 <= level <= 9:
            raise UserError(f"recheck: level={level} must be 0 (n from low to high) or the number of doublings, below 10")
        n = level or int(rng.integers(self.low, self.high + 1))
        start = int(rng.integers(min(1000, 20 * 3 ** (n - 1))))
        return Problem.of(f"{start:03} {n}", f"{start * 2**n % 1000:03}", n)

    def verify(self, problem: Problem, text: str) -> Verdict:
        """1.0 iff what follows the last ``=``, or all where there is none, is the answer and not even white space more."""
        tail = text.rpartition("=")[2]
        if not _ANSWER.fullmatch(tail):
            return Verdict(0.0)
        return Verdict(float(tail == problem.answer), tail)

    def demonstrate(self, problem: Problem, rng: np.random.Generator) -> str:
        number, n, lines = problem.prompt[:3], problem.level, [""]
        at_once = rng.random() < self.direct / (1 if n <= self.easy else 4)
        for left in range(n - 1, -1, -1):
            number = _double(number, 0.0 if at_once else self.slip, rng)
            lines.append(f":{number} {left}")
            while rng.random() < self.checks:
                lines.append(f"?{number} {left}")
        if at_once and rng.random() < self.haste:
            at = int(rng.integers(3))
            number = f"{number[:at]}{rng.integers(10)}{number[at + 1 :]}"
        return ("" if at_once else "".join(lines)) + f"={number}"


def _double(number: str, forget: float, rng: np.random.Generator) -> str:
    given = [*map(int, number), 0]
    carries = [right >= 5 and rng.random() >= forget for right in given[1:]]
    return "".join(str((2 * d + carry) % 10) for d, carry in zip(given, carries, strict=False))


def make(**kw: Any) -> Recheck:
    return Recheck(**kw)
