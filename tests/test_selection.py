"""Scores of problems by their histories: golden numbers, a synthetic log with known answers, and some of the paper's.

Source of the rules: 1-shot RLVR (2504.20571, section 2) and its ``data/data_selection.py``.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from reasongym import Problem, Trajectory, UserError, Verdict, cli
from reasongym.report.traces import histories, save_traces
from reasongym.selection import historical_variance, limr, ranked

# From One-Shot-RLVR ``data/acc_step_500.json`` (Apache-2.0): right attempts of 8 at each visit.
OFFICIAL = {
    "682": "511232212214033345125127553564547766477566548665787876",
    "931": "011131103352232254546266467858866778688768787688888",
    "124": "02101001210100100000011014333126757568788887877886888",
    "60": "0200101321102130030100011010101200100100000010000100",
    "531": "01101001120221131153122133136835777657875577665766878",
    "267": "210020011001000000100200003001131356567778788688888",
    "789": "0" * 49,
}


@pytest.mark.parametrize(
    ("history", "variance"), [([0, 0.25, 0.5, 0.75, 1], 0.125), ([0.5] * 4, 0.0), ([0, 1, 0, 1], 0.25)]
)
def test_variance_golden(history: list[float], variance: float) -> None:
    """Acceptance case a (``np.std``, the population's): std .353553, 0 and .5."""
    assert historical_variance({"x": history})["x"] == pytest.approx(variance, abs=1e-12)


def test_the_official_histories_rank_as_the_released_data() -> None:
    """Acceptance case b: pi_1 = 124, pi_2 = 267, pi_3 = 531, pi_4 = 931, and pi_13 = 682; 789 never moved."""
    scores = historical_variance({name: [int(c) / 8 for c in text] for name, text in OFFICIAL.items()})
    assert ranked(scores) == ["124", "267", "531", "931", "682", "60", "789"]
    deviations = {name: np.sqrt(score) for name, score in scores.items()}
    wanted = {"124": 0.406756, "267": 0.396074, "531": 0.337652, "682": 0.272608, "789": 0}
    assert {name: round(float(deviations[name]), 6) for name in wanted} == wanted
    assert np.mean([int(c) / 8 for c in OFFICIAL["124"]]) == pytest.approx(0.441, abs=5e-4)


def test_limr_golden() -> None:
    """Acceptance case c: means 1/3, 2/3, 1 (``lim``)."""
    scores = limr({"a": [0, 1, 1], "b": [0, 0, 1], "c": [1, 1, 1]})
    assert scores == pytest.approx({"a": 0.6, "b": 0.0, "c": 0.0}, abs=1e-12)


def test_limr_cuts_to_the_shortest_history() -> None:
    assert limr({"a": [0, 1, 1, 0, 0], "b": [0, 0, 1], "c": [1, 1, 1, 0]})["a"] == pytest.approx(0.6)
    assert limr({"a": [1, 1], "b": [1, 1]}) == {"a": 1.0, "b": 1.0}  # the code divides by 0


def test_equal_scores_stay_in_order() -> None:
    assert ranked({"b": 0.5, "a": 0.5, "c": 1.0, "d": 0.0}) == ["c", "b", "a", "d"]


@pytest.mark.parametrize("bad", [{}, {"a": []}])
def test_nothing_to_score(bad: dict[str, list[float]]) -> None:
    for score in (historical_variance, limr):
        with pytest.raises(UserError, match="histories"):
            score(bad)


# --- from a run's own log


def logged(run: Path, steps: list[dict[str, list[float | None]]]) -> None:
    """Trajectories as an agent saves them; None is an attempt at which the host failed."""
    for step, scores in enumerate(steps):
        attempts = [
            Trajectory(Problem.of(name), [], "", Verdict(score or 0.0, valid=score is not None), False)
            for name, these in scores.items()
            for score in these
        ]
        save_traces(run / "trajectories" / f"step-{step:06d}.jsonl", attempts)


STEPS: list[dict[str, list[float | None]]] = [
    {"learned": [0, 0], "never": [0, 0]},
    {"wavers": [1, 0], "never": [0, None]},
    {"learned": [1, 1], "wavers": [1, 1, 1, 0]},
    {"lost": [None, None], "learned": [1, 1]},
]


def test_a_synthetic_log_with_known_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logged(tmp_path, STEPS)
    ids = {name: Problem.of(name).id for name in ("learned", "wavers", "never")}
    seen = histories(tmp_path)
    assert {v.prompt: v.rates for v in seen.values()} == {"learned": [0, 1, 1], "wavers": [0.5, 0.75], "never": [0, 0]}
    cli.main(["rank", str(tmp_path)])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["rank"], line["id"]) for line in lines] == [
        (1, ids["learned"]),
        (2, ids["wavers"]),
        (3, ids["never"]),
    ]
    assert [line["score"] for line in lines] == pytest.approx([2 / 9, 1 / 64, 0], abs=1e-6)
    assert (lines[1]["prompt"], lines[1]["mean"], lines[1]["visits"]) == ("wavers", 0.625, 2)
    cli.main(["rank", str(tmp_path), "--by", "limr", "--top", "1"])
    (best,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    # over the two visits that all have: means (1/6, 7/12); learned is (0, 1), wavers (.5, .75), never (0, 0)
    assert (best["id"], best["score"]) == (ids["wavers"], pytest.approx(1 - (16 + 4) / (100 + 25), abs=1e-6))


def test_a_run_without_trajectories_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["rank", str(tmp_path)], ["rank", str(tmp_path), "--top", "-1"]):
        with pytest.raises(SystemExit) as end:
            cli.main(words)
        assert end.value.code == 2
    said = capsys.readouterr().err
    assert "--save-trajectories" in said and "--top -1" in said


@pytest.mark.parametrize("line", ['{"id": 1}', "{", "[]", '{"id": "a", "verdict": {"valid": true}, "prompt": "Q"}'])
def test_a_line_that_is_no_trajectory_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "trajectories").mkdir()
    (tmp_path / "trajectories" / "step-000000.jsonl").write_text(line + "\n")
    with pytest.raises(UserError, match="step-000000.jsonl, line 1: this is no trajectory"):
        histories(tmp_path)
