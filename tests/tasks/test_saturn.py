"""SATURN's released rows: all load, all solutions verify, and the two scorers agree where they should."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reasongym import cnf, parts
from reasongym.core import Demonstrator, FiniteTask, UserError
from reasongym.tasks.saturn import Saturn

ROW = {"id": 0, "n_sat": 3, "k": 4, "solution": "1101", "clause": "!B!C!D & A!B!D & AB!D", "prompt": "Solve it."}


def write(path: Path, *rows: Any) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_a_row_becomes_a_problem(tmp_path: Path) -> None:
    task = parts.make("tasks", "saturn", source=write(tmp_path / "rows.jsonl", ROW, {**ROW, "prompt": None}))
    assert isinstance(task, FiniteTask) and isinstance(task, Demonstrator) and len(task) == 2
    problem = task.problem(0)
    assert (problem.prompt, problem.answer, problem.level) == ("Solve it.", "1101", 0)
    assert problem.data == {"n": 3, "k": 4, "l": 3, "clauses": [[-2, -3, -4], [1, -2, -4], [1, 2, -4]]}
    assert ROW["clause"] in task.problem(1).prompt  # a row without one is asked in our words
    assert task.sample(np.random.default_rng(0)) in (problem, task.problem(1))
    assert task.verify(problem, task.demonstrate(problem, np.random.default_rng(0))).score == 1.0
    for bits, score in (("1101", 1.0), ("0000", 1.0), ("1111", 0.0), ("11010", 0.0)):
        assert task.verify(problem, f"\\boxed{{{bits}}}").score == score
    compat = Saturn(task.source, compat="saturn")
    assert compat.verify(problem, "\\boxed{11010}").score == 1.0
    with pytest.raises(UserError, match="no problem 2; there are problems 0 to 1"):
        task.problem(2)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"clause": "A & b"}, "row 1.*no clause"),
        ({"clause": "ABE"}, "row 1.*'ABE' has a variable beyond D"),
        ({"solution": "1111"}, "row 1.*solution '1111'"),
        ({"solution": "110"}, "row 1.*solution '110'"),
        ({"k": 27}, "row 1.*k=27"),
        ({"k": "many"}, "row 1.*many"),
        ({"n_sat": 5}, "n_sat=5"),
        ({"solution": None}, "line 1: the field 'solution' is missing"),
    ],
)
def test_one_clear_line_for_a_bad_row(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    task = Saturn(write(tmp_path / "rows.jsonl", {**ROW, **change}))
    with pytest.raises(UserError, match=says) as caught:
        task.problem(0)
    assert "\n" not in str(caught.value)


def test_compat_must_be_known() -> None:
    with pytest.raises(UserError, match="compat='official' must be None or 'saturn'"):
        Saturn("rows.jsonl", compat="official")  # type: ignore[arg-type]


# --- the released rows


def official(text: str, formula: str) -> float:
    """The official scorer's rule, said again."""
    boxes = re.findall(r"\\boxed{(.*?)}", text)
    value = {chr(65 + i): bit for i, bit in enumerate(boxes[-1])} if boxes else None
    if value is None:
        return 0.0
    clauses = (re.findall(r"(!?)([A-Z])", clause) for clause in formula.split(" & "))
    return float(all(any(value.get(v, "0") == ("0" if sign else "1") for sign, v in clause) for clause in clauses))


def released() -> list[Path]:
    folder = os.environ.get("REASONGYM_DATA")
    if not folder:
        pytest.skip("REASONGYM_DATA is not set")
    return sorted(Path(folder, "saturn").glob("*/*.jsonl"))


def test_all_released_rows() -> None:
    seen = 0
    for path in released():
        strict, compat = Saturn(str(path)), Saturn(str(path), compat="saturn")
        for i, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
            row, problem = json.loads(line), strict.problem(i)
            seen += 1
            k, clauses, bits = row["k"], problem.data["clauses"], row["solution"]
            assert problem == compat.problem(i) and problem.prompt == row["prompt"]
            assert cnf.to_letters(clauses) == row["clause"] and {len(c) for c in clauses} == {row["n_sat"]}
            assert row["clause"].split(" & ") == sorted(set(row["clause"].split(" & ")))
            flipped = [bits[:j] + "01"[bits[j] == "0"] + bits[j + 1 :] for j in range(k)]
            for given in [bits, *flipped, "0" * k, "1" * k]:  # well-formed: the scorers agree
                text = f"Thus \\boxed{{{given}}}."
                ours = strict.verify(problem, text)
                assert ours == compat.verify(problem, text) and ours.score == official(text, row["clause"])
            assert strict.verify(problem, f"\\boxed{{{bits}}}").score == 1.0
            for given in (bits + "1", bits[:-1], " ".join(bits), "", "x" * k, bits[:-1] + "\n" + bits[-1]):
                text = f"Thus \\boxed{{{given}}}."
                assert compat.verify(problem, text).score == official(text, row["clause"])
                assert strict.verify(problem, text).score == float(given.split() == [*bits])
    assert seen == 1000


def test_the_first_released_row() -> None:
    path = next(p for p in released() if p.name == "n3_k5_l5.jsonl")
    problem = Saturn(str(path)).problem(0)
    assert problem.answer == "10110" and cnf.count_models(problem.data["clauses"], 5) == 16


def test_the_mean_number_of_solutions_of_the_released_rows() -> None:
    """As the formula has it, within the error of 100 rows (the official pool's bias is small at these sizes)."""
    for path in released():
        task = Saturn(str(path))
        sizes = {(task.problem(i).data["n"], task.problem(i).data["k"], task.problem(i).data["l"]) for i in range(5)}
        (size,) = sizes
        counts = [cnf.count_models(task.problem(i).data["clauses"], size[1]) for i in range(len(task))]
        error = float(np.std(counts)) / len(counts) ** 0.5
        assert abs(float(np.mean(counts)) - cnf.expected_solutions(*size)) < 4 * error + 0.02
