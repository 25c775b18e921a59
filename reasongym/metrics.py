"""Metrics, each once: pass@k, confidence intervals, classification and ranking. Plain numpy."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reasongym.core import Batch, Trajectory, UserError

# Student's t, 97.5 % quantile, for 1 .. 30 degrees of freedom.
_T975 = (
    12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281,
    2.2010, 2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860,
    2.0796, 2.0739, 2.0687, 2.0639, 2.0595, 2.0555, 2.0518, 2.0484, 2.0452, 2.0423,
)  # fmt: skip
_Z975 = 1.959964


def pass_at_k(n: ArrayLike, c: ArrayLike, k: int) -> Any:
    """The chance that one of k draws is right, unbiased, from n attempts of which c were right.

    n and c may be arrays, one entry a problem [P]; the benchmark's figure is the mean over problems.

    Source: arXiv 2107.03374, equation 1; openai/human-eval ``evaluation.py`` (``estimate_pass_at_k``).
    Differs: the product runs over the k draws, prod_j (n - c - j) / (n - j), which is the same number;
    k > n is refused, where there is no unbiased estimate.
    """
    total, right = np.broadcast_arrays(np.asarray(n, np.float64), np.asarray(c, np.float64))
    if not (k >= 1 and np.all(total >= k) and np.all(right >= 0) and np.all(right <= total)):
        raise UserError(f"pass_at_k: needs 1 <= k <= n and 0 <= c <= n, got k={k}, n={n!r}, c={c!r}")
    j = np.arange(k)
    wrong = np.clip(total - right, 0, None)[..., None] - j
    fail = np.prod(np.clip(wrong, 0, None) / (total[..., None] - j), axis=-1)
    return 1.0 - fail if fail.ndim else float(1.0 - fail)


def wilson(k: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """The Wilson score interval of a share: k of n. (0, 1) where n is 0: nothing is known.

    Source: Wilson 1927, JASA 22:209-212.
    Differs: none (no continuity correction).
    """
    if not 0 <= k <= n:
        raise UserError(f"wilson: needs 0 <= k <= n, got k={k}, n={n}")
    if n == 0:
        return 0.0, 1.0
    share, scale = k / n, 1 + z * z / n
    centre = share + z * z / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low = 0.0 if k == 0 else (centre - half) / scale
    high = 1.0 if k == n else (centre + half) / scale
    return low, high


def mean_ci95(samples: ArrayLike) -> tuple[float, float]:
    """The mean of independent samples and the half width of its 95 % interval, by Student's t.

    The half width is infinite for one sample.

    Source: Student 1908, Biometrika 6:1-25; above 30 degrees of freedom the quantile is the
    Cornish-Fisher expansion in 1/df (Abramowitz and Stegun 26.7.5).
    Differs: none.
    """
    values = _samples("mean_ci95", samples)
    mean = float(values.mean())
    if len(values) == 1:
        return mean, math.inf
    return mean, _t975(len(values) - 1) * float(values.std(ddof=1)) / math.sqrt(len(values))


def explained_variance(values: ArrayLike, returns: ArrayLike) -> float:
    """The share of the returns' variance that the values foresee: ``1 - Var(returns - values) / Var(returns)``.

    1 is a perfect critic, 0 one that says the same everywhere; it may be negative. NaN where all returns are equal.

    Source: the usual figure of a critic (openai/baselines ``math_util.py``). Differs: none.
    """
    r = _samples("explained_variance", returns)
    left = r - _samples("explained_variance", values)
    return float(1.0 - left.var() / r.var()) if r.var() > 0 else math.nan


def bootstrap_ci(
    samples: ArrayLike,
    rng: np.random.Generator,
    statistic: Callable[[NDArray[np.float64]], float] = lambda x: float(x.mean()),
    level: float = 0.95,
    resamples: int = 2000,
) -> tuple[float, float]:
    """The percentile bootstrap interval of any statistic of independent samples [n].

    Source: Efron 1979, Annals of Statistics 7:1-26.
    Differs: none (percentiles, no bias correction).
    """
    values = _samples("bootstrap_ci", samples)
    if not (0 < level < 1 and resamples >= 1):
        raise UserError(f"bootstrap_ci: needs 0 < level < 1 and resamples >= 1, got {level} and {resamples}")
    draws = [statistic(values[rng.integers(len(values), size=len(values))]) for _ in range(resamples)]
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def f1(gold: Sequence[Any], predicted: Sequence[Any], label: Any) -> float:
    """The F1 score of one label: 2 TP / (2 TP + FP + FN), 0 where the label never occurs.

    Source: van Rijsbergen 1979; as scikit-learn's ``f1_score`` with ``zero_division=0``.
    Differs: none.
    """
    if len(gold) != len(predicted):
        raise UserError(f"f1: {len(gold)} gold labels and {len(predicted)} predictions must be as many")
    hits = sum(g == label == p for g, p in zip(gold, predicted, strict=True))
    named = sum(g == label for g in gold) + sum(p == label for p in predicted)
    return 2 * hits / named if named else 0.0


def macro_f1(gold: Sequence[Any], predicted: Sequence[Any], labels: Sequence[Any] | None = None) -> float:
    """The mean of `f1` over ``labels`` (None: all that occur in either).

    Source: as scikit-learn's ``f1_score(average="macro")``; the mean of positive and negative F1 in
    OSU-NLP-Group/llm-planning-eval ``utils/functions.py`` (``eval_intrinsic``) is labels=(False, True).
    Differs: none.
    """
    every = list(dict.fromkeys([*gold, *predicted])) if labels is None else labels
    if not every:
        raise UserError("macro_f1: there is nothing to score")
    return sum(f1(gold, predicted, label) for label in every) / len(every)


def hit_at_1(rankings: Sequence[Sequence[bool]]) -> float:
    """The share of questions whose first candidate is right; rankings[q] lists right or wrong, best first.

    A question without candidates, or without a right one, counts as a miss.

    Source: arXiv 2402.10890, section 3; llm-planning-eval ``utils/functions.py`` (``eval_intrinsic``).
    Differs: none.
    """
    _questions("hit_at_1", rankings)
    return sum(bool(ranking) and bool(ranking[0]) for ranking in rankings) / len(rankings)


def mean_reciprocal_rank(rankings: Sequence[Sequence[bool]]) -> float:
    """The mean of 1 / rank of the first right candidate, 0 for a question without one; see `hit_at_1`.

    Source: Voorhees 1999, TREC-8; llm-planning-eval ``utils/functions.py`` (``eval_intrinsic``).
    Differs: none.
    """
    _questions("mean_reciprocal_rank", rankings)
    first = (next((1 / (i + 1) for i, right in enumerate(ranking) if right), 0.0) for ranking in rankings)
    return sum(first) / len(rankings)


def pairwise_accuracy(scores: Sequence[Sequence[float]], right: Sequence[Sequence[bool]]) -> float:
    """The share of pairs (right, wrong) of one question's candidates whose right one scores strictly higher.

    NaN where no question has both a right and a wrong candidate; ties count as wrong.

    Source: arXiv 2402.10890, section 3 ("discrimination accuracy"); llm-planning-eval ``utils/functions.py``.
    Differs: none.
    """
    won = [
        a > b
        for row, marks in zip(scores, right, strict=True)
        for a, good in zip(row, marks, strict=True)
        for b, fair in zip(row, marks, strict=True)
        if good and not fair
    ]
    return sum(won) / len(won) if won else math.nan


def intrinsic(
    scores: Sequence[Sequence[float]], right: Sequence[Sequence[bool]], failed: Sequence[Sequence[bool]] = ()
) -> dict[str, float]:
    """A discriminator's table: scores[q][j] of candidate j of question q (higher is better), and whether it is right.

    Keys ``pws`` (`pairwise_accuracy`), ``positive_f1``, ``negative_f1`` and ``macro_f1`` of the prediction "score
    above 0.5", ``hit_at_1`` and ``mrr`` of the candidates by descending score (ties keep their order), ``failures``
    (the share of candidates whose ``failed`` is set), ``questions`` and ``candidates``.

    Source: arXiv 2402.10890, section 3; llm-planning-eval ``utils/functions.py`` (``eval_intrinsic``). Differs: none.
    """
    gold = [bool(mark) for marks in right for mark in marks]
    predicted = [score > 0.5 for row in scores for score in row]
    order = [sorted(range(len(row)), key=lambda j, row=row: -row[j]) for row in scores]  # type: ignore[misc]
    rankings = [[bool(marks[j]) for j in places] for marks, places in zip(right, order, strict=True)]
    fails = [bool(mark) for marks in failed for mark in marks]
    return {
        "pws": pairwise_accuracy(scores, right),
        "positive_f1": f1(gold, predicted, True),
        "negative_f1": f1(gold, predicted, False),
        "macro_f1": macro_f1(gold, predicted, (False, True)),
        "hit_at_1": hit_at_1(rankings),
        "mrr": mean_reciprocal_rank(rankings),
        "failures": sum(fails) / len(fails) if fails else 0.0,
        "questions": len(right),
        "candidates": len(gold),
    }


def mcnemar(first: Sequence[bool], second: Sequence[bool]) -> dict[str, float]:
    """Two methods on the same questions: how often only one of them is right, and the exact two-sided p-value.

    Source: McNemar 1947, Psychometrika 12:153-157; the exact test is binomial, as statsmodels' ``mcnemar(exact=True)``.
    Differs: none.
    """
    if len(first) != len(second):
        raise UserError(f"mcnemar: {len(first)} and {len(second)} results must be as many")
    only_first = sum(bool(a) and not b for a, b in zip(first, second, strict=True))
    only_second = sum(bool(b) and not a for a, b in zip(first, second, strict=True))
    n, k = only_first + only_second, min(only_first, only_second)
    tail = sum(math.comb(n, i) for i in range(k + 1)) / 2**n
    return {"only_first": only_first, "only_second": only_second, "p": min(1.0, 2 * tail)}


def tool_means(attempts: Sequence[Trajectory]) -> dict[str, float]:
    """What tools report of themselves (`reasongym.core.Reporter`), added up in an attempt, as means over attempts."""
    reports = [report for t in attempts for report in t.info.get("tools", [])]
    return {key: sum(r.get(key, 0) for r in reports) / len(attempts) for key in sorted({k for r in reports for k in r})}


def batch_means(batch: Batch, rewards: NDArray[np.float64]) -> dict[str, float]:
    """What a person watches of a training step, as means over the valid trajectories (not a number without any).

    ``rewards`` [P, G] are the shaped ones, NaN where a trajectory is invalid. ``score`` is the truth, ``length`` counts
    sampled tokens; ``peak_context`` is the longest window of all, and ``invalid`` the share that the host lost.
    """
    every = [t for group in batch for t in group]
    valid = [t for t in every if t.valid]

    def mean(values: Iterable[float]) -> float:
        return float(np.mean(listed)) if (listed := list(values)) else math.nan

    return {
        "reward": mean(rewards[~np.isnan(rewards)]),
        "score": mean(t.verdict.score for t in valid),
        "length": mean(t.length for t in valid),
        **tool_means(valid),
        "truncated": mean(t.truncated for t in valid),
        "no_think": mean(t.info.get("mode") == "no_think" for t in valid),
        "resets": mean(t.info["resets"] for t in valid),
        "peak_context": max((t.info["peak_context"] for t in valid), default=0),
        "invalid": 1.0 - len(valid) / len(every),
    }


def _t975(df: int) -> float:
    if df <= len(_T975):
        return _T975[df - 1]
    z = _Z975
    first, second = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / df + second / df**2 + third / df**3


def _samples(name: str, samples: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(samples, np.float64)
    if values.ndim != 1 or not len(values):
        raise UserError(f"{name}: needs a flat, non-empty list of numbers, got shape {values.shape}")
    return values


def _questions(name: str, rankings: Sequence[Sequence[bool]]) -> None:
    if not len(rankings):
        raise UserError(f"{name}: there is no question to average over")
