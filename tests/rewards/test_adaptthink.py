"""AdaptThink's advantage, forced first tokens and references, by hand-computed cases (2505.13417)."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from reasongym import ByteTokenizer, LongCoT, Problem, ReasoningEnv, Trajectory, UserError, Verdict, rollout
from reasongym.algos.losses import clipped_surrogate, log_ratios
from reasongym.policies.scripted import Scripted
from reasongym.rewards.adaptthink import AdaptThink
from reasongym.rewards.autothink import AutoThink
from reasongym.tasks.pool import Pool
from reasongym.tasks.register import Register
from tests.rewards.attempts import PROBLEM, attempt, one

THOUGHT = "Alright, one and one.</think>\n\n2"


def think(score: float, text: str = THOUGHT, **more: Any) -> Trajectory:
    return attempt(score, text=text, mode="think", **more)


def short(score: float, text: str = "</think>\n\n2", **more: Any) -> Trajectory:
    return attempt(score, text=text, mode="no_think", **more)


def knowing(accuracy: float, **settings: Any) -> AdaptThink:
    shaper = AdaptThink(**settings)
    shaper.reference[PROBLEM.id] = accuracy
    return shaper


def test_the_advantage() -> None:
    """Case a (equation 6; ``adapt_think_rm.py``): reference .75, delta .05."""
    rewards = knowing(0.75)(one(short(1), short(0), think(1), think(0)))
    assert_allclose(rewards[0], [0.30, -0.70, 0.25, -0.75])


def test_without_delta_the_modes_tie() -> None:
    """Case b."""
    rewards = knowing(0.75, delta=0.0)(one(short(1), think(1), short(0), think(0)))[0]
    assert rewards[0] == rewards[1] and rewards[2] == rewards[3]


def test_a_problem_that_is_always_solved() -> None:
    """Case f: reference 1, all right: think 0, no-think delta."""
    assert_allclose(knowing(1.0)(one(think(1), short(1)))[0], [0.0, 0.05])


@pytest.mark.parametrize(
    ("p", "length", "geometric"),
    [(0.001, 1000, 0.993805), (0.001, 10, 0.537159), (0.001, 1, 0.002), (0.9, 1, 1.8), (0.9, 10, 1.060540)],
)
def test_the_ratio_of_the_code_and_of_the_paper(p: float, length: int, geometric: float) -> None:
    """Case c (``adapt_think_core_algos.py``): only token 1 is off-policy, its old log-prob is log .5.

    The code's ratio is the mean over the response's tokens (ratio="geometric"), the paper's is p / .5 at any
    length (ratio="sequence").
    """
    logp = torch.full((1, length), -0.3)
    old = logp.clone()
    logp[0, 0], old[0, 0] = math.log(p), math.log(0.5)
    mask, rows = torch.ones(1, length), torch.zeros(1, dtype=torch.long)
    code = log_ratios(logp, old, mask, "geometric", rows).exp()
    paper = log_ratios(logp, old, mask, "sequence", rows).exp()
    assert_allclose(code[0], geometric, rtol=1e-4)
    assert_allclose(paper[0], p / 0.5, rtol=1e-4)
    loss, _ = clipped_surrogate(code, torch.ones_like(code), 0.2, 0.2)
    assert_allclose(-loss[0], min(geometric, 1.2), rtol=1e-4)  # 1.8 is clipped to 1.2


@pytest.mark.parametrize(("group", "no_think"), [(16, 8), (8, 4), (1, 0), (3, 2), (5, 2), (7, 4)])
def test_half_of_a_group_does_not_think(group: int, no_think: int) -> None:
    """Case d (``adapt_think_vllm_rollout.py``): round(n * .5), with the banker's rounding of .5 and 2.5."""
    starts = AdaptThink(no_think_budget=40).starts([PROBLEM, Problem.of("another")], group)
    assert len(starts) == 2 * group
    for own in (starts[:group], starts[group:]):
        forced = [s["response"] for s in own]
        assert [c.text for c in forced] == ["</think>"] * no_think + ["Alright"] * (group - no_think)
        assert all(c.logprobs == (math.log(0.5),) and c.finish == "length" for c in forced)
        assert [s.get("budget") for s in own] == [40] * no_think + [None] * (group - no_think)


