"""Blocks that a model writes into its thought for a tool, and the block that the tool puts below.

A block is a line of three back-ticks and its kind, then its text, then a line of three back-ticks. A tool reads only
what was written since it last spoke, so that what it takes for the model's text is not its own.
"""

from __future__ import annotations

from collections.abc import Collection
from textwrap import dedent
from typing import NamedTuple

FENCE = "```"
STOP = f"{FENCE}\n"  # where the model pauses


class Block(NamedTuple):
    """What stands between two fences, and the word behind the first."""

    kind: str
    text: str


def last_block(text: str, kinds: Collection[str]) -> Block | None:
    """The block of one of these kinds that the last line of ``text`` closes; None where that closes none."""
    *lines, last, end = ["", *text.split("\n")]
    if end or last.strip() != FENCE:
        return None
    for n in range(len(lines) - 1, -1, -1):
        line = lines[n].strip()
        if line == FENCE:
            return None
        if line.startswith(FENCE) and (kind := line.removeprefix(FENCE)) in kinds:
            return Block(kind, dedent("\n".join(lines[n + 1 :])))
    return None


def shown(output: str, notice: str = "") -> str:
    """The block that the model sees. No fence can stand in it: the output could close it and open others."""
    said = output.replace(FENCE, "'''")
    return (
        f"{FENCE}output\n{said}\n{notice}\n{FENCE}\n"
        if notice and said
        else f"{FENCE}output\n{said or notice}\n{FENCE}\n"
    )
