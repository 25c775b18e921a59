"""Sessions, on every backend that needs no engine: notebooks that can be lost, and hosts that cannot be fooled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from reasongym import sandbox
from reasongym.core import HostError, UserError
from reasongym.sandbox import Limits, Session, open_session, selftest
from reasongym.sandbox.native import Native

GONE = "The session was restarted: all variables are gone."


@pytest.fixture(params=["landlock", "bubblewrap"])
def backend(request: pytest.FixtureRequest) -> str:
    try:
        sandbox.nursery(request.param)
    except (UserError, HostError) as error:
        pytest.skip(f"{request.param}: {error}")
    return str(request.param)


@pytest.fixture
def session(backend: str) -> Iterator[Session]:
    with closing(open_session(backend, Limits(seconds=2.0))) as found:
        yield found


def outputs(session: Session, *cells: str) -> list[str]:
    return [session.run(cell).output for cell in cells]


# --- a notebook


def test_what_a_cell_defines_the_next_one_has(session: Session) -> None:
    assert outputs(session, "x = 41", "def f(n):\n    return n + 1\n", "print(f(x))", "_ = 5", "f(x)") == [
        *("", "", "42", "", "42"),
    ]


def test_the_last_expression_is_echoed_and_none_is_not(session: Session) -> None:
    assert outputs(session, "1 + 1", "x = 2\nx * 'a'\n", "None", "print('a')\n'b'", "# nothing", "") == [
        *("2", "'aa'", "", "a\n'b'", "", ""),
    ]


def test_numpy_and_sympy_are_there(session: Session) -> None:
    assert outputs(session, "import numpy as np, sympy\nnp.arange(3).sum(), sympy.factorint(91)") == [
        "(np.int64(3), {7: 1, 13: 1})"
    ]


def test_an_error_shows_what_was_printed_and_where_it_happened(session: Session) -> None:
    reply = session.run("def f(x):\n    return 1 / x\nprint('before')\nf(0)\nprint('after')")
    assert (reply.ok, reply.lost) == (False, False)
    assert reply.output == textwrap.dedent("""\
        before
        Traceback (most recent call last):
          line 4, in <module>: f(0)
          line 2, in f: return 1 / x
        ZeroDivisionError: division by zero""")
    assert session.run("f(2)").output == "0.5"


def test_tracebacks_keep_the_innermost_lines_and_skip_the_library(session: Session) -> None:
    deep = session.run("def f(n):\n    return f(n - 1) if n else sorted(1)\nf(50)").output.splitlines()
    assert len(deep) == 5 and deep[0] == "Traceback (most recent call last):"
    assert deep[-1] == "TypeError: 'int' object is not iterable"
    assert "line" not in session.run("import json\njson.loads('{')").output.splitlines()[-1].partition(":")[0]
    assert session.run("1 +").output == "Traceback (most recent call last):\n  line 1: 1 +\nSyntaxError: invalid syntax"


@pytest.mark.parametrize("code", ["import sys; sys.exit(0)", "raise KeyboardInterrupt", "raise SystemExit", "exit()"])
def test_leaving_is_an_error_of_the_cell_and_no_more(session: Session, code: str) -> None:
    session.run("x = 3")
    reply = session.run(code)
    assert (reply.ok, reply.lost) == (False, False)
    assert session.run("x").output == "3"


def test_long_output_keeps_its_head_and_its_tail(session: Session) -> None:
    output = session.run("print('a' * 1000 + 'b' * 1000)").output
    assert output == "a" * 400 + "..." + "b" * 400
    assert session.run("for i in range(100_000): print(i)").output[-6:] == "\n99999"
    assert session.run("print('x' * 800)").output == "x" * 800
    assert len(session.run("print('x' * 801)").output) == 803


def test_the_same_seed_gives_the_same_numbers_and_no_address_is_shown(backend: str) -> None:
    cell = "import random, numpy\nrandom.random(), numpy.random.rand(), hash('a'), object()"
    with closing(open_session(backend, seed=7)) as one, closing(open_session(backend, seed=7)) as two:
        with closing(open_session(backend, seed=8)) as three:
            first = one.run(cell).output
            assert first.endswith("<object object at 0x...>)")
            assert two.run(cell).output == first != three.run(cell).output


def test_any_text_is_a_cell(session: Session) -> None:
    hostile = ["\x00", "\ud800", "é = '数学'\né", "print('\\ud800')", "(" * 500, "-" * 90_000 + "1", "'" + "a" * 10_000]
    for cell in hostile:
        reply = session.run(cell)
        assert reply.output.encode() is not None
    assert session.run("é").output == "'数学'" or session.run("1").output == "1"
    assert "longer than" in session.run("#" * 200_000).output


# --- what may be lost


def test_a_cell_that_hangs_loses_its_session_in_time(backend: str) -> None:
    with closing(open_session(backend, Limits(seconds=0.5))) as session:
        session.run("x = 1")
        for code in ["while True: pass", "import time; time.sleep(9)", "sum(range(10**12))"]:
            begin = time.monotonic()
            reply = session.run(code)
            assert time.monotonic() - begin < 0.5 + 0.5
            assert reply.output == f"TimeoutError: the cell took longer than 0.5 s and was stopped. {GONE}"
            assert (reply.ok, reply.lost) == (False, True)
        assert session.run("x").output.endswith("NameError: name 'x' is not defined")


@pytest.mark.parametrize(
    "code",
    [
        "import os; os._exit(0)",
        "import os; os.kill(os.getpid(), 9)",
        "import ctypes; ctypes.string_at(0)",
        "import sys\nsys.setrecursionlimit(10**9)\nclass A:\n    def __repr__(self): return repr(self)\nrepr(A())",
        "import os; os.close(3)",
    ],
)
def test_a_cell_that_crashes_loses_its_session(session: Session, code: str) -> None:
    session.run("x = 1")
    reply = session.run(code)
    if not reply.lost:  # the stack of Python 3.12 and later has an end of its own
        assert "RecursionError" in reply.output or "MemoryError" in reply.output
        return
    assert not reply.ok and reply.output.endswith(GONE) and "interpreter died" in reply.output
    assert session.run("x").output.endswith("NameError: name 'x' is not defined")


def test_memory_is_bounded(backend: str) -> None:
    with closing(open_session(backend, Limits(memory=512))) as session:
        assert session.run("x = bytearray(600 << 20)").output.endswith("MemoryError")
        assert session.run("1").output == "1"
        reply = session.run("x = []\nwhile True: x.append(bytearray(1 << 20))")
        assert not reply.ok
        assert session.run("2").output == "2" or session.run("2").output == "2"


def test_sessions_share_nothing(backend: str) -> None:
    with closing(open_session(backend)) as one, closing(open_session(backend)) as two:
        one.run("import math, builtins, json\nmath.pi = 3\nbuiltins.x = 4\njson.dumps = None\nbuiltins.print = None")
        assert two.run("import math, json\nprint(math.pi > 3, json.dumps(1))").output == "True 1"
        assert two.run("x").output.endswith("NameError: name 'x' is not defined")


@pytest.mark.parametrize(
    "code",
    [
        "import os; os.write(3, b'\\0\\0\\0\\2{}')",  # a frame of its own before the reply
        "import os; os.write(3, b'\\xff\\xff\\xff\\xff')",
        "import os; os.write(3, b'\\0\\0\\0\\2}{')",
        "import os; os.write(3, b'\\0\\0\\0\\x0d{\"ready\": 1} ')",
        "import os, struct\nbody = b'[' * 100_000\nos.write(3, struct.pack('!I', len(body)) + body)",
    ],
)
def test_a_forged_reply_ends_the_session(session: Session, code: str) -> None:
    reply = session.run(code)
    assert reply.lost and not reply.ok and reply.output.endswith(GONE)
    assert session.run("1 + 1").output == "2"


def test_a_reply_written_ahead_ends_the_session(session: Session) -> None:
    """By a cell that has answered for itself, and goes on: the next one finds it waiting."""
    session.run(
        "import json, os, struct, sys, time\nframe = sys._getframe()\n"
        "while 'order' not in frame.f_locals: frame = frame.f_back\n"
        "body = json.dumps({'id': frame.f_locals['order']['id'], 'ok': True, 'out': ''}).encode()\n"
        "os.write(3, struct.pack('!I', len(body)) + body)\ntime.sleep(0.05)\n"
        "os.write(3, b'\\0\\0\\0\\2{}')\ntime.sleep(9)"
    )
    time.sleep(0.2)
    assert session.run("1").output == f"RuntimeError: an earlier cell wrote where only replies belong. {GONE}"
    assert session.run("1").output == "1"


# --- functions across sessions


def test_a_function_is_called_with_plain_values(session: Session) -> None:
    session.run("def f(a, *, b=1):\n    print('noise')\n    return [a, (b, None), {1: 'x'}]")
    reply = session.call("f", {"tuple": [3]}, {"dict": [["b", 2]]})
    assert reply.ok and reply.value == {"list": [3, {"tuple": [2, None]}, {"dict": [[1, "x"]]}]}
    assert session.call("g", {"tuple": []}, {"dict": []}).output.endswith("KeyError: 'g'")
    session.run("def h(): return f")
    assert session.call("h", {"tuple": []}, {"dict": []}).value == {"kept": 0}  # a function stays where it is


def test_a_cell_may_ask_the_host(session: Session) -> None:
    asked: list[object] = []

    def answer(question: object) -> object:
        asked.append(question)
        return {"ok": True, "value": 7}

    session.remote(["far"])
    assert session.run("far(1, b=2) + 1", on_call=answer).output == "8"
    assert asked == [["far", {"tuple": [1]}, {"dict": [["b", 2]]}]]


# --- the host


def kill_nursery(nursery: Native) -> None:
    """The nursery itself, not the program that set up its namespaces."""
    pids = subprocess.run(["pgrep", "-s", str(nursery.process.pid)], capture_output=True, text=True).stdout.split()
    command = {pid: Path(f"/proc/{pid}/cmdline").read_text() for pid in pids}
    own = [pid for pid in pids if "nursery.py" in command[pid] and "bwrap" not in command[pid]]
    parent = {pid: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1] for pid in own}
    (first,) = (pid for pid in own if parent[pid] not in own)  # its children have its command line too
    os.kill(int(first), signal.SIGKILL)


def test_a_lost_nursery_is_the_hosts_failure_and_the_next_session_has_a_new_one(backend: str) -> None:
    nursery = sandbox.nursery(backend)
    assert isinstance(nursery, Native)
    with closing(open_session(backend, Limits(seconds=30.0))) as session, ThreadPoolExecutor(1) as thread:
        session.run("1")
        waiting = thread.submit(session.run, "import time; time.sleep(20)")
        time.sleep(0.3)
        begin = time.monotonic()
        kill_nursery(nursery)
        with pytest.raises(HostError, match="lost"):
            waiting.result(10)
        assert time.monotonic() - begin < 5
        assert not nursery.alive
        assert session.run("2").output == "2"
    assert sandbox.nursery(backend) is not nursery


def test_a_sandbox_killed_at_one_blow_is_the_hosts_failure(backend: str) -> None:
    for _ in range(5):
        nursery = sandbox.nursery(backend)
        assert isinstance(nursery, Native)
        with closing(open_session(backend, Limits(seconds=30.0))) as session, ThreadPoolExecutor(1) as thread:
            session.run("1")
            waiting = thread.submit(session.run, "import time; time.sleep(20)")
            time.sleep(0.1)
            subprocess.run(["pkill", "-9", "-s", str(nursery.process.pid)], check=True)
            with pytest.raises(HostError, match="lost"):
                waiting.result(10)


def test_many_threads_have_sessions_at_once(backend: str) -> None:
    def work(i: int) -> str:
        with closing(open_session(backend)) as session:
            return session.run(f"x = {i}").output + session.run("x * x").output

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(40))) == [str(i * i) for i in range(40)]


def processes(of: Callable[[str], bool]) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if of(path.read_text()):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def gone(of: Callable[[str], bool], seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while processes(of) and time.monotonic() < end:
        time.sleep(0.05)
    return not processes(of)


@pytest.mark.parametrize("how", ["ends", "is killed"])
def test_nothing_outlives_the_host(backend: str, how: str) -> None:
    """Each nursery of the child is told a name in its preload list, so that its processes can be found."""
    mark = f"mark_{os.getpid()}_{backend}_{how.replace(' ', '_')}"
    program = f"""
