"""The benchmark of SAT-v0, run small: what it prints, and that it says what is missing."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

pytest.importorskip("pycosat")

from benchmarks import sat

SMALL = ["--n", "120", "--runs", "1", "--hard", "3", "--hostile", "3000"]

# Does what the three official scripts do to their arguments, for formulas of one clause.
SCRIPT = """
import argparse, json, sys
from pathlib import Path
p = argparse.ArgumentParser()
for name in ("n_sat", "k", "length", "n_sample", "result_dir", "seed_datasets_dir", "prompt_dir"):
    p.add_argument("--" + name)
a = p.parse_args()
if a.prompt_dir:
    row = {"n_sat": int(a.n_sat), "k": int(a.k), "solution": "1" * int(a.k), "clause": "ABCDEFGH"[: int(a.n_sat)]}
    text = "".join(json.dumps(row) + "\\n" for _ in range(int(a.n_sample)))
    Path(a.prompt_dir, "train.jsonl").write_text(text)
"""


def result(capsys: pytest.CaptureFixture[str]) -> tuple[str, dict[str, object]]:
    lines = capsys.readouterr().out.strip().split("\n")
    return lines[0], json.loads(lines[-1])


def test_without_the_official_generator(capsys: pytest.CaptureFixture[str]) -> None:
    assert sat.main([*SMALL, "--official", "no/such/folder"]) is False
    first, got = result(capsys)
    assert "official generator is absent: no/such/folder" in first
    assert {"bench", "ok", "seeds", "commit", "versions", "machine", "wall_s"} <= got.keys()
    settings = got["settings"]
    assert isinstance(settings, list) and [tuple(s["nkl"]) for s in settings] == [*sat.COMPARED, *sat.BARREN]
    assert all(s["yield"] == 1.0 and s["ours_per_s"] > 0 and s["ratio"] is None for s in settings)
    assert got["hostile"] == {"n": 3000, "exceptions": 0, "false_pos": 0}
    assert isinstance(got["hard"], dict) and got["hard"]["unknown"] == 0 and got["hard"]["max_ms"] > 0
    assert isinstance(got["verify_us_p50"], float)


def test_beside_a_generator(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    scripts = tmp_path / "src" / "Build_SAT_Datasets"
    scripts.mkdir(parents=True)
    for name in ("single_clause.py", "combine.py", "train_prompt.py"):
        (scripts / name).write_text(SCRIPT)
    monkeypatch.setattr(sat, "BARREN", ())
    monkeypatch.setattr(sat, "COMPARED", sat.COMPARED[:1])
    sat.main([*SMALL, "--official", str(tmp_path)])
    settings = result(capsys)[1]["settings"]
    assert isinstance(settings, list)
    (setting,) = settings
    assert setting["official_yield"] == 1.0
    assert setting["ratio_at_most"] > 0
    assert setting["ratio"] == pytest.approx(setting["ours_per_s"] / setting["official_per_s"])


def test_rows_are_read_by_neither_sides_code(tmp_path: Path) -> None:
    good = {"n_sat": 2, "k": 3, "solution": "101", "clause": "AB & !BC"}
    bad = [good | change for change in ({"solution": "010"}, {"clause": "AB & AB"}, {"n_sat": 3}, {"k": 4})]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in [good, *bad]))
    assert sat.rightful([file, tmp_path / "none.jsonl"]) == 1


def test_hostile_answers_are_of_many_kinds() -> None:
    r = random.Random(0)
    assert len({sat.wrong_body(r, "11110", "10110") for _ in range(2000)}) > 300
