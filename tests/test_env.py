"""The environment's state machine: the order of a step, finishes, tools, budgets, context, and what may fail."""

from __future__ import annotations

import math
import pickle
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import reasongym
from reasongym import (
    ByteTokenizer,
    Completion,
    Delethink,
    EpisodeShaper,
    HostError,
    LongCoT,
    Problem,
    ReasoningEnv,
    ResetNeeded,
    ShapeReward,
    Trajectory,
    UserError,
    Verdict,
)
from reasongym.policies.scripted import Scripted

EOS = ByteTokenizer().eos_id


@dataclass
class Says:
    """Right when the text it is given is ``answer``; remembers what it was given."""

    answer: str = "4"
    seen: list[str] = field(default_factory=list)
    error: str = ""

    def sample(self, rng: np.random.Generator, level: int = 0) -> Problem:
        return Problem.of(f"question {rng.integers(100)}", self.answer, level)

    def verify(self, problem: Problem, text: str) -> Verdict:
        if self.error:
            raise HostError(self.error)
        self.seen.append(text)
        return Verdict(float(text == self.answer), text)


@dataclass
class Upper:
    """A tool: ``[abc]`` is answered by ``ABC``; ``[]`` is no call. Knows how to fail."""

    stop: str = "]"
    hint: str = "[x] shouts x"
    fails: str = ""
    repeat: int = 1

    def open(self, problem: Problem, seed: int) -> Asked:
        if self.fails == "open":
            raise HostError("no sandbox")
        return Asked(self, seed)


@dataclass
class Asked:
    tool: Upper
    seed: int
    seen: list[str] = field(default_factory=list)
    closed: int = 0

    def __call__(self, text: str) -> str | None:
        assert text.endswith(self.tool.stop), "a tool sees the thought up to its stop"
        self.seen.append(text)
        if self.tool.fails == "call":
            raise HostError("the sandbox is gone")
        inside = text[: -len(self.tool.stop)].rpartition("[")[2]
        return inside.upper() * self.tool.repeat if inside else None

    def close(self) -> None:
        self.closed += 1


def env(thinking: Any = "longcot(budget=20)", task: Any = None, **kw: Any) -> ReasoningEnv:
    made = ReasoningEnv(task or Says(), thinking, **kw)
    made.reset(seed=0)
    return made


def ids(text: str, finish: Any = "length") -> Completion:
    """A completion of these bytes, with the end token where it ends."""
    return Completion("not looked at", (*text.encode(), *([EOS] if finish == "end" else [])), finish=finish)


def ended(step: Any) -> tuple[bool, bool]:
    return step[2], step[3]


# --- finishes


def test_a_string_ends_the_thought() -> None:
    e = env()
    obs, reward, terminated, truncated, info = e.step("4")
    assert (reward, terminated, truncated) == (1.0, True, False)
    assert obs["response"] == info["text"] == "4" and info["verdict"] == Verdict(1.0, "4")
    assert (info["used"], info["room"], info["correct"], info["valid"]) == (1, 0, 1.0, True)


def test_the_end_token_is_counted_and_not_in_the_text() -> None:
    e = env()
    obs, reward, terminated, _, info = e.step(ids("4", "end"))
    assert (reward, terminated, info["used"], info["text"], obs["response"]) == (1.0, True, 2, "4", "4")
    assert info["response_ids"] == [ord("4")]


def test_an_end_without_an_end_token_ends_too() -> None:
    obs, reward, *_ = env().step(Completion("", (ord("4"),), finish="end"))
    assert (obs["response"], reward) == ("4", 1.0)


def test_length_goes_on_and_what_is_clipped_is_length() -> None:
    e = env("longcot(budget=3)")
    obs, reward, *flags, info = e.step(ids("1", "length"))
    assert (flags, reward, info["room"], obs["response"]) == ([False, False], 0.0, 2, "1")
    assert {"verdict", "text", "correct"}.isdisjoint(info)
    obs, reward, *flags, info = e.step(ids("2345", "end"))  # clipped: what ended was never seen
    assert (flags, info["text"], info["used"]) == ([False, True], "123", 3)
    e.reset()
    assert ended(e.step("1234")) == (False, True)


