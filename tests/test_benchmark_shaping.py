"""The benchmark of the shapers' cost, run small: that it works, covers every shaper, and what it prints."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import report, shaping
from reasongym import parts


def test_shaping_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    flags = ["--problems", "4", "--group", "3", "--median", "20", "--rounds", "3", "--save"]
    monkeypatch.setattr("sys.argv", ["shaping", *flags])
    shaping.main()
    got = json.loads((tmp_path / "shaping.json").read_text())
    assert {"truth", "laser-d", "l1-max", "autothink-3", "hapo", "long2short", "cosine"} < set(got["us_per_batch"])
    assert all(us > 0 for us in got["us_per_batch"].values()) and got["trajectories"] == 12
    assert got["ok"] == (max(got["us_per_batch"].values()) < 2000)


def test_every_shaper_of_the_package_is_measured() -> None:
    measured = {spec.partition("(")[0] for spec in shaping.SPECS.values()}
    assert measured == set(parts.names("rewards"))


def test_the_batch_is_what_the_benchmark_says() -> None:
    batch = shaping.batch(np.random.default_rng(0), 40, 8, 200)
    every = [t for group in batch for t in group]
    short = [t for t in every if t.info["mode"] == "no_think"]
    assert 0.2 < len(short) / len(every) < 0.45
    assert all(t.text.startswith("</think>") for t in short)
    assert all(t.text.count("</think>") == 1 for t in every)
    assert 0.4 < np.mean([t.verdict.score for t in every]) < 0.8