@pytest.mark.parametrize(
    ("text", "right"),
    [
        (THOUGHT, 1),
        (f"<think>\n{THOUGHT}", 0),
        ("a</think>b</think>2", 0),
        ("a<think>b</think>2", 0),
        ("no closer 2", 0),
        ("a < b, b > c</think>2", 1),
    ],
)
def test_a_right_answer_needs_a_closer_and_no_opener(text: str, right: int) -> None:
    """Case e (``adapt_think_rm.py``)."""
    prefixed = "<think>\n" + text  # the opener that the environment wrote is passed over
    rewards = knowing(0.0, delta=0.0)(one(think(1, text), think(1, prefixed, prefix="<think>\n")))
    assert rewards[0].tolist() == [right, right]


@given(st.lists(st.sampled_from(["<think>", "</think>", " ", "a", "<", "think>"]), max_size=8).map("".join))
def test_good_form_is_one_closer_without_an_opener(text: str) -> None:
    good = text.count("<think>") == 0 and text.count("</think>") == 1
    assert knowing(0.0, delta=0.0)(one(think(1, text)))[0, 0] == good


def test_the_closer_may_be_another() -> None:
    shaper = knowing(0.0, closer="=", no_think="=", think="1")
    assert_allclose(shaper(one(attempt(1, text="=4"), attempt(1, text="12=4")))[0], [1.05, 1.0])
    assert shaper.starts([PROBLEM], 2)[1]["response"].text == "1"


# --- references


def test_an_endless_task_is_probed_as_problems_come_up() -> None:
    shaper, other = AdaptThink(attempts=4), Problem.of("another")
    shaper.begin(Register())
    assert shaper.probe(0) is None
    shaper.starts([PROBLEM, other, PROBLEM], 2)
    assert shaper.probe(0) == ([PROBLEM, other], 4)
    shaper.observe(
        [[think(1), think(0), think(1), short(1)], [attempt(valid=False, problem=other)] * 4],
    )
    assert shaper.reference == {PROBLEM.id: 0.75} and shaper.figures() == {"reference": 0.75}
    assert shaper.probe(1) == ([other], 4)  # the host failed four times: it is asked for again
    shaper.starts([PROBLEM, other], 2)
    assert shaper.probe(2) == ([other], 4)


def test_a_finite_task_is_probed_at_once_by_the_first_model() -> None:
    pool = Pool("register", n=5)
    shaper = AdaptThink(attempts=2)
    shaper.begin(pool)
    shaper.starts([pool.problem(3)], 2)
    asked = shaper.probe(0)
    assert asked is not None and [p.id for p in asked[0]] == [pool.problem(i).id for i in range(5)]
    shaper.observe([[attempt(1.0, problem=p, text=THOUGHT)] * 2 for p in asked[0]])
    shaper.starts([pool.problem(1)], 2)
    assert shaper.probe(1) is None and set(shaper.reference.values()) == {1.0}


def test_references_outlive_a_resume_and_are_not_sampled_again() -> None:
    pool, shaper = Pool("register", n=3), AdaptThink()
    shaper.begin(pool)
    asked = shaper.probe(0)
    assert asked is not None
    shaper.observe([[attempt(float(i % 2), problem=p, text=THOUGHT)] for i, p in enumerate(asked[0])])
    again = AdaptThink()
    again.begin(pool)
    again.load_state_dict(json.loads(json.dumps(shaper.state_dict())))
    assert again.probe(7) is None and again.reference == shaper.reference
    batch = [[attempt(1.0, problem=p, text=THOUGHT), attempt(0.0, problem=p)] for p in asked[0]]
    assert_array_equal(again(batch), shaper(batch))


def test_training_attempts_are_no_reference() -> None:
    shaper = knowing(0.5)
    shaper.update(one(think(1), think(1)))
    assert shaper.reference == {PROBLEM.id: 0.5}


