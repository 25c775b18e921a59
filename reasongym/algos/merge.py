"""Weighted means of models' weights: of state dicts, and of checkpoints on disk, one tensor at a time.

It makes sense only for models that were trained from one common start.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from reasongym.core import UserError

_TYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_OWN = ("trainer.pt", "*.safetensors", "*.bin", "*.pth")  # of the first model's files, not the merged one's


def merge(states: Sequence[Mapping[str, Tensor]], weights: Sequence[float] | None = None) -> dict[str, Tensor]:
    """``sum_i weights[i] * states[i]``, tensor by tensor; by default the mean. Weights are at least 0, with sum 1.

    Keys, shapes and types must agree. What is no floating point (a counter) must be the same in all.

    Source: VibeThinker-1.5B, arXiv 2511.06221, section 3.3 (w_i = 1/N). Differs: half precision is added up in float32.
    """
    parts = _shares(len(states), weights)
    for n, state in enumerate(states):
        _same_keys(states[0].keys(), state.keys(), f"model {n}")
    return {name: _mean(name, [state[name] for state in states], parts) for name in states[0]}


def merge_folders(folders: Sequence[str | Path], out: str | Path, weights: Sequence[float] | None = None) -> Path:
    """`merge` of checkpoints (folders of safetensors) into the new folder ``out``; the rest is the first one's.

    One tensor of each model is in memory at a time, however the files are sharded. ``out`` appears whole or not at all.
    """
    out, parts = Path(out), _shares(len(folders), weights)
    if out.exists():
        raise UserError(f"{out} is there already: name another folder")
    if file := next((path for path in out.parents if path.is_file()), None):
        raise UserError(f"{out}: {file} is a file: name another folder")
    stored = [_stored(Path(folder)) for folder in folders]
    for folder, tensors in zip(folders, stored, strict=True):
        _same_keys(stored[0].keys(), tensors.keys(), str(folder))
        for name, tensor in tensors.items():
            _same_kind(name, stored[0][name].kind, tensor.kind)
    files: dict[Path, list[str]] = {}  # the shards are those of the first
    for name, tensor in stored[0].items():
        files.setdefault(tensor.file, []).append(name)
    draft = out.with_name(f".{out.name}")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        shutil.copytree(folders[0], draft, ignore=shutil.ignore_patterns(*_OWN))
        for file, names in files.items():
            _write(draft / file.name, {name: [tensors[name] for tensors in stored] for name in names}, parts)
        draft.rename(out)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return out


def _mean(name: str, tensors: Sequence[Tensor], parts: Sequence[float]) -> Tensor:
    first = tensors[0]
    for tensor in tensors[1:]:
        _same_kind(name, *(f"{t.dtype} {[*t.shape]}" for t in (first, tensor)))
    if not first.is_floating_point():
        if not all(torch.equal(first, tensor) for tensor in tensors):
            raise UserError(f"merge: {name} is {first.dtype} and differs: there is no mean of it")
        return first.clone()
    total = torch.zeros(first.shape, dtype=torch.promote_types(first.dtype, torch.float32))
    for tensor, part in zip(tensors, parts, strict=True):
        total += part * tensor.to(total.dtype)
    return total.to(first.dtype)


def _shares(n: int, weights: Sequence[float] | None) -> list[float]:
    parts = [1 / n] * n if weights is None and n else list(weights or ())
    if n < 1 or len(parts) != n or min(parts) < 0 or not math.isclose(sum(parts), 1, abs_tol=1e-6):
        raise UserError(
            f"merge: weights={parts} must be {max(n, 1)} numbers of at least 0 with sum 1, one for each model"
        )
    return parts


def _same_keys(first: Any, other: Any, where: str) -> None:
    if wrong := sorted(set(first) ^ set(other)):
        raise UserError(f"merge: {where} and the first model differ in {', '.join(wrong[:3])}: merge one architecture")


def _same_kind(name: str, first: str, other: str) -> None:
    if first != other:
        raise UserError(f"merge: {name} is {first} and {other}: merge models of one architecture and type")


# --- safetensors: 8 bytes that count a JSON header, the header, and the tensors' bytes one after another


@dataclass(frozen=True)
class _Stored:
    """A tensor on disk."""

    file: Path
    begin: int
    end: int
    entry: dict[str, Any]  # what its file's header says of it

    @property
    def kind(self) -> str:
        return f"{self.entry['dtype']} {self.entry['shape']}"

    def read(self) -> Tensor:
        with self.file.open("rb") as file:
            file.seek(self.begin)
            data = bytearray(file.read(self.end - self.begin))
        dtype = _TYPES.get(self.entry["dtype"], torch.uint8)  # of other types only the bytes are compared
        shape = self.entry["shape"] if self.entry["dtype"] in _TYPES else [len(data)]
        return torch.frombuffer(data, dtype=dtype).reshape(shape) if data else torch.zeros(shape, dtype=dtype)


def _stored(folder: Path) -> dict[str, _Stored]:
    """Every tensor of a folder's safetensors, by name."""
    found: dict[str, _Stored] = {}
    for path in sorted(folder.glob("*.safetensors")):
        try:
            with path.open("rb") as file:
                size = int.from_bytes(file.read(8), "little")
                header = json.loads(file.read(size))
            header.pop("__metadata__", None)
            for name, entry in header.items():
                begin, end = (8 + size + at for at in entry["data_offsets"])
                found[name] = _Stored(path, begin, end, entry)
            whole = path.stat().st_size == max((t.end for t in found.values() if t.file == path), default=8 + size)
        except (OSError, ValueError, KeyError, AttributeError) as error:
            raise UserError(f"{path} is no safetensors file ({error})") from error
        if not whole:
            raise UserError(f"{path} is not whole: copy it again")
    if not found:
        raise UserError(f"{folder} holds no *.safetensors: give a checkpoint's folder")
    return found


def _write(path: Path, tensors: Mapping[str, Sequence[_Stored]], parts: Sequence[float]) -> None:
    """A file of merged tensors, in the order of their places in the first model's."""
    order = sorted(tensors, key=lambda name: tensors[name][0].begin)
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name in order:
        size = tensors[name][0].end - tensors[name][0].begin
        header[name] = {**tensors[name][0].entry, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of 8, as the format asks
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in order:
            merged = _mean(name, [stored.read() for stored in tensors[name]], parts)
            file.write(merged.contiguous().view(-1).view(torch.uint8).numpy().data)
