"""The model that solves easy SAT, the ladder that it climbs, and the benchmark of the two, small."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("tyro")
pytest.importorskip("pycosat")

from benchmarks import ladder, report
from benchmarks.careless_sat import Careless
from reasongym import cli
from reasongym.agents import grpo
from reasongym.algos import checkpoint
from reasongym.curriculum import held_out
from reasongym.evaluate import evaluate
from reasongym.policies.hf import HF
from reasongym.report.log import read_log
from reasongym.tasks.sat import SAT
from reasongym.tokenizer import ByteTokenizer, load, model_folder

COMMON = {"bench", "ok", "seeds", "commit", "versions", "machine", "wall_s"}
SMALL = {"seeds": 1, "steps": 1, "checks": 1, "problems": 3}


def test_the_model_of_the_package_writes_the_search_down_carelessly() -> None:
    """Nine thoughts in ten are among those that its demonstrator may write, most of them without an oversight."""
    policy = HF("tiny-sat")
    assert load("tiny-sat") == ByteTokenizer() and Path(model_folder("tiny-sat")).name == "tiny_sat"
    envs = cli.make_envs("SAT-v0", 96, {"prompt": "short", "budget": 256}, policy.tokenizer)
    careless, careful, rng = Careless(prompt="short"), SAT(prompt="short"), np.random.default_rng(0)
    problems = [careful.sample(rng, level) for level in (1, 2, 3) for _ in range(32)]
    done = evaluate(policy, envs, problems, deterministic=True)
    may_be = [t.text in {careless.demonstrate(t.problem, rng) for _ in range(100)} for t in done.attempts]
    assert np.mean(may_be) > 0.9
    right = [t.text == careful.demonstrate(t.problem, rng) for t in done.attempts]
    assert 0.6 < np.mean(right) <= done.accuracy < 0.95  # an oversight may be lucky; and RL has something to mend


@pytest.mark.parametrize("left", [1, 2])
def test_a_ladder_resumes_exactly(tmp_path: Path, left: int) -> None:
    """On the same level, with the same validations behind it."""

    def run(out: Path, **more: Any) -> list[dict[str, Any]]:
        curriculum = "ladder(first=1, every=2, count=4, attempts=2, threshold=0.4, window=2)"
        settings = {"prompt": "short", "budget": 96}
        common = {"env": "SAT-v0", "env_settings": settings, "model": "tiny-sat", "steps": 4, "prompts": 2, "group": 4}
        small = {"lr": 1e-4, "deterministic": True, "save_every": 1, "keep": 9, "slots": 16}
        grpo.main(grpo.Args(**common, **small, curriculum=curriculum, out=str(out), **more))  # type: ignore[arg-type]
        return [{k: v for k, v in line.items() if not k.endswith("_s")} for line in read_log(out / "metrics.jsonl")]

    whole = run(tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "again")
    for path in checkpoint.steps(tmp_path / "again")[left:]:
        shutil.rmtree(path)
    assert run(tmp_path / "again", resume=True) == whole
    assert [line["level"] for line in whole] == [1, 1, 2, 2]
    states = [checkpoint.newest(tmp_path / name) for name in ("whole", "again")]
    assert states[0] and states[1] and states[0][1]["curriculum"] == states[1][1]["curriculum"]


def test_the_benchmark_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    monkeypatch.setattr(ladder, "P", 2)
    monkeypatch.setattr(ladder, "LAST", 9)
    resets = "delethink(chunk=48, carry=24, head=0, max_chunks=2)"
    monkeypatch.setattr(ladder, "THINKING", {"LongCoT": {"budget": 72}, "Delethink": {"thinking": resets}})
    monkeypatch.setattr(ladder, "VALIDATION", {"every": 5, "count": 2, "attempts": 1})
    monkeypatch.setattr(ladder, "run_all", lambda args, wanted: [run_here(args, *each) for each in wanted])
    ladder.main(ladder.Args(**SMALL, out=str(tmp_path / "runs"), save=True))  # type: ignore[arg-type]
    got = json.loads((tmp_path / "ladder.json").read_text())
    assert COMMON | {"arms", "k", "levels", "final", "delethink", "attempts"} <= got.keys() and not got["ok"]
    assert set(got["arms"]) == {"ladder", "window", "fixed", "random"}
    for runs in got["arms"].values():
        assert [run["seed"] for run in runs] == [0] and {"levels_climbed", "pass_at_k"} <= runs[0].keys()
        assert set(runs[0]["pass_at_k"]) == {"1", "4"} and 0 <= runs[0]["pass_at_k"]["1"] <= 1
    assert {c["thinking"] for c in got["delethink"]["cells"]} == {"LongCoT", "Delethink"}
    assert Path(got["png"]).stat().st_size > 10_000


def run_here(args: ladder.Args, arm: str, seed: int) -> None:
    ladder.run_arm(ladder.Args(**SMALL, out=args.out, arm=arm, seed=seed))  # type: ignore[arg-type]


def test_what_is_done_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """And a run that fails ends the benchmark, with what it said."""
    args, begun = ladder.Args(out=str(tmp_path), jobs=2), []

    def start(args: ladder.Args, arm: str, seed: int) -> subprocess.Popen[bytes]:
        begun.append((arm, seed))
        Path(args.out, f"{arm}-seed{seed}.log").write_text("No such luck.")
        return subprocess.Popen([sys.executable, "-c", f"import sys; sys.exit({seed == 3})"])

    monkeypatch.setattr(ladder, "start", start)
    ladder.folder(args, "ladder", 1).mkdir()
    ladder.folder(args, "ladder", 1).joinpath("cells.json").write_text("[]")
    ladder.run_all(args, [("ladder", seed) for seed in range(3)])
    assert begun == [("ladder", 0), ("ladder", 2)]
    assert sorted(capsys.readouterr().out.split("\n")) == ["", "ladder, seed 0: done", "ladder, seed 2: done"]
    with pytest.raises(SystemExit):
        ladder.run_all(args, [("fixed", 3)])
    assert "No such luck." in capsys.readouterr().err


def test_all_arms_make_the_same_number_of_attempts() -> None:
    for steps in (20, 60, 80):
        made = [ladder.attempts(ladder.Args(steps=steps), arm) for arm in ladder.ARMS]
        assert max(made) - min(made) <= ladder.P * ladder.G / 2


def test_test_problems_are_never_trained_or_validated_on() -> None:
    task, rng = SAT(prompt="short"), np.random.default_rng(0)
    asked = {p.id for level in (8, 13) for p in ladder.test_problems(task, level, 20)}
    assert len(asked) == 40
    for arm in ladder.ARMS.values():
        part = ladder.parts.make("curriculum", arm)
        assert not any(held_out(p) for p in part.problems(task, rng, 200))
        for level in (8, 13) if arm == ladder.ARMS["ladder"] else ():
            part.level = level
            assert not asked & {p.id for p in part.probe(0)[0]}
