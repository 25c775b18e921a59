"""The benchmarks of SQL, run small: what they print, and that each of their signs of trouble can be seen."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from benchmarks import report, sql_attacks, sql_match
from benchmarks.sql_attacks import Attack, Scene
from reasongym.core import UserError
from reasongym.sandbox.sqlite import Database, Guard, Result
from reasongym.sql.execution import ExecutionMatch

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    (tmp_path / "open").mkdir()
    return Scene(tmp_path / "open", "auto")


def unguarded(database: Database, sql: str, guard: Guard) -> Result:
    """SQLite as it comes, on the file itself."""
    with closing(sqlite3.connect(database.path, isolation_level=None)) as file:
        try:
            cursor = file.execute(sql)
            return Result((), tuple(cursor.fetchall()))
        except (sqlite3.Error, sqlite3.Warning) as error:
            return Result(error=str(error))


@pytest.mark.parametrize(
    ("sql", "sign"),
    [
        ("ATTACH '{new}' AS x", "not refused"),
        ("VACUUM INTO '{new}'", "a file has changed"),
        ("DELETE FROM singer", "an honest query is answered otherwise"),
        ("SELECT CAST(readable AS TEXT) FROM (SELECT '" + sql_attacks.SECRET + "' AS readable)", "told a secret"),
        ("WITH RECURSIVE x(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM x LIMIT 9000000) SELECT max(n) FROM x", "took"),
        ("SELECT hex(zeroblob(90000000))", "this process grew"),
    ],
)
def test_an_attack_without_the_guard_succeeds(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, sql: str, sign: str
) -> None:
    monkeypatch.setattr(sql_attacks, "execute", unguarded)
    monkeypatch.setattr(sql_attacks, "SECONDS", 0.05)
    how, _, _, _ = scene.run(Attack("test", sql))
    assert sign in how


def test_growth_of_a_process_below_is_seen() -> None:
    hungry = "x = b'1' * (100 << 20); print(flush=True); input()"
    with sql_attacks._watched() as peaks:
        child = subprocess.Popen(
            [sys.executable, "-c", hungry], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
        )
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(0.2)
        child.communicate(b"\n")
    assert peaks["growth"] > 50


def test_attacks_are_many_and_distinct_and_some_of_each_kind_fail(scene: Scene) -> None:
    assert len(sql_attacks.ATTACKS) == len({a.sql for a in sql_attacks.ATTACKS}) >= sql_attacks.BAR
    kinds = {}
    for attack in sql_attacks.ATTACKS:
        kinds.setdefault(attack.kind, []).append(attack)
    for attacks in kinds.values():
        for attack in [a for a in attacks if len(a.sql) < 60][:4]:
            how, _, said, _ = scene.run(attack)
            assert not how.replace("it took", "").strip("; .0123456789s"), (
                attack,
                how,
                said,
            )  # time is for a quiet machine


@pytest.fixture
def files(tmp_path: Path) -> Iterator[str]:
    path = tmp_path / "pets.sqlite"
    with closing(sqlite3.connect(path)) as file:
        file.executescript(sql_match.PETS)
    yield str(path)


def test_the_other_comparison_agrees_on_traps_and_sees_what_ours_sees(files: str) -> None:
    plain = ExecutionMatch(copies=0, empty="spider")
    seen = set()
    for _, gold, query in sql_match.TRAPS:
        if "singer" in query or query.split()[0] not in ("SELECT", "WITH", "VALUES") or ";" in query:
            continue
        theirs = sql_match.compared(files, gold, query)
        if gold.startswith("SELECT name FROM pet WHERE age > 500") and "1 WHERE" in query:
            continue
        assert theirs == bool(plain.judge(Database(path=files), gold, query).score), (gold, query)
        seen.add(theirs)
    assert seen == {True, False}


def test_sql_match_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    data = os.environ.get("REASONGYM_DATA", "")
    if not Path(data, "spider_en").is_dir():
        pytest.skip("REASONGYM_DATA names no folder with spider_en/")
    folder = tmp_path / "spider_en"
    folder.mkdir()
    for name in ("database", "tables.json"):
        (folder / name).symlink_to(Path(data, "spider_en", name))
    for split in ("dev", "train"):
        lines = Path(data, "spider_en", f"{split}.jsonl").read_text(encoding="utf-8").splitlines()[:8]
        (folder / f"{split}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    assert sql_match.main(str(tmp_path), 30, 0, True) is False, "which is too few for the bar"
    got: dict[str, Any] = json.loads((tmp_path / "sql_match.json").read_text())
    assert got["gold"] == {split: {"n": 8, "passed": 8} for split in ("dev", "train")}
    assert got["mutants"] == 30 and got["false_match"] == got["mutants_detail"]["false_miss"] == 0
    assert got["mutants_detail"]["wrong"] > 5 and got["exec_ms_p50"] > 0
    assert sum(t["n"] for t in got["traps"].values()) == len(sql_match.TRAPS)
    with pytest.raises(UserError, match="set REASONGYM_DATA or --data"):
        sql_match.main("", 1, 0, False)
