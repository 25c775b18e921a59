"""Texts that go round in circles, as two official codes see it. Pure functions of ids or words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np


def close_repeats(ids: Sequence[int]) -> bool:
    """Whether an n-gram of unlike tokens comes again soon. Text of any length often fails this.

    n = 2, 3, 4 for fewer than 30, 100 or more tokens. The n-gram must stand there twice (three times in 200 tokens or
    more), two of them closer than a third of the text; or any 2n-gram stands there twice.

    Source: hkust-nlp/Laser ``verl/utils/reward_score/compute_unique_tokens.py``. Differs: none in what it finds in a
    list of ids. The official rewards give it a tensor, whose n-grams are never equal: there it finds nothing.
    """
    if len(ids) <= 8:
        return False
    n = 2 if len(ids) < 30 else 3 if len(ids) < 100 else 4
    least = 2 if len(ids) < 200 else 3
    for at in _positions(ids, n).values():
        alike = n > 2 and len(set(ids[at[0] : at[0] + n])) == 1
        if not alike and len(at) >= least and min(np.diff(at)) < len(ids) // 3:
            return True
    return len(ids) >= 4 * n and any(len(at) > 1 for at in _positions(ids, 2 * n).values())


def degenerate(text: str, times: int = 10, longest: int = 30, word: int = 120) -> bool:
    """Whether up to ``longest`` words stand there ``times`` times in a row, or one word has ``word`` letters.

    Source: TU2021/AutoThink ``deepscaler/rewards/math_reward.py`` (``max_continuous_ngram``, ``find_largest_word``).
    Differs: a run may begin at any word; there, only at a multiple of its own length.
    """
    words = text.split()
    if max(map(len, words), default=0) >= word:
        return True
    often = {w for w, n in Counter(words).items() if n >= times} if len(words) >= times else set()
    if sum(map(often.__contains__, words)) < times:
        return False
    start = 0
    for i, w in enumerate([*words, ""]):  # a run holds only words that occur so many times
        if w not in often:
            if i - start >= times and _in_a_row(words[start:i], times, longest):
                return True
            start = i + 1
    return False


def _in_a_row(words: list[str], times: int, longest: int) -> bool:
    for n in range(1, min(longest, len(words) // times) + 1):
        same = 0
        for earlier, later in zip(words, words[n:], strict=False):
            same = same + 1 if earlier == later else 0
            if same == n * (times - 1):
                return True
    return False


def _positions(ids: Sequence[int], n: int) -> dict[tuple[int, ...], list[int]]:
    found: dict[tuple[int, ...], list[int]] = {}
    for i in range(len(ids) - n + 1):
        found.setdefault(tuple(ids[i : i + n]), []).append(i)
    return found
