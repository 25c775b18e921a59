"""Processes that run math-verify: started when first needed, reused, never trusted to answer.

A worker (`algebra_process`) imports sympy once and forks for each question; the fork has a kernel timer that kills it
on time and a limit on memory, so that no text can cost more than its time, and a time-out leaves the worker warm.
Plain ``subprocess`` and not ``multiprocessing``: it works off the main thread and in daemonic processes too.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from reasongym.core import HostError, UserError

START_S = 60.0  # for sympy to be imported, on a machine that is busy
GRACE_S = 5.0  # beyond its own time-out, before a worker counts as lost
MAX_WORKERS = max(2, min(4, os.cpu_count() or 1))

_PROGRAM = Path(__file__).with_name("algebra_process.py")


class _Lost(Exception):
    """The worker died or fell silent, which no question can make it do: its forks answer for that."""


class _Worker:
    """One process. ``bufsize=0``: nothing may stand in a buffer when this process forks."""

    def __init__(self) -> None:
        paths = os.pathsep.join(path for path in sys.path if path)  # it shall find the math_verify that we would
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(_PROGRAM)],  # -P: the folder of the program is no place for imports
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env=os.environ | {"PYTHONPATH": paths},
            start_new_session=True,  # a Ctrl-C is for us; and kill() reaches the forks
        )
        self._ready = False

    def ask(self, question: bytes, timeout_s: float) -> str:
        if not self._ready:
            self._started(self._line(START_S))
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(question)  # below a pipe's buffer: it never blocks
        except OSError as error:
            raise _Lost("the worker is gone") from error
        return self._line(timeout_s + GRACE_S)

    def _started(self, line: str) -> None:
        if line != "ready":
            raise HostError(f"the process for math answers cannot start: {line}")
        self._ready = True

    def _line(self, timeout_s: float) -> str:
        stdout = self._process.stdout
        assert stdout is not None
        poller, line, end = select.poll(), b"", time.monotonic() + timeout_s
        poller.register(stdout, select.POLLIN)
        while not line.endswith(b"\n"):
            if not poller.poll(max(0.0, end - time.monotonic()) * 1000):
                raise _Lost(f"the worker said nothing for {timeout_s:.0f} s")
            byte = stdout.read(256)
            if not byte:
                raise _Lost("the worker is gone")
            line += byte
        return line.decode(errors="replace").strip()

    def close(self) -> None:
        """End the process and its forks, and leave nothing behind."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self.let_go()

    def let_go(self) -> None:
        """Close our ends of its pipes. In a fork of ours that is all to be done: the process is not its child."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.returncode = self._process.returncode or 0


class _Pool:
    """At most ``MAX_WORKERS`` workers, each with one caller at a time; the other callers wait."""

    def __init__(self) -> None:
        self.lock = threading.Lock()  # held while pipes are made, so that no fork may inherit them unseen
        self.workers: set[_Worker] = set()
        self.idle: list[_Worker] = []
        self._free = threading.BoundedSemaphore(MAX_WORKERS)

    def ask(self, question: bytes, timeout_s: float) -> str:
        with self._free:
            try:
                return self._ask(question, timeout_s)
            except _Lost:  # killed from outside, perhaps while it was idle: that says nothing about the question
                pass
            try:
                return self._ask(question, timeout_s)
            except _Lost as error:
                raise HostError(f"the process for math answers was lost twice: {error}") from error

    def _ask(self, question: bytes, timeout_s: float) -> str:
        worker = self._take()
        try:
            reply = worker.ask(question, timeout_s)
        except BaseException:  # also KeyboardInterrupt: an unread reply would answer the next question
            with self.lock:
                self.workers.discard(worker)
            worker.close()
            raise
        with self.lock:
            self.idle.append(worker)
        return reply

    def _take(self) -> _Worker:
        with self.lock:
            if self.idle:
                return self.idle.pop()
            try:
                worker = _Worker()
            except OSError as error:
                raise HostError(f"the process for math answers cannot start: {error}") from error
            self.workers.add(worker)
            return worker

    def close(self) -> None:
        with self.lock:
            idle, self.idle = self.idle, []
            self.workers.difference_update(idle)
        for worker in idle:
            worker.close()


# The one piece of state of this module. Workers cost a second to start, so they outlive a call; they hold nothing that
# could change a verdict; and a Task is a frozen value that is pickled and copied, so they cannot be its.
_pool = _Pool()


def _forget() -> None:
    """In a fork: its parent's workers are not its own, and an open pipe of theirs would keep them alive."""
    global _pool
    for worker in _pool.workers:
        worker.let_go()
    _pool = _Pool()


def _release() -> None:
    _pool.lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=lambda: _pool.lock.acquire(), after_in_parent=_release, after_in_child=_forget)


@atexit.register
def stop_workers() -> None:
    """End the idle worker processes; the next question that needs one starts it anew."""
    _pool.close()


def ask_worker(gold: Sequence[str], answer: Sequence[str], timeout_s: float) -> bool:
    """Whether two expressions of LaTeX (or two equations, as two sides each) are equal; False where time runs out."""
    if importlib.util.find_spec("math_verify") is None:
        raise UserError("math answers beyond plain numbers need math-verify: pip install reasongym[math]")
    question = json.dumps({"gold": list(gold), "answer": list(answer), "timeout_s": timeout_s})
    return _pool.ask(question.encode() + b"\n", timeout_s) == "equal"
