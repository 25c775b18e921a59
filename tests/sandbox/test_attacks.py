"""The battery of attacks itself: it finds what a missing protection lets through, and nothing on the default one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from benchmarks import report
from benchmarks.attacks import attack, battery, docs, look
from benchmarks.attacks.attack import Attack
from reasongym import exam
from reasongym.core import UserError
from reasongym.sandbox import BACKENDS, Limits, nursery

KEYS = {"backend", "kernel", "attacks", "blocked", "succeeded", "invalid_caused", "max_return_s", "rows"}
# So many at most need what only root has; 12 where user namespaces are allowed.
ROOTS = 25
# What Landlock has no right for: names, sizes and times of files that cannot be read.
STAT = ["see what a file is that it may not read (stat)"]


@pytest.fixture(scope="module")
def backend() -> str:
    try:
        nursery("auto")
    except UserError as error:
        pytest.skip(str(error))
    return "auto"


def run(*flags: str) -> dict[str, Any]:
    """In a process of its own: it takes orphans in, and starts servers and victims."""
    command = [sys.executable, "-m", "benchmarks.attacks", *flags]
    done = subprocess.run(command, capture_output=True, text=True, cwd=report.ROOT, timeout=600)
    assert done.stdout, done.stderr
    return {"stderr": done.stderr, **json.loads(done.stdout.splitlines()[-1])}


# --- the battery


def test_there_are_more_than_a_hundred_attacks_with_names_of_their_own() -> None:
    names = [f"{kind}: {a.name}" for kind, a in battery.chosen()]
    assert len(names) == len(set(names)) >= 100
    assert len(battery.chosen(bare=True)) >= 60
    assert [a.name for _, a in battery.chosen("hangs: sleep")] == ["sleep", "sleep again and again"]


def test_every_cell_of_an_attack_is_python_but_those_that_shall_not_be() -> None:
    wrong = [a.name for kind, a in battery.chosen() if kind != "bombs" and not all(map(_compiles, a.cells))]
    assert wrong == []


def _compiles(cell: str) -> bool:
    try:
        compile(cell, "cell", "exec")
    except (SyntaxError, ValueError):
        return False
    return True


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_none_succeeds_on_the_default_backend(backend: str) -> None:
    got = run("--backend", backend)
    assert KEYS <= got.keys()
    succeeded = [row["name"] for row in got["rows"] if row["succeeded"]]
    assert succeeded == (STAT if got["backend"] == "landlock" else []), got["stderr"]
    assert got["mistaken"] == [] and got["invalid_caused"] == 0, got["stderr"]
    assert got["attacks"] == got["blocked"] + len(succeeded) == len(got["rows"]) == len(battery.chosen()) >= 100
    assert 1.0 <= got["max_return_s"] <= 1.1
    assert got["ok"] == (not succeeded) and got["wall_s"] < 180


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_without_a_sandbox_the_harmless_ones_succeed() -> None:
    """So each is an attack, its oracle sees it, and the host is as it was afterwards."""
    got = run("--backend", "unsafe", "--bare")
    blocked = [row["name"] for row in got["rows"] if not row["succeeded"]]
    assert len(blocked) <= (0 if os.getuid() == 0 else ROOTS), blocked
    assert got["mistaken"] == [] and not got["ok"]


def test_all_of_it_does_not_run_without_a_sandbox() -> None:
    command = [sys.executable, "-m", "benchmarks.attacks", "--backend", "unsafe"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=report.ROOT, timeout=100)
    assert done.returncode != 0 and "only the attacks that are harmless" in done.stderr


# --- its oracles


def test_the_examiner_of_wrong_answers_passes_a_right_one(backend: str) -> None:
    right, wrong = "def f(n):\n    return n + 1000", "def f(n):\n    return n"
    assert exam.sit(attack.EXAM, [right], Limits(seconds=5.0), backend).failed == []
    assert exam.sit(attack.EXAM, [wrong], Limits(seconds=5.0), backend).failed == [0, 1, 2]


def test_what_the_host_sees_of_a_process() -> None:
    code = "import os, threading, time; x = b'abc' + b'def' * 9; r = os.pipe(); threading.Timer(60, print).start();"
    code += "print('on', flush=True); time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None and child.stdout.readline() == "on\n"
        assert look.parent_of(child.pid) == os.getpid() and child.pid in look.family([os.getpid()])
        assert (
            look.status(child.pid)["Threads"] == "2" and look.alive(child.pid) and look.inside(child.pid) == child.pid
        )
        before = {fd: target for fd, target in look.held(child.pid).items() if fd < 3}
        assert [target.partition(":")[0] for target in look.suspicious(before, look.held(child.pid))] == ["pipe"] * 2
        assert look.rights(child.pid) == look.rights(os.getpid()) | {"limits": look.rights(child.pid)["limits"]}
        assert look.remembers(child.pid, b"abc" + b"def" * 9) and not look.remembers(child.pid, os.urandom(16))
        assert look.world(child.pid) == {os.getpid()}
    finally:
        child.kill()
        child.wait()
        child.stdout.close()  # type: ignore[union-attr]
    assert not look.alive(child.pid) and look.held(child.pid) == {}


def test_a_watch_sees_processes_that_do_not_last() -> None:
    known = set(look.parents())
    with look.Watch(None, {os.getpid()}, known) as peak:
        subprocess.run([sys.executable, "-c", "x = bytearray(50 << 20); import time; time.sleep(0.5)"], check=True)
    assert len(peak.processes) == 1 and peak.memory > 40


def test_a_claim_is_believed() -> None:
    assert attack.CLAIM not in "".join(cell for _, a in battery.chosen() for cell in a.cells), "an attack's own text"
    assert Attack("x", ("1",)).oracle is attack.nothing


# --- the page


def saved() -> dict[str, Any]:
    rows = [{"kind": "files", "name": f"a{i}", "succeeded": "it did" if i == 2 else ""} for i in range(3)]
    shut = {"rows": [{**row, "succeeded": ""} for row in rows], "succeeded": []}
    common = {"invalid_caused": 0, "max_return_s": 1.0123, "kernel": "6.1"}
    return {"first": {**shut, **common}, "second": {"rows": rows, "succeeded": ["files: a2: it did"], **common}}


def test_the_table_counts_by_kind_and_names_what_is_open() -> None:
    lines = docs.table(saved()).splitlines()
    assert lines[0] == "| attacks blocked | first | second |"
    assert lines[2] == "| files | 3/3 | 2/3 |"
    assert "| slowest reply, limit 1 s | 1.012 s | 1.012 s |" in lines
    assert lines[-1] == "- second: files: a2: it did"


def test_only_the_table_is_written() -> None:
    page = f"before\n{docs.BEGIN}\nold\n{docs.END}\nafter\n"
    new = docs.generated(page, saved())
    assert new.startswith(f"before\n{docs.BEGIN}\n") and new.endswith(f"\n{docs.END}\nafter\n") and "old" not in new
    assert docs.generated(new, saved()) == new


def test_the_page_has_what_was_measured() -> None:
    page = docs.PAGE.read_text(encoding="utf-8")
    results = docs.results()
    assert {"landlock", "bubblewrap"} <= results.keys()
    assert page == docs.generated(page, results), "run python -m benchmarks.attacks --docs"
    assert all(len(r["rows"]) >= 100 for r in results.values())


def test_the_page_names_every_backend() -> None:
    page = docs.PAGE.read_text(encoding="utf-8")
    assert all(f"`{name}`" in page for name in BACKENDS)
