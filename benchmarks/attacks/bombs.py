"""Too much of something: processes, threads, memory, output, depth. `Scene` knows how much is too much."""

from __future__ import annotations

from benchmarks.attacks.attack import attack

ATTACKS = (
    attack("fork", "for _ in range(300):\n    os.fork()\ntime.sleep(0.2)"),
    attack("fork and go on whatever happens", "while True:\n    attempt(os.fork)"),
    attack(
        "threads",
        """
import _thread
for _ in range(300):
    attempt(lambda: _thread.start_new_thread(time.sleep, (9,)))
""",
        bare=True,
    ),
    attack("one block of memory", "x = bytearray(8 << 30)\nx[::4096] = bytes(len(x) >> 12)"),
    attack("blocks of memory", "kept = []\nwhile True:\n    kept.append(bytearray(b'x') * (4 << 20))"),
    attack("small objects", "kept = []\nwhile True:\n    kept.append([object() for _ in range(1000)])"),
    attack(
        "memory, caught and tried again",
        """
kept = []
while True:
    try:
        kept.append(b"x" * (1 << 20))
    except MemoryError:
        kept.append(attempt(lambda: b"x" * 1000))
""",
    ),
    attack(
        "memory by mmap",
        """
import mmap
kept = []
for _ in range(4000):
    kept.append(mmap.mmap(-1, 1 << 20))
    kept[-1][::4096] = b'x' * 256
""",
    ),
    attack(
        "memory by private maps",
        """
import mmap
for _ in range(4000):
    m = mmap.mmap(-1, 1 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000)
    m[::4096] = b'x' * 256
    globals().setdefault('kept', []).append(m)
""",
    ),
    attack("memory by numpy", "import numpy\nkept = []\nwhile True:\n    kept.append(numpy.ones(1 << 20))"),
    attack(
        "memory in files of memory (memfd)",
        """
fds = [call("memfd_create", b"x", 0) for _ in range(8)]
for fd in fds:
    for _ in range(200):
        os.write(fd, bytes(1 << 20))
won(len(fds))
""",
    ),
    attack("memory of System V", "n = call('shmget', 0, 1 << 20, 0o1600)\nwon(call('shmctl', n, 0, None))", bare=True),
    attack("locked memory", "call('mlockall', 3)\nwon()\nx = bytearray(64 << 20)"),
    attack(
        "raise its limits",
        """
import resource
def lift(kind):
    soft, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (hard + 1, hard + 1)) if hard != -1 else None
    won(kind) if hard != -1 else None
each(lift, resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE)
x = bytearray(2 << 30)
won("2 GiB")
""",
    ),
    attack(
        "descriptors",
        """
fds = []
def more():
    while len(fds) < 5000:
        fds.append(os.dup(0))
attempt(more)
len(fds) > 1000 and won(len(fds))
""",
        bare=True,
    ),
    attack("maps", "import mmap\nkept = [mmap.mmap(-1, 4096, prot=1 + i % 2) for i in range(10**6)]"),
    attack("print much", "while True:\n    print('x' * 1000)"),
    attack("print much at once", "print('x' * (100 << 20))"),
    attack("print many lines to stderr", "for i in range(10**7):\n    sys.stderr.write('y\\n')"),
    attack("write to descriptors 1 and 2", "while True:\n    os.write(1, b'x' * 65536)\n    os.write(2, b'x' * 65536)"),
    attack("write to the reply's descriptor", "while True:\n    os.write(3, b'x' * 65536)"),
    attack("a long last value", "'x' * (50 << 20)"),
    attack("a long last value of many parts", "list(range(10**7))"),
    attack("a long error message", "raise ValueError('x' * (50 << 20))"),
    attack("a long error type", "raise type('x' * (20 << 20), (Exception,), {})('y')"),
    attack("an output that cannot be written", "sys.stdout.head = sys.stdout.tail = 'x' * (50 << 20)"),
    attack(
        "a chain of errors",
        """
error = None
for i in range(10**6):
    new = ValueError(i)
    new.__context__, error = error, new
raise error
""",
    ),
    attack("a group of errors", "raise ExceptionGroup('x', [ValueError(str(i) * 100) for i in range(10**5)])"),
    attack("recursion", "def f(n):\n    return f(n + 1) + 1\nf(0)"),
    attack("recursion with the limit raised", "sys.setrecursionlimit(10**9)\ndef f(n):\n    return [f(n + 1)]\nf(0)"),
    attack(
        "a stack overflow in C",
        """
x = []
for _ in range(10**6):
    x = [x]
sys.setrecursionlimit(10**9)
repr(x)
""",
    ),
    attack("a stack overflow in free", "x = None\nfor _ in range(10**7):\n    x = (x,)\ndel x"),
    attack("a stack overflow in the compiler", "sys.setrecursionlimit(10**9)\neval('-' * 10**6 + '1')"),
    attack("deep source", "compile('(' * 10**5 + ')' * 10**5, 'x', 'eval')"),
    attack("source of a hundred thousand brackets", "[" * 60_000 + "]" * 60_000),
    attack("source with a long line", "x = '" + "a" * 100_000 + "' +"),
    attack("source that is too long", "x = '" + "a" * (1 << 20) + "'"),
    attack("source with odd characters", "x = '\ud800\x00\u202e'\nprint(x)"),
    attack("digits", "sys.set_int_max_str_digits(0)\nprint(3 ** (10**8))"),
    attack("a large power", "x = 10 ** (10 ** 10)"),
    attack("a large shift", "x = 1 << (1 << 40)"),
    attack("a large string", "x = 'a' * 10**13"),
    attack("a wide format", "'%*d' % (2**31 - 1, 1), f'{1:>{2**40}}'"),
    attack("keys that collide", "d = {i * (2**61 - 1): i for i in range(200_000)}"),
    attack(
        "a zip bomb",
        """
import zlib
x = zlib.compress(bytes(1 << 28), 9)
kept = [zlib.decompress(x) for _ in range(40)]
""",
    ),
    attack("a matrix", "import numpy\nx = numpy.random.rand(5000, 5000)\ny = x @ x"),
)
