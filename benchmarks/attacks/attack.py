"""What an attack is, and how the host tells whether one has succeeded."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reasongym import exam
from reasongym.sandbox import Reply, Session

if TYPE_CHECKING:
    from benchmarks.attacks.look import Peak
    from benchmarks.attacks.scene import Scene

SECONDS = 1.0  # the limit of a cell
RETURN_S = 1.1  # by when a reply must be there, whatever the cell does
MEMORY = 512  # MiB of a session
CLAIM = "PWNED"  # a cell that prints it says that it has succeeded, and is believed; that it has not, never is
FORGED = "FORGED"  # what a cell that honestly runs after an attack never prints

_TESTS = [f"assert f({n}) == {n + 1000}" for n in (2, 3, 4)]
EXAM = exam.Exam(["f"], exam.source([exam.tested(ast.parse(t).body, k) for k, t in enumerate(_TESTS)]), len(_TESTS))


@dataclass
class Case:
    """An attack that has run, its session still open."""

    scene: Scene
    attack: Attack
    session: Session
    pid: int | None  # of the session's process, as the host numbers it; None where the host cannot see it
    replies: list[Reply] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    peak: Peak | None = None

    @property
    def lost(self) -> bool:
        """Whether the process is another one by now, or none."""
        return any(reply.lost for reply in self.replies)

    @property
    def said(self) -> str:
        return "\n".join(f"{reply.output} {reply.value}" for reply in self.replies)


def nothing(case: Case) -> str:
    """No oracle but those that every attack has (`Scene.harm`)."""
    return ""


@dataclass(frozen=True)
class Attack:
    """Cells that a session runs in turn, and an oracle beside `Scene.harm`: what has succeeded, or ``""``.

    ``bare``: that it is harmless, so that it may run without a sandbox; there it must succeed, which shows that it is
    an attack at all.
    """

    name: str
    cells: tuple[str, ...]
    oracle: Callable[[Case], str] = nothing
    bare: bool = False


def attack(name: str, *cells: str, oracle: Callable[[Case], str] = nothing, bare: bool = False) -> Attack:
    return Attack(name, cells, oracle, bare)


def forged(case: Case) -> str:
    """The last cell was an honest one, and something else has answered for it."""
    last = case.replies[-1]
    return "an honest cell's reply was forged" if FORGED in last.output or last.value is not None else ""


def unfailing(case: Case) -> str:
    """The last cell raised, and the host was told that it had not."""
    return "a failing cell passed for a good one" if case.replies[-1].ok else ""


def judged(case: Case) -> str:
    """An examiner in a session of its own asks for f(2), f(3) and f(4); no answer here knows what is right."""
    answer = [case.scene.facts(), *case.attack.cells]
    marks = exam.sit(EXAM, answer, case.session.limits, case.scene.backend)
    passed = [k for k in range(EXAM.tests) if k not in marks.failed]
    return f"a wrong function passed tests {passed}" if passed else ""
