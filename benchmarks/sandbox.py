"""What the sandbox costs, beside a process a cell and ``docker exec`` a cell, in one run.

    python -m benchmarks.sandbox [--backend auto] [--sessions 1000] [--save]

``warm_us_p50``: a cell (``x + 1``) in a session that has run others. ``pool_ms_p50``: a session and its first cell,
with numpy and sympy imported, at 10 a second. ``cold_ms_p50``: the same from nothing, the nursery's process included,
without these imports, which ``first_import_ms`` has besides. ``timeout_1s_max_s``: the longest that any hang of the
battery took to be answered, at a limit of 1 s. ``leaks``: what there is more of after ``--sessions`` sessions.
The bars: 60 us, 25 ms, 150 ms, 1.1 s, no leak. docker is compared with where an engine answers and has the image.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.attacks import hangs
from benchmarks.attacks.attack import SECONDS
from benchmarks.attacks.calls import PREAMBLE, numbers
from benchmarks.report import finish
from reasongym import sandbox
from reasongym.core import HostError, UserError
from reasongym.sandbox import Limits, bubblewrap, docker, landlock, native, open_session

CELL = "x + 1"


def timed(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def warm_us(backend: str, n: int) -> float:
    with closing(open_session(backend)) as session:
        session.run("x = 41")
        assert session.run(CELL).output == "42"
        return median(timed(lambda: session.run(CELL)) for _ in range(n)) * 1e6


def pool_ms(backend: str, n: int) -> float:
    def opened() -> None:
        with closing(open_session(backend)) as session:
            assert session.run("sympy = __import__('sys').modules['sympy']\nlen(sympy.__name__)").output == "5"

    taken = []
    for _ in range(n):
        begin = time.perf_counter()
        opened()
        taken.append(time.perf_counter() - begin)
        time.sleep(max(0.0, 0.1 - taken[-1]))
    return median(taken) * 1e3


def cold_ms(name: str, n: int, preload: tuple[str, ...]) -> float:
    """From nothing to the first reply; ``native.PRELOAD`` is what every backend imports."""
    makers: dict[str, Callable[[], Any]] = {
        "bubblewrap": bubblewrap.make,
        "landlock": landlock.make,
        "docker": docker.make,
    }

    def begun() -> None:
        nursery = makers[name]().start()
        kept.append(nursery)
        session = sandbox.Session(lambda: nursery)
        assert session.run("1 + 1").output == "2"
        session.close()

    before, kept = native.PRELOAD, []
    native.PRELOAD = docker.PRELOAD = preload
    try:
        taken = []
        for _ in range(n):
            taken.append(timed(begun))
            kept.pop().close()
        return median(taken) * 1e3
    finally:
        native.PRELOAD = docker.PRELOAD = before


def hang_s(backend: str) -> tuple[float, str]:
    """The longest that a hang took to be answered, and which."""
    taken, facts = [], {"machine": platform.machine(), "nr": numbers()}
    for attack in hangs.ATTACKS:
        with closing(open_session(backend, Limits(seconds=SECONDS, memory=512))) as session:
            assert session.run(f"FACTS = {facts!r}\n{PREAMBLE}").ok
            taken += [(timed(lambda c=cell: session.run(c)), attack.name) for cell in attack.cells]  # type: ignore[misc]
    return max(taken)


def counted(backend: str) -> dict[str, int]:
    """Processes that are ours or our nurseries', descriptors, files in the temporary folder, containers."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
            parents[int(status.parent.name)] = int(fields[1])
        except OSError:
            continue
    ours = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in ours} - ours:
        ours |= more
    return {
        "process": len(ours),
        "fd": len(os.listdir("/proc/self/fd")),
        "file": len(list(Path(tempfile.gettempdir()).glob("reasongym-*"))),
        "container": len(containers()) if backend == "docker" else 0,
    }


