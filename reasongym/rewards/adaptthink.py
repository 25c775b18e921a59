"""AdaptThink: skip the thought wherever the answer is as good without it, measured against the first model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reasongym.core import Batch, Completion, FiniteTask, Problem, Task, UserError
from reasongym.shaping import alone, own, shape, skipped
from reasongym.thinking import CLOSER, OPENER


@dataclass
class AdaptThink:
    """The advantage itself: ``delta`` for not thinking, plus R less the reference's mean R; [P, G].

    Use it with ``--advantage identity``, and with ``--ratio sequence`` for the paper's importance ratio or
    ``--ratio geometric`` for the official code's, which divides the log-ratio of the whole response by its length (so
    that the first token's correction all but vanishes in a long thought). R is 1 for a right answer of good form: one
    closer, and no opener of the response's own (what the environment's prefix wrote is passed over).

    Of each group's attempts the first ``share`` begin with ``no_think`` and the rest with ``think``, forced
    through ``starts``; their behaviour log-prob is that of the coin, log share and log (1 - share), whatever the
    policy gives. No-think attempts may have a smaller budget (never more than the step's).

    The reference accuracy of a problem is the mean R of ``attempts`` unforced attempts, asked for through ``probe``,
    and stored by problem id. A task that is finite is probed as a whole at the first step, by the model that training
    starts from. Problems of an endless task are probed when they come up, by the model of that step. Without
    a reference (an agent that does not probe) a group is compared with its own mean.

    Source: arXiv 2505.13417, equations 3 to 6 and Algorithm 1; THU-KEG/AdaptThink ``src/adapt_think_rm.py``,
    ``adapt_think_vllm_rollout.py``, ``adapt_think_core_algos.py``, ``presampling_ref_responses.py``.
    Differs: references are sampled under the agent's own temperature and budget; the problem's id is the key, where
    the code compares decoded prompts; a share of 0 or 1 forces one mode with log-prob 0.
    """

    delta: float = 0.05
    share: float = 0.5
    attempts: int = 16
    no_think: str = CLOSER
    think: str = "Alright"
    no_think_budget: int | None = None
    closer: str = CLOSER
    opener: str = OPENER
    reference: dict[str, float] = field(default_factory=dict, init=False)
    _asked: dict[str, Problem] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1 or self.attempts < 1:
            raise UserError(f"adaptthink: share={self.share} must be in [0, 1], attempts={self.attempts} 1 or more")
        for name in ("think", "no_think", "closer", "opener"):
            if not isinstance(text := getattr(self, name), str) or not text.strip():
                raise UserError(f"adaptthink: {name}={text!r} must be a text that is not empty")

    def __call__(self, batch: Batch) -> NDArray[np.float64]:
        r = self._correct(batch)
        means = np.nan_to_num(r).sum(axis=1) / np.maximum((~np.isnan(r)).sum(axis=1), 1)
        known = [self.reference.get(group[0].problem.id, mean) for group, mean in zip(batch, means, strict=True)]
        short = skipped(batch, self.closer, self.opener)
        return np.asarray(self.delta * short + r - np.array(known, np.float64)[:, None])

    def begin(self, task: Task) -> None:
        """A finite task is to be probed as a whole."""
        if isinstance(task, FiniteTask):
            self._ask([task.problem(i) for i in range(len(task))])

    def starts(self, problems: Sequence[Problem], group: int) -> list[dict[str, Any]]:
        """The forced first action of every attempt, and the budget of those that do not think."""
        self._ask(problems)
        short = round(group * self.share)
        skip: dict[str, Any] = {"response": _coin(self.no_think, self.share)}
        if self.no_think_budget is not None:
            skip["budget"] = self.no_think_budget
        return [*[skip] * short, *[{"response": _coin(self.think, 1 - self.share)}] * (group - short)] * len(problems)

    def probe(self, step: int) -> tuple[list[Problem], int] | None:
        """The problems whose reference is not known yet."""
        asked = [p for id, p in self._asked.items() if id not in self.reference]
        return (asked, self.attempts) if asked else None

    def observe(self, batch: Batch) -> None:
        """Store the references; one whose attempts all failed on the host's side is asked for again."""
        for group, r in zip(batch, self._correct(batch), strict=True):
            if not np.isnan(r).all():
                self.reference[group[0].problem.id] = float(np.nanmean(r))
                self._asked.pop(group[0].problem.id, None)

    def update(self, batch: Batch) -> None:
        """Training attempts are no reference."""

    def figures(self) -> dict[str, float]:
        """For the log."""
        return {"reference": float(np.mean(list(self.reference.values())))} if self.reference else {}

    def state_dict(self) -> dict[str, Any]:
        return {"reference": dict(self.reference)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.reference = dict(state["reference"])

    def _ask(self, problems: Sequence[Problem]) -> None:
        self._asked |= {p.id: p for p in problems if p.id not in self.reference}

    def _correct(self, batch: Batch) -> NDArray[np.float64]:
        """R [P, G], NaN where the attempt is invalid. Only right answers are looked at for their form."""
        closed = alone(self.closer, self.opener)
        every = [t for group in batch for t in group]
        verdicts = [t.verdict for t in every]
        r = [v.score >= 1 and closed(own(t)) if v.valid else math.nan for v, t in zip(verdicts, every, strict=True)]
        return np.array(r, np.float64).reshape(shape(batch))


def _coin(text: str, chance: float) -> Completion:
    """A forced beginning: its log-prob is that of the coin, told once for all its tokens."""
    return Completion(text, logprobs=(math.log(chance) if chance > 0 else 0.0,), finish="length")


def make(**kw: Any) -> AdaptThink:
    return AdaptThink(**kw)
