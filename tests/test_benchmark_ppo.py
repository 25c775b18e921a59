"""The benchmark of PPO against GRPO: its regression, its verdict, and all of it small."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("tyro")

from benchmarks import demo, ppo, report
from reasongym.core import Problem, Segment, Trajectory, Verdict

COMMON = {"bench", "ok", "seeds", "commit", "versions", "machine", "wall_s"}


def attempt(n: int, tokens: int, score: float) -> Trajectory:
    segments = [Segment((1,) * (tokens + 1), (0,) + (1,) * tokens, (0.0,) * (tokens + 1))]
    return Trajectory(Problem.of("?", n=n), segments, "", Verdict(score), False)


def test_tokens_and_the_regression_on_them() -> None:
    """Where the reward to go is such a polynomial in n, the fit finds it."""
    n, used, to_go = ppo.per_token([attempt(30, 2, 0.0), attempt(60, 3, 1.0)])
    assert n.tolist() == [30, 30, 60, 60, 60]
    assert used.tolist() == [0, 1, 0, 1, 2]
    assert to_go.tolist() == [0, 0, 1, 1, 1]
    made = [attempt(n, n + 6, 0.9 - 0.5 * n / 60 + 0.1 * (n / 60) ** 2) for n in range(20, 60, 3)]
    np.testing.assert_allclose(ppo.fit(made), [0.9, -0.5, 0, 0.1, 0, 0], atol=1e-8)


def results(gap: float) -> list[dict[str, Any]]:
    """PPO is so far below GRPO in LongCoT."""
    given = {"rewards": [0.4] * 10 + [0.9] * 10, "samples": 2560, "train_s": 1.0, "greedy": 1.0}
    critic = [{"step": 20, "critic": 0.1, "regression": 0.2}]
    made = []
    for seed in (0, 1, 2):
        for env in demo.ARMS:
            accuracy = 0.9 + 0.01 * seed
            down = accuracy - gap * (env == "LongCoT-v0")
            made.append({"agent": "grpo", "env": env, "seed": seed, "accuracy": accuracy, **given})
            made.append({"agent": "ppo", "env": env, "seed": seed, "accuracy": down, "critic": critic, **given})
    return made


@pytest.mark.parametrize(("gap", "confirmed"), [(-0.2, True), (0.04, True), (0.06, False)])
def test_the_bar_is_five_points_in_both_environments(gap: float, confirmed: bool) -> None:
    ok, figures = ppo.verdict(ppo.Args(), results(gap), "x.png")
    assert ok is figures["confirmed"] is confirmed
    assert figures["difference"]["LongCoT-v0"]["mean"] == pytest.approx(-gap)
    assert figures["difference"]["Delethink-v0"]["mean"] == 0
    values = {(r["arm"], r["seed"], r["metric"]): r["value"] for r in figures["rows"]}
    assert values["grpo in LongCoT-v0", 2, "accuracy"] == 0.92
    assert values["ppo in LongCoT-v0", 0, "rise"] == pytest.approx(0.5)
    assert values["ppo in Delethink-v0", 1, "explained_variance_critic_step20"] == 0.1
    assert {r["tokens_or_samples"] for r in figures["rows"]} == {2560}


def test_the_benchmark_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what is done is passed over when it is run again."""
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    monkeypatch.setattr(ppo, "DOCS", tmp_path)
    monkeypatch.setattr(ppo, "AGENTS", {"grpo": ["--prompts", "2"], "ppo": ["--prompts", "8"]})
    monkeypatch.setattr(ppo, "CHECKS", 1)
    args = ppo.Args(seeds=1, steps=2, problems=4, out=str(tmp_path / "runs"), save=True)
    ppo.main(args)
    got = json.loads((tmp_path / "ppo.json").read_text())
    assert COMMON | {"rows", "claim", "confirmed", "difference", "png"} <= got.keys()
    assert got["ok"] == got["confirmed"]
    arms = {r["arm"] for r in got["rows"]}
    assert arms == {f"{agent} in {env}" for agent in ("grpo", "ppo") for env in demo.ARMS}
    asked = {r["metric"] for r in got["rows"] if r["arm"] == "ppo in Delethink-v0"}
    assert {f"explained_variance_{who}_step2" for who in ("critic", "regression")} <= asked
    assert (tmp_path / "ppo.png").stat().st_size > 10_000

    def never(*args: Any) -> None:
        raise AssertionError("it was done already")

    monkeypatch.setattr(ppo, "run", never)
    ppo.main(args)
