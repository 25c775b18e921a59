"""Functions to write: what is accepted, what is not, and that nothing of the tests can be had."""

from __future__ import annotations

import json
import pickle
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.code_tasks import WRONG, main, renamed, right
from reasongym.core import Demonstrator, FiniteTask, HostError, UserError, Verdict
from reasongym.exam import asked, imports
from reasongym.tasks.code import EXAMPLES, Code, last_block, make

RNG = np.random.default_rng(0)
TASK = Code()
ROWS = range(8)
TO_DIGITS, MERGE, REPEATED, NODE = 2, 4, 6, 5  # of our own rows


def fenced(code: str) -> str:
    return f"Here it is.\n```python\n{code}\n```\n"


def verdict(i: int, code: str, **settings: Any) -> Verdict:
    task = Code(**settings)
    return task.verify(task.problem(i), fenced(code))


def test_it_is_a_finite_task_of_both_shapes() -> None:
    assert isinstance(TASK, FiniteTask) and isinstance(TASK, Demonstrator) and len(TASK) == len(ROWS)
    shapes = [{"entry_point", "test"} <= set(json.loads(line)) for line in Path(EXAMPLES).read_text().splitlines()]
    assert shapes.count(True) == shapes.count(False) == 4
    assert pickle.loads(pickle.dumps(make(seconds=3.0))) == Code(seconds=3.0)


@pytest.mark.parametrize("i", ROWS)
def test_solutions_pass(i: int) -> None:
    problem = TASK.problem(i)
    found = TASK.verify(problem, TASK.demonstrate(problem, RNG))
    assert (found.score, found.valid, found.detail["failed"]) == (1.0, True, [])
    assert found.answer == problem.answer


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_answers_fail(kind: str) -> None:
    for i in ROWS:
        problem = TASK.problem(i)
        code = "\n".join(WRONG[kind].format(name=name) for name in problem.data["names"])
        found = TASK.verify(problem, fenced(code))
        assert (found.score, found.valid) == (0.0, True), (problem.prompt, found)


def test_the_solutions_of_other_problems_fail() -> None:
    for i in ROWS:
        problem, other = TASK.problem(i), TASK.problem((i + 1) % len(TASK))
        assert TASK.verify(problem, fenced(renamed(other.answer, other, problem))).score == 0.0


def test_prompts_tell_no_test() -> None:
    for i in ROWS:
        problem = TASK.problem(i)
        tests = [line for line in problem.data["program"].splitlines() if "assert" in line]
        assert tests and not any(line.strip() in problem.prompt for line in tests)
        assert problem.data["names"][0] in problem.prompt and "_report_" not in problem.prompt
    shown = Code(shown=2).problem(1)
    assert shown.prompt.count("assert digit_squares") == 2 and shown.data == TASK.problem(1).data


def test_the_answer_sees_the_arguments_and_nothing_else() -> None:
    """It keeps all that it is given, and all that it can find, and says so in an error: no test is among it."""
    spy = """
import gc, sys
seen = []
def longest_run(bits):
    seen.append(bits)
    found = [v for o in gc.get_objects() if isinstance(o, dict) for v in o.values() if isinstance(v, str)]
    frame = sys._getframe(1)
    while frame:
        found += [repr(v) for v in frame.f_locals.values() if isinstance(v, (str, dict, list))]
        frame = frame.f_back
    leak = [text for text in found if "longest_run(" in text and "gc.get_objects" not in text and ">>>" not in text]
    if leak or seen[-1] == "zzzz":
        raise SystemError(repr((seen, leak)))
    return {"": 0, "x": 1, "aabbba": 3, "abab": 1}[bits]
"""
    found = verdict(0, spy)
    assert found.detail == {"tests": 6, "failed": [4, 5], "error": "SystemError"}


def test_details_quote_no_test() -> None:
    for i in ROWS:
        problem = TASK.problem(i)
        name = problem.data["names"][-1]
        found = TASK.verify(problem, fenced(f"def {name}(*args): raise KeyError(args)"))
        assert set(found.detail) == {"tests", "failed", "error"} and found.detail["error"].isidentifier()


