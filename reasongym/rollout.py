"""Trajectories from environments and a policy. (What is learned from them is cut in `reasongym.segments`.)

There is no barrier: a slot whose call has finished steps its env in a worker (tools, verifiers)
and submits its next call at once, while the engine goes on with the others.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import gymnasium as gym
import numpy as np

from reasongym import parts
from reasongym.core import (
    Completion,
    HostError,
    Policy,
    Problem,
    Request,
    Sampling,
    StreamingPolicy,
    Task,
    Thinking,
    Trajectory,
    UserError,
    Verdict,
)
from reasongym.env import ReasoningEnv, judged
from reasongym.segments import Rows as Rows
from reasongym.segments import merge
from reasongym.segments import pack as pack
from reasongym.thinking import CLOSER, mode

_GATHER_S = 0.005  # an idle engine waits so long for more requests, so that they start as one batch
_GLANCE_S = 0.001  # while envs are stepping, the engine works so long before we look at them


@dataclass
class _Episode:
    """One slot's attempt: where it is, and every call of the policy so far."""

    index: int
    env: gym.Env[Any, Any]
    forced: Completion | None = None
    calls: list[Completion] = field(default_factory=list)
    obs: dict[str, str] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)
    end: Trajectory | None = None


class _Inline(Executor):
    """Runs work where it is submitted: the logical clock of deterministic rollouts."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


class _Queue:
    """Makes a policy that has only ``generate`` stream: whatever is waiting is the next batch."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._waiting: dict[int, Request] = {}
        self._next = 0

    def submit(self, request: Request) -> int:
        self._waiting[self._next] = request
        self._next += 1
        return self._next - 1

    def poll(self, timeout: float | None = None) -> list[tuple[int, Completion]]:
        batch, self._waiting = self._waiting, {}
        return list(zip(batch, self.policy.generate(list(batch.values())), strict=True)) if batch else []

    def cancel(self, ticket: int) -> None:
        self._waiting.pop(ticket, None)


def rollout(
    policy: Policy,
    envs: Sequence[gym.Env[Any, Any]],
    resets: Sequence[dict[str, Any]],
    *,
    group: int = 1,
    step: int = 0,
    seed: int = 0,
    sampling: Sampling = Sampling(),  # noqa: B008  (frozen)
    deterministic: bool = False,
    workers: int | None = None,
) -> list[Trajectory]:
    """One trajectory for each reset, in the order of ``resets``.

    Args:
        policy: Streams if it can (`StreamingPolicy`), else its ``generate`` is given whatever waits.
        envs: The slots. Each runs one episode at a time and takes the next reset when it is free.
        resets: Keyword arguments of ``env.reset``, such as ``{"options": {"problem": problem}}``.
        group: Attempts at one problem, which stand next to each other in ``resets``; keys random
            streams as (step, problem, attempt, call).
        step: The trainer's step, for the random streams.
        seed: Of all the requests' random streams.
        sampling: The same for every request.
        deterministic: Step envs where they stand instead of in workers: the same numbers in every
            run (one machine, CPU), though the engine then waits for tools and verifiers.
        workers: Threads that step envs; by default one a slot, at most 32.

    Raises:
        UserError: A tokenizer of an env differs from the policy's, or there is no env.
    """
    if resets and (not envs or group < 1):
        raise UserError(f"rollout: {len(envs)} envs and group={group}: there must be at least one of each")
    _check_tokenizers(policy, envs)
    engine: Any = policy if isinstance(policy, StreamingPolicy) else _Queue(policy)
    todo, free = deque(range(len(resets))), deque(envs)
    stepping: dict[Future[Any], _Episode] = {}
    calling: dict[int, _Episode] = {}
    done: dict[int, Trajectory] = {}
    pool: Executor = _Inline() if deterministic else ThreadPoolExecutor(workers or min(32, len(envs) or 1))
    try:
        while todo or stepping or calling:
            while todo and free:
                episode = _Episode(todo.popleft(), free.popleft())
                stepping[pool.submit(_reset, episode, resets[episode.index])] = episode
            for future in _ready(stepping, busy=bool(calling), streams=engine is policy):
                episode = stepping.pop(future)
                future.result()
                if episode.end is not None:
                    done[episode.index] = episode.end
                    free.append(episode.env)
                else:
                    request = _request(episode, group, step, seed, sampling)
                    try:
                        calling[engine.submit(request)] = episode
                    except HostError as error:
                        stepping[pool.submit(_step, episode, error)] = episode
            if todo and free:
                continue  # the engine shall find those requests too
            for episode, completion in _answers(engine, calling, timeout=_GLANCE_S if stepping else None):
                stepping[pool.submit(_step, episode, completion)] = episode
    finally:
        _cancel(engine, calling)
        pool.shutdown(wait=True, cancel_futures=True)
    return [done[i] for i in range(len(resets))]


def think(
    policy: Policy,
    prompts: str | Sequence[str],
    thinking: str | Thinking = "delethink",
    *,
    tools: Sequence[Any] = (),
    sampling: Sampling = Sampling(),  # noqa: B008  (frozen)
    seed: int = 0,
    slots: int = 32,
    **settings: Any,
) -> list[Trajectory]:
    """Decode any prompts under any thinking, with no task and no verifier (zero-shot Delethink).

    ``settings`` are the thinking's: ``think(policy, "Why?", "delethink", chunk=2048, carry=1024)``.
    Each trajectory's ``text`` is the whole thought, ``segments`` the windows that the policy saw.
    """
    asked = [prompts] if isinstance(prompts, str) else list(prompts)
    made: Thinking = parts.make("thinking", thinking, **settings)
    envs = [
        ReasoningEnv(_Unjudged(), made, tools, getattr(policy, "tokenizer", None))
        for _ in range(min(slots, len(asked)))
    ]
    resets = [{"seed": seed, "options": {"problem": Problem.of(p)}} for p in asked]
    return rollout(policy, envs, resets, seed=seed, sampling=sampling)


