"""A nursery that is a process of this machine: sessions get sockets of their own, and are killed by their pidfd."""

from __future__ import annotations

import array
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import sysconfig
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reasongym.core import HostError
from reasongym.sandbox.session import START_S, Link

INSIDE = Path(__file__).with_name("inside")
PRELOAD = ("numpy", "numpy.random", "sympy", "sqlite3")
AHEAD = 2  # sessions that are forked before they are wanted
UID = 64_917  # for sessions where we are root; no such user need exist
# One thread, or it could not fork; one hash seed, so that sets print alike; no caches beside what it reads.
ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    "LANG": "C.UTF-8",
    "HOME": "/",
}


@dataclass
class _Process:
    sock: socket.socket
    handle: int  # a pidfd: it cannot come to mean another process
    owner: int = field(default_factory=os.getpid)

    def kill(self) -> None:
        if self.handle >= 0:
            with contextlib.suppress(OSError):
                if self.owner == os.getpid():  # a fork's copy must not end the session of its parent
                    signal.pidfd_send_signal(self.handle, signal.SIGKILL)
            os.close(self.handle)
            self.handle = -1


class Native:
    """Starts ``command`` with the nursery's program as its end, and orders sessions from it."""

    def __init__(self, command: Sequence[str], config: dict[str, Any]) -> None:
        self._lock = threading.Lock()
        self._ahead: deque[socket.socket] = deque()  # of sessions asked for, and forked while nobody waits
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            config = {"preload": PRELOAD, "uid": UID, "landlock": True, **config, "fd": theirs.fileno()}
            program = [sys.executable, "-I", str(INSIDE / "nursery.py"), json.dumps(config)]
            try:
                self.process = subprocess.Popen(
                    [*command, *program],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    env=ENVIRONMENT,
                    cwd="/",
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                )
            except OSError as error:
                self._control.close()
                raise HostError(f"{command[0] if command else sys.executable} cannot start: {error}") from error
        self._control.settimeout(START_S)
        self._await()

    def _await(self) -> None:
        try:
            said = json.loads(self._control.recv(1 << 16) or b'{"error": ""}')
        except (OSError, ValueError) as error:
            said = {"error": str(error)}
        if "error" in said:
            self.process.kill()
            _, log = self.process.communicate()
            self.close()
            raise HostError(f"the sandbox does not start: {said['error'] or log.decode(errors='replace').strip()}")
        self.landlock = bool(said["landlock"])

    def spawn(self) -> Link:
        with self._lock:
            while len(self._ahead) <= AHEAD:
                self._order()
            ours, (message, ancillary, _, _) = self._ahead.popleft(), self._answer()
        if not ancillary:
            ours.close()
            why = json.loads(message)["error"] if message else "it has ended"
            raise HostError(f"the sandbox cannot start a session: {why}")
        return _Process(ours, array.array("i", ancillary[0][2])[0])

    def _order(self) -> None:
        """Ask for a session that nobody waits for yet; the answers come in order."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [theirs.fileno()]))]
        with theirs:
            try:
                self._control.sendmsg([b"{}"], rights)
            except OSError as error:
                ours.close()
                raise HostError(f"the sandbox is lost: {error}") from error
        self._ahead.append(ours)

    def _answer(self) -> Any:
        try:
            return self._control.recvmsg(1 << 16, socket.CMSG_SPACE(4))
        except OSError as error:
            raise HostError(f"the sandbox is lost: {error}") from error

    @property
    def alive(self) -> bool:
        """Whether the other end of the socket is still there: it goes before any session dies of it."""
        if self._control.fileno() < 0 or self.process.poll() is not None:
            return False
        poller = select.poll()
        poller.register(self._control, select.POLLIN)
        return not any(event & (select.POLLHUP | select.POLLERR) for _, event in poller.poll(0))

    def close(self) -> None:
        self._close_sockets()  # at which it ends, and its sessions with it
        if self.process.stderr is not None:
            self.process.stderr.close()
        try:
            self.process.wait(5.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def let_go(self) -> None:
        """In a fork of this process: the nursery is not its own, and must not live on because of it."""
        self._close_sockets()
        self.process.returncode = 0

    def _close_sockets(self) -> None:
        self._control.close()
        while self._ahead:
            self._ahead.pop().close()


def readable() -> list[str]:
    """The trees that Python needs: itself, its packages, and the C libraries."""
    python = {sys.prefix, sys.base_prefix, sysconfig.get_path("stdlib"), sysconfig.get_path("purelib")}
    system = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/share/zoneinfo", "/etc/ld.so.cache", "/etc/localtime"]
    found = [str(INSIDE), os.path.realpath(sys.executable), *python, *system, "/dev/urandom"]
    return [path for path in dict.fromkeys(found) if os.path.exists(path)]
