"""Metrics against closed forms, exhaustive enumeration and published tables."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reasongym import metrics
from reasongym.core import Problem, Trajectory, UserError, Verdict


@given(n=st.integers(1, 9), data=st.data())
def test_pass_at_k_is_the_share_of_subsets_with_a_right_one(n: int, data: st.DataObject) -> None:
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    subsets = list(itertools.combinations([True] * c + [False] * (n - c), k))
    assert metrics.pass_at_k(n, c, k) == pytest.approx(np.mean([any(s) for s in subsets]), abs=1e-12)


def test_pass_at_k_takes_arrays_and_is_stable_for_large_n() -> None:
    assert metrics.pass_at_k([10, 10, 20], [0, 10, 5], 2).tolist() == pytest.approx([0, 1, 1 - 15 * 14 / (20 * 19)])
    assert metrics.pass_at_k(16, np.array([4, 8]), 1).tolist() == pytest.approx([0.25, 0.5])
    assert isinstance(metrics.pass_at_k(16, 4, 1), float)
    official = 1 - np.prod(1 - 1000 / np.arange(100_000 - 30 + 1, 100_001))
    assert metrics.pass_at_k(100_000, 30, 1000) == pytest.approx(official, rel=1e-9)


def test_pass_at_k_of_the_papers() -> None:
    """MR-RLVR (2511.17473): 64 attempts, of which 8 are right."""
    assert [metrics.pass_at_k(64, 8, k) for k in (1, 5, 8)] == pytest.approx([0.125, 0.499008, 0.679069], abs=5e-7)
    assert metrics.pass_at_k(4, 2, 2) == pytest.approx(0.833333, abs=5e-7)


@pytest.mark.parametrize(("n", "c", "k"), [(4, 2, 5), (4, 5, 1), (4, -1, 1), (4, 2, 0), ([4, 2], 1, 3)])
def test_pass_at_k_refuses_what_has_no_estimate(n: object, c: int, k: int) -> None:
    with pytest.raises(UserError, match="pass_at_k"):
        metrics.pass_at_k(n, c, k)  # type: ignore[arg-type]


def test_wilson_golden_numbers() -> None:
    # Newcombe 1998, Statistics in Medicine 17:857-872, table I, method 3.
    table = [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)]
    for k, n, low, high in table:
        assert metrics.wilson(k, n, 1.959964) == pytest.approx((low, high), abs=5e-5)
    assert metrics.wilson(20, 20) == pytest.approx((1 - metrics.wilson(0, 20)[1], 1.0))
    assert metrics.wilson(0, 0) == (0.0, 1.0)
    with pytest.raises(UserError, match="k=3, n=2"):
        metrics.wilson(3, 2)


def test_mean_ci95_golden_numbers() -> None:
    mean, half = metrics.mean_ci95([1, 2, 3, 4, 5])
    assert (mean, half) == pytest.approx((3.0, 2.776445 * math.sqrt(2.5 / 5)), rel=1e-4)
    assert metrics.mean_ci95([7]) == (7.0, math.inf)
    assert metrics.mean_ci95([2, 2, 2])[1] == 0.0
    # t quantiles on both sides of the table's end: df 30 (2.04227), 31 (2.03951), 60 (2.00030), 1000 (1.96234).
    for df, t in [(1, 12.7062), (30, 2.04227), (31, 2.03951), (60, 2.00030), (1000, 1.96234)]:
        samples = np.resize([-1.0, 1.0], df + 1)
        assert metrics.mean_ci95(samples)[1] == pytest.approx(t * samples.std(ddof=1) / math.sqrt(df + 1), rel=3e-5)


def test_mean_ci95_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    hits = [abs(m) <= h for m, h in (metrics.mean_ci95(rng.normal(size=4)) for _ in range(2000))]
    assert np.mean(hits) == pytest.approx(0.95, abs=0.015)


def test_bootstrap_agrees_with_t_on_normal_data_and_takes_any_statistic() -> None:
    x = np.random.default_rng(1).normal(5, 2, 400)
    low, high = metrics.bootstrap_ci(x, np.random.default_rng(2))
    mean, half = metrics.mean_ci95(x)
    assert (low, high) == pytest.approx((mean - half, mean + half), abs=0.05)
    assert (low, high) == metrics.bootstrap_ci(x, np.random.default_rng(2))
    narrow = metrics.bootstrap_ci(x, np.random.default_rng(2), level=0.5)
    assert low < narrow[0] < narrow[1] < high
    median = metrics.bootstrap_ci(x, np.random.default_rng(2), statistic=lambda v: float(np.median(v)))
    assert median[0] < np.median(x) < median[1] and median != (low, high)


@pytest.mark.parametrize("call", [metrics.mean_ci95, lambda x: metrics.bootstrap_ci(x, np.random.default_rng(0))])
@pytest.mark.parametrize("samples", [[], [[1.0]]])
def test_intervals_refuse_nothing_and_tables(call: object, samples: object) -> None:
    with pytest.raises(UserError, match="non-empty"):
        call(samples)  # type: ignore[operator]


def test_f1_golden_numbers() -> None:
    gold, predicted = [1, 1, 1, 0, 0, 2], [1, 0, 1, 0, 1, 0]
    assert metrics.f1(gold, predicted, 1) == pytest.approx(2 / 3)
    assert metrics.f1(gold, predicted, 0) == pytest.approx(2 * 1 / (2 + 3))
    assert metrics.f1(gold, predicted, 2) == metrics.f1(gold, predicted, 9) == 0.0
    assert metrics.macro_f1(gold, predicted) == pytest.approx((2 / 3 + 0.4 + 0) / 3)
    # always "no", of which 1 in 4 is wrong: positive F1 0, negative F1 6/7
    assert metrics.macro_f1([False, False, False, True], [False] * 4, (False, True)) == pytest.approx(3 / 7)
    assert metrics.macro_f1([False] * 4, [False] * 4, (False, True)) == 0.5
    for bad in (lambda: metrics.f1([1], [], 1), lambda: metrics.macro_f1([], [])):
        with pytest.raises(UserError, match="f1"):
            bad()


def test_ranking_golden_numbers() -> None:
    rankings = [[True, False], [False, False, True], [False, False], []]
    assert metrics.hit_at_1(rankings) == 0.25
    assert metrics.mean_reciprocal_rank(rankings) == pytest.approx((1 + 1 / 3) / 4)
    for metric in (metrics.hit_at_1, metrics.mean_reciprocal_rank):
        with pytest.raises(UserError, match=metric.__name__):
            metric([])


def test_pairwise_accuracy_counts_ties_as_wrong_and_only_pairs_of_one_question() -> None:
    scores, right = [[0.9, 0.5, 0.9], [0.1, 0.2], [3.0]], [[True, False, False], [False, False], [True]]
    assert metrics.pairwise_accuracy(scores, right) == 0.5
    assert math.isnan(metrics.pairwise_accuracy(scores[1:], right[1:]))


def test_tool_means_add_up_the_tools_of_an_attempt() -> None:
    def attempt(*reports: dict[str, int]) -> Trajectory:
        return Trajectory(Problem.of("?"), [], "", Verdict(0.0), False, {"tools": list(reports)})

    attempts = [attempt({"runs": 1, "errors": 1}, {"runs": 2}), attempt({"runs": 3}, {}), attempt()]
    assert metrics.tool_means(attempts) == {"errors": 1 / 3, "runs": 2.0}
    assert (
        metrics.tool_means([]) == metrics.tool_means([Trajectory(Problem.of("?"), [], "", Verdict(0.0), False)]) == {}
    )


def test_batch_means_leave_out_what_the_host_lost() -> None:
    def attempt(score: float, used: int, valid: bool = True, **info: Any) -> Trajectory:
        info = {"used": used, "resets": 0, "peak_context": 2 * used, "mode": "think", **info}
        return Trajectory(Problem.of("?"), [], "", Verdict(score, valid=valid), used > 5, info)

    batch = [[attempt(1, 4, tools=[{"runs": 3}]), attempt(0, 6, resets=2)], [attempt(0, 2, mode="no_think")] * 2]
    batch[1][1] = attempt(0, 900, valid=False)
    means = metrics.batch_means(batch, np.array([[0.5, -0.5], [0.75, np.nan]]))
    assert means == {
        "reward": 0.25, "score": 1 / 3, "length": 4.0, "runs": 1.0, "truncated": 1 / 3, "no_think": 1 / 3,
        "resets": 2 / 3, "peak_context": 12, "invalid": 0.25,
    }  # fmt: skip
    lost = metrics.batch_means([[attempt(0, 1, valid=False)]], np.array([[np.nan]]))
    assert math.isnan(lost["reward"]) and math.isnan(lost["length"]) and lost["invalid"] == 1 and "runs" not in lost


def test_s3_the_intrinsic_table_of_a_toy() -> None:
    """Three questions, with a tie, and one without any right candidate, which counts in the denominators."""
    scores = [[0.9, 0.9, 0.1], [0.2, 0.7], [0.6, 0.4]]
    right = [[False, True, False], [True, False], [False, False]]
    table = metrics.intrinsic(scores, right, [[False, False, True], [False, False], [False, False]])
    assert table["pws"] == pytest.approx(1 / 3)  # of 0.9:0.9 (a tie), 0.9:0.1 and 0.2:0.7
    assert table["positive_f1"] == pytest.approx(2 * 1 / (2 + 3 + 1 - 0))  # 1 hit, 2 right, 4 said so
    assert table["negative_f1"] == pytest.approx(2 * 2 / (5 + 3))
    assert table["macro_f1"] == pytest.approx((table["positive_f1"] + table["negative_f1"]) / 2)
    assert table["hit_at_1"] == 0.0
    assert table["mrr"] == pytest.approx((1 / 2 + 1 / 2 + 0) / 3)
    assert (table["failures"], table["questions"], table["candidates"]) == (pytest.approx(1 / 7), 3, 7)


def test_mcnemar_golden_numbers() -> None:
    first = [True] * 12 + [False] * 3 + [True] * 40
    second = [False] * 12 + [True] * 3 + [True] * 40
    found = metrics.mcnemar(first, second)
    assert (found["only_first"], found["only_second"]) == (12, 3)
    assert found["p"] == pytest.approx(0.03515625)  # 2 * P(X <= 3), X ~ B(15, 1/2)
    assert metrics.mcnemar(first, first)["p"] == 1.0
    with pytest.raises(UserError, match="mcnemar"):
        metrics.mcnemar([True], [])


def test_explained_variance_golden_numbers() -> None:
    returns = [0.0, 1.0, 1.0, 0.0]
    assert metrics.explained_variance(returns, returns) == 1
    assert metrics.explained_variance([0.3] * 4, returns) == 0
    assert metrics.explained_variance([0.25, 0.75, 0.75, 0.25], returns) == pytest.approx(0.75)
    assert metrics.explained_variance([1.0, 0.0, 0.0, 1.0], returns) == pytest.approx(-3)
    assert math.isnan(metrics.explained_variance([0.1, 0.2], [1.0, 1.0]))
    with pytest.raises(UserError, match="explained_variance"):
        metrics.explained_variance([], [])
