"""Several short examples in one training row, none of which sees another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor

Example = Sequence[Sequence[int]]  # by turns what is given and what is learned: prompt, response, output, response...


@dataclass(frozen=True)
class Packed:
    """Rows of examples end to end. ``positions`` start anew at each, which is how attention tells them apart."""

    ids: Tensor  # [N, T] int64
    positions: Tensor  # [N, T] int64
    mask: Tensor  # [N, T] 1 on the tokens to learn

    def to(self, device: torch.device | str) -> Packed:
        return Packed(self.ids.to(device), self.positions.to(device), self.mask.to(device))


def pack_examples(examples: Sequence[Example], row: int) -> Packed:
    """First-fit decreasing into rows of ``row`` tokens; a longer example gets a row of its own.

    transformers makes the block-diagonal mask from ``positions`` when it is given no attention mask.
    Padding is one more block, with mask 0.
    """
    rows: list[list[Example]] = []
    room: list[int] = []
    for example in sorted(examples, key=_size, reverse=True):
        fits = next((n for n, free in enumerate(room) if free >= _size(example)), None)
        if fits is None:
            rows.append([])
            room.append(max(row, _size(example)))
            fits = -1
        rows[fits].append(example)
        room[fits] -= _size(example)
    width = max(sum(map(_size, r)) for r in rows)
    ids, positions, mask = (torch.zeros(len(rows), width, dtype=torch.long) for _ in range(3))
    for n, members in enumerate(rows):
        start = 0
        for example in members:
            end = start + _size(example)
            ids[n, start:end] = torch.tensor([*chain.from_iterable(example)])
            positions[n, start:end] = torch.arange(end - start)
            mask[n, start:end] = torch.tensor([turn % 2 for turn, piece in enumerate(example) for _ in piece])
            mask[n, start] = 0  # nothing stands before a first token to learn it from
            start = end
        positions[n, start:] = torch.arange(width - start)
    return Packed(ids, positions, mask)


def _size(example: Example) -> int:
    return sum(map(len, example))
