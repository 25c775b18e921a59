"""The log of a run, and its trajectories as JSON lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reasongym.core import Problem, Segment, Trajectory, UserError, Verdict
from reasongym.report.log import RunLog, read_log
from reasongym.report.traces import save_traces


def test_what_is_written_is_read(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "a" / "run", {"lr": 1e-6, "task": object})
    log.write(0, reward=0.1 + 0.2, tokens=3)
    log.write(1, reward=float("nan"), loss=np.float32(0.5))
    log.close()
    first, second = read_log(tmp_path / "a" / "run" / "metrics.jsonl")
    assert first == {"step": 0, "reward": 0.1 + 0.2, "tokens": 3.0}  # to the last bit
    assert second == {"step": 1, "loss": 0.5}  # JSON knows no NaN
    assert json.loads((log.path.parent / "args.json").read_text()) == {"lr": 1e-6, "task": "<class 'object'>"}


@pytest.mark.parametrize("cut", [0, 1, 9, 17])
def test_a_killed_log_goes_on_as_if_nothing_had_happened(tmp_path: Path, cut: int) -> None:
    def write(log: RunLog, steps: range) -> None:
        for step in steps:
            log.write(step, reward=step / 3)

    whole, killed = RunLog(tmp_path / "whole"), RunLog(tmp_path / "killed")
    write(whole, range(8))
    write(killed, range(6))
    text = killed.path.read_text()
    killed.path.write_text(text[: len(text) - cut])
    assert len(read_log(killed.path)) == (6 if cut < 2 else 5)  # the newline alone may be missing
    write(RunLog(tmp_path / "killed", resume_at=4), range(4, 8))
    assert killed.path.read_text() == whole.path.read_text()
    assert [p.name for p in (tmp_path / "killed").iterdir()] == ["metrics.jsonl"]


def test_a_new_run_begins_an_empty_log(tmp_path: Path) -> None:
    RunLog(tmp_path).write(0, reward=1)
    assert read_log(RunLog(tmp_path).path) == [] == read_log(tmp_path / "nowhere.jsonl")


def test_tensorboard_gets_the_same_numbers(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    first = RunLog(tmp_path, tensorboard=True)
    for step in range(4):
        first.write(step, reward=step / 2 if step < 2 else 99)
    first.close()
    log = RunLog(tmp_path, resume_at=2, tensorboard=True)  # steps 2 and 3 will be made again
    log.write(2, reward=1)
    log.close()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(e.step, float(e.tensor_proto.float_val[0])) for e in events.Tensors("reward")] == [
        (0, 0),
        (1, 0.5),
        (2, 1),
    ]


@pytest.mark.parametrize("setting", [{"tensorboard": True}, {"wandb": "project"}])
def test_a_missing_package_is_named_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: dict[str, Any]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (name,) = setting
    with pytest.raises(UserError, match=f"--{name}"):
        RunLog(tmp_path / "run", **setting)
    assert not (tmp_path / "run").exists()


def test_trajectories_are_whole_lines_of_json(tmp_path: Path) -> None:
    problem = Problem.of("2+2?\n\ud800", answer=4, level=3, odd=object)
    segments = [Segment((1, 2, 3), (0, 1, 1), (0.0, -0.5, -0.1)), Segment((1, 4), (0, 1), (0.0, -1.0))]
    info = {"used": 3, "resets": 1, "completions": ["not for the file"]}
    one = Trajectory(problem, segments, "4\u2028é", Verdict(1.0, "4", detail={"x": {1}}), False, info)
    path = tmp_path / "deep" / "traces.jsonl"
    save_traces(path, [one, one], step=7)
    first, second = (json.loads(line) for line in path.read_text().split("\n")[:-1])
    assert first == second and first["segments"] == [
        {"ids": [1, 2, 3], "mask": [0, 1, 1]},
        {"ids": [1, 4], "mask": [0, 1]},
    ]
    assert (first["prompt"], first["text"], first["answer"]) == ("2+2?\n\ud800", "4\u2028é", 4)
    assert (first["step"], first["length"], first["resets"], first["verdict"]["score"]) == (7, 3, 1, 1.0)
    assert "completions" not in first and [p.name for p in path.parent.iterdir()] == ["traces.jsonl"]


def test_a_failure_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    path.write_text("old")

    def broken() -> Any:
        raise RuntimeError("rollout died")
        yield

    with pytest.raises(RuntimeError):
        save_traces(path, broken())
    assert path.read_text() == "old"
