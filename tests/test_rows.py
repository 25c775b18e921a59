"""Rows of data sets from files, folders and hubs; every mistake names the file, the line and the field."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from reasongym.core import UserError
from reasongym.rows import read_rows


def jsonl(path: Path, rows: list[Any]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


ROWS = [{"prompt": f"p{i}", "response": "é\n", "more": i} for i in range(9)]


def test_a_jsonl_file_with_blank_lines(tmp_path: Path) -> None:
    source = jsonl(tmp_path / "a.jsonl", ROWS)
    Path(source).write_text(Path(source).read_text(encoding="utf-8").replace("\n", "\n\n"), encoding="utf-8")
    assert read_rows(source, ("prompt", "response")) == ROWS


def test_a_folder_has_a_file_for_each_split(tmp_path: Path) -> None:
    jsonl(tmp_path / "train.jsonl", ROWS[:3])
    jsonl(tmp_path / "test.jsonl", ROWS[3:])
    assert read_rows(str(tmp_path), ("prompt",), split="test") == ROWS[3:]
    assert read_rows(str(tmp_path), ("prompt",)) == ROWS[:3]
    with pytest.raises(UserError, match=r"there is no dev\.jsonl and no dev\.parquet"):
        read_rows(str(tmp_path), ("prompt",), split="dev")


def test_a_parquet_file(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = tmp_path / "train.parquet"
    parquet.write_table(pyarrow.Table.from_pylist(ROWS), path)
    assert read_rows(str(path), ("prompt",)) == read_rows(str(tmp_path), ("prompt",)) == ROWS
    with pytest.raises(UserError, match=r"train\.parquet, row 1: the field 'solution' is missing"):
        read_rows(str(path), ("solution",))
    path.write_bytes(b"PAR1 not at all")
    with pytest.raises(UserError, match=r"train\.parquet: this is not a parquet file"):
        read_rows(str(path), ("prompt",))


def test_a_missing_field_is_named_with_file_and_line(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [dict(row) for row in ROWS]
    del rows[6]["response"]
    source = jsonl(tmp_path / "a.jsonl", rows)
    with pytest.raises(
        UserError, match=r"a\.jsonl, line 7: the field 'response' is missing; the fields are prompt, more"
    ):
        read_rows(source, ("prompt", "response"))
    assert len(read_rows(source, ("prompt",))) == 9


@pytest.mark.parametrize(
    ("line", "error"),
    [("{oops", "line 2: this is not JSON"), ("[1]", "line 2: a row must be an object"),
    ('{"a": null}', "line 2: the field 'a' is missing"),
     ("[" * 100000, "line 2: this is not JSON"), ("{}", "line 2: the field 'a' is missing; the fields are none")],
)  # fmt: skip
def test_a_broken_line_is_named(tmp_path: Path, line: str, error: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"a": 1}}\n{line}\n')
    with pytest.raises(UserError, match=error):
        read_rows(str(path), ("a",))


def test_other_mistakes(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b")
    (tmp_path / "empty.jsonl").write_text("\n")
    (tmp_path / "latin.jsonl").write_bytes(b'{"a": "\xe9"}\n')
    for name, error in [("a.csv", "rows are read from"), ("empty.jsonl", "without rows"), ("b.jsonl", "no such file"),
                        ("latin.jsonl", "not UTF-8")]:  # fmt: skip
        with pytest.raises(UserError, match=error):
            read_rows(str(tmp_path / name), ("a",))


def test_a_hub_needs_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UserError, match=r"owner/name: .*pip install reasongym\[hf\]"):
        read_rows("owner/name", ("a",))


def test_parquet_needs_an_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "a.parquet").write_bytes(b"")
    with pytest.raises(UserError, match=r"pip install reasongym\[hf\]"):
        read_rows(str(tmp_path / "a.parquet"), ("a",))


def test_a_hub_id_may_name_a_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def load_dataset(*args: Any, **kw: Any) -> list[dict[str, int]]:
        asked.append((args, kw))
        return [{"a": 1}, {"a": 2}]

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    assert read_rows("owner/name:main", ("a",), split="test") == [{"a": 1}, {"a": 2}]
    assert read_rows("owner/name", ("a",)) == [{"a": 1}, {"a": 2}]
    assert asked == [(("owner/name", "main"), {"split": "test"}), (("owner/name", None), {"split": "train"})]
    with pytest.raises(UserError, match="owner/name, train, row 1: the field 'b' is missing"):
        read_rows("owner/name", ("b",))


def test_a_hub_that_does_not_answer_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def load_dataset(*args: Any, **kw: Any) -> None:
        raise ConnectionError("no route\nto host")

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    with pytest.raises(UserError, match=r"^owner/name: neither a file nor a data set that can be loaded \(no route\)$"):
        read_rows("owner/name", ("a",))
