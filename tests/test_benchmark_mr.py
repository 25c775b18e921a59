"""The benchmark of MR-RLVR: its arms, its held-out problems, its verdict, and the whole of it small."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("tyro")

from benchmarks import mr, report
from reasongym import parts
from reasongym.core import UserError


def test_both_arms_have_as_many_steps_and_the_last_stage_only_answers() -> None:
    args = mr.Args(steps=40, pre=16)
    for arm in ("plain", "mr"):
        assert sum(steps for _, steps in mr.stages(args, arm)) == 40
        last = mr.settings(args, *mr.stages(args, arm)[-1][0])
        task = parts.make("tasks", last["task"])
        assert "masked" not in str(last) and "reorder" not in str(last)
        assert {*task.sample(np.random.default_rng(0)).data} == {"start", "n"}
    assert [names for names, _ in mr.stages(args, "mr")] == [("masked", "reorder"), ("answers",)]
    with pytest.raises(UserError, match="--pre 40"):
        mr.main(mr.Args(steps=40, pre=40))


def test_prompts_and_answers_are_short_and_of_one_length() -> None:
    """So that all three forms cost the same."""
    args, lengths = mr.Args(train=50), set()
    for name, spec in mr.tasks(args).items():
        task = parts.make("tasks", spec)
        for i in range(20):
            problem = task.problem(i)
            lengths.add((name, len(problem.prompt), len(task.demonstrate(problem, np.random.default_rng(0)))))
    assert lengths == {("answers", 16, 57), ("masked", 75, 57), ("reorder", 75, 57)}


def test_what_is_asked_was_not_trained_on() -> None:
    args = mr.Args(problems=40)
    pool = parts.make("tasks", mr.tasks(args)["answers"])
    trained = {pool.problem(i).prompt for i in range(len(pool))}
    for name in mr.tasks(args):
        problems = mr.asked(args, name)
        assert len(problems) == 40 and {f"{mr.question(p)}=" for p in problems}.isdisjoint(trained)


def row(
    arm: str, seed: int, value: float, tokens: int = 1000, attempts: int = 128, **more: Any
) -> list[dict[str, Any]]:
    cost = {"tokens_or_samples": tokens, "attempts": attempts}
    metrics = ("accuracy", "pass@2", "pass@4")
    return [{"arm": arm, "seed": seed, "stage": 1, "metric": m, "value": value, **cost, **more} for m in metrics]


def test_the_verdict() -> None:
    def of(mr_values: list[float], **more: Any) -> tuple[bool, bool]:
        rows = [*row("base", 0, 0.4), *row("mr", 0, 0.1)]  # what "mr" scores after its first stage is not compared
        for seed, value in enumerate(mr_values):
            rows += [*row("plain", seed, 0.7 + seed / 100), *row("mr", seed, value, **{"stage": 2, **more})]
        ok, found = mr.verdict(rows)
        return ok, found["confirmed"]

    assert of([0.8, 0.81, 0.83]) == (True, True)
    assert of([0.8, 0.71, 0.70]) == (True, False)
    assert of([0.6, 0.61, 0.62]) == (True, False)
    assert of([0.8, 0.81, 0.39])[0] is False  # no better than before training
    assert of([0.8, 0.81, 0.83], tokens=1100)[0] is False  # more tokens
    assert of([0.8, 0.81, 0.83], attempts=256)[0] is False


def test_the_benchmark_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what is done is passed over when it is run again."""
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    monkeypatch.setattr(mr, "DOCS", tmp_path)
    monkeypatch.setattr(mr, "RECIPE", mr.RECIPE.replace("--prompts 16 --group 8", "--prompts 2 --group 2"))
    args = mr.Args(seeds=1, steps=2, pre=1, sft_steps=2, train=20, problems=4, out=str(tmp_path / "runs"), save=True)
    mr.main(args)
    got = json.loads((tmp_path / "mr.json").read_text())
    assert {"rows", "claim", "confirmed", "over_seeds", "mr_minus_plain", "tokens", "curves", "png"} <= got.keys()
    assert not got["ok"] and not got["confirmed"] and (tmp_path / "mr.png").stat().st_size > 10_000
    assert {(r["arm"], r["stage"], r["attempts"]) for r in got["rows"]} == {
        ("base", 0, 0),
        ("plain", 1, 8),
        ("mr", 1, 4),
        ("mr", 2, 8),
    }
    assert {r["metric"] for r in got["rows"]} == {"accuracy", "pass@2", "pass@4", "masked", "reorder"}

    def never(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("it was done already")

    for name in ("ask", "run"):
        monkeypatch.setattr(mr, name, never)
    mr.main(args)
