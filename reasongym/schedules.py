"""What changes as training goes on, by the step. A `core.Schedule` gives the budget of a thought in tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from reasongym.core import UserError


def warmup_cosine(step: int, total: int, warmup: int = 0, floor: float = 1.0) -> float:
    """Learning-rate factor: linear up over ``warmup`` steps, then a cosine from 1 to ``floor`` at ``total``."""
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, total - warmup)
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


@dataclass(frozen=True)
class Constant:
    """The same budget at every step."""

    budget: int

    def __post_init__(self) -> None:
        _positive("constant", budget=self.budget)

    def __call__(self, step: int) -> int:
        return self.budget


@dataclass(frozen=True)
class Linear:
    """From ``first`` to ``last`` tokens over ``steps`` steps, then ``last``."""

    first: int
    last: int
    steps: int

    def __post_init__(self) -> None:
        _positive("linear", first=self.first, last=self.last, steps=self.steps)

    def __call__(self, step: int) -> int:
        done = min(1.0, max(0, step) / self.steps)
        return round(self.first + (self.last - self.first) * done)


@dataclass(frozen=True)
class Listed:
    """One budget after the other, ``each`` for so many steps; the last one stays.

    With (4096, 3072, 2048) it is ThinkPrune's, with (8192, 16384, 24576) that of AutoThink's three stages.
    """

    budgets: Sequence[int]
    each: int = 100

    def __post_init__(self) -> None:
        if not self.budgets:
            raise UserError("listed: budgets is empty; give it one at least")
        _positive("listed", each=self.each, **{f"budgets[{i}]": n for i, n in enumerate(self.budgets)})

    def __call__(self, step: int) -> int:
        return self.budgets[min(max(0, step) // self.each, len(self.budgets) - 1)]


@dataclass(frozen=True)
class Cosine:
    """SIRI's cosine between two budgets: ``high`` at step 0, ``low`` at half of ``period``, and so on.

    Source: arXiv 2509.25176, the cosine length scheduler (T = 640, 16384 and 8192); there is no public code.
    Differs: rounded to whole tokens, on which the paper is silent.
    """

    high: int = 16384
    low: int = 8192
    period: int = 640

    def __post_init__(self) -> None:
        _swing(self)

    def __call__(self, step: int) -> int:
        return round(between(self.low, self.high, math.cos(math.tau * (step % self.period) / self.period)))


@dataclass(frozen=True)
class Stair:
    """SIRI's stair: half a period at one budget, half at the other; ``first`` says which comes first.

    Source: arXiv 2509.25176, the stair length scheduler.
    Differs: none; that compression comes first is read from the text, which does not say it of step 0.
    """

    high: int = 16384
    low: int = 8192
    period: int = 640
    first: Literal["low", "high"] = "low"

    def __post_init__(self) -> None:
        _swing(self)
        if self.first not in ("low", "high"):
            raise UserError(f"stair: first={self.first!r} must be 'low' or 'high'")

    def __call__(self, step: int) -> int:
        early = 2 * (step % self.period) < self.period
        return self.low if early == (self.first == "low") else self.high


@dataclass(frozen=True)
class StairCosine:
    """SIRI's stair-cosine: a quarter of a period high, a quarter of a cosine down, a quarter low, and up again.

    Source: arXiv 2509.25176, the stair-cosine length scheduler.
    Differs: rounded to whole tokens.
    """

    high: int = 16384
    low: int = 8192
    period: int = 640

    def __post_init__(self) -> None:
        _swing(self)

    def __call__(self, step: int) -> int:
        return round(between(self.low, self.high, _plateaus(step % self.period / self.period)))


def between(low: float, high: float, wave: float) -> float:
    """``low`` at a wave of -1, ``high`` at 1."""
    return (high + low) / 2 + (high - low) / 2 * wave


def _plateaus(turn: float) -> float:
    """1 within an eighth of a turn from 0, -1 within an eighth from a half, half a cosine between them."""
    off = abs((turn + 0.5) % 1.0 - 0.5)  # how far from 0, at most half a turn
    return math.cos(math.tau * 2 * min(max(off - 0.125, 0.0), 0.25))


def _swing(schedule: Cosine | Stair | StairCosine) -> None:
    name = type(schedule).__name__.lower()
    _positive(name, high=schedule.high, low=schedule.low, period=schedule.period)
    if schedule.low > schedule.high:
        raise UserError(f"{name}: low={schedule.low} must not be above high={schedule.high}")


def _positive(name: str, **values: int) -> None:
    for key, value in values.items():
        if not isinstance(value, int) or value < 1:
            raise UserError(f"{name}: {key}={value!r} must be a positive whole number")
