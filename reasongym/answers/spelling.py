r"""One spelling for each thing: LaTeX and plain text have many ways to write the same answer."""

from __future__ import annotations

import re

ROW = "⏎"  # the end of a matrix row, out of the way of the other backslashes
_TABLE = str.maketrans(
    {"−": "-", "–": "-", "×": r"\times ", "·": r"\cdot ", "÷": "/", "π": r"\pi ", "∞": r"\infty ", "√": r"\sqrt ",
     "≤": r"\le ", "≥": r"\ge ", "∪": r"\cup ", "∈": r"\in ", "±": r"\pm ", "²": "^2", "³": "^3", "º": "°",
     "\n": " ", "\t": " ", "\u00a0": " ", "\u202f": " ", "θ": r"\theta "}
)  # fmt: skip
_DROPPED = re.compile(
    r"\\(?:left|right)(?![a-zA-Z])(?:\.(?!\d))?|\\(?:[bB]igg?[lr]?|displaystyle|textstyle|limits)(?![a-zA-Z])|\\!\s*"
)
_RULES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), new)
    for pattern, new in [
        (r"\\[,;:> ]|~|\\q?quad(?![a-zA-Z])|\\thinspace(?![a-zA-Z])", " "),
        (r"\\[dtc]frac(?![a-zA-Z])", r"\\frac"),
        (r"\{,\}", ","),
        (r"\^\s*(?:\\circ|\{\s*\\circ\s*\})(?![a-zA-Z])|\\degrees?(?![a-zA-Z])", "°"),
        (r"\\%", "%"),
        (r"\\(?:mathrm|mathbf|mathit|mathsf|mbox|hbox|textbf|textrm|textit|textsf|operatorname)(?=\s*\{)", r"\\text"),
        (r"\\(?:leqslant|leq)(?![a-zA-Z])|\\lt(?:e)(?![a-zA-Z])|<=", r"\\le "),
        (r"\\(?:geqslant|geq)(?![a-zA-Z])|\\gt(?:e)(?![a-zA-Z])|>=", r"\\ge "),
        (r"\\lt(?![a-zA-Z])", "<"),
        (r"\\gt(?![a-zA-Z])", ">"),
        (r"\\langle(?![a-zA-Z])", "("),
        (r"\\rangle(?![a-zA-Z])", ")"),
        (r"\\lbrace(?![a-zA-Z])", r"\\{"),
        (r"\\rbrace(?![a-zA-Z])", r"\\}"),
        (r"\+\s*\\infty", r"\\infty"),
        (r"(?<![\\A-Za-z])pi(?![A-Za-z])", r"\\pi "),
        (r"_\{\s*(\w)\s*\}", r"_\1"),
        (r"\s+", " "),
    ]
)
_WRAPPED = re.compile(r"\$\$?(.+?)\$\$?|\\\((.+)\\\)|\\\[(.+)\\\]|\*\*(.+)\*\*|\\boxed\s*\{(.+)\}|`(.+)`", re.DOTALL)
# What is no word needs no \text around it; a word keeps it, so that \text{on} is no product.
_UPRIGHT = re.compile(r"\\text\s*\{([^{}]*\d[^{}]*|\s*[A-Za-z]\s*)\}")


def squeeze(text: str) -> str:
    """``text`` without what cannot matter: two texts of the same letters are the same answer."""
    return " ".join(text.split())


def tidy(text: str) -> str:
    r"""One spelling for each thing: no ``\left``, no thin spaces, no ``$...$``, no ``\text{5}``, no ``\dfrac``."""
    text = text.strip().translate(_TABLE)
    for _ in range(4):
        found = _WRAPPED.fullmatch(text)
        if found is None:
            break
        text = next(group for group in found.groups() if group is not None).strip()
    text = _DROPPED.sub("", text.replace(r"\\", ROW).replace("\\$", "¤"))
    if text.count("$") > 1 or text.endswith("$"):
        text = text.replace("$", "")  # of formulas; the sign of the currency stands alone and in front
    text = text.replace("$", "¤")
    for pattern, new in _RULES:
        text = pattern.sub(new, text)
    text = text.strip().rstrip(".,;").strip()
    found = _UPRIGHT.fullmatch(text)
    return found[1].strip() if found else text
