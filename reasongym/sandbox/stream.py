"""A nursery behind one stream of bytes: the host's end of ``inside/relay.py``.

Each session has a socket of its own here, and one thread carries frames between those and the stream. It never waits
for any of them: who does not read what he is sent is killed, and the stream is read whatever becomes of the rest.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import select
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from reasongym.core import HostError
from reasongym.sandbox.session import LARGEST_CELL, LARGEST_REPLY, START_S, Link

FRAME = struct.Struct("!IIB")  # as in inside/relay.py: bytes that follow, number of the session, what it is
OPEN, DATA, KILL, END = range(4)
_FRAME_MOST = 1 << 17  # of a frame from inside; the relay sends half of that
_WAIT_MOST = LARGEST_REPLY + _FRAME_MOST  # bytes that may wait for a session's reader
_OUT_MOST = 1 << 20  # bytes that wait for the stream, at which the sessions wait in turn
_BEAT_S = 5.0  # between two words to the relay, which takes silence for our death
_PATIENCE_S = 5.0  # for the relay to answer: one that does not is lost, be it dead or stopped
_AHEAD = 2  # sessions that are forked before they are wanted


class Source(Protocol):
    """What is at the stream's other end."""

    sock: socket.socket

    def plain(self, data: bytes) -> bytes:
        """What of received data is the relay's own output."""
        ...

    def close(self) -> str:
        """End it, the stream being closed already; what it complained of."""
        ...

    def let_go(self) -> None:
        """In a fork of this process: close our ends, and leave it alone."""
        ...


@dataclass
class _Carried:
    """A session, to its user."""

    sock: socket.socket
    owner: int = field(default_factory=os.getpid)

    def kill(self) -> None:
        if self.owner == os.getpid():  # a fork's copy must not end the session of its parent
            with contextlib.suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)  # which the pump sees, and passes on

    def waits(self) -> bool:
        """Whether it is there, and has said nothing."""
        try:
            self.sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            pass
        return False


@dataclass
class _End:
    """A session, to the pump."""

    sock: socket.socket
    waiting: bytearray = field(default_factory=bytearray)
    over: bool = False  # ended inside; what waits is its last


