r"""Numbers as people write them, exactly: 1,234.5 and \frac{3}{4}, 1 3/4, 2.5 \times 10^{-3}; and their units."""

from __future__ import annotations

import re
from fractions import Fraction

MAX_DIGITS = 4300  # Python's own bound on what int() reads

_INT = r"(?:\d{1,3}(?:,\d{3})++(?!\d)|\d{1,3}(?: \d{3})++(?!\d)|\d++)"
_DEC = rf"(?:{_INT}(?:\.\d*+)?|\.\d++)"
_ARG = rf"(?:\{{\s*([-+]?{_DEC})\s*\}}|(\d))"
_QUICK = re.compile(r"-?(?:[0-9]{1,18}(\.[0-9]{1,18})?|[0-9]{1,3}(?:,[0-9]{3}){1,5})")
_PLAIN = re.compile(rf"({_DEC})(?:[eE]([-+]?\d{{1,3}}))?")
_SCIENCE = re.compile(
    rf"(?:({_DEC})\s*(?:\\times|\\cdot|\*|x)\s*)?10\s*\^\s*(?:\{{\s*([-+]?\d{{1,3}})\s*\}}|([-+]?\d{{1,3}}))"
)
_OVER = re.compile(rf"([-+]?{_DEC}|\(\s*-\s*{_DEC}\s*\))\s*/\s*([-+]?{_DEC}|\(\s*-\s*{_DEC}\s*\))")
_FRAC = re.compile(rf"\\frac\s*{_ARG}\s*{_ARG}")
_MIXED = re.compile(
    r"(\d{1,18})(?:\s*\\frac\s*(?:\{\s*(\d{1,18})\s*\}|(\d))\s*(?:\{\s*(\d{1,18})\s*\}|(\d))|"
    r"[ -](\d{1,18})\s*/\s*(\d{1,18}))"
)
_REPEATING = re.compile(r"(\d{0,99})\.(\d{0,99})\\(?:overline|bar)\s*(?:\{\s*(\d{1,99})\s*\}|(\d))")

# A unit stands behind the number: a degree, a percent sign, \text{...}, or words.
_UNIT = re.compile(
    r"(.*\S)\s*(°(?:\s*[CF])?|%|\\text\s*\{([^{}\d]*)\}(?:\s*\^\s*(?:\{\s*([23])\s*\}|([23])))?)\s*"
    r"|(.*(?:[\d)}.]|\\pi))\s*((?<![A-Za-z])[A-Za-z]++(?:[ /]{1,3}[A-Za-z]++){0,4})(?:\^(?:\{([23])\}|([23])))?\s*"
)
_CURRENCY = re.compile(r"([-+]?)\s*([¤€£¥])\s*([-+]?.*)")
_MAGNITUDES = {"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_NAMES = {
    "¤": "dollar", "usd": "dollar", "€": "euro", "£": "pound", "¥": "yen", "percent": "%", "pct": "%", "degree": "°",
    "deg": "°", "centimeter": "cm", "centimetre": "cm", "millimeter": "mm", "millimetre": "mm", "meter": "m",
    "metre": "m", "kilometer": "km", "kilometre": "km", "inch": "in", "inche": "in", "feet": "ft", "foot": "ft",
    "yard": "yd", "mile": "mi", "kilogram": "kg", "gram": "g", "lb": "pound", "ounce": "oz", "second": "s",
    "sec": "s", "minute": "min", "hour": "h", "hr": "h", "liter": "l", "litre": "l", "milliliter": "ml", "unit": "",
}  # fmt: skip
_SHORT = frozenset("cm mm km m in ft yd mi kg g mg lb lbs oz s sec min h hr hrs l ml mph kph cc am pm".split())
_PARTS = (
    "third fourth quarter fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth "
    "sixteenth seventeenth eighteenth nineteenth twentieth thirtieth fortieth fiftieth sixtieth seventieth eightieth "
    "ninetieth hundredth thousandth millionth billionth trillionth"
).split()
_LARGE = (*_MAGNITUDES, "ten", "dozen", *(f"{name}illion" for name in "quadr quint sext sept oct non dec".split()))
# Words that make another thing of the number before them.
_NOT_UNITS = frozenset(
    "and or not no less more fewer than plus minus times over under divided multiplied by squared cubed factorial "
    "mod modulo choose half halves score root sqrt pi sin cos tan cot sec csc log ln "
    "exp theta infty infinity to at least most about is are was wrong if where either between equals remainder "
    "else but below negative doubled tripled quadrupled halved twice inverse reciprocal".split()
) | {word + s for word in (*_PARTS, *_LARGE) for s in ("", "s")}


