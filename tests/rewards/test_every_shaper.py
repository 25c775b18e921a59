"""What holds for every shaper: edge groups, permutations, resume, any thinking, inside an environment or refused."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from reasongym import ByteTokenizer, Problem, ReasoningEnv, ShapeReward, Trajectory, UserError, Verdict, parts, rollout
from reasongym.core import Batch
from reasongym.policies.scripted import Scripted
from reasongym.rewards.laser import METHODS
from reasongym.shaping import EpisodeShaper
from reasongym.tasks.pool import Pool
from tests import contract
from tests.rewards.attempts import attempt, group, one

EPISODE = [
    *(f"laser(method={name!r}, target=20)" for name in ("truncation", "thinkprune", "l1-exact", "l1-max", "laser")),
    "hapo",
    "hapo(history='mean', shape='linear')",
    "cosine(limit=60)",
    "cosine(limit=60, compat='official')",
    "format",
    "weighted(terms=[(1.0, 'format'), (2.0, 'cosine')])",
    "overlong(limit=60, buffer=20)",
    "saturn",
    "cort",
]
GROUP = [
    *(f"laser(method={name!r}, target=20)" for name in ("efficient", "kimi")),
    *(f"laser(method={name!r}, target=20, stride=10, limit=90, monitor=3)" for name in ("laser-d", "laser-de")),
    "laser(method='laser-de', target=20, compat='official', no_repeats=True)",
    "long2short",
    *(f"autothink(stage={stage})" for stage in (1, 2, 3)),
    "autothink(compat='official')",
    "adaptthink(attempts=2)",
    "weighted(terms=[(1.0, 'long2short'), (0.5, 'format')])",
]
EVERY = EPISODE + GROUP
ALL = pytest.mark.parametrize("spec", EVERY)


def made(spec: str) -> Any:
    return parts.make("rewards", spec)


def test_every_method_of_laser_is_listed() -> None:
    assert all(any(f"method={name!r}" in spec for spec in EVERY) for name in METHODS)


@ALL
def test_the_contract(spec: str) -> None:
    """[P, G] in float64, NaN where and only where the host failed, pure until update, a state of plain JSON."""
    contract.check_shaper(spec)


@ALL
@pytest.mark.parametrize("scores", [[1.0], [0.0], [1.0] * 4, [0.0] * 4, [1.0, 0.0, 1.0, 0.0]])
def test_equal_lengths_are_paid_by_their_answer_alone(spec: str, scores: list[float]) -> None:
    """Groups of one, all right, all wrong, and equal lengths throughout."""
    shaper, batch = made(spec), one(*[attempt(s, 30, "one</think>\n\n2", mode="think") for s in scores])
    for _ in range(3):
        rewards = shaper(batch)
        assert rewards.shape == (1, len(scores)) and np.isfinite(rewards).all()
        assert all(len(set(rewards[0][np.array(scores) == s])) == 1 for s in set(scores))
        shaper.update(batch)


@ALL
def test_an_empty_batch_and_a_ragged_one(spec: str) -> None:
    assert made(spec)([]).shape == (0, 0)
    with pytest.raises(UserError, match="same number of attempts"):
        made(spec)([group([1], [3]), group([1, 0], [3, 4])])


@ALL
def test_a_group_without_a_valid_member(spec: str) -> None:
    batch = [[attempt(valid=False)] * 2, group([1, 0], [3, 4])]
    rewards = made(spec)(batch)
    assert np.isnan(rewards[0]).all() and np.isfinite(rewards[1]).all()
    made(spec).update(batch)


@ALL
def test_an_invalid_attempt_moves_no_other(spec: str) -> None:
    batch = [group([1, 0, 1], [10, 20, 30])]
    lost = [[*batch[0], attempt(0.0, 999, "</think>", valid=False, mode="no_think")]]
    assert_allclose(made(spec)(lost)[:, :3], made(spec)(batch))


texts = st.sampled_from(["one</think>\n\n2", "</think>\n\n2", "</think>\n\nWait, 2", "\n</think>\n2", "2", "no " * 12])
attempts = st.builds(
    attempt,
    score=st.sampled_from([0.0, 0.5, 1.0]),
    length=st.integers(1, 90),
    text=texts,
    answer=st.sampled_from([None, "2"]),
    valid=st.sampled_from([True, True, True, False]),
)


@ALL
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(attempts, min_size=1, max_size=6), st.lists(attempts, min_size=1, max_size=6), st.randoms())
def test_permuting_a_group_permutes_its_rewards(spec: str, first: Any, second: Any, random: Any) -> None:
    n = min(len(first), len(second))
    order = list(range(n))
    random.shuffle(order)
    shaper, batch = made(spec), [first[:n], second[:n]]
    shaper.update(batch)
    rewards = shaper(batch)
    permuted = shaper([[first[i] for i in order], second[:n]])
    assert_allclose(permuted[0], rewards[0][order], atol=1e-12)
    assert_allclose(permuted[1], rewards[1], atol=1e-12)
    assert_allclose(shaper(batch[::-1]), rewards[::-1], atol=1e-12)


# --- resume

POOL = Pool("register", n=6)


def trained(shaper: Any, steps: range, rewards: list[Any]) -> None:
    """Steps of a run as an agent makes them: start, probe, observe, pay, update."""
    for step in steps:
        rng = np.random.default_rng(step)
        problems = [POOL.problem(int(i)) for i in rng.integers(6, size=3)]
        if hasattr(shaper, "starts"):
            shaper.starts(problems, 4)
        if hasattr(shaper, "probe") and (asked := shaper.probe(step)) is not None:
            shaper.observe(attempted(rng, asked[0], asked[1]))
        batch = attempted(rng, problems, 4)
        rewards.append(shaper(batch))
        shaper.update(batch)


def attempted(rng: np.random.Generator, problems: list[Problem], n: int) -> Batch:
    def drawn(problem: Problem) -> Trajectory:
        text = ["one</think>\n\n2", "</think>\n\n2"][int(rng.integers(2))]
        return attempt(float(rng.integers(2)), int(rng.integers(1, 90)), text, problem=problem)

    return [[drawn(p) for _ in range(n)] for p in problems]


@ALL
@pytest.mark.parametrize("left", [1, 4])
def test_resume_in_mid_run_gives_the_same_rewards(spec: str, left: int) -> None:
    whole, halves = [], []  # type: ignore[var-annotated]
    shaper, before, after = made(spec), made(spec), made(spec)
    for part in (shaper, before, after):
        if hasattr(part, "begin"):
            part.begin(POOL)
    trained(shaper, range(8), whole)
    trained(before, range(left), halves)
    if hasattr(before, "state_dict"):
        after.load_state_dict(json.loads(json.dumps(before.state_dict())))
    trained(after, range(left, 8), halves)
    assert_array_equal(halves, whole)


# --- real episodes


@dataclass(frozen=True)
class Two:
    """Right is a text that ends in 2."""

    def sample(self, rng: np.random.Generator, level: int = 0) -> Problem:
        return Problem.of(f"What is 1 + 1? ({rng.integers(3)})", "2", level)

    def verify(self, problem: Problem, text: str) -> Verdict:
        return Verdict(float(text.endswith("2")), text[-1:] or None)


@dataclass(frozen=True)
class Upper:
    """A tool: "[abc]" is answered by "ABC"."""

    stop: str = "]"
    hint: str = "[x] shouts x"

    def open(self, problem: Problem, seed: int) -> Any:
        return Shout()


class Shout:
    def __call__(self, text: str) -> str | None:
        return text.rpartition("[")[2][:-1].upper()

    def close(self) -> None:
        """Nothing to close."""


def script(request: Any) -> str:
    """By the attempt: a thought and a right answer, a direct one, a wrong one, and a long one."""
    if request.stop and "[" not in request.response:
        return "\n[one]"
    return ["one and one\n</think>\n\n2", "</think>\n\n2", "</think>\n\n3", "and one " * 6 + "\n</think>\n2"][
        request.key[2]
    ]


ENVS: dict[str, dict[str, Any]] = {
    "longcot": {"thinking": "longcot(budget=80)"},
    "delethink": {"thinking": "delethink(chunk=24, carry=12, head=0, max_chunks=6)"},
    "tool": {"thinking": "longcot(budget=90)", "tools": [Upper()]},
    "ellipsis": {"thinking": "longcot(budget=80, prefix='<think>\\n...\\n')"},
}


@pytest.fixture(scope="module", params=ENVS)
def episodes(request: Any) -> Batch:
    """Two problems with four attempts each, from a real rollout."""
    made = [ReasoningEnv(Two(), **ENVS[request.param]) for _ in range(4)]
    problems = [Two().sample(np.random.default_rng(seed)) for seed in (0, 1)]
    resets = [{"options": {"problem": p}} for p in problems for _ in range(4)]
    done = rollout(Scripted(script, ByteTokenizer()), made, resets, group=4, deterministic=True)
    return [done[:4], done[4:]]


def test_the_episodes_are_what_they_should_be(episodes: Batch) -> None:
    modes = {tuple(t.info["mode"] for t in group) for group in episodes}
    tool = "[" in episodes[0][0].text
    assert modes == {("think",) * 4 if tool else ("think", "no_think", "no_think", "think")}
    assert {t.verdict.score for group in episodes for t in group} == {0.0, 1.0}
    assert all(t.length > 3 and t.valid for group in episodes for t in group)


@ALL
def test_any_thinking_and_tools(spec: str, episodes: Batch) -> None:
    shaper = made(spec)
    rewards = shaper(episodes)
    assert rewards.shape == (2, 4) and np.isfinite(rewards).all()
    assert_allclose(rewards[0], rewards[1])  # the same was said of both problems
    shaper.update(episodes)
    assert np.isfinite(shaper(episodes)).all()


# --- inside an environment


@pytest.mark.parametrize("spec", EPISODE)
@pytest.mark.parametrize("kind", ENVS)
def test_a_shaper_of_one_episode_pays_inside_an_environment(spec: str, kind: str) -> None:
    policy = Scripted("one\n</think>\n\n2", ByteTokenizer())
    plain, paid = ReasoningEnv(Two(), **ENVS[kind]), ShapeReward(ReasoningEnv(Two(), **ENVS[kind]), spec)
    [t] = rollout(policy, [plain], [{"seed": 1}])
    paid.reset(seed=1)
    for call in t.info["completions"]:
        _, reward, terminated, truncated, info = paid.step(call)
    assert terminated or truncated
    assert reward == pytest.approx(made(spec).score(t)) and info["verdict"] == t.verdict


@pytest.mark.parametrize("spec", GROUP)
def test_any_other_is_refused_in_one_line(spec: str) -> None:
    assert not isinstance(made(spec), EpisodeShaper)
    with pytest.raises(UserError, match=r"^ShapeReward: \w+ needs more than one episode; give it to an agent$"):
        ShapeReward(ReasoningEnv(Two()), spec)


@pytest.mark.parametrize("spec", EPISODE)
def test_score_is_the_reward_of_a_batch_of_one(spec: str) -> None:
    shaper = made(spec)
    t = attempt(1.0, 25, "one\n</think>\n2", answer="2")
    shaper.update(one(t))
    assert shaper.score(t) == shaper(one(t))[0, 0]
