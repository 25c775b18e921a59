"""A session that runs ten thousand cells, and a host that opens many sessions: nothing may grow."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

from reasongym.core import UserError
from reasongym.sandbox import Session, nursery, open_session
from reasongym.sandbox.native import Native


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
