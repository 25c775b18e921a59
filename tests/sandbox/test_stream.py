"""Nurseries behind a stream of bytes: the relay itself, its host's end, and the backend that isolates nothing."""

from __future__ import annotations

import contextlib
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from reasongym import sandbox
from reasongym.core import HostError
from reasongym.sandbox import Limits, Session, open_session, selftest, stream
from reasongym.sandbox.native import INSIDE, UID, readable
from reasongym.sandbox.session import LARGEST_REPLY
from reasongym.sandbox.stream import DATA, END, FRAME, KILL, OPEN, Stream
from reasongym.sandbox.unsafe import Program, Unsafe, command

JAILED = {"preload": [], "uid": UID, "readable": readable(), "landlock": True}
FLOOD = "import os\nwhile True: os.write(3, b'x' * 65536)"
# Floods when its reply has been read, so that nobody reads it.
FLOOD_LATER = """
import json, os, struct, sys, time
frame = sys._getframe()
while "order" not in frame.f_locals:
    frame = frame.f_back
body = json.dumps({"id": frame.f_locals["order"]["id"], "ok": True, "out": ""}).encode()
os.write(3, struct.pack("!I", len(body)) + body)
time.sleep(0.05)
while True: os.write(3, b'x' * 65536)
"""


def jailed() -> Program:
    """As in a container, but with nothing around it. Landlock stands in for that."""
    return Program(command(JAILED))


@pytest.fixture
def program() -> Iterator[Program]:
    found = jailed()
    yield found
    found.sock.close()
    found.process.kill()
    found.close()


@pytest.fixture
def nursery(program: Program) -> Iterator[Stream]:
    try:
        found = Stream(program)
    except HostError as error:
        pytest.skip(str(error))  # a kernel without Landlock
    yield found
    found.close()


def session(nursery: Stream, seconds: float = 5.0, **limits: int) -> Session:
    return Session(lambda: nursery, Limits(seconds=seconds, **limits))


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def carrier(program: Program) -> int:
    """The process that carries the frames, which the nursery forks first."""
    return children(program.process.pid)[0]


def forked(program: Program) -> list[int]:
    """The sessions' processes."""
    return children(program.process.pid)[1:]


def until(true: Callable[[], object], seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.02)
    return bool(true())


# --- sessions


def test_a_session_is_what_it_is_everywhere(nursery: Stream) -> None:
    with closing(session(nursery)) as one, closing(session(nursery)) as two:
        assert [one.run(cell).output for cell in ("x = 41", "x + 1")] == ["", "42"]
        assert two.run("x").output.endswith("NameError: name 'x' is not defined")
        assert "longer than" in one.run("#" * 200_000).output
        assert one.run("#" * 130_000 + "\nx").output == "41"
        one.run("def f(n): return 'a' * n")
        reply = one.call("f", {"tuple": [250_000]}, {"dict": []})
        assert reply.ok and len(reply.value) == 250_000


def test_the_jail_is_the_same(nursery: Stream) -> None:
    assert nursery.landlock
    selftest.check(nursery)


def test_hangs_and_crashes_lose_their_session_only(nursery: Stream) -> None:
    with closing(session(nursery, 0.5)) as bad, closing(session(nursery)) as good:
        good.run("x = 1")
        for code, why in [
            ("while True: pass", "TimeoutError"),
            ("import os; os._exit(0)", "interpreter died"),
            ("import os; os.close(3)", "interpreter died"),
            ("import os; os.kill(os.getpid(), 9)", "interpreter died"),
            (FLOOD, "too long"),
        ]:
            begin = time.monotonic()
            reply = bad.run(code)
            assert reply.lost and why in reply.output and time.monotonic() - begin < 1.0
        assert bad.run("2").output == "2" and good.run("x").output == "1"


def test_a_function_may_be_asked_of_the_host_and_its_answer_may_be_long(nursery: Stream) -> None:
    with closing(session(nursery)) as one:
        one.remote(["far"])
        reply = one.run("len(far())", on_call=lambda _: {"ok": True, "value": "b" * 100_000})
        assert reply.output == "100000"


