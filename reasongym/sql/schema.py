"""Tables as a prompt shows them, and as Spider's tables.json tells them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_TYPES = {"number": "NUMERIC", "text": "TEXT", "time": "DATETIME", "boolean": "BOOLEAN"}
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Table:
    """One table: (name, type) of each column, its key, and (column, table, column) of each reference."""

    name: str
    columns: tuple[tuple[str, str], ...]
    key: tuple[str, ...] = ()
    references: tuple[tuple[str, str, str], ...] = ()

    def create(self) -> str:
        """Its CREATE TABLE statement."""
        lines = [f"{quoted(name)} {kind}".rstrip() for name, kind in self.columns]
        if self.key:
            lines.append(f"PRIMARY KEY ({', '.join(map(quoted, self.key))})")
        for column, table, other in self.references:
            lines.append(f"FOREIGN KEY ({quoted(column)}) REFERENCES {quoted(table)} ({quoted(other)})")
        return f"CREATE TABLE {quoted(self.name)} (\n" + ",\n".join(f"  {line}" for line in lines) + "\n);"

    def line(self) -> str:
        """Its name and its columns on one line, as a comment."""
        return f"-- {self.name}: {', '.join(name for name, _ in self.columns)}".lower()


def shown(tables: Sequence[Table], form: str) -> str:
    """The tables in a prompt, by ``form``: ``"create"`` for statements, ``"line"`` for a line each.

    Source (``"line"``): arXiv 2505.03786; llm-planning-eval's prompts: names alone, in lower case, in a comment.
    Differs: none that is known.
    """
    return "\n".join(table.create() if form == "create" else table.line() for table in tables)


def names(tables: Sequence[Table]) -> dict[str, list[str]]:
    """Table to its columns."""
    return {table.name: [name for name, _ in table.columns] for table in tables}


def from_spider(entry: Mapping[str, Any]) -> tuple[Table, ...]:
    """The tables of one database, from its object in tables.json."""
    columns = entry["column_names_original"]
    tables = entry["table_names_original"]
    keys = [k for key in entry["primary_keys"] for k in (key if isinstance(key, list) else [key])]
    types = [_TYPES.get(kind, "") for kind in entry["column_types"]]

    def table(i: int) -> Table:
        mine = [(name, types[n]) for n, (t, name) in enumerate(columns) if t == i]
        to = [
            (columns[a][1], tables[columns[b][0]], columns[b][1])
            for a, b in entry["foreign_keys"]
            if columns[a][0] == i
        ]
        return Table(tables[i], tuple(mine), tuple(columns[k][1] for k in keys if columns[k][0] == i), tuple(to))

    return tuple(table(i) for i in range(len(tables)))


def quoted(name: str) -> str:
    """A name as SQL needs it: in double quotes where it is more than letters, digits and underscores, or a keyword."""
    if _PLAIN.fullmatch(name) and name.lower() not in _KEYWORDS:
        return name
    return '"' + name.replace('"', '""') + '"'


_KEYWORDS = frozenset(
    "add all alter and as between by case check column commit constraint create default delete desc distinct drop else "
    "end except exists foreign from group having in index insert intersect into is join key left limit match not null "
    "of offset on or order primary references select set table then to transaction union unique update using values "
    "when where".split()
)
