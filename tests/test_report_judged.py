"""The intrinsic table of a judge, from an evaluation in SQLJudge-v0, and the curves that a benchmark draws of it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import gymnasium as gym
import pytest

import reasongym  # noqa: F401  (registers the ids)
from benchmarks import sql_curves
from reasongym import cli
from reasongym.core import Completion, Problem, Request, UserError
from reasongym.evaluate import evaluate
from reasongym.policies.scripted import Scripted
from reasongym.report.judged import intrinsic_rows
from reasongym.tokenizer import ByteTokenizer

BYTES = ByteTokenizer()
ROWS = [
    {"id": 1, "question": "q1", "candidate": "select 1", "correct": True, "level": 1},
    {"id": 1, "question": "q1", "candidate": "select 2", "correct": False, "level": 1},
    {"id": 2, "question": "q2", "candidate": "select 3", "correct": False, "level": 2},
    {"id": 2, "question": "q2", "candidate": "select 4", "correct": True, "level": 2},
]
SURE = {"select 1": 0.9, "select 2": 0.6, "select 3": 0.8, "select 4": 0.7}  # of "true"


def judge(request: Request) -> Completion:
    """Thinks for 20 bytes, then says true, as sure as the table says."""
    sql = request.prompt.split("\n")[1].rstrip(";")
    text = "x" * 20 + '{"correct": true}'
    ids = (*BYTES.encode(text), BYTES.eos_ids[0])
    logprobs = [0.0] * len(ids)
    logprobs[text.index("true")] = math.log(SURE[sql])
    return Completion(text, ids, tuple(logprobs), prompt_ids=(1,))


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return str(path)


def test_the_table_at_two_budgets(file: str) -> None:
    env = gym.make("SQLJudge-v0", candidates=file, prompt="short", budget=100)
    problems = [env.unwrapped.task.problem(i) for i in range(4)]  # type: ignore[attr-defined]
    done = evaluate(Scripted(judge, BYTES), [env], problems, deterministic=True)
    assert done.accuracy == 0.5
    assert {level: part.accuracy for level, part in done.by(lambda p: p.level).items()} == {1: 0.5, 2: 0.5}
    short_soft, short_hard, soft, hard = intrinsic_rows(done, BYTES.decode, [10, 100])
    assert (soft["scores"], hard["scores"], soft["budget"], short_soft["budget"]) == ("soft", "hard", 100, 10)
    assert (soft["pws"], hard["pws"], short_soft["pws"]) == (0.5, 0.0, 0.0)  # 0.9 above 0.6, but 0.7 below 0.8
    assert (soft["hit_at_1"], soft["mrr"], soft["failures"]) == (0.5, 0.75, 0.0)
    assert short_soft["failures"] == short_hard["failures"] == 1.0


def test_drawn_questions_in_the_same_words_are_not_one(file: str) -> None:
    env = gym.make("SQLJudge-v0", candidates=file, prompt="short", budget=100)
    told = [  # the second question has the words of the first, about other tables
        ("select 1", True, {"t": ["a"]}), ("select 2", False, {"t": ["a"]}),
        ("select 3", False, {"u": ["a"]}), ("select 4", True, {"u": ["a"]}),
    ]  # fmt: skip
    problems = [
        Problem.of(f"q\n{sql}\n", right, question="q", tables=tables, gold="select 1", candidate=sql)
        for sql, right, tables in told
    ]
    done = evaluate(Scripted(judge, BYTES), [env], problems, deterministic=True)
    (soft, _) = intrinsic_rows(done, BYTES.decode, [100])
    assert (soft["pws"], soft["hit_at_1"], soft["mrr"]) == (0.5, 0.5, 0.75)


def test_a_policy_without_ids_has_no_table(file: str) -> None:
    env = gym.make("SQLJudge-v0", candidates=file, prompt="short")
    problems = [env.unwrapped.task.problem(0)]  # type: ignore[attr-defined]
    done = evaluate(Scripted('{"correct": true}'), [env], problems, deterministic=True)
    with pytest.raises(UserError, match="returns ids"):
        intrinsic_rows(done, BYTES.decode, [10])


def test_the_curves_of_a_model(file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--env.candidates", file, "--env.prompt", "short", "--budgets", "4", "8", "--out", str(tmp_path)]
    sql_curves.main(cli.parse(sql_curves.Args, [*flags, "--problems", "3"]))
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [(row["budget"], row["level"], row["n"]) for row in told["rows"]] == [
        (4, "all", 3), (4, 1, 2), (4, 2, 1), (8, "all", 3), (8, 1, 2), (8, 2, 1),
    ]  # fmt: skip
    assert len(told["intrinsic"]) == 4 and Path(told["png"]).stat().st_size > 10_000
