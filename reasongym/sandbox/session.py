"""The host's end of a session: cells go in as frames, and whatever comes back is untrusted."""

from __future__ import annotations

import json
import secrets
import select
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from reasongym.core import HostError

LARGEST_CELL = 1 << 17  # bytes of a frame; more than a socket's buffer could block whoever carries it
LARGEST_REPLY = 1 << 18  # as many lists as fit are read in a few milliseconds; 4 MiB of them held the host for 3 s
START_S = 60.0  # for a process to start and import numpy and sympy, on a machine that is busy
_MOMENT_S = 0.05  # in which a nursery that was killed together with its sessions is seen to be gone
_PIECE = 1 << 12  # bytes that are read at first: room for most replies, and quick to make
_SIZE = struct.Struct("!I")  # before each frame
_TOO_LONG = b'{"answer": {"ok": false, "value": ["ValueError", {"tuple": ["the value is too large"]}]}}'
_GONE = "The session was restarted: all variables are gone."


@dataclass(frozen=True)
class Limits:
    """What a session may use: ``seconds`` and characters of ``output`` a cell, ``memory`` MiB of addresses."""

    seconds: float = 5.0
    memory: int = 1024
    output: int = 800
    total_seconds: int = 600  # of processor, over all cells


@dataclass(frozen=True)
class Reply:
    """What a cell gave. ``lost``: it took its session with it, and the next cell starts from nothing."""

    output: str = ""
    ok: bool = True
    lost: bool = False
    value: Any = None  # what a called function returned, or its error, as JSON (see `inside.far`)


class Link(Protocol):
    """One session's process, from outside."""

    @property
    def sock(self) -> socket.socket: ...
    def kill(self) -> None: ...


class Nursery(Protocol):
    """A warm, isolated interpreter that forks sessions."""

    def spawn(self) -> Link:
        """A new session's process, which waits for its order. HostError where there can be none."""
        ...

    @property
    def alive(self) -> bool: ...
    def close(self) -> None: ...
    def let_go(self) -> None:
        """In a fork of this process: close our ends, and leave it alone."""
        ...


class _Broken(Exception):
    """The session is of no more use; the text says why, to the model."""


class _Died(_Broken):
    """Its process has ended, by itself or with the sandbox."""


@dataclass
class Session:
    """A notebook: what a cell defines the next one has. Not for two threads at once.

    A cell that hangs, crashes or talks out of turn loses its session, and nothing else; the next cell starts clean.
    Only the failure of the sandbox itself raises, a HostError.
    """

    nursery: Callable[[], Nursery]
    limits: Limits = Limits()
    seed: int = 0
    _link: Link | None = field(default=None, init=False)
    _from: Nursery | None = field(default=None, init=False)
    _remote: list[str] = field(default_factory=list, init=False)

    def run(self, code: str, *, on_call: Callable[[Any], Any] | None = None) -> Reply:
        """Run a cell. ``on_call`` answers what the cell asks of functions named with `remote`."""
        return self._ask(f'"code": {json.dumps(code)}, "cap": {self.limits.output}', on_call)

    def call(self, name: str, args: Any, kwargs: Any) -> Reply:
        """Call a function that a cell has defined; arguments and ``value`` are JSON (see `inside.values`)."""
        try:
            question = json.dumps([name, args, kwargs])
        except RecursionError:
            return Reply("ValueError: the arguments are nested too deep", ok=False)
        return self._ask(f'"call": {question}', None)

    def remote(self, names: list[str]) -> None:
        """From the next cell on, these names are functions that the host answers."""
        self._remote = names

    def close(self) -> None:
        """End the process; a later cell would start a new one."""
        if self._link is not None:
            self._link.kill()
            self._link.sock.close()
            self._link = None

    def __del__(self) -> None:
        with suppress(Exception):
            self.close()

    def _ask(self, order: str, on_call: Callable[[Any], Any] | None) -> Reply:
        """Send an order, given as the members of a JSON object: encoding a whole one would take twice as long."""
        link = self._started()
        number = secrets.token_hex(8)  # a reply cannot be written before its question is known
        remote = json.dumps(self._remote) if self._remote else "[]"
        body = f'{{"id": "{number}", "remote": {remote}, {order}}}'.encode()
        if len(body) > LARGEST_CELL:
            return Reply(f"ValueError: the cell is longer than {LARGEST_CELL} bytes", ok=False)
        self._remote = []
        end = time.monotonic() + self.limits.seconds
        try:
            while True:
                said = _exchange(link.sock, body, end, self.limits.seconds)
                if not isinstance(said, dict) or said.get("id") != number:
                    raise _Broken("RuntimeError: the cell broke the interpreter")
                if "ask" not in said or on_call is None:
                    return self._reply(said)
                body = _frame({"answer": on_call(said["ask"])}) or _TOO_LONG
        except _Broken as why:
            self._check_host(_MOMENT_S if isinstance(why, _Died) else 0.0)
            self.close()
            return Reply(f"{why}. {_GONE}", ok=False, lost=True)
        except BaseException:  # of `on_call`, whose answer the cell would await for ever
            self.close()
            raise

    def _reply(self, said: dict[str, Any]) -> Reply:
        """A reply as it should be, whoever wrote it."""
        output = said.get("out", "")
        if not isinstance(output, str) or not isinstance(said.get("ok"), bool):
            raise _Broken("RuntimeError: the cell broke the interpreter")
        if len(output) > self.limits.output + 3:
            output = output[: self.limits.output]
        return Reply(output.encode("utf-8", "replace").decode(), said["ok"], value=said.get("value"))

    def _started(self) -> Link:
        if self._link is None:
            self._from = self.nursery()
            order = {"memory": self.limits.memory << 20, "seconds": self.limits.total_seconds, "seed": self.seed}
            self._link = self._from.spawn()
            try:
                body = json.dumps(order).encode()
                if _exchange(self._link.sock, body, time.monotonic() + START_S, START_S) != {"ready": True}:
                    raise _Broken("it said something else")
            except _Broken as error:
                self.close()
                raise HostError(f"a session of the sandbox could not start: {error}") from error
        return self._link

    def _check_host(self, patience: float) -> None:
        """Whether it was the sandbox that broke: its sessions end with it, perhaps a moment before it."""
        end = time.monotonic() + patience
        while self._from is not None and self._from.alive:
            if time.monotonic() >= end:
                return
            time.sleep(_MOMENT_S / 10)
        self.close()
        raise HostError("the sandbox was lost while a cell ran")


