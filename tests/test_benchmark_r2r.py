"""The pair of models that the R2R benchmark makes, its oracle, its verdict, and the whole of it small."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("tyro")

from benchmarks import r2r, report
from benchmarks.spelt import FREE, SURE, UNSURE, Spelt, letter, spell, value
from reasongym.core import Completion
from reasongym.policies.hf import HF
from reasongym.tokenizer import ByteTokenizer

COMMON = {"bench", "ok", "seeds", "commit", "versions", "machine", "wall_s"}


def shown(task: Spelt, seed: int) -> tuple[Any, str]:
    rng = np.random.default_rng(seed)
    problem = task.sample(rng)
    said = task.demonstrate(problem, rng)
    return problem, said.text if isinstance(said, Completion) else said


def test_spellings() -> None:
    assert [value(c) for c in "09aj=k"] == [0, 9, 0, 9, None, None] and letter("3") == "d"
    both = {spell("1", "15234", np.random.default_rng(seed)) for seed in range(40)}
    assert both == {"15234", "b5234", "15c34", "b5c34", "1f234", "bf234", "1fc34", "bfc34"}


def test_an_exact_demonstration_is_right_and_no_token_of_it_is_a_mistake() -> None:
    task, free, letters = Spelt(), 0, 0
    for seed in range(40):
        problem, text = shown(task, seed)
        assert task.verify(problem, text).score == 1
        ids = [*ByteTokenizer().encode(problem.prompt + text), 256]
        assert not any(r2r.wrong(ids[:i], ids[i]) for i in range(7, len(ids)))
        thought = (problem.prompt + text).partition("=")[0]
        free += sum(value(c) in FREE for c in thought[6:-1])
        letters += sum(c.isalpha() for c in thought)
    assert 0.4 < letters / free < 0.6


def test_a_careless_demonstration_errs_at_its_pairs_and_the_oracle_sees_where() -> None:
    task, wrong = Spelt(careless=True), {"sure": [], "unsure": [], "else": []}
    for seed in range(60):
        problem, text = shown(task, seed)
        thought = problem.prompt + text.partition("=")[0]
        ids, digits = ByteTokenizer().encode(thought), [value(c) for c in thought[1:]]
        for i in range(7, len(ids)):
            pair = (digits[i - 7], digits[i - 2])
            kind = "sure" if pair in SURE else "unsure" if pair in UNSURE else "else"
            wrong[kind].append(r2r.wrong(ids[:i], ids[i]))
    assert all(wrong["sure"]) and not any(wrong["else"]) and 0.8 < np.mean(wrong["unsure"]) < 1
    assert 0.02 < (sum(wrong["sure"]) + sum(wrong["unsure"])) / sum(map(len, wrong.values())) < 0.06


@pytest.mark.parametrize(
    ("thought", "token", "found"),
    [
        ("^123456", "7", True),
        ("^123456", "8", False),  # 6 * 6 - 1 + 3
        ("^123456", "i", False),
        ("^123456", "=", True),
        ("^100034500", "=", False),
        ("^100034500", "0", True),
        ("^100034500=0345", 256, False),
        ("^100034500=03", "4", False),
        ("^100034500=03", "e", True),
        ("^100034500=0345", "0", True),
        ("^12?456", "1", False),
    ],
)
def test_the_oracle(thought: str, token: str | int, found: bool) -> None:
    assert r2r.wrong(list(thought.encode()), token if isinstance(token, int) else ord(token)) == found


# --- the verdict


def cells(learned: float, entropy: float = 0.0) -> list[dict[str, Any]]:
    """Two seeds, one point an arm besides the ends, at a tenth of the tokens."""
    accuracy = {"small": (0, 0.2), "large": (1, 0.9), "random": (0.1, 0.25)}
    accuracy |= {"learned": (0.1, learned), "entropy": (0.1, entropy)}
    more = {"tokens": 100, "ci95": [0, 1], "wall_s": 1.0, "thought_tokens": 9.0}
    return [{"arm": a, "seed": s, "share": x, "accuracy": y, **more} for a, (x, y) in accuracy.items() for s in (0, 1)]


def test_accuracy_is_interpolated_between_the_ends() -> None:
    found = r2r.curve(cells(0.8), "learned", 1, (0.0, 0.05, 0.1, 0.55, 1.0))
    assert found == pytest.approx([0.2, 0.5, 0.8, 0.85, 0.9])


def test_the_claim_holds_where_the_learned_router_is_above_both_at_every_budget() -> None:
    exact = {"positions_entered_twice": 0, "max_logit_diff": 1e-5, "max_logprob_diff": 1e-6}
    ok, figures = r2r.verdict(cells(0.8), (0, 1), exact)
    assert ok and figures["confirmed"] and figures["params"] == 56_302_081
    assert figures["margins"]["random"]["0.1"] == {"mean": pytest.approx(0.55), "ci95": pytest.approx(0), "n": 2}
    row = {"arm": "learned", "seed": 1, "metric": "accuracy@0.1", "value": pytest.approx(0.8), "tokens_or_samples": 100}
    assert row in figures["rows"]
    assert not r2r.verdict(cells(0.8, entropy=0.81), (0, 1), exact)[1]["confirmed"]
    for worse in ({"positions_entered_twice": 1}, {"max_logit_diff": 1e-3}, {"max_logprob_diff": 1e-3}):
        ok, figures = r2r.verdict(cells(0.8), (0, 1), exact | worse)
        assert not ok and figures["confirmed"]


# --- run small


def test_exactness_of_models_of_the_package() -> None:
    found = r2r.exactness(HF("tiny-sat").model, HF("tiny").model, rows=4)
    assert found["positions_entered_twice"] == 0 and max(found["max_logit_diff"], found["max_logprob_diff"]) < 1e-4
    assert found["switches"] > 10 and found["positions_entered"] > 50


def test_the_benchmark_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what is done is passed over when it is run again."""
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    monkeypatch.setattr(r2r, "DOCS", tmp_path)
    monkeypatch.setattr(r2r, "STEPS", {"careless": 1, "large": 1})
    monkeypatch.setattr(r2r, "SHARES", (0.2, 0.9))
    monkeypatch.setattr(r2r, "ROUTER", [*r2r.ROUTER, "--epochs", "2"])
    args = r2r.Args(seeds=1, problems=4, labels=12, rows=3, out=str(tmp_path / "runs"), save=True)
    r2r.main(args)
    got = json.loads((tmp_path / "r2r.json").read_text())
    own = {"rows", "claim", "confirmed", "params", "positions_entered_twice", "max_logit_diff"}
    assert COMMON | own <= got.keys() and got["positions_entered_twice"] == 0 and got["max_logit_diff"] < 1e-4
    assert {row["metric"] for row in got["rows"]} > {"accuracy@0.05", "share"} and got["thoughts"] == 3
    assert got["sizes"]["small"] < got["sizes"]["large"] / 4
    arms = [c["arm"] for c in got["cells"]]
    assert arms == ["small", "large", "oracle", *["learned"] * 3, *["entropy"] * 2, *["random"] * 2]
    for c in got["cells"]:
        ends = got["sizes"]["small"] * (1 - c["share"]) + got["sizes"]["large"] * c["share"]
        assert c["parameters"]["said"] == pytest.approx(ends)
    assert (tmp_path / "r2r_careless.png").stat().st_size > 10_000

    def never(*args: Any) -> None:
        raise AssertionError("it was done already")

    for name in ("ask", "exactness"):
        monkeypatch.setattr(r2r, name, never)
    monkeypatch.setattr(r2r.sft, "main", never)
    monkeypatch.setattr(r2r.router, "main", never)
    r2r.main(args)
