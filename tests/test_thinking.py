"""Ways to think, against the papers' numbers and inside the environment.

The cases of the Delethink paper and its official code that concern losses and advantages are in tests/algos
(test_trajectory_norm_golden, test_grpo_golden, test_clip_golden).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reasongym import ByteTokenizer, Completion, Delethink, LongCoT, Problem, ReasoningEnv, UserError, Verdict, parts
from reasongym.core import Request, Thinking
from reasongym.evaluate import evaluate, right_trim
from reasongym.policies.scripted import Scripted
from reasongym.rollout import rollout
from reasongym.thinking import mode

Variant = Literal["trainer", "paper"]
QUESTION = Problem.of("Q" * 9)


class Ends:
    """A task that is right when the text ends in ``answer``."""

    def sample(self, rng: np.random.Generator, level: int = 0) -> Problem:
        return QUESTION

    def verify(self, problem: Problem, text: str) -> Verdict:
        return Verdict(float(text.endswith("=7")))


def env(thinking: Thinking, **kw: Any) -> ReasoningEnv:
    return ReasoningEnv(Ends(), thinking, **kw)


def writer(tokens: Iterable[int], end: bool = False) -> Callable[[Request], Completion]:
    """A script that writes these ids one after the other, as many as there is room for."""
    stream, tokenizer = iter(tokens), ByteTokenizer()

    def script(request: Request) -> Completion:
        ids: list[int] = []
        for token in stream:
            ids.append(token)
            if len(ids) == request.room:
                break
        finish: Literal["end", "length"] = "length" if len(ids) == request.room else "end"
        if finish == "end" and end:
            ids.append(tokenizer.eos_id)
        prompt = (*tokenizer.encode(request.prompt), *request.response_ids)
        return Completion("", tuple(ids), (-0.5,) * len(ids), finish, prompt)

    return script


def windows(thinking: Thinking, tokens: Iterable[int]) -> list[Completion]:
    """The calls of one episode in which the policy never ends."""
    policy = Scripted(writer(tokens), ByteTokenizer())
    [trajectory] = rollout(policy, [env(thinking)], [{}], deterministic=True)
    return list(trajectory.info["completions"])


# --- Delethink: the paper's arithmetic


@pytest.mark.parametrize(
    ("chunk", "carry", "chunks", "budget"),
    [(8192, 4096, 5, 24576), (8192, 4096, 23, 98304), (4096, 2048, 11, 24576), (2048, 1024, 23, 24576)],
)
def test_budget_golden(chunk: int, carry: int, chunks: int, budget: int) -> None:
    assert Delethink(chunk, carry, max_chunks=chunks).budget == budget
    assert Delethink(chunk, carry).with_budget(budget) == Delethink(chunk, carry, max_chunks=chunks, limit=budget)


def test_the_defaults_are_the_papers() -> None:
    assert Delethink() == Delethink(chunk=8192, carry=4096, head=100, max_chunks=5, variant="trainer")
    assert Delethink().budget == 24576
    assert parts.make("thinking", "delethink") == Delethink() and LongCoT().budget == 8192


@pytest.mark.parametrize(
    ("variant", "second", "third"),
    [("trainer", [1, 6, 7, 8], [1, 10, 11, 12]), ("paper", [1, 5, 6, 7, 8], [1, 9, 10, 11, 12])],
)
def test_the_toy_rebuild_golden(variant: Variant, second: list[int], third: list[int]) -> None:
    calls = windows(Delethink(chunk=8, carry=4, head=1, max_chunks=3, variant=variant), range(1, 200))
    question = tuple(QUESTION.prompt.encode())
    assert [call.prompt_ids for call in calls] == [question, (*question, *second), (*question, *third)]
    assert [len(call.ids) for call in calls] == [8, 4, 4]
    assert [i for call in calls for i in call.ids] == list(range(1, 17))


@pytest.mark.parametrize(
    ("variant", "head", "third"), [("paper", 0, [9, 10]), ("paper", 1, [1, 9, 10]), ("trainer", 1, [1, 6, 7, 8, 9, 10])]
)
def test_a_carry_longer_than_a_later_chunk(variant: Variant, head: int, third: list[int]) -> None:
    calls = windows(Delethink(chunk=8, carry=6, head=head, max_chunks=3, variant=variant), range(1, 200))
    assert list(calls[2].prompt_ids[len(QUESTION.prompt) :]) == third


@pytest.mark.parametrize("variant", ["trainer", "paper"])
@pytest.mark.parametrize("length", [1, 4, 7])
def test_an_end_in_the_first_chunk_is_as_under_longcot(variant: Variant, length: int) -> None:
    def once(thinking: Thinking) -> Any:
        policy = Scripted(writer(range(1, length), end=True), ByteTokenizer())
        [trajectory] = rollout(policy, [env(thinking)], [{}], deterministic=True)
        return trajectory

    short, plain = once(Delethink(chunk=8, carry=4, head=1, variant=variant)), once(LongCoT(8))
    assert short == plain
    assert (len(short.segments), short.length, short.truncated, short.info["resets"]) == (1, length, False, 0)


def test_an_end_at_the_very_last_token_of_a_chunk_is_an_end() -> None:
    policy = Scripted(lambda r: Completion("", (1, 2, 256), (0.0,) * 3, "end", (9, *r.response_ids)), ByteTokenizer())
    [done] = rollout(policy, [env(Delethink(chunk=3, carry=2, head=0, max_chunks=2))], [{}])
    assert (done.truncated, done.length, done.text, done.info["resets"]) == (False, 3, "\x01\x02", 0)


def test_right_trimming_scores_the_first_tokens_only() -> None:
    """Case 9: accuracy against budget comes from one set of samples."""
    thinking = Delethink(chunk=8, carry=4, head=1, max_chunks=4)
    text = "0123456=7" + "x" * 5 + "=7"  # right after 9 tokens, wrong after 10 to 15, right again after 16
    policy = Scripted(writer(text.encode(), end=True), ByteTokenizer())
    whole = evaluate(policy, [env(thinking)], [QUESTION], deterministic=True)
    assert (whole.accuracy, whole.attempts[0].length) == (1.0, 17)
    scores = {b: right_trim(env(thinking), whole, b).accuracy for b in range(1, 18)}
    assert [b for b, score in scores.items() if score == 1.0] == [9, 16, 17]
    for budget in (3, 8, 9, 12, 16):
        [[cut]] = right_trim(env(thinking), whole, budget).batch
        assert (cut.text, cut.info["used"], cut.truncated) == (text[:budget], budget, True)
    assert text[:10].endswith("x")


# --- Delethink: properties


@st.composite
def delethinks(draw: st.DrawFn, variant: str | None = None) -> Delethink:
    chunk = draw(st.integers(2, 24))
    carry = draw(st.integers(1, chunk - 1))
    chosen: Any = variant or draw(st.sampled_from(["trainer", "paper"]))
    head = draw(st.integers(0, carry - 1 if chosen == "trainer" else chunk))
    made = Delethink(chunk, carry, head, draw(st.integers(1, 6)), chosen, draw(st.sampled_from(["", "<think>\n"])))
    return draw(st.sampled_from([made, made.with_budget(draw(st.integers(1, 60)))]))


def numbers(n: int) -> list[int]:
    return [i % 251 for i in range(n)]


@given(delethinks())
def test_sampled_tokens_add_up_to_the_budget_and_no_window_is_too_long(thinking: Delethink) -> None:
    policy = Scripted(writer(numbers(1000)), ByteTokenizer())
    [done] = rollout(policy, [env(thinking)], [{}], deterministic=True)
    calls, prefix = done.info["completions"], thinking.prefix.encode()
    assert done.length == sum(len(c.ids) for c in calls) == done.info["used"] == thinking.budget
    assert [i for c in calls for i in c.ids] == numbers(thinking.budget), "a token was lost or sampled twice"
    assert len(calls) <= thinking.max_chunks and done.info["resets"] == len(calls) - 1
    asked = len(QUESTION.prompt) + len(prefix)
    widest = asked + thinking.chunk + (thinking.head if thinking.variant == "paper" else 0)
    for n, call in enumerate(calls):
        assert len(call.prompt_ids) + len(call.ids) <= widest
        assert bytes(call.prompt_ids[len(QUESTION.prompt) : asked]) == prefix, "the prefix must seed every window"
        assert len(call.ids) <= (thinking.chunk if n == 0 else thinking.chunk - thinking.carry)
    assert done.text.encode("utf-8", "surrogatepass").startswith(prefix)


@given(delethinks("trainer"))
def test_trainer_carries_exactly_the_head_and_the_tail(thinking: Delethink) -> None:
    asked = len(QUESTION.prompt) + len(thinking.prefix)
    window: list[int] = []
    for call in windows(thinking, numbers(1000)):
        carried = list(call.prompt_ids[asked:])
        if window:
            tail = window[len(window) - (thinking.carry - thinking.head) :]
            assert carried == [*window[: thinking.head], *tail] and len(carried) == thinking.carry
        window = [*carried, *call.ids]


@given(delethinks("paper"))
def test_paper_carries_the_first_head_once_and_the_end_of_the_last_chunk(thinking: Delethink) -> None:
    asked = len(QUESTION.prompt) + len(thinking.prefix)
    calls = windows(thinking, numbers(1000))
    for last, call in zip(calls, calls[1:], strict=False):
        head = calls[0].ids[: thinking.head]
        assert call.prompt_ids[asked:] == (*head, *last.ids[-thinking.carry :])


@given(delethinks(), st.integers(1, 200))
def test_with_budget_is_exact(thinking: Delethink, budget: int) -> None:
    cut = thinking.with_budget(budget)
    assert cut.budget == budget and cut.with_budget(budget) == cut
    assert (cut.chunk, cut.carry, cut.head, cut.variant, cut.prefix) == (
        thinking.chunk,
        thinking.carry,
        thinking.head,
        thinking.variant,
        thinking.prefix,
    )
    calls = windows(cut, numbers(1000))
    assert sum(len(c.ids) for c in calls) == budget and len(calls) == cut.max_chunks
    assert LongCoT(5).with_budget(budget) == LongCoT(budget)


@given(st.integers(1, 50), st.lists(st.integers(0, 250), max_size=60))
def test_longcot_only_grows(budget: int, tokens: list[int]) -> None:
    policy = Scripted(writer(tokens, end=False), ByteTokenizer())
    [done] = rollout(policy, [env(LongCoT(budget, prefix="<"))], [{}], deterministic=True)
    assert done.truncated == (len(tokens) >= budget)
    assert done.length == min(budget, len(tokens)) and done.info["resets"] == 0


def test_there_are_never_more_than_max_chunks_windows() -> None:
    """Context is free of the budget, but not of its window: what it takes up is not made good by another window."""
    thinking = Delethink(chunk=8, carry=4, head=1, max_chunks=2)
    policy = Scripted(writer(numbers(1000)), ByteTokenizer())
    [done] = rollout(policy, [env(thinking)], [{"options": {"response": "abc"}}], deterministic=True)
    assert [len(c.ids) for c in done.info["completions"]] == [5, 4] and done.info["used"] == 9 < thinking.budget
    assert thinking.room(kept=8, carried=4, used=0, resets=2) == 0


@pytest.mark.parametrize(("context", "used"), [(0, 112), (20, 92), (40, 80), (400, 80)])
def test_what_a_context_costs_golden(context: int, used: int) -> None:
    thinking, policy = (
        Delethink(chunk=32, carry=12, head=0, max_chunks=5),
        Scripted(writer(numbers(999)), ByteTokenizer()),
    )
    [done] = rollout(policy, [env(thinking)], [{"options": {"response": "x" * context}}], deterministic=True)
    assert (done.info["used"], thinking.budget) == (used, 112)


def test_peak_context_does_not_grow_with_the_budget() -> None:
    def peak(budget: int) -> int:
        [done] = rollout(
            Scripted(writer(numbers(10_000)), ByteTokenizer()), [env(Delethink(64, 32, 4).with_budget(budget))], [{}]
        )
        return int(done.info["peak_context"])

    assert {peak(b) for b in (64, 256, 1024, 4096)} == {len(QUESTION.prompt) + 64}


# --- what the user may get wrong


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: LongCoT(0), "budget=0"),
        (lambda: LongCoT(2.5), "budget=2.5"),
        (lambda: LongCoT("8"), "budget='8'"),
        (lambda: LongCoT().with_budget(-1), "budget=-1"),
        (lambda: Delethink(chunk=0), "chunk=0"),
        (lambda: Delethink(carry=0), "carry=0"),
        (lambda: Delethink(max_chunks=0), "max_chunks=0"),
        (lambda: Delethink(chunk=64, carry=64), "chunk=64 must be larger than carry=64"),
        (lambda: Delethink(head=-1), "head=-1"),
        (lambda: Delethink(chunk=8, carry=4, head=4), "head=4 must be a whole number from 0 to 3 with carry=4"),
        (
            lambda: Delethink(chunk=8, carry=4, head=9, variant="paper"),
            "head=9 must be a whole number from 0 to 8 with chunk=8",
        ),
        (lambda: Delethink(chunk=8, carry=4, head=1.5), "head=1.5 must be a whole number"),
        (lambda: Delethink(prefix=3), "prefix=3 must be a text; quote a number"),
        (lambda: parts.make("thinking", "longcot(prefix=None)"), "prefix=None must be a text"),
        (lambda: Delethink(variant="demo"), "variant='demo'"),
        (lambda: Delethink(limit=0), "budget=0"),
        (lambda: Delethink().with_budget(0), "budget=0"),
        (lambda: parts.make("thinking", "delethink(chunck=4)"), "chunck"),
    ],
)
def test_errors_are_one_line(make: Callable[[], Any], says: str) -> None:
    with pytest.raises(UserError) as caught:
        make()
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_budgets_may_come_from_numpy() -> None:
    assert LongCoT(int(np.int64(7))).with_budget(np.int64(9)).budget == 9


# --- think or no-think


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<think>\nfirst</think> 4", "think"),
        ("<think>\n\n</think>\n4", "no_think"),
        ("</think> 4", "no_think"),
        (" \n</think>4", "no_think"),
        ("4", "think"),
        ("", "think"),
        ("<think>\n", "think"),
        ("first </think> then </think>", "think"),
    ],
)
def test_mode(text: str, expected: str) -> None:
    assert mode(text) == expected
