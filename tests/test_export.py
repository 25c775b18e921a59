"""Exporting problems: what TRL, verl and SATURN read, as jsonl, parquet and DIMACS; `datasets` loads it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reasongym import cli, cnf, export, parts
from reasongym.core import Problem, UserError
from reasongym.tasks.register import Register

pytest.importorskip("tyro")


def run(*argv: Any) -> None:
    cli.main(["export", *map(str, argv)])


def rows(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        from pyarrow import parquet

        found: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
        return found
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
@pytest.mark.parametrize("schema", ["trl", "verl"])
def test_rows_for_other_trainers(tmp_path: Path, schema: str, suffix: str) -> None:
    """A row has what the trainer reads, and all that it takes to judge an answer again."""
    pytest.importorskip("pyarrow")
    out = tmp_path / "new" / f"rows.{suffix}"
    run("LongCoT-v0", out, "--n", 7, "--levels", "5,7-8", "--schema", schema, "--seed", 3)
    found, task = rows(out), Register()
    assert len(found) == 7
    for i, row in enumerate(found):
        problem = task.sample(np.random.default_rng((3, i)), (5, 7, 8)[i % 3])
        assert export.problem_of(row) == problem
        assert task.verify(export.problem_of(row), task.demonstrate(problem, np.random.default_rng(0))).score == 1.0  # type: ignore[arg-type]
        assert row["prompt"] == [{"role": "user", "content": problem.prompt}]
        if schema == "trl":
            assert (row["answer"], row["level"]) == (problem.answer, problem.level)
            continue
        assert (row["data_source"], row["ability"]) == ("LongCoT-v0", "reasoning")
        assert row["reward_model"] == {"style": "rule", "ground_truth": problem.answer}
        assert (row["extra_info"]["index"], row["extra_info"]["split"]) == (i, "train")


def test_answers_that_are_no_strings_survive() -> None:
    problem = Problem.of("What is 1 + 1?", 2, level=3, more=[1, None])
    (row,) = export.to_rows([problem], "trl", source="x")
    assert row["answer"] == "2" and export.problem_of(json.loads(json.dumps(row))) == problem


def test_data_that_json_cannot_hold() -> None:
    with pytest.raises(UserError, match="x: JSON cannot hold.*set"):
        list(export.to_rows([Problem.of("?", "!", more={1})], "trl", source="x"))


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_saturns_schema(tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("pycosat")
    out = tmp_path / f"rows.{suffix}"
    run("SAT-v0", out, "--n", 50, "--levels", "0,12", "--schema", "saturn", "--env.l", 20)
    found, task = rows(out), parts.make("tasks", "sat(l=20)")
    again = parts.make("tasks", "saturn", source=str(out))  # our own loader reads it
    assert [row["id"] for row in found] == list(range(50)) and len(again) == 50
    for i, row in enumerate(found):
        assert list(row) == ["id", "n_sat", "k", "solution", "clause", "prompt"]
        clauses = cnf.from_letters(row["clause"], row["k"])
        assert (row["n_sat"], row["k"], len(clauses)) == task.size(0 if i < 25 else 12)
        assert cnf.satisfies(clauses, row["solution"])
        assert row["prompt"] == task.ask(row["clause"], row["k"]) == again.problem(i).prompt


def test_prompts_are_those_of_the_environment(tmp_path: Path) -> None:
    pytest.importorskip("pycosat")
    for prompt in ("saturn", "short"):
        for kind in ("always", "mixed"):
            task = parts.make("tasks", f"sat(l=20, prompt={prompt!r}, satisfiable={kind!r})")
            drawn = export.instances(task, 1, seed=4)
            (line,) = export.saturn_lines(drawn)
            problem = task.sample(np.random.default_rng((4, 0)))
            assert json.loads(line)["prompt"] == problem.prompt and json.loads(line)["solution"] == problem.answer


def test_dimacs(tmp_path: Path) -> None:
    pytest.importorskip("pycosat")
    run("SAT-v0", tmp_path / "cnf", "--n", 5, "--schema", "dimacs", "--env.format", "dimacs", "--env.k", 30)
    files = sorted((tmp_path / "cnf").iterdir())
    assert [f.name for f in files] == [f"{i:06d}.cnf" for i in range(5)]
    for file in files:
        text = file.read_text()
        clauses, k = cnf.from_dimacs(text)
        assert k == 30 and len(clauses) == 5
        assert cnf.satisfies(clauses, text.split("c answer ")[1].split("\n")[0])


def test_large_exports_come_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pycosat")
    monkeypatch.setattr(export, "_BLOCK", 8)
    task = parts.make("tasks", "sat")
    parts_ = list(export.instances(task, 21, (1, 2), seed=0))
    assert [(p.level, p.index) for p in parts_] == [
        (1, range(0, 8)),
        (1, range(8, 11)),
        (2, range(11, 19)),
        (2, range(19, 21)),
    ]
    assert [len(p.found.answers) for p in parts_] == [8, 3, 8, 2]


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
@pytest.mark.parametrize("schema", ["trl", "verl", "saturn"])
def test_datasets_loads_it(tmp_path: Path, schema: str, suffix: str) -> None:
    datasets = pytest.importorskip("datasets")
    pytest.importorskip("pycosat")
    out = tmp_path / f"rows.{suffix}"
    run("SAT-v0", out, "--n", 6, "--schema", schema)
    kind = "json" if suffix == "jsonl" else "parquet"
    loaded = datasets.load_dataset(kind, data_files=str(out), split="train", cache_dir=str(tmp_path / "cache"))
    assert [dict(row) for row in loaded] == rows(out)


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("SAT-v0", "rows.csv"), "rows.csv.*jsonl and .parquet"),
        (("SAT-v0", "rows.jsonl", "--n", 0), "--n 0 must be at least 1"),
        (("SAT-v0", "rows.jsonl", "--levels", "1;2"), "--levels 1;2: give levels"),
        (("SAT-v0", "rows.jsonl", "--levels", "5-2"), "--levels 5-2"),
        (("SAT-v0", "rows.jsonl", "--levels", "99"), "level=99 must be"),
        (("SAT-v0", "rows.jsonl", "--env.k", "27"), "k=27"),
        (("SAT-v0", "rows.jsonl", "--env.nonsense", "1"), "nonsense"),
        (("SAT-v1", "rows.jsonl"), "SAT"),
        (("CartPole-v1", "rows.jsonl"), "CartPole-v1 is no environment of reasongym's kind"),
        (("LongCoT-v0", "rows.jsonl", "--schema", "saturn"), "Register: only satisfiability"),
        (("SAT-v0", "rows.jsonl", "--schema", "saturn", "--env.format", "dimacs"), "SATURN's schema is of letters"),
        (("SAT-v0", "/dev/null/rows.jsonl"), "/dev/null: cannot be a folder"),
    ],
)
def test_one_clear_line(
    argv: tuple[Any, ...],
    says: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("pycosat")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        run(*argv)
    line = capsys.readouterr().err
    assert end.value.code == 2 and line.startswith("error: ") and line.count("\n") == 1
    assert re.search(says, line), line
    assert not list(tmp_path.iterdir()), "a part of a file was left behind"
