"""Trajectories from environments and a policy, and rows from trajectories: order, no barrier, masks, weights."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from reasongym import (
    ByteTokenizer,
    Completion,
    Delethink,
    HostError,
    LongCoT,
    Problem,
    ReasoningEnv,
    Request,
    Sampling,
    Segment,
    StreamingPolicy,
    Trajectory,
    UserError,
    Verdict,
    merge,
    pack,
    rollout,
    think,
)
from reasongym.policies.scripted import Scripted

BYTES = ByteTokenizer()


@dataclass
class Any1:
    """Every answer is right; remembers how often it was asked."""

    asked: int = 0

    def sample(self, rng: np.random.Generator, level: int = 0) -> Problem:
        return Problem.of(f"Q{rng.integers(1000)}")

    def verify(self, problem: Problem, text: str) -> Verdict:
        self.asked += 1
        return Verdict(1.0, text)


def envs(n: int, thinking: Any = "longcot(budget=20)", task: Any = None, **kw: Any) -> list[ReasoningEnv]:
    return [ReasoningEnv(task or Any1(), thinking, **kw) for _ in range(n)]


def asking(n: int, group: int = 1, **options: Any) -> list[dict[str, Any]]:
    return [{"seed": i, "options": {"problem": Problem.of(f"Q{i // group}"), **options}} for i in range(n)]


class Draws:
    """A streaming engine of ``slots`` that draws bytes from each request's own stream; ends with probability 1/8."""

    tokenizer = BYTES

    def __init__(self, slots: int = 2, lost: Sequence[int] = ()) -> None:
        self.slots, self.lost, self.polls, self.tickets = slots, lost, 0, 0
        self.rows: dict[int, Request] = {}
        self.requests: list[Request] = []
        self.cancelled: list[int] = []

    def complete(self, request: Request) -> Completion:
        rng = np.random.default_rng(request.seed)
        ids = [int(i) for i in rng.integers(32, 127, request.room)]
        finish: Any = "length"
        if (n := int(rng.geometric(1 / 8))) <= request.room:
            ids, finish = [*ids[: n - 1], 256], "end"
        prompt = (*BYTES.encode(request.prompt), *request.response_ids)
        logprobs = tuple(-float(rng.random()) for _ in ids)
        return Completion(BYTES.decode(ids), tuple(ids), logprobs, finish, prompt, request.sampling.temperature)

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        self.requests += requests
        return [self.complete(r) for r in requests]

    def submit(self, request: Request) -> int:
        self.tickets += 1
        self.requests.append(request)
        self.rows[self.tickets] = request
        return self.tickets

    def poll(self, timeout: float | None = None) -> list[tuple[int, Completion]]:
        self.polls += 1
        if self.polls in self.lost:
            raise HostError("the engine is lost")
        done = list(self.rows)[: self.slots]
        return [(ticket, self.complete(self.rows.pop(ticket))) for ticket in done]

    def cancel(self, ticket: int) -> None:
        self.cancelled.append(ticket)
        self.rows.pop(ticket, None)


class Batches:
    """The same, with ``generate`` alone."""

    tokenizer = BYTES

    def __init__(self) -> None:
        self.inner, self.sizes = Draws(), list[int]()

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        self.sizes.append(len(requests))
        return self.inner.generate(requests)


POLICIES: dict[str, Any] = {"streaming": Draws, "generate": Batches}


# --- order and streams


def test_the_policies_of_these_tests_are_what_they_say() -> None:
    assert isinstance(Draws(), StreamingPolicy) and not isinstance(Batches(), StreamingPolicy)


@pytest.mark.parametrize("deterministic", [True, False])
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("slots", [1, 3, 20])
def test_results_come_in_the_order_of_the_resets(policy: str, slots: int, deterministic: bool) -> None:
    thinking = Delethink(chunk=8, carry=4, head=1, max_chunks=3)
    done = rollout(POLICIES[policy](), envs(slots, thinking), asking(13), deterministic=deterministic)
    assert [t.problem.prompt for t in done] == [f"Q{i}" for i in range(13)]
    assert all(t.valid and t.length == sum(len(c.ids) for c in t.info["completions"]) for t in done)
    assert len({t.text for t in done}) > 9 and {t.info["calls"] for t in done} >= {1, 2}


def test_text_does_not_depend_on_slots_workers_or_how_the_policy_is_asked() -> None:
    """Each request has its own random stream, so an engine that keeps to it gives the same text in any order."""
    thinking = Delethink(chunk=8, carry=4, head=1, max_chunks=3)
    told = [
        rollout(policy(), envs(slots, thinking), asking(12, 4), group=4, step=5, seed=9, **kw)
        for policy in (Draws, Batches)
        for slots in (1, 5)
        for kw in ({}, {"deterministic": True}, {"workers": 1})
    ]
    assert all(other == told[0] for other in told[1:])


