"""Queries that are nearly right: every single change of a gold query, for judges and for tests of matching.

Whether a mutant is wrong is not known here: only executing both tells.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from reasongym.core import UserError

try:
    import sqlglot
    from sqlglot import exp
except ImportError as error:
    raise UserError(f"SQL needs sqlglot: pip install 'reasongym[sql]' ({error})") from error

Schema = Mapping[str, Sequence[str]]  # table to its columns
Node = Any  # sqlglot's name for the base of its tree has changed

_AGGREGATES = (exp.Avg, exp.Sum, exp.Min, exp.Max)
_COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE)
_SETS = (exp.Union, exp.Intersect, exp.Except)


class Mutant(NamedTuple):
    """A query and what was done to it: the name of one of `KINDS`."""

    kind: str
    sql: str


def canonical(sql: str) -> str:
    """The query as mutants are written, so that no style tells them apart. UserError where it cannot be read."""
    return str(_parse(sql).sql(dialect="sqlite"))


def mutants(sql: str, schema: Schema) -> list[Mutant]:
    """All distinct queries that differ from ``sql`` in one place, in a fixed order."""
    tree = _parse(sql)
    found: dict[str, Mutant] = {}
    for kind, number, option in _changes(tree, schema):
        text = _changed(tree, number, option)
        found.setdefault(text, Mutant(kind, text))
    found.pop(tree.sql(dialect="sqlite"), None)
    return list(found.values())


def mutate(sql: str, schema: Schema, rng: np.random.Generator) -> Mutant | None:
    """One of the `mutants`: first its kind is drawn, among those there are, then the change; None without any."""
    tree = _parse(sql)
    changes = _changes(tree, schema)
    while changes:
        kinds = sorted({kind for kind, *_ in changes})
        kind = kinds[int(rng.integers(len(kinds)))]
        of_kind = [i for i, change in enumerate(changes) if change[0] == kind]
        text = _changed(tree, *changes.pop(of_kind[int(rng.integers(len(of_kind)))])[1:])
        if text != tree.sql(dialect="sqlite"):
            return Mutant(kind, text)
    return None


_Change = tuple[str, int, Node]  # kind, number of a node in the walk, and what shall stand there


def _changes(tree: Node, schema: Schema) -> list[_Change]:
    names = {table.lower(): list(columns) for table, columns in schema.items()}
    return [
        (kind, number, option)
        for number, node in enumerate(tree.walk())
        for kind, options in KINDS.items()
        for option in options(node, names)
    ]


def _parse(sql: str) -> Node:
    try:
        tree: Node = sqlglot.parse_one(sql.strip().rstrip(";"), read="sqlite")
    except (sqlglot.errors.SqlglotError, RecursionError) as error:
        raise UserError(f"no SQL that sqlglot reads: {sql[:200]!r}") from error
    for ordered in tree.find_all(exp.Ordered):
        ordered.set("desc", ordered.args.get("desc") or None)  # ASC is not said, by mutants neither
    return tree


def _changed(tree: Node, number: int, option: Node) -> str:
    """The query whose node of this number is another one."""
    copy = tree.copy()
    if number == 0:
        copy = option
    else:
        next(node for i, node in enumerate(copy.walk()) if i == number).replace(option.copy())
    return str(copy.sql(dialect="sqlite"))


# --- what may be changed: each gives the nodes that may stand in a node's place


def _aggregate(node: Node, schema: Schema) -> list[Node]:
    if type(node) not in _AGGREGATES:
        return []
    return [other(this=node.this.copy()) for other in _AGGREGATES if other is not type(node)]


def _comparison(node: Node, schema: Schema) -> list[Node]:
    sides = [node.args.get("this"), node.args.get("expression")]
    if type(node) not in _COMPARISONS or all(isinstance(side, exp.Column) for side in sides):
        return []
    text = any(isinstance(side, exp.Literal) and side.is_string for side in sides)
    others = (exp.EQ, exp.NEQ) if text else _COMPARISONS
    return [o(this=node.this.copy(), expression=node.expression.copy()) for o in others if o is not type(node)]


def _column(node: Node, schema: Schema) -> list[Node]:
    """Another column of the same table; without a table's name, of any in the same FROM."""
    if type(node) is not exp.Column or not isinstance(node.this, exp.Identifier):
        return []
    select = node.find_ancestor(exp.Select)
    tables = _tables(select) if select else {}
    known = {alias: schema.get(name, []) for alias, name in tables.items()}
    own = [known.get(node.table.lower(), [])] if node.table else list(known.values())
    there = dict.fromkeys(c.lower() for columns in own for c in columns)
    if node.name.lower() not in there:  # not a column of this schema: an alias, or a text in double quotes
        return []
    return [exp.column(c, table=node.args.get("table")) for c in there if c != node.name.lower() and c != "*"]


