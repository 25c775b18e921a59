"""VibeThinker's Long2Short (2606.16140, section 5.5 of the hand-computed cases)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from reasongym import UserError
from reasongym.rewards.long2short import Long2Short
from tests.rewards.attempts import attempt, group, one


def test_the_short_take_from_the_long() -> None:
    """Lengths 100, 200, 400, all right, strength .2: 1.2, .96, .84, which is 3 in all."""
    assert_allclose(Long2Short()([group([1, 1, 1], [100, 200, 400])])[0], [1.2, 0.96, 0.84])


def test_wrong_and_invalid_ones_take_no_part() -> None:
    batch = one(*group([1, 1, 1, 0, 0.5], [100, 200, 400, 1, 900]), attempt(1.0, 5, valid=False))
    assert_allclose(Long2Short()(batch)[0, :5], [1.2, 0.96, 0.84, 0, 0.5])


@given(st.lists(st.integers(1, 50), min_size=1, max_size=12), st.floats(0, 0.99))
def test_it_is_zero_sum_and_bounded(lengths: list[int], strength: float) -> None:
    rewards = Long2Short(strength)([group([1] * len(lengths), lengths)])[0]
    assert rewards.sum() == pytest.approx(len(lengths))
    assert abs(rewards - 1).max() <= strength + 1e-12
    if len(set(lengths)) == 1:
        assert set(rewards) == {1.0}


def test_refusals() -> None:
    with pytest.raises(UserError, match="strength=1"):
        Long2Short(1.0)