def test_an_end_that_exactly_fills_the_room_is_an_end() -> None:
    for action in (ids("12", "end"), "123", Completion("123")):
        e = env("longcot(budget=3)")
        assert ended(e.step(action)) == (True, False)


def test_the_budget_spent_without_an_end_is_truncated_and_verified() -> None:
    e = env("longcot(budget=1)")
    _, reward, terminated, truncated, info = e.step(ids("4"))
    assert (reward, terminated, truncated, info["correct"]) == (1.0, False, True, 1.0)


@pytest.mark.parametrize("finish", ["end", "pause", "length"])
def test_writing_nothing_ends_the_thought(finish: Any) -> None:
    assert ended(env().step(Completion("", finish=finish))) == (True, False)


def test_a_completion_without_ids_is_its_text() -> None:
    e = env()
    _, _, *flags, info = e.step(Completion("4!", finish="length"))
    assert flags == [False, False] and info["response_ids"] == [*b"4!"]


def test_actions_of_another_type_are_refused_and_change_nothing() -> None:
    e = env()
    with pytest.raises(UserError, match="a str or a Completion, not int"):
        e.step(4)  # type: ignore[arg-type]
    assert e.step("4")[1] == 1.0


def test_a_step_without_an_episode_needs_a_reset() -> None:
    e = ReasoningEnv(Says())
    with pytest.raises(ResetNeeded, match=r"reset\(\)"):
        e.step("4")
    e.reset(seed=0)
    e.step("4")
    with pytest.raises(ResetNeeded):
        e.step("4")
    with pytest.raises((ResetNeeded, gym.error.ResetNeeded)):
        gym.make("LongCoT-v0").step("4")


# --- text is the decode of all ids


@given(st.text(min_size=1, max_size=12), st.lists(st.integers(1, 9), max_size=8), st.sampled_from(["longcot", "cut"]))
def test_text_is_the_decode_of_all_ids(text: str, cuts: list[int], kind: str) -> None:
    """A character split over two calls, or over a context reset, comes out whole."""
    e = env("longcot(budget=99)" if kind == "longcot" else Delethink(4, 2, 1, max_chunks=99))
    data = list(text.encode())
    pieces = iter(cuts)
    while data:
        n = min(next(pieces, len(data)), e._room(), len(data))
        obs, _, *flags, info = e.step(Completion("", tuple(data[:n]), finish="length"))
        assert obs["response"] == bytes(info["response_ids"]).decode("utf-8", "replace")
        assert flags == [False, False]
        data = data[n:]
    assert e.step(Completion("", (EOS,)))[-1]["text"] == text


# --- tools


def tooled(tool: Upper | None = None, **kw: Any) -> tuple[ReasoningEnv, Asked]:
    e = env(tools=[tool or Upper()], **kw)
    session: Any = e._sessions[0]
    return e, session


def test_a_pause_lets_the_tool_speak() -> None:
    e, session = tooled()
    _, info = e.reset(seed=0)
    assert e._observation()["prompt"].splitlines()[1:] == ["[x] shouts x"] and info["stop"] == ["]"]
    assert info["problem"].prompt.startswith("question") and "shouts" not in info["problem"].prompt
    obs, reward, *flags, info = e.step(ids("[ab]", "pause"))
    assert (obs["response"], reward, flags) == ("[ab]AB", 0.0, [False, False])
    assert (info["used"], info["room"], info["response_ids"]) == (6, 14, [*b"[ab]AB"])
    obs, *_, info = e.step("4")
    assert info["text"] == "[ab]AB4" and e._sessions == [] and session.closed == 1


def test_a_string_that_ends_in_the_stop_pauses() -> None:
    e, _ = tooled()
    assert e.step("[a]")[0]["response"] == "[a]A"
    assert ended(e.step("[a] 4")) == (True, False)


def test_no_call_goes_on() -> None:
    e, session = tooled()
    obs, _, *flags, info = e.step(ids("[]", "pause"))
    assert (obs["response"], flags, info["used"], session.seen) == ("[]", [False, False], 2, ["[]"])


