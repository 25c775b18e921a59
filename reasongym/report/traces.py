"""Trajectories as JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from reasongym.core import Trajectory


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
