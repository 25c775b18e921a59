"""AutoThink: the model learns when to think, by what right and wrong answers pay with and without a thought."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from reasongym.core import Batch, Trajectory, UserError
from reasongym.repetition import degenerate
from reasongym.shaping import Columns, columns, over_members, own, skipped
from reasongym.thinking import CLOSER, OPENER

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

ELLIPSIS = f"{OPENER}\n...\n"  # the prefix that leaves the choice to the model: thinking="longcot(prefix=...)"
NO_THINK = f"{ELLIPSIS}{CLOSER}\n\n"
REFLECTION = ("wait", "hmm", "alternatively", "let me check", "double-check")


@dataclass(frozen=True)
class AutoThink:
    """What a response pays by its mode and its answer, then length shaping, then batch balance; [P, G].

    ========  =====  =====  ===============
    r0        right  wrong  no answer found
    ========  =====  =====  ===============
    think     1      0      0
    no-think  2      -1     0
    ========  =====  =====  ===============

    * Stage 1 is batch balance: the mode whose share of the whole batch is above ``gamma`` is paid less,
      ``(1 - d) * r0 + d * e`` with ``d = min(1, slope * (share - gamma))`` and e of 0 and -1 for right and wrong
      thoughts, 1 and -2 without. ``gamma=1`` is off.
    * Stage 2 is r0 alone, in a longer context.
    * Stage 3 is length shaping: within a group, and among its right and its wrong members apart, right ones get
      ``exp(-alpha * y) - 1`` more and wrong ones ``1 - exp(-beta * y)``, y the standardised length.

    The mode is that of the response's own beginning. A right no-think response that goes on to reason (it opens or
    closes a thought after all, is longer than ``guard_tokens``, or uses one of ``guard_words``) is paid and counted as
    think. ``repeated`` is what a wrong no-think response pays that goes round in circles; None leaves it at -1. Give
    the environment the prefix `ELLIPSIS`.

    Source: arXiv 2505.10832, sections 3.2 to 3.4; TU2021/AutoThink ``deepscaler/rewards/math_reward.py``,
    ``reward_types.py`` and ``verl/trainer/main_ppo.py``.
    Differs: the guard is ours (the authors name the hack); no-think is white space and the closer, where the code
    wants exactly a blank line after it, so that one newline less is paid as a thought. ``compat="official"`` looks
    for the code's literal string anywhere in prompt and response, without a guard, and has its ``repeated=-2``, which
    is not in the paper.
    """

    stage: Literal[1, 2, 3] = 1
    gamma: float = 0.5
    slope: float = 2.0
    alpha: float = 0.05
    beta: float = 0.05
    repeated: float | None = None
    closer: str = CLOSER
    guard_tokens: int | None = None
    guard_words: tuple[str, ...] = REFLECTION
    compat: Literal["official"] | None = None

    def __post_init__(self) -> None:
        if self.stage not in (1, 2, 3):
            raise UserError(f"autothink: stage={self.stage!r} must be 1, 2 or 3")
        if not 0 <= self.gamma <= 1 or min(self.slope, self.alpha, self.beta) < 0:
            raise UserError(f"autothink: gamma={self.gamma} must be in [0, 1]; slope, alpha and beta 0 or more")
        if self.compat not in (None, "official"):
            raise UserError(f"autothink: compat={self.compat!r} must be None or 'official'")
        if not isinstance(self.closer, str) or not self.closer.strip():
            raise UserError(f"autothink: closer={self.closer!r} must be a text such as {CLOSER!r}")
        words = self.guard_words
        if not isinstance(words, list | tuple) or not all(w and isinstance(w, str) for w in words):
            raise UserError(f"autothink: guard_words={words!r} must be a list of words")
        object.__setattr__(self, "guard_words", tuple(w.lower() for w in words))  # as the text that they are sought in

    def __call__(self, batch: Batch) -> Floats:
        c = columns(batch)
        short, reasons = self._modes(batch, c)
        r0 = base(c, short, reasons)
        repeated = -2.0 if self.repeated is None and self.compat else self.repeated
        if repeated is not None:
            for p, g in np.argwhere(short & c.answered & ~c.right):
                r0[p, g] = repeated if degenerate(batch[p][g].text) else r0[p, g]
        if self.stage == 3:
            r0 += shaped(c, self.alpha, self.beta)
        if self.stage == 1:
            r0 = balanced(r0, ~short | reasons, c, self.gamma, self.slope)
        return np.where(c.valid, r0, np.nan)

    def update(self, batch: Batch) -> None:
        """Nothing to learn."""

    def _modes(self, batch: Batch, c: Columns) -> tuple[Bools, Bools]:
        """Which responses begin without a thought, and which right ones of these reason all the same."""
        if self.compat:
            found = np.array([literal(t) for group in batch for t in group], bool).reshape(c.valid.shape)
            return found, np.zeros_like(c.valid)
        short = skipped(batch, self.closer) & c.valid
        reasons = np.zeros_like(short)
        for p, g in np.argwhere(short & c.right).tolist():
            reasons[p, g] = self._reasons(batch[p][g])
        return short, reasons

    def _reasons(self, trajectory: Trajectory) -> bool:
        if self.guard_tokens is not None and trajectory.length > self.guard_tokens:
            return True
        after = own(trajectory).partition(self.closer)[2].lower()
        if OPENER in after or self.closer.lower() in after:
            return True
        return any(w in after and re.search(rf"\b{re.escape(w)}\b", after) for w in self.guard_words)


def base(c: Columns, short: Bools, reasons: Bools) -> Floats:
    """r0 [P, G]: think or no-think, right or wrong; 0 where no answer was found."""
    think, no_think = np.where(c.right, 1.0, 0.0), np.where(c.right, 2.0, np.where(c.answered, -1.0, 0.0))
    return np.where(short & ~reasons, no_think, think)


def balanced(r0: Floats, think: Bools, c: Columns, gamma: float, slope: float) -> Floats:
    """Rewards [P, G] with the mode that is too frequent among all valid responses drawn towards its worse ones."""
    z = float((think & c.valid).sum() / max(1, int(c.valid.sum())))
    d_think, d_short = (min(1.0, slope * max(0.0, share - gamma)) for share in (z, 1 - z))
    d, end = np.where(think, d_think, d_short), np.where(think, c.right - 1.0, 3.0 * c.right - 2.0)
    return np.asarray((1 - d) * r0 + d * end)


def shaped(c: Columns, alpha: float, beta: float) -> Floats:
    """The length term [P, G]: a group's right ones among themselves, and its wrong ones; 0 for one alone."""
    term = np.zeros_like(c.length)
    for members, rate, sign in ((c.right, alpha, 1.0), (c.valid & ~c.right, beta, -1.0)):
        n, mean, std = over_members(c.length, members)
        y = np.where(members & (n > 1), (c.length - mean) / np.maximum(std, 1e-6), 0.0)
        term += sign * np.expm1(-rate * y)
    return term


def literal(trajectory: Trajectory) -> bool:
    """No-think as the official code finds it: its exact string, wherever it stands, in the problem too."""
    whole = trajectory.problem.prompt + trajectory.text
    return NO_THINK in whole or trajectory.text.startswith(f"{CLOSER}\n\n")


def make(**kw: Any) -> AutoThink:
    return AutoThink(**kw)
