"""Arithmetic: nested integer expressions with + - *, as hard as you like."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from reasongym import answers
from reasongym.core import Problem, UserError, Verdict

LONGEST = 4000  # digits of the longest possible answer; Python refuses to print more than 4300


class Node(NamedTuple):
    """An operator over two expressions; a leaf is an int."""

    operator: str
    left: Expression
    right: Expression


Expression = int | Node
_OPERATORS: dict[type[ast.operator], str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*"}


@dataclass(frozen=True)
class Arithmetic:
    """The value of a random expression: ``terms`` integers of up to ``digits`` digits, joined by ``operators``.

    The parse tree is random, so the parentheses nest. Level k adds k terms, and one digit for every
    two levels. ``Arithmetic(digits=6, terms=8)`` is beyond what one multiplies by hand.
    """

    terms: int = 3
    digits: int = 2
    operators: str = "+-*"

    def __post_init__(self) -> None:
        if self.terms < 2 or self.digits < 1:
            raise UserError(f"arithmetic: terms={self.terms}, digits={self.digits} must be at least 2 and 1")
        if not self.operators or set(self.operators) - set("+-*"):
            raise UserError(f"arithmetic: operators={self.operators!r} must be some of '+-*'")

    def sample(self, rng: np.random.Generator, level: int = 0) -> Problem:
        terms, digits = self.terms + level, self.digits + level // 2
        if level < 0 or terms * digits > LONGEST:
            raise UserError(f"arithmetic: level={level} must be at least 0 and give at most {LONGEST} digits in all")
        expression = _grow(rng, terms, digits, self.operators)
        prompt = f"Compute {_text(expression)}. Give the final answer as an integer in \\boxed{{}}."
        return Problem.of(prompt, _value(expression), level, expression=_text(expression))

    def verify(self, problem: Problem, text: str) -> Verdict:
        return answers.check(text, problem.answer)

    def demonstrate(self, problem: Problem, rng: np.random.Generator) -> str:
        """One operation a line, innermost and leftmost first, and the boxed value."""
        lines: list[str] = []
        expression = _tree(ast.parse(problem.data["expression"], mode="eval").body)
        while isinstance(expression, Node):
            step, expression = _reduce(expression)
            rest = f", which leaves {_text(expression)}" if isinstance(expression, Node) else ""
            lines.append(f"{step}{rest}.")
        return "\n".join([*lines, f"The answer is \\boxed{{{expression}}}."])


def make(**kw: Any) -> Arithmetic:
    return Arithmetic(**kw)


def _grow(rng: np.random.Generator, terms: int, digits: int, operators: str) -> Expression:
    if terms == 1:
        return _integer(rng, digits)
    left = int(rng.integers(1, terms))
    operator = operators[int(rng.integers(len(operators)))]
    return Node(operator, _grow(rng, left, digits, operators), _grow(rng, terms - left, digits, operators))


def _integer(rng: np.random.Generator, digits: int) -> int:
    """Uniform in 1 .. 10^digits - 1, drawn by digits since an int64 has room for 18 only."""
    while True:
        value = int("".join(map(str, rng.integers(10, size=digits))))
        if value:
            return value


def _value(expression: Expression) -> int:
    if not isinstance(expression, Node):
        return expression
    return _apply(expression.operator, _value(expression.left), _value(expression.right))


def _apply(operator: str, left: int, right: int) -> int:
    if operator == "*":
        return left * right
    return left + right if operator == "+" else left - right


def _text(expression: Expression) -> str:
    if not isinstance(expression, Node):
        return str(expression)
    left, right = _inside(expression.left, expression.operator), _inside(expression.right, expression.operator, True)
    return f"{left} {expression.operator} {right}"


def _inside(child: Expression, parent: str, on_the_right: bool = False) -> str:
    """A child's text, in parentheses where leaving them out would change the tree (or look odd: - -3)."""
    text = _text(child)
    if not isinstance(child, Node):
        return f"({text})" if child < 0 and on_the_right else text
    looser = parent == "*" and child.operator != "*"
    equal = (parent == "*") == (child.operator == "*")
    return f"({text})" if looser or (equal and on_the_right) else text


def _tree(node: ast.expr) -> Expression:
    """The expression of a Python syntax tree: `_text` backwards."""
    if isinstance(node, ast.BinOp):
        return Node(_OPERATORS[type(node.op)], _tree(node.left), _tree(node.right))
    return int(ast.literal_eval(node))


def _reduce(node: Node) -> tuple[str, Expression]:
    """One operation on two integers done: its line, and the expression that is left."""
    if isinstance(node.left, Node):
        step, left = _reduce(node.left)
        return step, node._replace(left=left)
    if isinstance(node.right, Node):
        step, right = _reduce(node.right)
        return step, node._replace(right=right)
    value = _apply(node.operator, node.left, node.right)
    return f"{_text(node)} = {value}", value
