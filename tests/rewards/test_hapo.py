"""HAPO's rewards and histories, by the hand-computed table of its official code (2505.11225, ``utils.py``)."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from reasongym import Problem, UserError
from reasongym.rewards.hapo import Hapo
from tests.rewards.attempts import PROBLEM, attempt, group, one


def remembering(h: float | None, **settings: Any) -> Hapo:
    shaper = Hapo(**settings)
    if h is not None:
        shaper.lengths[PROBLEM.id] = h
    return shaper


@pytest.mark.parametrize(
    ("h", "length", "right", "total"),
    [
        (None, 5, True, 1),
        (None, 99999, False, 0),
        (1000, 500, True, 1.7071),
        (1000, 800, True, 1.3090),
        (1000, 1000, True, 1.0),
        (1000, 1200, True, 0.6910),
        (1000, 1500, True, 0.3),
        (1000, 1999, True, 0.3),
        (1000, 2000, True, 0.3),
        (1000, 9999, True, 0.3),
        (1000, 500, False, 0),
        (1000, 1000, False, 0),
        (1000, 1200, False, -0.3090),
        (1000, 1500, False, -0.7071),
        (1000, 2000, False, -1),
        (1000, 9999, False, -1),
    ],
)
def test_the_table(h: float | None, length: int, right: bool, total: float) -> None:
    """Section 4.4's table, w = 1 (``compute_len_reward``)."""
    shaper = remembering(h)
    assert shaper.score(attempt(float(right), length)) == pytest.approx(total, abs=5e-5)


@pytest.mark.parametrize(
    ("length", "right", "wrong"),
    [(500, 1.5, 0), (1000, 1.0, 0), (1099, 1.0, 0), (1300, 0.8, -0.2), (1800, 0.3, -0.7), (3000, 0.3, -1.0)],
)
def test_the_linear_shape(length: int, right: float, wrong: float) -> None:
    """``compute_len_reward_linear``, tolerance .1."""
    shaper = remembering(1000, shape="linear")
    assert_allclose(shaper(one(attempt(1, length), attempt(0, length)))[0], [right, wrong], atol=1e-12)


def test_the_worst_right_answer_beats_the_best_wrong_one() -> None:
    shaper = remembering(10)
    rewards = shaper([group([1] * 60, range(1, 61)), group([0] * 60, range(1, 61))])
    assert rewards[0].min() > rewards[1].max()


def test_the_weight() -> None:
    assert remembering(1000, weight=0.5).score(attempt(1, 9999)) == pytest.approx(0.65)


def test_history_is_updated_after_the_step() -> None:
    """Section 4.4: right {900, 700}, wrong {100} with h = 1000: rewards by 1000, then h = 700."""
    shaper = remembering(1000)
    batch = [group([1, 1, 0], [900, 700, 100])]
    by_1000 = shaper(batch)
    assert by_1000[0, 0] == pytest.approx(1 + np.cos(np.pi / 2 * 0.9)) and by_1000[0, 2] == 0
    assert_array_equal(shaper(batch), by_1000)
    shaper.update(batch)
    assert shaper.lengths[PROBLEM.id] == 700
    shaper.update([group([0, 0], [5, 6])])  # an all-wrong batch leaves it
    shaper.update([group([1], [800])])  # and it never rises
    assert shaper.lengths[PROBLEM.id] == 700
    assert shaper.figures() == {"history": 700.0} and Hapo().figures() == {}


def test_problems_have_histories_of_their_own() -> None:
    shaper, other = Hapo(), Problem.of("What is 2 + 2?", "4")
    shaper.update([group([1, 1], [30, 20]), group([1, 1], [9, 8], problem=other)])
    assert shaper.lengths == {PROBLEM.id: 20, other.id: 8}
    assert shaper(one(attempt(1, 40)))[0, 0] == pytest.approx(0.3)
    assert shaper(one(attempt(1, 40, problem=Problem.of("new"))))[0, 0] == 1


def test_invalid_attempts_make_no_history() -> None:
    shaper = Hapo()
    shaper.update([[attempt(1.0, 5, valid=False), attempt(1.0, 50)], [attempt(1.0, 5, valid=False)] * 2])
    assert shaper.lengths == {PROBLEM.id: 50}


def test_the_mean_counts_each_right_thought_once() -> None:
    shaper = Hapo(history="mean")
    shaper.update([group([1, 1, 0, 0], [10, 20, 99, 99])])
    assert (shaper.lengths[PROBLEM.id], shaper.counts[PROBLEM.id]) == (15, 2)
    shaper.update([group([1, 0, 0, 0], [45, 1, 1, 1])])
    assert (shaper.lengths[PROBLEM.id], shaper.counts[PROBLEM.id]) == (25, 3)


def test_the_official_mean_counts_once_an_attempt() -> None:
    """``combined_reward_func`` loops over ``prompt_idx``, which holds each problem once for every generation."""
    shaper = Hapo(history="mean", compat="official")
    shaper.update([group([1, 1, 0, 0], [10, 20, 99, 99])])
    assert (shaper.lengths[PROBLEM.id], shaper.counts[PROBLEM.id]) == (15, 8)
    shaper.update([group([1, 0, 0, 0], [45, 1, 1, 1])])
    assert shaper.counts[PROBLEM.id] == 12 and shaper.lengths[PROBLEM.id] == pytest.approx((15 * 8 + 45 * 4) / 12)


def test_histories_outlive_a_resume() -> None:
    """The official run dumps them and never reads them again."""
    for settings in ({}, {"history": "mean"}):
        shaper = Hapo(**settings)  # type: ignore[arg-type]
        shaper.update([group([1, 1, 0], [10, 20, 9])])
        again = Hapo(**settings)  # type: ignore[arg-type]
        again.load_state_dict(json.loads(json.dumps(shaper.state_dict())))
        for part in (shaper, again):
            part.update([group([1, 0, 1], [8, 12, 30])])
        batch = [group([1, 0, 1], [12, 19, 30])]
        assert_array_equal(again(batch), shaper(batch))
        assert again == shaper


@pytest.mark.parametrize(
    "kw", [{"weight": 1.1}, {"weight": -0.1}, {"history": "max"}, {"shape": "step"}, {"compat": "trl"}]
)
def test_refusals(kw: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="hapo"):
        Hapo(**kw)
