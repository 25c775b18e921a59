"""`sql_planning` and `sql_judge` run small, with the tiny model: that they work, resume, and what they print."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("tyro")
pytest.importorskip("sqlglot")

from benchmarks import report, spider_samples, sql_judge, sql_planning
from reasongym.core import HostError
from reasongym.tokenizer import load

COMMON = {"bench", "ok", "seeds", "commit", "versions", "machine", "wall_s"}
QUERIES = ["SELECT name FROM singer", "SELECT count(*) FROM singer WHERE age > 20", "SELECT max(age) FROM singer"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder that is shaped like Spider's, with one database and three questions."""
    folder = tmp_path / "data" / "spider_en"
    (folder / "database" / "music").mkdir(parents=True)
    base = sqlite3.connect(folder / "database" / "music" / "music.sqlite")
    base.executescript("CREATE TABLE singer (name TEXT, age INT); INSERT INTO singer VALUES ('Ada', 30), ('Bo', 20);")
    base.close()
    table = {
        "db_id": "music",
        "table_names_original": ["singer"],
        "column_names_original": [[-1, "*"], [0, "name"], [0, "age"]],
        "column_types": ["text", "text", "number"],
        "primary_keys": [],
        "foreign_keys": [],
    }
    (folder / "tables.json").write_text(json.dumps([table]))
    rows = [
        {"id": i, "db_id": "music", "question": f"Question {i}?", "query": q, "gold_rows": 1}
        for i, q in enumerate(QUERIES)
    ]
    (folder / "dev.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "data"


def planning(data: Path, out: Path) -> sql_planning.Args:
    small = {"questions": 3, "samples": 2, "tokens": 8, "batch": 2, "few": 1, "budgets": (4, 8), "dtype": "float32"}
    return sql_planning.Args(model="tiny", data=str(data), out=str(out), **small)  # type: ignore[arg-type]


def test_sql_planning_small(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sql_planning.main(planning(data, tmp_path / "run"))
    got = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert COMMON | {"rows", "mcnemar", "reruns", "intrinsic", "few", "order"} <= got.keys()
    assert not got["ok"], "three questions are below the bar"
    assert {row["method"] for row in got["rows"]} >= set(sql_planning.wanted())
    assert all(row["questions"] == 3 and row["model"] == "tiny" and len(row["ci95"]) == 2 for row in got["rows"])
    assert set(got["mcnemar"]) == {row["method"] for row in got["rows"]} - {"greedy"}
    assert got["reruns"] == 0 and got["few"]["measured"] is False
    assert set(got["few"]["planners"]) == {"correct", "tree search"}
    assert set(got["few"]["judging"]) == {f"{s} at {b}" for s in ("soft", "hard") for b in (4, 8)}


def test_sql_planning_asks_and_runs_nothing_twice(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From its caches alone, with no model to ask: the same figures."""
    sql_planning.main(planning(data, tmp_path / "run"))
    first = json.loads(capsys.readouterr().out.splitlines()[-1])

    def never(*given: object) -> None:
        raise AssertionError("asked again")

    monkeypatch.setattr(spider_samples, "execute", never)
    monkeypatch.setattr(sql_planning.Bench, "policy", property(never))
    with (tmp_path / "run" / "completions.jsonl").open("a") as file:
        file.write('{"id": 0, "sam')  # a kill in mid-line
    sql_planning.main(planning(data, tmp_path / "run"))
    again = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert again["rows"] == first["rows"] and again["intrinsic"] == first["intrinsic"]


def test_what_was_run_is_right_or_not(data: Path, tmp_path: Path) -> None:
    questions = spider_samples.load_questions(str(data), 3, seed=0)
    runs = spider_samples.Runs({q["id"]: q for q in questions}, tmp_path / "runs.jsonl")
    assert runs(1, "select count(*) from singer where age > 25;")["right"]
    assert runs(1, "select count(*) from singer;") == {
        "id": 1, "sql": "select count(*) from singer;", "runs": True, "right": False, "overlap": 0.0,
    }  # fmt: skip
    assert not runs(0, "select nothing from singer;")["runs"] and "error" in runs(0, "select nothing from singer;")
    assert runs(0, "select name from singer order by age;")["right"], "no order is asked for"
    assert spider_samples.candidate(" NAME\nFROM singer; and more") == "select name from singer;"
    assert spider_samples.candidate(" name FROM singer\n```") == "select name from singer;"
    assert spider_samples.candidate(" ") == ""


def test_a_candidate_that_cannot_be_labelled_is_not_taken_for_wrong() -> None:
    task, rng = sql_judge.sql_task(("library",)), np.random.default_rng(0)
    posed = replace(task.sample(rng, 1), answer="SELECT nonesuch FROM nowhere WHERE a > 1")
    for ask in (lambda: sql_judge.is_right(task, posed, "SELECT 1"), lambda: sql_judge.wrong_query(task, posed, rng)):
        with pytest.raises(HostError, match="could not be labelled"):
            ask()


def test_the_judges_tokenizer_spells_a_word_alike_wherever_it_stands(tmp_path: Path) -> None:
    """In the question, in the query and in the thought: what is compared is made of the same tokens."""
    args = sql_judge.Args(out=str(tmp_path))
    tokenizer = load(sql_judge.architecture(args, sql_judge.pairs(args, "invented", ("invented",), 6)))
    text = "How many kettles, whose weight is at least 31?\nselect count * from kettles where weight >= 31\n"
    assert tokenizer.decode(tokenizer.encode(text)) == text
    kettles = tokenizer.encode(" kettles")
    found = tokenizer.encode(text)
    assert sum(found[i : i + len(kettles)] == kettles for i in range(len(found))) == 2
    assert tokenizer.decode(tokenizer.eos_ids) == "<|end|>" and "<|end|>" not in tokenizer.decode(found)
    folder = tmp_path / "architecture"
    assert json.loads((folder / "config.json").read_text())["eos_token_id"] == tokenizer.eos_ids[0]
    first = tokenizer.fingerprint
    assert load(sql_judge.architecture(args, "no/such/file")).fingerprint == first, "made once"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_sql_judge_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    small = {"seeds": 1, "questions": 12, "invented": 6, "asked": 6, "taught": 3, "steps": 1}
    sql_judge.main(sql_judge.Args(out=str(tmp_path / "run"), save=True, **small))  # type: ignore[arg-type]
    got = json.loads((tmp_path / "sql_judge.json").read_text())
    assert COMMON | {"taught", "over_majority", "lift", "curves"} <= got.keys()
    assert {"majority", "accuracy_unseen", "rerank_before", "rerank_after"} <= got["seeds"][0].keys()
    assert got["seeds"][0]["majority"] == 0.5 and got["seeds"][0]["n"] == 12 and len(got["curves"][0]) == 1
    seen = {json.loads(line)["question"] for line in (tmp_path / "run" / "train.jsonl").read_text().splitlines()}
    test = {json.loads(line)["question"] for line in (tmp_path / "run" / "test.jsonl").read_text().splitlines()}
    assert seen and test and not seen & test