def test_many_threads(nursery: Stream) -> None:
    def work(i: int) -> str:
        with closing(session(nursery, 20.0)) as one:
            return one.run(f"x = {i}").output + one.run("x * x").output

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(40))) == [str(i * i) for i in range(40)]


# --- who floods, and who does not read


@pytest.mark.parametrize("flood", [FLOOD, FLOOD_LATER])
def test_a_flood_holds_up_nobody(nursery: Stream, program: Program, flood: str) -> None:
    with closing(session(nursery)) as good, ThreadPoolExecutor(1) as thread:
        good.run("1")
        with closing(session(nursery)) as bad:
            bad.run("1")
            before = set(forked(program))
            flooding = thread.submit(bad.run, flood)
            times = []
            for i in range(300):
                begin = time.monotonic()
                assert good.run(f"{i}").output == f"{i}"
                times.append(time.monotonic() - begin)
            assert statistics.median(times) < 0.05 and max(times) < 2.0
            if flooding.result().lost:
                assert "too long" in flooding.result().output
            else:  # nobody has read it, and it is dead already
                assert until(lambda: before - set(forked(program)))
                assert bad.run("1").lost
            assert bad.run("1").output == "1"


class Raw:
    """The relay without a host's end."""

    def __init__(self, program: Program) -> None:
        self.sock = program.sock
        self.sock.settimeout(10.0)
        assert b"ready" in self.read()[2]

    def read(self) -> tuple[int, int, bytes]:
        size, number, kind = FRAME.unpack(self.exactly(FRAME.size))
        return number, kind, self.exactly(size)

    def exactly(self, n: int) -> bytes:
        data = b""
        while len(data) < n:
            more = self.sock.recv(n - len(data))
            assert more, "the relay has ended"
            data += more
        return data

    def say(self, number: int, kind: int, data: bytes = b"") -> None:
        self.sock.sendall(FRAME.pack(len(data), number, kind) + data)

    def order(self, number: int) -> None:
        self.say(number, OPEN)
        body = b'{"memory": 1000000000, "seconds": 9, "seed": 0}'
        self.say(number, DATA, len(body).to_bytes(4, "big") + body)
        assert self.read() == (number, DATA, b'\x00\x00\x00\x0f{"ready": true}')


def test_a_session_that_does_not_read_is_killed_and_the_relay_goes_on(program: Program) -> None:
    relay = Raw(program)
    relay.say(1, OPEN)
    relay.say(0, DATA, b"echo")
    assert relay.read() == (0, DATA, b"echo")
    (first,) = forked(program)
    os.kill(first, signal.SIGSTOP)
    for _ in range(100):
        relay.say(1, DATA, b"x" * 65536)
    assert relay.read() == (1, END, b"")
    assert until(lambda: first not in forked(program))
    relay.order(2)


def test_frames_of_sessions_that_are_not_there_are_nothing(program: Program) -> None:
    relay = Raw(program)
    for kind in (DATA, KILL, END):
        relay.say(77, kind, b"xx")
    relay.order(1)
    relay.say(1, KILL)
    assert until(lambda: not forked(program))
    relay.say(1, DATA, b"late")
    relay.say(1, KILL)
    relay.order(2)


def test_the_relay_ends_with_its_stream_and_so_do_its_sessions(program: Program) -> None:
    relay = Raw(program)
    relay.order(1)
    relay.order(2)
    pids = forked(program)
    assert len(pids) == 2
    relay.sock.close()
    assert program.process.wait(5.0) == 0
    assert until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))


def test_the_relay_ends_when_its_host_is_silent_which_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "_BEAT_S", 0.2)
    program = Program(command({**JAILED, "silence": 1.0}))
    with closing(Stream(program)) as nursery, closing(session(nursery)) as one:
        one.run("x = 1")
        time.sleep(2.0)
        assert one.run("x").output == "1"
        monkeypatch.setattr(stream, "_BEAT_S", 9.0)
        assert until(lambda: program.process.poll() == 0, 5.0)
        assert not nursery.alive


