"""AutoThink's table, batch balance and length shaping, by hand-computed cases (2505.10832)."""

from __future__ import annotations

from typing import Any

import pytest
from numpy.testing import assert_allclose

from reasongym import Problem, Trajectory, UserError
from reasongym.rewards.autothink import ELLIPSIS, NO_THINK, AutoThink, balanced, literal
from reasongym.shaping import columns
from tests.rewards.attempts import attempt, group, one

THINK = f"{ELLIPSIS}Okay, so</think>\n\nThe answer is 2."
SHORT = f"{NO_THINK}The answer is 2."


def think(score: float, **more: Any) -> Trajectory:
    return attempt(score, text=THINK, mode="think", **more)


def short(score: float, text: str = SHORT, **more: Any) -> Trajectory:
    return attempt(score, text=text, mode="no_think", **more)


def test_the_ellipsis() -> None:
    """Section 1.1: three ASCII dots on a line of their own; no-think closes at once, with a blank line."""
    assert ELLIPSIS == "<think>\n...\n" and NO_THINK == "<think>\n...\n</think>\n\n"


def test_the_base_table() -> None:
    """Case a (``reward_types.py``), and case h's first half: no answer found is 0 whatever the mode."""
    rewards = AutoThink(stage=2)(one(think(1), think(0), short(1), short(0), short(0, answer=None)))
    assert rewards[0].tolist() == [1, 0, 2, -1, 0]


@pytest.mark.parametrize(
    ("z", "pays"),
    [
        (0.0, (1, 0, 1, -2)),
        (0.25, (1, 0, 1.5, -1.5)),
        (0.5, (1, 0, 2, -1)),
        (0.75, (0.5, -0.5, 2, -1)),
        (1.0, (0, -1, 2, -1)),
    ],
)
def test_batch_balance(z: float, pays: tuple[float, ...]) -> None:
    """Case b (stage 1, ``main_ppo.py``): gamma .5, slope 2, for right and wrong with and without a thought."""
    four = [think(1), think(0), short(1), short(0)]
    more = {0.0: [short(1)] * 4, 0.25: [short(1)] * 4, 0.5: [], 0.75: [think(1)] * 4, 1.0: [think(1)] * 4}[z]
    batch = one(*four, *more)
    if z in (0.0, 1.0):  # a share that these four cannot be part of: only one side of the table can be seen
        side = slice(2, 4) if z == 0 else slice(0, 2)
        assert AutoThink()(one(*four[side], *more))[0, :2].tolist() == list(pays[side])
    else:
        assert_allclose(AutoThink()(batch)[0, :4], pays)


def test_balance_draws_any_reward_to_the_end_of_its_mode() -> None:
    """(1 - d) * r0 + d * e, also for rewards that are not in the table: -2 stays, no answer is drawn to -2."""
    batch = one(short(0, text=NO_THINK + "no " * 10), short(0, answer=None), *[short(1)] * 2)
    assert AutoThink(repeated=-2.0)(batch)[0].tolist() == [-2, -2, 1, 1]
    c = columns(batch)
    assert (balanced(c.score, ~c.valid, c, 0.5, 1.0)[0] == [-1, -1, 1, 1]).all()


def test_gamma_of_one_is_off() -> None:
    """Case c."""
    for batch in (one(think(1), think(0)), one(short(1), short(0)), one(think(1), short(0))):
        assert_allclose(AutoThink(gamma=1.0)(batch), AutoThink(stage=2)(batch))


def test_balance_is_over_the_whole_batch_of_valid_attempts() -> None:
    batch = [[think(1), think(1)], [short(1), short(1)], [attempt(valid=False), attempt(valid=False)]]
    assert_allclose(AutoThink()(batch)[:2], [[1, 1], [2, 2]])
    assert_allclose(AutoThink()(batch[:1]), [[0, 0]])


def test_length_shaping() -> None:
    """Case d (section 3.4): lengths 100, 200, 300, alpha = beta = .05."""
    right, wrong = ([attempt(s, n, mode="think") for n in (100, 200, 300)] for s in (1, 0))
    assert_allclose(AutoThink(stage=3)([right])[0] - 1, [0.051271, 0, -0.048771], atol=1e-6)
    assert_allclose(AutoThink(stage=3)([wrong])[0], [-0.051271, 0, 0.048771], atol=1e-6)
    both = AutoThink(stage=3)(one(*right, *wrong))[0]  # each among its own
    assert_allclose(both, [1.051271, 1, 0.951229, -0.051271, 0, 0.048771], atol=1e-6)


def test_length_shaping_of_equal_lengths_and_of_one() -> None:
    """Cases e and f."""
    assert AutoThink(stage=3)([group([1] * 3, [50] * 3, mode="think")])[0].tolist() == [1, 1, 1]
    assert AutoThink(stage=3)(one(attempt(1, 9), attempt(0, 99)))[0].tolist() == [1, 0]


