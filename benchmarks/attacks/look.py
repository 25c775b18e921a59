"""What the host sees of processes in /proc: who descends from whom, what they hold, what they may."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field

_RIGHTS = ("Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp")
_READ_ONLY = ("/dev/null", "/dev/urandom")


def parents() -> dict[int, int]:
    """Each process of this machine and its parent."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (parent := parent_of(int(name))) is not None:
            found[int(name)] = parent
    return found


def parent_of(pid: int) -> int | None:
    with suppress(OSError, ValueError, IndexError), open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])
    return None


def family(roots: Iterable[int]) -> set[int]:
    """All that descend from ``roots``, which are not among them."""
    above = parents()
    found, last = set(roots), 0
    while len(found) != last:
        last = len(found)
        found |= {pid for pid, parent in above.items() if parent in found}
    return found - set(roots)


def status(pid: int) -> dict[str, str]:
    with suppress(OSError), open(f"/proc/{pid}/status") as file:
        return {key: value.strip() for key, _, value in (line.partition(":") for line in file)}
    return {}


def inside(pid: int) -> int:
    """Its number in its own namespace."""
    return int(status(pid).get("NSpid", "0").split()[-1])


def alive(pid: int) -> bool:
    return status(pid).get("State", "Z")[0] not in "ZX"


def rights(pid: int) -> dict[str, str]:
    """Who it is, what it may and where it stands."""
    found = {key: value for key, value in status(pid).items() if key in _RIGHTS}
    for name in ("root", *(f"ns/{n}" for n in ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup"))):
        with suppress(OSError):
            found[name] = os.readlink(f"/proc/{pid}/{name}")
    for name in ("personality", "limits"):
        with suppress(OSError), open(f"/proc/{pid}/{name}") as file:
            found[name] = file.read()
    with suppress(OSError), open(f"/proc/{pid}/mountinfo") as file:
        found["mounts"] = "".join(line for line in file if " /mnt " in line)
    return found


def held(pid: int) -> dict[int, str]:
    """Its open descriptors: the target, and how each may be used."""
    found = {}
    with suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):
            with suppress(OSError), open(f"/proc/{pid}/fdinfo/{name}") as file:
                flags = int(next(line for line in file if line.startswith("flags")).split()[1], 8)
                found[int(name)] = f"{os.readlink(f'/proc/{pid}/fd/{name}')} {'w' if flags & 3 else 'r'}"
    return found


def suspicious(before: dict[int, str], now: dict[int, str]) -> list[str]:
    """Descriptors that a session has no use for: anything but copies of what it had and files to read."""
    given = set(before.values())
    return [
        target
        for target in now.values()
        if target not in given and (not target.startswith("/") or target.endswith(" w")) and "/dev/null" not in target
    ] + [t for t in now.values() if t.startswith("/dev/") and t.split()[0] not in _READ_ONLY]


def shared_memory(pid: int) -> list[str]:
    """Mappings that it shares with others and may write."""
    with suppress(OSError), open(f"/proc/{pid}/maps") as file:
        return [line.strip() for line in file if line.split()[1].startswith("rw") and line.split()[1][3] == "s"]
    return []


def processor_s(pid: int) -> float:
    with suppress(OSError), open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


@dataclass
class Peak:
    """The most that was ever seen of a session: processes beside its own, threads, MiB in memory."""

    processes: set[int] = field(default_factory=set)
    threads: int = 1
    memory: float = 0.0


class Watch:
    """Looks at a session every few milliseconds while its cells run."""

    def __init__(self, pid: int | None, roots: Iterable[int], known: set[int]) -> None:
        self.peak = Peak()
        self._pid, self._roots, self._seen = pid, set(roots), set(known)
        self._nursery = parent_of(pid) if pid is not None else None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Peak:
        self._thread.start()
        return self.peak

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        turn = 0
        while not self._over.wait(0.005):
            self._look(newborn=turn % 3 == 0)
            turn += 1
        self._look()

    def _look(self, newborn: bool = True) -> None:
        if newborn:
            self._newborn()
        resident = 0
        for pid in (self._pid, *self.peak.processes):
            now = status(pid) if pid is not None else {}
            resident += int(now.get("VmRSS", "0 kB").split()[0])
            self.peak.threads = max(self.peak.threads, int(now.get("Threads", 1)))
        self.peak.memory = max(self.peak.memory, resident / 1024)

    def _newborn(self) -> None:
        """Processes that came up since, and descend from the session, or from its world but not from its nursery."""
        for name in os.listdir("/proc"):
            if not name.isdigit() or int(name) in self._seen:
                continue
            self._seen.add(int(name))
            parent = parent_of(int(name))
            if parent is not None and parent != self._nursery:
                if parent == self._pid or parent in self._roots or parent in self.peak.processes:
                    self.peak.processes.add(int(name))


def until(true: object, seconds: float = 2.0) -> bool:
    """Whether ``true()`` becomes so in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():  # type: ignore[operator]
            return True
        time.sleep(0.002)
    return bool(true())  # type: ignore[operator]


def world(pid: int) -> set[int]:
    """Whoever would be given its orphans: its ancestors of the same process namespace, up to this process."""
    found, mine = {os.getpid()}, _namespace(pid)
    above = parent_of(pid)
    while above and above != os.getpid():
        if _namespace(above) == mine:
            found.add(above)
        above = parent_of(above)
    return found


def _namespace(pid: int) -> str:
    with suppress(OSError):
        return os.readlink(f"/proc/{pid}/ns/pid")
    return ""


def remembers(pid: int, text: bytes) -> bool:
    """Whether ``text`` is anywhere in its memory, as far as we may read that."""
    with suppress(OSError), open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            start, end = (int(x, 16) for x in line.split()[0].split("-"))
            with suppress(OSError, ValueError, OverflowError):
                memory.seek(start)
                if "r" in line.split()[1] and text in memory.read(end - start):
                    return True
    return False
