"""An answer in one sandbox, its tests in another: neither can read the other, and only values cross.

The tests' sandbox asks for the value of a function; the host carries the question over, and the value back as plain
data. So nothing of the tests but the arguments of its calls ever reaches the answer, and what the answer does to its
own process (it leaves it, patches ``assert``, returns an object that equals everything) does not reach the tests.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from reasongym.core import HostError
from reasongym.sandbox import Limits, Reply, Session, open_session

_REPORT = "_report_"  # what the tests call to say how each of them went
_MARK = f"""
try:
    {_REPORT}(0, None)
except Exception as _error_:
    {_REPORT}(0, type(_error_).__name__)
"""


@dataclass(frozen=True)
class Exam:
    """``names`` are the functions that ``program`` asks the answer for; it has ``tests`` tests, as `tested` marks them.

    ``before`` runs first where the tests are: what it defines is trusted, except for those names.
    """

    names: Sequence[str]
    program: str
    tests: int
    before: str = ""


@dataclass
class Marks:
    """How it went. ``failed`` numbers the tests; ``error`` is the kind of the first error, or ""."""

    tests: int
    failed: list[int]
    error: str = ""


def sit(exam: Exam, answer: Sequence[str], limits: Limits = Limits(), backend: str = "auto") -> Marks:  # noqa: B008
    """Run the cells of ``answer``, then the tests; in time, some three times ``limits.seconds``.

    HostError where the sandbox fails, or what is trusted.
    """
    with closing(open_session(backend, limits)) as theirs, closing(open_session(backend, limits)) as ours:
        if exam.before and not (reply := ours.run(exam.before)).ok:  # before the answer can have slowed it down
            raise HostError(f"what a problem itself defines does not run: {reply.output}")
        for cell in answer:
            if not (reply := theirs.run(cell)).ok:
                return Marks(exam.tests, [*range(exam.tests)], _kind(reply.output))
        desk = _Desk(theirs)
        ours.remote([*exam.names, _REPORT])
        reply = ours.run(exam.program, on_call=desk.answer)
    failed = [k for k in range(exam.tests) if desk.told.get(k, "") is not None]
    if not reply.ok and not failed:  # what stands after the last test has failed
        failed = [exam.tests - 1]
    errors = [error for k in failed if (error := desk.told.get(k))]
    return Marks(exam.tests, failed, (errors or [_kind(reply.output)])[0] if failed else "")


@dataclass
class _Desk:
    """Answers what the tests ask."""

    theirs: Session
    told: dict[int, str | None] = field(default_factory=dict)  # of each test that has ended: its error, or None
    lost: Reply | None = None  # the reply at which the answer's session ended: no later call can succeed

    def answer(self, question: Any) -> dict[str, Any]:
        name, args, kwargs = question
        if name == _REPORT:
            number, error = args["tuple"]
            self.told[number] = error
            return {"ok": True, "value": None}
        reply = self.lost or self.theirs.call(name, args, kwargs)
        self.lost = reply if reply.lost else None
        value = [_kind(reply.output), {"tuple": []}] if reply.lost else reply.value
        return {"ok": reply.ok, "value": value, "out": reply.output}


def tested(body: Sequence[ast.stmt], number: int) -> ast.stmt:
    """The statements of a test, with a report at their end."""
    (frame,) = ast.parse(_MARK.replace("(0,", f"({number},")).body
    assert isinstance(frame, ast.Try)
    frame.body = [*body, *frame.body]
    return frame


def source(program: Sequence[ast.stmt]) -> str:
    return ast.unparse(ast.fix_missing_locations(ast.Module([*program], [])))


def asserts(node: ast.stmt) -> bool:
    return any(isinstance(inner, ast.Assert) for inner in ast.walk(node))


def asked(tests: str, solution: str = "") -> list[str]:
    """The names in ``tests`` that ``solution`` defines; where there is no solution, those that nothing else does."""
    names = [node for node in ast.walk(ast.parse(tests)) if isinstance(node, ast.Name)]
    used = {node.id for node in names if isinstance(node.ctx, ast.Load)}
    if solution:
        return sorted(used & _defined(solution))
    bound = {node.id for node in names if isinstance(node.ctx, ast.Store)}
    return sorted(used - bound - _defined(tests) - {name for name, _ in _imports(tests)} - {*dir(builtins)})


def imports(tests: str, solution: str) -> list[ast.stmt]:
    """The solution's imports of what ``tests`` use: some data sets lean on them."""
    used = {node.id for node in ast.walk(ast.parse(tests)) if isinstance(node, ast.Name)}
    return [statement for bound, statement in _imports(solution) if bound in used]


def _defined(program: str) -> set[str]:
    """The functions, classes and variables of a module, not what is inside of them: a local may be called ``set``."""
    found = set()
    for node in ast.parse(program).body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return found


def _imports(program: str) -> list[tuple[str, ast.stmt]]:
    statements = [node for node in ast.parse(program).body if isinstance(node, (ast.Import, ast.ImportFrom))]
    return [((alias.asname or alias.name).partition(".")[0], node) for node in statements for alias in node.names]


def _kind(output: str) -> str:
    """The kind of the error that a reply shows."""
    lines = [line for line in output.split("\n") if not line.startswith((" ", "Traceback"))]
    return lines[0].partition(":")[0] if lines else ""
