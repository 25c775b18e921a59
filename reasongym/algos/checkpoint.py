"""Checkpoints: folders that transformers and vLLM load, and that training resumes from exactly.

A checkpoint is written beside its place and renamed into it, so a kill at any moment leaves the
older ones whole. What a kill leaves half-written starts with a dot and is swept at the next start.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import torch

from reasongym.core import Tokenizer, UserError

_STATE = "trainer.pt"


def save(out: str | Path, step: int, model: Any, tokenizer: Tokenizer, state: dict[str, Any], keep: int = 2) -> Path:
    """Write ``out/step-000123``: model, tokenizer and ``state`` (plain values and tensors); keep the last few."""
    out = Path(out)
    target, draft = out / f"step-{step:06d}", out / f".step-{step:06d}"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    model.generation_config.eos_token_id = list(tokenizer.eos_ids)
    model.generation_config.pad_token_id = tokenizer.pad_id
    model.save_pretrained(draft)
    tokenizer.save(draft)
    torch.save({"step": step, **state}, draft / _STATE)
    for file in (*draft.iterdir(), draft):
        _sync(file)
    draft.rename(target)
    _sync(out)
    for old in steps(out)[:-keep]:
        _drop(old)
    return target


def steps(out: str | Path) -> list[Path]:
    """The whole checkpoints in ``out``, oldest first."""
    return sorted(Path(out).glob("step-*"), key=lambda path: int(path.name[5:]))


def newest(out: str | Path) -> tuple[Path, dict[str, Any]] | None:
    """The newest checkpoint in ``out`` and its state; None where there is none. Sweeps what a kill left."""
    for left in Path(out).glob(".step-*"):
        shutil.rmtree(left, ignore_errors=True)
    found = steps(out)
    if not found:
        return None
    try:
        return found[-1], torch.load(found[-1] / _STATE, weights_only=True)
    except (OSError, RuntimeError) as error:
        raise UserError(f"cannot resume from {found[-1]}: {error}; delete that folder to go back one") from error


def start(out: str | Path, *, resume: bool) -> tuple[Path, dict[str, Any]] | None:
    """What a run in ``out`` begins from: the newest checkpoint, or None. A run there is never overwritten."""
    if steps(out) and not resume:
        raise UserError(f"{out} holds a run up to {steps(out)[-1].name}: add --resume, or choose another --out")
    return newest(out) if resume else None


def _drop(folder: Path) -> None:
    """Remove a checkpoint so that a kill half-way never leaves one that looks whole."""
    hidden = folder.with_name(f".{folder.name}-old")
    shutil.rmtree(hidden, ignore_errors=True)
    folder.rename(hidden)
    shutil.rmtree(hidden, ignore_errors=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
