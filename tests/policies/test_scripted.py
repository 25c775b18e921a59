from __future__ import annotations

from typing import Any

import gymnasium as gym
import pytest
from hypothesis import given
from hypothesis import strategies as st

import reasongym  # noqa: F401  (registers the ids)
from reasongym import parts
from reasongym.core import Completion, Policy, Request, StreamingPolicy, UserError
from reasongym.policies.scripted import Scripted, make
from reasongym.tokenizer import ByteTokenizer, Chat

BYTES = ByteTokenizer()


def request(prompt: str = "p", response: str = "", room: int = 100, call: int = 0, **more: Any) -> Request:
    return Request((0, 0, 0, call), prompt, response, tuple(BYTES.encode(response)), room, **more)


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_it_is_a_policy_that_streams() -> None:
    policy: Policy = make(script="yes")
    assert isinstance(policy, StreamingPolicy)
    assert isinstance(parts.make("policies", "scripted(script=['a', 'b'])"), Scripted)


def test_a_text_becomes_ids_and_the_end() -> None:
    (done,) = Scripted("hé", BYTES).generate([request(response="<think>")])
    assert done.ids == (*"hé".encode(), 256)
    assert (done.text, done.finish, done.logprobs) == ("hé", "end", (0.0,) * 4)
    assert done.prompt_ids == (*b"p", *b"<think>")


def test_the_prompt_is_rendered_by_the_template() -> None:
    (done,) = Scripted("a", BYTES, system="Be brief.").generate([request("2+2?")])
    assert done.prompt_ids == Chat(BYTES, "Be brief.").prompt_ids("2+2?") == tuple(b"Be brief.\n2+2?")


@pytest.mark.parametrize(
    ("room", "text", "finish", "count"),
    [(4, "abc", "end", 4), (3, "abc", "length", 3), (1, "a", "length", 1)],
)
def test_room(room: int, text: str, finish: str, count: int) -> None:
    (done,) = Scripted("abc", BYTES).generate([request(room=room)])
    assert (done.text, done.finish, len(done.ids), len(done.logprobs)) == (text, finish, count, count)


def test_it_pauses_right_after_the_first_stop_string() -> None:
    (done,) = Scripted("1+</py>2</py>", BYTES).generate([request(stop=("</sql>", "</py>"))])
    assert (done.text, done.finish, done.ids) == ("1+</py>", "pause", tuple(b"1+</py>"))


def test_a_stop_string_may_begin_in_the_response_but_not_lie_in_it() -> None:
    policy = Scripted("py> and on", BYTES)
    assert policy.generate([request(response="1</", stop=("</py>",))])[0].text == "py>"
    assert policy.generate([request(response="1</py>", stop=("</py>",))])[0].finish == "end"


def test_room_comes_before_a_stop_string() -> None:
    policy = Scripted("ab</py>", BYTES)
    assert policy.generate([request(stop=("</py>",), room=6)])[0].finish == "length"
    assert policy.generate([request(stop=("</py>",), room=7)])[0].finish == "pause"


def test_without_a_tokenizer_there_is_text_and_nothing_else() -> None:
    done, paused = Scripted(["abc", "x</py>y"]).generate([request(), request(stop=("</py>",))])
    assert done == Completion("abc") and paused == Completion("x</py>", finish="pause")
    with pytest.raises(UserError, match="needs a tokenizer"):
        Scripted(lambda r: 3).generate([request()])


def test_a_list_goes_by_order_and_ends() -> None:
    policy = Scripted(["a", "b"])
    assert [c.text for c in policy.generate([request(), request()])] == ["a", "b"]
    with pytest.raises(UserError, match="2 texts"):
        policy.generate([request()])


def test_a_dict_goes_by_prompt_and_call_and_looks_past_tool_hints() -> None:
    policy = Scripted({"one": "1", "two": ["first", "second"]})
    asked = [request("two\nYou may use Python.", call=1), request("one", call=7), request("two")]
    assert [c.text for c in policy.generate(asked)] == ["second", "1", "first"]
    with pytest.raises(UserError, match="'three'"):
        policy.generate([request("three")])


@given(st.integers(1, 40), st.integers(1, 40))
def test_a_function_may_say_how_many_tokens(count: int, room: int) -> None:
    (done,) = Scripted(lambda r: count, BYTES).generate([request(room=room)])
    assert len(done.ids) == min(count, room)
    assert done.finish == ("end" if count <= room else "length")


def test_a_function_may_give_a_completion_which_passes_as_it_is() -> None:
    given_ = Completion("a", (97,), (-0.5,), "length", version=3)
    assert Scripted(lambda r: given_, BYTES).generate([request(room=1)])[0] is given_
    with pytest.raises(UserError, match="at least 1"):
        Scripted(lambda r: 0, BYTES).generate([request()])


def test_delay_is_per_token_and_all_requests_run_together() -> None:
    clock = Clock()
    lengths = {"a": 3, "b": 1, "c": 3}
    policy = Scripted(lambda r: lengths[r.prompt], BYTES, delay=2.0, clock=clock, sleep=clock.sleep)
    tickets = [policy.submit(request(p)) for p in "abc"]
    assert policy.poll(0) == [] and policy.poll(1.0) == [] and clock() == 1.0
    assert [t for t, _ in policy.poll()] == [tickets[1]] and clock() == 2.0
    assert [t for t, _ in policy.poll(100.0)] == [tickets[0], tickets[2]] and clock() == 6.0
    assert policy.poll() == [] and clock() == 6.0
    assert [len(c.ids) for c in policy.generate([request("b"), request("a")])] == [1, 3] and clock() == 12.0


def test_generate_leaves_streamed_requests_alone_and_cancel_removes_them() -> None:
    policy = Scripted(["a", "b", "c"])
    first, second = policy.submit(request()), policy.submit(request())
    assert policy.generate([request()])[0].text == "c"
    policy.cancel(second)
    policy.cancel(second)
    assert policy.poll() == [(first, Completion("a"))]


def test_it_drives_an_environment() -> None:
    env: Any = gym.make("LongCoT-v0", budget=50)
    obs, info = env.reset(seed=0)
    policy = Scripted(lambda r: f"the answer is {info['problem'].answer}", BYTES)
    call = Request((0,), obs["prompt"], obs["response"], tuple(info["response_ids"]), info["room"], tuple(info["stop"]))
    _, _, terminated, truncated, last = env.step(policy.generate([call])[0])
    assert terminated and not truncated and last["used"] == last["room"] + len(last["text"]) + 1
