"""A finite set of problems out of any task."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from reasongym import parts
from reasongym.core import Completion, Demonstrator, FiniteTask, Problem, Task, UserError, Verdict


@dataclass(frozen=True)
class Pool:
    """``n`` problems of ``task`` (an object, or a string for `reasongym.parts`): a `core.FiniteTask`.

    Problem i is pure in (seed, i), whatever n is, so a larger pool begins with the smaller one. The
    pool's own ``level`` is fixed: `sample` draws one of the n problems and ignores the level it is
    asked for. A task with few problems may repeat itself; a finite one only after all of its problems.
    """

    task: Any = "register"
    n: int = 100
    seed: int = 0
    level: int = 0
    _task: Task = field(init=False, repr=False, compare=False)

    split = "pool"

    def __post_init__(self) -> None:
        if self.n < 1:
            raise UserError(f"pool: n={self.n} must be a positive number of problems")
        object.__setattr__(self, "_task", parts.make("tasks", self.task))

    def __len__(self) -> int:
        return self.n

    def problem(self, i: int) -> Problem:
        if not 0 <= i < self.n:
            raise UserError(f"pool: there is no problem {i}; there are problems 0 to {self.n - 1}")
        if isinstance(self._task, FiniteTask):
            return self._task.problem(self._order[i % len(self._order)])
        return self._task.sample(np.random.default_rng((self.seed, i)), self.level)

    def sample(self, rng: np.random.Generator, level: int = 0) -> Problem:
        return self.problem(int(rng.integers(self.n)))

    def verify(self, problem: Problem, text: str) -> Verdict:
        return self._task.verify(problem, text)

    def demonstrate(self, problem: Problem, rng: np.random.Generator) -> str | Completion:
        if not isinstance(self._task, Demonstrator):
            raise UserError(f"pool: {self.task!r} has no demonstrate()")
        return self._task.demonstrate(problem, rng)

    @cached_property
    def _order(self) -> list[int]:
        """The places of a finite task's problems of the level (all where none is), in an order of the seed."""
        task, rng = self._task, np.random.default_rng(self.seed)
        assert isinstance(task, FiniteTask)
        order = [int(i) for i in rng.permutation(len(task))]
        task.sample(rng, self.level)  # which refuses a level that the task says it does not have
        return [i for i in order if not self.level or task.problem(i).level == self.level] or order


def make(**kw: Any) -> Pool:
    return Pool(**kw)
