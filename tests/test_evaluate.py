"""Evaluation: its figures by hand, and that right-trimmed attempts are those of a real run at the smaller budget."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from reasongym.core import Problem, Request, Trajectory, UserError, Verdict
from reasongym.env import ReasoningEnv
from reasongym.evaluate import Evaluation, evaluate, right_trim
from reasongym.metrics import wilson
from reasongym.policies.scripted import Scripted
from reasongym.tasks.register import Register
from reasongym.thinking import Delethink, LongCoT

THINKING = {
    "longcot": LongCoT(60),
    "delethink": Delethink(16, 8, 2, 6),
    "paper": Delethink(12, 8, 3, 13, variant="paper", prefix="<think>"),
}


def attempt(score: float, valid: bool = True, length: int = 5) -> Trajectory:
    return Trajectory(Problem.of("?"), [], "", Verdict(score, valid=valid), False, {"used": length, "peak_context": 9})


def problems(n: int, steps: int = 12) -> list[Problem]:
    rng = np.random.default_rng(5)
    return [Register().sample(rng, steps) for _ in range(n)]


# --- figures


def test_accuracy_is_the_mean_over_problems_of_the_mean_over_valid_attempts() -> None:
    done = Evaluation([[attempt(1), attempt(0)], [attempt(1), attempt(0, valid=False)], [attempt(0), attempt(0)]], 1.0)
    assert done.accuracy == pytest.approx((0.5 + 1 + 0) / 3)
    low, high = done.ci95
    assert low < done.accuracy < high
    told = done.summary()
    assert (told["problems"], told["invalid"], told["thought_tokens"], told["correct_tokens"]) == (3, 1, 5, 5)


def test_one_attempt_a_problem_has_wilsons_interval() -> None:
    done = Evaluation([[attempt(1)]] * 7 + [[attempt(0)]] * 3, 1.0)
    assert done.ci95 == wilson(7, 10) and done.ci95 == pytest.approx((0.3968, 0.8922), abs=1e-4)
    assert Evaluation([[attempt(1)]] * 20, 1.0).ci95[0] < 0.9  # not the empty interval of a bootstrap


def test_pass_at_k_is_unbiased_and_leaves_out_problems_with_fewer_valid_attempts() -> None:
    batch = [[attempt(s) for s in (1, 0, 0, 0)], [attempt(s) for s in (1, 1, 0, 0)]]
    done = Evaluation(batch, 1.0)
    assert done.pass_at(1) == pytest.approx(0.375)
    assert done.pass_at(2) == pytest.approx(((1 - 3 / 6) + (1 - 1 / 6)) / 2)
    assert done.pass_at(4) == 1
    assert math.isnan(done.pass_at(5))
    half = Evaluation([batch[0], [attempt(1), *[attempt(1, valid=False)] * 3]], 1.0)
    assert half.pass_at(2) == pytest.approx(0.5)
    assert Evaluation([[attempt(0.5)] * 2], 1.0).pass_at(1) == 0  # partly right is not right


def test_nothing_valid_is_nan_and_never_a_score() -> None:
    done = Evaluation([[attempt(1, valid=False)]], 1.0)
    assert math.isnan(done.accuracy) and done.ci95 == (0.0, 1.0) and math.isnan(done.pass_at(1))
    assert done.summary()["invalid"] == 1


def test_evaluate_asks_k_times_and_keeps_the_order() -> None:
    asked = problems(3)
    policy = Scripted(lambda r: f"={answers[r.prompt]}" if r.key[2] == 1 else "=0", "bytes")
    answers = {p.prompt: p.answer for p in asked}
    done = evaluate(policy, [ReasoningEnv("register", LongCoT(30))] * 1, asked, k=3, deterministic=True)
    assert [[t.verdict.score for t in group] for group in done.batch] == [[0, 1, 0]] * 3
    assert [group[0].problem for group in done.batch] == asked
    assert done.accuracy == pytest.approx(1 / 3) and done.pass_at(3) == 1


# --- right-trimming


def writer(request: Request) -> str:
    """Digits, "=" and calls of the tool, of random length: each request its own."""
    rng = np.random.default_rng(request.seed % (1 << 32))
    return "".join(rng.choice(list("0123456789="), int(rng.integers(1, 30)), p=[0.09] * 10 + [0.1]))


def exact(trajectory: Trajectory) -> Trajectory:
    """All of it, but for the texts of its calls: clipping a `Completion` leaves its text."""
    calls = [replace(call, text="") for call in trajectory.info["completions"]]
    return replace(trajectory, info={**trajectory.info, "completions": calls})


def same(a: Evaluation, b: Evaluation) -> None:
    for one, other in zip([t for g in a.batch for t in g], [t for g in b.batch for t in g], strict=True):
        assert exact(one) == exact(other)
    told = [{k: v for k, v in x.summary().items() if k != "wall_s"} for x in (a, b)]
    assert told[0] == told[1] and a.ci95 == b.ci95


@pytest.mark.parametrize("budget", [1, 7, 12, 16, 17, 40, 59, 60])
@pytest.mark.parametrize("kind", THINKING)
def test_trimmed_is_a_real_run_at_the_smaller_budget(kind: str, budget: int) -> None:
    env = ReasoningEnv("register", THINKING[kind])
    policy = Scripted(writer, "bytes")

    def run(tokens: int) -> Evaluation:
        return evaluate(policy, [env] * 1, problems(12, 3), k=3, budget=tokens, seed=4, deterministic=True)

    whole = run(60)
    assert len({t.length for t in whole.attempts}) > 10 and any(t.truncated for t in whole.attempts) == (
        kind != "longcot"
    )
    same(right_trim(env, whole, budget), run(budget))


@pytest.mark.parametrize("kind", ["longcot", "delethink"])
def test_trimming_the_samples_of_a_model(kind: str) -> None:
    from reasongym.policies.hf import HF

    policy = HF("tiny", slots=48)
    thinking = LongCoT(48) if kind == "longcot" else Delethink(32, 12, 0, 3)
    envs = [ReasoningEnv("register", thinking) for _ in range(48)]
    asked = problems(12, 24)

    def run(tokens: int) -> Evaluation:
        return evaluate(policy, envs, asked, k=4, budget=tokens, seed=1, deterministic=True)

    whole = run(48)
    accuracies = []
    for budget in (10, 30, 33, 40):
        cut, real = right_trim(envs[0], whole, budget), run(budget)
        accuracies.append(cut.accuracy)
        ours, theirs = ([t.text for g in x.batch for t in g] for x in (cut, real))
        assert ours == theirs and cut.accuracy == real.accuracy and max(t.length for t in cut.attempts) <= budget
    assert accuracies[0] == 0 < accuracies[2] and accuracies == sorted(accuracies)


def test_trimming_twice_is_trimming_once() -> None:
    env = ReasoningEnv("register", THINKING["delethink"])
    whole = evaluate(Scripted(writer, "bytes"), [env], problems(6, 3), k=2, budget=56, deterministic=True)
    same(right_trim(env, right_trim(env, whole, 40), 17), right_trim(env, whole, 17))


@dataclass(frozen=True)
class Dice:
    """A tool that answers "=" with a number from the episode's seed."""

    stop: str = "="
    hint: str = ""

    def open(self, problem: Problem, seed: int) -> Any:
        class Session:
            def __call__(self, text: str) -> str:
                return f"<{seed % 1000}>"

            def close(self) -> None: ...

        return Session()


