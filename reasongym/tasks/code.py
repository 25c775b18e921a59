"""Write a function: HumanEval, MBPP, or rows of their shapes. Hidden tests run where the answer cannot reach them."""

from __future__ import annotations

import ast
import re
import textwrap
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from reasongym.core import HostError, Problem, UserError, Verdict
from reasongym.exam import Exam, asked, asserts, imports, sit, source, tested
from reasongym.rows import Row, read_rows
from reasongym.sandbox import Limits

EXAMPLES = str(Path(__file__).with_name("code.jsonl"))  # rows of our own, of both shapes
_FENCE = re.compile(r"(\s*)```(.*)")
_LABELS = ("", "python", "python3", "py")
_ASK = "End with the whole program in one ```python block."


@dataclass(frozen=True)
class Code:
    """Functions to write, judged by tests that the model never sees: a `core.FiniteTask`, all of level 0.

    ``source`` is what `reasongym.rows.read_rows` reads. A row has HumanEval's fields (``prompt``, ``test``,
    ``entry_point``, ``canonical_solution``) or MBPP's (``text`` or ``prompt``, ``test_list``, ``code``, and perhaps
    ``test_setup_code``, ``test_imports``, ``challenge_test_list``); the solution may be absent.

    The answer is the last fence labelled as Python, or not at all, that is closed. For a HumanEval problem it is a
    program that defines the function, or else a body that goes on where the prompt ends; the prompt's imports and
    functions are there in both cases. `reasongym.exam` says how it is tested; what the prompt defines besides the
    function is trusted and also stands where the tests are.

    Args:
        score: ``"all"``: 1.0 iff every test passes. ``"share"``: the share that does; a test is an assertion (or a
            loop of some) of HumanEval's ``check``, or an entry of MBPP's list.
        shown: How many of MBPP's tests the prompt shows (its authors show all three). They count none the less.
        challenge: Whether ``challenge_test_list`` counts too.
        seconds: For the answer's definitions, and again for all tests together.
        memory: MiB of each sandbox.
        backend: See `reasongym.sandbox.open_session`.

    Source: arXiv 2107.03374, openai/human-eval ``execution.py``; arXiv 2108.07732.
    Differs: there, one process runs answer and tests, and the answer is a bare continuation. Here arguments are copies
    of plain values: a function that answers by changing its argument fails, and none can be given a function. MBPP's
    prompt has the function's header, not its tests.
    """

    source: str = EXAMPLES
    split: str = "test"
    score: Literal["all", "share"] = "all"
    shown: int = 0
    challenge: bool = False
    seconds: float = 5.0
    memory: int = 1024
    backend: str = "auto"

    def __post_init__(self) -> None:
        if self.score not in ("all", "share"):
            raise UserError(f"code: score={self.score!r} must be 'all' or 'share'")

    def __len__(self) -> int:
        return len(self._rows)

    def problem(self, i: int) -> Problem:
        if not 0 <= i < len(self):
            raise UserError(f"code: there is no problem {i}; there are problems 0 to {len(self) - 1}")
        row = self._rows[i]
        try:
            return _human_eval(row) if "entry_point" in row else self._mbpp(row)
        except (LookupError, StopIteration, SyntaxError, TypeError, AttributeError) as error:
            where = f"code: row {i + 1} of {self.source!r}"
            raise UserError(f"{where} is of neither HumanEval's nor MBPP's shape ({error!r})") from error

    def sample(self, rng: np.random.Generator, level: int = 0) -> Problem:
        return self.problem(int(rng.integers(len(self))))

    def verify(self, problem: Problem, text: str) -> Verdict:
        """Never longer than some three times ``seconds``. ``detail`` numbers the failed tests, and quotes none."""
        code = last_block(text)
        if code is None:
            return Verdict(0.0)
        exam = Exam(**{key: problem.data[key] for key in ("names", "program", "tests", "before")})
        try:
            marks = sit(exam, _cells(exam, code), Limits(self.seconds, self.memory), self.backend)
        except HostError as error:
            return Verdict(0.0, code, valid=False, detail={"error": str(error)})
        share = 1 - len(marks.failed) / marks.tests
        return Verdict(float(share == 1 or share * (self.score == "share")), code, detail=vars(marks))

    def demonstrate(self, problem: Problem, rng: np.random.Generator) -> str:
        """The row's own solution."""
        if not problem.answer:
            raise UserError(f"code: the rows of {self.source!r} bring no solution to show")
        return f"```python\n{problem.answer}\n```"

    def _mbpp(self, row: Row) -> Problem:
        more = row.get("challenge_test_list") or [] if self.challenge else []
        tests = [_clean(test) for test in [*row["test_list"], *more]]
        setup = _clean("\n".join([*(row.get("test_imports") or []), row.get("test_setup_code") or ""]))
        if not tests:
            raise LookupError("test_list is empty")
        code, whole = _clean(row.get("code") or ""), "\n".join([setup, *tests])
        names = asked(whole, code)
        program = [*imports(whole, code), *ast.parse(setup).body]
        program += [tested(ast.parse(test).body, k) for k, test in enumerate(tests)]
        shown = ["", "It must pass tests such as these:", *tests[: self.shown]] if self.shown else []
        words = [_clean(row.get("text") or row["prompt"]).strip(), "", "Define:", *_headers(code, names), *shown]
        return _posed("\n".join([*words, "", _ASK]), code, Exam(names, source(program), len(tests)))

    @cached_property
    def _rows(self) -> list[Row]:
        return read_rows(self.source, (), self.split)


