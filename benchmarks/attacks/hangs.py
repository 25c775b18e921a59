"""Cells that do not end, in as many ways as there are. Each must be answered in time."""

from __future__ import annotations

from benchmarks.attacks.attack import attack

ATTACKS = (
    attack("a loop", "while True:\n    pass"),
    attack(
        "a loop that catches all",
        "while True:\n    try:\n        time.sleep(0.01)\n    except BaseException:\n        pass",
    ),
    attack("a loop in C (sum)", "sum(range(10**12))"),
    attack("a loop in C (all)", "all(iter(int, 1)), any(iter(int, 1))"),
    attack("a power", "pow(3, 10**9) % 7"),
    attack("a factorial", "import math\nmath.factorial(10**8)"),
    attack("a regular expression", "import re\nre.match(r'(a+)+$', 'a' * 40 + 'b')"),
    attack("a sort that never agrees", "import itertools\nsorted(itertools.count(), key=lambda x: -x)"),
    attack("a product", "import itertools\nsum(1 for _ in itertools.product(range(1000), repeat=9))"),
    attack("a copy of memory", "x = bytearray(100 << 20)\nwhile True:\n    x[:] = x[::-1]"),
    attack("a factorisation", "import sympy\nsympy.factorint(10**60 + 7 * 10**31 + 33)"),
    attack("a matrix's eigenvalues", "import numpy\nnumpy.linalg.eigvals(numpy.random.rand(3000, 3000))"),
    attack("sleep", "time.sleep(10**6)"),
    attack("sleep again and again", "while True:\n    attempt(lambda: time.sleep(1))"),
    attack("stop itself", "os.kill(os.getpid(), signal.SIGSTOP)"),
    attack("stop itself by its thread", "signal.pthread_kill(__import__('threading').get_ident(), signal.SIGSTOP)"),
    attack("wait for a signal", "signal.pause()"),
    attack("wait for a signal that is blocked", "signal.sigwait([signal.SIGUSR1])"),
    attack("wait for input", "input(), sys.stdin.read()"),
    attack("read the reply's descriptor", "while True:\n    os.read(3, 1)"),
    attack("wait for a descriptor", "import select\nselect.select([], [], [])"),
    attack("a lock", "import threading\nx = threading.Lock()\nx.acquire(), x.acquire()"),
    attack(
        "a futex",
        """
x = ctypes.c_int(0)
ctypes.CDLL(None).syscall({'aarch64': 98}.get(H.machine, 202), ctypes.byref(x), 0, 0, None)
""",
    ),
    attack(
        "all signals blocked",
        "signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))\nwhile True:\n    pass",
    ),
    attack(
        "all signals caught",
        """
for s in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
    signal.signal(s, lambda *_: None)
while True:
    pass
""",
    ),
    attack(
        "a timer whose handler hangs",
        """
def f(*_):
    while True:
        pass
signal.signal(signal.SIGALRM, f)
signal.setitimer(0, 0.01, 0.01)
time.sleep(9)
""",
    ),
    attack("the last value's repr", "class A:\n    def __repr__(self):\n        while True:\n            pass\nA()"),
    attack(
        "an error's text",
        "class E(Exception):\n    def __str__(self):\n        while True:\n            pass\nraise E()",
    ),
    attack(
        "an error's type",
        """
class M(type):
    @property
    def __name__(cls):
        while True:
            pass
class E(Exception, metaclass=M):
    pass
raise E()
""",
    ),
    attack(
        "an object's end",
        "class A:\n    def __del__(self):\n        while True:\n            pass\nA()\nx = A()\ndel x",
    ),
    attack(
        "the process's end",
        "import atexit\natexit.register(lambda: [None for _ in iter(int, 1)])\nsys.exit()",
        "print(6 * 7)",
    ),
    attack(
        "an output that hangs when it is written to",
        """
class O:
    def write(self, text):
        while True:
            pass
sys.stdout = sys.stderr = O()
print(1)
""",
    ),
    attack(
        "an output that hangs when it is read",
        """
class T(str):
    def __contains__(self, other):
        while True:
            pass
    __len__ = __str__ = __getitem__ = strip = lambda *a: [None for _ in iter(int, 1)]
sys.stdout.head = T("x")
""",
    ),
    attack("a trace function", "def f(*a):\n    while True:\n        pass\nsys.settrace(f)\n(lambda: 1)()"),
    attack("a profile function", "def f(*a):\n    while True:\n        pass\nsys.setprofile(f)\nlen([])"),
    attack("a hook of audits", "sys.addaudithook(lambda *a: [None for _ in iter(int, 1)])\ncompile('1', 'x', 'eval')"),
    attack(
        "an import",
        """
class F:
    def find_spec(self, *a):
        while True:
            pass
sys.meta_path.insert(0, F())
import turtledemo
""",
    ),
    attack(
        "a generator's end",
        "def g():\n    try:\n        yield 1\n    finally:\n        while True:\n            pass\nnext(g())",
    ),
    attack("with the reply's descriptor closed", "os.close(3)\nwhile True:\n    pass"),
    attack("closed, and asleep in C", "os.closerange(0, 99)\nctypes.CDLL(None).sleep(1000)"),
    attack("a hang in the second cell", "x = 1", "while x:\n    pass"),
)
