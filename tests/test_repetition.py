"""Texts that go round in circles: the two official tests for it, case by case."""

from __future__ import annotations

import pytest

from reasongym.repetition import close_repeats, degenerate

UNLIKE = list(range(1000))


@pytest.mark.parametrize(
    ("ids", "repeats"),
    [
        (UNLIKE[:300], False),
        ([], False),
        ([1, 2] * 4, False),  # eight tokens are too few to tell
        ([1, 2, 3, 4, 5, 1, 2, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16], True),  # n = 2, five apart, of 18
        ([1, 2, 3, 4, 5, 6, 1, 2, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16], False),  # six apart: not closer than a third
        ([*UNLIKE[:20], 1, 2, 3, *UNLIKE[30:60]], False),  # n = 3, 19 apart, of 53
        ([*UNLIKE[:20], 1, 2, 3, *UNLIKE[30:67]], True),  # of 60
        ([7] * 40, True),  # alike tokens are passed over as 3-grams, not as 6-grams
        ([*UNLIKE[:100], 1, 2, 3, 4, *UNLIKE[200:300]], False),  # 200 or more: twice is not enough
        ([*UNLIKE[:60], 1, 2, 3, 4, *UNLIKE[200:260], 1, 2, 3, 4, *UNLIKE[300:400]], True),
        ([*UNLIKE[:120], *UNLIKE[:8], *UNLIKE[500:600]], True),  # twice the same 2n-gram, however far apart
    ],
)
def test_close_repeats(ids: list[int], repeats: bool) -> None:
    """hkust-nlp/Laser ``compute_unique_tokens.py``: its thresholds by length, and how close is close."""
    assert close_repeats(ids) is repeats


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", False),
        ("no " * 9, False),
        ("no " * 10, True),
        ("well " + "no " * 10 + "then", True),
        ("a b " * 10, True),
        ("a b " * 9 + "a", False),
        ("x a b c " * 10, True),
        (" ".join(map(str, range(30))) + " " + "a b c " * 10, True),
        (" ".join(f"{i} no" for i in range(20)), False),  # often, and never in a row
        (" ".join(map(str, range(30))) * 2, False),
        ((" ".join(map(str, range(30))) + " ") * 10, True),  # 30 words at a time
        ((" ".join(map(str, range(31))) + " ") * 10, False),  # 31 are not looked for
        ("x" * 119, False),
        ("y " + "x" * 120, True),
    ],
)
def test_degenerate(text: str, found: bool) -> None:
    """TU2021/AutoThink ``math_reward.py``: ten times in a row, or a word of 120 letters."""
    assert degenerate(text) is found
