"""Which problems come next: of one level, of a ladder that is climbed, of a window that slides, or of a finite set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any

import numpy as np

from reasongym.core import Batch, FiniteTask, Problem, Task, UserError
from reasongym.metrics import pass_at_k

_TRIES = 1000  # draws for one problem on the right side of the split
_HELD_OUT = 8  # one problem in so many may only validate


@dataclass(frozen=True)
class Uniform:
    """Fresh problems of levels ``level`` .. ``last``, all alike; by default of one level.

    A task's level 0 is its own mixture. ``apart`` leaves out what a `Ladder` would validate on (see `held_out`).
    """

    level: int = 0
    last: int | None = None
    apart: bool = False

    def __post_init__(self) -> None:
        _check_levels("uniform", "level", self.level, self.last)

    def problems(self, task: Task, rng: np.random.Generator, n: int) -> list[Problem]:
        """``n`` problems."""
        last = self.level if self.last is None else self.last
        levels = [int(level) for level in rng.integers(self.level, last + 1, n)]
        if self.apart:
            return [_drawn(task, rng, level, validates=False) for level in levels]
        return [task.sample(rng, level) for level in levels]

    def update(self, batch: Batch) -> None:
        """Nothing to learn."""


@dataclass
class Ladder:
    """One level at a time: a step up when pass@k on held-out problems passes a threshold.

    Every ``every`` steps ``count`` problems that training can never draw (the split is by a hash of
    the problem) are attempted ``attempts`` times. When the mean pass@k of the last ``window`` such
    validations exceeds ``threshold``, the next level begins; below ``back``, the one before. A share
    ``replay`` of the training problems is of levels already climbed.

    Source: SATURN, arXiv 2505.16368, section 3 and Algorithm 1 (pass@1 above 0.5 or 0.75 after every
    250 samples); the loop itself is not in the official repository.
    Differs: pass@k over a window instead of one pass@1; replay and stepping back are ours.
    """

    first: int = 1
    last: int | None = None
    threshold: float = 0.75
    k: int = 1
    attempts: int = 4
    count: int = 32
    every: int = 5
    window: int = 1
    back: float | None = None
    replay: float = 0.2
    seed: int = 0
    level: int = field(default=-1, init=False)
    scores: list[float] = field(default_factory=list, init=False)  # this level's validations
    _task: Task | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_whole("ladder", 1, k=self.k, count=self.count, every=self.every, window=self.window)
        _check_whole("ladder", self.k, attempts=self.attempts)
        _check_whole("ladder", 0, seed=self.seed, first=self.first)
        _check_levels("ladder", "first", self.first, self.last)
        _check_number("ladder", threshold=self.threshold, back=0.0 if self.back is None else self.back)
        _check_number("ladder", 0, 1, replay=self.replay)
        self.level = self.first

    def problems(self, task: Task, rng: np.random.Generator, n: int) -> list[Problem]:
        """``n`` training problems of the level that is being climbed, and of those below it."""
        self._task = task
        if (level := _within(task, self.first, self.last, self.level)) != self.level:
            self._go(level)
        return [_drawn(task, rng, self._replayed(rng), validates=False) for _ in range(n)]

    def probe(self, step: int) -> tuple[list[Problem], int] | None:
        """The level's validation problems, the same each time, every so many steps."""
        if self._task is None or step % self.every:
            return None
        rng = np.random.default_rng((self.seed, self.level))
        return [_drawn(self._task, rng, self.level, validates=True) for _ in range(self.count)], self.attempts

    def observe(self, batch: Batch) -> None:
        """Judge the validation: up, back, or stay."""
        groups = [[t.verdict.score >= 1 for t in group if t.valid] for group in batch]
        rates = [float(pass_at_k(len(g), sum(g), self.k)) for g in groups if len(g) >= self.k]
        if not rates:
            return
        self.scores = [*self.scores, float(np.mean(rates))][-self.window :]
        mean = float(np.mean(self.scores))
        higher = _within(self._task, self.first, self.last, self.level + 1)
        if len(self.scores) == self.window and mean > self.threshold and higher > self.level:
            self._go(higher)
        elif len(self.scores) == self.window and self.back is not None and mean < self.back and self.level > self.first:
            self._go(self.level - 1)

    def update(self, batch: Batch) -> None:
        """Training samples never move the level."""

    def figures(self) -> dict[str, float]:
        """For the log."""
        return {"level": self.level, "validation": self.scores[-1] if self.scores else 0.0}

    def state_dict(self) -> dict[str, Any]:
        """Where on the ladder."""
        return {"level": self.level, "scores": list(self.scores)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.level, self.scores = state["level"], list(state["scores"])

    def _replayed(self, rng: np.random.Generator) -> int:
        climbed = self.level > self.first and rng.random() < self.replay
        return int(rng.integers(self.first, self.level)) if climbed else self.level

    def _go(self, level: int) -> None:
        self.level, self.scores = level, []


@dataclass
class Window:
    """A range of levels that slides up, for each task of a mixture apart.

    Levels are drawn evenly from ``high - size + 1`` .. ``high``. After ``prompts`` problems at ``high``
    their accuracy is looked at once: at ``threshold`` or more, ``high`` rises by one; either way the
    count begins anew. Levels never fall, and end with the task's own. ``apart`` leaves out what a
    `Ladder` would validate on.

    Source: RLVE, arXiv 2511.07317, section 3; Zhiyuan-Zeng/RLVE ``RLVEManager`` (size 4, accuracy 0.9,
    8 prompts). Differs: levels begin at ``first`` (here 0 is a task's own mixture).
    """

    first: int = 1
    last: int | None = None
    size: int = 4
    threshold: float = 0.9
    prompts: int = 8
    apart: bool = False
    highs: dict[str, int] = field(default_factory=dict, init=False)
    seen: dict[str, list[float]] = field(default_factory=dict, init=False)  # scores at the high level
    _task: Task | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_whole("window", 1, size=self.size, prompts=self.prompts)
        _check_levels("window", "first", self.first, self.last)
        _check_number("window", threshold=self.threshold)

    def problems(self, task: Task, rng: np.random.Generator, n: int) -> list[Problem]:
        """``n`` problems, each of its own task's window."""
        self._task = task
        self.highs = {name: self._within(name, high) for name, high in self.highs.items()}
        return [self._draw(task, rng) for _ in range(n)]

    def update(self, batch: Batch) -> None:
        """Count what was attempted at the top of each window."""
        for group in batch:
            name, level = _member(group[0].problem), group[0].problem.level
            if level == self.highs.get(name, self.first):
                self.seen.setdefault(name, []).extend(t.verdict.score for t in group if t.valid)
        attempts = len(batch[0]) if batch else 1
        for name, scores in self.seen.items():
            if len(scores) < self.prompts * attempts:
                continue
            high = self.highs.get(name, self.first)
            if np.mean(scores) >= self.threshold and (higher := self._within(name, high + 1)) > high:
                self.highs[name] = higher
            self.seen[name] = []

    def figures(self) -> dict[str, float]:
        """For the log: the mean over the tasks."""
        return {"level": float(np.mean(list(self.highs.values()))) if self.highs else float(self.first)}

    def state_dict(self) -> dict[str, Any]:
        """Every window, and what is counted so far."""
        return {"highs": dict(self.highs), "seen": {name: list(scores) for name, scores in self.seen.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.highs = dict(state["highs"])
        self.seen = {name: list(scores) for name, scores in state["seen"].items()}

    def _within(self, name: str, level: int) -> int:
        return _within(getattr(self._task, "members", {}).get(name, self._task), self.first, self.last, level)

    def _draw(self, task: Any, rng: np.random.Generator) -> Problem:
        name = task.pick(rng) if hasattr(task, "pick") else ""
        high = self.highs.get(name, self.first)
        level = int(rng.integers(max(self.first, high - self.size + 1), high + 1))

        def sample() -> Problem:
            problem: Problem = task.sample_from(name, rng, level) if name else task.sample(rng, level)
            return problem

        return _chosen(sample, task, level, validates=False) if self.apart else sample()


@dataclass
class Epochs:
    """Every problem of a finite task once an epoch, in a new order each time: what a history of each one needs."""

    seed: int = 0
    taken: int = field(default=0, init=False)  # problems so far

    def __post_init__(self) -> None:
        _check_whole("epochs", 0, seed=self.seed)

    def problems(self, task: Task, rng: np.random.Generator, n: int) -> list[Problem]:
        """The next ``n``; an epoch may end among them."""
        every = _finite(task)
        places = [divmod(self.taken + i, len(every)) for i in range(n)]
        orders = {epoch: np.random.default_rng((self.seed, epoch)).permutation(len(every)) for epoch, _ in places}
        self.taken += n
        return [every.problem(int(orders[epoch][at])) for epoch, at in places]

    def update(self, batch: Batch) -> None:
        """Nothing to learn."""

    def state_dict(self) -> dict[str, Any]:
        """How far it is."""
        return {"taken": self.taken}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.taken = state["taken"]


@dataclass
class OneShot:
    """One problem of a finite task, or a few, again and again: ``which`` are their indices or ids.

    Each of k problems fills n // k places of n; which ones get one more, where k does not divide n, is drawn.

    Source: 1-shot RLVR, arXiv 2504.20571, section 3; ypwang61/One-Shot-RLVR ``data/train/one_shot_rlvr`` (128 copies).
    Differs: the official data has only k that divide the batch; the copies are made here, not in the data.
    """

    which: int | str | Sequence[int | str] = 0
    _found: list[Problem] = field(default_factory=list, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.which, int | str) and len(self.which) == 0:
            raise UserError("oneshot: which=[] names no problem; give an index or an id, or a list of them")

    def problems(self, task: Task, rng: np.random.Generator, n: int) -> list[Problem]:
        """``n`` copies."""
        if not self._found:
            names = [self.which] if isinstance(self.which, int | str) else self.which
            self._found = [_named(_finite(task), name) for name in names]
        k = len(self._found)
        return [*self._found * (n // k), *(self._found[i] for i in rng.permutation(k)[: n % k])]

    def update(self, batch: Batch) -> None:
        """Nothing to learn."""


def held_out(problem: Problem) -> bool:
    """Whether a problem is on the validation side of the split, which its content alone decides."""
    return int(problem.id, 16) % _HELD_OUT == 0


def last_level(task: Any) -> int | None:
    """The highest level that a task says it has (see `core.Task`), or else the end of its list ``levels``."""
    levels = getattr(task, "levels", None)
    last: int | None = getattr(task, "last_level", len(levels) if levels else None)
    return last


def _drawn(task: Task, rng: np.random.Generator, level: int, *, validates: bool) -> Problem:
    return _chosen(lambda: task.sample(rng, level), task, level, validates=validates)


def _chosen(sample: Callable[[], Problem], task: Task, level: int, *, validates: bool) -> Problem:
    """A problem on the wanted side of the split."""
    for _ in range(_TRIES):
        problem = sample()
        if held_out(problem) == validates:
            return problem
    side = "validate" if validates else "train"
    raise UserError(f"curriculum: level {level} of {task!r} has too few problems to {side} on; begin at a higher level")


def _within(task: Any, first: int, last: int | None, level: int) -> int:
    """``level``, or the last one of the curriculum or the task where that is lower (but ``first`` is always there)."""
    ends = [end for end in (last, last_level(task)) if end is not None]
    return min([level, *(max(first, end) for end in ends)])


def _check_levels(name: str, key: str, first: int, last: int | None) -> None:
    _check_whole(name, None, **{key: first, "last": first if last is None else last})
    if last is not None and last < first:
        raise UserError(f"{name}: last={last} must be at least {key}={first}")


def _check_whole(name: str, least: int | None, **settings: Any) -> None:
    for key, value in settings.items():
        if not isinstance(value, Integral) or (least is not None and value < least):
            bound = "" if least is None else f" of at least {least}"
            raise UserError(f"{name}: {key}={value!r} must be a whole number{bound}")


def _check_number(name: str, low: float = -np.inf, high: float = np.inf, **settings: Any) -> None:
    for key, value in settings.items():
        if not isinstance(value, Real) or not low <= float(value) <= high:
            bounds = "" if high == np.inf else f" from {low} to {high}"
            raise UserError(f"{name}: {key}={value!r} must be a number{bounds}")


def _member(problem: Problem) -> str:
    return str(problem.data.get("task", ""))


def _finite(task: Task) -> FiniteTask:
    if not isinstance(task, FiniteTask):
        raise UserError(f"curriculum: {task!r} has no list of problems: wrap it, as in \"pool(task='register', n=64)\"")
    return task


def _named(task: FiniteTask, name: int | str) -> Problem:
    """A problem by its index or its id."""
    if isinstance(name, int) and 0 <= name < len(task):
        return task.problem(name)
    for i in range(len(task)) if isinstance(name, str) else ():
        if (problem := task.problem(i)).id == name:
            return problem
    raise UserError(f"oneshot: there is no problem {name!r} among the {len(task)}: give an index from 0 or an id")