# --- what counts as the answer


@pytest.mark.parametrize(
    ("text", "block"),
    [
        ("```python\nx = 1\n```", "x = 1"),
        ("```\nx = 1\n```", "x = 1"),
        ("a\n```py\nx\n```\nb\n```Python\ny\n\n z\n```\nc", "y\n\n z"),
        ("```python\nx\n```\n```output\n3\n```\n", "x"),
        ("```python\nx\n```\n```python\nunfinished", "x"),
        ("1. so\n   ```python\n   def f():\n       pass\n   ```", "def f():\n    pass"),
        ("````\n```python\nx\n```", None),
        ("```python\nx", None),
        ("```json\n{}\n```", None),
        ("x = 1", None),
        ("", None),
    ],
)
def test_the_last_closed_block_is_the_answer(text: str, block: str | None) -> None:
    assert last_block(text) == block


BODY = """    digits = [number % base]
    while number >= base:
        number //= base
        digits.append(number % base)
"""


@pytest.mark.parametrize(
    "code",
    [
        BODY + "    return digits[::-1]",
        "".join(line[4:] for line in BODY.splitlines(keepends=True)) + "return digits[::-1]",
        f"def to_digits(number: List[int], base):\n{BODY}    return list(reversed(digits))",
        "to_digits = lambda n, b: (to_digits(n // b, b) if n >= b else []) + [n % b]",
        f"def to_digits(number, base):\n{BODY}    return digits[::-1]\nif __name__ == '__main__':\n    print(input())",
        f"def to_digits(number, base):\n{BODY}    assert evaluate(digits[::-1], base) or 1\n    return digits[::-1]",
    ],
    ids=["body", "body without indentation", "whole", "lambda", "main program", "helper of the prompt"],
)
def test_a_whole_program_or_a_body(code: str) -> None:
    assert verdict(TO_DIGITS, code).score == 1.0


def test_the_functions_of_the_prompt_are_trusted() -> None:
    """Tests that use them use the prompt's, whatever the answer makes of them."""
    cheat = "def evaluate(digits, base): return Any()\nclass Any:\n    def __eq__(self, other): return True\n"
    found = verdict(TO_DIGITS, cheat + "def to_digits(number, base): return [1]")
    assert found.score == 0.0 and 2 in found.detail["failed"]


def test_arguments_are_copies_and_errors_keep_their_kind() -> None:
    mutates = "def merge_counts(a, b):\n    for k, n in b.items(): a[k] = a.get(k, 0) + n\n"
    assert verdict(MERGE, mutates + "    return {k: n for k, n in a.items() if n}").score == 1.0
    other = "def first_repeated(items):\n    for k, x in enumerate(items):\n        if x in items[:k]: return x\n"
    assert verdict(REPEATED, other + "    raise ValueError").score == 1.0
    assert verdict(REPEATED, other + "    raise LookupError").score == 0.0
    mine = "class Mine(UnicodeError): pass\n"
    assert verdict(REPEATED, mine + other + "    raise Mine('none')").score == 1.0


def test_classes_of_the_answer_stay_with_it() -> None:
    """An object that is always equal is equal to nothing there."""
    code = "class Node:\n    def __init__(self, v): self.value = v; self.left = self.right = None\n"
    depth = "def depth(n): return n and 1 + max(depth(n.left) or 0, depth(n.right) or 0) or 0\n"
    assert verdict(NODE, code + depth).score == 1.0
    equal = "class Node:\n    def __init__(self, v): pass\n    def __getattr__(self, name): return self\n"
    equal += "    def __eq__(self, other): return True\n"
    assert verdict(NODE, equal + "def depth(n): return Node(1)").score == 0.0


