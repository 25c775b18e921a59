"""Planning with a generator and a discriminator: re-ranking, iterative correction, best-first tree search.

For evaluation: its answers are chosen, not sampled, so they carry no token ids, and `pack` refuses to train on them.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from reasongym.core import Completion, Request, Sampling, UserError
from reasongym.discriminators import Discriminator
from reasongym.judging import INVALID


@dataclass
class Desk:
    """What a planner has for one question: proposals of the generator, and the discriminator's scores."""

    request: Request
    ranked: Ranked
    batches: int = 0  # proposals asked for so far, which also key their random streams
    first: list[str] = field(default_factory=list)  # the first proposals, as they were drawn
    scored: dict[str, float] = field(default_factory=dict)  # every candidate that was scored

    def asked(self, prefix: str = "", prompt: str | None = None) -> list[Request]:
        """The requests for one batch of proposals that begin with ``prefix``."""
        self.batches += 1
        return [
            self.ranked.request(self.request, self.batches - 1, n, prefix, prompt) for n in range(self.ranked.samples)
        ]

    def read(self, said: Sequence[Completion], prefix: str = "") -> list[str]:
        """The proposals in normal form, in the order they were sampled; empty ones are left out.

        To end right after a prefix is a proposal too: the prefix itself.
        """
        begun = prefix or self.ranked.begin
        texts = [self.ranked.normalise(begun + c.text) for c in said if prefix or c.text.strip()]
        return [text for text in texts if text and text.startswith(prefix)]

    def propose(self, prefix: str = "", prompt: str | None = None) -> list[str]:
        return self.read(self.ranked.generator.generate(self.asked(prefix, prompt)), prefix)

    def propose_all(self, prefixes: Sequence[str]) -> list[list[str]]:
        """Proposals for each of these, asked for at once."""
        asked = [self.asked(prefix) for prefix in prefixes]
        said = iter(self.ranked.generator.generate([request for batch in asked for request in batch]) if asked else ())
        return [self.read([next(said) for _ in batch], p) for p, batch in zip(prefixes, asked, strict=True)]

    def score(self, candidates: Sequence[str]) -> list[float]:
        scores = self.ranked.discriminator.score(self.request.prompt, candidates)
        self.scored.update(zip(candidates, scores, strict=True))
        return scores

    def best(self, candidates: Sequence[str]) -> tuple[float, str]:
        """The lowest score and its candidate; of equal ones the first in the alphabet. (`INVALID`, "") for none."""
        distinct = sorted(set(candidates))
        return min(zip(self.score(distinct), distinct, strict=True), default=(INVALID, ""))


class Planner(Protocol):
    """Chooses an answer, given the first proposals."""

    def plan(self, desk: Desk, first: Sequence[str]) -> str:
        """The chosen candidate, "" where there is none; whatever is proposed or scored meanwhile is the desk's."""
        ...


@dataclass(frozen=True)
class Rerank:
    """The proposal with the best score.

    Source: arXiv 2402.10890, section 2; llm-planning-eval ``planning_methods.py``.
    Differs: ties go to the first in the alphabet (as in llm-planning-with-reasoning), not by a set's hash order.
    """

    def plan(self, desk: Desk, first: Sequence[str]) -> str:
        return desk.best(first)[1]


@dataclass(frozen=True)
class Correct:
    """Show the generator its best answer so far as a faulty one, and let it correct that, round after round.

    Stops at a score below ``accept``, after ``patience`` rounds without a better one, or after ``rounds``.
    arXiv 2505.03786 runs it with rounds=5, patience=2, accept=0.0.

    Source: arXiv 2402.10890, section 2; llm-planning-eval ``planning_methods.py``. Differs: ties, as in `Rerank`.
    """

    ask: Callable[[str, str], str]  # the prompt for (question, faulty answer)
    rounds: int = 10
    patience: int = 3
    accept: float = -0.99

    def plan(self, desk: Desk, first: Sequence[str]) -> str:
        kept, current, waited, proposals = "", np.inf, 0, first
        for number in range(self.rounds):
            if number:
                proposals = desk.propose(prompt=self.ask(desk.request.prompt, kept))
            score, candidate = desk.best(proposals)
            if score < self.accept:
                return candidate
            if candidate and score < current:
                kept, current, waited = candidate, score, 0
            else:
                waited += 1
                if waited == self.patience:
                    break
        return kept