def test_a_session_that_cannot_be_forked_ends_and_the_relay_goes_on() -> None:
    program = Program(["sh", "-c", 'ulimit -n 8; exec "$@"', "sh", *command(JAILED)])
    with contextlib.ExitStack() as stack:
        stack.callback(program.close)
        stack.callback(program.sock.close)
        relay = Raw(program)
        for number in range(1, 9):
            relay.say(number, OPEN)
        *_, last, why = relay.read()
        assert last == END and b"Too many open files" in why
        relay.say(1, KILL)
        assert until(lambda: len(forked(program)) < 3)
        relay.say(0, DATA, b"echo")
        while relay.read() != (0, DATA, b"echo"):
            pass
        relay.order(9)


def test_sessions_go_first_when_memory_runs_out(program: Program) -> None:
    relay = Raw(program)
    relay.order(1)
    (session,) = forked(program)
    pids = (program.process.pid, carrier(program), session)
    scores = [Path(f"/proc/{pid}/oom_score_adj").read_text() for pid in pids]
    assert scores == ["0\n", "0\n", "1000\n"]


def test_both_ends_mean_the_same_frames() -> None:
    program = f"import sys; sys.path.insert(0, {str(INSIDE)!r}); import relay as r; "
    program += "print(r.FRAME.format, r.OPEN, r.DATA, r.KILL, r.END, r.MOST)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    *same, most = done.stdout.split()
    assert same == [FRAME.format, *map(str, (OPEN, DATA, KILL, END))]
    assert int(most) > LARGEST_REPLY


# --- the host's failures


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_lost_relay_is_the_hosts_failure(
    nursery: Stream, program: Program, monkeypatch: pytest.MonkeyPatch, how: signal.Signals
) -> None:
    """Dead, at once; stopped, when a cell takes too long: that is not the model's doing either."""
    monkeypatch.setattr(stream, "_PATIENCE_S", 0.5)
    with closing(session(nursery, 2.0)) as one, ThreadPoolExecutor(1) as thread:
        one.run("1")
        waiting = thread.submit(one.run, "import time; time.sleep(20)")
        time.sleep(0.3)
        begin = time.monotonic()
        os.kill(carrier(program), how)
        with pytest.raises(HostError, match="lost"):
            waiting.result(10)
        assert time.monotonic() - begin < (1.0 if how == signal.SIGKILL else 3.0)
        assert not nursery.alive
        if how == signal.SIGKILL:
            with pytest.raises(HostError):
                one.run("1")


def test_a_slow_cell_is_the_models_own_doing(nursery: Stream) -> None:
    with closing(session(nursery, 0.2)) as one:
        assert one.run("while True: pass").lost
        assert nursery.alive


def test_a_relay_that_talks_nonsense_is_lost(nursery: Stream) -> None:
    """It is trusted; if it was taken over all the same, no more than its sessions is lost."""
    ready = (FRAME.pack(15, 0, DATA) + b'{"landlock": 1}').hex()
    code = f"import os, time; os.write(1, bytes.fromhex({ready!r})); time.sleep(0.3); os.write(1, b'\\xff' * 99); "
    program = Program([sys.executable, "-c", f"{code} os.read(0, 99); time.sleep(60)"])
    mad = Stream(program)
    begin = time.monotonic()
    assert not mad.alive and time.monotonic() - begin < 2.0
    program.process.kill()
    mad.close()


def test_a_nursery_that_cannot_start_says_why_and_leaves_nothing() -> None:
    program = Program(command({"preload": [], "uid": None, "readable": [], "landlock": True}))
    if os.getuid():
        pytest.skip("only root is refused")
    with pytest.raises(HostError, match="it runs as root"):
        Stream(program)
    assert program.process.poll() is not None and program.sock.fileno() == -1
    program = Program(command({"preload": 1}))
    with pytest.raises(HostError, match="'int' object is not iterable"):
        Stream(program)


def test_closing_ends_the_process_and_whoever_waits() -> None:
    program = jailed()
    nursery = Stream(program)
    with closing(session(nursery, 30.0)) as one, ThreadPoolExecutor(1) as thread:
        one.run("1")
        waiting = thread.submit(one.run, "while True: pass")
        time.sleep(0.2)
        nursery.close()
        with pytest.raises(HostError, match="lost"):
            waiting.result(5)
    assert program.process.poll() == 0
    nursery.close()  # twice is once