def _tables(select: Node) -> dict[str, str]:
    """Alias to table of one SELECT's FROM and joins."""
    source = select.args.get("from_") or select.args.get("from")
    places = [source, *(select.args.get("joins") or ())]
    found = [place.this for place in places if place is not None and isinstance(place.this, exp.Table)]
    return {table.alias_or_name.lower(): table.name.lower() for table in found}


def _distinct(node: Node, schema: Schema) -> list[Node]:
    if type(node) is exp.Select:
        return [_with(node, distinct=None if node.args.get("distinct") else exp.Distinct())]
    if type(node) is not exp.Count or isinstance(node.this, exp.Star):
        return []
    inner = node.this
    plain = inner.expressions[0] if isinstance(inner, exp.Distinct) else exp.Distinct(expressions=[inner.copy()])
    return [exp.Count(this=plain.copy(), big_int=node.args.get("big_int"))]


def _number(node: Node, schema: Schema) -> list[Node]:
    if type(node) is not exp.Literal or node.is_string or not node.name.isdigit():
        return []
    return [exp.Literal.number(n) for n in (int(node.name) + 1, int(node.name) - 1) if n >= 0]


def _order(node: Node, schema: Schema) -> list[Node]:
    if type(node) is not exp.Ordered:
        return []
    falling = not node.args.get("desc")
    return [_with(node, desc=falling or None, nulls_first=not falling)]


def _connective(node: Node, schema: Schema) -> list[Node]:
    if type(node) not in (exp.And, exp.Or):
        return []
    other = exp.Or if type(node) is exp.And else exp.And
    return [other(this=node.this.copy(), expression=node.expression.copy())]


def _condition(node: Node, schema: Schema) -> list[Node]:
    """One condition less."""
    if type(node) in (exp.And, exp.Or):
        return [node.this.copy(), node.expression.copy()]
    clauses = [key for key in ("where", "having", "limit") if node.args.get(key)] if type(node) is exp.Select else []
    return [_with(node, **{key: None}) for key in clauses]


def _negation(node: Node, schema: Schema) -> list[Node]:
    if type(node) is exp.Not:
        return [node.this.copy()]
    inside = isinstance(node.parent, exp.Not)
    return [exp.Not(this=node.copy())] if type(node) in (exp.In, exp.Like, exp.Between) and not inside else []


def _set_operation(node: Node, schema: Schema) -> list[Node]:
    if type(node) not in _SETS:
        return []
    parts = {key: value for key, value in node.copy().args.items() if key != "distinct"}
    return [other(**parts, distinct=True) for other in _SETS if other is not type(node)]


def _with(node: Node, **changes: object) -> Node:
    copy = node.copy()
    for key, value in changes.items():
        copy.set(key, value)
    return copy


KINDS: dict[str, Callable[[Node, Schema], list[Node]]] = {
    "aggregate": _aggregate,
    "comparison": _comparison,
    "column": _column,
    "distinct": _distinct,
    "number": _number,
    "order": _order,
    "connective": _connective,
    "condition": _condition,
    "negation": _negation,
    "set": _set_operation,
}
