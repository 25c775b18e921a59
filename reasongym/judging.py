"""Scores of a discriminator: what a verdict in a model's words is worth, and what the oracle says.

A score is LOWER for a better candidate, as in the planning framework: ``-p`` where p is the chance that the candidate
is right, and 1 for one that cannot be executed. So right (-1) < unsure < wrong (0) < no verdict (0.5) < `INVALID` (1).
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from reasongym.core import Completion, UserError

INVALID = 1.0  # of a candidate that cannot be executed
FAIL = -0.5  # p where the words hold no verdict; all scripts of the paper use this, so its score is 0.5
KEY = "correct"

_OBJECT = re.compile(r"\{[^{}]*\}")
_SAID = re.compile(rf'"{KEY}"\s*:\s*"?(true|false)\b', re.IGNORECASE)


class Said(NamedTuple):
    """A verdict and where its word, true or false, stands in the text."""

    correct: bool
    start: int
    end: int


def said(text: str) -> Said | None:
    """The last JSON object with the key ``correct``: after the last ``</think>``, where there is one.

    A trailing comma, Python's ``True`` and the string ``"true"`` are accepted.

    Source: arXiv 2505.03786, section 3; llm-planning-with-reasoning ``modules/llm_evaluator.py``.
    Differs: objects are found without nesting, so text between two braces cannot hide one; the word is looked for
    behind the key, not anywhere in the object; what stands after the thought wins over what stands in it.
    """
    thought = text.rfind("</think>")
    for first in dict.fromkeys((max(thought, 0), 0)):
        for match in reversed([*_OBJECT.finditer(text, first)]):
            if (found := _verdict(match.group())) is not None:
                return Said(found.correct, match.start() + found.start, match.start() + found.end)
    return None


def _verdict(text: str) -> Said | None:
    words = [*_SAID.finditer(text)]
    if not words:
        return None
    plain = re.sub(r",\s*\}$", "}", re.sub(r"\b(True|False|TRUE|FALSE)\b", lambda m: m.group().lower(), text))
    try:
        value = json.loads(plain, strict=False)[KEY]
    except (ValueError, RecursionError, KeyError):
        return None
    correct = words[-1].group(1).lower() == "true"
    return Said(correct, *words[-1].span(1)) if str(value).strip().lower() == str(correct).lower() else None


def hard_probability(text: str, fail: float = FAIL) -> float:
    """The chance p by the verdict alone: 1, 0, or ``fail`` where there is none.

    Source: arXiv 2505.03786, section 3; llm-planning-with-reasoning ``modules/llm_evaluator.py``. Differs: none.
    """
    found = said(text)
    return fail if found is None else float(found.correct)


def soft_probability(
    completion: Completion, decode: Callable[[Sequence[int]], str], text: str | None = None, fail: float = FAIL
) -> float:
    """The chance p by how sure the model was of its word: q, or 1 - q where it is false; ``fail`` without one.

    q is the probability of the sampled tokens that spell the word, at temperature 1. ``text`` is what the verdict is
    looked for in, if that is not all of the completion (it must be a prefix of it: a smaller budget).

    Source: arXiv 2505.03786, section 3; llm-planning-with-reasoning ``modules/llm_evaluator.py``.
    Differs: the tokens are those that the model sampled, placed by their own decoded offsets; the paper's code
    tokenises the text anew and takes the nearest token, with a shift of one for BOS. A word of several tokens has the
    product of their probabilities; there, it fails.
    """
    if completion.temperature != 1.0 or len(completion.logprobs) != len(completion.ids):
        raise UserError("a soft score needs log-probs at temperature 1: let the judge be greedy, or sample at 1")
    found = said(completion.text if text is None else text)
    if found is None:
        return fail
    first, last = _token_at(completion.ids, decode, found.start), _token_at(completion.ids, decode, found.end - 1)
    q = math.exp(sum(completion.logprobs[first : last + 1]))
    return q if found.correct else 1.0 - q


def _token_at(ids: Sequence[int], decode: Callable[[Sequence[int]], str], place: int) -> int:
    """The token that the character at ``place`` of the decoded text ends in: found by halving."""
    low, high = 0, len(ids) - 1
    while low < high:
        middle = (low + high) // 2
        if len(decode(ids[: middle + 1]).rstrip("\ufffd")) > place:  # a character that is half there does not count
            high = middle
        else:
            low = middle + 1
    return low


def overlap(rows: Sequence[Sequence[Any]] | None, gold: Sequence[Sequence[Any]], first: int = 5) -> float:
    """How much of the gold result a candidate's has, 0 to 1: F1 of cells, row i against row i, of the first rows.

    ``rows`` is None where the candidate does not execute, which gives NaN. Two empty results overlap fully.

    Source: arXiv 2402.10890, appendix; llm-planning-eval ``evaluators/`` (oracle of the text-to-SQL task).
    Differs: none (its code swaps the names of precision and recall, which F1 does not see).
    """
    if rows is None:
        return math.nan
    ours, theirs = rows[:first], gold[:first]
    if not theirs or not ours:
        return float(not theirs and not ours)
    shared = sum((Counter(a) & Counter(b)).total() for a, b in zip(ours, theirs, strict=False))
    return 2 * shared / (sum(map(len, ours)) + sum(map(len, theirs)))


def oracle_score(truth: float, honest: bool = True) -> float:
    """The oracle's score of a candidate whose true worth is ``truth`` (0 to 1, NaN: not executable), or its lie.

    Source: arXiv 2402.10890, section 3; llm-planning-eval ``evaluators/``: -F1, or F1 - 1 where it is flipped; not
    executable is 1, or -1. Differs: none.
    """
    if math.isnan(truth):
        return INVALID if honest else -INVALID
    return -truth if honest else truth - 1.0
