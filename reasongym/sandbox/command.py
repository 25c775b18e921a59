"""The command ``reasongym sandbox``: what this machine can isolate with, and the image that docker needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from reasongym import parts
from reasongym.core import HostError, UserError
from reasongym.sandbox import BACKENDS, selftest


@dataclass
class Sandbox:
    """Say which backends work here ("check"), or make docker's image from this Python, without a registry ("build")."""

    what: Literal["check", "build"]
    tag: str = ""
    """Of the image, in place of reasongym-sandbox and its version."""


def sandbox_command(args: Sandbox) -> None:
    """One line a backend, or the image's name."""
    if args.what == "build":
        from reasongym.sandbox import docker

        print(docker.build(args.tag or None))
        return
    faults = {name: fault(name) for name in BACKENDS}
    for name, why in faults.items():
        print(f"{name}: {why or 'works'}")
    taken = next((name for name, why in faults.items() if not why), None)
    print(f"auto takes {taken}" if taken else "auto refuses: nothing untrusted can run here")


def fault(backend: str) -> str:
    """Why a backend cannot be used here; empty if it starts and passes the self-test."""
    try:
        nursery = parts.make("sandbox", backend).start()
        try:
            selftest.check(nursery)
        finally:
            nursery.close()
    except (UserError, HostError) as error:
        return f"no: {' '.join(str(error).split()).removeprefix(f'{backend}: ')}"
    return ""