def test_no_error_ends_the_tests_early(tmp_path: Path) -> None:
    """In one process, StopIteration from within a map is taken for its end, and ``all`` of nothing is true."""
    tests = ["assert all(map(lambda n: f(n) == n, [1, 2, 3]))"]
    check = "def check(candidate):\n    assert candidate(1) == 1\n    candidate(2)\n"
    rows = {"text": "f", "test_list": tests}, {"prompt": "def f(n):", "entry_point": "f", "test": check}
    task = Code(source=written(tmp_path, *rows))
    for error in ("StopIteration", "StopIteration(1)", "GeneratorExit", "type('Mine', (StopIteration,), {})"):
        found = task.verify(task.problem(0), fenced(f"def f(n): raise {error}"))
        assert (found.score, found.detail["error"]) == (0.0, "RuntimeError")
    assert task.verify(task.problem(1), fenced("def f(n): return [0, 1][n]")).detail["error"] == "IndexError"
    assert task.verify(task.problem(1), fenced("def f(n): return n")).score == 1.0


def test_shares() -> None:
    code = "def digit_squares(n): return 0 if n == 0 else 5"
    assert (verdict(1, code).score, verdict(1, code, score="share").score) == (0.0, 0.5)
    assert verdict(1, code).detail == {"tests": 4, "failed": [2, 3], "error": "AssertionError"}
    assert verdict(1, "def digit_squares(n): return str(n", score="share").score == 0.0
    assert verdict(7, TASK.problem(7).answer, challenge=True).detail["tests"] == 4


# --- bounds


@pytest.mark.parametrize(
    "code",
    [
        "def digit_squares(n):\n    while True: pass",
        "def digit_squares(n): pass\nwhile True: pass",
        "def digit_squares(n): return 9 ** 9 ** 9",
        "def digit_squares(n):\n    import time\n    time.sleep(99)",
        "import time\ndef digit_squares(n):\n    while True:\n        try: time.sleep(9)\n        except: pass",
        "def digit_squares(n): return bytearray(1 << 40)",
        "def digit_squares(n): return digit_squares(n)",
        "def digit_squares(n): return iter(int, 1)",
        "def digit_squares(n):\n    import re\n    return re.match('(a+)+$', 'a' * 60 + 'b')",
    ],
)
def test_it_ends_in_time(code: str) -> None:
    TASK.verify(TASK.problem(1), fenced("x"))  # the sandbox is warm
    started = time.monotonic()
    found = verdict(1, code, seconds=1.0)
    assert time.monotonic() - started < 4.0  # three times that, and starting sessions on a busy machine
    assert (found.score, found.valid) == (0.0, True)


@pytest.mark.parametrize(
    "code",
    [
        "\x00",
        "\ud800",
        "(" * 50_000,
        "-" * 90_000 + "1",
        "x = " + "9" * 5000,
        "é" * 100_000,
        "a" * 10_000_000,
        "\f",
        "\r",
    ],
    ids=["null", "surrogate", "parentheses", "minus", "digits", "wide", "long", "form feed", "return"],
)
def test_any_text_has_a_valid_verdict(code: str) -> None:
    for i in (0, 1):
        found = verdict(i, code)
        assert (found.score, found.valid) == (0.0, True)


# --- loading


def written(folder: Path, *rows: dict[str, Any]) -> str:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_rows_without_a_solution_can_be_judged_and_not_shown(tmp_path: Path) -> None:
    tests = ["assert set(f([n for n in (1, 2)])) == {math.floor(1.5), 2}"]
    source = written(
        tmp_path,
        {"prompt": "Give it back.", "test_list": tests, "test_imports": ["import math"]},
        {"prompt": "def g(x):\n", "entry_point": "g", "test": "def check(candidate):\n    assert candidate(3) == 4\n"},
    )
    task = Code(source=source)
    problem = task.problem(0)
    assert problem.data["names"] == ["f"] and problem.answer is None
    assert task.verify(problem, fenced("def f(x): return x")).score == 1.0
    assert task.verify(problem, fenced("def f(x): return 3\nset = lambda x: {1, 2}")).score == 0.0
    assert task.verify(task.problem(1), fenced("return x + 1")).score == 1.0
    with pytest.raises(UserError, match="bring no solution"):
        task.demonstrate(problem, RNG)