def test_keys_name_step_problem_attempt_and_call_and_seeds_are_their_own() -> None:
    policy = Draws()
    thinking = Delethink(chunk=8, carry=4, head=1, max_chunks=3)
    done = rollout(policy, envs(2, thinking), asking(6, 3), group=3, step=7, sampling=Sampling(0.5))
    keys = {r.key for r in policy.requests}
    calls = {(7, i // 3, i % 3, c) for i, t in enumerate(done) for c in range(t.info["calls"])}
    assert keys == calls and len(keys) == len(policy.requests) == len({r.seed for r in policy.requests})
    assert {r.sampling for r in policy.requests} == {Sampling(0.5)} == {Sampling(t.info["temperature"]) for t in done}

    def seeds(**kw: Any) -> set[int]:
        again = Draws()
        rollout(again, envs(2, thinking), asking(6, 3), **kw)
        return {r.seed for r in again.requests}

    mine = {r.seed for r in policy.requests}
    assert seeds(group=3, step=7) == mine
    assert mine.isdisjoint(seeds(group=3, step=8)) and mine.isdisjoint(seeds(group=3, step=7, seed=1))


def test_deterministic_rollouts_admit_work_in_the_same_order_every_time() -> None:
    def order(policy: Any, inner: Draws) -> list[Any]:
        done = rollout(policy, envs(4, Delethink(8, 4, 1, max_chunks=3)), asking(11), deterministic=True)
        return [done, [r.key for r in inner.requests], getattr(policy, "sizes", None)]

    streaming = [(engine, engine) for engine in (Draws(), Draws())]
    batches = [(policy, policy.inner) for policy in (Batches(), Batches())]
    for one, two in (streaming, batches):
        assert order(*one) == order(*two)


def test_a_free_slot_is_filled_before_the_engine_goes_on() -> None:
    policy = Batches()
    done = rollout(policy, envs(4), asking(16), deterministic=True)
    assert sum(policy.sizes) == sum(t.info["calls"] for t in done)
    assert policy.sizes[:4] == [4, 4, 4, 4], "each batch was as full as the slots allowed"


def test_nothing_to_do_and_nothing_to_do_it_with() -> None:
    assert rollout(Draws(), envs(2), []) == [] == rollout(Draws(), [], [])
    with pytest.raises(UserError, match="0 envs and group=1"):
        rollout(Draws(), [], asking(1))
    with pytest.raises(UserError, match="group=0"):
        rollout(Draws(), envs(1), asking(1), group=0)


def test_registered_envs_with_their_wrappers_roll_out_the_same() -> None:
    settings: dict[str, Any] = {"chunk": 8, "carry": 4, "head": 1, "max_chunks": 3}
    made = [gym.make("Delethink-v0", **settings) for _ in range(2)]
    bare = [ReasoningEnv("register", Delethink(**settings)) for _ in range(2)]
    resets = [{"seed": i} for i in range(7)]
    assert rollout(Draws(), made, resets) == rollout(Draws(), bare, resets, deterministic=True)


# --- no barrier


class Waits(Any1):
    """Verifies "Q0" only once all the other problems have been verified."""

    def __init__(self, others: int) -> None:
        super().__init__()
        self.left, self.lock, self.free = others, threading.Lock(), threading.Event()
        self.in_time: bool | None = None

    def verify(self, problem: Problem, text: str) -> Verdict:
        if problem.prompt == "Q0":
            self.in_time = self.free.wait(20)
        else:
            with self.lock:
                self.left -= 1
                if not self.left:
                    self.free.set()
        return Verdict(1.0)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_slow_verifier_stops_nobody_else(policy: str) -> None:
    task = Waits(others=11)
    done = rollout(POLICIES[policy](), envs(3, Delethink(8, 4, 1, max_chunks=3), task), asking(12))
    assert task.in_time and all(t.valid for t in done)


class Clocked:
    """An engine on a simulated clock: a token costs 1 for all rows together; an idle engine lets ``tick`` pass."""

    tokenizer = BYTES

    def __init__(self, lengths: dict[str, int]) -> None:
        self.lengths, self.rows, self.time, self.tickets = lengths, dict[int, list[Any]](), 0, 0

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        raise AssertionError("it streams")

    def submit(self, request: Request) -> int:
        self.tickets += 1
        self.rows[self.tickets] = [request, self.lengths[request.prompt]]
        return self.tickets

    def poll(self, timeout: float | None = None) -> list[tuple[int, Completion]]:
        while True:
            self.time += 1
            for row in self.rows.values():
                row[1] -= 1
            done = [ticket for ticket, row in self.rows.items() if row[1] <= 0]
            if done or timeout is not None:
                return [(t, Completion("", (256,), (0.0,), "end", (1, *self._gone(t)))) for t in done]

    def _gone(self, ticket: int) -> tuple[int, ...]:
        return tuple(self.rows.pop(ticket)[0].response_ids)

    def cancel(self, ticket: int) -> None:
        self.rows.pop(ticket, None)


def test_a_slot_is_used_again_at_once() -> None:
    """On two slots, one long answer and six short ones take as long as the long one."""
    lengths = {"Q0": 60, **{f"Q{i}": 10 for i in range(1, 7)}}
    engine = Clocked(lengths)
    rollout(engine, envs(2), asking(7), deterministic=True)
    assert engine.time == 60


# --- what fails


def test_a_lost_engine_costs_only_the_calls_that_it_had() -> None:
    policy = Draws(slots=1, lost=[3])
    done = rollout(policy, envs(4), asking(10), deterministic=True)
    invalid = [t for t in done if not t.valid]
    assert 1 <= len(invalid) <= 4 and len(policy.cancelled) == len(invalid)
    for t in invalid:
        assert t.verdict.detail == {"error": "the engine is lost"} and t.truncated and t.segments == []
        assert t.length == t.info["used"] and t.problem.prompt.startswith("Q")
    assert all(t.segments for t in done if t.valid)


def test_an_engine_that_forgets_late_is_not_believed() -> None:
    class Late(Draws):
        """After a failure it still hands out one of the calls that it lost."""

        def cancel(self, ticket: int) -> None:
            self.cancelled.append(ticket)
            raise HostError("cannot cancel either")

    done = rollout(Late(slots=1, lost=[2]), envs(3), asking(8), deterministic=True)
    assert {t.valid for t in done} == {True, False} and len(done) == 8


def test_a_policy_that_fails_for_good_makes_everything_invalid() -> None:
    class Gone:
        def generate(self, requests: Sequence[Request]) -> list[Completion]:
            raise HostError("no API")

    task = Any1()
    done = rollout(Gone(), envs(2, task=task), asking(5))
    assert [t.valid for t in done] == [False] * 5 and task.asked == 0


def test_a_call_that_cannot_be_submitted_is_invalid_alone() -> None:
    class Full(Draws):
        def submit(self, request: Request) -> int:
            if request.prompt == "Q1":
                raise HostError("queue full")
            return super().submit(request)

    done = rollout(Full(), envs(2), asking(4))
    assert [t.valid for t in done] == [True, False, True, True]
    assert done[1].verdict.detail == {"error": "queue full"}


@pytest.mark.parametrize("deterministic", [True, False])
def test_a_bug_ends_the_rollout_and_cancels_what_is_left(deterministic: bool) -> None:
    class Buggy(Any1):
        def verify(self, problem: Problem, text: str) -> Verdict:
            raise ZeroDivisionError

    policy = Draws(slots=1)
    with pytest.raises(ZeroDivisionError):
        rollout(policy, envs(4, task=Buggy()), asking(9), deterministic=deterministic)
    assert policy.rows == {}, "nothing is left in the engine"
    with pytest.raises(UserError, match="no option"):
        rollout(Draws(), envs(1), [{"options": {"levels": 1}}], deterministic=deterministic)


def test_an_invalid_verdict_has_no_rows() -> None:
    class Down(Any1):
        def verify(self, problem: Problem, text: str) -> Verdict:
            raise HostError("no disk")

    [t] = rollout(Draws(), envs(1, task=Down()), asking(1))
    assert (t.valid, t.segments, t.truncated) == (False, [], True) and t.length == t.info["used"] > 0


def test_an_episode_that_a_time_limit_cut_is_refused() -> None:
    policy = Scripted(lambda r: Completion("", (97,), (-0.5,), "length"), BYTES)
    with pytest.raises(UserError, match="leave out max_episode_steps, give a budget"):
        rollout(policy, [gym.wrappers.TimeLimit(envs(1)[0], 2)], asking(1))


def test_a_problem_that_the_host_cannot_pose_is_an_invalid_trajectory() -> None:
    class Down(Any1):
        def sample(self, rng: np.random.Generator, level: int = 0) -> Problem:
            raise HostError("no disk")

    lost, asked = rollout(Draws(), envs(1, task=Down()), [{}, *asking(1)])
    assert (lost.valid, lost.verdict.detail["error"], lost.segments, lost.length) == (False, "no disk", [], 0)
    assert asked.valid, "the slot goes on"


def test_tokenizers_that_differ_are_refused() -> None:
    class Other(Draws):
        class tokenizer:  # noqa: N801
            fingerprint = "other"

    with pytest.raises(UserError, match="give the env tokenizer="):
        rollout(Other(), envs(2), asking(2))


# --- one row or more


class Echo:
    """A tool that says what it was asked."""

    stop, hint = "]", ""

    def open(self, problem: Problem, seed: int) -> Any:
        class Session:
            def __call__(self, text: str) -> str | None:
                return "=" + text[-2]

            def close(self) -> None: ...

        return Session()


def scripted(*texts: str) -> Scripted:
    return Scripted(list(texts), BYTES)


def shown(segment: Segment) -> tuple[str, str]:
    return BYTES.decode(segment.ids), "".join(map(str, segment.mask))


def test_longcot_is_one_row() -> None:
    policy = Scripted(lambda r: "ab" if r.response else Completion("", (99,), (-0.1,), "length", (81,)), BYTES)
    [t] = rollout(policy, envs(1), [{"options": {"problem": Problem.of("Q")}}])
    assert [shown(s) for s in t.segments] == [("Qcab<|end|>", "01111")]
    assert t.segments[0].logprobs == (0.0, -0.1, 0.0, 0.0, 0.0) and t.length == 4


def test_tool_output_is_in_the_row_and_not_trained_on() -> None:
    [t] = rollout(scripted("[x]", "[y]", "!"), envs(1, tools=[Echo()]), [{"options": {"problem": Problem.of("Q")}}])
    assert [shown(s) for s in t.segments] == [("Q[x]=x[y]=y!<|end|>", "0111001110011")]
    assert (t.length, t.info["used"], t.info["calls"]) == (8, 12, 3)


def test_tool_output_is_no_length_without_rows_either() -> None:
    policy = Scripted(lambda r: Completion("" if r.response else "[x]", (), (), "end" if r.response else "pause"))
    [t] = rollout(policy, envs(1, tools=[Echo()]), [{"options": {"problem": Problem.of("Q")}}])
    assert (t.segments, t.length, t.info["used"]) == ([], 3, 5)


def test_delethink_is_a_row_for_each_window() -> None:
    policy = Scripted("abcdefghijklmnopqrstuvwxyz", BYTES)
    [t] = rollout(policy, envs(1, Delethink(4, 2, 1, max_chunks=3)), [{"options": {"problem": Problem.of("Q")}}])
    assert [shown(s) for s in t.segments] == [("Qabcd", "01111"), ("Qadab", "00011"), ("Qabab", "00011")]
    assert (t.length, t.truncated, t.info["resets"], t.info["peak_context"]) == (8, True, 2, 5)


def call(prompt: Sequence[int], ids: Sequence[int], **kw: Any) -> Completion:
    return Completion("x", tuple(ids), (-0.5,) * len(ids), "length", tuple(prompt), **kw)


def test_an_api_that_tokenises_anew_starts_a_row_where_it_differs() -> None:
    rows = merge([call([1], [2, 3]), call([1, 2, 3], [4]), call([1, 23, 4], [5]), call([1, 23, 4, 5, 6], [7])])
    assert [(s.ids, s.mask) for s in rows] == [
        ((1, 2, 3, 4), (0, 1, 1, 1)),
        ((1, 23, 4, 5, 6, 7), (0, 0, 0, 1, 0, 1)),
    ]


def test_a_shorter_prompt_starts_a_row() -> None:
    assert [s.ids for s in merge([call([1, 2], [3, 4]), call([1, 2, 3], [5])])] == [(1, 2, 3, 4), (1, 2, 3, 5)]


def test_without_ids_there_are_no_rows() -> None:
    assert merge([]) == [] == merge([Completion("text")]) == merge([call([1], [2]), Completion("text")])
    assert merge([replace(call([1], [2]), prompt_ids=())]) == []
    [t] = rollout(Scripted("api text"), envs(1), asking(1))
    assert (t.segments, t.text, t.length) == ([], "api text", 8)


def test_a_call_that_wrote_nothing_costs_no_row() -> None:
    rows = merge([call([1], [2]), Completion("", prompt_ids=(1, 2))])
    assert [s.ids for s in rows] == [(1, 2)]


def test_missing_logprobs_are_nan() -> None:
    [row] = merge([replace(call([1], [2, 3]), logprobs=())])
    assert row.logprobs[0] == 0.0 and all(math.isnan(p) for p in row.logprobs[1:])


FORCED = Completion("</t>", tuple(b"</t>"), (-0.25,) * 4, "length")


@pytest.mark.parametrize("prefix", ["", "<t>"])
def test_a_forced_first_action_is_trained_on_with_its_own_logprobs(prefix: str) -> None:
    resets = [{"options": {"problem": Problem.of("Q"), "response": FORCED}}]
    [t] = rollout(scripted("4"), envs(1, LongCoT(20, prefix)), resets)
    assert [shown(s) for s in t.segments] == [(f"Q{prefix}</t>4<|end|>", "0" * (1 + len(prefix)) + "111111")]
    assert t.segments[0].logprobs[1 + len(prefix) :] == (-0.25,) * 4 + (0.0, 0.0)
    assert (t.length, t.info["used"], t.info["calls"], t.text) == (6, 6, 2, f"{prefix}</t>4")


def test_a_forced_first_action_may_be_followed_by_resets() -> None:
    resets = [{"options": {"problem": Problem.of("Q"), "response": FORCED}}]
    [t] = rollout(Scripted("abcdefgh", BYTES), envs(1, Delethink(6, 2, 1, max_chunks=2)), resets)
    assert [shown(s) for s in t.segments] == [("Q</t>ab", "0111111"), ("Q<babcd", "0001111")]
    assert t.length == 10 == t.info["used"]


def test_forced_text_that_the_engine_did_not_see_as_these_tokens_is_context() -> None:
    resets = [{"options": {"problem": Problem.of("Q"), "response": replace(FORCED, ids=(), logprobs=())}}]
    [t] = rollout(scripted("4"), envs(1), resets)
    assert [shown(s) for s in t.segments] == [("Q</t>4<|end|>", "0000011")]
    again = Scripted(lambda r: Completion("4", (52, 256), (0.0, 0.0), "end", (81, 300)), BYTES)
    resets = [{"options": {"problem": Problem.of("Q"), "response": FORCED}}]
    [t] = rollout(again, envs(1), resets)
    assert [(s.ids, s.mask) for s in t.segments] == [((81, 300, 52, 256), (0, 0, 1, 1))]


@pytest.mark.parametrize("prefix", ["", "<t>"])
def test_a_forced_text_with_one_logprob_is_told_in_the_envs_tokens(prefix: str) -> None:
    """What a coin chose: its log-prob stands at the first token, the rest follow for sure."""
    forced = Completion("</t>", logprobs=(-0.7,), finish="length")
    resets = [{"options": {"problem": Problem.of("Q"), "response": forced}}]
    [t] = rollout(scripted("4"), envs(1, LongCoT(20, prefix)), resets)
    assert [shown(s) for s in t.segments] == [(f"Q{prefix}</t>4<|end|>", "0" * (1 + len(prefix)) + "111111")]
    assert t.segments[0].logprobs[1 + len(prefix) :] == (-0.7, 0.0, 0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("thinking", [LongCoT(40, "<think>\n...\n"), Delethink(12, 4, 0, prefix="<think>\n...\n")])
@pytest.mark.parametrize(("text", "mode"), [("</think>\n\n4", "no_think"), ("Hm</think>4", "think"), ("4", "think")])
def test_every_trajectory_reports_its_mode(thinking: Any, text: str, mode: str) -> None:
    [t] = rollout(scripted(text), envs(1, thinking), [{"options": {"problem": Problem.of("Q")}}])
    assert t.info["mode"] == mode and t.text == f"<think>\n...\n{text}"


def test_a_string_as_response_is_context() -> None:
    resets = [{"options": {"problem": Problem.of("Q"), "response": "2+2="}}]
    [t] = rollout(scripted("4"), envs(1), resets)
    assert [shown(s) for s in t.segments] == [("Q2+2=4<|end|>", "0000011")]
    assert t.length == 2 == t.info["used"]


def test_a_completion_over_its_room_is_clipped_in_the_row_too() -> None:
    policy = Scripted(lambda r: Completion("", (97,) * 9 + (256,), (-1.0,) * 10, "end", (81, *r.response_ids)), BYTES)
    [t] = rollout(policy, envs(1, "longcot(budget=4)"), [{"options": {"problem": Problem.of("Q")}}])
    assert [shown(s) for s in t.segments] == [("Qaaaa", "01111")]
    assert (t.truncated, t.text, t.length, t.info["finish"]) == (True, "aaaa", 4, "length")


# --- ids seen by the env == ids seen by the engine


@st.composite
def thinkings(draw: st.DrawFn) -> Any:
    prefix = draw(st.sampled_from(["", "<think>\n"]))
    if draw(st.booleans()):
        return LongCoT(draw(st.integers(1, 40)), prefix)
    chunk = draw(st.integers(2, 12))
    carry = draw(st.integers(1, chunk - 1))
    variant: Any = draw(st.sampled_from(["trainer", "paper"]))
    return Delethink(chunk, carry, draw(st.integers(0, carry - 1)), draw(st.integers(1, 5)), variant, prefix)


@dataclass
class Forgetful:
    """Bytes that may be encoded only while an episode begins: nothing that was sampled is tokenised again."""

    calls: list[str] = field(default_factory=list)
    eos_ids, pad_id, fingerprint = BYTES.eos_ids, BYTES.pad_id, BYTES.fingerprint

    def encode(self, text: str) -> list[int]:
        self.calls.append(text)
        return BYTES.encode(text)

    def decode(self, ids: Sequence[int]) -> str:
        return BYTES.decode(ids)


@given(thinkings(), st.integers(0, 10**6), st.sampled_from(["", "context"]))
def test_ids_seen_by_the_env_are_ids_seen_by_the_engine(thinking: Any, seed: int, context: str) -> None:
    class Noise(Draws):
        """Any bytes at all: invalid UTF-8, and characters cut at every boundary."""

        def complete(self, request: Request) -> Completion:
            made = super().complete(request)
            rng = np.random.default_rng(request.seed)
            ids = tuple(i if i == 256 else int(rng.integers(256)) for i in made.ids)
            return replace(made, ids=ids, text="not looked at")

    policy, tokenizer = Noise(), Forgetful()
    [env] = envs(1, thinking, tokenizer=tokenizer)
    options = {"problem": Problem.of("Q"), **({"response": context} if context and thinking.budget > 20 else {})}
    try:
        [t] = rollout(policy, [env], [{"seed": 0, "options": options}], seed=seed, deterministic=True)
    except UserError as error:
        assert "leaves no room" in str(error)
        return
    assert set(tokenizer.calls) <= {thinking.prefix, context}
    seen = [list(c.prompt_ids[1:]) for c in t.info["completions"]]
    assert seen == [list(r.response_ids) for r in policy.requests]
    sampled = [i for c in t.info["completions"] for i in c.ids]
    whole = [*thinking.prefix.encode(), *options.get("response", "").encode(), *[i for i in sampled if i != 256]]
    assert [i for piece in env._trace for i in piece] == whole and t.text == BYTES.decode(whole)
    assert [i for s in t.segments for i, m in zip(s.ids, s.mask, strict=True) if m] == sampled
    window = [*thinking.prefix.encode(), *env._kept]
    last = t.info["completions"][-1]
    assert window == [*last.prompt_ids[1:], *[i for i in last.ids if i != 256]]


# --- think()


def test_think_needs_no_task() -> None:
    both = Scripted({"Why?": "because", "Who?": "you"}, BYTES)
    done = think(both, ["Why?", "Who?"], "longcot", budget=50)
    assert [(t.problem.prompt, t.text) for t in done] == [("Why?", "because"), ("Who?", "you")]
    [one] = think(Scripted("because", BYTES), "Why?", chunk=4, carry=2, head=1)
    assert (one.text, one.info["resets"], len(one.segments)) == ("becabebebebe", 4, 5)
    assert think(Draws(), []) == []
    with pytest.raises(UserError, match="0 envs"):
        think(Draws(), ["x"], slots=0)


def test_think_uses_tools_and_text_alone() -> None:
    [t] = think(scripted("[x]", "!"), "Why?", LongCoT(20), tools=[Echo()])
    assert t.text == "[x]=x!"
    [t] = think(Scripted("words"), "Why?", "longcot")
    assert (t.text, t.segments) == ("words", [])


# --- pack


def row(prompt: int, sampled: int, start: int = 10) -> Segment:
    """``prompt`` tokens and then ``sampled`` ones, numbered from ``start``, with log-probs -id."""
    ids = tuple(range(start, start + prompt + sampled))
    logprobs = tuple(0.0 if n < prompt else -float(i) for n, i in enumerate(ids))
    return Segment(ids, (0,) * prompt + (1,) * sampled, logprobs)


def attempt(*rows: Segment, valid: bool = True) -> Trajectory:
    return Trajectory(Problem.of("Q"), list(rows), "", Verdict(1.0, valid=valid), False, {"used": 5})


BATCH = [
    [attempt(row(2, 3), row(1, 2, 40)), attempt(row(2, 4, 60))],
    [attempt(row(1, 1, 80), valid=False), attempt(row(3, 6, 90))],
]
ADVANTAGES = np.array([[2.0, -1.0], [np.nan, 0.5]])


def flat(packed: Any) -> Any:
    """All rows of all micro-batches of one optimiser step: id of the first token -> its row's arrays."""
    return {
        int(rows.ids[n, 0]): {k: getattr(rows, k)[n] for k in ("ids", "mask", "logprobs", "advantages", "weight")}
        for rows in packed
        for n in range(len(rows.ids))
    }


def test_pack_golden() -> None:
    [step] = pack(BATCH, ADVANTAGES)
    [rows] = step
    assert rows.ids.shape == (4, 9) and rows.ids.dtype == np.int64 and rows.mask.dtype == np.float32
    assert_array_equal(rows.ids[0], [40, 41, 42, 0, 0, 0, 0, 0, 0])
    assert_array_equal(rows.mask[0], [0, 1, 1, 0, 0, 0, 0, 0, 0])
    assert_array_equal(rows.logprobs[0], [0, -41, -42, 0, 0, 0, 0, 0, 0])
    assert_array_equal(rows.advantages[0], [0, 2, 2, 0, 0, 0, 0, 0, 0])
    assert_allclose(rows.weight[0], np.array([0, 1, 1, 0, 0, 0, 0, 0, 0]) / 15, rtol=1e-6)
    assert rows.trajectory.tolist() == [0, 0, 1, 2], "rows of one trajectory share a number"
    assert set(flat(step)) == {10, 40, 60, 90}, "what is invalid is left out"


@pytest.mark.parametrize(
    ("kw", "weights"),
    [
        ({}, {10: 1 / 15, 40: 1 / 15, 60: 1 / 12, 90: 1 / 18}),
        ({"loss_norm": "token"}, {10: 1 / 15, 40: 1 / 15, 60: 1 / 15, 90: 1 / 15}),
        ({"loss_norm": "constant", "constant": 10.0}, dict.fromkeys((10, 40, 60, 90), 1 / 30)),
    ],
)
def test_every_loss_norm_weighs_the_tokens_of_the_whole_step(kw: dict[str, Any], weights: dict[int, float]) -> None:
    for tokens in (1 << 15, 1):
        [step] = pack(BATCH, ADVANTAGES, tokens=tokens, **kw)
        for first, r in flat(step).items():
            assert_allclose(r["weight"], r["mask"] * weights[first], rtol=1e-6)


def test_nan_advantages_are_left_out_of_the_normaliser_too() -> None:
    advantages = np.array([[2.0, np.nan], [1.0, 0.5]])
    [step] = pack(BATCH, advantages)
    assert set(flat(step)) == {10, 40, 90}
    assert_allclose(sum(r["weight"].sum() for r in flat(step).values()), 1.0, rtol=1e-6)
    assert pack(BATCH, np.full((2, 2), np.nan)) == []


def test_silent_rows_may_be_left_out_and_still_count() -> None:
    advantages = np.array([[2.0, 0.0], [np.nan, 0.5]])
    assert set(flat(pack(BATCH, advantages)[0])) == {10, 40, 60, 90}
    [step] = pack(BATCH, advantages, silent=False)
    assert set(flat(step)) == {10, 40, 90}
    assert_allclose(flat(step)[90]["weight"].sum(), 1 / 3, rtol=1e-6)


def test_advantages_may_be_given_for_each_sampled_token() -> None:
    per_token = [[np.arange(5.0), np.zeros(4)], [np.nan, np.arange(6.0) - 10]]
    rows = flat(pack(BATCH, per_token)[0])
    assert_array_equal(rows[10]["advantages"][2:5], [0, 1, 2])
    assert_array_equal(rows[40]["advantages"][1:3], [3, 4])
    assert_array_equal(rows[90]["advantages"][3:9], [-10, -9, -8, -7, -6, -5])
    with pytest.raises(UserError, match=r"shape \(4,\) for a trajectory of 5"):
        pack(BATCH, [[np.zeros(4), 0.0], [0.0, 0.0]])


def test_what_cannot_be_trained_on_is_refused() -> None:
    with pytest.raises(UserError, match="without token ids"):
        pack([[attempt()]], [[1.0]])
    with pytest.raises(UserError, match="needs a prompt"):
        pack([[attempt(row(0, 3))]], [[1.0]])
    unknown = replace(row(1, 2), logprobs=(0.0, float("nan"), -1.0))
    with pytest.raises(UserError, match="log-probs"):
        pack([[attempt(unknown)]], [[1.0]])
    assert pack([[attempt(valid=False)]], [[1.0]]) == [] == pack([[attempt()]], [[np.nan]])
    with pytest.raises(ValueError, match="zip"):
        pack(BATCH, [[1.0, 1.0]])


@st.composite
def batches(draw: st.DrawFn) -> tuple[list[list[Trajectory]], Any]:
    p, g = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    at = iter(range(100, 10**9, 100))  # every row begins with a number of its own

    def one() -> Trajectory:
        sizes = draw(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 9)), min_size=1, max_size=4))
        return attempt(*[row(a, b, next(at)) for a, b in sizes], valid=draw(st.integers(0, 9)) > 0)

    batch = [[one() for _ in range(g)] for _ in range(p)]
    advantages = [[draw(st.sampled_from([-1.0, 0.0, 0.5, 2.0, float("nan")])) for _ in range(g)] for _ in range(p)]
    return batch, np.array(advantages)


