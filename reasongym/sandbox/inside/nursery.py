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
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import cells
import jail
import relay

NULL = os.open("/dev/null", os.O_RDWR)  # now, since later there may be none


def prepare(config: dict[str, Any]) -> dict[str, Any]:
    """Import what sessions shall find warm, then give up every right that is not needed."""
    sys.path.remove(os.path.dirname(os.path.abspath(__file__)))
    for name in config["preload"]:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no zombies
    landlock = config.get("jail", True) and confine(config)
    gc.collect()
    gc.freeze()
    return {"ready": True, "landlock": landlock}


def confine(config: dict[str, Any]) -> bool:
    """The nursery's own part of the jail; whether Landlock is in it."""
    if config.get("uid") is not None and os.getuid() == 0:
        jail.become(config["uid"])
    if os.getuid() == 0:
        raise jail.Refused("it runs as root: nothing untrusted may")
    jail.hide()
    landlock = jail.confine_files(config["readable"], ["/dev/null"])
    elsewhere = not landlock and "root" in config and jail.confine_root(config["root"])
    if config["landlock"] and not landlock and not elsewhere:
        raise jail.Refused("this kernel has no Landlock (5.13 or newer, with lsm=landlock)")
    return bool(landlock)


def fork(fd: int, jailed: bool = True) -> int:
    """A session on the socket ``fd``, where its order will come; its process."""
    me = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        if jailed:
            jail.die_with(me)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for i in range(3):
            os.dup2(NULL, i)
        os.dup2(fd, 3)
        os.closerange(4, 1 << 16)
        cells.serve(3, jail.confine if jailed else lambda memory, seconds: None)
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


def serve_apart(carrier: relay.Relay, ask: socket.socket, told: socket.socket, jailed: bool) -> None:
    """Frames pass through a process of their own: what this one has in memory, every session that it forks has too."""
    me = os.getpid()
    if os.fork() == 0:
        try:
            told.close()
            if jailed:
                jail.die_with(me)
            carrier.serve()
        finally:
            os._exit(0)
    ask.close()
    os.dup2(NULL, 0)
    os.dup2(NULL, 1)
    while True:
        message, ancillary, _, _ = told.recvmsg(1, socket.CMSG_SPACE(4))
        if not message:
            return
        (handed,) = array.array("i", ancillary[0][2])
        try:
            told.send(json.dumps({"pid": fork(handed, jailed)}).encode())
        except OSError as error:
            told.send(json.dumps({"error": str(error)}).encode())
        os.close(handed)


def asked(ask: socket.socket, fd: int) -> int:
    """A session, from the process that forks them; its number."""
    ask.sendmsg([b"!"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])
    said = ask.recv(1 << 10)
    if not said:
        os._exit(1)  # it has ended, so that there can be no more sessions
    answer = json.loads(said)
    if "error" in answer:
        raise OSError(answer["error"])
    return int(answer["pid"])


def main() -> None:
    config = json.loads(sys.argv[1])
    if "fd" in config:
        control = socket.socket(fileno=config["fd"])
        if begin(config, control.sendall):
            serve_socket(control)
    else:
        ask, told = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        carrier = relay.Relay(lambda fd: asked(ask, fd), config.get("silence", 1e6))
        if begin(config, lambda said: relay.tell(0, relay.DATA, said)):
            serve_apart(carrier, ask, told, jailed=config.get("jail", True))


def begin(config: dict[str, Any], say: Callable[[bytes], None]) -> bool:
    """Prepare, and say how that went."""
    try:
        state = prepare(config)
    except Exception as error:
        state = {"error": f"{error}"}
    say(json.dumps(state).encode())
    return "error" not in state


if __name__ == "__main__":
    main()