def test_a_fork_of_the_host_leaves_its_sessions_alone(nursery: Stream) -> None:
    with closing(session(nursery)) as one:
        one.run("x = 5")
        pid = os.fork()
        if not pid:
            nursery.let_go()
            one.close()
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert one.run("x").output == "5"
        with closing(session(nursery)) as two:
            assert two.run("6").output == "6"


def test_nothing_is_left_of_many_sessions(nursery: Stream, program: Program) -> None:
    def counts() -> tuple[int, int, int]:
        relay = len(forked(program))
        return len(os.listdir("/proc/self/fd")), threading.active_count(), relay

    for warm in range(3):
        with closing(session(nursery)) as one:
            assert one.run(f"{warm}").output == f"{warm}"
    assert until(lambda: counts()[2] <= 2)
    before = counts()
    for i in range(200):
        with closing(session(nursery)) as one:
            assert one.run(f"{i}").output == f"{i}"
    assert until(lambda: counts() == before), (before, counts())
    assert not nursery._ends.keys() - {end for end in nursery._numbers.values()} and len(nursery._ends) <= 2


# --- without any jail


def test_unsafe_isolates_nothing_and_says_so(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hunter2")
    with pytest.warns(UserWarning, match="isolates nothing"):
        one = open_session("unsafe", Limits(seconds=0.5), unsafe=True)
        assert one.run(f"open({str(secret)!r}).read()").output == "'hunter2'"
    with closing(one):
        assert one.run("while True: pass").lost
        assert one.run("import numpy; int(numpy.arange(3).sum())").output == "3"
    sandbox.close_all()


def test_unsafe_calls_nothing_that_only_linux_has(tmp_path: Path) -> None:
    """As on macOS: the jail, prctl and pidfd_open may not be touched, nor may anything be read from /proc."""
    runner = tmp_path / "runner.py"
    runner.write_text(f"""
import os, runpy, signal, sys, types
class Jail(types.ModuleType):
    def __getattr__(self, name):
        raise AssertionError(name)
sys.modules["jail"] = Jail("jail")
for module, name in ((os, "pidfd_open"), (signal, "pidfd_send_signal")):
    delattr(module, name)
real = os.open
def without_proc(path, *rest, **more):
    if str(path).startswith("/proc"):
        raise FileNotFoundError(2, "No such file or directory", path)
    return real(path, *rest, **more)
os.open = without_proc
sys.argv = ["nursery.py", '{{"preload": [], "jail": false}}']
runpy.run_path({str(INSIDE / "nursery.py")!r}, run_name="__main__")
""")

    with closing(Stream(Program([sys.executable, str(runner)]))) as nursery, closing(session(nursery, 0.5)) as one:
        assert one.run("1 + 1").output == "2"
        assert one.run("while True: pass").lost
        assert one.run("3").output == "3"


def test_what_is_unsafe_fails_the_self_test() -> None:
    with closing(Unsafe().start()) as nursery, pytest.raises(HostError, match="its self-test failed"):
        selftest.check(nursery)


def test_nothing_outlives_a_host_that_is_killed(tmp_path: Path) -> None:
    program = f"""
import os, threading, time
from contextlib import closing
from pathlib import Path
from reasongym.sandbox import Limits, Session
from reasongym.sandbox.session import LARGEST_REPLY
from reasongym.sandbox.stream import Stream
from reasongym.sandbox.unsafe import Program, command
program = Program(command({JAILED!r}))
nursery = Stream(program)
for code in ("while True: pass", {FLOOD!r}, "import time; time.sleep(90)"):
    session = Session(lambda: nursery, Limits(seconds=60.0))
    session.run("1")
    threading.Thread(target=session.run, args=[code], daemon=True).start()
time.sleep(0.3)
pid = program.process.pid
children = Path(f"/proc/{{pid}}/task/{{pid}}/children").read_text()
print(pid, children, flush=True)
os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr
    pids = [int(word) for word in done.stdout.split()]
    assert len(pids) >= 3

    def running(pid: int) -> bool:
        with contextlib.suppress(OSError):
            return b"nursery.py" in Path(f"/proc/{pid}/cmdline").read_bytes()
        return False

    assert until(lambda: not any(map(running, pids)))
