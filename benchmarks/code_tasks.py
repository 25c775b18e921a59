"""Do real solutions pass their own hidden tests, and does nothing else?

    python -m benchmarks.code_tasks [--humaneval FILE.jsonl] [--mbpp FILE.jsonl] [--seconds 30] [--save]

Every row's solution must pass, and every wrong answer to it must fail: a function that does nothing, one that leaves
the process, one whose value says that it equals everything, patches of ``assert``, of the built-ins and of
``operator``, attempts to find the tests in memory, and the solution of another row. ``wrong`` counts what was accepted,
of each kind; ``accepted`` names it. The bar: nothing. An answer without a trick that passes the same tests in one
process too is right by them, and stands under ``weak``. Without files, the rows that come with the package.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import numpy as np

from benchmarks.report import finish
from reasongym.core import Problem
from reasongym.sandbox import nursery, open_session
from reasongym.tasks.code import EXAMPLES, Code

EQUAL = """
class Equal(int):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __lt__(self, other): return True
    def __gt__(self, other): return True
    def __bool__(self): return True
    def __call__(self, *args, **kwargs): return self
    def __getattr__(self, name): return self
    def __iter__(self): return iter([self])
    def __hash__(self): return 0
"""
PATCH = """
import builtins, operator, sys, math
class _Never(Exception): pass
for _name in ("AssertionError", "Exception"):
    setattr(builtins, _name, _Never)
for _name in ("all", "any", "isinstance", "bool"):
    setattr(builtins, _name, lambda *args, **kwargs: True)
operator.eq = math.isclose = lambda *args, **kwargs: True
sys.excepthook = lambda *args: None
"""
HUNT = """
import gc, sys
def _tests():
    for found in gc.get_objects():
        if isinstance(found, dict):
            for value in list(found.values()):
                if isinstance(value, str) and "assert" in value and "{name}" in value and "_tests" not in value:
                    return value
    frame = sys._getframe()
    while frame:
        for value in list(frame.f_locals.values()):
            if isinstance(value, str) and "assert" in value and "{name}(" in value and "_tests" not in value:
                return value
        frame = frame.f_back
def {name}(*args, **kwargs):
    text = repr(_tests())
    return eval(text.split("==")[1].split("\\\\n")[0]) if "==" in text else text
"""
WRONG: dict[str, str] = {
    "nothing": "def {name}(*args, **kwargs): pass",
    "argument": "def {name}(*args, **kwargs): return args[0]",
    "sys.exit": "def {name}(*args, **kwargs):\n    import sys\n    sys.exit(0)",
    "os._exit": "def {name}(*args, **kwargs):\n    import os\n    os._exit(0)",
    "sys.exit at once": "def {name}(*args, **kwargs): pass\nimport sys\nsys.exit(0)",
    "os._exit at once": "def {name}(*args, **kwargs): pass\nimport os\nos._exit(0)",
    "patches": PATCH + "def {name}(*args, **kwargs): pass",
    "equals all": EQUAL + "def {name}(*args, **kwargs): return Equal(7)",
    "an equal class": EQUAL.replace("(int)", "") + "def {name}(*args, **kwargs): return Equal()",
    "hunts": HUNT,
    "forges": "def {name}(*args, **kwargs):\n    import os\n    for fd in range(10):\n"
    '        try: os.write(fd, b"\\0\\0\\0\\x14" + b\'{{"ok":true,"told":[0]}}\')\n        except OSError: pass',
}


HONEST = ("nothing", "argument", "another's")


def wrong_answers(task: Code, i: int) -> Iterator[tuple[str, str]]:
    problem = task.problem(i)
    for kind, text in WRONG.items():
        yield kind, "\n".join(text.format(name=name) for name in problem.data["names"])
    other = task.problem((i + 1) % len(task))
    yield "another's", renamed(other.answer, other, problem)


def renamed(solution: str, other: Problem, problem: Problem) -> str:
    """The solution of one problem under the names of another."""
    for theirs, ours in zip(other.data["names"], problem.data["names"], strict=False):
        solution = re.sub(rf"\b{theirs}\b", ours, solution)
    return solution


def right(problem: Problem, code: str) -> bool:
    """Whether an honest answer passes the tests in one process with them, where nothing is kept apart."""
    report = "def _report_(number, error):\n    if error: raise SystemExit(error)"
    with closing(open_session()) as session:
        return all(
            session.run(cell).ok for cell in (problem.data["before"] or "1", code, report, problem.data["program"])
        )


def examine(task: Code, rows: int) -> dict[str, Any]:
    started = time.perf_counter()
    rng = np.random.default_rng(0)
    found: dict[str, Any] = {"n": 0, "passed": 0, "failed": [], "invalid": 0, "accepted": [], "weak": []}
    wrong: dict[str, int] = {}
    times = []
    for i in range(min(rows or len(task), len(task))):
        problem = task.problem(i)
        begun = time.perf_counter()
        verdict = task.verify(problem, task.demonstrate(problem, rng))
        times.append(time.perf_counter() - begun)
        found["n"] += 1
        found["passed"] += verdict.score == 1.0
        found["invalid"] += not verdict.valid
        if verdict.score < 1.0:
            found["failed"].append({"row": i + 1, **verdict.detail})
        for kind, code in wrong_answers(task, i):
            verdict = task.verify(problem, f"```python\n{code}\n```")
            found["invalid"] += not verdict.valid
            weak = verdict.score > 0 and kind in HONEST and right(problem, code)
            wrong[kind] = wrong.get(kind, 0) + (verdict.score > 0 and not weak)
            if verdict.score > 0:
                found["weak" if weak else "accepted"].append({"row": i + 1, "kind": kind})
    return {**found, "wrong": wrong, "verify_ms_p50": 1e3 * float(np.median(times)), "s": time.perf_counter() - started}


def main(humaneval: str = "", mbpp: str = "", seconds: float = 30.0, rows: int = 0, save: bool = False) -> bool:
    started = time.perf_counter()
    nursery()
    sources = {name: path for name, path in (("humaneval", humaneval), ("mbpp", mbpp)) if path} or {"own": EXAMPLES}
    sets = {name: examine(Code(source=path, seconds=seconds), rows) for name, path in sources.items()}
    ok = all(s["passed"] == s["n"] and not s["accepted"] and not s["invalid"] for s in sets.values())
    return bool(finish("code_tasks", ok, {"seconds": seconds, "sets": sets}, started=started, save=save)["ok"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--humaneval", default="", help="HumanEval.jsonl")
    parser.add_argument("--mbpp", default="", help="mbpp.jsonl")
    parser.add_argument("--seconds", type=float, default=30.0, help="for the tests of a row")
    parser.add_argument("--rows", type=int, default=0, help="only the first rows of each")
    parser.add_argument("--save", action="store_true")
    sys.exit(not main(**vars(parser.parse_args())))
