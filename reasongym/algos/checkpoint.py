"""Checkpoints: folders that transformers and vLLM load, and that training resumes from exactly.

A checkpoint is written beside its place and renamed into it, so a kill at any moment leaves the
older ones whole. What a kill leaves half-written starts with a dot and is swept at the next start.
"""

from __future__ import annotations

import os
import pickle
import re
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
    try:
        torch.load(draft / _STATE, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:  # better now than when the run is to be resumed
        raise UserError("a checkpoint's state must be plain values and tensors: see each state_dict()") from error
    for path in (*draft.rglob("*"), draft):
        if path.is_file():
            path.chmod(draft.stat().st_mode & 0o666)  # safetensors makes files that only their owner may read
        _sync(path)
    draft.rename(target)
    _sync(out)
    for old in steps(out)[:-keep]:
        _drop(old)
    return target


def steps(out: str | Path) -> list[Path]:
    """The whole checkpoints in ``out``, oldest first."""
    whole = [path for path in Path(out).glob("step-*") if re.fullmatch(r"step-\d+", path.name)]
    return sorted(whole, key=lambda path: int(path.name[5:]))


def newest(out: str | Path) -> tuple[Path, dict[str, Any]] | None:
    """The newest checkpoint in ``out`` and its state, on the CPU; None where there is none."""
    found = steps(out)
    if not found:
        return None
    try:
        return found[-1], torch.load(found[-1] / _STATE, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
        raise UserError(f"cannot resume from {found[-1]}: {error}; delete that folder to go back one") from error


def states(parts: dict[str, Any]) -> dict[str, Any]:
    """What `restore` wants of these: the state of each that has one, and what they are."""
    own = {name: part.state_dict() for name, part in parts.items() if hasattr(part, "state_dict")}
    return {**own, "kinds": {name: _kind(part) for name, part in parts.items()}}


def restore(state: dict[str, Any], parts: dict[str, Any]) -> None:
    """Put every part back to where the checkpoint was made; a UserError where it is another part now."""
    kinds = state.get("kinds", {})  # older checkpoints have none
    for name, part in parts.items():
        was, now, own = kinds.get(name), _kind(part), state.get(name)
        if was not in (None, now) or (own and not hasattr(part, "load_state_dict")):
            was = was or "one that has a state"
            raise UserError(f"--resume: this run began with another --{name} ({was}, now {now}): give the same again")
        if own:
            part.load_state_dict(own)


def start(out: str | Path, *, resume: bool, agent: str = "") -> tuple[Path, dict[str, Any]] | None:
    """What a run in ``out`` begins from: the newest checkpoint, or None. Sweeps what a kill left half-written.

    A run there is never overwritten: without ``resume``, that is an error. So is one of another ``agent``, whose name
    a state has under "agent".
    """
    if steps(out) and not resume:
        raise UserError(f"{out} holds a run up to {steps(out)[-1].name}: add --resume, or choose another --out")
    check_folder(out)
    for left in Path(out).glob(".step-*"):
        shutil.rmtree(left, ignore_errors=True)
    found = newest(out)
    if found and agent and agent not in (made := _agents(found[1])):
        raise UserError(f"{out} holds a run of agents.{' or '.join(made)}: go on with that, or choose another --out")
    return found


def check_folder(out: str | Path) -> None:
    """Refuse a place where no folder can be made."""
    if file := next((path for path in (Path(out), *Path(out).parents) if path.is_file()), None):
        raise UserError(f"{out}: {file} is a file: choose another folder")


def _agents(state: dict[str, Any]) -> tuple[str, ...]:
    """By which agent a checkpoint may be; older ones do not name it."""
    if "agent" in state:
        return (state["agent"],)
    return ("ppo",) if "critic" in state else ("redi",) if "monitor" in state else ("grpo", "sft")


def _kind(part: Any) -> str:
    """Its type, and those of the terms of a sum."""
    terms = ", ".join(map(_kind, getattr(part, "shapers", ())))
    return type(part).__name__ + (f" of {terms}" if terms else "")


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
