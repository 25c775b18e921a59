"""What a nursery does whose only way out is a stream: it carries frames between that and the sessions' sockets.

A session that floods, or does not read what it is sent, is held up or killed; the others never wait for it. Standard
library only, and trusted.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

FRAME = struct.Struct("!IIB")  # bytes that follow, number of the session, what it is
OPEN, DATA, KILL, END = range(4)  # number 0 is no session: what the relay says first, and data that it sends back
MOST = 5 << 20  # bytes that may wait for a session to read them: more than the largest frame


@dataclass
class _Forked:
    pid: int
    sock: socket.socket
    waiting: bytearray = field(default_factory=bytearray)


class Relay:
    """All sessions of one stream: standard input, and standard output.

    ``fork`` makes one on a socket; after ``silence`` seconds without a word from the host it is taken for lost.
    """

    def __init__(self, fork: Callable[[int], int], silence: float = 1e6) -> None:
        self._fork, self._silence = fork, silence
        self._sessions: dict[int, _Forked] = {}
        self._numbers: dict[int, int] = {}  # of the sessions, by descriptor
        self._poller = select.poll()
        self._poller.register(0, select.POLLIN)
        self._score = -1
        with contextlib.suppress(OSError):  # opened before Landlock forbids it
            self._score = os.open("/proc/self/oom_score_adj", os.O_WRONLY)

    def serve(self) -> None:
        """Until the stream is closed, or silent; its sessions end with it."""
        heard = time.monotonic()
        while time.monotonic() - heard < self._silence:
            for fd, event in self._poller.poll(self._silence * 1000):
                if fd in self._numbers:
                    self._carry(self._numbers[fd], event)
                elif fd == 0:
                    frame = read_frame(lambda n: os.read(0, n))
                    if frame is None:
                        return self._end_all()
                    heard = time.monotonic()
                    self._obey(*frame)
        self._end_all()

    def _obey(self, number: int, kind: int, data: bytes) -> None:
        if kind == OPEN:
            try:
                self._open(number)
            except OSError as error:  # no more processes or descriptors
                tell(number, END, str(error).encode())
        elif kind == DATA and number in self._sessions:
            self._sessions[number].waiting += data
            self._flush(number)
        elif kind == KILL and number in self._sessions:
            self._end(number)
        elif number == 0:
            tell(number, kind, data)

    def _open(self, number: int) -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        try:
            with theirs, self._expendable():
                pid = self._fork(theirs.fileno())
        except OSError:
            ours.close()
            raise
        self._sessions[number] = _Forked(pid, ours)
        self._numbers[ours.fileno()] = number
        self._poller.register(ours, select.POLLIN)

    @contextlib.contextmanager
    def _expendable(self) -> Iterator[None]:
        """What is forked here is what the kernel kills when memory runs out, rather than this process."""
        self._set_score(b"1000")
        try:
            yield
        finally:
            self._set_score(b"0")

    def _set_score(self, score: bytes) -> None:
        with contextlib.suppress(OSError):
            os.write(self._score, score)

    def _carry(self, number: int, event: int) -> None:
        if event & select.POLLOUT:
            self._flush(number)
        if event & ~select.POLLOUT and number in self._sessions:
            try:
                data = self._sessions[number].sock.recv(1 << 16)
            except BlockingIOError:  # the event was of a session that had this descriptor before
                return
            except OSError:
                data = b""
            if not data:
                self._end(number)
            tell(number, DATA if data else END, data)

    def _flush(self, number: int) -> None:
        """Send what waits, as far as the session takes it."""
        session = self._sessions[number]
        try:
            del session.waiting[: session.sock.send(session.waiting)]
        except BlockingIOError:
            pass
        except OSError:
            session.waiting.clear()  # it died, which poll reports
        if len(session.waiting) > MOST:
            self._end(number)
            tell(number, END, b"")
        else:
            self._poller.modify(session.sock, select.POLLIN | (select.POLLOUT if session.waiting else 0))

    def _end(self, number: int) -> None:
        session = self._sessions.pop(number)
        with contextlib.suppress(OSError):
            os.kill(session.pid, signal.SIGKILL)
        self._poller.unregister(session.sock)
        del self._numbers[session.sock.fileno()]
        session.sock.close()

    def _end_all(self) -> None:
        for number in list(self._sessions):
            self._end(number)


def read_frame(read: Callable[[int], bytes]) -> tuple[int, int, bytes] | None:
    """Session, kind and data of the next frame; None at the stream's end."""
    head = exactly(read, FRAME.size)
    if head is None:
        return None
    size, number, kind = FRAME.unpack(head)
    data = exactly(read, size)
    return None if data is None else (number, kind, data)


def exactly(read: Callable[[int], bytes], n: int) -> bytes | None:
    data = b""
    while len(data) < n:
        more = read(n - len(data))
        if not more:
            return None
        data += more
    return data


def tell(number: int, kind: int, data: bytes) -> None:
    whole = memoryview(FRAME.pack(len(data), number, kind) + data)
    while whole:
        whole = whole[os.write(1, whole) :]
