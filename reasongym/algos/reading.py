"""A model that reads rows of tokens in pieces of any length, each position once: caches that may lag behind.

Shapes: n rows, C new tokens (padded on the right), L cached columns, V vocabulary, D hidden size, H heads, d head size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer

from reasongym.core import UserError

_TOKENS = 16384  # padded tokens of one forward, which bounds its activations


class _Layer(DynamicLayer):  # type: ignore[no-untyped-call]
    """One layer's keys and values: a column is a position, whatever the row, and is written in place."""

    def __init__(self, reader: Reader) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.reader, self.buffers = reader, list[Tensor]()

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        r = self.reader
        self._grow(key_states, value_states)
        for buffer, states in zip(self.buffers, (key_states, value_states), strict=True):
            buffer[r.rows[:, None], :, r.columns] = states.transpose(1, 2)
        keys, values = (b[: len(r.rows), :, : r.end] if r.dense else b[r.rows, :, : r.end] for b in self.buffers)
        return keys, values

    def _grow(self, *states: Tensor) -> None:
        """Make room for the columns that are to be written; what is read anew is never NaN (0 * NaN is NaN)."""
        r = self.reader
        if self.buffers and self.buffers[0].shape[2] >= r.width:
            return
        new = [s.new_zeros((r.slots, s.shape[1], r.width, s.shape[3])) for s in states]
        for buffer, old in zip(new, self.buffers, strict=bool(self.buffers)):
            buffer[:, :, : old.shape[2]] = old
        self.buffers = new

    def get_seq_length(self) -> int:
        return self.reader.end

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.reader.end, 0


class Reader:
    """A causal language model and the keys and values of ``slots`` rows, each as far as it has read.

    Rows are left-aligned: position p of a row stands in column p. So rows of different lengths may read pieces of
    different lengths in one forward, a row that is behind catches up in one piece, and nothing is ever rolled back or
    read twice. What padding writes stands beyond its row's end, where no query sees it before it is overwritten.

    Args:
        model: A model of transformers whose layers are full attention, by sdpa: rows are masked one by one.
        slots: Rows at a time.
        last: Whether the model can leave out all logits but those at some columns (see `reasongym.algos.models`).
    """

    def __init__(self, model: Any, slots: int, last: bool = True) -> None:
        self.model, self.slots, self._last = model, slots, last
        self.lengths = [0] * slots  # positions that each row has read
        self.width = self.end = 0  # columns that there are, and that the present forward sees
        self.rows = self.columns = torch.empty(0)
        self.dense = False
        self._cache = Cache(layers=[_Layer(self) for _ in range(model.config.get_text_config().num_hidden_layers)])

    def forget(self, slot: int) -> None:
        """Let a new row begin in this slot."""
        self.lengths[slot] = 0

    def read(self, slots: Sequence[int], contexts: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """Read what each row has not read of its context yet: the logits [n, V] after it, and hidden states [n, D].

        ``contexts`` begin with what their rows have read, and have at least one token more. Hidden states are those
        that the logits are made of: the last layer's, after the final norm.
        """
        news = [len(context) - self.lengths[slot] for slot, context in zip(slots, contexts, strict=True)]
        if min(news) < 1:
            raise UserError("a row must have something new to read")
        logits: list[Tensor] = []
        hidden: list[Tensor] = []
        order = sorted(range(len(slots)), key=lambda i: (-news[i], slots[i]))
        for group in _groups(order, news):
            there = [slots[i] for i in group]
            pieces = [contexts[i][self.lengths[s] :] for i, s in zip(group, there, strict=True)]
            for found, part in zip((logits, hidden), self._forward(there, pieces), strict=True):
                found.append(part)
            for slot, piece in zip(there, pieces, strict=True):
                self.lengths[slot] += len(piece)
        back = torch.tensor(order, device=logits[0].device).argsort()
        return torch.cat(logits)[back], torch.cat(hidden)[back]

    def _forward(self, slots: Sequence[int], pieces: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        device, longest = self.model.device, max(map(len, pieces))
        ids = torch.tensor([[*piece, *[0] * (longest - len(piece))] for piece in pieces], device=device)
        first = torch.tensor([self.lengths[slot] for slot in slots], device=device)[:, None]
        last = torch.tensor([len(piece) - 1 for piece in pieces], device=device)
        offsets = torch.arange(longest, device=device)
        # padding stands at its row's last position, so that it sees something, and no position that is not there
        positions = first + torch.minimum(offsets, last[:, None])
        self.rows, self.columns = torch.tensor(slots, device=device), first + offsets
        self.dense = list(slots) == list(range(len(slots)))
        self.end = max(self.lengths[slot] for slot in slots) + longest
        if self.end > self.width:
            self.width = max(64, self.end + self.end // 2)
        mask = torch.arange(self.end, device=device) <= positions[:, None, :, None]
        wanted, place = torch.unique(last, return_inverse=True)
        out = self.model(
            input_ids=ids,
            position_ids=positions,
            attention_mask=mask,
            past_key_values=self._cache,
            use_cache=True,
            output_hidden_states=True,
            **({"logits_to_keep": wanted} if self._last else {}),
        )
        each = torch.arange(len(slots), device=device)
        return out.logits[each, place if self._last else last], out.hidden_states[-1][each, last]


def _groups(order: Sequence[int], news: Sequence[int]) -> Iterator[list[int]]:
    """Rows, those with most to read first, cut into forwards that waste less than half on padding."""
    group: list[int] = []
    for i in order:
        if group and (2 * news[i] < news[group[0]] or (len(group) + 1) * news[group[0]] > _TOKENS):
            yield group
            group = []
        group.append(i)
    yield group
