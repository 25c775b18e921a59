"""What the host plants for attacks to find, and what it looks at after each of them."""

from __future__ import annotations

import ctypes
import json
import os
import platform
import secrets
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from contextlib import suppress
from dataclasses import replace
from typing import Any

from benchmarks.attacks import look
from benchmarks.attacks.attack import CLAIM, MEMORY, SECONDS, Case
from benchmarks.attacks.calls import PREAMBLE, numbers
from benchmarks.attacks.servers import Servers
from reasongym import sandbox
from reasongym.sandbox import Limits, Session
from reasongym.sandbox.native import INSIDE, UID

LIMITS = Limits(seconds=SECONDS, memory=MEMORY, output=800, total_seconds=30)
HOST_MEMORY = 160  # MiB that this process may grow by for a moment, whatever a session sends
KNOBS = ("core_pattern", "modprobe", "hostname", "domainname", "sysrq", "randomize_va_space", "yama/ptrace_scope")
STATE = ("/proc/swaps", "/etc/passwd", "/etc/hostname", "/etc/ld.so.preload")
PLACES = tuple(
    dict.fromkeys(
        ["/", "/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue", "/run", "/home", "/root", "/etc", "/mnt", "/opt", "/srv"]
        + [os.path.expanduser("~"), os.getcwd(), str(INSIDE), sys.prefix, sysconfig.get_path("stdlib")]
        + [sysconfig.get_path("purelib"), "/usr/lib", "/usr/local/lib", "/proc", "/sys", "/app", "/data"]
    )
)
# Catches every signal that can be caught and says so; readable for whoever may look at a process of its user.
_VICTIM = """
import ctypes, os, signal, sys
secret = sys.argv[1]
for s in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
    signal.signal(s, lambda number, frame: os.write(1, b"signal %d\\n" % number))
if os.getuid() == 0:
    os.setgroups([]), os.setgid(int(sys.argv[2])), os.setuid(int(sys.argv[2]))
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
os.write(1, b"ready\\n")
while True:
    signal.pause()
"""
# What an honest session sees. All sessions see the same.
_HONEST = """
import builtins, hashlib, json, math, os, random, re, signal, sys
import numpy
def there(fd):
    try:
        return bool(os.fstat(fd))
    except OSError:
        return False
print(json.dumps([1, "a"]), math.sqrt(4), sum(range(10)), re.sub("a", "b", "aa"), 6 * 7)
print(random.random(), numpy.random.rand())
print(sys.meta_path, sys.path, sorted(sys.modules), sorted(vars(builtins)), sorted(os.environ.items()), sys.gettrace(),
      sys.getrecursionlimit(), signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL), os.getcwd(),
      [fd for fd in range(64) if there(fd)], [p for p in PLACES if os.path.lexists(p + "/" + MARKER)])
"""


