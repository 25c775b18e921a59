"""Which problems come next."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reasongym.core import Batch, Problem, Task


@dataclass(frozen=True)
class Uniform:
    """Fresh problems of one level (a task's level 0 is its own mixture)."""

    level: int = 0

    def problems(self, task: Task, rng: np.random.Generator, n: int) -> list[Problem]:
        return [task.sample(rng, self.level) for _ in range(n)]

    def update(self, batch: Batch) -> None:
        """Nothing to learn."""
