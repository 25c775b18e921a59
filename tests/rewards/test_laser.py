"""LASER's table, by the hand-computed cases of its paper (2505.15612) and of the official code."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from reasongym import Problem, Segment, Trajectory, UserError, Verdict, parts
from reasongym.core import Batch
from reasongym.rewards.laser import METHODS, ByDifficulty, adapted, bands, make, needed
from reasongym.shaping import columns
from reasongym.tasks.pool import Pool
from reasongym.tasks.register import Register
from tests.rewards.attempts import attempt, group, one


def paid(shaper: Any, *attempts: Trajectory) -> list[float]:
    return list(shaper(one(*attempts))[0])


def test_every_member_of_the_table_has_its_name() -> None:
    assert set(METHODS) == {
        "truncation", "thinkprune", "efficient", "kimi", "l1-exact", "l1-max", "laser", "laser-d", "laser-de"
    }  # fmt: skip
    for name in METHODS:
        assert (
            parts.make("rewards", f"laser/{name}").method == name == parts.make("rewards", "laser", method=name).method
        )


def test_laser_is_a_step() -> None:
    """Case 1 (equation 2, Table 2; ``compute_length_reward_larse``): alpha .5, target 4096."""
    shaper = make("laser", alpha=0.5, target=4096)
    given = [attempt(1, 4096), attempt(1, 4097), attempt(0, 9), attempt(0, 9, answer=None)]
    assert paid(shaper, *given) == [1.5, 1.0, -0.5, -1.0]
    assert [shaper.score(t) for t in given] == [1.5, 1.0, -0.5, -1.0]


def test_laser_de_lets_wrong_answers_think_on() -> None:
    """Case 2 (Table 2, LASER-DE; ``compute_length_reward_larse_de``)."""
    shaper = make("laser-de", alpha=0.5, target=4096)
    wrong = [attempt(0, 4097), attempt(0, 4096), attempt(0, 4097, answer=None), attempt(1, 4096), attempt(1, 4097)]
    assert paid(shaper, *wrong) == [0.0, -0.5, -1.0, 1.5, 1.0]


@pytest.mark.parametrize(("right", "band"), [(8, 0), (6, 0), (5, 1), (3, 1), (2, 2), (0, 2)])
def test_bands_of_eight(right: int, band: int) -> None:
    """Case 3 (section 5.2; ``compute_length_reward_larse_d``)."""
    assert bands(columns([group([1] * right + [0] * (8 - right), [9] * 8)]))[0] == band


def test_a_band_is_of_the_valid_attempts() -> None:
    batch = one(attempt(1), attempt(1), attempt(0), *[attempt(valid=False)] * 5)
    assert bands(columns(batch))[0] == 0


def coverage(at: dict[int, float], n: int = 100) -> np.ndarray[Any, Any]:
    """Lengths of which these shares are no longer than these candidates; the rest is longer than all."""
    lengths: list[int] = []
    for length, share in sorted(at.items()):
        lengths += [length] * (round(share * n) - len(lengths))
    return np.array(lengths + [16385] * (n - len(lengths)), float)


CANDIDATES = list(range(4096, 16385, 1024))


@pytest.mark.parametrize(("rounding", "target"), [("paper", 4096), ("official", 5120)])
def test_target_of_the_easy_band(rounding: Any, target: int) -> None:
    """Case 4 (section 5.2, ECR; ``_choose_target_length``, ``round_method`` ceil and floor)."""
    easy = coverage({4096: 0.18, 5120: 0.25})
    assert adapted([easy], CANDIDATES, needed(8, rounding)[:1]) == [target]


@pytest.mark.parametrize(("rounding", "target"), [("paper", 4096), ("official", 6144)])
def test_target_of_the_medium_band(rounding: Any, target: int) -> None:
    """Case 4: a coverage of .40 is enough for one of three right attempts, not for one of two."""
    medium = coverage({4096: 0.40, 5120: 0.49, 6144: 0.5})
    assert adapted([medium], CANDIDATES, [needed(8, rounding)[1]]) == [target]


def test_target_of_the_hard_band_needs_all() -> None:
    """Case 4: hard needs a coverage of 1; the longest of the batch where no candidate has it."""
    assert adapted([coverage({4096: 0.99, 7168: 1.0})], CANDIDATES, [1]) == [7168]
    assert adapted([coverage({4096: 0.99}), np.array([])], CANDIDATES, [1, 1]) == [None, None]


def test_right_attempts_that_a_band_needs() -> None:
    """Section 5.2 (6, 3, 1 of 8) and the code's floor (5, 2, 1)."""
    assert needed(8, "paper") == (6, 3, 1) and needed(8, "official") == (5, 2, 1)
    for k in range(1, 40):
        assert needed(k, "paper") == (-(-2 * k // 3), -(-k // 3), 1)
        assert needed(k, "official") == (max(1, 2 * k // 3), max(1, k // 3), 1)


@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=20),
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=20, max_size=20),
    st.integers(1, 12),
    st.sampled_from(["paper", "official"]),
)
def test_targets_are_monotone_in_difficulty(easy: list[int], more: list[Any], k: int, rounding: Any) -> None:
    """Where harder problems are thought about no shorter, their targets are no shorter (here: the same or longer)."""
    lengths = np.array([[n, n + a, n + a + b] for n, (a, b) in zip(easy, more, strict=False)], float).T
    targets = adapted(list(lengths), range(1, 41, 3), needed(k, rounding))
    known = [np.inf if t is None else t for t in targets]
    assert all(a <= b for a, b in pairwise(known))


@pytest.mark.parametrize(
    ("target", "stride", "limit", "candidates"),
    [
        (4096, 1024, 16384, CANDIDATES),
        (512, 1024, 4096, [512, 1024, 2048, 3072, 4096]),
        (1024, 1024, 3072, [1024, 2048, 3072]),
        (6, 4, 20, [6, 10, 14, 18]),
    ],
)
def test_candidates(target: int, stride: int, limit: int, candidates: list[int]) -> None:
    """Section 5.2: from the target in steps of 1024 to 16384; below 1024 on whole ones (``constants.py``)."""
    assert make("laser-d", target=target, stride=stride, limit=limit)._candidates() == candidates


def monitored(easy: int, medium: int, hard: int) -> Batch:
    """Three problems of eight attempts: 6, 4 and 1 right, of about these lengths."""
    rights, lengths = (6, 4, 1), (easy, medium, hard)
    return [group([1] * r + [0] * (8 - r), range(n, n + 8)) for r, n in zip(rights, lengths, strict=True)]


def test_targets_adapt_to_the_monitored_set() -> None:
    shaper = make("laser-d", target=10, stride=10, limit=100)
    groups = [group([1] * r + [0] * (8 - r), [30] * 8) for r in (8, 4, 1)]
    assert shaper(groups)[:, 0].tolist() == [1.0, 1.0, 1.0]  # nothing is known: 10 for all
    shaper.observe(monitored(18, 25, 40))
    assert shaper.targets == [20, 30, 50]  # 2 of 8 attempts within 20; 3 of 8 needs 27; 8 of 8 needs 47
    assert shaper.figures() == {"target_easy": 20.0, "target_medium": 30.0, "target_hard": 50.0}
    assert shaper(groups)[:, 0].tolist() == [1.0, 1.5, 1.5]
    shaper.observe(monitored(18, 25, 98))  # the hard band cannot be covered by 100 tokens: the batch's longest
    assert shaper.targets == [20, 30, None] and "target_hard" not in shaper.figures()
    assert shaper(groups)[:, 0].tolist() == [1.0, 1.5, 1.5]


def test_training_never_moves_the_targets_and_they_outlive_a_resume() -> None:
    """hkust-nlp/Laser issue 5: the official state of the length controller is not saved."""
    shaper = make("laser-d", target=10, stride=10, limit=100)
    shaper.observe(monitored(18, 25, 40))
    shaper.update(monitored(90, 90, 90))
    again = make("laser-d", target=10, stride=10, limit=100)
    again.load_state_dict(json.loads(json.dumps(shaper.state_dict())))
    assert again.targets == [20, 30, 50] and again == shaper
    assert_array_equal(again(monitored(5, 15, 45)), shaper(monitored(5, 15, 45)))


def test_invalid_attempts_are_not_monitored() -> None:
    shaper = make("laser-d", target=10, stride=10, limit=100)
    batch = monitored(18, 25, 40)
    batch[2][7] = attempt(0, 5000, valid=False)
    shaper.observe([*batch, [attempt(valid=False)] * 8])
    assert shaper.targets == [20, 30, 50]


def test_the_monitored_set_is_the_tasks_and_the_same_in_every_process() -> None:
    shapers = [make("laser-d", monitor=5, attempts=3, every=4) for _ in range(2)]
    assert shapers[0].probe(0) is None  # an agent without begin() leaves the fixed target
    for shaper in shapers:
        shaper.begin(Register())
    asked = [shaper.probe(4) for shaper in shapers]
    assert asked[0] == asked[1] and asked[0] is not None and len(asked[0][0]) == 5 and asked[0][1] == 3
    assert [bool(shapers[0].probe(step)) for step in range(6)] == [True, False, False, False, True, False]
    shapers[0].begin(Pool("register", n=4))
    problems, _ = shapers[0].probe(0)
    assert sorted(p.id for p in problems) == sorted(Pool("register", n=4).problem(i).id for i in range(4))


def test_kimi() -> None:
    """Case 5 (Table 2, Kimi k1.5; ``compute_kimi_penalty``, len_coef .4)."""
    shaper = make("kimi", alpha=0.4)
    assert_allclose(paid(shaper, *group([1, 1, 1], [100, 200, 300])), [1.2, 1.0, 0.8])
    assert_allclose(paid(shaper, *group([0, 1, 0], [100, 200, 300])), [-0.5, 1.0, -0.7])
    assert paid(shaper, *group([1, 0, 1], [200, 200, 200])) == [1.0, -0.5, 1.0]
    no_answer = [attempt(0, 100, answer=None), attempt(0, 300, answer=None), attempt(1, 200)]
    assert paid(shaper, *no_answer) == [-1.0, -1.0, 1.0]  # the code moves +1 and -.5 only


def test_kimi_alone() -> None:
    """The code's span of 0 to 1 for a lone attempt: z is .5 - L."""
    assert paid(make("kimi"), attempt(1, 100)) == [1.0]
    assert_allclose(paid(make("kimi", alpha=0.4, compat="official"), attempt(1, 100)), [1 + 0.4 * (0.5 - 100)])


def test_efficient() -> None:
    """Case 6 (Table 2, 2502.04463; ``compute_norm_length_penalty``): unbiased deviation over right ones."""
    shaper = make("efficient", alpha=0.2)
    assert_allclose(paid(shaper, *group([1, 1, 0], [100, 300, 900])), [0.933952, 0.866048, -0.5], atol=1e-6)
    assert_allclose(paid(shaper, *group([1, 1], [100, 100])), [0.9, 0.9])


def test_efficient_alone() -> None:
    """Case 6: a single right answer; the code's mean of 0 and deviation of 1 make it the full penalty."""
    batch = group([1, 0], [100, 300])
    assert_allclose(paid(make("efficient", alpha=0.2), *batch), [0.9, -0.5])
    assert_allclose(paid(make("efficient", alpha=0.2, compat="official"), *batch), [0.8, -0.5])


def test_l1_exact() -> None:
    """Case 7 (2503.04697; cmu-l3/l1 ``math_reward.py``): n 1000, L 2000."""
    shaper = make("l1-exact", target=1000)
    assert shaper.base.alpha == 0.0003
    assert_allclose(paid(shaper, attempt(1, 2000), attempt(0, 2000), attempt(0, 2000, answer=None)), [0.7, -0.3, -0.3])


def test_l1_max() -> None:
    """Case 7: the sign of cmu-l3/l1, (clip(alpha * (n - L), -1, 1) + 1) / 2 for right answers, alpha .01, n 1000."""
    shaper = make("l1-max", target=1000, alpha=0.01)
    lengths = [900, 950, 1000, 1050, 1100, 5000, 1]
    assert_allclose(paid(shaper, *group([1] * 7, lengths)), [1, 0.75, 0.5, 0.25, 0, 0, 1])
    assert paid(shaper, *group([0] * 2, [900, 2000])) == [0.0, 0.0]


def test_l1_max_as_table_2_prints_it() -> None:
    """Table 2's sign: clip(alpha * (L - target) + delta, 0, 1) pays longer thoughts more."""
    shaper = make("l1-max", target=1000, alpha=0.005, compat="official")
    assert_allclose(paid(shaper, *group([1] * 3, [900, 1000, 1100])), [0, 0.5, 1])


def test_truncation() -> None:
    """Case 8 (Table 2): right and too long pays rho = 0."""
    shaper = make("truncation", target=100)
    assert paid(shaper, attempt(1, 100), attempt(1, 101), attempt(0, 100), attempt(0, 101)) == [1.0, 0.0, -0.5, 0.0]
    assert paid(make("truncation", target=100, rho=-1.0), attempt(1, 101)) == [-1.0]


def test_thinkprune_goes_down_in_stages() -> None:
    """Table 2 and 2504.01296: 4096, 3072, 2048, and there it stays, also after a resume."""
    shaper = make("thinkprune", every=2)
    batch = one(attempt(1, 4096), attempt(1, 3072), attempt(1, 2048))
    seen = []
    for _ in range(7):
        seen.append(int(shaper(batch).sum()))
        shaper.update(batch)
    assert seen == [3, 3, 2, 2, 1, 1, 1]
    again = make("thinkprune", every=2)
    assert again(batch).sum() == 3
    again.load_state_dict(json.loads(json.dumps(shaper.state_dict())))
    assert again(batch).sum() == 1


def windows(*rows: list[int]) -> list[Segment]:
    return [Segment((0, *ids), (0, *[1] * len(ids)), (0.0,) * (len(ids) + 1)) for ids in rows]


@pytest.mark.parametrize(("ids", "bonus"), [(list(range(60)), 0.5), ([*range(30), 20, 21, 22, *range(40, 67)], 0.0)])
def test_the_bonus_of_de_may_ask_for_repetition(ids: list[int], bonus: float) -> None:
    """``detect_token_ngram_repetition_optimized_reversed`` before LASER-DE's bonus, over all windows."""
    found = Trajectory(Problem.of("?"), windows(ids[:25], ids[25:]), "", Verdict(0.0, "3"), False)
    longer = {"target": 50, "alpha": 0.5}
    for shaper in (make("laser-de", **longer), make("laser-de", **longer, compat="official")):
        assert paid(shaper, found) == [0.0]  # the official test is given a tensor: it never finds anything
    assert paid(make("laser-de", **longer, no_repeats=True), found) == [-0.5 + bonus]


def test_a_score_below_one_is_not_right() -> None:
    assert paid(make("laser"), attempt(0.75, 9)) == [-0.5]


@pytest.mark.parametrize(
    ("kw", "named"),
    [
        ({"method": "laser-x"}, "no method 'laser-x'; there is truncation"),
        ({"target": 0}, "target=0"),
        ({"alpha": -1}, "alpha=-1"),
        ({"compat": "saturn"}, "compat='saturn'"),
        ({"method": "laser-d", "rounding": "up"}, "rounding='up'"),
        ({"method": "laser-d", "every": 0}, "must be positive"),
        ({"method": "laser-d", "target": 20000}, "target=20000 is above limit=16384"),
        ({"method": "laser-de", "target": 9, "limit": 8}, "target=9 is above limit=8"),
        ({"method": "thinkprune", "targets": (0,)}, "targets"),
    ],
)
def test_refusals(kw: dict[str, Any], named: str) -> None:
    with pytest.raises(UserError, match=named):
        make(**kw)


def test_a_setting_of_another_method_is_refused_by_name() -> None:
    with pytest.raises(UserError, match="rounding"):
        parts.make("rewards", "laser(method='kimi', rounding='paper')")
    assert isinstance(parts.make("rewards", "laser/laser-d(rounding='official')"), ByDifficulty)
