"""How a benchmark ends: the keys that all share, plain JSON on the last line, and the file that --save writes."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks import report


def test_finish(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    figures = {"a": np.float32(0.5), "b": [np.int64(3), math.nan], "c": {1: np.array([1.0, math.inf])}, "d": None}
    got = report.finish("x", True, figures, seeds=range(2), started=time.perf_counter() - 5, save=True, suffix="y")
    printed = capsys.readouterr().out.splitlines()[-1]
    assert json.loads(printed) == got == json.loads((tmp_path / "results" / "x_y.json").read_text())
    assert {k: got[k] for k in ("bench", "ok", "seeds", *"abcd")} == {
        "bench": "x", "ok": True, "seeds": [0, 1], "a": 0.5, "b": [3, None], "c": {"1": [1.0, None]}, "d": None,
    }  # fmt: skip
    assert 5 <= got["wall_s"] < 60
    assert got["versions"]["numpy"] == np.__version__ and "python" in got["versions"]
    assert got["commit"] and "cores" in got["machine"]


def test_nothing_is_saved_unasked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    report.finish("x", False, {}, started=time.perf_counter())
    assert not (tmp_path / "results").exists()


def test_the_seconds_of_stopped_runs_count(tmp_path: Path) -> None:
    assert time.perf_counter() - report.resumed(str(tmp_path / "new")) < 1
    report.note(str(tmp_path), time.perf_counter() - 90)
    assert time.perf_counter() - report.resumed(str(tmp_path)) == pytest.approx(90, abs=10)