@dataclass(frozen=True)
class TreeSearch:
    """Best-first search over answers that are built step by step.

    The best prefix is extended by each distinct next step of its proposals; a prefix is worth the best score of
    fresh proposals that complete it, and is dropped where that is above ``worst`` (none of them executes).

    Args:
        step: A prefix and one proposal that begins with it, to the prefix longer by one step.
        whole: Whether a prefix is a complete answer.
        pops: So many prefixes are extended at most; then the best whole answer seen is taken.
        worst: Prefixes worth more than this are dropped.

    Source: arXiv 2402.10890, section 2 (MC-ToT); llm-planning-eval ``planning_methods.py``.
    Differs: of equal values the prefix that was found first is extended first; a complete answer is not sampled anew.
    """

    step: Callable[[str, str], str]
    whole: Callable[[str], bool]
    pops: int = 50
    worst: float = 0.0

    def plan(self, desk: Desk, first: Sequence[str]) -> str:
        heap: list[tuple[float, int, str]] = []
        prefix, proposals, found = "", list(first), 0
        for _ in range(self.pops):
            steps = dict.fromkeys(self.step(prefix, text) for text in proposals)
            steps.pop(prefix, None)  # a step that goes nowhere
            begun = [longer for longer in steps if not self.whole(longer)]
            ends = dict(zip(begun, desk.propose_all(begun), strict=True))
            for longer in steps:
                value = desk.best(ends.get(longer, [longer]))[0]
                if value <= self.worst:
                    heapq.heappush(heap, (value, found, longer))
                    found += 1
            if not heap:
                return first[0] if first else ""
            prefix = heapq.heappop(heap)[2]
            if self.whole(prefix):
                return prefix
            proposals = desk.propose(prefix)
        return min(((score, text) for text, score in desk.scored.items()), default=(INVALID, ""))[1]


@dataclass(frozen=True)
class Ranked:
    """A policy that lets a generator propose, a discriminator score, and a planner choose.

    Args:
        generator: Any policy; with a ``tokenizer``, it is given the exact tokens of what its answer begins with.
        discriminator: Any `Discriminator`, asked about (the request's prompt, a candidate).
        planner: `Rerank`, `Correct` or `TreeSearch`.
        normalise: Text to the form in which equal candidates are equal; "" drops one.
        samples: Proposals at a time.
        sampling: Of the proposals (arXiv 2505.03786 has temperature 0.2).
        tokens: A proposal's budget.
        stop: Strings that end a proposal.
        opened: What the generator's turn begins with, such as an opening fence; no part of the candidate.
        begin: What every candidate begins with, such as ``SELECT``.
        ask: The generator's prompt for the request's.
        answer: How the chosen candidate is written as the answer; it must hold ``{}``.

    Source: arXiv 2402.10890 and arXiv 2505.03786, whose settings are the defaults. Differs: see the planners.
    """

    generator: Any
    discriminator: Discriminator
    planner: Planner = Rerank()  # noqa: RUF009  (frozen)
    normalise: Callable[[str], str] = str.strip
    samples: int = 5
    sampling: Sampling = Sampling(temperature=0.6)  # noqa: RUF009
    tokens: int = 300
    stop: tuple[str, ...] = ()
    opened: str = ""
    begin: str = ""
    ask: Callable[[str], str] = str
    answer: str = "{}"

    def __post_init__(self) -> None:
        if self.samples < 1 or self.tokens < 1 or "{}" not in self.answer:
            raise UserError(
                f"ranked: samples={self.samples} and tokens={self.tokens} must be positive, answer hold {{}}"
            )

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        return [Completion(self.answer.replace("{}", text)) for text, _ in self.plan(requests)]

    def plan(self, requests: Sequence[Request]) -> list[tuple[str, Desk]]:
        """The chosen candidate of each request ("" where none was proposed), and what it was chosen from."""
        desks = [Desk(request, self) for request in requests]
        asked = [desk.asked() for desk in desks]
        said = iter(self.generator.generate([request for batch in asked for request in batch]))
        for desk, batch in zip(desks, asked, strict=True):
            desk.first = desk.read([next(said) for _ in batch])
        return [(self.planner.plan(desk, desk.first), desk) for desk in desks]

    def request(self, asked: Request, batch: int, sample: int, prefix: str, prompt: str | None) -> Request:
        """One proposal's request; its random stream is that of the request, the batch and the sample."""
        response = asked.response + self.opened + (prefix or self.begin)
        tokenizer = getattr(self.generator, "tokenizer", None)
        seed = int(np.random.SeedSequence((asked.seed, batch, sample)).generate_state(1, np.uint64)[0])
        return Request(
            key=(*asked.key, batch, sample),
            prompt=self.ask(asked.prompt) if prompt is None else prompt,
            response=response,
            response_ids=tuple(tokenizer.encode(response)) if tokenizer and response else (),
            room=self.tokens,
            stop=self.stop,
            seed=seed,
            sampling=self.sampling,
        )


def make(**kw: Any) -> Ranked:
    return Ranked(**kw)
