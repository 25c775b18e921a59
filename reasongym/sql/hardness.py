"""How hard a query is, by Spider's four classes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from reasongym.core import UserError
from reasongym.sql.text import normal_form

try:
    import sqlglot
    from sqlglot import exp
except ImportError as error:
    raise UserError(f"SQL needs sqlglot: pip install 'reasongym[sql]' ({error})") from error

Node = Any  # sqlglot's name for the base of its tree has changed
HARDNESS = ("easy", "medium", "hard", "extra")


def hardness(sql: str) -> str:
    """``easy``, ``medium``, ``hard`` or ``extra``, from the parts that the outermost query is made of.

    Of several statements, the first one counts.

    Source: Yu et al. 2018; taoyds/spider ``evaluation.py`` (``eval_hardness``).
    Differs: the tree is sqlglot's, so a query that Spider's parser refuses is classed too.
    """
    try:
        tree: Node = sqlglot.parse_one(normal_form(sql), read="sqlite")
    except (sqlglot.errors.SqlglotError, RecursionError) as error:
        raise UserError(f"hardness: {sql[:200]!r} is no SQL that sqlglot reads") from error
    query = tree
    nested = 0
    while isinstance(query, exp.SetOperation):
        query, nested = query.this, nested + 1
    first, others = _clauses(tree, query), _others(query)
    nested += sum(1 for clause in _conditions(query) for node in _shallow(clause) if isinstance(node, exp.Query))
    return _class(first, nested, others)


def _class(first: int, nested: int, others: int) -> str:
    """Spider's table over its three counts."""
    if not nested and first <= 1 and others == 0:
        return "easy"
    if not nested and ((others <= 2 and first <= 1) or (first <= 2 and others < 2)):
        return "medium"
    flat_hard = (others > 2 and first <= 2) or (2 < first <= 3 and others <= 2)
    if (not nested and flat_hard) or (nested <= 1 and first <= 1 and others == 0):
        return "hard"
    return "extra"


def _clauses(whole: Node, query: Node) -> int:
    """Count 1: WHERE, GROUP BY, ORDER BY, LIMIT, joins, ORs and LIKEs."""
    clauses = sum(query.args.get(key) is not None for key in ("where", "group"))
    clauses += sum((query.args.get(key) or whole.args.get(key)) is not None for key in ("order", "limit"))
    clauses += len(query.args.get("joins") or ())
    return clauses + sum(
        isinstance(node, (exp.Or, exp.Like)) for clause in _conditions(query) for node in _shallow(clause)
    )


def _others(query: Node) -> int:
    """Count 3: more than one aggregate, selected column, WHERE condition and GROUP BY column."""
    group, where = query.args.get("group"), query.args.get("where")
    places = [*query.expressions, *filter(None, (where, group, query.args.get("order"), query.args.get("having")))]
    aggregates = sum(isinstance(node, exp.AggFunc) for place in places for node in _shallow(place))
    conditions = 1 + sum(isinstance(node, exp.Connector) for node in _shallow(where)) if where else 0
    several = (aggregates, len(query.expressions), conditions, len(group.expressions) if group else 0)
    return sum(count > 1 for count in several)


def _conditions(query: Node) -> list[Node]:
    """WHERE, HAVING and what the joins are on."""
    on = [join.args["on"] for join in query.args.get("joins") or () if join.args.get("on")]
    return [*on, *filter(None, (query.args.get("where"), query.args.get("having")))]


def _shallow(place: Node) -> Iterator[Node]:
    """The nodes of a clause, down to the queries inside it but not into them."""
    yield from place.walk(prune=lambda node: isinstance(node, exp.Query))