def test_without_a_reference_a_group_is_its_own() -> None:
    rewards = AdaptThink()(one(think(1), think(0), short(0), attempt(valid=False), short(1)))[0]
    assert_allclose(rewards[[0, 1, 2, 4]], [0.5, -0.5, -0.45, 0.55])


# --- real rollouts


class Judge:
    def sample(self, rng: np.random.Generator, level: int = 0) -> Problem:
        return PROBLEM

    def verify(self, problem: Problem, text: str) -> Verdict:
        return Verdict(float(text.endswith("2")), text[-1:])


@pytest.mark.parametrize("thinking", ["longcot(budget=60)", "delethink(chunk=30, carry=10, head=2, max_chunks=4)"])
def test_forced_tokens_are_trained_on_with_the_coins_logprob(thinking: str) -> None:
    """Section 2.2: the forced token is response token 1; its behaviour log-prob is log .5, the rest the policy's."""

    def script(request: Any) -> str:
        return "\n\n2" if "</think>" in request.response else ", one.</think>\n\n2"

    env = ReasoningEnv(Judge(), thinking)
    shaper = AdaptThink(no_think_budget=20)
    resets = [{"options": {"problem": PROBLEM, **s}} for s in shaper.starts([PROBLEM], 2)]
    batch = one(*rollout(Scripted(script, ByteTokenizer()), [env], resets, group=2))
    for t, (forced, mode, after) in zip(
        batch[0], [("</think>", "no_think", "\n\n2"), ("Alright", "think", ", one.</think>\n\n2")], strict=True
    ):
        assert t.text == forced + after and t.info["mode"] == mode and t.verdict.score == 1
        row = t.segments[0]
        start = row.mask.index(1)
        assert bytes(row.ids[start : start + len(forced)]) == forced.encode()
        assert row.logprobs[start : start + len(forced)] == (math.log(0.5), *[0.0] * (len(forced) - 1))
        assert t.length == t.info["used"] == len(forced) + len(after) + 1
    shaper.reference[PROBLEM.id] = 0.75
    assert_allclose(shaper(batch)[0], [0.30, 0.25])


@pytest.mark.parametrize("answer_after", [None, "</think>", "</think>\n\n", "Answer:"])
def test_modes_are_by_its_own_closer_wherever_the_answer_is_looked_for(answer_after: str | None) -> None:
    def script(request: Any) -> str:
        return "\n\nAnswer: 2" if "</think>" in request.response else " hm.</think>\n\nAnswer: 2"

    shaper, env = knowing(1.0), ReasoningEnv(Judge(), "longcot(budget=60)", answer_after=answer_after)
    resets = [{"options": {"problem": PROBLEM, **s}} for s in shaper.starts([PROBLEM], 2)]
    batch = one(*rollout(Scripted(script, ByteTokenizer()), [env], resets, group=2))
    assert_allclose(shaper(batch)[0], [0.05, 0.0])


@pytest.mark.parametrize("prefix", ["", "[THINK]\n", "[THINK]\n...\n"])
@pytest.mark.parametrize("answer_after", ["[/THINK]", "2"])
def test_another_closer_behind_a_prefix(prefix: str, answer_after: str) -> None:
    def script(request: Any) -> str:
        return "\n2, so 2" if "[/THINK]" in request.response else " hm.[/THINK]\n\n2, so 2"

    shaper = knowing(1.0, no_think="[/THINK]", closer="[/THINK]", opener="[THINK]")
    env = ReasoningEnv(Judge(), LongCoT(60, prefix), answer_after=answer_after)
    resets = [{"options": {"problem": PROBLEM, **s}} for s in shaper.starts([PROBLEM], 2)]
    batch = one(*rollout(Scripted(script, ByteTokenizer()), [env], resets, group=2))
    assert_allclose(shaper(batch)[0], [0.05, 0.0])
    assert AutoThink(stage=2, closer="[/THINK]")(batch)[0].tolist() == [2, 1]


@pytest.mark.parametrize(
    "kw", [{"share": 1.5}, {"attempts": 0}, {"think": ""}, {"closer": ""}, {"opener": " "}, {"no_think": 4}]
)
def test_refusals(kw: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="adaptthink"):
        AdaptThink(**kw)
