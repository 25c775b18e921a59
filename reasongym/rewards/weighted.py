"""A weighted sum of other shapers, such as open-rs's: once the format, twice the cosine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reasongym import parts
from reasongym.core import Batch, Shaper, Task, Trajectory, UserError
from reasongym.shaping import EpisodeShaper, Truth


@dataclass
class Weighted:
    """``sum(weight * shaper)`` over ``terms``, pairs of a weight and a shaper (an object, or a string); [P, G].

    ``weighted(terms=[(1.0, "format"), (2.0, "cosine(limit=3584)")])`` is the reward of open-rs's third experiment. The
    term ``"truth"`` is the verdict's score. Shapers that start or probe episodes cannot be terms.

    Source: arXiv 2503.16219 (weights 1 and 2); knoveleng/open-rs ``recipes/grpo.yaml``. Differs: none.
    """

    terms: Sequence[tuple[float, str | Shaper]] = ((1.0, "truth"),)
    shapers: list[Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.terms, list | tuple) or not all(map(_is_term, self.terms)):
            raise UserError(f"weighted: terms={self.terms!r} must be a list of pairs such as (1.0, 'format')")
        self.shapers = [Truth() if shaper == "truth" else parts.make("rewards", shaper) for _, shaper in self.terms]
        if not self.shapers:
            raise UserError("weighted: terms is empty; give it pairs such as (1.0, 'format')")
        for shaper in self.shapers:
            if any(hasattr(shaper, hook) for hook in ("starts", "probe")):
                raise UserError(f"weighted: {type(shaper).__name__} starts or probes episodes: use it alone")

    def begin(self, task: Task) -> None:
        for shaper in self.shapers:
            if hasattr(shaper, "begin"):
                shaper.begin(task)

    def __call__(self, batch: Batch) -> NDArray[np.float64]:
        paid = [weight * shaper(batch) for (weight, _), shaper in zip(self.terms, self.shapers, strict=True)]
        return np.asarray(sum(paid[1:], start=paid[0]))

    def update(self, batch: Batch) -> None:
        for shaper in self.shapers:
            shaper.update(batch)

    def figures(self) -> dict[str, float]:
        """Those of all terms, for the log."""
        told = (shaper.figures() for shaper in self.shapers if hasattr(shaper, "figures"))
        return {key: value for figures in told for key, value in figures.items()}

    def state_dict(self) -> dict[str, Any]:
        return {str(i): s.state_dict() for i, s in enumerate(self.shapers) if hasattr(s, "state_dict")}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for i, own in state.items():
            self.shapers[int(i)].load_state_dict(own)


def _is_term(pair: Any) -> bool:
    """A weight and a shaper, or a string that makes one."""
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        return False
    return isinstance(pair[0], Real) and (isinstance(pair[1], str) or callable(pair[1]))


class WeightedEpisodes(Weighted, EpisodeShaper):
    """The same where each term needs one episode only: it may pay inside an environment too."""

    def score(self, trajectory: Trajectory) -> float:
        return float(self([[trajectory]])[0, 0])


def make(**kw: Any) -> Weighted:
    made = Weighted(**kw)
    alone = all(isinstance(shaper, EpisodeShaper) for shaper in made.shapers)
    return WeightedEpisodes(list(zip((w for w, _ in made.terms), made.shapers, strict=True))) if alone else made
