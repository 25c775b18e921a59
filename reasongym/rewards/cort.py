"""CoRT's reward: the truth, less a little where all of the code has failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from reasongym.core import Trajectory
from reasongym.shaping import EpisodeShaper


@dataclass(frozen=True)
class Cort(EpisodeShaper):
    """``R_a + weight * R_c``: the verdict's score, and R_c = -1 where every block of code that ran was bad, else 0.

    Bad is a block that ended in an error, or said nothing (or ``[]``, or ``Done``). With ``penalize_no_code`` a thought
    without any run counts as bad too.

    Source: arXiv 2506.09820, eq. 3 and appendix D.3; CoRT ``math_reward_hybrid.py``, whose ``all([])`` is what
    ``penalize_no_code`` keeps.
    Differs: what ran and how it ended comes from the tool's report, where the official code searches the text for
    output blocks, which a model can write itself, and takes any output that says error, exception or traceback for
    bad. R_a = 0 without a closed thought is the environment's ``answer_after="</think>"``. The optional judge of tool
    use is left out.
    """

    weight: float = 0.1
    penalize_no_code: bool = True

    def score(self, trajectory: Trajectory) -> float:
        reports = trajectory.info.get("tools", [])
        runs = sum(r.get("code_runs", 0) for r in reports)
        bad = sum(r.get("code_errors", 0) + r.get("code_empty", 0) for r in reports)
        failed = bad == runs if runs else self.penalize_no_code
        return trajectory.verdict.score - self.weight * failed


def make(**kw: Any) -> Cort:
    return Cort(**kw)
