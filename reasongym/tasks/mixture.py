"""A mixture of tasks, posed as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from reasongym import parts
from reasongym.core import Completion, Demonstrator, Problem, Task, UserError, Verdict
from reasongym.curriculum import last_level


@dataclass(frozen=True)
class Mixture:
    """Each problem comes from one of ``tasks`` (objects, or strings for `reasongym.parts`), by ``weights``.

    Weights need not sum to 1; None weighs all alike. The level passes through. ``data["task"]`` says
    where a problem came from, and ``data["data"]`` is what that task put there.
    """

    tasks: Sequence[Any] = ("register", "arithmetic")
    weights: Sequence[float] | None = None
    _members: dict[str, Task] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if isinstance(self.tasks, str) or not self.tasks:
            raise UserError(f"mixture: tasks={self.tasks!r} must be a sequence of at least one task or name")
        weights = self.weights
        if weights is not None and not (len(weights) == len(self.tasks) and min(weights) >= 0 < sum(weights) < np.inf):
            raise UserError(f"mixture: weights={weights!r} must be {len(self.tasks)} numbers >= 0, not all 0")
        self._members.update({_name(task): parts.make("tasks", task) for task in self.tasks})

    @property
    def members(self) -> Mapping[str, Task]:
        """The tasks by their names."""
        return self._members

    @property
    def last_level(self) -> int | None:
        """The highest level that all members of some weight have, since any of these may be next."""
        weights = self.weights or [1.0] * len(self.tasks)
        drawn = {_name(task) for task, weight in zip(self.tasks, weights, strict=True) if weight > 0}
        return min((last for name in drawn if (last := last_level(self._members[name])) is not None), default=None)

    def sample(self, rng: np.random.Generator, level: int = 0) -> Problem:
        return self.sample_from(self.pick(rng), rng, level)

    def pick(self, rng: np.random.Generator) -> str:
        """The name of a member, by the weights."""
        weights = np.ones(len(self.tasks)) if self.weights is None else np.asarray(self.weights, float)
        return _name(self.tasks[int(rng.choice(len(self.tasks), p=weights / weights.sum()))])

    def sample_from(self, name: str, rng: np.random.Generator, level: int = 0) -> Problem:
        """A problem of one member."""
        inner = self._members[name].sample(rng, level)
        return Problem.of(inner.prompt, inner.answer, inner.level, task=name, data=dict(inner.data))

    def verify(self, problem: Problem, text: str) -> Verdict:
        return self._member(problem).verify(_inner(problem), text)

    def demonstrate(self, problem: Problem, rng: np.random.Generator) -> str | Completion:
        member = self._member(problem)
        if not isinstance(member, Demonstrator):
            raise UserError(f"mixture: {problem.data['task']} has no demonstrate(); leave it out of the mixture")
        return member.demonstrate(_inner(problem), rng)

    def _member(self, problem: Problem) -> Task:
        member = self._members.get(str(problem.data.get("task")))
        if member is None:
            raise UserError(f"mixture: problem {problem.id} is from none of {', '.join(self._members)}")
        return member


def make(**kw: Any) -> Mixture:
    return Mixture(**kw)


def _name(task: Any) -> str:
    """A member's name: the string that made it, or the object's repr, which is its configuration."""
    return task if isinstance(task, str) else repr(task)


def _inner(problem: Problem) -> Problem:
    """The problem as its own task posed it (the id stays that of the mixture's problem)."""
    return replace(problem, data=problem.data["data"])