def test_a_pause_of_no_tool_goes_on() -> None:
    e, _ = tooled()
    obs, _, *flags, _ = e.step(ids("a] b", "pause"))  # the stop was complete before the last token
    assert (obs["response"], flags) == ("a] b", [False, False])
    assert env().step(ids("a", "pause"))[2:4] == (False, False)


def test_only_a_pause_calls_the_tool() -> None:
    for finish, flags in (("end", (True, False)), ("length", (False, False))):
        e, session = tooled()
        obs, *_ = step = e.step(ids("[a]", finish))
        assert (obs["response"], ended(step), session.seen) == ("[a]", flags, [])


class Words:
    """A tokenizer of whole strings, one of which completes a stop and says more."""

    words = ("<", "x", ">\n", "X", ">")
    eos_ids, pad_id, fingerprint = (99,), 99, "words"

    def encode(self, text: str) -> list[int]:
        return [self.words.index(character) for character in text]

    def decode(self, ids: Any) -> str:
        return "".join(self.words[i] for i in ids)


def test_a_token_may_complete_the_stop_and_say_more() -> None:
    e = env(tools=[Upper(stop=">")], tokenizer=Words())  # type: ignore[arg-type]
    session: Any = e._sessions[0]
    obs, _, *flags, info = e.step(Completion("", (0, 1, 2), finish="pause"))  # no token is cut at a stop string
    assert (obs["response"], info["response_ids"], flags) == ("<x>\n<X", [0, 1, 2, 0, 3], [False, False])
    assert session.seen == ["<x>"]
    assert e.step(Completion("", (1,), finish="pause"))[0]["response"] == "<x>\n<Xx", "the old stop does not count"


def test_a_stop_may_be_written_over_two_calls_and_a_context_reset() -> None:
    e = env(Delethink(chunk=4, carry=2, head=1, max_chunks=9), tools=[Upper(stop="]]")])
    session: Any = e._sessions[0]
    e.step(ids("[ab]"))
    assert e._resets == 1
    obs, *_ = e.step(ids("]", "pause"))
    assert session.seen == ["[ab]]"] and e._text() == "[ab]]AB"


@pytest.mark.parametrize(("repeat", "fits"), [(13, True), (14, True), (15, False)])
def test_output_beyond_the_budget_is_dropped_and_the_episode_truncated(repeat: int, fits: bool) -> None:
    e, _ = tooled(Upper(repeat=repeat), thinking="longcot(budget=17)")
    _, _, terminated, truncated, info = e.step(ids("[a]", "pause"))
    assert (terminated, truncated) == (False, repeat >= 14)
    assert e._text() == "[a]" + "A" * repeat * fits and info["used"] == 3 + repeat * fits


def test_output_beyond_the_window_resets_the_context_before_the_next_call() -> None:
    thinking = Delethink(chunk=8, carry=4, head=1, max_chunks=5)  # budget 24
    e, _ = tooled(Upper(repeat=12), thinking=thinking)
    obs, _, *flags, info = e.step(ids("12[a]", "pause"))
    assert (flags, info["used"], info["resets"], info["room"]) == ([False, False], 17, 1, 4)
    assert obs["response"] == "1AAA", "head 1 and the last 3 of what was written and said"
    _, _, *flags, info = e.step(ids("[b]", "pause"))  # 20 and 12 more would be 32
    assert (flags, info["text"], info["used"]) == ([False, True], "12[a]" + "A" * 12 + "[b]", 20)


def test_two_tools_each_answer_their_own_stop() -> None:
    e = env(tools=[Upper(stop="]"), Upper(stop=")", hint="")])
    assert e._observation()["prompt"].count("\n") == 1
    assert e.step("[a]")[0]["response"] == "[a]A"
    assert e.step("[b)")[0]["response"] == "[a]A[b)B"


def test_tools_are_seeded_by_the_reset() -> None:
    e = env(tools=[Upper(), Upper()])

    def seeds(seed: int) -> list[Any]:
        e.reset(seed=seed)
        return [s.seed for s in e._sessions]  # type: ignore[attr-defined]

    assert seeds(1) == seeds(1) != seeds(2) and len(set(seeds(1))) == 2


def test_reset_and_close_close_the_sessions() -> None:
    e, session = tooled()
    e.reset()
    assert session.closed == 1
    last: Any = e._sessions[0]
    e.close()
    assert last.closed == 1
    with pytest.raises(ResetNeeded):
        e.step("4")


