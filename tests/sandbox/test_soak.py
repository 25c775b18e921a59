"""A session that runs ten thousand cells, and a host that opens many sessions: nothing may grow."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from reasongym.core import UserError
from reasongym.sandbox import Limits, Session, nursery, open_session
from reasongym.sandbox.native import Native

WORKS_ON = """
import json, os, struct, sys
frame = sys._getframe()
while "order" not in frame.f_locals:
    frame = frame.f_back
body = json.dumps({"id": frame.f_locals["order"]["id"], "ok": True, "out": "done"}).encode()
os.write(3, struct.pack("!I", len(body)) + body)
while True:
    pass
"""


@pytest.fixture(scope="module")
def backend() -> str:
    try:
        nursery("auto")
    except UserError as error:
        pytest.skip(str(error))
    return "auto"


def resident(pid: int | str) -> int:
    """KiB of memory."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def children_of_the_nursery() -> int:
    found = nursery("auto")
    assert isinstance(found, Native)
    inside = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        inside += int(fields[3]) == found.process.pid  # its process session
    return inside


def memory_inside(session: Session) -> int:
    """KiB, as the session's own kernel counts it: the most that it ever had."""
    return int(session.run("import resource\nresource.getrusage(resource.RUSAGE_SELF).ru_maxrss").output)


@pytest.mark.slow
def test_ten_thousand_cells_cost_no_memory_descriptor_or_process(backend: str) -> None:
    with closing(open_session(backend)) as session:
        for i in range(1000):
            assert session.run(f"x = {i}\nprint(x)").output == str(i)
        before = resident("self"), len(os.listdir("/proc/self/fd")), children_of_the_nursery(), memory_inside(session)
        for i in range(10_000):
            assert session.run(f"x = {i}\nprint(x)").output == str(i)
        after = resident("self"), len(os.listdir("/proc/self/fd")), children_of_the_nursery(), memory_inside(session)
    assert after[0] - before[0] < 2048
    assert after[1:3] == before[1:3]
    assert after[3] - before[3] < 8192, "the session keeps more of a cell than its text"


@pytest.mark.slow
def test_many_sessions_leave_nothing_behind(backend: str) -> None:
    def one(i: int) -> None:
        with closing(open_session(backend)) as session:
            assert session.run(f"{i} + 1").output == str(i + 1)

    for i in range(20):
        one(i)
    before = resident("self"), len(os.listdir("/proc/self/fd"))
    for i in range(300):
        one(i)
    assert resident("self") - before[0] < 4096
    assert len(os.listdir("/proc/self/fd")) <= before[1] + 1


@pytest.mark.parametrize("cell", ["import time; time.sleep(20)", "while True: pass"])
def test_a_session_that_is_killed_in_mid_call_says_so_and_starts_anew(backend: str, cell: str) -> None:
    with closing(open_session(backend, Limits(seconds=30.0))) as session, ThreadPoolExecutor(1) as thread:
        session.run("x = 1")
        link = session._link
        assert link is not None
        waiting = thread.submit(session.run, cell)
        time.sleep(0.2)
        begin = time.monotonic()
        link.kill()
        reply = waiting.result(10)
        assert time.monotonic() - begin < 2.0
        assert reply.lost and not reply.ok and "restarted" in reply.output
        assert session.run("'x' in globals()").output == "False"


def test_a_session_that_works_on_is_stopped_when_its_processor_time_is_over(backend: str) -> None:
    """It has answered for itself, so that nobody waits for it."""
    with closing(open_session(backend, Limits(seconds=10.0, total_seconds=1))) as session:
        reply = session.run(WORKS_ON)
        assert reply.ok and reply.output == "done"
        link = session._link
        assert link is not None
        end = time.monotonic() + 30
        link.sock.setblocking(True)
        link.sock.settimeout(30)
        assert link.sock.recv(1) == b"" and time.monotonic() < end
        link.sock.setblocking(False)
        assert session.run("1").lost and session.run("1").output == "1"
