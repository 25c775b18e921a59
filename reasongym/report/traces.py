"""Trajectories as JSON lines, and what they say of each problem."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from reasongym.core import Trajectory, UserError


def as_dict(trajectory: Trajectory, **more: Any) -> dict[str, Any]:
    """What a reader wants of a trajectory: problem, text, verdict, counts, and its windows' token ids."""
    problem, counts = trajectory.problem, {k: v for k, v in trajectory.info.items() if k != "completions"}
    return {
        **more,
        "id": problem.id,
        "level": problem.level,
        "prompt": problem.prompt,
        "answer": problem.answer,
        "text": trajectory.text,
        "verdict": asdict(trajectory.verdict),
        "truncated": trajectory.truncated,
        "length": trajectory.length,
        **counts,
        "segments": [{"ids": s.ids, "mask": s.mask} for s in trajectory.segments],
    }


def save_traces(path: str | Path, trajectories: Iterable[Trajectory], **more: Any) -> None:
    """One JSON line a trajectory; the file appears whole or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}")
    with draft.open("w") as file:
        file.writelines(json.dumps(as_dict(t, **more), default=repr) + "\n" for t in trajectories)
    draft.replace(path)


@dataclass(frozen=True)
class Visits:
    """A problem in the course of a run."""

    prompt: str
    rates: list[float]  # the mean score of its valid attempts, at each step that had any


def histories(run: str | Path) -> dict[str, Visits]:
    """By problem id, from what a run of an agent with ``--save-trajectories`` left in its folder."""
    found: dict[str, Visits] = {}
    for path in sorted(Path(run, "trajectories").glob("step-*.jsonl")):
        scores: dict[str, list[float]] = {}
        for n, text in enumerate(path.read_text().splitlines(), 1):
            try:
                line = json.loads(text)
                if line["verdict"]["valid"]:
                    found.setdefault(line["id"], Visits(line["prompt"], []))
                    scores.setdefault(line["id"], []).append(float(line["verdict"]["score"]))
            except (ValueError, KeyError, TypeError) as error:
                raise UserError(f"{path}, line {n}: this is no trajectory ({type(error).__name__}: {error})") from error
        for name, these in scores.items():
            found[name].rates.append(sum(these) / len(these))
    if not found:
        raise UserError(f"{run} has no trajectories: train with --save-trajectories")
    return found
