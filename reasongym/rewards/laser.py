"""LASER's unified view of length rewards, with every member of its table: a reward is C(y) + lambda(y) * S(y).

``laser(method="laser-d")``, or ``"laser/laser-d"``; [P, G] as every shaper, L the sampled tokens, R the base reward:
1 right, ``wrong`` for a wrong answer, ``malformed`` for none. Right means a verdict of 1.

=============  ====  ======  =================================================================  ==============
method         C     lambda  S                                                                  needs
=============  ====  ======  =================================================================  ==============
truncation     0     1       R if L <= target else rho                                          one episode
thinkprune     0     1       the same, with a target that falls in stages                       one episode
efficient      R     right   -alpha * sigmoid((L - mean) / std), over the group's right ones     a group
kimi           R     1       alpha * z or alpha * min(0, z), z = 0.5 - (L - min) / (max - min)  a group
l1-exact       R     1       -alpha * abs(L - target)                                           one episode
l1-max         0     right   clip(alpha / 2 * (target - L) + delta, 0, 1)                       one episode
laser          R     right   alpha * (L <= target)                                              one episode
laser-d        R     right   alpha * (L <= target of the problem's difficulty)                  a monitored set
laser-de       R     1       alpha * (right and L <= target, or wrong and L > target)           a monitored set
=============  ====  ======  =================================================================  ==============

Source: arXiv 2505.15612, equation 2, Table 2 and section 5; hkust-nlp/Laser
``verl/utils/reward_score/length_penalty.py``; L1: arXiv 2503.04697, cmu-l3/l1 ``math_reward.py``; ThinkPrune: arXiv
2504.01296; efficient: arXiv 2502.04463; Kimi k1.5: arXiv 2501.12599.
Differs: l1-max has the sign of L1's own code, where Table 2 prints the other; alone in its group, an attempt has no
one to be compared with (efficient: half the penalty, kimi: none), where the code's mean of 0 or its span from 0 to 1
makes the penalty grow with L. ``compat="official"`` brings these back. ``no_repeats=True`` is the check for repetition
that the code means to put before laser-de's bonus; there it is given a tensor, in which it never finds any. The code
writes all rewards at the last sample's length, which no sum over tokens can tell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from reasongym.core import Batch, FiniteTask, Problem, Task, Trajectory, UserError
from reasongym.repetition import close_repeats
from reasongym.shaping import Columns, EpisodeShaper, columns, over_members, span

Floats = NDArray[np.float64]
Compat = Literal["official"] | None
BANDS = ("easy", "medium", "hard")


@dataclass(frozen=True)
class Base:
    """What an answer is worth before its length, and how much the length weighs."""

    target: int = 4096
    alpha: float = 0.5
    wrong: float = -0.5
    malformed: float = -1.0

    def __post_init__(self) -> None:
        if self.target < 1 or self.alpha < 0:
            raise UserError(f"laser: target={self.target} must be 1 token or more, and alpha={self.alpha} 0 or more")

    def reward(self, c: Columns) -> Floats:
        """R, [P, G]."""
        return np.where(c.right, 1.0, np.where(c.answered, self.wrong, self.malformed))


@dataclass
class ByTarget(EpisodeShaper):
    """One target for all: truncation, thinkprune, l1-exact, l1-max, laser.

    ThinkPrune's is the next of ``targets`` after every ``every`` updates, and the last one stays; the paper's
    stages are runs of their own.
    """

    method: str = "laser"
    base: Base = Base()
    rho: float = 0.0
    delta: float = 0.5
    targets: Sequence[int] = (4096, 3072, 2048)
    every: int = 100
    compat: Compat = None
    updates: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if not self.targets or min(*self.targets, self.every) < 1:
            raise UserError(f"laser: targets={self.targets} and every={self.every} must be positive")

    @property
    def target(self) -> int:
        """In tokens, now."""
        stage = min(self.updates // self.every, len(self.targets) - 1)
        return self.targets[stage] if self.method == "thinkprune" else self.base.target

    def score(self, trajectory: Trajectory) -> float:
        return float(self([[trajectory]])[0, 0])

    def __call__(self, batch: Batch) -> Floats:
        c = columns(batch)
        return np.where(c.valid, self._pay(c, c.length - self.target), np.nan)

    def update(self, batch: Batch) -> None:
        self.updates += 1

    def state_dict(self) -> dict[str, int]:
        return {"updates": self.updates}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.updates = state["updates"]

    def _pay(self, c: Columns, over: Floats) -> Floats:
        reward, alpha = self.base.reward(c), self.base.alpha
        if self.method in ("truncation", "thinkprune"):
            return np.where(over <= 0, reward, self.rho)
        if self.method == "l1-exact":
            return reward - alpha * np.abs(over)
        if self.method == "l1-max":
            slope = alpha if self.compat else -alpha / 2
            return np.where(c.right, np.clip(slope * over + self.delta, 0.0, 1.0), 0.0)
        return reward + alpha * (c.right & (over <= 0))


@dataclass(frozen=True)
class ByGroup:
    """Lengths compared within a group: efficient, kimi."""

    method: str = "efficient"
    base: Base = Base()
    compat: Compat = None

    def __call__(self, batch: Batch) -> Floats:
        c = columns(batch)
        reward = self.base.reward(c)
        term = _efficient(c, self.compat) if self.method == "efficient" else _kimi(c, self.compat)
        return np.where(c.valid, reward + self.base.alpha * term, np.nan)

    def update(self, batch: Batch) -> None:
        """Nothing to learn."""


def _efficient(c: Columns, compat: Compat) -> Floats:
    n, mean, std = over_members(c.length, c.right)
    if compat:
        mean, std = np.where(n > 1, mean, 0.0), np.where(n > 1, std, 1.0)
    z = (c.length - mean) / (std + 1e-6)
    return np.where(c.right, -0.5 * (1 + np.tanh(z / 2)), 0.0)  # the sigmoid, which cannot overflow


def _kimi(c: Columns, compat: Compat) -> Floats:
    low, high = span(c.length, c.valid)
    if compat and c.length.shape[1] == 1:
        low, high = np.zeros_like(low), np.ones_like(high)
    z = np.where(high > low, 0.5 - (c.length - low) / np.maximum(high - low, 1e-6), 0.0)
    return np.where(c.right, z, np.where(c.answered, np.minimum(z, 0.0), 0.0))


@dataclass
class ByDifficulty:
    """A target for each difficulty, found anew every so many steps on a monitored set: laser-d, laser-de.

    ``monitor`` problems of the task are attempted ``attempts`` times at step 0 and every ``every`` steps. They fall
    into bands by their share of right attempts; a band's target is the shortest candidate at which the coverage (the
    share of *all* its attempts that are no longer) leaves one expected right attempt: `adapted`. Training groups
    fall into the same bands by their own share. Until something was observed, every target is ``base.target``.
    ``no_repeats`` withholds laser-de's bonus from wrong answers that go round in circles (`close_repeats`).

    Source: arXiv 2505.15612 section 5.2; ``_choose_target_length``, ``compute_length_reward_larse_d`` and ``_de``.
    Differs: ``rounding="paper"`` is the default (the code's is ``"official"``: 5 / 2 / 1 right attempts of 8 instead
    of 6 / 3 / 1); the monitor's bands have the training's boundaries; targets are saved (Laser issue 5).
    """

    method: str = "laser-d"
    base: Base = Base()
    rounding: Literal["paper", "official"] = "paper"
    stride: int = 1024
    limit: int = 16384
    monitor: int = 500
    attempts: int = 8
    every: int = 20
    level: int = 0
    seed: int = 0
    no_repeats: bool = False
    compat: Compat = None  # the code does nothing else here, but for ``rounding``
    targets: list[int | None] | None = field(default=None, init=False)  # of BANDS; None: the batch's longest
    _set: list[Problem] = field(default_factory=list, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.rounding not in ("paper", "official"):
            raise UserError(f"laser: rounding={self.rounding!r} must be 'paper' or 'official'")
        if min(self.stride, self.limit, self.attempts, self.every) < 1 or self.monitor < 0:
            raise UserError("laser: stride, limit, attempts and every must be positive, monitor 0 or more")
        if self.base.target > self.limit:
            raise UserError(f"laser: target={self.base.target} is above limit={self.limit}: no target could be found")

    def __call__(self, batch: Batch) -> Floats:
        c = columns(batch)
        reward, fits = self.base.reward(c), c.length <= self._targets(c)
        bonus = c.right & fits
        if self.method == "laser-de":
            bonus |= self._explores(batch, c, fits)
        return np.where(c.valid, reward + self.base.alpha * bonus, np.nan)

    def begin(self, task: Task) -> None:
        """Choose the monitored set: the same in every process."""
        rng = np.random.default_rng(self.seed)
        if isinstance(task, FiniteTask):
            chosen = rng.choice(len(task), min(len(task), self.monitor), replace=False)
            self._set = [task.problem(int(i)) for i in chosen]
        else:
            self._set = [task.sample(rng, self.level) for _ in range(self.monitor)]

    def probe(self, step: int) -> tuple[list[Problem], int] | None:
        """The monitored set, every so many steps."""
        return (self._set, self.attempts) if self._set and step % self.every == 0 else None

    def observe(self, batch: Batch) -> None:
        """Set the targets by what the monitored set needed."""
        c = columns(batch)
        band = bands(c)
        lengths = [c.length[band == d][c.valid[band == d]] for d in range(3)]
        self.targets = adapted(lengths, self._candidates(), needed(self.attempts, self.rounding))

    def update(self, batch: Batch) -> None:
        """Training attempts never move the targets."""

    def figures(self) -> dict[str, float]:
        """For the log."""
        return {f"target_{d}": float(t) for d, t in zip(BANDS, self.targets or (), strict=False) if t is not None}

    def state_dict(self) -> dict[str, Any]:
        return {"targets": self.targets}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.targets = state["targets"]

    def _candidates(self) -> list[int]:
        """The target, then steps up to the limit: from the target itself, or in whole strides where it is shorter."""
        first = self.base.target if self.base.target < self.stride else None
        rest = range(self.stride if first else self.base.target, self.limit + 1, self.stride)
        return [first, *rest] if first else list(rest)

    def _targets(self, c: Columns) -> Floats:
        """Each group's own target, [P, 1]."""
        longest = float(np.where(c.valid, c.length, 0.0).max(initial=0.0))
        known = self.targets if self.targets is not None else [self.base.target] * 3
        return np.array([longest if t is None else t for t in known], np.float64)[bands(c)][:, None]

    def _explores(self, batch: Batch, c: Columns, fits: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Parsed, wrong, and longer than the target: laser-de lets these think on."""
        explores = c.answered & ~c.right & ~fits
        if self.no_repeats:
            for p, g in np.argwhere(explores):
                segments = batch[p][g].segments
                ids = [i for s in segments for i, own in zip(s.ids, s.mask, strict=True) if own]
                explores[p, g] = not close_repeats(ids)
        return explores


def bands(c: Columns) -> NDArray[np.int_]:
    """Each group's difficulty, [P]: 0 easy (two thirds right or more), 1 medium (one third), 2 hard."""
    right, n = c.right.sum(axis=1), np.maximum(c.valid.sum(axis=1), 1)
    return np.where(3 * right >= 2 * n, 0, np.where(3 * right >= n, 1, 2))


def needed(attempts: int, rounding: Literal["paper", "official"]) -> tuple[int, int, int]:
    """The least number of right attempts in each band: 6, 3, 1 of 8; in the official code 5, 2, 1."""
    up = 2 if rounding == "paper" else 0  # to the next whole number, or down
    return max(1, (2 * attempts + up) // 3), max(1, (attempts + up) // 3), 1


def adapted(lengths: Sequence[Floats], candidates: Sequence[int], right: Sequence[int]) -> list[int | None]:
    """For each band the shortest candidate l with coverage(l) * right >= 1, or None where there is none."""
    return [_shortest(band, candidates, n) for band, n in zip(lengths, right, strict=True)]


def _shortest(lengths: Floats, candidates: Sequence[int], right: int) -> int | None:
    covered = np.searchsorted(np.sort(lengths), candidates, side="right")
    enough = np.flatnonzero((covered * right >= len(lengths)) & (len(lengths) > 0))
    return int(candidates[enough[0]]) if len(enough) else None


_EXACT = Base(alpha=0.0003, wrong=0.0, malformed=0.0)
METHODS: dict[str, tuple[Callable[..., Any], Base]] = {
    "truncation": (ByTarget, Base()),
    "thinkprune": (ByTarget, Base()),
    "efficient": (ByGroup, Base(alpha=0.2)),
    "kimi": (ByGroup, Base(alpha=1.0)),
    "l1-exact": (ByTarget, _EXACT),
    "l1-max": (ByTarget, _EXACT),
    "laser": (ByTarget, Base()),
    "laser-d": (ByDifficulty, Base()),
    "laser-de": (ByDifficulty, Base()),
}


def make(method: str = "laser", **kw: Any) -> Any:
    """A member of the table; ``target``, ``alpha``, ``wrong`` and ``malformed`` are those of its base."""
    if method not in METHODS:
        raise UserError(f"laser: there is no method {method!r}; there is {', '.join(METHODS)}")
    made, base = METHODS[method]
    own = {key: kw.pop(key) for key in ("target", "alpha", "wrong", "malformed") if key in kw}
    if kw.get("compat") not in (None, "official"):
        raise UserError(f"laser: compat={kw['compat']!r} must be None or 'official'")
    return made(method, replace(base, **own), **kw)
