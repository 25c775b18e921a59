"""CoRT's hints: where a thought should have turned to Python, what to write there, and which thoughts to learn from.

A thought that calculates at length by hand is cut where that begins, one that doubts an output is cut after the output,
and a hint is put in its place. The policy then goes on from there, and what comes out right is a row for SFT::

    thoughts = rollout(policy, envs, resets)
    cuts = [(t.problem, hinted(t.text.removeprefix(prefix))) for t in thoughts]
    on = [{"options": {"problem": problem, "response": cut}} for problem, cut in cuts if cut]
    kept = rows([*thoughts, *rollout(policy, envs, on)], Python().hint, prefix)

Source: arXiv 2506.09820, section 2.2.
Differs: the hints are in words of our own; their places, found by people in the paper, are found by rule here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from reasongym.core import Trajectory

# A thinking's prefix, as in LongCoT(prefix=OPENER)
OPENER = "Let me take this step by step, and let Python do the calculating.\n"
TEDIOUS = "That is tedious to work out in my head; Python makes it short.\n```python\n"
TRUST = "Numbers that Python has worked out can be relied on. What do they say?\n"

HEAVY = 9  # multiplications of digits, and digits added, that are too much for a head
NEAR = 200  # characters between two steps of one calculation, and after an output in which a doubt is about it

_FENCED = re.compile(r"^[ \t]*```(\w*)[ \t]*\n(.*?)(?:^[ \t]*```[ \t]*(?:\n|\Z)|\Z)", re.MULTILINE | re.DOTALL)
_NUMBER = r"\(?[-−]?\d[\d,]*+(?:\.\d++)?\)?"
_OPERATOR = r"\s*(?:[-+*/^×·⋅÷−x%]|\*\*|\\times|\\cdot|\\div|times|plus|minus|divided by|mod)\s*"
_STEP = re.compile(
    rf"(?<![\d.,])({_NUMBER}(?:{_OPERATOR}{_NUMBER}){{1,20}})\s*(?:=|≈|\\approx|is|gives|equals)\s*({_NUMBER})"
)
_BY_HAND = re.compile(
    r"\b(?:long (?:division|multiplication)|partial products?|carry(?:ing)? (?:the |over )?\d|bring(?:ing)? down"
    r"|digit by digit|multiply(?:ing)? (?:\w+ )?by hand|(?:calculat|comput)\w+ \w* ?(?:by hand|manually))\b",
    re.IGNORECASE,
)
_DOUBT = re.compile(
    r"\b(?:(?:double|re)[- ]?check|verify|re-?verif\w+|re-?comput\w+|re-?calculat\w+|by hand|manually"
    r"|check (?:this|that|it|these|those|the (?:result|answer|output|number|figure|value)s?)\b"
    r"|(?:is|are) (?:this|that|it|these|those) (?:right|correct|true)|(?:can|may|might|could) be (?:wrong|off)"
    r"|not (?:so |entirely )?sure (?:about|of|whether|if) (?:this|that|it|the)\b"
    r"|(?:don't|do not|can't|cannot) trust|I doubt|suspicious)",
    re.IGNORECASE,
)
_DENIED = re.compile(r"\b(?:no|not|instead|rather|without|tedious|python)\b|n't\b", re.IGNORECASE)
_LOGIC = re.compile(  # or no doubt at all
    r"\b(?:no need|need not|needn't|without|code|program|script|logic|formula|approach|algorithm|condition|loop"
    r"|function|bug|assum\w+|interpret\w+)",
    re.IGNORECASE,
)


def delayed(text: str) -> int | None:
    """Where heavy calculation by hand begins: the first character of its sentence; None where there is none.

    A calculation is a run of steps ``a op b = c`` within `NEAR` characters of each other. It is heavy where its
    steps take `HEAVY` operations on digits in all, or where the text says that it goes digit by digit. A step whose
    result an earlier block of code or output shows is no calculation but a quotation.
    """
    prose = _prose(text)
    start, end, effort = 0, 0, 0
    for at, until, cost in sorted([*_steps(text, prose), *_by_hand(prose)]):
        if at - end > NEAR or text[end:at] != prose[end:at]:  # far away, or with a block in between
            start, effort = at, 0
        start = start if effort else at
        end, effort = until, effort + cost
        if effort >= HEAVY:
            return _sentence(prose, start)
    return None


def doubted(text: str) -> int | None:
    """The end of the first output that is doubted right after it; None where none is.

    Looking again at the code or at what it means is no doubt: that is what a thought is for.
    """
    for block in _FENCED.finditer(text):
        after = text[block.end() : block.end() + NEAR].partition("```")[0]
        if block[1] == "output" and any(
            _DOUBT.search(s) and not _LOGIC.search(s) for s in re.split(r"[.!?\n]+", after)
        ):
            return block.end()
    return None


def hinted(text: str) -> str | None:
    """The thought up to the first of the two behaviours, and the hint against it; None where it shows neither."""
    found = [(at, hint) for at, hint in ((delayed(text), TEDIOUS), (doubted(text), TRUST)) if at is not None]
    return text[: min(found)[0]] + min(found)[1] if found else None


def rows(thoughts: Sequence[Trajectory], hint: str = "", prefix: str = "") -> list[dict[str, str | list[str]]]:
    """Rows for ``agents/sft.py --data`` from the thoughts that are right and show neither behaviour.

    The response of a thought that shows outputs is a list, by turns what was written and what a tool answered, so that
    no output is learned. ``hint`` is what the environment put after the problem: the tools' hints. ``prefix`` is left
    out of the responses: a thinking that has it puts it there itself, and then it is not learned. A thought that shows
    more outputs than its tools gave is left out, and so is one without an end.
    """
    return [
        {"prompt": "\n".join(filter(None, [t.problem.prompt, hint])), "response": _turns(t.text.removeprefix(prefix))}
        for t in thoughts
        if _good(t)
    ]


def _turns(text: str) -> str | list[str]:
    outputs = [block.span() for block in _FENCED.finditer(text) if block[1] == "output"]
    cuts = [0, *(at for span in outputs for at in span), len(text)]
    return [text[a:b] for a, b in pairwise(cuts)] if outputs else text


def _good(thought: Trajectory) -> bool:
    if not thought.valid or thought.truncated or thought.verdict.score < 1.0 or hinted(thought.text) is not None:
        return False
    real = sum(r.get("code_runs", 0) + r.get("code_given", 0) for r in thought.info.get("tools", []))
    shown = sum(block[1] == "output" for block in _FENCED.finditer(thought.text))
    return bool(shown <= real)


def _prose(text: str) -> str:
    """The text with its fenced blocks blanked, character for character."""
    return _FENCED.sub(lambda block: re.sub(r"[^\n]", " ", block[0]), text)


def _steps(text: str, prose: str) -> Iterator[tuple[int, int, int]]:
    """Start, end and effort of each step by hand."""
    blocks = list(_FENCED.finditer(text))
    for step in _STEP.finditer(prose):
        result = step[2].strip("()").rstrip(",")
        if not any(block.end() <= step.start() and result in block[0] for block in blocks):
            yield step.start(), step.end(), _effort(step[1])


def _by_hand(prose: str) -> Iterator[tuple[int, int, int]]:
    """Where the text says that it calculates by hand, as a heavy step."""
    for said in _BY_HAND.finditer(prose):
        if not _DENIED.search(re.split(r"[.!?\n]", prose[_sentence(prose, said.start()) :][:NEAR])[0]):
            yield said.start(), said.end(), HEAVY


def _effort(expression: str) -> int:
    """Operations on digits: as many as the product of the lengths for a multiplication, as the longer one for a sum."""
    numbers = [len(re.sub(r"\D", "", n)) for n in re.findall(_NUMBER, expression)]
    pairs = list(zip(numbers, numbers[1:], strict=False))
    adds = re.fullmatch(rf"{_NUMBER}(?:\s*(?:[-+−]|plus|minus)\s*{_NUMBER})+", expression)
    return sum(max(pair) if adds else pair[0] * pair[1] for pair in pairs)


def _sentence(prose: str, at: int) -> int:
    """Where the sentence around ``at`` begins."""
    ends = [(prose.rfind(end, 0, at), end) for end in (". ", "! ", "? ", ": ", "\n")]
    start = max((place + len(end) for place, end in ends if place >= 0), default=0)
    return at - len(prose[start:at].lstrip())
