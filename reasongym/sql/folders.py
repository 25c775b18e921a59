"""Text-to-SQL data sets as folders: Spider's layout, BIRD's, and rows in .jsonl beside databases."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reasongym.core import UserError
from reasongym.rows import Row, read_rows
from reasongym.sql.schema import Table, from_spider, shown

_ROWS = ("{}.jsonl", "{}.json", "{}_spider.json", "{}_data.json")
_TABLES = ("{}_tables.json", "{}_tables/tables.json", "tables.json")  # the split's own first
_DATABASES = ("{}_database", "{}_databases/{}_databases", "{}_databases", "database", "databases")
_DIFFICULTIES = ("simple", "moderate", "challenging")


@dataclass(frozen=True)
class Item:
    """A question, its gold query, its database's file and tables."""

    question: str
    gold: str
    path: str
    tables: tuple[Table, ...]
    evidence: str = ""
    difficulty: int = 0  # BIRD's own, from 1; 0 where the data set says nothing


def read(source: str, split: str) -> list[Item]:
    """The questions of a split.

    ``source`` has ``dev.json`` and ``train_spider.json``, ``tables.json`` and ``database/ID/ID.sqlite`` (Spider), or
    ``dev.json``, ``dev_tables.json`` and ``dev_databases/ID/ID.sqlite`` (BIRD); ``.jsonl`` does for ``.json``. What is
    named for the split goes first (Spider's ``test_tables.json`` and ``test_database``). The databases' paths begin
    with ``source`` as it is given, and are not opened here.
    """
    folder = Path(source).expanduser()
    if not folder.is_dir():
        raise UserError(
            f"sql: {source!r} is no folder: give one in Spider's or BIRD's layout, or none for drawn questions"
        )
    rows = _rows(folder, split)
    described = _first(folder, split, _TABLES, "description of the tables")
    tables = _tables(described, {str(row.get("db_id")) for row in rows})
    databases = _first(folder, split, _DATABASES, "folder of databases")
    where = Path(source) / databases.relative_to(folder)
    return [_item(n, row, where, tables) for n, row in enumerate(rows, 1)]


def _item(n: int, row: Row, where: Path, tables: dict[str, tuple[Table, ...]]) -> Item:
    name, gold = row.get("db_id"), row.get("query", row.get("SQL"))
    if not isinstance(name, str) or not isinstance(gold, str) or not isinstance(row.get("question"), str):
        raise UserError(f"sql: row {n} must have db_id, question and query (or SQL); it has {', '.join(map(str, row))}")
    if name not in tables:
        raise UserError(f"sql: row {n}: the tables of the database {name!r} are not described")
    difficulty = row.get("difficulty")
    level = _DIFFICULTIES.index(difficulty) + 1 if difficulty in _DIFFICULTIES else 0
    path = str(where / name / f"{name}.sqlite")
    return Item(row["question"].strip(), gold.strip(), path, tables[name], str(row.get("evidence") or ""), level)


def _rows(folder: Path, split: str) -> list[Row]:
    path = _first(folder, split, _ROWS, "file of questions")
    if path.suffix == ".jsonl":
        return read_rows(str(path), ("db_id", "question"))
    found = _json(path)
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise UserError(f"{path}: this is not a list of objects")
    return found


def _tables(path: Path, names: set[str]) -> dict[str, tuple[Table, ...]]:
    """What the file says of these databases."""
    found = _json(path)
    if not isinstance(found, list) or not all(isinstance(e, dict) and isinstance(e.get("db_id"), str) for e in found):
        raise UserError(f"{path}: this is not a list of objects, each with its db_id")
    return {entry["db_id"]: _described(path, entry) for entry in found if entry["db_id"] in names}


def _described(path: Path, entry: dict[str, Any]) -> tuple[Table, ...]:
    try:
        tables = from_spider(entry)
        shown(tables, "create")  # which needs names that are texts
    except (LookupError, TypeError, ValueError) as error:
        raise UserError(
            f"{path}: the database {entry['db_id']!r} is not described as Spider does: {error!r}"
        ) from error
    return tables


def _first(folder: Path, split: str, patterns: Sequence[str], what: str) -> Path:
    names = [pattern.format(split, split) for pattern in patterns]
    found = next((folder / name for name in names if (folder / name).exists()), None)
    if found is None:
        raise UserError(f"{folder}: there is no {what}: none of {', '.join(names)}")
    return found


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: this is not JSON ({error})") from error
