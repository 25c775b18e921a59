"""Who says how good a candidate answer is: a reasoning model, a model's P(Yes), an execution check, an oracle.

A `Discriminator` is one method. Scores are those of `reasongym.judging`: lower is better. Nothing here knows what the
candidates are; what a model is asked about one, and how one is executed, are arguments.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from reasongym.core import Completion, Request, Sampling, UserError
from reasongym.judging import FAIL, INVALID, hard_probability, oracle_score, soft_probability
from reasongym.tokenizer import Chat

Ask = Callable[[str, str], str]  # what a judge is asked about (question, candidate)


class Discriminator(Protocol):
    """Scores candidates for one question; the same question and candidate always get the same score."""

    def score(self, question: str, candidates: Sequence[str]) -> list[float]: ...


@dataclass(frozen=True)
class ChainOfThought:
    """A reasoning model thinks, then says ``{"correct": true}`` or false; its words or its certainty are the score.

    Args:
        policy: Any policy that gives ids and log-probs (for hard scores, any policy), with its ``tokenizer``.
        ask: The prompt for (question, candidate).
        soft: Score by the probability of the word (`judging.soft_probability`), not by the word alone.
        fail: p where there is no verdict.
        tokens: The thought's budget.
        opener: Seeds the thought; ``""`` for models that open it themselves.

    Source: arXiv 2505.03786, section 3; llm-planning-with-reasoning ``modules/llm_evaluator.py``.
    Differs: the model's chat template is used, where the paper's code has none; see `judging.soft_probability`.
    """

    policy: Any
    ask: Ask
    soft: bool = True
    fail: float = FAIL
    tokens: int = 512
    opener: str = "<think>\nOkay,"

    def score(self, question: str, candidates: Sequence[str]) -> list[float]:
        said = self.policy.generate([self.request(self.ask(question, c), n) for n, c in enumerate(candidates)])
        return [-self.probability(completion) for completion in said]

    def probability(self, completion: Completion) -> float:
        """p, from what the model wrote."""
        if not self.soft:
            return hard_probability(completion.text, self.fail)
        if not completion.ids:
            raise UserError("a soft score needs a policy that returns token ids; soft=False takes any")
        return soft_probability(completion, self.policy.tokenizer.decode, fail=self.fail)

    def request(self, prompt: str, number: int = 0) -> Request:
        """What the model is asked: greedy, so that the same prompt gets the same verdict."""
        tokenizer = getattr(self.policy, "tokenizer", None)
        opened = tuple(tokenizer.encode(self.opener)) if tokenizer and self.opener else ()
        greedy = Sampling(temperature=0.0)
        return Request((0, 0, number, 0), prompt, self.opener, opened, self.tokens, (), 0, greedy)


@dataclass(frozen=True)
class YesNo:
    """The probability that a model's first word is ``yes``: one prefill a candidate, nothing is generated.

    ``policy`` needs `score` and a ``tokenizer``, as the hf policy has them.

    Source: arXiv 2402.10890, section 3; llm-planning-eval ``evaluators/``.
    Differs: no demonstrations in the prompt unless ``ask`` puts them there; the chat template is the model's.
    """

    policy: Any
    ask: Ask
    yes: str = "Yes"
    system: str | None = None

    def score(self, question: str, candidates: Sequence[str]) -> list[float]:
        chat = Chat(self.policy.tokenizer, self.system)
        first = self.policy.tokenizer.encode(self.yes)[:1]
        prompts = [chat.prompt_ids(self.ask(question, candidate)) for candidate in candidates]
        return [-math.exp(self.policy.score(prompt, first)[0]) for prompt in prompts]


@dataclass(frozen=True)
class Oracle:
    """Knows the truth, and tells it with probability ``p``; else the opposite.

    ``truth`` gives the worth of (question, candidate) in [0, 1], NaN where it cannot be executed.

    Source: arXiv 2402.10890, section 3 (the oracle-simulated discriminator); llm-planning-eval ``evaluators/``.
    Differs: whether it lies is drawn once for a question and a candidate, not anew at each call.
    """

    truth: Callable[[str, str], float]
    p: float = 1.0
    seed: int = 0

    def score(self, question: str, candidates: Sequence[str]) -> list[float]:
        return [oracle_score(self.truth(question, c), self._honest(question, c)) for c in candidates]

    def _honest(self, question: str, candidate: str) -> bool:
        content = repr((self.seed, question, candidate)).encode("utf-8", "surrogatepass")
        return int.from_bytes(hashlib.sha256(content).digest()[:8], "big") < self.p * 2.0**64


@dataclass(frozen=True)
class Checked:
    """Candidates that do not execute are the worst there is; only the others are shown to ``inner``.

    Source: arXiv 2402.10890, section 3 (``check_exec``). Differs: what ``executes`` runs is the caller's to guard.
    """

    inner: Discriminator
    executes: Callable[[str, str], bool]

    def score(self, question: str, candidates: Sequence[str]) -> list[float]:
        sound = [self.executes(question, c) for c in candidates]
        scores = iter(self.inner.score(question, [c for c, runs in zip(candidates, sound, strict=True) if runs]))
        return [next(scores) if runs else INVALID for runs in sound]


@dataclass(frozen=True)
class Remembered:
    """Asks ``inner`` about each question and candidate once; ``known`` may be filled from a file beforehand."""

    inner: Discriminator
    known: dict[tuple[str, str], float] = field(default_factory=dict)

    def score(self, question: str, candidates: Sequence[str]) -> list[float]:
        new = [c for c in dict.fromkeys(candidates) if (question, c) not in self.known]
        if new:
            self.known.update(zip(((question, c) for c in new), self.inner.score(question, new), strict=True))
        return [self.known[question, c] for c in candidates]
