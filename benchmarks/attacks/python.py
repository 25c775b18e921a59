"""Changes to Python itself, that would mislead a later session, or whoever judges what a cell has defined."""

from __future__ import annotations

from benchmarks.attacks.attack import Attack, attack, judged, unfailing


def _judged(name: str, code: str, bare: bool = False) -> Attack:
    """``f`` is asked by a judge in another session, which knows what the right answer is; `attack.judged`."""
    return attack(name, code, oracle=judged, bare=bare)


ATTACKS = (
    attack("a hook of imports", "class F:\n    def find_spec(self, *a):\n        raise ImportError('FORGED')\nsys.meta_path.insert(0, F())\nsys.path_hooks[:] = []\nsys.path[:] = []"),
    attack("modules poisoned", "for name in list(sys.modules):\n    if name not in ('sys', '__main__', 'builtins'):\n        sys.modules[name] = type(sys)('FORGED')"),
    attack("functions of the library replaced", "import math, json, random, re\nmath.sqrt = json.dumps = random.random = re.sub = lambda *a, **k: 'FORGED'"),
    attack("code of the library replaced", "import json, random, re\ndef f(*a, **k):\n    return 'FORGED'\nfor g in (json.dumps, json.loads, re.sub, random.seed):\n    g.__code__ = f.__code__"),
    attack("builtins replaced", "import builtins\nbuiltins.print = builtins.len = builtins.sorted = builtins.sum = lambda *a, **k: 'FORGED'"),
    attack("builtins removed", "import builtins\nfor name in [n for n in vars(builtins) if n not in ('delattr', '__import__')]:\n    delattr(builtins, name)"),
    attack(
        "the number 42 replaced in memory",
        "x = 42\nctypes.memmove(id(x) + 24, struct.pack('i', 13), 4)\nprint(6 * 7)",
    ),
    attack(
        "types changed in memory",
        "import gc\nfor kind, name in ((int, '__add__'), (str, 'join'), (list, 'append')):\n    gc.get_referents(kind.__dict__)[0][name] = lambda *a: 'FORGED'",
    ),
    attack("numpy changed", "import numpy\nnumpy.add = numpy.random.rand = numpy.array = lambda *a, **k: 'FORGED'\nnumpy.random.seed(7)"),
    attack("random numbers seeded", "import random\nrandom.seed(1)\nrandom.seed = lambda *a: None"),
    attack("the interpreter's own objects changed", """
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
"""),
    attack("objects that outlive the session (immortal)", "for x in (None, True, (), '', 0):\n    ctypes.memmove(id(x), struct.pack('Q', 1 << 40), 8)"),
    attack("start-up files", """
import site, json, sysconfig
paths = [os.path.dirname(json.__file__), *sys.path, sysconfig.get_path("purelib"), "/usr/lib/python3/dist-packages"]
for name in ("sitecustomize.py", "usercustomize.py", "x.pth", "json.py", H.marker):
    for path in paths:
        attempt(lambda: open(f"{path}/{name}", "x").write("FORGED") and won(path))
"""),
    attack("caches of byte code", """
import json, importlib.util
for module in (json, os, struct):
    path = importlib.util.cache_from_source(module.__file__)
    attempt(lambda: open(path, "r+b").write(b"") or won(path), lambda: os.unlink(path + H.marker) or won(path))
"""),
    attack("variables of the environment", "os.environ['PYTHONPATH'] = os.environ['LD_PRELOAD'] = '/tmp'\nctypes.CDLL(None).setenv(b'PYTHONSTARTUP', b'/tmp/x', 1)"),
    attack("its folder", "attempt(lambda: os.chdir('/usr'), lambda: os.umask(0), lambda: os.chroot('/'))"),
    attack("descriptors 0 to 2 closed", "os.closerange(0, 3)", "print(6 * 7)"),
    attack("standard streams removed", "sys.stdout = sys.stderr = sys.stdin = sys.__stdout__ = None", "print(6 * 7)"),
    attack("standard streams replaced", "import io\nsys.stdout = sys.stderr = io.StringIO('FORGED')", "1 / 0", oracle=unfailing),
    attack("leave with sys.exit(0)", "sys.exit(0)", "1 / 0", oracle=unfailing),
    attack("leave with os._exit(0)", "os._exit(0)", "1 / 0", oracle=unfailing),
    attack("crash", "ctypes.string_at(0)", "print(6 * 7)"),
    attack("abort", "os.abort()", "print(6 * 7)"),
    attack("an interruption", "raise KeyboardInterrupt", "1 / 0", oracle=unfailing),
    attack("an end of generators", "raise GeneratorExit", "1 / 0", oracle=unfailing),
    attack("an error that lies about itself", "class E(BaseException):\n    __class__ = int\n    def __getattribute__(self, name):\n        raise self\nraise E()", "1 / 0", oracle=unfailing),
    attack("an error without memory", "kept = []\ntry:\n    while True:\n        kept.append(bytearray(1 << 16))\nexcept MemoryError:\n    raise ValueError(kept)", "1 / 0", oracle=unfailing),
    attack("signals that are not handled", "for s in (1, 2, 3, 10, 12, 13, 14, 15):\n    signal.signal(s, signal.SIG_IGN)\nos.kill(os.getpid(), 13)", "print(6 * 7)"),
    attack("a limit of recursion of nothing", "sys.setrecursionlimit(60)", "1 / 0", oracle=unfailing),
    _judged("f: wrong", "def f(n):\n    return n"),
    _judged("f: a value that equals all", "class A:\n    __eq__ = lambda *a: True\n    __hash__ = lambda s: 1\ndef f(n):\n    return A()"),
    _judged("f: a number that equals all", "class A(int):\n    __eq__ = lambda *a: True\n    __hash__ = lambda s: 1\ndef f(n):\n    return A(n)"),
    _judged("f: an array that equals all", "class A:\n    __eq__ = lambda *a: True\n    def tolist(self):\n        return self\ndef f(n):\n    return A()"),
    _judged("f: true, not a number, nothing", "def f(n):\n    return [True, float('nan'), None][n % 3]"),
    _judged("f: leaves", "def f(n):\n    sys.exit(0)"),
    _judged("f: ends its process", "def f(n):\n    os._exit(0)"),
    _judged("f: hangs", "def f(n):\n    while True:\n        pass"),
    _judged("f: never ends its list", "def f(n):\n    import itertools\n    return itertools.count()"),
    _judged("f: a list in itself", "def f(n):\n    x = []\n    x.append(x)\n    return x"),
    _judged("f: a large value", "def f(n):\n    return 'x' * (1 << 24)"),
    _judged("f: deep values", "def f(n):\n    x = []\n    for _ in range(3000):\n        x = [x]\n    return x"),
    _judged("f: a value that decodes to code", "def f(n):\n    return {'__reduce__': 'os.system', 'int': 'x', 'dict': [[1]], 'bytes': 'zz'}"),
    _judged("f: an encoder that lies", """
import gc
for g in gc.get_objects():
    if getattr(g, "__name__", "") == "encode" and type(g).__name__ == "function":
        g.__code__ = (lambda value: {"set": [{"list": []}]}).__code__
def f(n):
    return 1
"""),
    _judged("f: an error that says it passed", "def f(n):\n    raise SystemExit('passed')"),
    _judged("f: assert removed", "import builtins\nbuiltins.AssertionError = SystemExit\ndef f(n):\n    return n"),
    _judged("f: the answer to the call, forged", """
import json
def f(n):
    level = sys._getframe()
    while level.f_back is not None:
        level = level.f_back
        order = level.f_locals.get("order")
        if isinstance(order, dict) and "id" in order:
            body = json.dumps({"id": order["id"], "ok": True, "value": {"set": [1002, 1003]}, "out": "passed"}).encode()
            os.write(3, struct.pack("!I", len(body)) + body)
    return n
"""),
    _judged("f: a thing that stays where it is, and answers all", "class A:\n    def __getattr__(self, name):\n        return lambda *a: True\n    __eq__ = __bool__ = __call__ = lambda *a: True\n    __hash__ = lambda s: 1\ndef f(n):\n    return A()"),
    _judged("f: numbers of things that were never kept", """
import json
def f(n):
    level = sys._getframe()
    while level.f_back is not None:
        level = level.f_back
        order = level.f_locals.get("order")
        if isinstance(order, dict) and "id" in order:
            for value in ({"kept": 10**9}, {"kept": [1]}, {"kept": None}, {"type": "int"}, {"int": 1002}, {"dict": 7}, {"x": 1}, {}):
                body = json.dumps({"id": order["id"], "ok": True, "value": value}).encode()
                os.write(3, struct.pack("!I", len(body)) + body)
                os._exit(0)
"""),
    _judged("f: errors that are none", "class E(StopIteration):\n    args = property(lambda s: (s,))\ndef f(n):\n    raise [E, GeneratorExit, StopIteration][n % 3]"),
    _judged("f: the report of a test, called", "def f(n):\n    return [g(k, None) for k in range(3) for g in [globals().get('_report_')] if g]"),
    _judged("f: not there", "x = 1"),
)  # fmt: skip
