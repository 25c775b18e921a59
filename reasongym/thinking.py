"""Ways to think: what the policy still sees, and how many tokens it may write next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Literal

from reasongym.core import UserError

Mode = Literal["think", "no_think"]
OPENER, CLOSER = "<think>", "</think>"


@dataclass(frozen=True)
class LongCoT:
    """One window that only grows: the policy sees everything it wrote, up to ``budget`` tokens."""

    budget: int = 8192
    prefix: str = ""

    def __post_init__(self) -> None:
        _positive("budget", self.budget)
        _text("prefix", self.prefix)

    def room(self, kept: int, carried: int, used: int, resets: int) -> int:
        return self.budget - used

    def keep(self, ids: Sequence[int], carried: int) -> Sequence[int]:
        return ids

    def with_budget(self, budget: int) -> LongCoT:
        return replace(self, budget=budget)


@dataclass(frozen=True)
class Delethink:
    """The context is reset every ``chunk`` tokens and a short state is carried over (Markovian thinking).

    The first window may hold ``chunk`` new tokens, each later one ``chunk - carry``, for at most
    ``max_chunks`` windows: ``budget = chunk + (max_chunks - 1) * (chunk - carry)``. What a reset
    keeps depends on the variant (A is the window's response, carried part included):

    * ``"trainer"`` (default, the official RL code): exactly ``carry`` tokens,
      ``A[:head] + A[-(carry - head):]``; the window never holds more than ``chunk`` tokens.
    * ``"paper"`` (Algorithm 1 and the official demo): the first ``head`` tokens, once, then the last
      ``carry`` of what the *last* window itself wrote (fewer where it wrote fewer); the window
      holds up to ``chunk + head`` tokens.

    ``limit`` caps the whole thought below that budget; `with_budget` sets it. Room that a context (``reset``'s
    ``response``) takes up is lost: the windows stay as many, so the thought then ends before its budget.

    Source: arXiv 2510.06557, Algorithm 1 and section 3; the-markovian-thinker
    ``delethink_agent_loop.py``, ``delethink_trimmers.py`` (``progressive``) and
    ``delethink_tracing_demo.py``.
    Differs: none in what is kept; the official trainer deletes the rows that do not divide its
    workers, we never do.
    """

    chunk: int = 8192
    carry: int = 4096
    head: int = 100
    max_chunks: int = 5
    variant: Literal["trainer", "paper"] = "trainer"
    prefix: str = ""
    limit: int | None = None

    def __post_init__(self) -> None:
        for name in ("chunk", "carry", "max_chunks"):
            _positive(name, getattr(self, name))
        if self.limit is not None:
            _positive("budget", self.limit)
        _text("prefix", self.prefix)
        if self.chunk <= self.carry:
            raise UserError(f"Delethink: chunk={self.chunk} must be larger than carry={self.carry}")
        if self.variant not in ("trainer", "paper"):
            raise UserError(f"Delethink: variant={self.variant!r} must be 'trainer' or 'paper'")
        top, of = (self.carry - 1, "carry") if self.variant == "trainer" else (self.chunk, "chunk")
        if not isinstance(self.head, Integral) or not 0 <= self.head <= top:
            raise UserError(
                f"Delethink: head={self.head!r} must be a whole number from 0 to {top} with {of}={getattr(self, of)}"
            )

    @property
    def budget(self) -> int:
        full = self.chunk + (self.max_chunks - 1) * (self.chunk - self.carry)
        return full if self.limit is None else min(full, self.limit)

    def room(self, kept: int, carried: int, used: int, resets: int) -> int:
        if resets >= self.max_chunks:
            return 0
        window = self.chunk if resets == 0 else self.chunk - self.carry
        return min(window - (kept - carried), self.budget - used)

    def keep(self, ids: Sequence[int], carried: int) -> Sequence[int]:
        if self.variant == "paper":
            written = ids[carried:]
            return [*ids[: self.head], *written[max(0, len(written) - self.carry) :]]
        if len(ids) <= self.carry:
            return ids
        return [*ids[: self.head], *ids[len(ids) - (self.carry - self.head) :]]

    def with_budget(self, budget: int) -> Delethink:
        """The same windows with a thought of ``budget`` tokens in all: as many chunks as that takes."""
        _positive("budget", budget)
        more = -(-max(0, budget - self.chunk) // (self.chunk - self.carry))
        return replace(self, max_chunks=1 + more, limit=budget)


def mode(text: str, opener: str = OPENER, closer: str = CLOSER) -> Mode:
    """Whether a response thinks: it does unless nothing but white space stands before ``closer``.

    A response without ``closer`` is still thinking. ``opener``, where present, is passed over. Only the
    beginning is looked at, and only the response's own: a prefix that the environment wrote is no part of ``text``.
    """
    return "no_think" if text.lstrip().removeprefix(opener).lstrip().startswith(closer.lstrip()) else "think"


def _positive(name: str, value: int) -> None:
    if not isinstance(value, Integral) or value <= 0:
        raise UserError(f"{name}={value!r} must be a positive whole number")


def _text(name: str, value: str) -> None:
    if not isinstance(value, str):
        raise UserError(f"{name}={value!r} must be a text; quote a number")
