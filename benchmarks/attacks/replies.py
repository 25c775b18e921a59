"""What comes back is written by the cell, if it likes. Nothing of it may pass for the reply to an honest cell."""

from __future__ import annotations

from benchmarks.attacks.attack import Attack, attack, forged, unfailing

_SAY = """
import json
def frame(message):
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    return struct.pack("!I", len(body)) + body
def say(*messages):
    data = memoryview(b"".join(m if isinstance(m, memoryview) else frame(m) for m in messages))
    while data:
        data = data[os.write(3, data):]
def number():
    level = sys._getframe()
    while level is not None:
        for name, value in level.f_locals.items():
            if name == "order" and isinstance(value, dict) and "id" in value:
                return value["id"]
            for cell in getattr(value, "__closure__", None) or ():
                try:
                    if isinstance(cell.cell_contents, dict) and "id" in cell.cell_contents:
                        return cell.cell_contents["id"]
                except ValueError:
                    pass
        level = level.f_back
    return "0" * 16
mine = {"id": number(), "ok": True, "out": "FOR" + "GED"}
"""


def _then_honest(name: str, code: str) -> Attack:
    return attack(name, _SAY + code, "print(6 * 7)", "print(6 * 7)", oracle=forged)


def _alone(name: str, message: str) -> Attack:
    """What it says is all that ever comes."""
    return _then_honest(name, f"say({message})\nos._exit(0)")


def _then_failing(name: str, code: str) -> Attack:
    return attack(name, _SAY + code, "1 / 0", oracle=unfailing)


ATTACKS = (
    _then_honest("answer twice", "say(mine, mine)"),
    _then_honest("answer many times", "say(*[mine] * 1000)"),
    _then_honest("answer twice, late", "say(mine)\ntime.sleep(0.05)\nsay(mine)"),
    _alone("answer first with another's number", "{**mine, 'id': '0' * 16}"),
    _alone("answer without a number", "{'ok': True, 'out': 'x'}"),
    _alone("answer with a number of another type", "{**mine, 'id': [mine['id']]}"),
    _alone("be ready again", "{'ready': True}"),
    _then_honest("answer and hang", "say(mine)\nwhile True:\n    pass"),
    _then_honest("half an answer, then hang", "os.write(3, frame(mine)[:-3])\ntime.sleep(9)"),
    _then_honest("half a length", "os.write(3, b'\\0\\0')\ntime.sleep(9)"),
    _then_honest(
        "half an answer, then the rest",
        """
f = frame(mine)
os.write(3, f[:9])
time.sleep(0.05)
os.write(3, f[9:] + f)
""",
    ),
    _then_honest(
        "an answer byte by byte",
        """
for b in frame({**mine, 'out': 'x' * 10**7}):
    os.write(3, bytes([b]))
""",
    ),
    _then_honest("a length of 4 GiB", "os.write(3, b'\\xff' * 4)\ntime.sleep(9)"),
    _then_honest(
        "a length of 4 GiB, and data",
        """
os.write(3, b'\\xff' * 4)
while True:
    os.write(3, bytes(65536))
""",
    ),
    _alone("no length", "b''"),
    _then_honest("noise", "os.write(3, os.urandom(1000))"),
    _alone("no JSON", "b'{\"id\": '"),
    _alone("no UTF-8", "b'\"\\xff\\xfe\"'"),
    _alone("deep JSON", "b'[' * 200_000"),
    _alone(
        "deep JSON with the right number",
        "json.dumps(mine)[:-1].encode() + b', \"value\": ' + b'[' * 10**5 + b']' * 10**5 + b'}'",
    ),
    _alone(
        "JSON that takes much memory", "json.dumps(mine)[:-1].encode() + b', \"value\": [' + b'[],' * 87_000 + b'[]]}'"
    ),
    _alone("JSON of 4 MiB", "json.dumps(mine)[:-1].encode() + b', \"value\": [' + b'[],' * 1_300_000 + b'[]]}'"),
    _alone("JSON with a number of a million digits", "b'9' * 200_000"),
    _alone("JSON's names for what is no number", 'b\'{"id": NaN, "ok": Infinity}\''),
    _alone("a key twice", 'json.dumps(mine)[:-1].encode() + b\', "id": "x"}\''),
    _alone("a list", "[mine]"),
    _alone("an output that is no text", "{**mine, 'out': {'FORGED': 1}}"),
    _alone("an output of half characters", "{**mine, 'out': chr(0xd800) * 700}"),
    _alone("an output that is too long", "{**mine, 'out': 'x' * 200_000}"),
    _alone("an ok that is neither", "{**mine, 'ok': 'yes'}"),
    _alone("a value that nobody asked for", "{**mine, 'value': {'int': '0x7'}}"),
    _alone("a question that nobody answers", "{'id': mine['id'], 'ask': ['f', [], {}]}"),
    _then_honest("close the reply's descriptor", "os.close(3)"),
    _then_honest("put another in its place", "os.dup2(os.open('/dev/null', os.O_RDWR), 3)"),
    _then_honest(
        "a copy of it, kept for later",
        """
keep = os.dup(3)
def f(*_):
    os.write(keep, frame(mine))
signal.signal(signal.SIGALRM, f)
signal.setitimer(0, 0.02)
""",
    ),
    _then_failing("answer with ok, then fail", "say(mine)"),
    _then_failing(
        "json.dumps replaced",
        """
real = json.dumps
json.dumps = lambda m, *a, **k: real({**m, 'ok': True, 'out': ''} if isinstance(m, dict) else m)
json.JSONEncoder.encode = lambda self, m: '{}'
""",
    ),
    _then_failing("os.write replaced", "real = os.write\nos.write = lambda fd, data: real(fd, frame(mine))"),
    _then_failing("struct replaced", "struct.pack = lambda *a: b''\nstruct.Struct = None"),
    _then_failing(
        "builtins replaced",
        """
import builtins
builtins.BaseException = builtins.Exception = type('E', (), {})
builtins.compile = lambda *a, **k: (lambda: 0).__code__
builtins.exec = builtins.eval = lambda *a, **k: None
""",
    ),
    _then_failing("ast replaced", "import ast\nast.parse = lambda *a, **k: ast.Module([], [])\nast.Expr = ast.Module"),
    _then_failing(
        "the error's printing replaced",
        """
import traceback, re
traceback.format_exception = lambda *a: []
re.Pattern = None
sys.excepthook = sys.displayhook = lambda *a: None
""",
    ),
    _then_failing(
        "a trace function that swallows errors",
        """
def f(frame, event, arg):
    frame.f_trace_lines = False
    return f
sys.settrace(f)
sys.setprofile(f)
""",
    ),
)
