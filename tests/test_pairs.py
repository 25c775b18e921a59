"""Pairs of right and wrong attempts: which are made, in which order, under which names; and the command for it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from reasongym import cli
from reasongym.core import Problem, Segment, Trajectory, UserError, Verdict
from reasongym.pairs import Attempt, pairs, read_attempts
from reasongym.report.traces import save_traces


def tried(*verdicts: str) -> list[Attempt]:
    """Attempts at problems "p0", "p1", ...: T is right, F is wrong."""
    return [
        Attempt(f"p{p}", f"prompt {p}", f"response {p}.{i}", letter == "T")
        for p, letters in enumerate(verdicts)
        for i, letter in enumerate(letters)
    ]


def made(*verdicts: str, n: int = 1) -> list[str]:
    return [row["id"] for row in pairs(tried(*verdicts), n)]


def test_the_cases_of_the_specification() -> None:
    assert [len(made(case)) for case in ("TF", "FF", "TT")] == [1, 0, 0]


def test_the_first_right_and_the_first_wrong_one() -> None:
    assert made("FFTT", "TTT", "TFTF", "F", "") == ["p0-2-0", "p2-0-1"]
    (row, _) = pairs(tried("FFTT", "TF"))
    assert (row["prompt"], row["chosen"], row["rejected"]) == ("prompt 0", "response 0.2", "response 0.0")
    assert (row["chosen_attempt"], row["rejected_attempt"]) == (2, 0)


def test_further_pairs_repeat_an_attempt_as_late_as_they_can() -> None:
    assert made("TFTFF", n=2) == ["p0-0-1", "p0-2-3"]
    everyone = ["p0-0-1", "p0-2-3", "p0-0-3", "p0-2-4", "p0-0-4", "p0-2-1"]
    assert made("TFTFF", n=5) == everyone[:5] and made("TFTFF", n=99) == everyone


def test_attempts_of_a_problem_need_not_stand_together() -> None:
    mixed = tried("TF", "FT")
    assert [row["id"] for row in pairs([mixed[0], mixed[2], mixed[3], mixed[1]])] == ["p0-0-1", "p1-1-0"]


# -- files --------------------------------------------------------------------------------------------


def write(path: Path, rows: Sequence[Any]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_rows_of_prompt_response_and_correct(tmp_path: Path) -> None:
    rows = [
        {"prompt": "Q", "response": "a", "correct": False, "truncated": True},
        {"prompt": "Q", "response": "b", "correct": True},
        {"prompt": "Q", "response": "c", "correct": 0.5, "id": "another"},
        {"prompt": "Q", "response": "d", "correct": 1, "id": "another"},
    ]
    found = read_attempts(write(tmp_path / "rows.jsonl", rows))
    assert [a.right for a in found] == [False, True, False, True]
    first, second = pairs(found)
    assert (first["id"], second["id"]) == (f"{Problem.of('Q').id}-1-0", "another-1-0")
    assert (first["rejected_truncated"], first["chosen_truncated"]) == (True, False)
    assert first["chosen_segments"] is None and first["rejected"] == "a"


def trajectory(prompt: str, text: str, score: float, valid: bool = True, windows: int = 1, **info: Any) -> Trajectory:
    segments = [Segment((94, n, 53), (0, 0, 1), (0.0, 0.0, -0.5)) for n in range(windows)]
    return Trajectory(Problem.of(prompt), segments, text, Verdict(score, valid=valid), windows > 1, info)


def test_trajectories_keep_their_windows_and_invalid_ones_count_for_nothing(tmp_path: Path) -> None:
    saved = tmp_path / "attempts.jsonl"
    batch = [
        trajectory("P", "5", 0.0, valid=False),
        trajectory("P", "55", 0.5, windows=2),
        trajectory("P", "5", 1.0),
        trajectory("R", "5", 1.0, valid=False),
        trajectory("R", "5", 0.0),
    ]
    save_traces(saved, batch)
    (row,) = pairs(read_attempts(str(saved)))
    assert row["id"] == f"{Problem.of('P').id}-1-0"
    assert row["chosen_segments"] == [{"ids": [94, 0, 53], "mask": [0, 0, 1]}]
    assert [s["ids"] for s in row["rejected_segments"]] == [[94, 0, 53], [94, 1, 53]]
    assert (row["chosen_truncated"], row["rejected_truncated"]) == (False, True)


@pytest.mark.parametrize("info", [{"resets": 2}, {"tools": [{"code_runs": 1}]}])
def test_windows_and_tools_without_token_ids_are_refused(tmp_path: Path, info: dict[str, Any]) -> None:
    save_traces(tmp_path / "a.jsonl", [trajectory("P", "5", 1.0, windows=0, resets=0), trajectory("P", "5", 0.0)])
    assert [a.segments is None for a in read_attempts(str(tmp_path / "a.jsonl"))] == [True, False]
    save_traces(tmp_path / "b.jsonl", [trajectory("P", "5", 1.0, windows=0, **info)])
    with pytest.raises(UserError, match="b.jsonl, row 1: .* needs token ids"):
        read_attempts(str(tmp_path / "b.jsonl"))


BAD = {
    "no response": ({"prompt": "Q", "correct": True}, "row 2: an attempt must be .*KeyError: 'response'"),
    "no verdict": ({"prompt": "Q", "response": "a"}, "row 2: .*KeyError: 'correct'"),
    "words": ({"prompt": "Q", "response": "a", "correct": "yes"}, "row 2: .*could not convert"),
    "numbers": ({"prompt": "Q", "response": 3, "correct": True}, "row 2: prompt and response must both be text"),
    "no prompt": ({"response": "a", "correct": True}, "line 2: the field 'prompt'"),
    "no windows": ({"prompt": "Q", "verdict": {"valid": True, "score": 1}}, "row 2: .*KeyError: 'segments'"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_row_is_named(tmp_path: Path, kind: str) -> None:
    row, said = BAD[kind]
    path = write(tmp_path / "rows.jsonl", [{"prompt": "Q", "response": "a", "correct": True}, row])
    with pytest.raises(UserError, match=said):
        read_attempts(path)


# -- the command --------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_the_command_writes_the_same_file_twice(tmp_path: Path, suffix: str, capsys: Any) -> None:
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
    from reasongym.rows import read_rows

    save_traces(tmp_path / "a.jsonl", [trajectory(p, "5", s) for p in "PQR" for s in (0.0, 1.0, 0.0)])
    outs = [tmp_path / f"{n}.{suffix}" for n in range(2)]
    for out in outs:
        cli.main(["pairs", str(tmp_path / "a.jsonl"), str(out), "--per-problem", "2"])
    assert capsys.readouterr().out == "".join(f"{out}: 6 pairs\n" for out in outs)
    assert outs[0].read_bytes() == outs[1].read_bytes()
    rows = read_rows(str(outs[0]), ("prompt", "chosen", "rejected", "chosen_segments"))
    assert [r["id"] for r in rows] == [r["id"] for r in pairs(read_attempts(str(tmp_path / "a.jsonl")), 2)]
    assert rows[0]["chosen_segments"] == [{"ids": [94, 0, 53], "mask": [0, 0, 1]}]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("/nowhere.jsonl out.jsonl", "/nowhere.jsonl: there is no such file"),
        ("{} out.jsonl --per-problem 0", "--per-problem 0"),
        ("{} out.txt", "out.txt: rows are written to"),
        ("{}", "Missing from reasongym pairs"),
    ],
)
def test_bad_commands(tmp_path: Path, words: str, named: str, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_traces("a.jsonl", [trajectory("P", "5", s) for s in (0.0, 1.0)])
    with pytest.raises(SystemExit) as end:
        cli.main(["pairs", *words.format("a.jsonl").split()])
    out, err = capsys.readouterr()
    assert (end.value.code, out) == (2, "") and named in err and len(err.splitlines()) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["a.jsonl"]


def test_no_pair_at_all_is_said(tmp_path: Path) -> None:
    save_traces(tmp_path / "a.jsonl", [trajectory("P", "5", 1.0)])
    with pytest.raises(SystemExit, match="2"):
        cli.main(["pairs", str(tmp_path / "a.jsonl"), str(tmp_path / "out.jsonl")])
    assert not (tmp_path / "out.jsonl").exists()