def containers() -> list[Any]:
    client = docker.engine()
    try:
        found: list[Any] = client.api.containers(all=True, filters={"label": docker.LABEL})
        return found
    finally:
        client.close()


def leaks(backend: str, n: int) -> dict[str, int]:
    def one(i: int) -> None:
        with closing(open_session(backend)) as session:
            assert session.run(f"{i} + 1").output == str(i + 1)

    one(0)
    time.sleep(1.0)
    before = counted(backend)
    for i in range(n):
        one(i)
    end = time.monotonic() + 10
    while (after := counted(backend)) != before and time.monotonic() < end:
        time.sleep(0.1)  # what was killed last is still being reaped
    return {kind: max(0, after[kind] - before[kind]) for kind in after}


def subprocess_us(n: int) -> float:
    command = [sys.executable, "-I", "-c", "x = 41; print(x + 1)"]
    return median(timed(lambda: subprocess.run(command, capture_output=True, check=True)) for _ in range(n)) * 1e6


def docker_exec_us(n: int) -> float | None:
    """``docker exec`` a cell in a container that runs; None where there is no engine or no image."""
    try:
        client = docker.engine()
        nursery = docker.make().start()
    except (UserError, HostError) as error:
        print(f"docker exec is not compared: {error}")
        return None
    try:
        (found,) = client.containers.list(filters={"label": docker.LABEL})[:1]
        command = [docker.images.PROGRAM[0], "-I", "-c", "x = 41; print(x + 1)"]
        return median(timed(lambda: found.exec_run(command)) for _ in range(n)) * 1e6
    finally:
        nursery.close()
        client.close()


def figures_of(args: argparse.Namespace) -> dict[str, Any]:
    name = args.backend if args.backend != "auto" else chosen()
    print(f"backend: {name}", flush=True)
    # The hangs come after what is timed in microseconds: they keep a processor busy for most of a minute.
    quick = {"warm_us_p50": warm_us(name, args.cells), "pool_ms_p50": pool_ms(name, args.opened)}
    bare, full = cold_ms(name, args.cold, ()), cold_ms(name, max(1, args.cold // 2), native.PRELOAD)
    compared = {"subprocess_us": subprocess_us(11), "docker_exec_us": docker_exec_us(5)}
    slowest, hang = hang_s(name)
    return {
        "backend": name,
        **quick,
        "cold_ms_p50": bare,
        "first_import_ms": full - bare,
        "timeout_1s_max_s": slowest,
        "slowest_hang": hang,
        "leaks": leaks(name, args.sessions),
        "sessions": args.sessions,
        **compared,
        "load": os.getloadavg()[0],
    }


def chosen() -> str:
    """The backend that ``auto`` takes."""
    taken = sandbox.nursery("auto")
    for name in sandbox.BACKENDS:
        try:
            if sandbox.nursery(name) is taken:
                return name
        except (UserError, HostError):
            continue
    raise UserError("no backend works here")


def meets_the_bar(f: dict[str, Any]) -> bool:
    fast = f["warm_us_p50"] <= 60 and f["pool_ms_p50"] <= 25 and f["cold_ms_p50"] <= 150
    return bool(fast and f["timeout_1s_max_s"] <= 1.1 and not any(f["leaks"].values()))


def main(argv: list[str] | None = None) -> bool:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--cells", type=int, default=5000)
    parser.add_argument("--opened", type=int, default=30)
    parser.add_argument("--cold", type=int, default=9)
    parser.add_argument("--sessions", type=int, default=1000)
    parser.add_argument("--save", action="store_true")
    args = parser.parse_args(argv)
    started = time.perf_counter()
    figures = figures_of(args)
    ok = meets_the_bar(figures)
    suffix = "" if args.backend == "auto" else args.backend
    finish("sandbox", ok, figures, started=started, save=args.save, suffix=suffix)
    return ok


if __name__ == "__main__":
    raise SystemExit(0 if main() else 1)