def test_a_tool_may_be_pickled_in_mid_episode() -> None:
    e, _ = tooled()
    e.step(ids("[a]", "pause"))
    again = pickle.loads(pickle.dumps(e))
    assert again.step("[b]")[0] == e.step("[b]")[0]
    assert again.step("4")[-1] == e.step("4")[-1]


@dataclass
class Counted(Asked):
    """A session that counts its calls, and takes over those of a given thought."""

    given: str = ""

    def report(self) -> dict[str, int | float]:
        return {"shouts": len(self.seen), "given": self.given.count("]")}

    def resume(self, text: str) -> None:
        self.given = text


class Counting(Upper):
    def open(self, problem: Problem, seed: int) -> Counted:
        return Counted(self, seed)


def test_what_tools_report_is_in_the_last_info_alone() -> None:
    e = env(tools=[Counting(), Upper(stop=")"), Counting(stop=">")], thinking="longcot(budget=50, prefix='<think>')")
    for context in (None, "[x]X"):
        assert "tools" not in e.reset(seed=0, options={"response": context})[1]
        assert "tools" not in e.step("[a]")[-1]
        counts = {"shouts": 1, "given": int(context is not None)}
        assert e.step("4")[-1]["tools"] == [counts, {}, {**counts, "shouts": 0}]
    e.reset(seed=0, options={"response": "[x]X"})
    session: Any = e._sessions[0]
    assert session.given == "<think>[x]X", "the whole thought so far"
    assert env().step("4")[-1]["tools"] == []


def test_what_tools_report_is_in_a_trajectory() -> None:
    policy = Scripted({"question": ["[a]", "[b]", "4"]}, ByteTokenizer())
    resets = [{"options": {"problem": Problem.of("question", "4")}}]
    [thought] = reasongym.rollout(policy, [env(tools=[Counting()])], resets)
    assert thought.info["tools"] == [{"shouts": 2, "given": 0}]
    [thought] = reasongym.rollout(policy, [env(task=Says(error="no disk"), tools=[Counting()])], resets)
    assert thought.info["tools"] == [{"shouts": 2, "given": 0}] and not thought.valid


def test_tool_output_cannot_inject_a_special_token() -> None:
    e, _ = tooled(Upper(stop="]"), thinking="longcot(budget=99)")
    e.step(ids("[<|end|>]", "pause"))
    assert EOS not in e._info()["response_ids"]


# --- what is verified


def test_answer_after() -> None:
    task = Says()
    e = env(task=task, answer_after="</think>")
    assert e.step("a</think>4")[1] == 1.0
    e.reset()
    assert e.step("a</think>b</think>4")[1] == 0.0 and task.seen == ["4", "b</think>4"], "after the first one"
    e.reset()
    *_, info = e.step("4")
    assert (info["correct"], info["verdict"].detail, len(task.seen)) == (0.0, {"absent": "</think>"}, 2)


@pytest.mark.parametrize(
    ("answer_after", "prefix", "text", "mode"),
    [
        (None, "", "</think>4", "no_think"),
        (None, "", "x</think>4", "think"),
        (None, "<think>\n...\n", "</think>\n4", "no_think"),
        (None, "<think>\n...\n", "\nso</think>\n4", "think"),
        ("=", "", "=4", "no_think"),
        ("=", "", "1=4", "think"),
        ("=", "", "</think>=4", "think"),
    ],
)
def test_the_last_info_says_whether_it_thought(answer_after: str | None, prefix: str, text: str, mode: str) -> None:
    env = ReasoningEnv(Says(), LongCoT(99, prefix), answer_after=answer_after)
    _, info = env.reset()
    assert {"mode", "closer", "prefix"}.isdisjoint(info)
    last = env.step(text)[-1]
    assert (last["mode"], last["closer"], last["prefix"]) == (mode, answer_after or "</think>", prefix)


@pytest.mark.parametrize("wrong", ["", 4, ("=",)])
def test_answer_after_is_a_text(wrong: Any) -> None:
    with pytest.raises(UserError, match=r"^answer_after=.* must be a text"):
        ReasoningEnv(Says(), answer_after=wrong)


