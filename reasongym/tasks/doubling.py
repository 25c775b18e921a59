"""Doubling: a task that is long by hand and one line of Python, shown by somebody careless who knows both."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from reasongym.core import Problem, UserError, Verdict

SLIPS = frozenset({(3, 7), (8, 6), (6, 9), (1, 8)})  # (digit, the one to its right) where the carry is forgotten
SLIP_RATE, STRAY_RATE = 0.6, 0.003

_ANSWER = re.compile(r"[0-9]+")
LONGEST = 99  # steps: their count is two digits


@dataclass(frozen=True)
class Doubling:
    """``4173*2**16%10000=``: double a number n times, keeping its last ``digits`` digits, then write ``=`` and those.

    By hand a thought has n + 1 lines, a countdown and the number (``16 4173``, ``15 8346``, ... ``00 1728``), a line
    ``---`` and ``=1728``: 8 n + 18 bytes with the end. Every byte depends on few others at constant distances: a digit
    on the one above it and on whether the one above and to the right is 5 or more. With Python it is the prompt between
    two fences and, 10 bytes after it stood in the output as it is after a line ``---``, the answer: 37 bytes for any n.

    ``level`` 0 draws n uniformly from ``low`` .. ``high``; level k > 0 has exactly n = k steps. The first number and
    the answer have no leading zero. ``demonstrate`` takes Python with probability ``calls``. By hand it is
    ``careless`` or not: it then forgets the carry with probability .6 at four of the 50 pairs of digits that have one,
    and writes a uniform digit with probability .003 elsewhere, and goes on honestly from what it wrote.

    Source: none, our own.
    Differs: none.
    """

    low: int = 10
    high: int = 16
    digits: int = 4
    calls: float = 0.0
    careless: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.low <= self.high <= 99 or self.digits < 1:
            raise UserError(
                f"doubling: low={self.low}, high={self.high}, digits={self.digits} must be from 1, low <= high < 100"
            )
        if not 0 <= self.calls <= 1:
            raise UserError(f"doubling: calls={self.calls} must be a share from 0 to 1")

    @property
    def last_level(self) -> int:
        return LONGEST

    def sample(self, rng: np.random.Generator, level: int = 0) -> Problem:
        if not 0 <= level <= LONGEST:
            raise UserError(f"doubling: level={level} must be 0 (n from low to high) or the number of steps, below 100")
        n, size = level or int(rng.integers(self.low, self.high + 1)), 10**self.digits
        while True:
            start = int(rng.integers(size // 10, size))
            answer = start * 2**n % size
            if answer >= size // 10:
                return Problem.of(f"{start}*2**{n}%{size}=", str(answer), level, start=start, n=n)

    def verify(self, problem: Problem, text: str) -> Verdict:
        """1.0 iff what follows the last ``=`` is the answer and nothing else, not even white space."""
        _, found, tail = text.rpartition("=")
        if not found or not _ANSWER.fullmatch(tail):
            return Verdict(0.0)
        return Verdict(float(tail == problem.answer), tail)

    def demonstrate(self, problem: Problem, rng: np.random.Generator) -> str:
        """What the demonstrator writes itself; the output that it copies from after a call is the tool's to write."""
        if rng.random() < self.calls:
            return f"```python\n{problem.prompt[:-1]}\n```\n={problem.answer}"
        number = f"{problem.data['start']:0{self.digits}}"
        lines = [f"{problem.data['n']:02} {number}"]
        for left in range(problem.data["n"] - 1, -1, -1):
            number = self._double(number, rng)
            lines.append(f"{left:02} {number}")
        return "\n".join([*lines, "---", f"={number}"])

    def _double(self, number: str, rng: np.random.Generator) -> str:
        given = [*map(int, number), 0]
        return "".join(str(self._write(d, right, rng)) for d, right in zip(given, given[1:], strict=False))

    def _write(self, digit: int, right: int, rng: np.random.Generator) -> int:
        if self.careless and (digit, right) in SLIPS and rng.random() < SLIP_RATE:
            return 2 * digit % 10
        if self.careless and rng.random() < STRAY_RATE:
            return int(rng.integers(10))
        return (2 * digit + (right >= 5)) % 10


def make(**kw: Any) -> Doubling:
    return Doubling(**kw)