class Scene:
    """The host, dressed as a victim, with one backend."""

    def __init__(self, backend: str, *, unsafe: bool = False) -> None:
        self.backend, self.unsafe = backend, unsafe
        self.size = 0  # of the hidden file
        self.secret = f"SECRET-{secrets.token_hex(16)}"
        self.marker = f"marker-{secrets.token_hex(8)}"
        os.environ["REASONGYM_SECRET"] = self.secret
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: orphans of a session become ours, to be seen
        self._dead: list[subprocess.Popen[bytes]] = []
        self.folder = tempfile.mkdtemp(prefix="reasongym-attacks-")
        self._files()
        self.servers = Servers(self.folder, self.secret)
        self._start_victim()
        self.sibling = self.open()
        self.sibling.run(f"treasure = {self.secret!r}")
        self.sibling_pid = self.pid_of(self.sibling)
        self._knobs = self._state()
        self.honest_says = self.honest()
        self._planted = self._listing()

    def _files(self) -> None:
        os.chmod(self.folder, 0o777)
        for name, mode in (("secret", 0o666), ("target", 0o666), ("hidden", 0o600), (self.secret, 0o666)):
            path = os.path.join(self.folder, name)
            with open(path, "w") as file:
                file.write(f"{self.secret}\n")
            os.chmod(path, mode)
        self.size = 1_000_000 + secrets.randbelow(1_000_000)
        os.truncate(os.path.join(self.folder, "hidden"), self.size)
        os.symlink(os.path.join(self.folder, "secret"), os.path.join(self.folder, "link"))

    def _start_victim(self) -> None:
        self.victim = subprocess.Popen(
            [sys.executable, "-I", "-c", _VICTIM, self.secret, str(UID)],
            stdout=subprocess.PIPE,
            env={"REASONGYM_SECRET": self.secret},
        )
        assert self.victim.stdout is not None
        self.victim.stdout.readline()
        os.set_blocking(self.victim.stdout.fileno(), False)

    def open(self, **limits: Any) -> Session:
        """A session of this backend, and no other's."""
        return sandbox.open_session(self.backend, replace(LIMITS, **limits), unsafe=self.unsafe)

    def nursery(self) -> int | None:
        return look.parent_of(self.sibling_pid) if self.sibling_pid else None

    def pid_of(self, session: Session) -> int | None:
        """The session's process as this machine numbers it; None where it runs in a kernel of its own."""
        number = int(session.run("import os\nos.getpid()").output)
        handle = getattr(session._link, "handle", None)
        if handle is not None:
            with open(f"/proc/self/fdinfo/{handle}") as file:
                return int(next(line for line in file if line.startswith("Pid:")).split()[1])
        container = getattr(getattr(session._from, "_source", None), "id", "")
        found = [pid for pid in look.parents() if look.inside(pid) == number and _runs_nursery(pid, container)]
        return found[0] if found else None

    def facts(self) -> str:
        """A cell that gives an attacker all that it could wish to know, but the secret."""
        where = {name: os.path.join(self.folder, name) for name in ("secret", "target", "hidden", "link")}
        nursery, sibling = self.nursery(), self.sibling_pid
        processes = {"victim": self.victim.pid, "host": os.getpid(), "nursery": nursery, "sibling": sibling}
        inside = {f"{k}_inside": look.inside(p) if p else 0 for k, p in (("nursery", nursery), ("sibling", sibling))}
        facts = {
            **where, **processes, **inside, **self.servers.facts, "folder": self.folder, "marker": self.marker,
            "places": PLACES, "nr": numbers(), "inode": os.stat(where["secret"]).st_ino, "uid": UID,
            "machine": platform.machine(), "limit": MEMORY << 20,
        }  # fmt: skip
        return f"import json\nFACTS = json.loads({json.dumps(facts)!r})\n{PREAMBLE}"

    def honest(self) -> str:
        """What a fresh session prints for a cell that looks around."""
        session = self.open(output=100_000)
        try:
            reply = session.run(f"MARKER, PLACES = {self.marker!r}, {PLACES!r}\n{_HONEST}")
            return reply.output if reply.ok else f"an honest cell failed: {reply.output}"
        finally:
            session.close()

    def harm(self, case: Case) -> str:
        """What an attack has done to the host, to its session's confinement or to others; ``""`` if nothing."""
        found = [*self._told(case), *self._to_files(), *self._to_processes(), *self.servers.visits()]
        if self._state() != self._knobs:
            found.append("the state of the kernel or a file of the system changed")
            self._knobs = self._state()
        treasure = self.sibling.run("treasure")
        if treasure.output != repr(self.secret):
            found.append(f"another session was changed: {treasure.output[-80:]}")
            self.sibling.run(f"treasure = {self.secret!r}")
            self.sibling_pid = self.pid_of(self.sibling)
        return "; ".join(found)

    def _told(self, case: Case) -> list[str]:
        told = [what for what, text in (("the secret was read", self.secret), ("", CLAIM)) if text in case.said]
        claim = next((line for line in case.said.splitlines() if CLAIM in line), "")
        return [what or f"the cell says: {claim.strip()[:80]}" for what in told]

    def _to_files(self) -> list[str]:
        found = [f"wrote {p}/{self.marker}" for p in PLACES if os.path.lexists(os.path.join(p, self.marker))]
        for path in found:
            _remove(path.removeprefix("wrote "))
        if self._listing() != self._planted:
            found.append("a file of the host changed")
            shutil.rmtree(self.folder, ignore_errors=True)
            os.mkdir(self.folder)
            self._files()
            self.servers.again()
            self._planted = self._listing()
        return found

    def _to_processes(self) -> list[str]:
        assert self.victim.stdout is not None
        said = (self.victim.stdout.read() or b"").decode()
        state = look.status(self.victim.pid)
        if not said and self.victim.poll() is None and state["State"][0] == "S" and state["TracerPid"] == "0":
            return []
        self.victim.kill()
        self.victim.stdout.close()
        self._dead.append(self.victim)  # to be waited for when whoever traces it has gone
        self._start_victim()
        return [f"a process of the host got {said.strip() or 'a signal'}"]

    def _listing(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name in (".", *sorted(os.listdir(self.folder))):
            path = os.path.join(self.folder, name)
            s = os.lstat(path)
            found[name] = (
                s.st_mode,
                s.st_uid,
                s.st_gid,
                s.st_size,
                s.st_mtime_ns,
                s.st_nlink,
                os.listxattr(path, follow_symlinks=False),
            )
        return found

    def _state(self) -> list[str]:
        paths = [*(f"/proc/sys/kernel/{name}" for name in KNOBS), *STATE]
        return [_text(path) for path in paths] + [_keys(), str(os.getpriority(os.PRIO_PROCESS, self.victim.pid))]

    def close(self) -> None:
        self.sibling.close()
        assert self.victim.stdout is not None
        self.victim.stdout.close()
        self.victim.kill()
        for victim in [*self._dead, self.victim]:
            victim.wait()
        self.servers.close()
        shutil.rmtree(self.folder)
        os.environ.pop("REASONGYM_SECRET", None)


def _runs_nursery(pid: int, container: str) -> bool:
    return "nursery.py" in _text(f"/proc/{pid}/cmdline") and container in _text(f"/proc/{pid}/cgroup")


def _text(path: str) -> str:
    with suppress(OSError), open(path, errors="replace") as file:
        return file.read()
    return ""


def _keys() -> str:
    return next((line for line in _text("/proc/key-users").splitlines() if line.strip().startswith(f"{UID}:")), "")


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)