def test_score_trace_or_window() -> None:
    for score, judged in (("trace", "<1234567="), ("window", "<167=")):
        task = Says()
        e = env(Delethink(chunk=6, carry=3, head=1, prefix="<"), task=task, score=score)
        e.step(ids("123456"))
        *_, info = e.step(ids("7=", "end"))
        assert task.seen == [judged.replace("167", "1567")], "the window: the prefix, what was carried and what is new"
        assert info["text"] == "<1234567="
    with pytest.raises(UserError, match="score='all'"):
        ReasoningEnv(score="all")  # type: ignore[arg-type]


def test_the_prefix_seeds_every_window_and_is_free() -> None:
    e = env(Delethink(chunk=4, carry=2, head=0, max_chunks=3, prefix="<think>"))
    obs, info = e.reset()
    assert (obs["response"], info["used"], info["room"]) == ("<think>", 0, 4)
    obs, *_, info = e.step(ids("1234"))
    assert (obs["response"], info["used"], info["room"]) == ("<think>34", 4, 2)
    assert info["response_ids"] == [*b"<think>34"]
    *_, info = e.step("5")
    assert info["text"] == "<think>12345"


# --- reset options


def test_level_problem_and_budget_come_in_by_options() -> None:
    e = env()
    assert e.reset(options={"level": 3})[1]["problem"].level == 3
    mine = Problem.of("mine", "7")
    obs, info = e.reset(options={"problem": mine, "budget": 2})
    assert (obs["prompt"], info["problem"], info["room"]) == ("mine", mine, 2)
    assert e.reset()[1]["room"] == 20, "an option holds for one episode"
    assert e.reset(options=None)[1]["problem"].level == 0 == e.reset(options={"level": None})[1]["problem"].level


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"problems": 1}, "no option problems; there is problem, level, budget, response"),
        ({"budget": 0}, "budget=0"),
        ({"level": "3"}, "level='3' must be a whole number"),
        ({"level": 1.5}, "level=1.5 must be"),
        ({"problem": "what?"}, "Problem.of"),
        ({"response": 7}, "not int"),
        ({"response": Completion("x")}, "neither end"),
        ({"response": Completion("x" * 20, finish="length")}, "fill the room"),
        ({"response": Completion("x" * 21, finish="length")}, "fill the room"),
        ({"response": Completion("", finish="length")}, "neither end"),
    ],
)
def test_wrong_options_are_one_line_and_leave_no_episode(options: dict[str, Any], says: str) -> None:
    e = env()
    with pytest.raises(UserError) as caught:
        e.reset(options=options)
    assert says in str(caught.value) and "\n" not in str(caught.value)
    if "problems" not in options:
        with pytest.raises(ResetNeeded):
            e.step("4")
    assert e.reset(seed=1) and e.step("4")[1] == 1.0


def test_a_string_response_is_context_outside_of_the_budget() -> None:
    e = env()
    obs, info = e.reset(options={"response": "2+2="})
    assert (obs["response"], info["response_ids"], info["used"], info["room"]) == ("2+2=", [*b"2+2="], 0, 20)
    *_, info = e.step("4")
    assert (info["text"], info["used"]) == ("2+2=4", 1)


def test_a_completion_as_response_is_the_first_action() -> None:
    e = env()
    first = Completion("</think>", tuple(b"</think>"), (-0.7,) * 8, "length")
    obs, info = e.reset(options={"response": first})
    assert (obs["response"], info["used"], info["room"]) == ("</think>", 8, 12)
    *_, info = e.step("4")
    assert (info["text"], info["used"]) == ("</think>4", 9)


def test_a_first_action_may_not_call_a_tool() -> None:
    e, _ = tooled()
    with pytest.raises(UserError, match="must not call a tool"):
        e.reset(options={"response": ids("[a]", "pause")})


def test_long_context_is_carried_over_like_any_window() -> None:
    e = env(Delethink(chunk=8, carry=4, head=1, max_chunks=2))
    obs, info = e.reset(options={"response": "123456789"})
    assert (obs["response"], info["resets"], info["room"]) == ("1789", 1, 4)
    assert e.step("!")[-1]["text"] == "123456789!"
    with pytest.raises(UserError, match="a response of 9 tokens leaves no room"):
        env(Delethink(chunk=8, carry=4, head=1, max_chunks=1)).reset(options={"response": "123456789"})