class Stream:
    """Orders sessions from a relay, and carries their frames."""

    def __init__(self, source: Source) -> None:
        self._source, self._sock = source, source.sock
        self._lock = threading.Lock()
        self._ahead: deque[_Carried] = deque()
        self._in, self._out = bytearray(), bytearray()
        self._ends: dict[int, _End] = {}
        self._numbers: dict[int, int] = {}  # of the sessions, by descriptor
        self._next = itertools.count(1)
        self._orders: deque[tuple[int, socket.socket]] = deque()
        self._asking: deque[threading.Event] = deque()  # whether the relay is there
        self._asked: deque[threading.Event] = deque()
        self._bell, self._rung = socket.socketpair()
        self._closing = self._ended = False
        self._spoken = time.monotonic()
        self.landlock = bool(self._await()["landlock"])
        self._wide, self._narrow = select.poll(), select.poll()  # all; and all but the sessions
        for sock in (self._sock, self._rung):
            sock.setblocking(False)
            self._wide.register(sock, select.POLLIN)
            self._narrow.register(sock, select.POLLIN)
        self._bell.setblocking(False)
        self._thread = threading.Thread(target=self._pump, name="reasongym-sandbox", daemon=True)
        self._thread.start()

    def _await(self) -> Any:
        """What the relay says first."""
        try:
            self._sock.settimeout(START_S)
            said = self._first()
        except (OSError, ValueError) as error:
            said = {"error": str(error)}
        if "error" in said:
            self._close_all()
            log = self._source.close()
            raise HostError(f"the sandbox does not start: {said['error'] or log or 'it ended'}")
        return said

    def _first(self) -> Any:
        while data := self._sock.recv(1 << 16):
            self._in += self._source.plain(data)
            for _, _, body in self._frames():
                return json.loads(body)
        return {"error": ""}

    # --- for its users, in any thread

    def spawn(self) -> Link:
        with self._lock:
            for _ in range(len(self._ahead)):
                link = self._ahead.popleft()
                self._ahead.append(link) if link.waits() else link.sock.close()
            while len(self._ahead) <= _AHEAD:
                self._ahead.append(self._order())
            return self._ahead.popleft()

    def _order(self) -> _Carried:
        ours, theirs = socket.socketpair()
        for sock in (ours, theirs):
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * LARGEST_CELL)
        self._orders.append((next(self._next), theirs))
        self._ring()
        if self._ended:  # perhaps before it could see the order
            ours.close()
            theirs.close()
            raise HostError("the sandbox is lost")
        return _Carried(ours)

    def _ring(self) -> None:
        with contextlib.suppress(OSError):  # full: it has been rung; closed: it has ended
            self._bell.send(b"!")

    @property
    def alive(self) -> bool:
        """Whether the relay answers: a session may die, or be slow, because all of it does."""
        answered = threading.Event()
        self._asking.append(answered)
        self._ring()
        return not self._ended and answered.wait(_PATIENCE_S) and not self._ended

    def close(self) -> None:
        self._closing = True
        self._ring()
        self._thread.join(5.0)
        while self._ahead:
            self._ahead.pop().sock.close()
        self._source.close()

    def let_go(self) -> None:
        """In a fork of this process: its threads are not here, and its sockets must not live on because of us."""
        self._ended = True
        self._close_sockets()
        while self._ahead:
            self._ahead.pop().sock.close()
        self._source.let_go()

    def _close_sockets(self) -> None:
        while self._orders:
            self._orders.popleft()[1].close()
        for sock in (self._sock, self._bell, self._rung, *(end.sock for end in self._ends.values())):
            sock.close()

    # --- the pump, in its own thread

    def _pump(self) -> None:
        try:
            while not self._closing and self._turn():
                pass
        except OSError:
            pass  # the stream is lost, which is as good as its end
        finally:
            self._close_all()

    def _turn(self) -> bool:
        """Whatever can be done now; False when the stream has ended."""
        full = len(self._out) > _OUT_MOST
        for fd, event in (self._narrow if full else self._wide).poll(_BEAT_S * 1000):
            if fd in self._numbers:
                self._carry(self._numbers[fd], event)
            elif fd == self._rung.fileno():
                self._rung.recv(1 << 10)
            elif fd == self._sock.fileno() and event & ~select.POLLOUT and not self._hear():
                return False
        while self._orders:
            self._open(*self._orders.popleft())
        if time.monotonic() - self._spoken >= _BEAT_S:
            self._asking.append(threading.Event())
        while self._asking:
            self._asked.append(self._asking.popleft())
            self._say(0, DATA)
        self._flush()
        return True

    def _hear(self) -> bool:
        try:
            data = self._sock.recv(1 << 18)
        except BlockingIOError:
            return True
        self._in += self._source.plain(data)
        for number, kind, body in self._frames():
            if number in self._ends:
                self._deliver(number, kind, body)
            elif number == 0 and self._asked:
                self._asked.popleft().set()
        return bool(data)

    def _frames(self) -> Iterator[tuple[int, int, bytes]]:
        """The whole frames of what came in."""
        while len(self._in) >= FRAME.size:
            size, number, kind = FRAME.unpack_from(self._in)
            if size > _FRAME_MOST:
                raise OSError("the relay talks nonsense")
            if len(self._in) < FRAME.size + size:
                return
            body = bytes(self._in[FRAME.size : FRAME.size + size])
            del self._in[: FRAME.size + size]
            yield number, kind, body

    def _deliver(self, number: int, kind: int, body: bytes) -> None:
        end = self._ends[number]
        end.waiting += body if kind == DATA else b""
        end.over = end.over or kind == END
        self._send(number)
        if len(end.waiting) > _WAIT_MOST:
            self._drop(number)

    def _send(self, number: int) -> None:
        """What waits for a session's user, as far as there is room."""
        end = self._ends[number]
        try:
            del end.waiting[: end.sock.send(end.waiting)]
        except BlockingIOError:
            pass
        except OSError:
            end.waiting.clear()  # closed, which poll reports
        if end.over and not end.waiting:
            self._drop(number)
        else:
            self._wide.modify(end.sock, select.POLLIN | (select.POLLOUT if end.waiting else 0))

    def _open(self, number: int, sock: socket.socket) -> None:
        self._ends[number], self._numbers[sock.fileno()] = _End(sock), number
        self._wide.register(sock, select.POLLIN)
        self._say(number, OPEN)

    def _carry(self, number: int, event: int) -> None:
        """From a session's user to the stream, and what he was too slow for before."""
        if event & select.POLLOUT:
            self._send(number)
        if event & ~select.POLLOUT and number in self._ends:
            try:
                data = self._ends[number].sock.recv(1 << 18)
            except BlockingIOError:  # the event was of a session that had this descriptor before
                return
            except OSError:
                data = b""
            if data:
                self._say(number, DATA, data)
            else:
                self._drop(number)

    def _drop(self, number: int) -> None:
        end = self._ends.pop(number)
        if not end.over:
            self._say(number, KILL)
        del self._numbers[end.sock.fileno()]
        self._wide.unregister(end.sock)
        end.sock.close()

    def _say(self, number: int, kind: int, body: bytes = b"") -> None:
        self._spoken = time.monotonic()
        self._out += FRAME.pack(len(body), number, kind) + body

    def _flush(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._out:
                del self._out[: self._sock.send(self._out)]
        for poller in (self._wide, self._narrow):
            poller.modify(self._sock, select.POLLIN | (select.POLLOUT if self._out else 0))

    def _close_all(self) -> None:
        self._ended = True  # first: whoever sees a socket closed asks whether the sandbox is
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._close_sockets()
        while waiting := self._asked or self._asking:
            waiting.popleft().set()
