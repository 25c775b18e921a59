r"""When two answers are the same.

Exactly, never nearly: 0.333 is not 1/3 and 3.14 is not \pi, whichever of the two is gold. Beyond that:

* **Numerals** compare by value: 1,000 = 1000 = 10^3, 0.5 = 1/2 = 2/4, 1 3/4 = 7/4. A number as gold wants a numeral:
  ``2 + 3`` or ``\log_2 32`` for 5 is the question, not its answer. A gold expression wants any equal one.
* **Units** are dropped where only one side has one, and must agree where both do. A dollar and a degree are units, and
  90° is also \pi/2. So is a percent sign: 50% is 50, and is never 0.5, where the gold answer is a bare number; the gold
  answer 50% itself may be given as 50%, as 50, and as its value, 0.5 or 1/2.
* **Tuples, intervals, matrices, ratios** compare in order, with their brackets; **sets and bare lists** ("1, 2",
  "1 and 2", "\{2, 1\}", "\pm 1") without order but with multiplicity; an interval may be said as an inequality.
* **x = 5** is 5, and is not y = 5. Other equations are the same if they differ by a constant factor.
* **Words** ignore case; **letters of choices**, as in (A), A. or "Option A", do not. Two or three small letters are a
  product where the other side is an expression: xy is x*y and, as two words, not yx.
"""

from __future__ import annotations

from typing import Protocol

from reasongym.answers.notation import Equation, Group, Scalar, Value, Word


class Decider(Protocol):
    """Decides about LaTeX by algebra: two expressions, or the two sides of two equations."""

    def __call__(self, gold: tuple[str, ...], answer: tuple[str, ...]) -> bool: ...


def same(gold: Value, answer: Value, algebra: Decider) -> bool:
    """Whether ``answer`` is the same as ``gold``."""
    gold, answer = _only(gold), _only(answer)
    if isinstance(gold, Equation) or isinstance(answer, Equation):
        return _equations(gold, answer, algebra)
    if {type(gold), type(answer)} == {Word, Scalar}:
        gold, answer = _product(gold), _product(answer)
    if isinstance(gold, Scalar) and isinstance(answer, Scalar):
        return _scalars(gold, answer, algebra)
    if isinstance(gold, Group) and isinstance(answer, Group):
        return _groups(gold, answer, algebra)
    return gold == answer


def _only(value: Value) -> Value:
    """A set or a list of one thing is that thing."""
    while isinstance(value, Group) and value.kind == "{}" and len(value.items) == 1:
        value = value.items[0]
    return value


def _product(value: Value) -> Value:
    return Scalar(value.text) if isinstance(value, Word) and value.product else value


def _equations(gold: Value, answer: Value, algebra: Decider) -> bool:
    if isinstance(gold, Equation) and isinstance(answer, Equation):
        if gold.left.replace(" ", "") == answer.left.replace(" ", ""):
            return same(gold.right, answer.right, algebra)
        if not (isinstance(gold.right, Scalar) and isinstance(answer.right, Scalar)):
            return False
        return algebra((gold.left, gold.right.expression), (answer.left, answer.right.expression))
    if isinstance(answer, Equation):
        return answer.name and same(gold, answer.right, algebra)
    assert isinstance(gold, Equation)
    return gold.name and same(gold.right, answer, algebra)


def _groups(gold: Group, answer: Group, algebra: Decider) -> bool:
    if gold.kind != answer.kind or len(gold.items) != len(answer.items):
        return False
    if gold.kind not in ("{}", "cup"):
        return all(same(g, a, algebra) for g, a in zip(gold.items, answer.items, strict=True))
    left = list(answer.items)
    for item in gold.items:
        at = next((i for i, other in enumerate(left) if same(item, other, algebra)), None)
        if at is None:
            return False
        del left[at]
    return True


def _scalars(gold: Scalar, answer: Scalar, algebra: Decider) -> bool:
    if {gold.unit, answer.unit} in ({"°", ""}, {"°", "radian"}, {"°", "rad"}) and _is_angle(gold) != _is_angle(answer):
        return algebra((_radians(gold),), (_radians(answer),))
    if gold.unit and answer.unit and gold.unit != answer.unit:
        return False
    if gold.number is not None:
        values = {gold.number, gold.number / 100} if gold.unit == "%" and not answer.unit else {gold.number}
        return answer.number in values
    return gold.latex.replace(" ", "") == answer.latex.replace(" ", "") or algebra(
        (gold.expression,), (answer.expression,)
    )


def _is_angle(value: Scalar) -> bool:
    r"""Whether this is said in radians, by a \pi."""
    return r"\pi" in value.latex and value.unit != "°"


def _radians(value: Scalar) -> str:
    return value.latex if _is_angle(value) else rf"({value.expression}) \cdot \frac{{\pi}}{{180}}"