@pytest.mark.parametrize("budget", [5, 16, 30])
def test_tools_speak_again_as_they_did(budget: int) -> None:
    env = ReasoningEnv("register", Delethink(16, 8, 2, 6), [Dice()])

    def run(tokens: int) -> Evaluation:
        return evaluate(Scripted(writer, "bytes"), [env], problems(8), k=2, budget=tokens, seed=9, deterministic=True)

    whole = run(56)
    assert any("<" in t.text for t in whole.attempts)
    assert any(t.length < t.info["used"] for t in whole.attempts)  # only what was sampled is length
    same(right_trim(env, whole, budget), run(budget))


def test_a_larger_budget_is_refused_unless_every_thought_had_ended() -> None:
    env = ReasoningEnv("register", LongCoT(10))
    cut = evaluate(Scripted("1234567890123", "bytes"), [env], problems(2), deterministic=True)
    with pytest.raises(UserError, match="budget=11 is more than the 10 tokens"):
        right_trim(env, cut, 11)
    ended = evaluate(Scripted("123", "bytes"), [env], problems(2), deterministic=True)
    same(right_trim(env, ended, 500), ended)


def test_invalid_attempts_stay_where_they_are() -> None:
    env = ReasoningEnv("register", LongCoT(10))
    done = evaluate(Scripted("123456=1", "bytes"), [env], problems(2), k=2, deterministic=True)
    lost = attempt(0, valid=False)
    done.batch[0][1] = lost
    cut = right_trim(env, done, 4)
    assert cut.batch[0][1] is lost and [len(group) for group in cut.batch] == [2, 2]
    assert [t.text for t in cut.attempts] == ["1234"] * 3
