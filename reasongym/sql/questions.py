"""Questions in English with their gold queries, drawn in six levels over drawn databases."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any, NamedTuple

import numpy as np

from reasongym.core import UserError
from reasongym.sql.domains import DOMAINS, Attribute
from reasongym.sql.drawing import Side, World, draw

LEVELS = ("filter", "aggregate", "group", "join", "nested", "set")
TRIES = 500


class Posed(NamedTuple):
    """A question over a database, and the query that answers it."""

    question: str
    gold: str
    world: World
    level: int  # 1 is the first of LEVELS


class _Draw:
    """What the templates draw from: a world, and one stream of random numbers."""

    def __init__(self, rng: np.random.Generator, world: World) -> None:
        self.rng, self.world = rng, world

    def one(self, among: Sequence[Any]) -> Any:
        return among[int(self.rng.integers(len(among)))]

    def side(self) -> Side:
        return self.world.child if self.rng.random() < 0.75 else self.world.parent

    def number(self, side: Side) -> tuple[Attribute, str]:
        attribute = self.one(side.of("integer", "real", "year"))
        return attribute, side.columns[attribute.words]

    def category(self, side: Side) -> tuple[Attribute, str, str]:
        """A category, its column, and a value that occurs."""
        attribute = self.one(side.of("category"))
        column = side.columns[attribute.words]
        return attribute, column, self.one(side.rows)[column]

    def bound(self, side: Side, column: str) -> Any:
        """A value of a column that some rows are above, and some below."""
        values = sorted(row[column] for row in side.rows)
        return values[int(self.rng.integers(1, len(values) - 1))]


Made = tuple[str, str] | None
Template = Callable[[_Draw], Made]


def pose(rng: np.random.Generator, level: int = 0, domains: Sequence[str] = tuple(DOMAINS)) -> Posed:
    """A question of a level (1 to 6, see `LEVELS`; 0 is any of them), pure in (rng, level).

    The gold query's result is never empty, and no question has two answers: a superlative has no ties.
    """
    if not 0 <= level <= len(LEVELS):
        raise UserError(
            f"sql: level={level} must be from 1 ({LEVELS[0]}) to {len(LEVELS)} ({LEVELS[-1]}), or 0 for any"
        )
    level = level or int(rng.integers(1, len(LEVELS) + 1))
    for _ in range(TRIES):
        world = draw(rng, domains)
        templates = TEMPLATES[level - 1]
        made = templates[int(rng.integers(len(templates)))](_Draw(rng, world))
        if made is not None and _tells(world.script, made[1]):
            return Posed(made[0], made[1], world, level)
    raise AssertionError("no question was found")


def _tells(script: str, gold: str) -> bool:
    """Whether the gold query gives something: not nothing, and not a single NULL."""
    with closing(sqlite3.connect(":memory:")) as database:
        database.executescript(script)
        rows = database.execute(gold).fetchmany(2)
    return bool(rows) and rows[0] != (None,)


# --- level 1: filter and order


def _where_category(d: _Draw) -> Made:
    s = d.side()
    (a, c, v), (n, m) = d.category(s), d.number(s)
    return (
        f"List the name and the {n.words} of every {s.entity.one} whose {a.words} is {v}.",
        f"SELECT {s.name}, {m} FROM {s.table.name} WHERE {c} = '{v}'",
    )


_COMPARED = (("more than", ">"), ("less than", "<"), ("at least", ">="), ("at most", "<="))


def _where_number(d: _Draw) -> Made:
    s = d.side()
    n, m = d.number(s)
    (words, sign), k = d.one(_COMPARED), d.bound(s, m)
    return (
        f"Which {s.entity.many} have a {n.words} of {words} {k}? Give their names.",
        f"SELECT {s.name} FROM {s.table.name} WHERE {m} {sign} {k}",
    )


def _where_both(d: _Draw) -> Made:
    s = d.side()
    (a, c, v), (n, m) = d.category(s), d.number(s)
    (words, sign), k = d.one(_COMPARED), d.bound(s, m)
    either = d.rng.random() < 0.5
    return (
        f"Give the names of the {s.entity.many} whose {a.words} is {v} {'or' if either else 'and'} whose {n.words} is "
        f"{words} {k}.",
        f"SELECT {s.name} FROM {s.table.name} WHERE {c} = '{v}' {'OR' if either else 'AND'} {m} {sign} {k}",
    )


def _in_order(d: _Draw) -> Made:
    s = d.side()
    (n, m), falls = d.number(s), d.rng.random() < 0.5
    return (
        f"List the names of all {s.entity.many}, from the {'highest' if falls else 'lowest'} {n.words} to the "
        f"{'lowest' if falls else 'highest'}.",
        f"SELECT {s.name} FROM {s.table.name} ORDER BY {m}{' DESC' if falls else ''}",
    )


def _superlative(d: _Draw) -> Made:
    s = d.side()
    (n, m), falls = d.number(s), d.rng.random() < 0.5
    return (
        f"What is the name of the {s.entity.one} with the {'highest' if falls else 'lowest'} {n.words}?",
        f"SELECT {s.name} FROM {s.table.name} ORDER BY {m}{' DESC' if falls else ''} LIMIT 1",
    )


# --- level 2: one aggregate

_AGGREGATES = (("average", "avg"), ("total", "sum"), ("highest", "max"), ("lowest", "min"))
_OF_YEARS = (("latest", "max"), ("earliest", "min"))


def _some_aggregate(d: _Draw, number: Attribute) -> tuple[str, str]:
    return d.one(_OF_YEARS if number.kind == "year" else _AGGREGATES)  # type: ignore[no-any-return]


def _count_where(d: _Draw) -> Made:
    s = d.side()
    a, c, v = d.category(s)
    return (
        f"How many {s.entity.many} are there whose {a.words} is {v}?",
        f"SELECT count(*) FROM {s.table.name} WHERE {c} = '{v}'",
    )


def _count_number(d: _Draw) -> Made:
    s = d.side()
    n, m = d.number(s)
    (words, sign), k = d.one(_COMPARED), d.bound(s, m)
    return (
        f"How many {s.entity.many} have a {n.words} of {words} {k}?",
        f"SELECT count(*) FROM {s.table.name} WHERE {m} {sign} {k}",
    )


def _aggregate(d: _Draw) -> Made:
    s = d.side()
    n, m = d.number(s)
    words, function = _some_aggregate(d, n)
    return f"What is the {words} {n.words} of all {s.entity.many}?", f"SELECT {function}({m}) FROM {s.table.name}"


def _aggregate_where(d: _Draw) -> Made:
    s = d.side()
    (a, c, v), (n, m) = d.category(s), d.number(s)
    words, function = _some_aggregate(d, n)
    return (
        f"What is the {words} {n.words} of the {s.entity.many} whose {a.words} is {v}?",
        f"SELECT {function}({m}) FROM {s.table.name} WHERE {c} = '{v}'",
    )


def _count_distinct(d: _Draw) -> Made:
    s = d.side()
    a, c, _ = d.category(s)
    return (
        f"How many different values of {a.words} are there among the {s.entity.many}?",
        f"SELECT count(DISTINCT {c}) FROM {s.table.name}",
    )


# --- level 3: groups


def _count_each(d: _Draw) -> Made:
    s = d.side()
    a, c, _ = d.category(s)
    return (
        f"For each {a.words}, how many {s.entity.many} are there? Give the {a.words} and the number.",
        f"SELECT {c}, count(*) FROM {s.table.name} GROUP BY {c}",
    )


def _aggregate_each(d: _Draw) -> Made:
    s = d.side()
    (a, c, _), (n, m) = d.category(s), d.number(s)
    words, function = _some_aggregate(d, n)
    return (
        f"For each {a.words}, what is the {words} {n.words} of the {s.entity.many}? Give the {a.words} and the value.",
        f"SELECT {c}, {function}({m}) FROM {s.table.name} GROUP BY {c}",
    )


def _having(d: _Draw) -> Made:
    s = d.side()
    a, c, _ = d.category(s)
    counts = sorted(Counter(row[c] for row in s.rows).values())
    if counts[0] == counts[-1]:
        return None
    return (
        f"Which values of {a.words} occur among at least {counts[-1]} {s.entity.many}?",
        f"SELECT {c} FROM {s.table.name} GROUP BY {c} HAVING count(*) >= {counts[-1]}",
    )


def _most_common(d: _Draw) -> Made:
    s = d.side()
    a, c, _ = d.category(s)
    if not _alone([row[c] for row in s.rows]):
        return None
    return (
        f"Which {a.words} is the most common among the {s.entity.many}?",
        f"SELECT {c} FROM {s.table.name} GROUP BY {c} ORDER BY count(*) DESC LIMIT 1",
    )


def _alone(values: Sequence[Any]) -> bool:
    """Whether one value is the most common."""
    counts = sorted(Counter(values).values())
    return len(counts) > 1 and counts[-1] > counts[-2]


# --- level 4: joins


def _joined(d: _Draw) -> tuple[Side, Side, str]:
    p, c = d.world.parent, d.world.child
    return p, c, f"{c.table.name} AS a JOIN {p.table.name} AS b ON a.{d.world.link} = b.{p.key}"


def _with_parent(d: _Draw) -> Made:
    p, c, both = _joined(d)
    n, m = d.number(c)
    k = d.bound(c, m)
    return (
        f"List the name of each {c.entity.one} whose {n.words} is more than {k}, together with the name of its "
        f"{p.entity.one}.",
        f"SELECT a.{c.name}, b.{p.name} FROM {both} WHERE a.{m} > {k}",
    )


def _where_parent(d: _Draw) -> Made:
    p, c, both = _joined(d)
    a, column, v = d.category(p)
    return (
        f"Give the names of the {c.entity.many} that belong to a {p.entity.one} whose {a.words} is {v}.",
        f"SELECT a.{c.name} FROM {both} WHERE b.{column} = '{v}'",
    )


def _count_per_parent(d: _Draw) -> Made:
    p, c, both = _joined(d)
    return (
        f"How many {c.entity.many} does each {p.entity.one} have? Give the {p.entity.one}'s name and the number, and "
        f"leave out {p.entity.many} without any.",
        f"SELECT b.{p.name}, count(*) FROM {both} GROUP BY b.{p.key}",
    )


def _aggregate_of_parent(d: _Draw) -> Made:
    p, c, both = _joined(d)
    n, m = d.number(c)
    words, function = _some_aggregate(d, n)
    owner = p.rows[d.one(c.rows)[d.world.link] - 1][p.name]
    return (
        f"What is the {words} {n.words} of the {c.entity.many} that belong to the {p.entity.one} {owner}?",
        f"SELECT {function}(a.{m}) FROM {both} WHERE b.{p.name} = '{owner}'",
    )


def _most_children(d: _Draw) -> Made:
    p, c, both = _joined(d)
    if not _alone([row[d.world.link] for row in c.rows]):
        return None
    return (
        f"What is the name of the {p.entity.one} with the most {c.entity.many}?",
        f"SELECT b.{p.name} FROM {both} GROUP BY b.{p.key} ORDER BY count(*) DESC LIMIT 1",
    )


# --- level 5: nested queries


def _above_average(d: _Draw) -> Made:
    s = d.side()
    (n, m), above = d.number(s), d.rng.random() < 0.5
    return (
        f"Which {s.entity.many} have a {n.words} {'above' if above else 'below'} the average? Give their names.",
        f"SELECT {s.name} FROM {s.table.name} WHERE {m} {'>' if above else '<'} (SELECT avg({m}) FROM {s.table.name})",
    )


def _without_child(d: _Draw) -> Made:
    p, c = d.world.parent, d.world.child
    return (
        f"Give the names of the {p.entity.many} that have no {c.entity.one}.",
        f"SELECT {p.name} FROM {p.table.name} WHERE {p.key} NOT IN (SELECT {d.world.link} FROM {c.table.name})",
    )


def _best_where(d: _Draw) -> Made:
    s = d.side()
    (a, c, v), (n, m) = d.category(s), d.number(s)
    where = f"{c} = '{v}'"
    return (
        f"Among the {s.entity.many} whose {a.words} is {v}, what is the name of the one with the highest {n.words}?",
        f"SELECT {s.name} FROM {s.table.name} WHERE {where} AND {m} = "
        f"(SELECT max({m}) FROM {s.table.name} WHERE {where})",
    )


def _has_child(d: _Draw) -> Made:
    p, c = d.world.parent, d.world.child
    n, m = d.number(c)
    k = d.bound(c, m)
    return (
        f"Give the names of the {p.entity.many} that have a {c.entity.one} whose {n.words} is more than {k}.",
        f"SELECT {p.name} FROM {p.table.name} WHERE {p.key} IN "
        f"(SELECT {d.world.link} FROM {c.table.name} WHERE {m} > {k})",
    )


# --- level 6: set operations


def _both_sides(d: _Draw) -> Made:
    s = d.side()
    (a, c, _), (n, m) = d.category(s), d.number(s)
    k = d.bound(s, m)
    return (
        f"Which values of {a.words} occur both among the {s.entity.many} whose {n.words} is more than {k} and among "
        f"those whose {n.words} is less than {k}?",
        f"SELECT {c} FROM {s.table.name} WHERE {m} > {k} INTERSECT SELECT {c} FROM {s.table.name} WHERE {m} < {k}",
    )


def _one_side(d: _Draw) -> Made:
    s = d.side()
    (a, c, _), (n, m) = d.category(s), d.number(s)
    k = d.bound(s, m)
    return (
        f"Which values of {a.words} occur among the {s.entity.many} whose {n.words} is at least {k}, but not among "
        f"those whose {n.words} is less than {k}?",
        f"SELECT {c} FROM {s.table.name} WHERE {m} >= {k} EXCEPT SELECT {c} FROM {s.table.name} WHERE {m} < {k}",
    )


def _parent_with_both(d: _Draw) -> Made:
    p, c, both = _joined(d)
    attribute = d.one(c.of("category"))
    column = c.columns[attribute.words]
    there = sorted({row[column] for row in c.rows})
    if len(there) < 2:
        return None
    one, two = (there[i] for i in d.rng.permutation(len(there))[:2])
    part = f"SELECT b.{p.name} FROM {both} WHERE a.{column} = "
    return (
        f"Give the names of the {p.entity.many} that have a {c.entity.one} whose {attribute.words} is {one} and also "
        f"one whose {attribute.words} is {two}.",
        f"{part}'{one}' INTERSECT {part}'{two}'",
    )


def _either(d: _Draw) -> Made:
    p, c = d.world.parent, d.world.child
    (n, m), (a, column, v) = d.number(c), d.category(p)
    k = d.bound(c, m)
    return (
        f"Make one list, without repetitions, of the names of the {p.entity.many} whose {a.words} is {v} and the names "
        f"of the {c.entity.many} whose {n.words} is more than {k}.",
        f"SELECT {p.name} FROM {p.table.name} WHERE {column} = '{v}' UNION "
        f"SELECT {c.name} FROM {c.table.name} WHERE {m} > {k}",
    )


TEMPLATES: tuple[tuple[Template, ...], ...] = (
    (_where_category, _where_number, _where_both, _in_order, _superlative),
    (_count_where, _count_number, _aggregate, _aggregate_where, _count_distinct),
    (_count_each, _aggregate_each, _having, _most_common),
    (_with_parent, _where_parent, _count_per_parent, _aggregate_of_parent, _most_children),
    (_above_average, _without_child, _best_where, _has_child),
    (_both_sides, _one_side, _parent_with_both, _either),
)
