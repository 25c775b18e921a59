"""Rows of a data set: from a local file or folder, or from a hub, with the fields that a caller needs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from reasongym.core import UserError

Row = dict[str, Any]

_SUFFIXES = (".jsonl", ".parquet")


def read_rows(source: str, fields: Sequence[str], split: str = "train") -> list[Row]:
    """The rows of ``source``, each with all of ``fields`` (and whatever else it has).

    ``source`` is a .jsonl or .parquet file; a folder, of which ``SPLIT.jsonl`` or ``SPLIT.parquet`` is read; or the
    id of a data set on a hub, "owner/name" or "owner/name:configuration", read through ``datasets``. A file has no
    splits: there, ``split`` is only a name.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        path = _of_split(path, split)
    if path.suffix not in _SUFFIXES and not path.exists():
        return _checked(_hub(source, split), fields)
    if not path.is_file():
        raise UserError(f"{source}: there is no such file")
    if path.suffix not in _SUFFIXES:
        raise UserError(f"{source}: rows are read from {' and '.join(_SUFFIXES)} files, folders of them, and hub ids")
    return _checked(_jsonl(path) if path.suffix == ".jsonl" else _parquet(path), fields)


def _of_split(folder: Path, split: str) -> Path:
    for suffix in _SUFFIXES:
        if (path := folder / f"{split}{suffix}").is_file():
            return path
    raise UserError(f"{folder}: there is no {split}.jsonl and no {split}.parquet in it")


def _checked(rows: Iterable[tuple[str, Row]], fields: Sequence[str]) -> list[Row]:
    kept = []
    for where, row in rows:
        for field in fields:
            if row.get(field) is None:
                there = ", ".join(map(str, row)) or "none"
                raise UserError(f"{where}: the field {field!r} is missing; the fields are {there}")
        kept.append(row)
    if not kept:
        raise UserError("a data set without rows")
    return kept


def _jsonl(path: Path) -> Iterator[tuple[str, Row]]:
    with path.open(encoding="utf-8") as lines:
        try:
            for n, line in enumerate(lines, 1):
                if line.strip():
                    yield f"{path}, line {n}", _object(f"{path}, line {n}", line)
        except UnicodeDecodeError as error:
            raise UserError(f"{path}: this is not UTF-8 text ({error})") from error


def _object(where: str, line: str) -> Row:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: this is not JSON ({error})") from error
    if not isinstance(row, dict):
        raise UserError(f"{where}: a row must be an object such as {{...}}, not {type(row).__name__}")
    return row


def _parquet(path: Path) -> Iterator[tuple[str, Row]]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise UserError(f"{path}: parquet files need pyarrow: pip install reasongym[hf]") from error
    try:
        rows = parquet.read_table(path).to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"{path}: this is not a parquet file ({error})") from error
    yield from ((f"{path}, row {n}", row) for n, row in enumerate(rows, 1))


def _hub(source: str, split: str) -> Iterator[tuple[str, Row]]:
    try:
        import datasets
    except ImportError as error:
        raise UserError(
            f"{source}: there is no such file, and data sets from a hub need datasets: pip install reasongym[hf]"
        ) from error
    name, _, configuration = source.partition(":")
    try:
        rows = datasets.load_dataset(name, configuration or None, split=split)
    except Exception as error:  # it raises its own errors, the hub client's, and the network's
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{source}: neither a file nor a data set that can be loaded ({reason})") from error
    yield from ((f"{source}, {split}, row {n}", dict(row)) for n, row in enumerate(rows, 1))
