"""A warm interpreter that forks sessions: the first program inside a sandbox, and trusted. Standard library only.

``python -I nursery.py '{"fd": 3, ...}'`` takes orders over a socket and is handed each session's own socket with them.
Without ``"fd"`` it speaks over its standard input and output, where frames of all sessions pass, each with its number
(a container whose only way out is a stream). Either way it ends, with all its sessions, when that is closed.
"""

from __future__ import annotations

import array
import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import struct
import sys
from collections.abc import Callable
from typing import Any

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import cells
import jail

FRAME = struct.Struct("!IIB")  # bytes that follow, number of the session, what it is
OPEN, DATA, KILL, END = range(4)


def prepare(config: dict[str, Any]) -> dict[str, Any]:
    """Import what sessions shall find warm, then give up every right that is not needed."""
    sys.path.remove(os.path.dirname(os.path.abspath(__file__)))
    for name in config["preload"]:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no zombies
    if config.get("uid") is not None and os.getuid() == 0:
        jail.become(config["uid"])
    if os.getuid() == 0:
        raise jail.Refused("it runs as root: nothing untrusted may")
    landlock = jail.confine_files(config["readable"], ["/dev/null"])
    if config["landlock"] and not landlock:
        raise jail.Refused("this kernel has no Landlock (5.13 or newer, with lsm=landlock)")
    gc.collect()
    gc.freeze()
    return {"ready": True, "landlock": landlock}


def fork(fd: int) -> int:
    """A session on the socket ``fd``, where its order will come; its process."""
    me = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        jail.die_with(me)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        null = os.open("/dev/null", os.O_RDWR)
        for i in range(3):
            os.dup2(null, i)
        os.dup2(fd, 3)
        os.closerange(4, 1 << 16)
        cells.serve(3, jail.confine)
    finally:
        os._exit(1)


def serve_socket(control: socket.socket) -> None:
    """Each message hands over a session's socket; the answer has its pidfd."""
    while True:
        message, ancillary, _, _ = control.recvmsg(1 << 16, socket.CMSG_SPACE(4))
        if not message:
            return
        handed = array.array("i", ancillary[0][2] if ancillary else b"")
        try:
            handle = os.pidfd_open(fork(handed[0]))
        except OSError as error:
            control.sendmsg([json.dumps({"error": str(error)}).encode()])
        else:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [handle]))]
            control.sendmsg([b"{}"], rights)
            os.close(handle)
        for fd in handed:
            os.close(fd)


def serve_stream() -> None:
    """Carry frames between the stream and the sessions' sockets, and kill on request."""
    sessions: dict[int, tuple[int, socket.socket]] = {}
    poller = select.poll()
    poller.register(0, select.POLLIN)

    def end(number: int) -> None:
        pid, ours = sessions.pop(number)
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
        poller.unregister(ours)
        ours.close()

    def obey(number: int, kind: int, data: bytes) -> None:
        if kind == OPEN:
            ours, theirs = socket.socketpair()
            sessions[number] = (fork(theirs.fileno()), ours)
            theirs.close()
            poller.register(ours, select.POLLIN)
        elif kind == DATA and number in sessions:
            with contextlib.suppress(OSError):  # it died; its end is reported by poll
                sessions[number][1].sendall(data)
        elif kind == KILL and number in sessions:
            end(number)

    while True:
        ready = {fd for fd, _ in poller.poll()}
        if 0 in ready:
            frame = read_frame(lambda n: os.read(0, n))
            if frame is None:
                break
            obey(*frame)
        for number, (_, ours) in list(sessions.items()):
            if ours.fileno() in ready:
                with contextlib.suppress(OSError):
                    if data := ours.recv(1 << 16):
                        tell(number, DATA, data)
                        continue
                end(number)
                tell(number, END, b"")
    for number in list(sessions):
        end(number)


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


def main() -> None:
    config = json.loads(sys.argv[1])
    control = socket.socket(fileno=config["fd"]) if "fd" in config else None
    try:
        state = prepare(config)
    except Exception as error:
        state = {"error": f"{error}"}
    said = json.dumps(state).encode()
    if control is None:
        tell(0, DATA, said)
    else:
        control.sendall(said)
    if "error" not in state:
        serve_stream() if control is None else serve_socket(control)


if __name__ == "__main__":
    main()
