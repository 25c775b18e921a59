"""The model that has seen both ways, by hand and with Python, and the benchmark of what it makes of them, small."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("tyro")

from benchmarks import interpreter, report
from reasongym import cli
from reasongym.evaluate import evaluate
from reasongym.policies.hf import HF
from reasongym.report.log import read_log

COMMON = {"bench", "ok", "seeds", "commit", "versions", "machine", "wall_s"}


def test_the_model_of_the_package_calls_sometimes_and_is_right_when_it_does() -> None:
    """And by hand it is careless; without the tool, a block of code is answered by nothing."""
    policy = HF("tiny-python")
    found = {}
    for tool, (env, settings) in interpreter.ENVS.items():
        envs = cli.make_envs(env, 128, settings, policy.tokenizer)
        rng = np.random.default_rng(5)
        problems = [envs[0].unwrapped.task.sample(rng) for _ in range(256)]  # type: ignore[attr-defined]
        done = evaluate(policy, envs, problems)
        found[tool] = interpreter.kinds(done.attempts)
        assert ("code_runs" in done.summary()) == (tool == "python")
    assert 0.1 < found["python"]["called"]["n"] / 256 < 0.3 and found["python"]["called"]["accuracy"] > 0.8
    assert 0.1 < found["python"]["by hand"]["accuracy"] < 0.6
    assert found["python"]["called"]["tokens"] < 45 < 100 < found["python"]["by hand"]["tokens"]
    assert found["none"]["called"]["n"] == 0 < found["none"]["unanswered"]["n"]


def test_the_benchmark_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what is done is passed over when it is run again."""
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    monkeypatch.setattr(interpreter, "DOCS", tmp_path)
    small = "--prompts 2 --group 4 --updates 1 --lr 1e-4 --resume --no-tensorboard".split()
    monkeypatch.setattr(interpreter, "RECIPE", small)
    args = interpreter.Args(seeds=1, steps=1, problems=4, out=str(tmp_path / "runs"), save=True)
    interpreter.main(args)
    got = json.loads((tmp_path / "interpreter.json").read_text())
    assert COMMON | {"arms", "cells", "over_seeds", "png"} <= got.keys() and not got["ok"]
    assert [(a["tool"], a["reward"], a["seed"]) for a in got["arms"]] == [
        ("python", "truth", 0),
        ("python", "cort", 0),
        ("none", "truth", 0),
    ]
    for arm in got["arms"]:
        assert {"reward_first", "reward_last"} <= arm.keys() and min(arm["tokens"]) > 5
        assert max(arm["calls"]) <= 1.5 and (arm["tool"] == "python" or arm["calls"] == [0, 0])
    for cell in got["cells"]:
        at = list(cell["accuracy_at"].values())
        assert at == sorted(at) and at[-1] <= cell["accuracy"] and sum(k["n"] for k in cell["kinds"].values()) in (1, 4)
    log = read_log(tmp_path / "runs" / "python-seed0" / "metrics.jsonl")
    assert all({"code_runs", "code_errors", "length"} <= line.keys() for line in log)
    paid = read_log(tmp_path / "runs" / "python-cort-seed0" / "metrics.jsonl")
    assert all(line["score"] - 0.1 <= line["reward"] <= line["score"] for line in paid)
    assert (tmp_path / "interpreter.png").stat().st_size > 10_000

    def never(*args: Any) -> None:
        raise AssertionError("it was done already")

    monkeypatch.setattr(interpreter, "run", never)
    monkeypatch.setattr(interpreter, "ask", never)
    interpreter.main(args)
