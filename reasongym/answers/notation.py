r"""Reading an answer as written: LaTeX or plain text to a value.

`read` knows numbers, letters, words, and tuples, intervals, sets, unions and matrices of anything; the
rest is a `Scalar` with no number in it, which only algebra can compare.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from reasongym.answers.numerals import number, split_unit
from reasongym.answers.spelling import ROW, tidy

MAX_CHARS = 6000  # of an answer; a longer one is wrong unless it is the gold answer to the letter
MAX_DEPTH = 30  # of brackets


@dataclass(frozen=True)
class Scalar:
    """One quantity: its number where it is written as one, else only its LaTeX. ``unit`` is in lower case."""

    latex: str
    number: Fraction | None = None
    unit: str = ""

    @property
    def expression(self) -> str:
        """LaTeX that needs no knowledge of how people write numbers."""
        if self.number is None:
            return self.latex
        sign = "-" if self.number < 0 else ""
        return rf"{sign}\frac{{{abs(self.number.numerator)}}}{{{self.number.denominator}}}"


@dataclass(frozen=True)
class Word:
    """A name, or the letter of a choice (then ``choice``; its case matters).

    ``product``: three small letters at most, which may also be a product ("xy").
    """

    text: str
    choice: bool = False
    product: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class Group:
    """Several values, in an order that matters unless ``kind`` is "{}" or "cup".

    ``kind``: the brackets, such as "()" or "[)"; "{}" for a set or a bare list; "cup"; ":"; "matrix 2x3".
    """

    kind: str
    items: tuple[Value, ...]


@dataclass(frozen=True)
class Equation:
    """``left = right``; ``name`` says that the left side only names the right one ("x", "f(x)", "AB")."""

    left: str
    right: Value
    name: bool


Value = Scalar | Word | Group | Equation

_CHOICE = re.compile(
    r"(?:\\text\s*)?\{?\s*\(?\s*([A-Z])\s*[).:]?\s*\}?|"
    r"(?:\\text\s*\{)?\s*(?:[Oo]ption|[Cc]hoice)\s+\(?([A-Z])\)?\.?\s*\}?"
)
_SAID_CHOICE = re.compile(r"(?:\\text\s*\{\s*)?(?:\(([A-Z])\)|([A-Z])[).:])\s*\}?\s*(\S.*)")
_WORDS = re.compile(r"(?:\\text\s*\{)?\s*([A-Za-z][A-Za-z'’ -]*[A-Za-z])\s*\.?\s*\}?\.?")
_PRODUCT = re.compile("[a-z]{2,3}")
_MATRIX = re.compile(r"\\begin\{([pb])matrix\}(.*)\\end\{\1matrix\}")
_NAME = re.compile(
    r"(?:m\s*)?(?:\\angle|\\triangle)?\s*(?:[A-Za-z]'?|[A-Z]{2,4}|[A-Za-z]{3,12}|\\text\s*\{[^{}]*\}|"
    r"\\(?:theta|alpha|beta|gamma|phi|lambda|mu|sigma|omega|ell|overline\s*\{[A-Z]+\}))"
    r"(?:_\w|_\{\w{1,8}\})?\s*(?:\([A-Za-z0-9, ]{1,12}\))?"
)
_ORDER = re.compile(r"\\(?:le|ge)(?![a-zA-Z])|<|>")
_AND = re.compile(
    r"\s*(?:[,;]\s*)?(?:\\text\s*\{\s*(?:and|or)\s*\}|(?<![A-Za-z\\])(?:and|or)(?![A-Za-z]))\s*|"
    r"[,;](?!(?<=\d,)\d{3}(?!\d))"  # but not the comma of 1,234
)
_IN = re.compile(r"\\in(?![a-zA-Z])")
_RATIO = re.compile(r"\d+(?:\s*:\s*\d+)+")
_FUNCTIONS = frozenset("sin cos tan cot sec csc log ln exp sqrt pi theta infty arcsin arccos arctan abs".split())


def read(text: str) -> Value | None:
    """The value that an answer (not a whole response) stands for; None where its brackets nest too deep to be one."""
    return _value(tidy(text)) if _depth(text) <= MAX_DEPTH else None


def _value(text: str) -> Value:
    text = text.strip()
    scalar = _scalar(text)
    if scalar.number is not None:
        return scalar
    for reader in (_choice, _word, _matrix, _bracketed, _union, _several, _interval, _equation, _pair):
        value = reader(text)
        if value is not None:
            return value
    return scalar


def _scalar(text: str) -> Scalar:
    bare, unit, factor = split_unit(text)
    value = number(bare)
    if value is None:
        return Scalar(bare, None, unit) if factor == 1 else Scalar(text)
    return Scalar(bare, value * factor, unit)


def _choice(text: str) -> Word | None:
    found = _CHOICE.fullmatch(text)
    if found:
        return Word(found[1] or found[2], choice=True)
    found = _SAID_CHOICE.fullmatch(text)  # "(B) 12 cm", unless a second letter is in it
    if found and not re.search(r"(?<![A-Za-z\\])[A-Z](?![A-Za-z])", found[3]):
        return Word(found[1] or found[2], choice=True)
    return None


def _word(text: str) -> Word | None:
    found = _WORDS.fullmatch(text)
    if found is None or found[1] in _FUNCTIONS or re.search(r"(?<![A-Za-z])(?:and|or)(?![A-Za-z])", found[1]):
        return None
    longest = max((len(word) for word in re.findall("[A-Za-z]+", found[1]) if word not in _FUNCTIONS), default=0)
    if "\\text" not in text and longest < (3 if "-" in found[1] else 2):  # p - q, x y, and sin x
        return None
    return Word(" ".join(found[1].casefold().split()), product=_PRODUCT.fullmatch(text) is not None)


def _matrix(text: str) -> Group | None:
    found = _MATRIX.fullmatch(text)
    if found is None:
        return None
    rows = [[_value(cell) for cell in row.split("&")] for row in found[2].strip().removesuffix(ROW).split(ROW)]
    if len({len(row) for row in rows}) != 1:
        return None
    return Group(f"matrix {len(rows)}x{len(rows[0])}", tuple(cell for row in rows for cell in row))


def _bracketed(text: str) -> Value | None:
    """A tuple, an interval, a set; one thing in round brackets is that thing."""
    if (
        text.startswith("{") and text.endswith("}") and _closes_at_end(text)
    ):  # a set without its backslashes, or a group
        text = rf"\{{{text[1:-1]}\}}" if "," in text else f"({text[1:-1]})"
    text = text.replace(r"\{", "⦃").replace(r"\}", "⦄")
    if not text.startswith(("(", "[", "⦃")) or not text.endswith((")", "]", "⦄")) or not _closes_at_end(text):
        return None
    inner = text[1:-1].replace("⦃", r"\{").replace("⦄", r"\}")
    kind = (text[0] + text[-1]).replace("⦃", "{").replace("⦄", "}")
    items = _split(inner, ",")
    if kind == "{}":
        return Group(kind, _members(items)) if inner.strip() else Group(kind, ())
    if len(items) == 1:
        return _value(inner) if kind == "()" else None
    return Group(kind, tuple(_value(item) for item in items))


def _union(text: str) -> Group | None:
    items = _split(text, r"\cup")
    return Group("cup", tuple(_value(item) for item in items)) if len(items) > 1 else None


def _several(text: str) -> Group | None:
    """A bare list, "1, 2 and 3", or the two values of a plus-or-minus: read as a set."""
    items = _split(text, _AND)
    if len(items) == 1 and r"\pm" not in text:
        return None
    return Group("{}", _members(items))


def _members(items: Sequence[str]) -> tuple[Value, ...]:
    both = [side for item in items for side in (_plus_minus(item) if item.count(r"\pm") == 1 else [item])]
    return tuple(Scalar(r"\pm") if r"\pm" in item or not item.strip() else _value(item) for item in both)


def _plus_minus(item: str) -> list[str]:
    return [item.replace(r"\pm", sign).strip().removeprefix("+") for sign in "+-"]


def _interval(text: str) -> Value | None:
    r"""``1 < x \le 2`` and ``x > 3`` are the intervals that they say, of the variable that they name."""
    signs = [match[0].strip() for match in _ORDER.finditer(text)]
    sides = [side.strip() for side in _ORDER.split(text)]
    if len(signs) == 1:
        sides, signs = ([*sides[::-1]], [_FLIP[signs[0]]]) if _NAME.fullmatch(sides[0]) else (sides, signs)
        if not _NAME.fullmatch(sides[1]):
            return None
        low = signs[0] in ("<", r"\le")
        sides = [sides[0], sides[1], r"\infty"] if low else [r"-\infty", sides[1], sides[0]]
        signs = [signs[0], "<"] if low else ["<", _FLIP[signs[0]]]
    if len(signs) != 2 or not _NAME.fullmatch(sides[1]):
        return None
    if signs[0] not in ("<", r"\le"):
        sides, signs = sides[::-1], [_FLIP[sign] for sign in signs[::-1]]
    if not {"<", r"\le"}.issuperset(signs):
        return None
    kind = ("(" if signs[0] == "<" else "[") + (")" if signs[1] == "<" else "]")
    return Equation(sides[1], Group(kind, (_value(sides[0]), _value(sides[2]))), name=True)


_FLIP = {"<": ">", ">": "<", r"\le": r"\ge", r"\ge": r"\le"}


def _equation(text: str) -> Equation | None:
    member = _IN.search(text)
    left, sign, right = (text[: member.start()], "", text[member.end() :]) if member else text.partition("=")
    if not left.strip() or not right.strip() or "=" in right or left.endswith(("\\", "!", "<", ">")):
        return None
    name = _NAME.fullmatch(left.strip()) is not None and left.strip() not in _FUNCTIONS
    return Equation(left.strip(), _value(right), name) if name or sign else None


def _pair(text: str) -> Group | None:
    if _RATIO.fullmatch(text) is None:
        return None
    return Group(":", tuple(_value(item) for item in text.split(":")))


def _split(text: str, at: str | re.Pattern[str]) -> list[str]:
    """``text`` split at the separators that stand in no bracket. LaTeX braces count as brackets."""
    pattern = at if isinstance(at, re.Pattern) else re.compile(re.escape(at))
    depths = _depths(text)
    parts, start = [], 0
    for found in pattern.finditer(text):
        if depths[found.start()] == 0:
            parts.append(text[start : found.start()])
            start = found.end()
    return [*parts, text[start:]]


def _depths(text: str) -> list[int]:
    depths, depth = [], 0
    for char in text:
        depth -= char in ")]}⦄"
        depths.append(depth)
        depth += char in "([{⦃"
    return depths


def _depth(text: str) -> int:
    return max(_depths(text), default=0)


def _closes_at_end(text: str) -> bool:
    """Whether the bracket that opens ``text`` is closed by its last character; "(3, 4]" counts."""
    depths = _depths(text)
    return depths[-1] == 0 and all(depth > 0 for depth in depths[1:-1])
