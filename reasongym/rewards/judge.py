"""A discriminator that pays beside the truth: how sure a judge is that the answer is right."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reasongym import parts
from reasongym.core import Batch, Trajectory, UserError
from reasongym.discriminators import Discriminator
from reasongym.shaping import EpisodeShaper


@dataclass(frozen=True)
class Judge(EpisodeShaper):
    """The verdict's score plus ``weight`` times the discriminator's p: its score negated, and kept in [0, 1].

    It is asked about (the problem's prompt, the answer that was extracted); where none was, p is 0. A group is judged
    in one call, and each distinct answer once.

    Args:
        discriminator: A `Discriminator`, or a string such as ``"my.module:judge(model='...')"``.
        weight: Of p. Well below 1, so that a judge who is fooled never pays as much as a right answer.

    Source: this project's own; p is the soft score of arXiv 2505.03786, section 3.
    Differs: the paper ranks with it and trains on nothing.
    """

    discriminator: Any
    weight: float = 0.2
    _judge: Discriminator = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 0 < self.weight <= 1:
            raise UserError(f"judge: weight={self.weight} must be above 0 and at most 1")
        judge = parts.make("discriminators", self.discriminator)
        if not hasattr(judge, "score"):
            raise UserError(f"judge: discriminator={self.discriminator!r} has no score(question, candidates)")
        object.__setattr__(self, "_judge", judge)

    def score(self, trajectory: Trajectory) -> float:
        return self._paid([trajectory])[0]

    def __call__(self, batch: Batch) -> NDArray[np.float64]:
        """Rewards [P, G], NaN where the trajectory is invalid."""
        if len({len(group) for group in batch}) > 1:
            raise UserError("all groups of a batch must have the same number of attempts")
        return np.array([self._paid(group) for group in batch], np.float64).reshape(len(batch), -1 if batch else 0)

    def _paid(self, group: list[Trajectory]) -> list[float]:
        """For attempts at one problem."""
        known: dict[str, float] = {}
        answers = list(dict.fromkeys(t.verdict.answer for t in group if t.valid and t.verdict.answer))
        if answers:
            known = dict(zip(answers, self._judge.score(group[0].problem.prompt, answers), strict=True))

        def paid(t: Trajectory) -> float:
            p = min(1.0, max(0.0, -known.get(t.verdict.answer or "", 0.0)))
            return t.verdict.score + self.weight * p

        return [paid(t) if t.valid else float("nan") for t in group]


def make(**kw: Any) -> Judge:
    return Judge(**kw)
