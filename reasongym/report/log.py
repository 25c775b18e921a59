"""The numbers of a run: one JSON line a step, TensorBoard and W&B beside it."""

from __future__ import annotations

import importlib.util
import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reasongym.core import UserError


class RunLog:
    """``OUT/metrics.jsonl``, which stays right when a run is killed and resumed; the settings in ``OUT/args.json``."""

    def __init__(
        self,
        out: str | Path,
        settings: Mapping[str, Any] | None = None,
        *,
        resume_at: int = 0,
        tensorboard: bool = False,
        wandb: str = "",
    ) -> None:
        """Lines of step ``resume_at`` and later are dropped: they will be made again."""
        _need(*["tensorboard"] * tensorboard, *["wandb"] * bool(wandb))
        self.path = Path(out) / "metrics.jsonl"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        kept = [line for line in read_log(self.path) if line["step"] < resume_at]
        draft = self.path.with_name(".metrics.jsonl")
        draft.write_text("".join(json.dumps(line) + "\n" for line in kept))
        draft.replace(self.path)
        if settings is not None:
            self.path.with_name("args.json").write_text(json.dumps(settings, indent=2, default=repr) + "\n")
        self._board = _tensorboard(Path(out), kept) if tensorboard else None
        self._wandb = _wandb(wandb, out) if wandb else None

    def write(self, step: int, **figures: float) -> None:
        """One line; a figure that is no finite number (a step without a valid trajectory) is left out."""
        line = {"step": step, **{k: float(v) for k, v in figures.items() if math.isfinite(v)}}
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        if self._board is not None:
            _show(self._board, line)
        if self._wandb is not None:
            self._wandb.log(figures, step=step)

    def close(self) -> None:
        if self._board is not None:
            self._board.close()
        if self._wandb is not None:
            self._wandb.finish()


def read_log(path: str | Path) -> list[dict[str, Any]]:
    """The whole lines of a ``metrics.jsonl``; the last one may have been cut by a kill."""
    if not Path(path).exists():
        return []
    lines = []
    for text in Path(path).read_text().splitlines():
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            break
    return lines


def _need(*packages: str) -> None:
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise UserError(f"--{package} needs the package {package}: pip install {package}")


def _tensorboard(out: Path, lines: list[dict[str, Any]]) -> Any:
    """A fresh board with the lines so far: events of steps that a resume makes again would stay for ever."""
    from tensorboard.summary import Writer

    shutil.rmtree(out / "tensorboard", ignore_errors=True)
    board = Writer(str(out / "tensorboard"))
    for line in lines:
        _show(board, line)
    return board


def _show(board: Any, line: dict[str, Any]) -> None:
    for name, value in line.items():
        if name != "step":
            board.add_scalar(name, value, line["step"])


def _wandb(project: str, out: str | Path) -> Any:
    import wandb

    return wandb.init(project=project, dir=str(out))
