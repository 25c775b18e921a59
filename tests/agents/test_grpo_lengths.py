"""The GRPO agent with every shaper of thinking lengths as its argument, its schedules, and their exact resume."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from reasongym import UserError, parts
from reasongym.agents import grpo
from reasongym.report.log import read_log
from reasongym.rewards.laser import METHODS

POOL = "pool(task='register(low=6, high=8)', n=4)"  # the model in the package solves about half of these
SHAPERS = [
    *(f"laser(method={name!r}, target=12)" for name in METHODS if not name.startswith("laser-")),
    "laser(method='laser-d', target=8, stride=4, limit=24, monitor=3, attempts=2, every=2)",
    "laser(method='laser-de', target=8, stride=4, limit=24, monitor=3, attempts=2, every=2)",
    "hapo",
    "cosine(limit=24)",
    "long2short",
    "autothink(closer='=')",
    "weighted(terms=[(1.0, 'format'), (2.0, 'cosine(limit=24)')])",
]
ADAPTTHINK = "adaptthink(closer='=', no_think='=', think='1', attempts=4, no_think_budget=12)"


def arguments(out: Path, **settings: Any) -> grpo.Args:
    given: dict[str, Any] = {
        "env": "LongCoT-v0", "env_settings": {"task": POOL, "budget": 24}, "model": "tiny",
        "steps": 3, "prompts": 2, "group": 4, "lr": 1e-4, "warmup": 0, "deterministic": True, "tensorboard": False,
        "save_every": 3,
    }  # fmt: skip
    return grpo.Args(**{**given, **settings}, out=str(out))


def log(out: Path) -> list[dict[str, Any]]:
    skip = ("sample_s", "step_s")
    return [{k: v for k, v in line.items() if k not in skip} for line in read_log(out / "metrics.jsonl")]


@pytest.mark.parametrize("shaper", SHAPERS)
def test_every_shaper_is_an_argument(tmp_path: Path, shaper: str) -> None:
    grpo.main(arguments(tmp_path, shaper=shaper, steps=2))
    lines = log(tmp_path)
    assert len(lines) == 2 and all(math.isfinite(line["reward"]) for line in lines)
    assert json.loads((tmp_path / "args.json").read_text())["shaper"] == shaper


def test_adaptthink_is_an_argument(tmp_path: Path) -> None:
    """Half of the attempts are forced, they are learned from under either ratio, and references are asked for once."""
    for ratio in ("sequence", "geometric"):
        out = tmp_path / ratio
        args = arguments(out, shaper=ADAPTTHINK, advantage="identity", ratio=ratio, save_trajectories=True)
        grpo.main(args)
        for step in range(3):
            lines = (out / f"trajectories/step-{step:06d}.jsonl").read_text().splitlines()
            told = [json.loads(line) for line in lines]
            assert [t["text"][0] for t in told] == ["=", "=", "1", "1"] * 2
            assert all(t["length"] <= 12 for t in told if t["text"][0] == "=")
        assert all(0 < line["reference"] <= 1 for line in log(out))


def test_a_finite_task_is_probed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from reasongym.rewards.adaptthink import AdaptThink

    shaper = AdaptThink(closer="=", no_think="=", think="1", attempts=2)
    observed: list[int] = []
    observe = shaper.observe
    monkeypatch.setattr(shaper, "observe", lambda batch: (observed.append(len(batch)), observe(batch)))
    grpo.main(arguments(tmp_path, shaper=shaper, advantage="identity"))
    assert observed == [4] and len(shaper.reference) == 4


@pytest.mark.parametrize(
    "shaper", ["hapo", SHAPERS[-6], ADAPTTHINK, "laser(method='thinkprune', targets=(24, 12), every=2)"]
)
def test_resume_with_a_shapers_state_is_exact(tmp_path: Path, shaper: str) -> None:
    settings = {"shaper": shaper, "advantage": "identity", "save_every": 2, "lr": 1e-5}
    grpo.main(arguments(tmp_path / "whole", steps=4, **settings))
    grpo.main(arguments(tmp_path / "halves", steps=2, **settings))
    grpo.main(arguments(tmp_path / "halves", steps=4, resume=True, **settings))
    assert log(tmp_path / "halves") == log(tmp_path / "whole")
    assert len({(line["reward"], line["length"]) for line in log(tmp_path / "whole")}) > 2


def test_adaptthink_knows_every_problem_of_dynamic_sampling(tmp_path: Path) -> None:
    """Of an endless task, in each round; so that a run that is resumed has the same references."""
    shaper = "adaptthink(closer='=', no_think='=', think='1', attempts=2, delta=0.0)"
    env = {"task": "register(low=6, high=8)", "budget": 24}
    settings = {"shaper": shaper, "advantage": "identity", "env_settings": env, "dynamic": 2, "save_every": 2}
    grpo.main(arguments(tmp_path / "whole", steps=4, save_trajectories=True, **settings))
    grpo.main(arguments(tmp_path / "halves", steps=2, **settings))
    grpo.main(arguments(tmp_path / "halves", steps=4, resume=True, **settings))
    assert log(tmp_path / "halves") == log(tmp_path / "whole")
    lines = [line for path in (tmp_path / "whole/trajectories").iterdir() for line in path.read_text().splitlines()]
    state = torch.load(tmp_path / "whole/step-000004/trainer.pt")["shaper"]
    assert len(lines) > 4 * 2 * 4 and set(state["reference"]) == {json.loads(line)["id"] for line in lines}


@pytest.mark.parametrize("dynamic", [0, 2])
def test_a_monitored_set_is_probed_once_a_step(tmp_path: Path, dynamic: int, monkeypatch: pytest.MonkeyPatch) -> None:
    shaper = parts.make("rewards", "laser/laser-d(target=8, stride=4, limit=24, monitor=3, attempts=2, every=1)")
    observed: list[int] = []
    monkeypatch.setattr(shaper, "observe", lambda batch: observed.append(len(batch)))
    grpo.main(arguments(tmp_path, shaper=shaper, dynamic=dynamic))
    assert observed == [3] * 3


@pytest.mark.parametrize("other", [{}, {"shaper": "adaptthink"}, {"shaper": "hapo", "curriculum": "epochs"}])
def test_resume_with_other_parts_is_one_line(tmp_path: Path, other: dict[str, Any]) -> None:
    grpo.main(arguments(tmp_path, steps=1, shaper="hapo"))
    name = "curriculum" if "curriculum" in other else "shaper"
    with pytest.raises(UserError, match=f"^--resume: this run began with another --{name} "):
        grpo.main(arguments(tmp_path, steps=2, resume=True, **other))


@pytest.mark.parametrize("env", ["LongCoT-v0", "Delethink-v0"])
def test_a_schedule_sets_the_budget_of_each_step(tmp_path: Path, env: str) -> None:
    windows = {"task": POOL, "chunk": 12, "carry": 6, "head": 0} if env == "Delethink-v0" else {"task": POOL}
    args = arguments(tmp_path, env=env, schedule="stair(high=20, low=4, period=2)", save_trajectories=True)
    args.env_settings = windows
    grpo.main(args)
    longest = []
    for step in range(3):
        lines = (tmp_path / f"trajectories/step-{step:06d}.jsonl").read_text().splitlines()
        longest.append(max(json.loads(line)["length"] for line in lines))
    assert longest[0] == longest[2] == 4 < longest[1] <= 20


@pytest.mark.parametrize("settings", [{"schedule": "listed(budgets=(8, 6), each=1)"}, {}])
def test_no_think_attempts_never_have_more_than_the_steps_budget(tmp_path: Path, settings: dict[str, Any]) -> None:
    env = {"task": "register(low=30, high=40)", "budget": 8}
    shaper = "adaptthink(closer='=', no_think='=', think='1', attempts=1, no_think_budget=20)"
    args = arguments(tmp_path, env_settings=env, shaper=shaper, steps=2, save_trajectories=True, **settings)
    grpo.main(args)
    for step, most in enumerate((8, 6 if settings else 8)):
        lines = (tmp_path / f"trajectories/step-{step:06d}.jsonl").read_text().splitlines()
        assert max(json.loads(line)["length"] for line in lines) == most


def test_budget_or_schedule(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--budget 9 and --schedule constant"):
        grpo.main(arguments(tmp_path, budget=9, schedule="constant(budget=3)"))
    with pytest.raises(UserError, match="there is no 'cosin'"):
        grpo.main(arguments(tmp_path, schedule="cosin"))
