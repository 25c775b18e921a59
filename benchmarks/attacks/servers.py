"""Doors of the host, for attacks to knock at."""

from __future__ import annotations

import os
import selectors
import socket
import threading
from contextlib import suppress
from typing import Any


class Servers:
    """Whoever comes in by TCP, UDP, a unix socket or an abstract one is counted, and told a secret."""

    def __init__(self, folder: str, secret: str) -> None:
        self._secret, self._folder = secret.encode(), folder
        self._came: list[str] = []
        self._doors = selectors.DefaultSelector()
        self.facts: dict[str, Any] = {"unix": os.path.join(folder, "docker.sock"), "abstract": f"rg-{os.getpid()}"}
        self._listen("tcp", socket.AF_INET, socket.SOCK_STREAM, ("0.0.0.0", 0))
        self._listen("udp", socket.AF_INET, socket.SOCK_DGRAM, ("0.0.0.0", 0))
        with suppress(OSError):
            self._listen("tcp6", socket.AF_INET6, socket.SOCK_STREAM, ("::1", 0))
        self._listen("abstract", socket.AF_UNIX, socket.SOCK_STREAM, f"\0{self.facts['abstract']}")
        self.again()
        self._end, self._wake = socket.socketpair()
        self._doors.register(self._end, selectors.EVENT_READ, "end")
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def again(self) -> None:
        """The socket that is a file."""
        with suppress(FileNotFoundError):
            os.unlink(self.facts["unix"])
        self._listen("unix", socket.AF_UNIX, socket.SOCK_STREAM, self.facts["unix"])
        os.chmod(self.facts["unix"], 0o777)

    def _listen(self, name: str, family: int, kind: int, address: Any) -> None:
        door = socket.socket(family, kind)
        try:
            door.bind(address)
        except OSError:
            door.close()
            raise
        if kind == socket.SOCK_STREAM:
            door.listen()
        if isinstance(address, tuple):
            self.facts[name] = door.getsockname()[1]
        self._doors.register(door, selectors.EVENT_READ, name)

    def _serve(self) -> None:
        while True:
            for key, _ in self._doors.select():
                if key.data == "end":
                    return
                door: Any = key.fileobj
                self._came.append(str(key.data))
                with suppress(OSError):
                    if key.data == "udp":
                        door.sendto(self._secret, door.recvfrom(1 << 16)[1])
                    else:
                        with door.accept()[0] as guest:
                            guest.sendall(self._secret)

    def visits(self) -> list[str]:
        found, self._came = self._came, []
        return [f"reached the host by {name}" for name in dict.fromkeys(found)]

    def close(self) -> None:
        self._wake.send(b"x")
        self._thread.join()
        for key in list(self._doors.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._doors.close()
        self._wake.close()