import os, sys, threading, time
from reasongym.sandbox import native, open_session
native.PRELOAD = ({mark!r},)
session = open_session({backend!r})
session.run("x = 1")
if {how!r} == "is killed":
    threading.Thread(target=session.run, args=["while True: pass"], daemon=True).start()
    time.sleep(0.3)
    os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", program], check=False, timeout=60)
    assert gone(lambda command: "nursery.py" in command and mark in command)


def test_a_fork_of_the_host_leaves_its_sessions_alone(backend: str) -> None:
    with closing(open_session(backend)) as session:
        session.run("x = 5")
        pid = os.fork()
        if not pid:
            try:
                with closing(open_session(backend)) as other:
                    os._exit(0 if other.run("1 + 1").output == "2" else 1)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert session.run("x").output == "5"


# --- which backend


def test_auto_takes_one_that_passes_the_self_test() -> None:
    try:
        nursery = sandbox.nursery("auto")
    except UserError as error:
        pytest.skip(str(error))
    selftest.check(nursery)
    with closing(open_session()) as session:
        assert session.run("1 + 1").output == "2"


def test_the_self_test_finds_a_sandbox_that_does_not_hold() -> None:
    class Leaky(Session):
        pass

    leaky = Native([sys.executable, "-c", _LEAKY, "--"], {"readable": ["/"], "landlock": False})
    try:
        with pytest.raises(HostError, match="its self-test failed: a cell could read a file of the host"):
            selftest.check(leaky)
    finally:
        leaky.close()


