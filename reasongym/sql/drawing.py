"""Databases of the embedded questions, drawn: a schema in one of several styles, and its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from reasongym.sql.domains import DOMAINS, Attribute, Entity
from reasongym.sql.invented import INVENTED, invent
from reasongym.sql.schema import Table

STYLES = ("snake", "camel", "plural", "prefix")
_TYPES = {"category": "TEXT", "integer": "INTEGER", "real": "REAL", "year": "INTEGER"}


@dataclass(frozen=True)
class Side:
    """One table of a drawn database: what it is about, its names, and its rows, by column."""

    entity: Entity
    table: Table
    key: str
    name: str  # the column of the names
    columns: dict[str, str]  # an attribute's words to its column
    rows: list[dict[str, Any]]

    def of(self, *kinds: str) -> list[Attribute]:
        """The attributes of these kinds that this table has."""
        return [a for a in self.entity.attributes if a.kind in kinds and a.words in self.columns]


@dataclass(frozen=True)
class World:
    """A drawn database: parents, children, and the column of the children that says whose they are."""

    parent: Side
    child: Side
    link: str

    @property
    def tables(self) -> tuple[Table, Table]:
        return self.parent.table, self.child.table

    @property
    def script(self) -> str:
        """The statements that make it."""
        inserts = [_insert(side) for side in (self.parent, self.child)]
        return "\n".join([*(table.create() for table in self.tables), *inserts])


def draw(rng: np.random.Generator, domains: Sequence[str]) -> World:
    """A database of one of these domains (`INVENTED` is another one each time), pure in ``rng``."""
    name = domains[int(rng.integers(len(domains)))]
    domain = invent(rng) if name == INVENTED else DOMAINS[name]
    style = STYLES[int(rng.integers(len(STYLES)))]
    parents, children = int(rng.integers(4, 8)), int(rng.integers(10, 19))
    parent = _side(rng, domain.parent, style, parents)
    link = _styled(f"{domain.parent.one} id", style, domain.child.one)
    owners = rng.integers(1, parents + 1, children)
    # One parent in three databases or so has no child at all.
    owners[owners == int(rng.integers(1, 3 * parents))] = 1
    child = _side(rng, domain.child, style, children, (link, [int(i) for i in owners], parent))
    return World(parent, child, link)


def _side(
    rng: np.random.Generator, entity: Entity, style: str, n: int, link: tuple[str, list[int], Side] | None = None
) -> Side:
    attributes = _some(rng, entity.attributes)
    key, name = _styled("id", style, entity.one), _styled("name", style, entity.one)
    columns = {a.words: _styled(a.words, style, entity.one) for a in attributes}
    rows: list[dict[str, Any]] = [{key: i + 1, name: text} for i, text in enumerate(_names(rng, entity, n))]
    for a in attributes:
        for row, value in zip(rows, _values(rng, a, n), strict=True):
            row[columns[a.words]] = value
    typed = [(key, "INTEGER"), (name, "TEXT"), *((columns[a.words], _TYPES[a.kind]) for a in attributes)]
    references: tuple[tuple[str, str, str], ...] = ()
    if link:
        column, owners, parent = link
        typed.append((column, "INTEGER"))
        references = ((column, parent.table.name, parent.key),)
        for row, owner in zip(rows, owners, strict=True):
            row[column] = owner
    table = Table(_table_name(entity, style), tuple(typed), (key,), references)
    return Side(entity, table, key, name, columns, rows)


def _some(rng: np.random.Generator, attributes: Sequence[Attribute]) -> list[Attribute]:
    """A category and a number at least, and each of the others with three chances in four; in any order."""
    first = [next(a for a in attributes if (a.kind == "category") is wanted) for wanted in (True, False)]
    kept = [a for a in attributes if a in first or rng.random() < 0.75]
    return [kept[i] for i in rng.permutation(len(kept))]


def _values(rng: np.random.Generator, attribute: Attribute, n: int) -> list[Any]:
    """Categories with repetitions, some of them not there; numbers without, so that no superlative is ambiguous."""
    if attribute.kind == "category":
        few = rng.permutation(len(attribute.values))[: int(rng.integers(2, 5))]
        return [attribute.values[few[int(i)]] for i in rng.integers(0, len(few), n)]
    if attribute.kind == "real":
        cents = rng.choice((attribute.high - attribute.low) * 10, n, replace=False)
        return [round(attribute.low + int(c) / 10, 1) for c in cents]
    return [int(i) for i in attribute.low + rng.choice(attribute.high - attribute.low + 1, n, replace=False)]


def _names(rng: np.random.Generator, entity: Entity, n: int) -> list[str]:
    pairs = rng.choice(len(entity.first) * len(entity.last), n, replace=False)
    return [f"{entity.first[int(i) // len(entity.last)]} {entity.last[int(i) % len(entity.last)]}" for i in pairs]


def _styled(words: str, style: str, entity: str) -> str:
    """A column's name: birth_year, BirthYear, or author_birth_year."""
    words = words.removeprefix("number of ").replace("number in ", "")
    if style == "camel":
        return words.title().replace(" ", "")
    name = words.replace(" ", "_")
    return f"{entity}_{name}" if style == "prefix" and not name.startswith(f"{entity}_") else name


def _table_name(entity: Entity, style: str) -> str:
    return {"camel": entity.one.title(), "plural": entity.many}.get(style, entity.one)


def _insert(side: Side) -> str:
    rows = [", ".join(_literal(row[name]) for name, _ in side.table.columns) for row in side.rows]
    return f"INSERT INTO {side.table.name} VALUES\n" + ",\n".join(f"  ({row})" for row in rows) + ";"


def _literal(value: Any) -> str:
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)
