"""The vocabulary: every type and protocol of reasongym, and nothing that computes.

A Task poses a Problem; a Thinking decides what the policy still sees; Tools speak inside the
thought; the env steps; ``rollout`` makes Trajectories; a Shaper pays; an advantage credits; an
agent updates; a Schedule and a Curriculum set the next budget and level.

Shapes use fixed letters throughout the package: P problems, G attempts at one problem (a group),
N training rows, T tokens of a row. Lengths are in tokens unless the name says otherwise.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NotRequired, Protocol, Self, TypedDict, runtime_checkable

import numpy as np
from gymnasium.error import ResetNeeded as ResetNeeded  # step before reset, or after the episode's end
from numpy.typing import NDArray

Finish = Literal["end", "pause", "length"]


class UserError(ValueError):
    """Something the user can mend, in one line that names the thing and the fix (CLI: exit code 2)."""


class HostError(RuntimeError):
    """The host failed (engine lost, disk full, API down): the episode is invalid, never worth 0."""


@dataclass(frozen=True)
class Problem:
    """One question. ``id`` is a hash of the content: same content, same id (see `Problem.of`)."""

    id: str
    prompt: str  # the user's turn, before any chat template
    answer: Any = None  # the gold answer, where one exists; it never reaches an observation
    level: int = 0  # difficulty; what a level means is the task's business
    data: Mapping[str, Any] = field(default_factory=dict)  # what `Task.verify` needs besides

    @classmethod
    def of(cls, prompt: str, answer: Any = None, level: int = 0, **data: Any) -> Self:
        """A problem with its id made from prompt, answer and data (the level is not content)."""
        content = json.dumps([prompt, answer, data], sort_keys=True, default=repr)
        return cls(hashlib.sha256(content.encode()).hexdigest()[:16], prompt, answer, level, data)


@dataclass(frozen=True)
class Verdict:
    """The truth about one answer, never shaped. ``valid=False``: the host failed, not the model."""

    score: float  # in [0, 1]
    answer: str | None = None  # what was extracted; None where nothing was found
    valid: bool = True
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Sampling:
    """How a policy samples. ``temperature=0`` is greedy; ``top_p=1`` and ``top_k=0`` are off."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0


@dataclass(frozen=True)
class Request:
    """All that a policy needs for one call: continue ``template(prompt) + response``.

    ``response_ids`` are the response's exact tokens; a policy with a tokenizer feeds these and
    never encodes ``response`` again. ``seed`` is this request's own random stream, derived from
    ``key`` = (step, problem, attempt, call).
    """

    key: tuple[int, ...]
    prompt: str
    response: str
    response_ids: tuple[int, ...]
    room: int  # at most so many new tokens
    stop: tuple[str, ...] = ()  # pause right after the token that completes one of these
    seed: int = 0
    sampling: Sampling = Sampling()


@dataclass(frozen=True)
class Completion:
    """What one policy call gave.

    ``finish``: ``"end"`` the policy chose to end (its EOS is in ``ids``, counted, and not in
    ``text``), ``"pause"`` a stop string was completed, ``"length"`` the room was used up.
    ``logprobs`` are of the temperature-scaled full softmax, before top-p and top-k.
    """

    text: str
    ids: tuple[int, ...] = ()  # [t] sampled tokens; empty where the backend gives none
    logprobs: tuple[float, ...] = ()  # [t] behaviour log-probabilities
    finish: Finish = "end"
    prompt_ids: tuple[int, ...] = ()  # [p] exactly what the call was conditioned on
    temperature: float = 1.0
    version: int = 0  # of the weights that sampled it

    def clip(self, room: int) -> Completion:
        """The first ``room`` tokens, with finish ``"length"`` if that cuts any (``text`` stays: ids are the truth)."""
        if len(self.ids) <= room:
            return self
        return replace(self, ids=self.ids[:room], logprobs=self.logprobs[:room], finish="length")


