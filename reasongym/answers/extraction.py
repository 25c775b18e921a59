r"""Where the answer is in a response."""

from __future__ import annotations

import re

from reasongym.answers.notation import MAX_CHARS

TRIES = 20  # boxes looked at, from the last one back
WHOLE = 100  # characters of a response that is nothing but its answer

_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_BARE = re.compile(r"\s+([^\s{}$\\]+)")  # \boxed 5
_SAID = re.compile(r"\banswer\**(?:\s+is|\s*[:=])[\s:=*]*", re.IGNORECASE)
# Emphasis that begins before the answer and ends after it. The star of a product, a power or a bullet begins none.
_OPENED = re.compile(r"(?<![\w^)\]}*])(\*{1,3})(?=[^\s*]|\Z)[^*]*\Z")
_SENTENCE = re.compile(r"\.(?=\**(?:\s|$))|\n")


def extract(text: str) -> str | None:
    r"""The answer that ``text`` gives, or None. The first of these that is there, each time its last occurrence:

    1. ``\boxed{...}`` (or ``\fbox``) with balanced braces; a text whose boxes are all cut off has no answer;
    2. the rest of the line after ``####`` (the mark of GSM8K);
    3. what follows "answer is" or "answer:", up to the end of the sentence or the line, and of its bold type;
    4. a response of one line of at most 100 characters, which is nothing but its answer.

    A number somewhere in a longer text is never taken: a response that does not say what it answers has no answer.
    """
    if "\\boxed" in text or "\\fbox" in text:
        return _last_box(text)
    for found in (_marked(text), _said(text)):
        if found is not None:
            return found or None
    whole = text.strip() if len(text) < 4 * WHOLE else ""
    return whole if whole and len(whole) <= WHOLE and "\n" not in whole else None


def _last_box(text: str) -> str | None:
    end = len(text)
    for _ in range(TRIES):  # bounded, so that a text of nothing but boxes costs no more than its length
        at = max(text.rfind("\\boxed", 0, end), text.rfind("\\fbox", 0, end))
        if at < 0:
            return None
        body = _body(text, at + (6 if text.startswith("\\boxed", at) else 5))
        if body is not None:
            return body.strip() or None
        end = at
    return None


def _body(text: str, start: int) -> str | None:
    window = text[start : start + MAX_CHARS + 16]
    opening = len(window) - len(window.lstrip())
    if not window[opening:].startswith("{"):
        bare = _BARE.match(window)
        return bare[1] if bare else None
    depth = 0
    for token in _BRACE.finditer(window, opening):
        depth += {"{": 1, "}": -1}.get(token[0], 0)
        if depth == 0 and token[0] == "}":
            return window[opening + 1 : token.start()]
    return None


def _marked(text: str) -> str | None:
    at = text.rfind("####")
    if at < 0:
        return None
    return text[at + 4 : at + 4 + MAX_CHARS].partition("\n")[0].strip()


def _said(text: str) -> str | None:
    last = max(_SAID.finditer(text), key=re.Match.start, default=None)
    if last is None:
        return None
    said = _SENTENCE.split(text[last.end() : last.end() + MAX_CHARS], maxsplit=1)[0].strip()
    opened = _OPENED.search(text, text.rfind("\n", 0, last.start()) + 1, last.end())
    return said.removesuffix(opened[1]).strip() if opened else said