CASE_G = [
    ("<think>\n...\n</think>\n\nAnswer", True),
    ("<think>\n...\n</think>\nAnswer", False),
    ("<think>\n...\nOkay…</think>\n\n", False),
]


@pytest.mark.parametrize(("text", "no_think"), CASE_G)
def test_detection_in_the_official_code(text: str, no_think: bool) -> None:
    """Case g (``globals.py``, ``math_reward.py``): one newline after the closer is a thought, to the code."""
    assert literal(attempt(text=text)) is no_think
    assert AutoThink(stage=2, compat="official")(one(attempt(1, text=text)))[0, 0] == (2 if no_think else 1)


def test_the_official_detection_looks_anywhere() -> None:
    """Section 1.6: a later literal match, or the pattern in the problem, flips the flag."""
    quoted = think(1, problem=Problem.of(f"What does {NO_THINK!s} mean?", "2"))
    later = attempt(1, text=f"{ELLIPSIS}First {NO_THINK}", mode="think")
    for trick in (quoted, later, attempt(1, text="</think>\n\n2", mode="think")):
        assert AutoThink(stage=2, compat="official")(one(trick))[0, 0] == 2
        assert AutoThink(stage=2)(one(trick))[0, 0] == 1


def test_one_newline_less_is_not_paid_as_a_thought() -> None:
    wrong = short(0, text="</think>\n3")
    assert AutoThink(stage=2)(one(wrong))[0, 0] == -1
    assert AutoThink(stage=2, compat="official")(one(wrong))[0, 0] == 0


def test_the_mode_is_read_off_the_text_where_no_environment_reported_it() -> None:
    assert AutoThink(stage=2)(one(attempt(1, text="</think>\n\n2"), attempt(1, text="2")))[0].tolist() == [2, 1]


@pytest.mark.parametrize(
    ("after", "guarded"),
    [
        ("The answer is 2.", False),
        ("Wait, let me see.", True),
        ("The waiter waited.", False),
        ("2\n<think>Hm", True),
        ("First 1, then 2.</think>\n\n2", True),
        ("2, or ALTERNATIVELY 3", True),
    ],
)
def test_reasoning_after_the_closer_is_not_paid_as_no_think(after: str, guarded: bool) -> None:
    """The hack that the authors name: the less of both modes' rewards."""
    batch = one(short(1, text=NO_THINK + after), short(0, text=NO_THINK + after))
    assert AutoThink(stage=2)(batch)[0].tolist() == ([1, -1] if guarded else [2, -1])
    assert AutoThink(stage=2, compat="official")(batch)[0].tolist() == [2, -1]


@pytest.mark.parametrize("again", ["[/THINK]", "[/think]"])
def test_another_closer_that_comes_again_is_guarded_too(again: str) -> None:
    reply = attempt(1, text=f"[/THINK]\n1 and 1{again}2")
    assert AutoThink(stage=2, closer="[/THINK]")(one(reply))[0, 0] == 1


def test_a_long_reply_is_guarded_too_and_counts_as_think() -> None:
    long, brief = short(1, length=50), short(1, length=49)
    shaper = AutoThink(stage=2, guard_tokens=49)
    assert shaper(one(long, brief))[0].tolist() == [1, 2]
    assert AutoThink(guard_tokens=49)(one(long, long, long, brief))[0].tolist() == [0.5, 0.5, 0.5, 2]
    assert AutoThink(stage=2, guard_words=("Wait",))(one(short(1, text=NO_THINK + "wait")))[0, 0] == 1
    assert AutoThink(guard_words=())(one(short(1, text=NO_THINK + "wait"), think(1)))[0].tolist() == [2, 1]


@pytest.mark.parametrize(
    ("after", "pays"),
    [("no " * 10, -2), ("no " * 9, -1), ("a b c " * 10, -2), ("x" * 120, -2), ("x" * 119, -1), ("one 2 three", -1)],
)
def test_degenerate_replies(after: str, pays: float) -> None:
    """Case h (``max_continuous_ngram``, ``find_largest_word``): wrong, no-think and degenerate is -2."""
    batch = one(short(0, text=NO_THINK + after), short(1, text=NO_THINK + after), think(0, answer="3"))
    for shaper in (AutoThink(stage=2, repeated=-2.0), AutoThink(stage=2, compat="official")):
        assert shaper(batch)[0].tolist() == [pays, 2, 0]
    assert AutoThink(stage=2)(batch)[0].tolist() == [-1, 2, 0]  # it is not in the paper


@pytest.mark.parametrize(
    "kw",
    [
        {"stage": 4},
        {"gamma": 1.5},
        {"alpha": -1},
        {"compat": "verl"},
        {"closer": ""},
        {"closer": 4},
        {"guard_words": "wait"},
    ],
)
def test_refusals(kw: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="autothink"):
        AutoThink(**kw)