def _frame(message: Any) -> bytes | None:
    """The message as JSON, or None where that is too long; what another session said may also be nested too deep."""
    try:
        body = json.dumps(message).encode()
    except RecursionError:
        return None
    return body if len(body) <= LARGEST_CELL else None


def _exchange(sock: socket.socket, body: bytes, end: float, seconds: float) -> Any:
    """Send a frame and read one, and nothing else may have been there. ``sock`` does not block."""
    try:
        if sock.recv(1, socket.MSG_PEEK):
            raise _Broken("RuntimeError: an earlier cell wrote where only replies belong")
        raise _Died("RuntimeError: the interpreter died")
    except BlockingIOError:
        pass
    except OSError as error:
        raise _Died("RuntimeError: the interpreter died") from error
    try:
        if sock.send(_SIZE.pack(len(body)) + body) < _SIZE.size + len(body):
            raise _Broken("RuntimeError: the interpreter does not listen")
    except BlockingIOError as error:
        raise _Broken("RuntimeError: the interpreter does not listen") from error
    except OSError as error:
        raise _Died("RuntimeError: the interpreter died") from error
    return _receive(sock, end, seconds)


def _receive(sock: socket.socket, end: float, seconds: float) -> Any:
    poller = select.poll()
    poller.register(sock, select.POLLIN)
    data, need = b"", _SIZE.size
    while len(data) < need:
        left = end - time.monotonic()
        if left <= 0 or not poller.poll(left * 1000):
            raise _Broken(f"TimeoutError: the cell took longer than {seconds:g} s and was stopped")
        try:
            more = sock.recv(_PIECE if need == _SIZE.size else need)
        except OSError as error:
            raise _Died("RuntimeError: the interpreter died") from error
        if not more:
            raise _Died("RuntimeError: the interpreter died (a crash, or out of memory)")
        data += more
        if need == _SIZE.size and len(data) >= need:
            need += _SIZE.unpack_from(data)[0]
            if need > LARGEST_REPLY:
                raise _Broken("RuntimeError: the reply is too long")
    if len(data) != need:
        raise _Broken("RuntimeError: the cell wrote where only replies belong")
    try:
        return json.loads(data[_SIZE.size :].decode())
    except (ValueError, RecursionError) as error:
        raise _Broken("RuntimeError: the cell broke the interpreter") from error
