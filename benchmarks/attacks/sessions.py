"""Sessions against each other: what one does and another, running beside it, sees."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.attacks.attack import Attack, Case, attack


def _found(looks: str) -> Callable[[Case], str]:
    """A second session looks for what the first has left; it prints ``nothing`` if there is nothing."""

    def oracle(case: Case) -> str:
        other = case.scene.open()
        try:
            other.run(case.scene.facts())
            reply = other.run(f"{looks}\nelse:\n    print('nothing')")
            return "" if reply.output.endswith("nothing") else f"another session found: {reply.output[:80]}"
        finally:
            other.close()

    return oracle


def _met(name: str, leaves: str, looks: str, bare: bool = False) -> Attack:
    return attack(name, leaves, oracle=_found(looks), bare=bare)


ATTACKS = (
    _met(
        "a file left for another",
        "each(lambda p: open(f'{p}/{H.marker}-2', 'w').write('x'), '/tmp', '/dev/shm', '/var/tmp', '/', os.getcwd())",
        "if found := [p for p in H.places if os.path.exists(f'{p}/{H.marker}-2')]:\n    print(found)",
    ),
    _met(
        "a module changed",
        """
import math, numpy
math.left = numpy.left = 1
""",
        """
import math, numpy
if hasattr(math, 'left') or hasattr(numpy, 'left'):
    print('changed')
""",
    ),
    _met(
        "a builtin changed",
        """
import builtins
builtins.left = 1
""",
        """
import builtins
if hasattr(builtins, 'left'):
    print('changed')
""",
    ),
    _met(
        "a page of the library changed in memory",
        """
import mmap, json
def change(flags):
    with open(json.__file__, "rb") as file:
        m = mmap.mmap(file.fileno(), 0, flags=flags, prot=mmap.PROT_READ | mmap.PROT_WRITE)
        m[:3] = b"new"
attempt(lambda: change(mmap.MAP_SHARED), lambda: change(mmap.MAP_PRIVATE))
""",
        "import json\nif open(json.__file__).read(3) == 'new':\n    print('changed')",
    ),
    _met(
        "an address changed",
        """
x = b'a' * 5000
ctypes.memmove(id(sys.version) + 48, b'LEFT', 4)
""",
        """
if 'LEFT' in sys.version:
    print('changed')
""",
    ),
    _met(
        "an abstract socket to meet at",
        "s = socket.socket(1)\ns.bind(chr(0) + 'reasongym-meeting')\ns.listen()",
        "if attempt(lambda: socket.socket(1).connect(chr(0) + 'reasongym-meeting')):\n    print('met')",
        bare=True,
    ),
    _met(
        "memory of System V to meet in",
        "n = call('shmget', 4711, 4096, 0o1666)\nimport atexit",
        "if attempt(lambda: call('shmctl', call('shmget', 4711, 0, 0), 0, None)):\n    print('met')",
        bare=True,
    ),
    _met(
        "a queue of messages to meet in",
        "n = call('msgget', 4712, 0o1666)",
        "if attempt(lambda: call('msgget', 4712, 0)):\n    print('met')",
    ),
    attack(
        "a lock on a file that all may read",
        """
import fcntl, json
file = open(json.__file__)
attempt(lambda: fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB) or won("flock"),
        lambda: fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB) or won("lockf"),
        lambda: fcntl.fcntl(file, 1024, 0) == 0 and won("lease"),
        lambda: fcntl.fcntl(file, 1026, 0x80000001) == 0 and won("notify"))
""",
        bare=True,
    ),
    attack(
        "another's process, seen in /proc",
        "[won(t[:30]) for t in each(lambda p: open(f'/proc/{p}/stat').read(),"
        " H.sibling, H.sibling_inside or 1, os.getppid())]",
        bare=True,
    ),
)
