"""A container without network, rights or anything to write to, in which sessions are confined once more.

One container is one nursery: it speaks over its standard input and output, and ends when the engine loses us. Needs
the SDK (``pip install 'reasongym[docker]'``), an engine, and the image that ``reasongym sandbox build`` makes.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reasongym.core import HostError, UserError
from reasongym.sandbox import image as images
from reasongym.sandbox import seccomp
from reasongym.sandbox.native import ENVIRONMENT, PRELOAD, UID
from reasongym.sandbox.stream import Stream

LABEL = "reasongym.sandbox"  # of images and containers: the fingerprint of what runs inside
_HEADER = struct.Struct(">BxxxI")  # before each piece of output: 1 for the standard one, 2 for errors; its size
SILENCE_S = 60.0  # of ours, after which a container ends: an engine that was killed does not close its input
_LOG_MOST = 4000
_STALE_S = 120.0  # a container that was made and not started for so long has lost who made it


@dataclass(frozen=True)
class Docker:
    """A hardened container.

    Args:
        runtime: As the engine knows it: ``"runsc"`` for gVisor; None for its default.
        image: Another image than the one that ``reasongym sandbox build`` makes.
        memory: Of all sessions together; no swap. Where it runs out the kernel ends who took most; but gVisor's sandbox
            is one process to the kernel, and ends as a whole (a HostError): give it what all may use at once.
        pids: Processes, of which each session is one.
        cpus: Processors; None for all.
    """

    runtime: str | None = None
    image: str | None = None
    memory: str = "4g"
    pids: int = 512
    cpus: float | None = None

    def start(self) -> Stream:
        return Stream(Container(engine(), self))


class Container:
    """The stream's other end: a container, attached to before it starts."""

    def __init__(self, client: Any, config: Docker) -> None:
        self._client, self._raw, self._log, self.id = client, bytearray(), b"", ""
        self.sock = socket.socket()  # until there is a better one
        try:
            _sweep(client)
            made = client.containers.create(_image(client, config.image), **settings(config))
            self.id = made.id
            self.sock.close()
            self.sock = _attach(made)
            made.start()
        except Exception as error:
            self.sock.close()
            self.close(0.0)
            raise _explained(error, config) from error

    def plain(self, data: bytes) -> bytes:
        """The engine's framing undone; what was written to standard error is kept apart."""
        self._raw += data
        out = bytearray()
        while len(self._raw) >= _HEADER.size:
            kind, size = _HEADER.unpack_from(self._raw)
            if len(self._raw) < _HEADER.size + size:
                break
            piece = self._raw[_HEADER.size : _HEADER.size + size]
            del self._raw[: _HEADER.size + size]
            if kind == 1:
                out += piece
            else:
                self._log = (self._log + piece)[-_LOG_MOST:]
        return bytes(out)

    def close(self, patience: float = 5.0) -> str:
        """It ends by itself when its input does; if not, it is removed."""
        with contextlib.suppress(Exception):  # gone already, or the engine is
            _knock()
            try:
                self._client.api.wait(self.id, timeout=patience, condition="removed") if patience else None
            finally:
                self._client.api.remove_container(self.id, force=True)
        self._client.close()
        return self._log.decode(errors="replace").strip()

    def let_go(self) -> None:
        self._client.close()


def settings(config: Docker) -> dict[str, Any]:
    """How the container is made, as the SDK takes it."""
    inside = {
        "preload": PRELOAD,
        "readable": images.READABLE,
        "landlock": True,
        "root": images.ROOT,
        "silence": SILENCE_S,
    }
    return {
        "command": [*images.PROGRAM, json.dumps(inside)],
        "environment": {**ENVIRONMENT, **images.ENVIRONMENT},
        "hostname": "sandbox",
        "working_dir": "/",
        "user": f"{UID}:{UID}",
        "network_mode": "none",
        "ipc_mode": "none",  # no /dev/shm, the one place that could be written to
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true", f"seccomp={seccomp.profile()}"],
        "mem_limit": config.memory,
        "memswap_limit": config.memory,
        "pids_limit": config.pids,
        "nano_cpus": int(config.cpus * 1e9) if config.cpus else None,
        "runtime": config.runtime,
        "init": True,
        "stdin_open": True,  # which the SDK makes to be closed with the connection
        "auto_remove": True,
        "log_config": {"type": "none"},  # its output is our stream
        "labels": {LABEL: images.fingerprint()},
    }


def engine() -> Any:
    """A client of the engine that DOCKER_HOST names, or of this machine's."""
    try:
        import docker
    except ImportError as error:
        raise UserError("docker: the SDK is missing: pip install 'reasongym[docker]'") from error
    try:
        _knock()
        return docker.from_env(timeout=60)
    except (OSError, docker.errors.DockerException) as error:
        raise UserError(f"docker: no engine answers: start one, or name it with DOCKER_HOST ({error})") from error


def _knock() -> None:
    """OSError if nobody listens: the SDK would find out too, and leave a socket open."""
    scheme, _, path = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").partition("://")
    if scheme == "unix":
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(path)


def build(tag: str | None = None) -> str:
    """Pack the image and hand it to the engine; its name."""
    name, _, tag = (tag or images.REPOSITORY).partition(":")
    tag = tag or images.fingerprint()
    client = engine()
    try:
        with tempfile.TemporaryDirectory(prefix="reasongym-") as folder:
            tar = Path(folder, "image.tar")
            images.pack(tar)
            label = [f"LABEL {LABEL}={images.fingerprint()}"]
            client.api.import_image_from_file(str(tar), name, tag, label)
    finally:
        client.close()
    return f"{name}:{tag}"


def _image(client: Any, name: str | None) -> str:
    """The image's name, if it is there and of this reasongym."""
    import docker

    wanted = name or f"{images.REPOSITORY}:{images.fingerprint()}"
    fix = "reasongym sandbox build" + (f" --tag {name}" if name else "")
    try:
        labels = client.images.get(wanted).labels
    except docker.errors.ImageNotFound:
        stale = "" if name or not client.images.list(images.REPOSITORY) else ", only one of another version"
        raise UserError(f"docker: there is no image {wanted}{stale}: make it with `{fix}`") from None
    if labels.get(LABEL) != images.fingerprint():
        raise UserError(f"docker: the image {wanted} is of another version: make it again with `{fix}`")
    return wanted


def _attach(container: Any) -> socket.socket:
    """The container's input and output, as a socket."""
    made = container.attach_socket(params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
    plain = getattr(made, "_sock", None)
    if type(plain) is not socket.socket:
        made.close()
        raise UserError("docker: DOCKER_HOST must be a unix:// or tcp:// address without TLS")
    ours = plain.dup()  # the SDK's own closes with its response
    made.close()
    plain.close()
    return ours


def _sweep(client: Any) -> None:
    """Remove what was made and never started, because its maker was killed in between."""
    left = client.api.containers(all=True, filters={"label": LABEL, "status": "created"})
    for found in left:
        if time.time() - found["Created"] > _STALE_S:
            with contextlib.suppress(Exception):  # another process was faster
                client.api.remove_container(found["Id"])


def _explained(error: Exception, config: Docker) -> Exception:
    if isinstance(error, UserError):
        return error
    if config.runtime and "runtime" in str(error):
        return UserError(f"docker: the engine has no runtime {config.runtime!r} that works: {error}")
    return HostError(f"docker: {error}")


def make(**settings: Any) -> Docker:
    return Docker(**settings)
