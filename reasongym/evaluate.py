"""Any policy on any environment: accuracy, thought length, context and time, at any budget."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

from reasongym.core import Batch, Completion, Policy, Problem, Request, Sampling, Trajectory, UserError
from reasongym.metrics import bootstrap_ci, pass_at_k, tool_means, wilson
from reasongym.rollout import rollout


@dataclass(frozen=True)
class Evaluation:
    """P problems with k attempts each. Figures are over the valid attempts."""

    batch: Batch
    wall_s: float
    seed: int = 0

    @property
    def attempts(self) -> list[Trajectory]:
        return [t for group in self.batch for t in group if t.valid]

    @property
    def accuracy(self) -> float:
        """The mean score over problems (avg@k); NaN where no attempt was valid."""
        means = self._means()
        return float(means.mean()) if len(means) else float("nan")

    @property
    def ci95(self) -> tuple[float, float]:
        """Wilson's interval for one right-or-wrong attempt a problem, else a bootstrap over problems."""
        means = self._means()
        if not len(means):
            return 0.0, 1.0
        if set(means) <= {0.0, 1.0}:
            return wilson(int(means.sum()), len(means))
        return bootstrap_ci(means, np.random.default_rng(0))

    def pass_at(self, k: int) -> float:
        """Unbiased pass@k; an attempt counts as right at score 1."""
        groups = [[t.verdict.score >= 1 for t in group if t.valid] for group in self.batch]
        counted = [(len(g), sum(g)) for g in groups if len(g) >= k]
        return float(np.mean([pass_at_k(n, c, k) for n, c in counted])) if counted else float("nan")

    def by(self, key: Callable[[Problem], Any]) -> dict[Any, Evaluation]:
        """The same attempts, split by what ``key`` says of their problem (its level, say), in order of the keys."""
        split: dict[Any, Batch] = {}
        for group in self.batch:
            split.setdefault(key(group[0].problem), []).append(group)
        return {name: Evaluation(split[name], self.wall_s, self.seed) for name in sorted(split)}

    def summary(self) -> dict[str, Any]:
        """The figures as plain numbers."""
        attempts = self.attempts
        right = [t.length for t in attempts if t.verdict.score >= 1]
        return {
            "problems": len(self.batch),
            "accuracy": self.accuracy,
            "ci95": list(self.ci95),
            "thought_tokens": float(np.mean([t.length for t in attempts])) if attempts else float("nan"),
            "correct_tokens": float(np.mean(right)) if right else None,
            **tool_means(attempts),
            "truncated": float(np.mean([t.truncated for t in attempts])) if attempts else float("nan"),
            "peak_context": max((t.info["peak_context"] for t in attempts), default=0),
            "invalid": sum(not t.valid for group in self.batch for t in group),
            "wall_s": self.wall_s,
        }

    def _means(self) -> Any:
        groups = [[t.verdict.score for t in group if t.valid] for group in self.batch]
        return np.array([np.mean(g) for g in groups if g])


def evaluate(
    policy: Policy,
    envs: Sequence[gym.Env[Any, Any]],
    problems: Sequence[Problem],
    *,
    k: int = 1,
    budget: int | None = None,
    sampling: Sampling = Sampling(),  # noqa: B008  (frozen)
    seed: int = 0,
    deterministic: bool = False,
) -> Evaluation:
    """``k`` attempts at each problem, with ``budget`` tokens of thought (None: the env's own)."""
    extra = {} if budget is None else {"budget": budget}
    resets = [{"seed": seed, "options": {"problem": p, **extra}} for p in problems for _ in range(k)]
    started = time.perf_counter()
    done = rollout(policy, envs, resets, group=k, seed=seed, sampling=sampling, deterministic=deterministic)
    return Evaluation([done[i : i + k] for i in range(0, len(done), k)], time.perf_counter() - started, seed)


def right_trim(env: gym.Env[Any, Any], evaluation: Evaluation, budget: int) -> Evaluation:
    """The same attempts as if each thought had been cut after ``budget`` tokens, then verified.

    Accuracy against budget comes from one set of samples: what was sampled is played to ``env``
    again under the smaller budget, so windows, tools and verifier are those of a real run.

    Source: arXiv 2510.06557 section 4 (test-time scaling). Differs: none.
    """
    started = time.perf_counter()
    played = evaluation.attempts
    resets = [{"seed": evaluation.seed, "options": {"problem": t.problem, "budget": budget}} for t in played]
    cut = iter(rollout(_Recorded(played, budget), [env], resets, deterministic=True))
    batch = [[next(cut) if t.valid else t for t in group] for group in evaluation.batch]
    return Evaluation(batch, time.perf_counter() - started, evaluation.seed)


@dataclass(frozen=True)
class _Recorded:
    """A policy that says again what was said in these attempts, call by call."""

    attempts: list[Trajectory]
    budget: int

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        return [self._call(*request.key) for request in requests]

    def _call(self, step: int, attempt: int, of_group: int, call: int) -> Completion:
        trajectory = self.attempts[attempt]
        said: list[Completion] = trajectory.info["completions"]
        if call < len(said):
            return said[call]
        raise UserError(f"right_trim: budget={self.budget} is more than the {trajectory.length} tokens of an attempt")
