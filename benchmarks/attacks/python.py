"""Changes to Python itself, that would mislead a later session, or the host about a later cell."""

from __future__ import annotations

from benchmarks.attacks.attack import attack, unfailing

ATTACKS = (
    attack(
        "a hook of imports",
        """
class F:
    def find_spec(self, *a):
        raise ImportError('FORGED')
sys.meta_path.insert(0, F())
sys.path_hooks[:] = []
sys.path[:] = []
""",
    ),
    attack(
        "modules poisoned",
        """
for name in list(sys.modules):
    if name not in ('sys', '__main__', 'builtins'):
        sys.modules[name] = type(sys)('FORGED')
""",
    ),
    attack(
        "functions of the library replaced",
        """
import math, json, random, re
math.sqrt = json.dumps = random.random = re.sub = lambda *a, **k: 'FORGED'
""",
    ),
    attack(
        "code of the library replaced",
        """
import json, random, re
def f(*a, **k):
    return 'FORGED'
for g in (json.dumps, json.loads, re.sub, random.seed):
    g.__code__ = f.__code__
""",
    ),
    attack(
        "builtins replaced",
        """
import builtins
builtins.print = builtins.len = builtins.sorted = builtins.sum = lambda *a, **k: 'FORGED'
""",
    ),
    attack(
        "builtins removed",
        """
import builtins
for name in [n for n in vars(builtins) if n not in ('delattr', '__import__')]:
    delattr(builtins, name)
""",
    ),
    attack(
        "the number 42 replaced in memory",
        "x = 42\nctypes.memmove(id(x) + 24, struct.pack('i', 13), 4)\nprint(6 * 7)",
    ),
    attack(
        "types changed in memory",
        """
import gc
for kind, name in ((int, '__add__'), (str, 'join'), (list, 'append')):
    gc.get_referents(kind.__dict__)[0][name] = lambda *a: 'FORGED'
""",
    ),
    attack(
        "numpy changed",
        """
import numpy
numpy.add = numpy.random.rand = numpy.array = lambda *a, **k: 'FORGED'
numpy.random.seed(7)
""",
    ),
    attack("random numbers seeded", "import random\nrandom.seed(1)\nrandom.seed = lambda *a: None"),
    attack(
        "the interpreter's own objects changed",
        """
import gc
def change(thing):
    type(thing).run = type(thing).call = lambda *a: {"ok": True, "out": "FORGED", "value": 1002}
    thing.cells.append("FORGED"), thing.names.clear()
def remove(module):
    for name in list(vars(module)):
        setattr(module, name, None)
things = [thing for thing in gc.get_objects() if type(thing).__name__ == "Interpreter"]
[remove(sys.modules[name]) for name in ("jail", "values", "json.encoder") if name in sys.modules]
[change(thing) for thing in things]
""",
    ),
    attack(
        "objects that outlive the session (immortal)",
        """
for x in (None, True, (), '', 0):
    ctypes.memmove(id(x), struct.pack('Q', 1 << 40), 8)
""",
    ),
    attack(
        "start-up files",
        """
import site, json, sysconfig
paths = [os.path.dirname(json.__file__), *sys.path, sysconfig.get_path("purelib"), "/usr/lib/python3/dist-packages"]
for name in ("sitecustomize.py", "usercustomize.py", "x.pth", "json.py", H.marker):
    for path in paths:
        attempt(lambda: open(f"{path}/{name}", "x").write("FORGED") and won(path))
""",
    ),
    attack(
        "caches of byte code",
        """
import json, importlib.util
for module in (json, os, struct):
    path = importlib.util.cache_from_source(module.__file__)
    attempt(lambda: open(path, "r+b").write(b"") or won(path), lambda: os.unlink(path + H.marker) or won(path))
""",
    ),
    attack(
        "variables of the environment",
        """
os.environ['PYTHONPATH'] = os.environ['LD_PRELOAD'] = '/tmp'
ctypes.CDLL(None).setenv(b'PYTHONSTARTUP', b'/tmp/x', 1)
""",
    ),
    attack("its folder", "attempt(lambda: os.chdir('/usr'), lambda: os.umask(0), lambda: os.chroot('/'))"),
    attack("descriptors 0 to 2 closed", "os.closerange(0, 3)", "print(6 * 7)"),
    attack("standard streams removed", "sys.stdout = sys.stderr = sys.stdin = sys.__stdout__ = None", "print(6 * 7)"),
    attack(
        "standard streams replaced",
        """
import io
sys.stdout = sys.stderr = io.StringIO('FORGED')
""",
        "1 / 0",
        oracle=unfailing,
    ),
    attack("leave with sys.exit(0)", "sys.exit(0)", "1 / 0", oracle=unfailing),
    attack("leave with os._exit(0)", "os._exit(0)", "1 / 0", oracle=unfailing),
    attack("crash", "ctypes.string_at(0)", "print(6 * 7)"),
    attack("abort", "os.abort()", "print(6 * 7)"),
    attack("an interruption", "raise KeyboardInterrupt", "1 / 0", oracle=unfailing),
    attack("an end of generators", "raise GeneratorExit", "1 / 0", oracle=unfailing),
    attack(
        "an error that lies about itself",
        """
class E(BaseException):
    __class__ = int
    def __getattribute__(self, name):
        raise self
raise E()
""",
        "1 / 0",
        oracle=unfailing,
    ),
    attack(
        "an error without memory",
        """
kept = []
try:
    while True:
        kept.append(bytearray(1 << 16))
except MemoryError:
    raise ValueError(kept)
""",
        "1 / 0",
        oracle=unfailing,
    ),
    attack(
        "signals that are not handled",
        """
for s in (1, 2, 3, 10, 12, 13, 14, 15):
    signal.signal(s, signal.SIG_IGN)
os.kill(os.getpid(), 13)
""",
        "print(6 * 7)",
    ),
    attack("a limit of recursion of nothing", "sys.setrecursionlimit(60)", "1 / 0", oracle=unfailing),
)