# --- the host fails


@pytest.mark.parametrize(
    ("fails", "text", "error"),
    [("open", "", "no sandbox"), ("call", "[a]", "the sandbox is gone"), ("verify", "4", "no disk")],
)
def test_a_failing_host_is_never_worth_zero(fails: str, text: str, error: str) -> None:
    task = Says(error="no disk" if fails == "verify" else "")
    e = env(task=task, tools=[Upper(fails=fails)])
    _, info = e.reset(seed=0)
    assert info["valid"] is (fails != "open")
    obs, reward, terminated, truncated, info = e.step(text or "4")
    assert math.isnan(reward) and math.isnan(info["correct"]) and (terminated, truncated) == (False, True)
    assert (info["valid"], info["error"], info["verdict"].valid) == (False, error, False)
    assert obs["response"] == info["text"] and task.seen == []
    with pytest.raises(ResetNeeded):
        e.step("4")
    task.error, e.tools = "", [Upper()]
    assert e.reset(seed=0)[1]["valid"] is True and e.step("4")[1] == 1.0, "the next episode is a new one"


def test_a_verdict_may_say_that_the_host_failed() -> None:
    class Lost(Says):
        def verify(self, problem: Problem, text: str) -> Verdict:
            return Verdict(1.0, valid=False)

    _, reward, terminated, truncated, info = env(task=Lost()).step("4")
    assert math.isnan(reward) and (terminated, truncated, info["valid"]) == (False, True, False)
    assert info["error"] == "the host failed"


def test_a_bug_in_a_task_is_not_hidden() -> None:
    class Buggy(Says):
        def verify(self, problem: Problem, text: str) -> Verdict:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        env(task=Buggy()).step("4")


# --- parts and settings


def test_parts_are_objects_or_strings_and_settings_find_their_part() -> None:
    e: Any = gym.make("Delethink-v0", chunk=64, carry=32, head=4, low=3, high=5).unwrapped
    assert (e.thinking, e.task.low, e.task.high) == (Delethink(64, 32, 4), 3, 5)
    assert ReasoningEnv("register", Delethink(), low=3).task.low == 3  # type: ignore[attr-defined]
    assert ReasoningEnv(tools=f"{__name__}:Upper").tools == [Upper()]
    assert ReasoningEnv(tools=[f"{__name__}:Upper(stop='!')"]).tools == [Upper("!")]
    assert ReasoningEnv().tokenizer == ReasoningEnv(tokenizer="bytes").tokenizer == ByteTokenizer()


class Both:
    """A task that has a setting of the thinking's name."""

    def __init__(self, budget: int = 1) -> None: ...


@pytest.mark.parametrize(
    ("kw", "says"),
    [
        ({"chunck": 64}, "chunck=64: no such setting; there is budget"),
        ({"task": Says(), "low": 3}, "low=3: no such setting"),
        ({"task": f"{__name__}:Both", "budget": 3}, "budget=3: write it inside the string"),
        ({"task": "registry"}, "tasks: there is no 'registry'; there is arithmetic"),
        ({"thinking": "delethink(chunk=1)"}, "chunk=1 must be larger"),
        ({"budget": 0}, "budget=0"),
        ({"tools": ["nothing"]}, "tools: there is no 'nothing'"),
        ({"tokenizer": "/nowhere"}, "no tokenizer at '/nowhere'"),
        ({"tools": None}, "tools=None must be a list of tools"),
        ({"tools": [None]}, "tools: None has no open()"),
        ({"task": None}, "task: None has no verify()"),
        ({"thinking": 5}, "thinking: 5 has no room()"),
        ({"tokenizer": 5}, "tokenizer: 5 has no encode()"),
        ({"prefix": 3}, "prefix=3 must be a text"),
    ],
)
def test_wrong_settings_are_one_line(kw: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError) as caught:
        ReasoningEnv(**kw)
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_render() -> None:
    e: Any = gym.make("LongCoT-v0", render_mode="ansi")
    _, info = e.reset(seed=0)
    assert e.render() == info["problem"].prompt + "\n"
    e.step("12")
    assert e.render().endswith("\n12") and ReasoningEnv().render() is None
    assert ReasoningEnv(render_mode="ansi").render() == ""