@given(
    batches(),
    st.integers(1, 4),
    st.integers(1, 60),
    st.booleans(),
    st.sampled_from(["trajectory", "token", "constant"]),
    st.booleans(),
)
def test_pack_loses_nothing_splits_nothing_and_adds_up(
    given_batch: Any, steps: int, tokens: int, whole: bool, loss_norm: Any, shuffled: bool
) -> None:
    batch, advantages = given_batch
    kw: Any = {"loss_norm": loss_norm, "constant": 7.0, "steps": steps}
    rng = (lambda: np.random.default_rng(3)) if shuffled else (lambda: None)
    cut = pack(batch, advantages, tokens=tokens, whole=whole, rng=rng(), **kw)
    one = pack(batch, advantages, tokens=1 << 30, rng=rng(), **kw)
    chosen = [
        (t, a) for ts, row_ in zip(batch, advantages, strict=True) for t, a in zip(ts, row_, strict=True) if t.valid
    ]
    chosen = [(t, a) for t, a in chosen if not np.isnan(a)]
    expected = {s.ids[0]: (t, a, s) for t, a in chosen for s in t.segments}
    assert len(cut) == len(one) == min(steps, len(chosen))
    homes: dict[int, set[int]] = {}
    found: set[int] = set()
    for n, (micro, single) in enumerate(zip(cut, one, strict=True)):
        assert len(single) == 1
        rows = flat(micro)
        assert found.isdisjoint(rows) and rows.keys() == flat(single).keys()
        found |= rows.keys()
        for first, r in rows.items():
            t, a, s = expected[first]
            homes.setdefault(id(t), set()).add(n)
            width = len(s.ids)
            assert tuple(r["ids"][:width]) == s.ids and tuple(r["mask"][:width]) == s.mask
            assert not r["mask"][width:].any() and not r["ids"][width:].any()
            assert_array_equal(r["advantages"], r["mask"] * np.float32(a))
            assert_array_equal(r["logprobs"][:width], np.float32(s.logprobs))
        total = sum(float((r.weight * r.advantages * r.mask).sum()) for r in micro)
        alone = sum(float((r.weight * r.advantages * r.mask).sum()) for r in single)
        assert_allclose(total, alone, rtol=1e-5, atol=1e-6)
        if loss_norm != "constant":
            assert_allclose(sum(float(r.weight.sum()) for r in micro), 1.0, rtol=1e-5)
        for r in micro:
            assert r.ids.size <= tokens or len(r.ids) == 1 or (whole and len(set(r.trajectory)) == 1)
        if whole:
            numbers = [set(r.trajectory.tolist()) for r in micro]
            assert sum(map(len, numbers)) == len(set().union(*numbers)), "a trajectory is in two micro-batches"
    assert found == expected.keys()
    assert all(len(n) == 1 for n in homes.values()), "a trajectory is in two optimiser steps"


def test_a_trace_of_four_chunks_weighs_as_one_of_one() -> None:
    batch = [[attempt(*[row(1, 5, 100 * n) for n in range(1, 5)]), attempt(row(1, 20, 1000))]]
    rows = flat(pack(batch, np.ones((1, 2)))[0])
    assert_allclose(sum(rows[100 * n]["weight"].sum() for n in range(1, 5)), 0.5, rtol=1e-6)
    assert_allclose(rows[1000]["weight"].sum(), 0.5, rtol=1e-6)


def test_a_rollout_does_not_spin_while_envs_work() -> None:
    """A remote engine answers `poll` at once; asking it without a pause would starve the workers."""

    class Remote(Draws):
        def poll(self, timeout: float | None = None) -> list[tuple[int, Completion]]:
            if len(self.rows) == 1 and timeout is not None:  # the long call: not done yet
                self.polls += 1
                time.sleep(min(timeout, 0.1))
                return []
            return super().poll(timeout)

    class Slow(Any1):
        def verify(self, problem: Problem, text: str) -> Verdict:
            time.sleep(0.2)
            return Verdict(1.0)

    policy = Remote(slots=1)
    rollout(policy, envs(2, task=Slow()), asking(2))
    assert policy.polls < 400