@dataclass(frozen=True)
class Segment:
    """One context window, which is one training row."""

    ids: tuple[int, ...]  # [T] everything seen or written in this window
    mask: tuple[int, ...]  # [T] 1 where the policy itself sampled the token, else 0
    logprobs: tuple[float, ...]  # [T] behaviour log-probabilities; 0.0 where mask is 0
    sampled: int = field(init=False, repr=False, compare=False)  # ones in the mask: asked for often, counted once

    def __post_init__(self) -> None:
        object.__setattr__(self, "sampled", sum(self.mask))


@dataclass
class Trajectory:
    """One attempt at one problem. ``segments`` is empty where the backend gave no token ids."""

    problem: Problem
    segments: list[Segment]
    text: str
    verdict: Verdict
    truncated: bool
    info: dict[str, Any] = field(default_factory=dict)

    @property
    def length(self) -> int:
        """Sampled tokens, summed over all segments (or as counted by the env without segments)."""
        n = 0
        for segment in self.segments:  # asked for often, and mostly one: a loop is three times as fast as a sum
            n += segment.sampled
        return n or int(self.info.get("sampled", self.info.get("used", 0)))

    @property
    def valid(self) -> bool:
        """False where the host failed: such a trajectory enters no baseline and no loss."""
        return self.verdict.valid


Group = list[Trajectory]  # G attempts at one problem
Batch = list[Group]  # P groups
Observation = dict[str, str]  # {"prompt", "response"}


class Info(TypedDict):
    """What ``reset`` and ``step`` tell the trainer. One fixed type a key; absent, never None.

    It carries the gold answer (in ``problem``): only observations may reach a policy.
    """

    problem: Problem
    room: int  # tokens that the next call may sample
    stop: list[str]
    response_ids: list[int]  # the exact tokens of obs["response"]
    used: int  # sampled tokens, tool output and forced actions so far
    sampled: int  # of those, what a row would train on: no tool output, and no forced text without ids
    resets: int  # context resets so far
    valid: bool
    verdict: NotRequired[Verdict]  # on the last step only, as are the rest
    text: NotRequired[str]  # the whole thought
    tools: NotRequired[list[dict[str, int | float]]]  # what each tool's session reports, in the order of the tools
    correct: NotRequired[float]  # the verdict's score, for vector envs and loggers
    mode: NotRequired[str]  # "think" or "no_think" (see `thinking.mode`)
    prefix: NotRequired[str]  # what the thinking wrote at the head of the text
    closer: NotRequired[str]  # what ends a thought by that mode: ``answer_after``, or "</think>"
    error: NotRequired[str]  # what failed, where valid is False


class Tokenizer(Protocol):
    """Text to ids and back. ``encode`` never yields a special token, whatever the text says."""

    @property
    def eos_ids(self) -> tuple[int, ...]: ...  # the first is the one that training targets use
    @property
    def pad_id(self) -> int: ...
    @property
    def fingerprint(self) -> str: ...  # equal iff ids mean the same
    def encode(self, text: str) -> list[int]: ...
    def decode(self, ids: Sequence[int]) -> str: ...
    def encode_markup(self, text: str) -> list[int]: ...  # special tokens recognised: templates only
    def frame(self, system: str | None = None) -> tuple[str, str]: ...  # template around the user's turn
    def save(self, folder: Any) -> None: ...


class Task(Protocol):
    """Poses problems and judges answers.

    It may also have ``last_level``, its highest level (None: there is no end), at which a curriculum stops climbing.
    """

    def sample(self, rng: np.random.Generator, level: int = 0) -> Problem:
        """A problem, pure in (rng, level)."""
        ...

    def verify(self, problem: Problem, text: str) -> Verdict:
        """The truth about ``text``: never raises on any text, bounded in time, keeps no state."""
        ...


@runtime_checkable
class Demonstrator(Protocol):
    """A task that can also show a worked solution, which feeds SFT."""

    def demonstrate(self, problem: Problem, rng: np.random.Generator) -> str | Completion:
        """The solution; a `Completion` with finish ``"length"`` is one that was broken off (no EOS).

        It is what the policy itself writes: in an environment with tools it is played, and they put their outputs in.
        """
        ...


