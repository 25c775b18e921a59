"""The benchmark of the losses of pairs: how it looks for a rate and a collapse, what it concludes; all of it, small."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("tyro")

from benchmarks import redi, report

COMMON = {"bench", "ok", "seeds", "commit", "versions", "machine", "wall_s"}


@pytest.mark.parametrize(
    ("best", "tried"),
    [
        (3e-4, [3e-5, 1e-4, 3e-4, 1e-3]),
        (3e-6, [1e-6, 3e-6, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3]),
        (1e-3, [3e-5, 1e-4, 3e-4, 1e-3, 3e-3]),
        (1e-2, [3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2]),  # there is no further one
        (1e-6, [1e-6, 3e-6, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3]),
    ],
)
def test_a_sweep_goes_on_while_the_best_is_at_an_end(best: float, tried: list[float]) -> None:
    asked = []

    def cell(rate: float) -> dict[str, Any]:
        asked.append(rate)
        return {"accuracy": -abs(redi.RATES.index(rate) - redi.RATES.index(best))}

    assert [c["lr"] for c in redi.swept(cell)] == tried == sorted(asked)


def runs(**collapsed: tuple[bool, ...]) -> list[dict[str, Any]]:
    """``redi`` and ``symmetric``: whether each rate from 1e-4 collapsed."""
    names = {"redi": "redi", "symmetric": "redi-symmetric"}
    return [
        {"arm": names[arm], "lr": rate, "collapsed": fell}
        for arm, values in collapsed.items()
        for rate, fell in zip((1e-4, 3e-4, 1e-3), values, strict=True)
    ]


def test_the_rates_that_tell_the_two_apart() -> None:
    both = runs(redi=(False, False, True), symmetric=(False, True, True))
    assert redi.telling(both) == [3e-4]
    assert redi.telling(runs(redi=(False,) * 3, symmetric=(False,) * 3)) == [3e-4, 1e-3]
    assert redi.telling(runs(redi=(False,) * 3, symmetric=(True,) * 3)) == [1e-4, 3e-4]


def test_a_collapse_that_the_other_avoids_is_one_at_every_seed() -> None:
    always = runs(redi=(False, False, True), symmetric=(False, True, True))
    assert redi.fallen(always * 3) == [3e-4]
    once = runs(redi=(False, True, True), symmetric=(False, True, True))
    assert redi.fallen([*always, *once]) == []


def cells(**sampled: list[float]) -> list[dict[str, Any]]:
    everyone = {arm: sampled.get(arm.replace("-", "_"), [0.5, 0.5]) for arm in redi.ARMS}
    return [
        {"arm": arm, "seed": seed, "sampled": x, "greedy": 0.0, "tokens": 7}
        for arm, values in everyone.items()
        for seed, x in enumerate(values)
    ]


@pytest.mark.parametrize(("ours", "confirmed"), [([0.6, 0.51], True), ([0.9, 0.5], False)])
def test_the_verdict(ours: list[float], confirmed: bool) -> None:
    base = [{"arm": "before", "seed": seed, "tokens": 0, "sampled": 0.1, "greedy": 0.2} for seed in (0, 1)]
    sweep = [{"arm": arm, "lr": rate} for arm in redi.ARMS for rate in (1e-4, 3e-4, 1e-3)]
    high = runs(redi=(False,) * 3, symmetric=(True,) * 3)
    best = dict.fromkeys(redi.ARMS, 3e-4)
    ok, figures = redi.verdict(base, sweep, best, cells(redi=ours, redi_symmetric=[1.0, 1.0]), high)
    assert ok and figures["confirmed"] is confirmed and figures["collapse"]["confirmed"]
    assert figures["redi_ahead_of"]["dpo"]["by_seed"] == pytest.approx([x - 0.5 for x in ours])
    row = {"arm": "redi", "seed": 0, "metric": "accuracy_sampled", "value": ours[0], "tokens_or_samples": 7}
    assert row in figures["rows"] and len(figures["rows"]) == 2 * len(cells()) + 4
    at_an_end = redi.verdict(base, sweep, {**best, "sft": 1e-3}, cells(redi=ours), high)
    assert not at_an_end[0]


def test_the_benchmark_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what is done is passed over when it is run again."""
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    monkeypatch.setattr(redi, "DOCS", tmp_path)
    monkeypatch.setattr(redi, "RATES", (1e-4, 1e-3))
    monkeypatch.setattr(redi, "START", (0, 0))
    monkeypatch.setattr(redi, "ARMS", {arm: redi.ARMS[arm] for arm in ("redi", "redi-symmetric", "sft")})
    monkeypatch.setattr(redi, "BASELINES", ("sft",))
    monkeypatch.setattr(redi, "TASK", {"task": "register(low=6, high=8)", "budget": 16})
    args = redi.Args(
        seeds=1, first_steps=2, steps=2, problems=16, validation=8, test=8, out=str(tmp_path / "runs"), save=True
    )
    redi.main(args)
    got = json.loads((tmp_path / "redi.json").read_text())
    assert COMMON | {"rows", "claim", "confirmed", "sweep", "best_rate", "collapse", "cells", "png"} <= got.keys()
    assert {c["arm"] for c in got["sweep"]} == set(redi.ARMS) and len(got["cells"]) == len(redi.ARMS)
    assert len({c["tokens"] for c in got["cells"]}) == 1  # every arm learns from the same pairs
    assert (tmp_path / "redi.png").stat().st_size > 10_000
    folders = {path.name for path in (tmp_path / "runs").iterdir() if path.is_dir()}
    monkeypatch.setattr(redi, "ask", lambda *_: pytest.fail("it was done already"))
    redi.main(args)
    assert {path.name for path in (tmp_path / "runs").iterdir() if path.is_dir()} == folders
