"""Landlock and seccomp, and nothing to install: the backend for where no namespace can be made, such as a pod.

Needs Linux 5.13 with Landlock (6.12 also scopes signals and abstract sockets, which the system call filter refuses
anyway). The host's process numbers and its clock are shared; no file but the interpreter's own can be read.
"""

from __future__ import annotations

from dataclasses import dataclass

from reasongym.sandbox.native import Native, readable


@dataclass(frozen=True)
class Landlock:
    """A plain process that gives up its rights before it forks a session."""

    def start(self) -> Native:
        return Native([], {"readable": readable()})


def make() -> Landlock:
    return Landlock()