# Runs the nursery, but without its rules for files.
_LEAKY = """
import os, runpy, sys
program = sys.argv[sys.argv.index("-I") + 1]
sys.path.insert(0, os.path.dirname(program))
import jail
jail.confine_files = lambda *_: False
sys.argv = [program, sys.argv[-1]]
runpy.run_path(program, run_name="__main__")
"""


@pytest.mark.parametrize("name", ["unsafe", "Unsafe", "UNSAFE", "unsafe()", " unsafe "])
def test_no_isolation_must_be_asked_for_twice(name: str) -> None:
    for ask in (open_session, sandbox.nursery):
        with pytest.raises(UserError, match="isolates nothing: say unsafe=True"):
            ask(name)


def test_a_fall_back_on_no_isolation_is_for_who_has_asked_for_it() -> None:
    """In a process of its own, whose only backend is one that cannot start."""
    program = """
import warnings
from reasongym import sandbox
from reasongym.core import UserError
warnings.simplefilter("ignore")
sandbox.BACKENDS = ("docker(image='there-is-none')",)
session = sandbox.open_session("auto", unsafe=True)
assert session.run("1 + 1").output == "2"
session.close()
assert sandbox.nursery("auto", unsafe=True) is sandbox.nursery("unsafe", unsafe=True)
for ask in (sandbox.nursery, lambda: sandbox.nursery("unsafe"), lambda: sandbox.open_session().run("1")):
    try:
        ask()
    except UserError:
        continue
    raise SystemExit("it was given no isolation without asking")
"""
    environment = {**os.environ, "DOCKER_HOST": "unix:///nowhere/docker.sock"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == 0, done.stderr


def test_a_backend_that_is_not_there_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UserError, match="apt install bubblewrap"):
        from reasongym.sandbox.bubblewrap import Bubblewrap

        Bubblewrap().start()
