"""The benchmark of thinking lengths, small: its runs, what it counts, and its claims on figures made up for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("tyro")

from benchmarks import lengths, report
from reasongym import parts

COMMON = {"bench", "ok", "seeds", "commit", "versions", "machine", "wall_s"}


def made_up(method: str, accuracy: float, tokens: float, shares: tuple[float, float] = (0.0, 0.0)) -> dict[str, Any]:
    """A row whose tokens grow with the level, and with shares of no thought at the easy and at the hard levels."""
    cap = parts.make("schedules", lengths.SIRI)
    by_level = {str(k): shares[k > 3] for k in range(1, 6)}
    return {
        "method": method, "seed": 0, "accuracy": accuracy, "tokens": tokens, "no_think_share": sum(shares) / 2,
        "tokens_by_level": {str(k): k * tokens / 3 for k in range(1, 6)}, "no_think_share_by_level": by_level,
        "curve": [{"length": cap(t) / 2} for t in range(40)], "seconds": 1.0,
    }  # fmt: skip


def test_the_claims() -> None:
    rows = [made_up("base", 0.5, 40.0), made_up("grpo", 0.9, 40.0), made_up("hapo", 0.885, 28.0)]
    rows += [made_up("l1", 0.87, 20.0), made_up("long2short", 0.95, 29.0), made_up("laser_d", 0.9, 20.0)]
    rows += [made_up("autothink", 0.9, 30.0, (0.8, 0.1)), made_up("adaptthink", 0.9, 30.0, (0.9, 0.9))]
    rows += [made_up("siri", 0.9, 25.0), made_up("fixed_cap", 0.9, 25.0)]
    rows += [made_up("no_balance", 0.9, 30.0, (0.05, 0.05)), made_up("length_alone", 0.1, 5.0, (1.0, 0.8))]
    rows += [made_up("outweighed", 0.1, 5.0, (1.0, 1.0))]
    rows[5]["tokens_by_level"] = {str(k): 5.0 if k < 4 else 45.0 for k in range(1, 6)}
    ok, figures = lengths.verdict(rows, "none.png")
    assert not ok and [name for name, holds in figures["claims"].items() if not holds] == [
        "l1_cuts_30_within_2_points",
        "long2short_cuts_30_within_2_points",
        "adaptthink_thinks_where_hard",
        "all_no_think_by_length_alone",
    ]
    assert figures["delta_vs_grpo"]["hapo"]["accuracy"]["mean"] == pytest.approx(-0.015)
    assert figures["delta_vs_grpo"]["hapo"]["cut_by_level"]["5"] == pytest.approx(0.3)
    assert figures["siri"]["correlation"] == [pytest.approx(1.0)] and figures["runs_s"] == 13.0
    assert not any("curve" in row for row in figures["rows"])


def test_stages_are_shares_of_a_run() -> None:
    assert all(sum(stage.share for stage in stages) == 1 for stages in lengths.ARMS.values())
    cap = parts.make("schedules", lengths.SIRI)
    fixed = int(lengths.ARMS["fixed_cap"][0].flags.split()[-1])
    assert sum(cap(t) for t in range(80)) / 80 == pytest.approx(fixed, abs=0.5)


def test_what_another_process_makes_is_passed_over(tmp_path: Path) -> None:
    def nested() -> dict[str, Any]:
        assert lengths.kept(tmp_path / "a.json", never, wait=False) == {}
        return {"a": 1}

    def never() -> dict[str, Any]:
        raise AssertionError("it is being made, or was made already")

    for make in (nested, never):
        assert lengths.kept(tmp_path / "a.json", make, wait=True)["a"] == 1


def test_the_benchmark_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some arms for a step a stage; what is done is passed over when it is run again."""
    arms = ["grpo", "autothink", "adaptthink", "siri"]
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    monkeypatch.setattr(lengths, "DOCS", tmp_path)
    monkeypatch.setattr(lengths, "SFT", (("--model tiny --fresh --steps 2", 0.5), ("--steps 1 --seed 1", 0.6)))
    monkeypatch.setattr(lengths, "RECIPE", "--prompts 2 --group 4 --lr 1e-4 --resume --no-tensorboard".split())
    monkeypatch.setattr(lengths, "POOL", "pool(task='recheck', n=4)")
    monkeypatch.setitem(lengths.ENV, "budget", 24)
    args = lengths.Args(seeds=1, arms=",".join(arms), steps=4, problems=12, out=str(tmp_path / "runs"), save=True)
    lengths.main(args)
    got = json.loads((tmp_path / "lengths.json").read_text())
    assert COMMON | {"rows", "delta_vs_grpo", "claims", "runs_s", "png"} <= got.keys()
    assert [row["method"] for row in got["rows"]] == ["base", *arms]
    for row in got["rows"]:
        assert {"accuracy", "tokens", "tokens_by_level", "no_think_share_by_level"} <= row.keys()
        assert row["n"] == 12 == sum(row["n_by_level"].values())
    assert (tmp_path / "lengths.png").stat().st_size > 10_000
    assert len(list((tmp_path / "runs" / "autothink-seed0").iterdir())) == 3

    def never(*args: Any) -> None:
        raise AssertionError("it was done already")

    monkeypatch.setattr(lengths, "run", never)
    monkeypatch.setattr(lengths, "first", never)
    lengths.main(args)