def test_windows_lines_and_tests_without_assertions(tmp_path: Path) -> None:
    check = "def check(candidate):\r\n    for n in range(3):\r\n        same(candidate(n), n)\r\n"
    same = "def same(a, b):\r\n    if a != b:\r\n        raise ValueError(a)\r\n"
    prompt = 'def f(n):\r\n    """n"""\r\n'
    row = {"prompt": prompt, "entry_point": "f", "canonical_solution": "    return n\r\n", "test": same + check}
    task = Code(source=written(tmp_path, row))
    problem = task.problem(0)
    assert task.verify(problem, task.demonstrate(problem, RNG)).score == 1.0
    assert task.verify(problem, fenced("return 1")).detail == {"tests": 1, "failed": [0], "error": "ValueError"}


def test_what_the_solution_imports_for_the_tests_is_there(tmp_path: Path) -> None:
    code = "import sys, os.path as p\ndef size(x): return sys.getsizeof(x)"
    task = Code(
        source=written(tmp_path, {"text": "Size?", "code": code, "test_list": ["assert size(1) == sys.getsizeof(1)"]})
    )
    problem = task.problem(0)
    assert problem.data["names"] == ["size"]
    assert task.verify(problem, fenced("def size(x): return x.__sizeof__()")).score == 1.0


def test_the_names_that_are_asked_for() -> None:
    assert asked("assert f(set([1])) == {1}", "def f(x):\n    set = x\n    return set") == ["f"]
    assert asked("assert sum(1, 2) == 3", "def sum(a, b): return a + b") == ["sum"]
    assert asked("import math\nx = [k for k in g()]\nassert f(x) == math.pi or h") == ["f", "g", "h"]
    assert len(imports("a.b", "import a\nimport b\nfrom c import d")) == 1


def test_faults_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no such file"):
        len(Code(source=str(tmp_path / "absent.jsonl")))
    with pytest.raises(UserError, match="code: row 1 of .* shape .KeyError.'test_list'"):
        Code(source=written(tmp_path, {"text": "x"})).problem(0)
    with pytest.raises(UserError, match="row 1 of .*SyntaxError"):
        Code(source=written(tmp_path, {"text": "x", "code": "def", "test_list": ["f()"]})).problem(0)
    with pytest.raises(UserError, match="row 1 of .*test_list is empty"):
        Code(source=written(tmp_path, {"text": "x", "test_list": []})).problem(0)
    with pytest.raises(UserError, match="no problem 8; there are problems 0 to 7"):
        TASK.problem(8)
    with pytest.raises(UserError, match="score='most' must be 'all' or 'share'"):
        make(score="most")


def test_a_host_that_fails_gives_no_score(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nor does a problem that does not run itself."""
    row = {"prompt": "import lacking\ndef f(x):", "entry_point": "f", "test": "def check(c):\n    assert c(1)"}
    task = Code(source=written(tmp_path, row))
    found = task.verify(task.problem(0), fenced("def f(x): return 1"))
    assert not found.valid and "what a problem itself defines does not run" in found.detail["error"]
    monkeypatch.setattr("reasongym.exam.open_session", _lost)
    found = TASK.verify(TASK.problem(1), fenced("x = 1"))
    assert (found.valid, found.detail) == (False, {"error": "the engine is lost"})


def _lost(*_: Any) -> Any:
    raise HostError("the engine is lost")


def test_the_benchmark(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(rows=2, seconds=5.0)
    said = json.loads(capsys.readouterr().out.splitlines()[-1])["sets"]["own"]
    assert (said["n"], said["passed"], said["accepted"], said["weak"], said["invalid"]) == (2, 2, [], [], 0)
    assert set(said["wrong"]) == {*WRONG, "another's"}


def test_what_is_right_in_one_process() -> None:
    problem = TASK.problem(1)
    assert right(problem, problem.answer) and not right(problem, "def digit_squares(n): return 5")