class _Unjudged(Task):
    def sample(self, rng: np.random.Generator, level: int = 0) -> Problem:
        raise UserError("think() has no task: give it prompts")

    def verify(self, problem: Problem, text: str) -> Verdict:
        return Verdict(0.0)


# --- one slot


def _reset(episode: _Episode, arguments: dict[str, Any]) -> None:
    options = arguments.get("options") or {}
    forced = options.get("response")
    episode.forced = _spelt(forced, episode.env) if isinstance(forced, Completion) else None
    try:
        episode.obs, episode.info = episode.env.reset(**arguments)
    except HostError as error:  # there may be no problem yet, and a trajectory needs one
        episode.info = {"problem": options.get("problem") or Problem.of(""), "used": 0, "resets": 0}
        _step(episode, error)


def _spelt(forced: Completion, env: gym.Env[Any, Any]) -> Completion:
    """A forced text with one log-prob, that of the whole: in the env's tokens, of which the first bears it."""
    if forced.ids or len(forced.logprobs) != 1:
        return forced
    ids = tuple(env.unwrapped.tokenizer.encode(forced.text))  # type: ignore[attr-defined]
    return replace(forced, ids=ids, logprobs=(*forced.logprobs, *[0.0] * (len(ids) - 1)))


def _request(episode: _Episode, group: int, step: int, seed: int, sampling: Sampling) -> Request:
    key = (step, episode.index // group, episode.index % group, len(episode.calls))
    info = episode.info
    return Request(
        key=key,
        prompt=episode.obs["prompt"],
        response=episode.obs["response"],
        response_ids=tuple(info["response_ids"]),
        room=info["room"],
        stop=tuple(info["stop"]),
        seed=int(np.random.SeedSequence((seed, *key)).generate_state(1, np.uint64)[0]),
        sampling=sampling,
    )


def _step(episode: _Episode, completion: Completion | HostError) -> None:
    if isinstance(completion, HostError):
        episode.end = _trajectory(episode, "", Verdict(0.0, valid=False, detail={"error": str(completion)}), True)
        return
    completion = completion.clip(episode.info["room"])  # what the env would not see, no row may hold
    if episode.forced is not None and not episode.calls:
        episode.calls += _forced(episode.forced, completion.prompt_ids)
    episode.calls.append(completion)
    obs, _, terminated, truncated, info = episode.env.step(completion)
    episode.obs, episode.info = obs, info
    if terminated or truncated:
        episode.end = _trajectory(episode, judged(info)["text"], info["verdict"], truncated)


def _forced(first: Completion, seen: tuple[int, ...]) -> list[Completion]:
    """The forced first action as a call of its own, if the engine saw its very tokens."""
    n = len(first.ids)
    return [replace(first, prompt_ids=seen[:-n])] if n and seen[-n:] == tuple(first.ids) else []


def _trajectory(episode: _Episode, text: str, verdict: Verdict, truncated: bool) -> Trajectory:
    calls = episode.calls
    info = {
        "used": episode.info["used"],
        "sampled": episode.info.get("sampled", episode.info["used"]),
        "resets": episode.info["resets"],
        "calls": len(calls),
        "peak_context": max((len(c.prompt_ids) + len(c.ids) for c in calls), default=0),
        "finish": calls[-1].finish if calls else "",
        "temperature": calls[-1].temperature if calls else 1.0,
        "mode": episode.info.get("mode") or mode(text),
        "prefix": episode.info.get("prefix", ""),
        "closer": episode.info.get("closer", CLOSER),
        "tools": episode.info.get("tools", []),
        "completions": calls,
    }
    segments = merge(calls) if verdict.valid else []
    return Trajectory(episode.info["problem"], segments, text, verdict, truncated, info)


# --- the loop's two ears


def _ready(stepping: dict[Future[Any], _Episode], *, busy: bool, streams: bool) -> list[Future[Any]]:
    """Env work that is done, oldest first; waits only where the engine has nothing to do."""
    if not busy or not streams:
        deadline = time.monotonic() + _GATHER_S
        wait(stepping, timeout=None if not busy else _GATHER_S, return_when=FIRST_COMPLETED)
        wait(stepping, timeout=max(0.0, deadline - time.monotonic()))
    return [future for future in stepping if future.done()]


def _answers(
    engine: Any, calling: dict[int, _Episode], timeout: float | None
) -> list[tuple[_Episode, Completion | HostError]]:
    """What the engine has finished; where the engine is lost, every call that it had is invalid."""
    if not calling:
        return []
    try:
        return [(calling.pop(ticket), completion) for ticket, completion in engine.poll(timeout) if ticket in calling]
    except HostError as error:
        lost = list(calling.values())
        _cancel(engine, calling)
        return [(episode, error) for episode in lost]


def _cancel(engine: Any, calling: dict[int, _Episode]) -> None:
    """Let the engine forget these calls, if it still can."""
    while calling:
        with suppress(HostError):
            engine.cancel(calling.popitem()[0])


def _check_tokenizers(policy: Policy, envs: Sequence[gym.Env[Any, Any]]) -> None:
    mine = getattr(policy, "tokenizer", None)
    for tokenizer in {id(t): t for e in envs if (t := getattr(e.unwrapped, "tokenizer", None)) is not None}.values():
        if mine is not None and mine.fingerprint != tokenizer.fingerprint:
            raise UserError(f"the env's tokenizer {tokenizer!r} is not the policy's {mine!r}: give the env tokenizer=")
