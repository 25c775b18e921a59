"""Advantages and normalisers against numbers worked out by hand, and under invalid trajectories."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from reasongym.algos.advantages import ADVANTAGES, dr_grpo, gae, grpo, identity, informative, mgpo, rloo, whiten
from reasongym.algos.normalise import token_weights
from reasongym.core import UserError

nan = float("nan")
reward = st.one_of(st.just(nan), st.sampled_from([0.0, 0.1, 1.0]), st.floats(-5, 5).map(lambda x: round(x, 3)))
batches = st.integers(1, 5).flatmap(
    lambda g: st.lists(st.lists(reward, min_size=g, max_size=g), min_size=1, max_size=4).map(np.array)
)


def test_grpo_golden() -> None:
    expected = [2.474867, *[-0.353552] * 7]  # (1 - 1/8) / (0.3535534 + 1e-6)
    assert_allclose(grpo([[1, 0, 0, 0, 0, 0, 0, 0]])[0], expected, atol=1e-6)
    assert_allclose(grpo([[1, 0, 0, 0, 0, 0, 0, 0]])[0], [2.47487, *[-0.35355] * 7], atol=1e-5)


def test_grpo_population_and_eps() -> None:
    assert_allclose(grpo([[3, 1, 1, -1]], std="population", eps=0)[0], np.array([2, 0, 0, -2]) / np.sqrt(2))
    assert_allclose(grpo([[3, 1, 1, -1]], std="unbiased", eps=1)[0], np.array([2, 0, 0, -2]) / (np.sqrt(8 / 3) + 1))


def test_dr_grpo_and_rloo_golden() -> None:
    assert_allclose(dr_grpo([[1, 0, 0, 1], [4, 0, 2, 0]]), [[0.5, -0.5, -0.5, 0.5], [2.5, -1.5, 0.5, -1.5]])
    assert_allclose(rloo([[1, 0, 0, 1], [4, 0, 2, 0]]), np.array([[2, -2, -2, 2], [10, -6, 2, -6]]) / 3)


def test_the_large_advantage_of_a_rare_error() -> None:
    """1-shot RLVR (2504.20571), acceptance case e: 7 of 8 right; all right gives nothing."""
    assert_allclose(grpo([[1] * 7 + [0]])[0], [*[0.353552] * 7, -2.474867], atol=1e-6)
    assert_array_equal(grpo([[1] * 8]), np.zeros((1, 8)))


def right(k: int, of: int = 8) -> list[float]:
    return [1.0] * k + [0.0] * (of - k)


@pytest.mark.parametrize(
    ("strength", "weights"),
    [
        (0, [1, 1, 1, 1, 1]),
        (1, [0.5, 0.728785, 0.877383, 0.968910, 1]),
        (2, [0.25, 0.531127, 0.769800, 0.938786, 1]),
        (4, [0.0625, 0.282096, 0.592593, 0.881319, 1]),
    ],
)
def test_mgpo_golden(strength: float, weights: list[float]) -> None:
    """VibeThinker-1.5B (2511.06221), section 3.4: k of 8 right, symmetric about a half; also w = 2^-s exp(s H(p))."""
    got = mgpo([right(k) for k in range(9)], strength)
    assert got.shape == (9, 1)
    assert_allclose(got[:, 0], [*weights, *weights[-2::-1]], atol=5e-7)
    p = np.arange(1, 8) / 8
    nats = -p * np.log(p) - (1 - p) * np.log(1 - p)
    assert_allclose(got[1:8, 0], 2.0**-strength * np.exp(strength * nats))


def test_mgpo_deviation_golden() -> None:
    """D(p) itself, and away from another p0."""
    d = -np.log(mgpo([right(k) for k in range(5)])[:, 0])
    assert_allclose(d, [0.693147, 0.316377, 0.130812, 0.031584, 0], atol=5e-7)
    assert_allclose(-np.log(mgpo([right(2), right(0)], p0=0.25)[:, 0]), [0, np.log(4 / 3)], atol=1e-12)


def test_mgpo_weighs_advantages() -> None:
    """2 of 8 right, by either deviation, times .877383; all right or all wrong stay 0."""
    scores = [right(2), right(8), right(0)]
    w = mgpo(scores)
    assert_allclose(
        (grpo(scores, std="population") * w)[0, [0, 7]], np.array([1.732051, -0.577350]) * 0.877383, atol=5e-6
    )
    assert_allclose((grpo(scores) * w)[0, [0, 7]], np.array([1.620185, -0.540062]) * 0.877383, atol=5e-6)
    assert_array_equal((grpo(scores) * w)[1:], np.zeros((2, 8)))
    assert_array_equal(mgpo(scores, 0), np.ones((3, 1)))


def test_mgpo_counts_valid_attempts_and_only_full_scores() -> None:
    assert_allclose(mgpo([[1, nan, 0, nan], [1, 0.9, 0.5, 1], [nan] * 4]), np.ones((3, 1)))
    for bad in ({"strength": -1}, {"p0": 0}, {"p0": 1}):
        with pytest.raises(UserError, match="mgpo"):
            mgpo([[1, 0]], **bad)


def test_a_group_of_one() -> None:
    assert_allclose(grpo([[0.7], [0.0]]), [[0.7 / (1 + 1e-6)], [0.0]])
    for f in (rloo, dr_grpo, identity):
        assert_array_equal(f([[0.7], [0.0]]), [[0.7], [0.0]])


def test_invalid_enters_nothing() -> None:
    assert_array_equal(rloo([[1, nan, 0, 2]]), [[0.0, 0.0, -1.5, 1.5]])
    assert_array_equal(identity([[1, nan, 0, 2]]), [[1, 0, 0, 2]])
    for f in ADVANTAGES.values():
        assert_array_equal(f([[nan, nan], [nan, nan]]), np.zeros((2, 2)))


@given(batches, st.sampled_from(sorted(ADVANTAGES)))
def test_invalid_is_as_if_never_attempted(rewards: np.ndarray, name: str) -> None:
    advantages = ADVANTAGES[name](rewards)
    assert advantages.shape == rewards.shape and advantages.dtype == np.float64
    for row, got in zip(rewards, advantages, strict=True):
        valid = ~np.isnan(row)
        assert not got[~valid].any()
        if valid.any():
            assert_allclose(got[valid], ADVANTAGES[name](row[valid][None])[0], rtol=1e-9, atol=1e-12)


@given(batches, st.sampled_from(["grpo", "dr_grpo", "rloo"]))
def test_a_baseline_sums_to_zero_and_needs_spread(rewards: np.ndarray, name: str) -> None:
    advantages = ADVANTAGES[name](rewards)
    several = (~np.isnan(rewards)).sum(axis=1) > 1
    assert_allclose(advantages[several].sum(axis=1), 0, atol=1e-9 * (1 + np.abs(advantages).max()))
    assert_array_equal(advantages[several].any(axis=1), informative(rewards)[several])


def test_equal_rewards_give_exact_zeros() -> None:
    assert_array_equal(grpo([[0.1] * 3, [0.7] * 3], eps=0), np.zeros((2, 3)))


def test_informative() -> None:
    rewards = [[1, 0, nan], [1, 1, nan], [nan, nan, nan], [0, nan, nan], [0, 0, 0], [0, 0, 1e-9]]
    assert_array_equal(informative(rewards), [True, False, False, False, False, True])


def test_gae_golden() -> None:
    values = [0.25, 0.5, 0.75, 0.0]
    advantages, returns = gae([0, 0, 0, 1], values)
    assert_allclose(advantages, [0.75, 0.5, 0.25, 1.0])  # the reward less the value
    assert_array_equal(returns, [1, 1, 1, 1])
    one_step, _ = gae([0, 0, 0, 1], values, lam=0)
    assert_allclose(one_step, [0.25, 0.25, -0.75, 1.0])
    half, taught = gae([0, 0, 0, 1], values, gamma=0.5, lam=0.5)
    deltas = [0.5 * 0.5 - 0.25, 0.5 * 0.75 - 0.5, 0.5 * 0 - 0.75, 1 - 0]
    assert_allclose(half, [deltas[0] + deltas[1] / 4 + deltas[2] / 16 + 1 / 64,
                           deltas[1] + deltas[2] / 4 + 1 / 16, deltas[2] + 1 / 4, 1])  # fmt: skip
    assert_allclose(taught, half + values)
    assert_allclose(gae([0.3, -0.1], [0.0, 0.0], gamma=0.9, lam=1)[1], [0.3 - 0.09, -0.1])
    assert gae([], [])[0].shape == (0,) and gae([2.0], [0.5])[0] == [1.5]


@given(
    st.lists(st.tuples(st.floats(-2, 2), st.floats(-2, 2)), min_size=1, max_size=40),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_gae_is_its_recursion(tokens: list[tuple[float, float]], gamma: float, lam: float) -> None:
    rewards, values = np.array(tokens).T
    wanted, ahead, following = np.zeros(len(tokens)), 0.0, 0.0
    for t in reversed(range(len(tokens))):
        ahead = rewards[t] + gamma * following - values[t] + gamma * lam * ahead
        wanted[t], following = ahead, values[t]
    advantages, returns = gae(rewards, values, gamma, lam)
    assert_allclose(advantages, wanted, atol=1e-9)
    assert_allclose(returns, wanted + values, atol=1e-9)


def test_a_perfect_critic_leaves_no_advantage() -> None:
    rewards = np.array([0.5, 0.0, 0.25, 1.0])
    values = np.cumsum(rewards[::-1])[::-1]
    for lam in (0.0, 0.5, 1.0):
        assert_allclose(gae(rewards, values, lam=lam)[0], 0, atol=1e-12)


def test_whiten() -> None:
    assert_allclose(whiten([1.0, 3.0, 5.0]), np.array([-2, 0, 2]) / np.sqrt(8 / 3), rtol=1e-6)
    assert_array_equal(whiten([0.5, 0.5]), [0, 0])
    assert whiten([]).shape == (0,)


@pytest.mark.parametrize(
    "rewards, values, kw", [([1, 2], [1], {}), ([[1]], [[1]], {}), ([1], [1], {"gamma": 1.1}), ([1], [1], {"lam": -1})]
)
def test_gae_refuses(rewards: list[float], values: list[float], kw: dict[str, float]) -> None:
    with pytest.raises(UserError, match="gae"):
        gae(rewards, values, **kw)


def test_shapes_and_settings_are_checked() -> None:
    for f in (*ADVANTAGES.values(), informative):
        assert f(np.zeros((0, 4))).shape[0] == 0
        with pytest.raises(UserError, match=r"shape \(3,\)"):
            f([1.0, 0.0, 1.0])
    with pytest.raises(UserError, match="std='biased'"):
        grpo([[1.0, 0.0]], std="biased")  # type: ignore[arg-type]


def test_token_weights_golden() -> None:
    assert_allclose(token_weights([5, 4], "trajectory"), [1 / 10, 1 / 8])
    assert_allclose(token_weights([5, 4], "token"), [1 / 9, 1 / 9])
    assert_allclose(token_weights([5, 4], "constant", 10), [1 / 20, 1 / 20])


def test_token_weights_leave_out_invalid_and_empty() -> None:
    valid = [True, False, True]
    assert_allclose(token_weights([5, 7, 4], "trajectory", valid=valid), [1 / 10, 0, 1 / 8])
    assert_allclose(token_weights([5, 7, 4], "token", valid=valid), [1 / 9, 0, 1 / 9])
    assert_allclose(token_weights([5, 7, 4], "constant", 2, valid=valid), [1 / 4, 0, 1 / 4])
    assert_allclose(token_weights([5, 0], "trajectory"), [1 / 10, 0])  # an empty thought is still a trajectory
    assert_array_equal(token_weights([3, 3], valid=[False, False]), [0, 0])
    assert token_weights([]).shape == (0,)


@given(st.lists(st.integers(1, 10_000), min_size=1, max_size=20))
def test_token_weights_sum_to_one(lengths: list[int]) -> None:
    trajectory = token_weights(lengths, "trajectory") * lengths
    assert_allclose(trajectory, 1 / len(lengths))  # 0.5 / 0.5 for two, whatever their lengths
    assert_allclose((token_weights(lengths, "token") * lengths).sum(), 1)


@pytest.mark.parametrize("norm, constant", [("constant", None), ("constant", 0), ("row", None)])
def test_token_weights_refuse(norm: str, constant: float | None) -> None:
    with pytest.raises(UserError, match="choose"):
        token_weights([1, 2], norm, constant)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"\[M\]"):
        token_weights([[1, 2]])