def plain(text: str) -> int | Fraction | None:
    """The value of 12, -12, 1,234 or 1.5, of at most 18 digits a part: a quick look before all the rest."""
    found = _QUICK.fullmatch(text)
    if found is None:
        return None
    return Fraction(text) if found[1] else int(text.replace(",", ""))


def number(text: str) -> Fraction | None:
    """The number that ``text`` is a numeral of (without a unit), else None. Sums and powers are not numerals."""
    text = text.strip()
    sign = 1
    if text[:1] in ("-", "+"):
        sign, text = (-1 if text[0] == "-" else 1), text[1:].lstrip()
        if text.startswith("(") and text.endswith(")") and text.count("(") == 1:
            text = text[1:-1].strip()
    if not text or len(text) > 2 * MAX_DIGITS or text[0] in "-+" and sign == -1:
        return None
    try:
        value = _unsigned(text)
    except (ValueError, ZeroDivisionError):
        return None
    return None if value is None else sign * value


def _unsigned(text: str) -> Fraction | None:
    if found := _PLAIN.fullmatch(text):
        return _decimal(found[1]) * Fraction(10) ** int(found[2] or 0)
    if found := _FRAC.fullmatch(text):
        return _decimal(found[1] or found[2]) / _decimal(found[3] or found[4])
    if found := _OVER.fullmatch(text):
        return _decimal(found[1].strip("() ")) / _decimal(found[2].strip("() "))
    if found := _MIXED.fullmatch(text):
        whole, over, under = int(found[1]), int(found[2] or found[3] or found[6]), int(found[4] or found[5] or found[7])
        return whole + Fraction(over, under) if over < under else None
    if found := _SCIENCE.fullmatch(text):
        return _decimal(found[1] or "1") * Fraction(10) ** int(found[2] or found[3])
    if found := _REPEATING.fullmatch(text):
        return _repeating(found[1], found[2], found[3] or found[4])
    return None


def _decimal(text: str) -> Fraction:
    text = text.replace(",", "").replace(" ", "")
    if len(text) > MAX_DIGITS:
        raise ValueError("too many digits")
    return Fraction(text.rstrip(".") if text.endswith(".") else text)


def _repeating(whole: str, fixed: str, period: str) -> Fraction:
    once = int(whole + fixed or "0")
    return Fraction(int(whole + fixed + period) - once, (10 ** len(period) - 1) * 10 ** len(fixed))


def split_unit(text: str) -> tuple[str, str, int]:
    """``(without, unit, factor)``: "$5 million" gives ("5", "dollar", 10**6). No unit: ``(text, "", 1)``."""
    prefix, unit, factor = "", "", 1
    if found := _CURRENCY.fullmatch(text):
        prefix, text = _NAMES[found[2]], found[1] + found[3]
    for _ in range(2):  # "12 \\text{ cm}^2", and "5 million dollars" in two \text
        found = _UNIT.fullmatch(text)
        said = None if found is None else _canonical(found)
        if found is None or said is None:
            break
        text, unit, factor = (found[1] or found[6]).strip(), said[0] or unit, factor * said[1]
    return text, prefix or unit, factor


def _canonical(found: re.Match[str]) -> tuple[str, int] | None:
    """The unit in one spelling and the magnitude before it ("million"), or None: this is no unit."""
    if found[2] and found[2][0] in "°%":
        return found[2][0], 1
    plain = found[7] is not None
    words = (found[7] or found[3]).casefold().replace(".", "").replace("-", " ").split()
    factor = _MAGNITUDES.get(words[0], 1) if words else 1
    words = words[1:] if factor > 1 else words
    if any(not _is_unit(word, plain) for part in words for word in part.split("/") if word):
        return None
    power = found[4] or found[5] or found[8] or found[9] or ""
    if words and words[0] in ("square", "sq", "cubic"):
        power, words = ("3" if words[0] == "cubic" else "2"), words[1:]
    name = " ".join(_singular(word) for word in words)
    return (name + power if name else ""), factor


def _is_unit(word: str, plain: bool) -> bool:
    if word in _NOT_UNITS and not (word in _SHORT and not plain) or not word.isalpha():
        return False
    return not plain or len(word) > 2 or word in _SHORT - {"m", "g", "s", "h", "l"}


def _singular(word: str) -> str:
    word = word if word in _SHORT else word.removesuffix("s")
    word = {"lbs": "lb", "hrs": "hr"}.get(word, word)
    return _NAMES.get(word, word)
