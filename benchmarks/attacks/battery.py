"""Runs attacks, each in a session of its own, and looks at the host after each."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from benchmarks.attacks import (
    answers,
    bombs,
    files,
    hangs,
    kernel,
    look,
    network,
    processes,
    python,
    replies,
    secrets,
    sessions,
)
from benchmarks.attacks.attack import MEMORY, RETURN_S, Attack, Case
from benchmarks.attacks.scene import HOST_MEMORY, Scene
from reasongym.core import HostError

KINDS: dict[str, tuple[Attack, ...]] = {
    "files": files.ATTACKS,
    "secrets": secrets.ATTACKS,
    "network": network.ATTACKS,
    "processes": processes.ATTACKS,
    "bombs": bombs.ATTACKS,
    "hangs": hangs.ATTACKS,
    "forged replies": replies.ATTACKS,
    "the kernel": kernel.ATTACKS,
    "Python": python.ATTACKS,
    "wrong answers": answers.ATTACKS,
    "other sessions": sessions.ATTACKS,
}
# An attack that ends so has not been tried: it is a mistake in its own text.
_MISTAKES = ("NameError", "IndentationError", "AttributeError", "ModuleNotFoundError", "UnboundLocalError")


@dataclass(frozen=True)
class Outcome:
    kind: str
    name: str
    succeeded: str  # how, or ""
    return_s: float  # the longest that a cell took
    invalid: bool  # HostError
    mistaken: bool
    said: str

    def row(self) -> dict[str, Any]:
        return {"kind": self.kind, "name": self.name, "succeeded": self.succeeded, "return_s": round(self.return_s, 4)}


def chosen(word: str = "", bare: bool = False) -> list[tuple[str, Attack]]:
    """All attacks whose kind or name has ``word``; with ``bare``, only those that are harmless without a sandbox."""
    every = [(kind, a) for kind, attacks in KINDS.items() for a in attacks]
    return [(kind, a) for kind, a in every if (word in f"{kind}: {a.name}") and (a.bare or not bare)]


def run(scene: Scene, attacks: Sequence[tuple[str, Attack]]) -> list[Outcome]:
    return [_one(scene, kind, one) for kind, one in attacks]


def _one(scene: Scene, kind: str, attack: Attack) -> Outcome:
    found, case, invalid = "", None, False
    try:
        case = _opened(scene, attack)
        found = _attacked(scene, case)
    except HostError as error:
        invalid, found = True, f"the host failed: {error}"
    said = case.said if case else ""
    mistaken = any(word in said for word in _MISTAKES)
    return Outcome(kind, attack.name, found, max(case.seconds, default=0.0) if case else 0.0, invalid, mistaken, said)


def _opened(scene: Scene, attack: Attack) -> Case:
    session = scene.open()
    case = Case(scene, attack, session, scene.pid_of(session))
    reply = session.run(scene.facts())
    if not reply.ok:
        raise RuntimeError(f"the attacker's tools do not load: {reply.output}")
    return case


def _attacked(scene: Scene, case: Case) -> str:
    pid = case.pid
    known = set(look.parents())
    rights, held = (look.rights(pid), look.held(pid)) if pid else ({}, {})
    _forget_own_peak()
    own = _own_memory()
    with look.Watch(pid, look.world(pid) if pid else set(), known) as case.peak:
        for code in case.attack.cells:
            started = time.monotonic()
            case.replies.append(case.session.run(code))
            case.seconds.append(time.monotonic() - started)
    try:
        found = [case.attack.oracle(case), _late(case), _too_much(case, own)]
        if pid and not case.lost and look.alive(pid):
            found += [_freed(rights, pid), *look.suspicious(held, look.held(pid))]
        found.append(scene.harm(case))
    finally:
        case.session.close()
    return "; ".join(what for what in [*found, _left(case), _changed(scene)] if what)


def _late(case: Case) -> str:
    return "" if max(case.seconds) <= RETURN_S else f"the reply came after {max(case.seconds):.2f} s"


def _too_much(case: Case, own: float) -> str:
    peak, grown = case.peak, _own_memory() - own
    assert peak is not None
    too_much = [
        (len(peak.processes) > 0, f"{len(peak.processes)} more processes"),
        (peak.threads > 1, f"{peak.threads} threads"),
        (peak.memory > MEMORY, f"{peak.memory:.0f} MiB of memory"),
        (grown > HOST_MEMORY, f"this process grew by {grown:.0f} MiB"),
        (max(len(r.output) for r in case.replies) > case.session.limits.output + 3, "more output than may be shown"),
    ]
    return "; ".join(what for true, what in too_much if true)


def _freed(before: dict[str, str], pid: int) -> str:
    now = look.rights(pid)
    changed = [name for name in before if before[name] != now.get(name)]
    if changed and not any(name in now for name in changed) and look.until(lambda: not look.alive(pid)):
        return ""  # it was ending while it was looked at, and had nothing left to show
    return f"its confinement changed: {', '.join(changed)}" if changed else ""


def _left(case: Case) -> str:
    """What is left when the session is closed."""
    peak, pid = case.peak, case.pid
    assert peak is not None
    mine = [*peak.processes, *([pid] if pid else [])]
    if look.until(lambda: not any(look.alive(p) for p in mine)):
        return ""
    left = [p for p in mine if look.alive(p)]
    for process in peak.processes:  # of an attack that succeeded
        with suppress(ProcessLookupError):
            os.kill(process, 9)
    return f"{len(left)} processes outlive the session"


def _changed(scene: Scene) -> str:
    now = scene.honest()
    return "" if now == scene.honest_says else f"the next session is not as the first: {now[-120:]}"


def _forget_own_peak() -> None:
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def _own_memory() -> float:
    """The most that this process had in memory since it was forgotten, in MiB."""
    return int(look.status(os.getpid())["VmHWM"].split()[0]) / 1024
