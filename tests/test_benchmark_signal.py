"""The benchmarks of 1-shot RLVR, MGPO and merging: what they compute, and a small run of the first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import merge, mgpo, one_shot, report
from reasongym.core import UserError

COMMON = {"bench", "ok", "seeds", "commit", "versions", "machine", "wall_s", "rows", "claim", "confirmed"}


def shot(arm: str, seed: int, value: float, step: int = 16, metric: str = "accuracy") -> dict[str, Any]:
    return {"arm": arm, "seed": seed, "step": step, "metric": metric, "value": value}


def test_one_shot_is_confirmed_by_the_interval_over_seeds() -> None:
    def told(gains: list[float]) -> dict[str, Any]:
        before = [shot("before", seed, 0.3, step=0) for seed in range(3)]
        after = [shot(arm, seed, 0.3 + gain) for arm in one_shot.ARMS for seed, gain in enumerate(gains)]
        on_the_way = [shot("one: whole loss", 0, 0.9, step=8)]
        return one_shot.verdict(one_shot.Args(), [*before, *after, *on_the_way])

    assert told([0.2, 0.25, 0.3])["confirmed"] and not told([0.0, 0.25, 0.5])["confirmed"]
    found = told([0.2, 0.25, 0.3])
    assert found["gains"]["one: policy"]["mean"] == pytest.approx(0.25) and set(found["order"]) == set(one_shot.ARMS)
    assert len(found["rows"]) == 3 * (1 + len(one_shot.ARMS))
    assert {row["tokens_or_samples"] for row in found["rows"]} == {0, 16 * 128}


def test_the_one_shot_benchmark_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two arms: the log of one ranks for the other; and what is done is passed over when it is run again."""
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    monkeypatch.setattr(one_shot, "DOCS", tmp_path)
    monkeypatch.setattr(one_shot, "RECIPE", "--prompts 2 --group 2 --resume".split())
    monkeypatch.setattr(one_shot, "ARMS", {arm: one_shot.ARMS[arm] for arm in ("all problems", "one: whole loss")})
    args = one_shot.Args(seeds=1, steps=1, pool=2, checks=1, problems=4, out=str(tmp_path / "runs"), save=True)
    one_shot.main(args)
    got = json.loads((tmp_path / "one_shot.json").read_text())
    assert COMMON | {"gains", "order", "ranking", "png"} <= got.keys() and not got["ok"]
    assert [row["arm"] for row in got["rows"]] == ["before"] * 2 + ["all problems"] * 2 + ["one: whole loss"] * 2
    (ranking,) = got["ranking"]
    lines = (tmp_path / "runs" / "one-whole-loss-0" / "trajectories" / "step-000000.jsonl").read_text().splitlines()
    assert {json.loads(line)["id"] for line in lines} == {ranking["best"]["id"]} and len(lines) == 4
    settings = json.loads((tmp_path / "runs" / "one-whole-loss-0" / "args.json").read_text())
    assert (settings["weight_decay"], settings["kl"], settings["entropy"]) == (0.01, 0.001, 0.001)
    assert (tmp_path / "one_shot.png").stat().st_size > 10_000

    def never(*args: Any) -> None:
        raise AssertionError("it was done already")

    monkeypatch.setattr(one_shot, "run", never)
    monkeypatch.setattr(one_shot, "ask", never)
    one_shot.main(args)


def test_problems_that_are_asked_are_in_no_pool() -> None:
    args = one_shot.Args(pool=8)
    asked = {p.id for p in one_shot.others(args, 1, 20)}
    posed = one_shot.parts.make("tasks", one_shot.pool(args, 1))
    assert len(asked) == 20 and not asked & {posed.problem(i).id for i in range(8)}


def mg(arm: str, seed: int, value: float, step: int = 24) -> dict[str, Any]:
    return {"arm": arm, "seed": seed, "step": step, "value": value, "by": {third: value for third in mgpo.THIRDS}}


def test_mgpo_is_compared_seed_by_seed(tmp_path: Path) -> None:
    def cells(more: list[float]) -> list[dict[str, Any]]:
        plain = [0.5, 0.7, 0.9]
        arms = {"before": [0.3] * 3, "GRPO": plain, "MGPO, lambda 4": plain}
        arms["MGPO, lambda 1"] = [a + b for a, b in zip(plain, more, strict=True)]
        return [
            mg(arm, s, v, 0 if arm == "before" else 24) for arm, values in arms.items() for s, v in enumerate(values)
        ]

    found = mgpo.verdict(mgpo.Args(), cells([0.02, 0.03, 0.025]))
    assert found["confirmed"] and found["less_grpo"]["MGPO, lambda 1"]["mean"] == pytest.approx(0.025)
    assert found["less_grpo"]["MGPO, lambda 4"]["mean"] == 0
    assert not mgpo.verdict(mgpo.Args(), cells([0.02, -0.03, 0.025]))["confirmed"]
    assert {row["tokens_or_samples"] for row in found["rows"]} == {0, 24 * 128} and len(found["rows"]) == 4 * 4 * 3
    assert "MGPO, lambda 4" in mgpo.table(mgpo.Args(), cells([0, 0, 0]))


@pytest.mark.parametrize("kind", merge.KINDS)
def test_the_rules_of_the_sub_domains(kind: str) -> None:
    rng = np.random.default_rng(0)
    task = merge.Digits(kind)
    problem = task.sample(rng)
    given = [int(c) for c in problem.prompt[2:-1]]
    by_hand = {
        "reverse": [given[4 - i] for i in range(5)],
        "sort": sorted(given),
        "next": [(d + 1) % 10 for d in given],
        "rotate": [*given[1:], given[0]],
    }[kind]
    assert problem.prompt[:2] == kind[:2] and problem.answer == "".join(map(str, by_hand))
    shown = task.demonstrate(problem, rng)
    assert task.verify(problem, shown).score == 1 and task.verify(problem, shown + "0").score == 0
    with pytest.raises(UserError, match="digits"):
        merge.Digits("mix")


def test_a_merge_is_compared_with_the_best_specialist_of_its_seed() -> None:
    def cells(merged: list[float]) -> list[dict[str, Any]]:
        arms = {"specialist in sort, branches": [0.4, 0.6, 0.5], "specialist in next, branches": [0.5, 0.5, 0.5]}
        arms |= {"specialist in sort, one run": [0.9] * 3, "merge, one run": [0.9] * 3, "one long run": [0.9] * 3}
        arms["merge, branches"] = merged
        return [
            {"arm": arm, "seed": s, "value": v, "by": {"sort": v, "next": v}, "examples": 9, "model": "m"}
            for arm, values in arms.items()
            for s, v in enumerate(values)
        ]

    assert merge.merge_less_best(cells([0.7, 0.7, 0.7]), "branches") == pytest.approx([0.2, 0.1, 0.2])
    found = merge.verdict(cells([0.7, 0.7, 0.7]))
    assert found["confirmed"] and found["merge_less_best_specialist"]["one run"]["mean"] == 0
    assert found["merge_of_branches_less_one_long_run"]["mean"] == pytest.approx(-0.2)
    assert not merge.verdict(cells([0.5, 0.7, 0.5]))["confirmed"]
    assert len(found["rows"]) == 6 * 3 * 3 and "merge, branches" in merge.table(
        [{**c, "by": dict.fromkeys(merge.KINDS, 0.5)} for c in cells([0.7] * 3)]
    )