# --- ShapeReward


@dataclass(frozen=True)
class Short(EpisodeShaper):
    """Pays 10 less a token, if right."""

    bonus: float = 10.0

    def score(self, trajectory: Trajectory) -> float:
        assert trajectory.problem.prompt and trajectory.text
        return (self.bonus - trajectory.length) * trajectory.verdict.score


def test_shape_reward_pays_the_shaper_and_keeps_the_truth() -> None:
    e = ShapeReward(env(), Short())
    e.reset(seed=0)
    assert e.step(ids("4"))[1] == 0.0, "only the last step pays"
    e.reset()
    _, reward, terminated, _, info = e.step("4")
    assert (reward, terminated, info["correct"], info["verdict"].score) == (9.0, True, 1.0, 1.0)
    e.reset()
    assert e.step("55")[1] == 0.0


@pytest.mark.parametrize(
    ("response", "length"),
    [("2+2", 5), (ids("ab"), 7), (Completion("ab", finish="length"), 5), (Completion("ab", (), (-0.7,), "length"), 7)],
)
def test_shape_reward_counts_sampled_tokens_as_rows_do(response: str | Completion, length: int) -> None:
    inner, _ = tooled(answer_after="=")
    e = ShapeReward(inner, "overlong(limit=8, buffer=2)")
    e.reset(options={"problem": Problem.of("2+2"), "response": response})
    assert e.step(ids("[a]", "pause"))[-1]["sampled"] == length - 2
    _, reward, *_, info = e.step("=4")
    assert (reward, info["sampled"]) == (1 - max(0, (length - 6) / 2), length)


def test_shape_reward_takes_strings_and_its_spec_round_trips() -> None:
    e = ShapeReward(gym.make("LongCoT-v0"), f"{__name__}:Short", bonus=3.0)
    assert e.spec is not None
    again: Any = gym.make(gym.envs.registration.EnvSpec.from_json(e.spec.to_json()))
    while not isinstance(again, ShapeReward):
        again = again.env
    assert again.shaper == Short(3.0)


def test_shape_reward_refuses_an_episode_that_a_time_limit_cut() -> None:
    e = ShapeReward(gym.make("LongCoT-v0", max_episode_steps=2), Short())
    e.reset(seed=0)
    e.step(ids("4"))
    with pytest.raises(UserError, match="leave out max_episode_steps, give a budget"):
        e.step(ids("4"))


def test_shape_reward_leaves_invalid_ends_alone() -> None:
    e = ShapeReward(env(task=Says(error="no disk")), Short())
    e.reset(seed=0)
    assert math.isnan(e.step("4")[1])


@pytest.mark.parametrize(
    ("shaper", "rewards"),
    [("hapo", [1, 1 + math.cos(math.pi / 4), 0.3]), ("laser(method='thinkprune', targets=(4, 1), every=2)", [1, 1, 0])],
)
def test_shape_reward_lets_a_shaper_learn_from_each_episode(shaper: str, rewards: list[float]) -> None:
    e, paid = ShapeReward(env(), shaper), []
    for answer in (ids("4", "end"), "4", ids("4", "end")):  # two tokens, one, two
        e.reset(options={"problem": Problem.of("2+2", "4")})
        paid.append(e.step(answer)[1])
    assert paid == pytest.approx(rewards)


class NeedsABatch:
    def __call__(self, batch: Any) -> Any: ...
    def update(self, batch: Any) -> None: ...


def test_shape_reward_refuses_what_needs_a_batch() -> None:
    with pytest.raises(UserError, match="NeedsABatch needs more than one episode; give it to an agent"):
        ShapeReward(env(), f"{__name__}:NeedsABatch")


def test_ids_say_what_the_readme_says() -> None:
    assert {"LongCoT-v0", "Delethink-v0"} <= set(reasongym.IDS)
    e: Any = gym.make("LongCoT-v0").unwrapped
    assert (e.thinking, e.tools, e.tokenizer) == (LongCoT(8192), [], ByteTokenizer())
