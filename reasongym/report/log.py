"""The numbers of a run: one JSON line a step, TensorBoard and W&B beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from reasongym.core import UserError


class RunLog:
    """``OUT/metrics.jsonl``, which stays right when a run is killed and resumed."""

    def __init__(self, out: str | Path, *, resume_at: int = 0, tensorboard: bool = True, wandb: str = "") -> None:
        """Lines of step ``resume_at`` and later are dropped: they will be made again."""
        self.path = Path(out) / "metrics.jsonl"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        kept = [line for line in read_log(self.path) if line["step"] < resume_at]
        draft = self.path.with_name(".metrics.jsonl")
        draft.write_text("".join(json.dumps(line) + "\n" for line in kept))
        draft.replace(self.path)
        self._board = _tensorboard(Path(out)) if tensorboard else None
        self._wandb = _wandb(wandb, out) if wandb else None

    def write(self, step: int, **figures: float) -> None:
        line = {"step": step, **{k: float(v) for k, v in figures.items()}}
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        if self._board is not None:
            for name, value in figures.items():
                self._board.add_scalar(name, float(value), step)
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


def _tensorboard(out: Path) -> Any:
    try:
        from tensorboard.summary import Writer
    except ImportError as error:
        raise UserError("--tensorboard needs tensorboard: pip install 'reasongym[agents]'") from error
    return Writer(str(out / "tensorboard"))


def _wandb(project: str, out: str | Path) -> Any:
    try:
        import wandb
    except ImportError as error:
        raise UserError("--wandb needs wandb: pip install wandb") from error
    return wandb.init(project=project, dir=str(out))
