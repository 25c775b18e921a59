"""One key-value cache for rows that come and go: it grows in place, and rows are right-aligned in it.

Shapes: n active rows, V vocabulary, L cached columns, H key-value heads, d head size.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer


class Row(Protocol):
    """What the window must know of a request."""

    begin: int  # its first column in the window

    @property
    def context(self) -> tuple[int, ...]:
        """All ids so far; the newest one is not in the cache yet."""
        ...

    @property
    def left(self) -> int:
        """Tokens that it may still take."""
        ...


R = TypeVar("R", bound=Row)


class _Layer(DynamicLayer):  # type: ignore[no-untyped-call]
    """One layer's keys and values as views of buffers, which `update` writes in place."""

    def __init__(self, window: Window[Any], keys: Tensor, values: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.window = window
        self.is_initialized, self.dtype, self.device = True, keys.dtype, keys.device
        self.buffers = [t[:0, :, :0] for t in (keys, values)]

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        n, start, end = len(self.window.rows), self.window.start, self.window.end
        keys, values = self.buffers
        keys[:n, :, end : end + 1] = key_states
        values[:n, :, end : end + 1] = value_states
        return keys[:n, :, start : end + 1], values[:n, :, start : end + 1]

    def get_seq_length(self) -> int:
        return self.window.end - self.window.start

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.get_seq_length() + query_length, 0


class Window(Generic[R]):
    """The active rows and their keys and values, right-aligned in columns ``[start, end)``.

    Rows are kept dense: the last rows move into the places of those that leave. A row's cells
    before its ``begin`` hold finite values of no meaning, which the mask hides.
    """

    def __init__(self) -> None:
        self.rows: list[R] = []
        self.clear()

    def clear(self) -> None:
        self.rows, self.start, self.end = [], 0, 0
        self.layers: list[_Layer] = []
        self.cache: Any = None  # the layers, as the model takes them
        self.height = self.width = 0  # of the buffers

    def add(self, rows: Sequence[R], source: Sequence[int], filled: Any, total: int) -> None:
        """Let ``rows`` join; row i's keys and values are ``filled[source[i]]``, ending at its right end."""
        if not self.layers:
            self.layers = [_Layer(self, f.keys, f.values) for f in filled.layers]
            self.cache = Cache(layers=[*self.layers])
        n, length = len(self.rows), filled.layers[0].keys.shape[2]
        self.reserve(max(total, n + len(rows)), length, [*self.rows, *rows])
        for layer, new in zip(self.layers, filled.layers, strict=True):
            for buffer, tensor in zip(layer.buffers, (new.keys, new.values), strict=True):
                buffer[n : n + len(rows), :, self.end - length : self.end] = tensor[list(source)]
        for row in rows:
            row.begin = self.end - len(row.context) + 1  # its newest id is not in the cache yet
        self.rows += rows
        self._settle()

    def reserve(self, height: int, length: int, rows: Sequence[R]) -> None:
        """Make place for ``height`` rows, ``length`` columns to the left of the end and one to its right."""
        if height <= self.height and length <= self.end < self.width:
            return
        used = self.end - self.start
        end = max(used, length)
        self.height = max(height, self.height)
        self.width = end + max(16, min(max(r.left for r in rows), max(256, end // 2)))  # no more than they can use
        for layer in self.layers:
            layer.buffers = [self._moved(buffer, end) for buffer in layer.buffers]
        for row in self.rows:
            row.begin += end - self.end
        self.start, self.end = end - used, end
        self._settle()

    def _moved(self, old: Tensor, end: int) -> Tensor:
        new = old.new_zeros((self.height, old.shape[1], self.width, old.shape[3]))  # never NaN: 0 * NaN is NaN
        n, used = len(self.rows), self.end - self.start
        new[:n, :, end - used : end] = old[:n, :, self.start : self.end]
        return new

    def drop(self, gone: Collection[int]) -> None:
        """Let the rows at these places leave."""
        n = len(self.rows) - len(gone)
        if n == 0:
            return self.clear()
        gone = set(gone)
        holes = [i for i in gone if i < n]
        movers = [i for i in range(n, len(self.rows)) if i not in gone]
        for layer in self.layers if holes else ():
            for buffer in layer.buffers:
                buffer[holes, :, self.start : self.end] = buffer[movers, :, self.start : self.end]
        for hole, mover in zip(holes, movers, strict=True):
            self.rows[hole] = self.rows[mover]
        del self.rows[n:]
        self._settle()

    def _settle(self) -> None:
        """Trim the padding that all rows have in common, and say again what each row may see."""
        begins = [row.begin for row in self.rows]
        if not begins:
            return
        self.start = min(begins)
        self.padded = self.start != max(begins)
        device = self.layers[0].device
        self.mask = torch.arange(self.width, device=device) >= torch.tensor(begins, device=device)[:, None]
