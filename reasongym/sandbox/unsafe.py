"""A plain process without any isolation: what a model writes runs as you. For machines that have nothing better."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from reasongym.sandbox.native import ENVIRONMENT, INSIDE, PRELOAD
from reasongym.sandbox.stream import Stream


@dataclass(frozen=True)
class Unsafe:
    """Sessions that are forked, timed and killed as everywhere, and nothing else."""

    def start(self) -> Stream:
        return Stream(Program(command({"preload": PRELOAD, "jail": False})))


def command(config: dict[str, Any]) -> list[str]:
    """What starts a nursery on this machine, which speaks over its standard input and output."""
    return [sys.executable, "-I", str(INSIDE / "nursery.py"), json.dumps(config)]


class Program:
    """A process of this machine at a stream's other end."""

    def __init__(self, command: Sequence[str]) -> None:
        self.sock, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                command,
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.PIPE,
                env=ENVIRONMENT,
                cwd="/",
                start_new_session=True,
            )

    def plain(self, data: bytes) -> bytes:
        return data

    def close(self) -> str:
        try:
            _, log = self.process.communicate(timeout=5.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            _, log = self.process.communicate()
        return log.decode(errors="replace").strip() if log else ""

    def let_go(self) -> None:
        if self.process.stderr is not None:
            self.process.stderr.close()
        self.process.returncode = 0


def make() -> Unsafe:
    return Unsafe()
