"""MR-RLVR's second task: put the steps of a worked solution in order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from typing import Any, Literal

import numpy as np

from reasongym import worked
from reasongym.core import Problem, UserError, Verdict
from reasongym.worked import Solutions, Split, Worked

_GAP = re.compile(r"\s*,\s*|\s+")
_ASK = """The steps of this solution are out of order.

Problem:
{question}

Steps:
{shown}

Please reason step by step, then give the numbers of the steps in their right order, with spaces between them, between \
<answer> and </answer>."""


@dataclass(frozen=True)
class Reorder:
    """The steps of a worked solution, shuffled; the reward is the share of them that come back to their position.

    ``task`` or ``data``, ``fields`` and ``right`` are those of `reasongym.worked.Solutions`; a step is a line or a
    sentence (``by``). A solution with fewer than ``least`` steps is refused, and one whose steps are all the same. The
    order shown never reads as the right one. It is fixed by content and ``seed``; ``fresh`` shuffles anew each time
    that a problem is sampled. ``reward="pairs"`` pays the share of pairs in their right order instead (Kendall).

    * ``form="list"``: the answer is the numbers of the steps in their right order, between ``<answer>`` and
      ``</answer>`` at the end of the response. One that is missing, said twice or out of range makes it worth 0.
    * ``form="whole"``: the answer is the steps themselves, one a line, each as often as it is shown; else 0.

    Source: arXiv 2511.17473, sections 4.1 and 5.1, and r_order; there is no public code.
    Differs: steps are lines or sentences (the paper: as DeepSeek-R1-0528 says), and those that read the same may stand
    for each other; ``pairs`` and the prompt are our own.
    """

    task: Any = "arithmetic"
    data: str = ""
    fields: Sequence[str] = ("problem", "solution")
    by: Split = "line"
    least: int = 3
    reward: Literal["positions", "pairs"] = "positions"
    form: Literal["list", "whole"] = "list"
    right: bool = True
    fresh: bool = False
    seed: int = 0
    _solutions: Solutions = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.least < 2:
            raise UserError(f"reorder: least={self.least} must be at least 2 steps")
        if self.reward not in ("positions", "pairs"):
            raise UserError(f"reorder: reward={self.reward!r} must be positions or pairs")
        if self.form not in ("list", "whole") or self.by not in worked.SPLITS:
            raise UserError(f"reorder: form={self.form!r} is list or whole, by={self.by!r} is line or sentence")
        object.__setattr__(self, "_solutions", Solutions(self.task, self.data, self.fields, self.right))

    def sample(self, rng: np.random.Generator, level: int = 0) -> Problem:
        return worked.drawn(self._solutions, self._pose, rng, level, self.fresh)

    def verify(self, problem: Problem, text: str) -> Verdict:
        steps, shown = worked.own(problem, "reorder")
        body = text if self.form == "whole" else worked.tagged(text) or ""
        said = body.split("\n") if self.form == "whole" else read_labels(body, steps, shown)
        if said is None or sorted(said) != sorted(steps):
            return Verdict(0.0)
        return Verdict((r_order if self.reward == "positions" else r_pairs)(said, steps), body)

    def demonstrate(self, problem: Problem, rng: np.random.Generator) -> str:
        """The right order, in the form that is asked for."""
        steps, _ = worked.own(problem, "reorder")
        return "\n".join(steps) if self.form == "whole" else worked.tag(problem.answer)

    def _pose(self, given: Worked, rng: np.random.Generator | None) -> Problem | None:
        steps = [given.solution[a:b] for a, b in worked.steps(given.solution, self.by)]
        if len(steps) < self.least or len(set(steps)) < 2:
            return None
        shown = shuffled(steps, rng or given.stream(self.seed))
        lines = [steps[i] for i in shown]
        if self.form == "list":
            listed = "\n".join(f"[{k}] {line}" for k, line in enumerate(lines, 1))
            prompt = _ASK.format(question=given.question, shown=listed)
        elif "\n" not in "".join(steps):
            prompt = "\n".join([given.question, *lines, ""])
        else:
            return None  # steps of several lines could not be told apart
        answer = " ".join(str(shown.index(i) + 1) for i in range(len(steps)))
        return Problem.of(prompt, answer, given.level, reorder=(steps, shown))


@dataclass(frozen=True)
class ReorderSet(Reorder):
    """`Reorder` over solutions that have an end: a `core.FiniteTask` of those that are not refused."""

    split = "reorder"

    def __len__(self) -> int:
        return len(self._problems)

    def problem(self, i: int) -> Problem:
        return worked.nth(self._problems, i)

    @cached_property
    def _problems(self) -> list[Problem]:
        return worked.posed(self._solutions, self._pose)


def shuffled(steps: Sequence[str], rng: np.random.Generator) -> list[int]:
    """A random order of ``steps``, not all of which are the same, that does not read as the one they are in."""
    while True:
        order = [int(i) for i in rng.permutation(len(steps))]
        if [steps[i] for i in order] != list(steps):
            return order


def read_labels(body: str, steps: Sequence[str], shown: Sequence[int]) -> list[str] | None:
    """The steps that the numbers ``1`` to ``n`` name, each of which must be there once; None for anything else."""
    labels = _GAP.split(body)
    if len(labels) != len(shown) or set(labels) != {str(k) for k in range(1, len(shown) + 1)}:
        return None
    return [steps[shown[int(label) - 1]] for label in labels]


def r_order(said: Sequence[str], steps: Sequence[str]) -> float:
    """The share of positions with the right step: 1 - (1/n) sum_k [pos_pred(k) != pos_true(k)]."""
    return sum(one == other for one, other in zip(said, steps, strict=True)) / len(steps)


def r_pairs(said: Sequence[str], steps: Sequence[str]) -> float:
    """The share of pairs of steps in their right order, (1 + Kendall's tau) / 2; equal steps are in theirs."""
    left: dict[str, list[int]] = {}
    for i, step in enumerate(steps):
        left.setdefault(step, []).append(i)
    order = [left[step].pop(0) for step in said]
    return sum(a < b for a, b in combinations(order, 2)) / (len(order) * (len(order) - 1) / 2)


def make(**kw: Any) -> Reorder:
    endless = Reorder(**kw)
    return ReorderSet(**kw) if endless._solutions.finite else endless
