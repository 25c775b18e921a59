"""Secrets of the host in environments, in /proc, in memory."""

from __future__ import annotations

from benchmarks.attacks import look
from benchmarks.attacks.attack import Case, attack

_PIDS = 'pids = ["self", 1, 2, os.getppid(), H.host, H.nursery, H.victim, H.sibling]\n'


def _remembers(case: Case) -> str:
    """We look ourselves: what is in no page of its memory, no cell can find there."""
    found = case.pid is not None and look.remembers(case.pid, case.scene.secret.encode())
    return "its memory holds what another session was told" if found else ""


ATTACKS = (
    attack(
        "in its own environment",
        """
environ = (ctypes.c_char_p * 200).in_dll(ctypes.CDLL(None), "environ")
libc = ctypes.CDLL(None)
libc.getenv.restype = ctypes.c_char_p
print(os.environ.get("REASONGYM_SECRET"), os.environb.get(b"REASONGYM_SECRET"), libc.getenv(b"REASONGYM_SECRET"))
""",
    ),
    attack(
        "in environments of other processes",
        _PIDS + "print(*[t[-99:] for t in each(lambda p: open(f'/proc/{p}/environ').read(), *pids)])",
        bare=True,
    ),
    attack(
        "in command lines",
        _PIDS + "print(*[t[-99:] for t in each(lambda p: open(f'/proc/{p}/cmdline').read(), *pids)])",
        bare=True,
    ),
    attack(
        "in the memory of other processes (/proc/PID/mem)",
        _PIDS
        + """
def look(pid):
    for line in open(f"/proc/{pid}/maps"):
        start, end = (int(x, 16) for x in line.split()[0].split("-"))
        if "w" in line.split()[1] and end - start < 1 << 23:
            with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
                memory.seek(start)
                found = memory.read(end - start)
                at = found.find(b"SEC" + b"RET-")
                if at >= 0:
                    return found[at : at + 39].decode()
print(*each(look, H.victim, H.sibling, os.getppid(), H.nursery_inside, H.sibling_inside))
""",
        bare=True,
    ),
    attack(
        "in what its own memory still holds of others",
        """
import re
libc = ctypes.CDLL(None, use_errno=True)
def there(address):  # the kernel looks, and does not mind if nothing is there
    return libc.access(ctypes.c_void_p(address), 0) == 0 or ctypes.get_errno() != 14
starts = {id(x) >> 20 for x in (object(), [], {}, "a" * 600, b"b" * 5000, os, sys.modules, open, H, 10**50)}
import gc
starts |= {id(x) >> 20 for x in gc.get_objects(generation=0)} | {id(x) >> 20 for x in sys.modules.values()}
seen, found = set(), set()
end = time.monotonic() + 0.8
for start in sorted(starts):
    for block in range(start - 2, start + 3):
        for page in range(block << 20, (block + 1) << 20, 4096):
            if time.monotonic() > end or page in seen:
                break
            seen.add(page)
            if there(page):
                text = ctypes.string_at(page, 4096)
                found |= set(re.findall(b"SEC" + b"RET-[0-9a-f]{32}", text))
print(len(seen), *found)
""",
        oracle=_remembers,
    ),
    attack(
        "in what the kernel tells",
        """
def tell(path):
    with open(path, "rb", buffering=0) as file:
        return won(path) if file.read(64) else None
each(tell, "/proc/kcore", "/proc/kallsyms", "/dev/kmsg", "/proc/iomem", "/sys/kernel/notes", "/proc/1/stack")
buffer = ctypes.create_string_buffer(4096)
[won("the kernel's log") for n in attempt(lambda: call("syslog", 3, buffer, 4095)) if n]
""",
        bare=True,
    ),
    attack(
        "in names of processes",
        """
def name(pid):
    return open(f"/proc/{pid}/comm").read(), won(f"the name of {pid}")
each(name, H.victim, H.host, 1)
[won(n) for n in each(os.readlink, f"/proc/{H.victim}/exe", f"/proc/{H.host}/cwd", f"/proc/{H.nursery}/exe")]
""",
        bare=True,
    ),
)
