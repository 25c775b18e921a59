"""The space of text, and how it travels through the shared memory of vector environments."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium as gym
from gymnasium.vector.utils import create_shared_memory, read_from_shared_memory, write_to_shared_memory

from reasongym.core import UserError


class Unicode(gym.Space[str]):
    """Any string. (`spaces.Text` refuses newlines, and corrupts under `AsyncVectorEnv`.)

    ``max_bytes`` of UTF-8 is what one string may take in an async vector env's shared memory.
    """

    def __init__(self, max_bytes: int = 1 << 20, seed: int | None = None) -> None:
        self.max_bytes = max_bytes
        super().__init__(None, str, seed)

    @property
    def is_np_flattenable(self) -> bool:
        return False

    def sample(self, mask: Any = None, probability: Any = None) -> str:
        """Up to 32 random characters from all over Unicode, control characters and newlines too."""
        top = self.np_random.choice([0x80, 0x800, 0xD800, 0x110000])
        points = self.np_random.integers(0, top, self.np_random.integers(0, 33))
        return "".join(chr(p) if not 0xD800 <= p < 0xE000 else "\n" for p in points)

    def contains(self, x: Any) -> bool:
        return isinstance(x, str)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unicode) and other.max_bytes == self.max_bytes

    def __repr__(self) -> str:
        return f"Unicode(max_bytes={self.max_bytes})"


class _SharedTexts(tuple[Any, ...]):
    """A view of n shared strings that is decoded when it is read, not when it is made."""

    def __iter__(self) -> Iterator[str]:
        return (bytes(text[: size.value]).decode("utf-8", "surrogatepass") for size, text in super().__iter__())

    def __getitem__(self, i: Any) -> Any:
        return tuple(self)[i]

    def __deepcopy__(self, memo: Any) -> tuple[str, ...]:
        return tuple(self)


@create_shared_memory.register(Unicode)
def _create(space: Unicode, n: int = 1, ctx: Any = None) -> list[tuple[Any, Any]]:
    return [(ctx.Value("Q", 0, lock=False), ctx.RawArray("c", space.max_bytes)) for _ in range(n)]


@read_from_shared_memory.register(Unicode)
def _read(space: Unicode, shared_memory: Any, n: int = 1) -> _SharedTexts:
    return _SharedTexts((size, memoryview(text).cast("B")) for size, text in shared_memory)


@write_to_shared_memory.register(Unicode)
def _write(space: Unicode, index: int, value: str, shared_memory: Any) -> None:
    data = value.encode("utf-8", "surrogatepass")
    if len(data) > space.max_bytes:
        hint = "pass vector_kwargs={'shared_memory': False} to make_vec"
        raise UserError(f"an observation of {len(data)} bytes does not fit {space!r}: {hint}")
    size, text = shared_memory[index]
    memoryview(text).cast("B")[: len(data)] = data
    size.value = len(data)
