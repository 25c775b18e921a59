"""HAPO: a thought is measured by the shortest right one that its problem ever had."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from reasongym.core import Batch, Trajectory, UserError
from reasongym.shaping import EpisodeShaper, columns

Floats = NDArray[np.float64]


@dataclass
class Hapo(EpisodeShaper):
    """The verdict's score and ``weight`` times a length reward in [-1, 1]; [P, G].

    h is the problem's history: the length of its shortest right thought so far (``history="min"``) or the mean of all
    right ones (``"mean"``), as of before this batch; it is updated after the step. A problem that was never solved has
    none, and no length reward. Histories are kept by problem id: the same problems must come again (a finite task,
    such as ``pool``), else this is the plain score.

    * ``shape="cosine"``: c = cos(pi/2 * L/h) where L < 2h, else -1; right: max(``floor``, c), wrong: min(0, c).
    * ``"linear"``: with t = 1 + ``tolerance``: right: 1 - L/h below h, 0 up to t*h, then max(``floor``, -(L - t*h)/h);
      wrong: 0 up to t*h, then max(-1, -(L - t*h)/h).

    Source: arXiv 2505.11225; HCY123902/HAPO ``utils.py``, ``grpo_trainer.py``.
    Differs: lengths are of sampled tokens (there, of the text tokenised again); histories are saved and restored, where
    the official run forgets them; a mean counts each right thought once (``compat="official"``: once for each attempt
    at its problem in the batch); no repetition term, which the official script sets to 0.
    """

    weight: float = 1.0
    history: Literal["min", "mean"] = "min"
    shape: Literal["cosine", "linear"] = "cosine"
    floor: float = -0.7
    tolerance: float = 0.1
    compat: Literal["official"] | None = None
    lengths: dict[str, float] = field(default_factory=dict, init=False)  # h, by problem id
    counts: dict[str, int] = field(default_factory=dict, init=False)  # right thoughts in h

    def __post_init__(self) -> None:
        if self.history not in ("min", "mean") or self.shape not in ("cosine", "linear"):
            raise UserError(f"hapo: history={self.history!r} is 'min' or 'mean', shape={self.shape!r} cosine or linear")
        if not 0 <= self.weight <= 1:
            raise UserError(f"hapo: weight={self.weight} must be in [0, 1], or a wrong answer may beat a right one")
        if self.compat not in (None, "official"):
            raise UserError(f"hapo: compat={self.compat!r} must be None or 'official'")

    def score(self, trajectory: Trajectory) -> float:
        return float(self([[trajectory]])[0, 0])

    def __call__(self, batch: Batch) -> Floats:
        c = columns(batch)
        h = np.array([self.lengths.get(group[0].problem.id, np.nan) for group in batch])[:, None]
        length = cosine if self.shape == "cosine" else linear
        paid = length(c.length, h, c.right, self.floor, self.tolerance)
        return c.score + self.weight * np.where(np.isnan(h), 0.0, paid)

    def update(self, batch: Batch) -> None:
        """The right thoughts of this batch become history."""
        for group in batch:
            right = [max(1, t.length) for t in group if t.valid and t.verdict.score >= 1]
            again = len(group) if self.compat and self.history == "mean" else 1
            for _ in range(again if right else 0):
                self._learn(group[0].problem.id, right)

    def figures(self) -> dict[str, float]:
        """For the log."""
        return {"history": float(np.mean(list(self.lengths.values())))} if self.lengths else {}

    def state_dict(self) -> dict[str, Any]:
        return {"lengths": dict(self.lengths), "counts": dict(self.counts)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.lengths, self.counts = dict(state["lengths"]), dict(state["counts"])

    def _learn(self, problem: str, right: list[int]) -> None:
        before, n = self.lengths.get(problem), self.counts.get(problem, 0)
        if self.history == "min":
            self.lengths[problem] = min(right) if before is None else min(before, *right)
        else:
            self.lengths[problem] = ((before or 0.0) * n + sum(right)) / (n + len(right))
        self.counts[problem] = n + len(right)


def cosine(length: Floats, h: Floats, right: NDArray[np.bool_], floor: float, tolerance: float = 0.0) -> Floats:
    """The cosine length reward of L [P, G] by h [P, 1]."""
    c = np.where(length < 2 * h, np.cos(np.pi / 2 * length / h), -1.0)
    return np.where(right, np.maximum(floor, c), np.minimum(0.0, c))


def linear(length: Floats, h: Floats, right: NDArray[np.bool_], floor: float, tolerance: float) -> Floats:
    """The linear length reward of L [P, G] by h [P, 1]."""
    over = np.minimum(0.0, (1 + tolerance) - length / h)  # 0 up to the tolerance
    below = np.maximum(0.0, 1 - length / h)
    return np.where(right, np.maximum(floor, below + over), np.maximum(-1.0, over))


def make(**kw: Any) -> Hapo:
    return Hapo(**kw)
