"""Shapers of one trajectory at a time: the shared base, the truth, and DAPO's overlong punishment."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from reasongym.core import Problem, Segment, Trajectory, UserError, Verdict
from reasongym.rewards.overlong import SoftOverlong, make
from reasongym.shaping import EpisodeShaper, Truth, alone, columns, over_members, skipped, span


def trajectory(score: float, lengths: tuple[int, ...] = (3,), valid: bool = True) -> Trajectory:
    segments = [Segment(ids=(1,) * (n + 2), mask=(0, 0, *[1] * n), logprobs=(0.0,) * (n + 2)) for n in lengths]
    return Trajectory(Problem.of("?"), segments, "", Verdict(score, valid=valid), truncated=False)


def test_truth_is_nan_where_invalid() -> None:
    rewards = Truth()([[trajectory(1.0), trajectory(0.25)], [trajectory(1.0, valid=False), trajectory(0.0)]])
    assert_array_equal(rewards, [[1.0, 0.25], [np.nan, 0.0]])
    assert rewards.dtype == np.float64
    assert Truth()([]).shape == (0, 0)


def test_groups_must_be_of_one_size() -> None:
    with pytest.raises(UserError, match="same number"):
        Truth()([[trajectory(1.0)], [trajectory(1.0), trajectory(0.0)]])


def test_an_invalid_trajectory_is_never_scored() -> None:
    class Strict(EpisodeShaper):
        def score(self, trajectory: Trajectory) -> float:
            assert trajectory.valid
            return 2.0

    assert_array_equal(Strict()([[trajectory(1.0), trajectory(1.0, valid=False)]]), [[2.0, np.nan]])
    with pytest.raises(TypeError, match="abstract"):
        EpisodeShaper()  # type: ignore[abstract]


@pytest.mark.parametrize(
    "length, penalty", [(1, 0), (16384, 0), (16385, -1 / 4096), (18432, -0.5), (20480, -1), (30000, -1)]
)
def test_soft_overlong_golden(length: int, penalty: float) -> None:
    assert SoftOverlong(limit=20480, buffer=4096).penalty(length) == pytest.approx(penalty, abs=1e-15)


def test_soft_overlong_counts_all_chunks() -> None:
    shaper = make(limit=10, buffer=4)
    rewards = shaper([[trajectory(1.0, (4, 4)), trajectory(0.0, (6, 6)), trajectory(1.0, (6,), valid=False)]])
    assert_array_equal(rewards, [[0.5, -1.0, np.nan]])


def test_soft_overlong_without_a_buffer_is_a_cliff() -> None:
    assert [SoftOverlong(limit=10, buffer=0).penalty(n) for n in (10, 11)] == [0, -1]


@pytest.mark.parametrize("limit, buffer", [(0, 0), (10, 11), (10, -1)])
def test_soft_overlong_refuses(limit: int, buffer: int) -> None:
    with pytest.raises(UserError, match="SoftOverlong"):
        SoftOverlong(limit=limit, buffer=buffer)


def test_a_batch_as_columns() -> None:
    lost, half = trajectory(1.0, (4,), valid=False), trajectory(0.5, (4, 5))
    named = Trajectory(Problem.of("?"), [], "", Verdict(1.0, "2"), False, {"used": 7})
    c = columns([[lost, half], [named, trajectory(0.0)]])
    assert_array_equal(c.score, [[np.nan, 0.5], [1.0, 0.0]])
    assert c.valid.tolist() == [[False, True], [True, True]]
    assert c.right.tolist() == c.answered.tolist() == [[False, False], [True, False]]
    assert c.length.tolist() == [[4, 9], [7, 3]]
    assert {x.shape for x in columns([])} == {(0, 0)}


def test_members_of_a_group() -> None:
    values, members = np.array([[1.0, 5.0, 9.0], [4.0, 0.0, 0.0], [1.0, 2.0, 3.0]]), np.eye(3, dtype=bool)
    members[0] = True
    members[2] = False
    n, mean, std = over_members(values, members)
    assert n[:, 0].tolist() == [3, 1, 0]
    assert_allclose([mean[:, 0], std[:, 0]], [[5, 0, 0], [4, 0, 0]])
    low, high = span(values, members)
    assert low[:, 0].tolist() == [1, 0, np.inf] and high[:, 0].tolist() == [9, 0, -np.inf]


def test_the_reported_mode_goes_before_the_text() -> None:
    t = Trajectory(Problem.of("?"), [], "</think>=4", Verdict(1.0), False, {"mode": "think"})
    other = Trajectory(Problem.of("?"), [], "=4", Verdict(1.0), False, {"mode": "think"})
    assert skipped([[t, other]]).tolist() == [[False, False]]
    assert skipped([[t, other]], "=").tolist() == [[False, True]]
    t.info["closer"], other.info["closer"] = "Answer:", "="  # what the report is about
    assert skipped([[t, other]]).tolist() == [[True, False]]
    assert skipped([[t, other]], "=").tolist() == [[False, False]]
    t.info.clear()
    assert skipped([[t], [other]]).tolist() == [[True], [False]]


def test_the_text_of_a_mode_begins_after_the_environments_prefix() -> None:
    t = Trajectory(Problem.of("?"), [], "[T]\n...\n[/T]=4", Verdict(1.0), False, {"prefix": "[T]\n...\n"})
    opened = Trajectory(Problem.of("?"), [], "[T]\n[/T]=4", Verdict(1.0), False, {"prefix": ""})
    assert skipped([[t, opened]], "[/T]").tolist() == [[True, False]]
    assert skipped([[t, opened]], "[/T]", "[T]").tolist() == [[True, True]]


MARKS = ["<a>", "a", "ab", "\n<a>\n", "ab<", "<b>", "<<"]


@given(st.text("<>ab\n", max_size=30), st.sampled_from(MARKS), st.lists(st.sampled_from(MARKS), max_size=2))
def test_a_mark_is_alone_as_str_count_has_it(text: str, mark: str, others: list[str]) -> None:
    assert alone(mark, *others)(text) == (text.count(mark) == 1 and not any(other in text for other in others))


def test_sampled_tokens_are_counted_once() -> None:
    segment = Segment((1, 2, 3), (0, 1, 1), (0.0, -1.0, -1.0))
    assert segment.sampled == 2 and segment == Segment((1, 2, 3), (0, 1, 1), (0.0, -1.0, -1.0))
    assert "sampled" not in repr(segment)
