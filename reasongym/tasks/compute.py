"""Questions that take minutes by hand and one line of Python: the task of the code interpreter."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, NamedTuple

import numpy as np

from reasongym import answers
from reasongym.core import Problem, UserError, Verdict

LEVELS = 10  # the hardest level; at it, the slowest of the programs below takes about a second


class Work(NamedTuple):
    """A question, its answer, and a program that prints it."""

    question: str
    answer: int
    code: str


@dataclass(frozen=True)
class Compute:
    """A question of a random kind, whose answer is an integer, and whose numbers are too large for doing it by hand.

    ``kinds`` are some of `KINDS`; none: all of them. Each level makes the numbers larger; level 0 is already tedious.
    """

    kinds: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.kinds) - set(KINDS)):
            raise UserError(f"compute: no kind {', '.join(unknown)}; there is {', '.join(KINDS)}")

    @property
    def last_level(self) -> int:
        return LEVELS

    def sample(self, rng: np.random.Generator, level: int = 0) -> Problem:
        if not 0 <= level <= LEVELS:
            raise UserError(f"compute: level={level} must be 0 to {LEVELS}")
        kinds = self.kinds or tuple(KINDS)
        kind = kinds[int(rng.integers(len(kinds)))]
        work = KINDS[kind](rng, level)
        prompt = f"{work.question} Give the final answer as an integer in \\boxed{{}}."
        return Problem.of(prompt, work.answer, level, kind=kind, code=work.code)

    def verify(self, problem: Problem, text: str) -> Verdict:
        return answers.check(text, problem.answer)

    def demonstrate(self, problem: Problem, rng: np.random.Generator) -> str:
        """A program, what it prints, and the boxed answer, in the fences of the tool ``python``."""
        return (
            f"Python can work this out.\n```python\n{problem.data['code']}\n```\n"
            f"```output\n{problem.answer}\n```\nThe answer is \\boxed{{{problem.answer}}}."
        )


def make(**kw: Any) -> Compute:
    return Compute(**kw)


def power(rng: np.random.Generator, level: int) -> Work:
    base, exponent, modulus = _of(rng, 2 + level // 2), _of(rng, 3 + level), _of(rng, 3 + level // 2)
    question = f"What is the remainder when {base}^{exponent} is divided by {modulus}?"
    return Work(question, pow(base, exponent, modulus), f"print(pow({base}, {exponent}, {modulus}))")


def digits(rng: np.random.Generator, level: int) -> Work:
    base, exponent = _in(rng, 2, 9 + 10 * level), _in(rng, 40, 80) * (1 + level)
    total = sum(map(int, str(base**exponent)))
    question = f"What is the sum of the decimal digits of {base}^{exponent}?"
    return Work(question, total, f"print(sum(int(d) for d in str({base}**{exponent})))")


def factorials(rng: np.random.Generator, level: int) -> Work:
    n, modulus = _in(rng, 15, 40) * (1 + level), _of(rng, 4 + level // 2)
    question = f"What is the remainder of the sum of the factorials 1! + 2! + ... + {n}! modulo {modulus}?"
    code = f"import math\nprint(sum(math.factorial(k) for k in range(1, {n} + 1)) % {modulus})"
    total = term = 1
    for k in range(2, n + 1):
        term = term * k % modulus
        total += term
    return Work(question, total % modulus, code)


def primes(rng: np.random.Generator, level: int) -> Work:
    below = _in(rng, 500, 1000) * 2**level // (1 + level)
    question = f"How many prime numbers are smaller than {below}?"
    code = f"print(sum(all(n % d for d in range(2, int(n**0.5) + 1)) for n in range(2, {below})))"
    return Work(question, _count_primes(below), code)


def binomial(rng: np.random.Generator, level: int) -> Work:
    n, modulus = _in(rng, 40, 80) * (1 + level), _of(rng, 3 + level // 2)
    k = _in(rng, n // 4, n // 2)
    question = f"In how many ways can {k} of {n} things be chosen? Give the remainder of that number modulo {modulus}."
    return Work(question, math.comb(n, k) % modulus, f"import math\nprint(math.comb({n}, {k}) % {modulus})")


def determinant(rng: np.random.Generator, level: int) -> Work:
    size, largest = 4 + min(level // 2, 3), 9 + 5 * level
    rows = [[_in(rng, -largest, largest) for _ in range(size)] for _ in range(size)]
    question = f"What is the determinant of the matrix with the rows {', '.join(map(str, rows))}?"
    code = (
        "def det(m):\n    if not m:\n        return 1\n"
        "    minors = [[row[:j] + row[j + 1:] for row in m[1:]] for j in range(len(m))]\n"
        f"    return sum((-1)**j * m[0][j] * det(minors[j]) for j in range(len(m)))\nprint(det({rows}))"
    )
    return Work(question, _determinant(rows), code)


def double_sum(rng: np.random.Generator, level: int) -> Work:
    n, a, b, modulus = _in(rng, 20, 40) * (1 + level), _of(rng, 2), _of(rng, 2), _of(rng, 3)
    term = f"({a}*i + {b}*j*j) mod {modulus}"
    question = f"What is the sum of {term} over all whole numbers i and j with 1 <= j <= i <= {n}?"
    total = sum((a * i + b * j * j) % modulus for i in range(1, n + 1) for j in range(1, i + 1))
    terms = f"({a}*i + {b}*j*j) % {modulus} for i in range(1, {n} + 1) for j in range(1, i + 1)"
    return Work(question, total, f"print(sum({terms}))")


def recurrence(rng: np.random.Generator, level: int) -> Work:
    a, c, modulus, first = (_of(rng, 3 + level // 3) for _ in range(4))
    steps = _in(rng, 15, 30) * (1 + level)
    x = first
    for _ in range(steps):
        x = (a * x * x + c) % modulus
    question = f"Let x(0) = {first} and x(n+1) = ({a} * x(n)^2 + {c}) mod {modulus}. What is x({steps})?"
    code = f"x = {first}\nfor _ in range({steps}):\n    x = ({a} * x * x + {c}) % {modulus}\nprint(x)"
    return Work(question, x, code)


def coprime(rng: np.random.Generator, level: int) -> Work:
    m, n = _in(rng, 20, 40) * (1 + level), _in(rng, 20, 40) * (1 + level)
    question = f"How many pairs of whole numbers a from 1 to {m} and b from 1 to {n} have no common divisor but 1?"
    total = sum(math.gcd(a, b) == 1 for a in range(1, m + 1) for b in range(1, n + 1))
    pairs = f"math.gcd(a, b) == 1 for a in range(1, {m} + 1) for b in range(1, {n} + 1)"
    return Work(question, total, f"import math\nprint(sum({pairs}))")


def numeral(rng: np.random.Generator, level: int) -> Work:
    base = _in(rng, 3, 9)
    written = "".join(str(_in(rng, int(k == 0), base - 1)) for k in range(8 + 2 * level))
    question = f"Which number, in base ten, is written {written} in base {base}?"
    return Work(question, int(written, base), f'print(int("{written}", {base}))')


def days(rng: np.random.Generator, level: int) -> Work:
    start = date(1900, 1, 1) + timedelta(days=_in(rng, 0, 36_500))
    end = start + timedelta(days=_in(rng, 1000, 9000) * (1 + level))
    question = f"How many days lie between {start} and {end}, the last one included, the first not?"
    dates = f"date({end.year}, {end.month}, {end.day}) - date({start.year}, {start.month}, {start.day})"
    return Work(question, (end - start).days, f"from datetime import date\nprint(({dates}).days)")


def divisor(rng: np.random.Generator, level: int) -> Work:
    common = _of(rng, 3 + level)
    a, b = common * _of(rng, 4 + level), common * _of(rng, 4 + level)
    question = f"What is the greatest common divisor of {a} and {b}?"
    return Work(question, math.gcd(a, b), f"import math\nprint(math.gcd({a}, {b}))")


KINDS: dict[str, Callable[[np.random.Generator, int], Work]] = {
    "power": power,
    "digits": digits,
    "factorials": factorials,
    "primes": primes,
    "binomial": binomial,
    "determinant": determinant,
    "double_sum": double_sum,
    "recurrence": recurrence,
    "coprime": coprime,
    "numeral": numeral,
    "days": days,
    "divisor": divisor,
}


def _in(rng: np.random.Generator, low: int, high: int) -> int:
    return int(rng.integers(low, high + 1))


def _of(rng: np.random.Generator, n: int) -> int:
    """A number of n digits."""
    return int("".join(str(_in(rng, int(k == 0), 9)) for k in range(n)))


def _count_primes(below: int) -> int:
    sieve = np.ones(below, dtype=bool)
    sieve[:2] = False
    for n in range(2, math.isqrt(below) + 1):
        if sieve[n]:
            sieve[n * n :: n] = False
    return int(sieve.sum())


def _determinant(rows: list[list[int]]) -> int:
    """Bareiss: elimination in whole numbers."""
    rows, sign, previous = [row[:] for row in rows], 1, 1
    for k in range(len(rows) - 1):
        pivot = next((i for i in range(k, len(rows)) if rows[i][k]), None)
        if pivot is None:
            return 0
        if pivot != k:
            rows[k], rows[pivot], sign = rows[pivot], rows[k], -sign
        for i in range(k + 1, len(rows)):
            for j in range(k + 1, len(rows)):
                rows[i][j] = (rows[i][j] * rows[k][k] - rows[i][k] * rows[k][j]) // previous
        previous = rows[k][k]
    return sign * rows[-1][-1]