@runtime_checkable
class FiniteTask(Protocol):
    """A task with a countable set of problems (history, one-shot and full-set evaluation need it)."""

    split: str

    def __len__(self) -> int: ...
    def problem(self, i: int) -> Problem: ...
    def sample(self, rng: np.random.Generator, level: int = 0) -> Problem: ...
    def verify(self, problem: Problem, text: str) -> Verdict: ...


class Thinking(Protocol):
    """A frozen value that decides what the policy still sees, and how much it may write."""

    @property
    def prefix(self) -> str: ...  # seeds every window's response; free of charge
    @property
    def budget(self) -> int: ...  # tokens of the whole thought

    def room(self, kept: int, carried: int, used: int, resets: int) -> int:
        """Tokens the next call may sample; 0 or less at a boundary or at the budget's end.

        ``kept`` tokens stand in the window (without the prefix), of which ``carried`` came from
        before its reset; ``used`` tokens are spent in all; ``resets`` have happened.
        """
        ...

    def keep(self, ids: Sequence[int], carried: int) -> Sequence[int]:
        """The window's tokens after a reset; the first ``carried`` of ``ids`` were carried in."""
        ...

    def with_budget(self, budget: int) -> Thinking: ...


class Session(Protocol):
    """A tool in one episode. It pickles as what it was asked, and replays."""

    def __call__(self, text: str) -> str | None:
        """The output for the thought so far, or None: this was not a call. HostError if it broke."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class Reporter(Protocol):
    """A tool's session that also counts what it did: all that a reward knows of it, so no text can forge it."""

    def report(self) -> dict[str, int | float]: ...


@runtime_checkable
class Resumer(Protocol):
    """A tool's session that can take over what a given thought (``reset``'s ``response``) has already done."""

    def resume(self, text: str) -> None: ...


class Tool(Protocol):
    """Something that the policy can call inside its thought."""

    @property
    def stop(self) -> str: ...  # generation pauses right after this string
    @property
    def hint(self) -> str: ...  # one line for the prompt
    def open(self, problem: Problem, seed: int) -> Session: ...


class Shaper(Protocol):
    """Rewards for training, made from a batch after its rollout. NaN for invalid trajectories.

    It may also have ``begin(task)`` (once, before the first step of a run), ``starts(problems, G)`` (reset options,
    one for each attempt), ``probe(step)`` (problems and attempts to make besides, or None) with ``observe(batch)``,
    ``figures()`` for the log, and ``state_dict`` with ``load_state_dict``. A part is asked to probe once a step; one
    with ``starts`` in each round of dynamic sampling, since it has just been told of new problems.
    """

    def __call__(self, batch: Batch) -> NDArray[np.float64]: ...  # [P, G]
    def update(self, batch: Batch) -> None: ...  # after the optimiser's step


class Curriculum(Protocol):
    """Chooses the next problems. May also have ``starts``, ``probe``, ``observe``, ``state_dict``."""

    def problems(self, task: Task, rng: np.random.Generator, n: int) -> list[Problem]: ...
    def update(self, batch: Batch) -> None: ...


class Policy(Protocol):
    """The one method that a custom agent writes. Results come in the order of the requests."""

    def generate(self, requests: Sequence[Request]) -> list[Completion]: ...


@runtime_checkable
class StreamingPolicy(Protocol):
    """A policy that takes work while it works; ``rollout`` prefers this where it is offered."""

    def generate(self, requests: Sequence[Request]) -> list[Completion]: ...
    def submit(self, request: Request) -> int: ...
    def poll(self, timeout: float | None = None) -> list[tuple[int, Completion]]:
        """Work until something is done or ``timeout`` seconds passed (None: no limit)."""
        ...

    def cancel(self, ticket: int) -> None: ...


Schedule = Callable[[int], int]  # step -> token budget