def make(**kw: Any) -> Code:
    return Code(**kw)


def last_block(text: str) -> str | None:
    """What stands in the last closed fence of Python or of no label, without the indentation of the fence itself."""
    found, inside, label, indent = None, None, "", ""
    for line in text.split("\n"):
        fence = _FENCE.fullmatch(line) if "```" in line else None
        if inside is not None and fence and not fence[2].strip():
            found = "\n".join(inside) if label in _LABELS else found
            inside = None
        elif inside is not None:
            inside.append(line.removeprefix(indent))
        elif fence:
            inside, label, indent = list[str](), fence[2].strip().lower(), fence[1]
    return found


def _human_eval(row: Row) -> Problem:
    prompt, entry, solution = _clean(row["prompt"]), row["entry_point"], row.get("canonical_solution")
    before = _runs(prompt)
    program = ast.parse(_clean(row["test"])).body
    check = next(node for node in program if isinstance(node, ast.FunctionDef) and node.name == "check")
    marked = [k for k, node in enumerate(check.body) if asserts(node)]
    for number, k in enumerate(marked):
        check.body[k] = tested([check.body[k]], number)
    if not marked:
        check.body = [tested(check.body, 0)]
    exam = Exam([entry], source([*program, *ast.parse(f"check({entry})").body]), len(marked) or 1, before)
    words = f"Complete this function.\n\n```python\n{prompt.rstrip()}\n```\n\n{_ASK}"
    return _posed(words, prompt + _clean(solution) if solution else "", exam)


def _runs(prompt: str) -> str:
    """A prompt as a program of its own: most end in a docstring, and need no more."""
    try:
        ast.parse(prompt)
    except SyntaxError:
        prompt += "\n    pass\n"
        ast.parse(prompt)
    return prompt


def _posed(words: str, solution: str, exam: Exam) -> Problem:
    return Problem.of(words, solution.strip("\n") or None, **vars(exam))


def _headers(code: str, names: list[str]) -> list[str]:
    """How what is to be defined is called, as the solution has it; its names alone where there is none."""
    found = {name: name for name in names}
    for node in ast.parse(code).body:
        if isinstance(node, ast.FunctionDef):
            found |= {node.name: f"def {node.name}({ast.unparse(node.args)})"} if node.name in found else {}
        elif isinstance(node, ast.ClassDef) and node.name in found:
            made = next((m for m in node.body if isinstance(m, ast.FunctionDef) and m.name == "__init__"), None)
            found[node.name] = f"class {node.name}" + (f", with __init__({ast.unparse(made.args)})" if made else "")
    return [*found.values()]


def _cells(exam: Exam, code: str) -> list[str]:
    """The answer, as it runs: no main program, as in the papers' own harness, and after what the prompt defines."""
    start = "__name__ = 'builtins'"
    if not exam.before:
        return [start, code]
    if re.search(rf"^(?:(?:async +)?def|class)\s+{exam.names[0]}\b|^{exam.names[0]}\s*=", code, re.MULTILINE):
        return [start, exam.before, code]
    first = next((line for line in code.split("\n") if line.strip()), "")
    body = code if first[:1].isspace() else textwrap.indent(code, "    ")
    return [start, exam.before + body]


def _clean(code: str) -> str:
    return code.replace("\r\n", "\n")
