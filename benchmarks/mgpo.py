"""MGPO against GRPO at equal samples: does it help to learn most from problems that are right half of the time?

    python -m benchmarks.mgpo --seeds 3 [--steps 24] [--out runs/mgpo] [--save]

The demonstration's model and task with thoughts of 6 to 66 digits, so that a batch has problems that are nearly always
right and some that hardly ever are. The arms differ in MGPO's lambda alone (0 is GRPO), and see the same problems. All
are asked the same new problems, by thirds of the length. What is done is kept in ``--out``: a run that was stopped
goes on.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import ROOT, finish, kept, note, resumed, spread
from reasongym import cli
from reasongym.report.traces import histories

DOCS = ROOT / "docs"
LOW, HIGH, BUDGET = 6, 60, 96
THIRDS = {"n to 23": 24, "n to 41": 42, "n to 60": HIGH + 1}
P, G = 16, 8
RECIPE = f"--prompts {P} --group {G} --updates 4 --loss-norm token --lr 1e-4 --keep 1000 --resume".split()
ARMS = {"GRPO": 0.0, "MGPO, lambda 1": 1.0, "MGPO, lambda 4": 4.0}
CLAIM = "at equal samples MGPO (lambda 1) ends above GRPO"


@dataclass
class Args:
    seeds: int = 3
    steps: int = 24
    checks: int = 3
    """How often each run is asked, evenly over its steps; the last time is the figure."""
    problems: int = 768
    """At the end; on the way a quarter."""
    out: str = "runs/mgpo"
    model: str = "tiny"
    save: bool = False


def main(args: Args) -> None:
    started = resumed(args.out)
    Path(args.out).mkdir(parents=True, exist_ok=True)
    seeds, cells = tuple(range(args.seeds)), []
    for seed in seeds:
        cells += kept(Path(args.out, f"before-{seed}.json"), lambda: [ask(args, args.model, "before", seed, 0)])  # noqa: B023
        for arm in ARMS:
            cells += kept(folder(args, arm, seed) / "cells.json", lambda: run(args, arm, seed))  # noqa: B023
            note(args.out, started)
    print(table(args, cells))
    picture = draw(cells, DOCS / "mgpo.png" if args.save else Path(args.out, "mgpo.png"))
    rates = {arm: [difficulty(args, arm, seed) for seed in seeds] for arm in ARMS}
    figures = {**verdict(args, cells), "difficulty": rates, "png": picture}
    finish("mgpo", figures["confirmed"], figures, seeds=seeds, started=started, save=args.save)


# --- one run: train, then ask


def folder(args: Args, arm: str, seed: int) -> Path:
    made = Path(args.out, f"lambda{ARMS[arm]:g}-{seed}")
    made.mkdir(parents=True, exist_ok=True)
    return made


def run(args: Args, arm: str, seed: int) -> list[dict[str, Any]]:
    from reasongym.agents import grpo

    out, every = folder(args, arm, seed), -(-args.steps // args.checks)
    flags = ["--env", "LongCoT-v0", "--model", args.model, "--out", str(out), "--seed", str(seed)]
    flags += ["--mgpo-lambda", str(ARMS[arm]), "--steps", str(args.steps), "--save-every", str(every), *RECIPE]
    parsed = cli.parse(grpo.Args, [*flags, "--no-tensorboard", "--save-trajectories"])
    parsed.env_settings |= {"low": LOW, "high": HIGH, "budget": BUDGET}
    grpo.main(parsed)
    steps = [*range(every, args.steps, every), args.steps]
    return [ask(args, f"{out}/step-{step:06d}", arm, seed, step) for step in steps]


def ask(args: Args, model: str, arm: str, seed: int, step: int) -> dict[str, Any]:
    """The accuracy on new problems, sampled: of all, and by thirds of their length."""
    from reasongym.evaluate import evaluate
    from reasongym.policies.hf import HF

    policy, count = HF(model, slots=128), args.problems if step in (0, args.steps) else args.problems // 4
    envs = cli.make_envs("LongCoT-v0", min(128, count), {"low": LOW, "high": HIGH, "budget": BUDGET}, policy.tokenizer)
    rng = np.random.default_rng((seed, 7))
    problems = [envs[0].unwrapped.task.sample(rng) for _ in range(count)]  # type: ignore[attr-defined]
    done = evaluate(policy, envs, problems, seed=seed)
    split = done.by(lambda p: next(i for i, end in enumerate(THIRDS.values()) if p.data["n"] < end))
    by = {list(THIRDS)[i]: part.accuracy for i, part in split.items()}
    cell = {"arm": arm, "seed": seed, "step": step, "value": done.accuracy, "by": by, "problems": count}
    print(json.dumps(cell), flush=True)
    return cell


def difficulty(args: Args, arm: str, seed: int) -> dict[str, float]:
    """Shares of the training groups: none right, some, all."""
    rates = np.array([r for visits in histories(folder(args, arm, seed)).values() for r in visits.rates])
    return {
        "none": float(np.mean(rates == 0)),
        "some": float(np.mean((rates > 0) & (rates < 1))),
        "all": float(np.mean(rates == 1)),
    }


# --- what a person sees


def verdict(args: Args, cells: list[dict[str, Any]]) -> dict[str, Any]:
    """Confirmed: lambda 1 less GRPO, seed by seed, is above 0 by the 95 % interval."""
    rows = []
    for c in cells:
        if c["step"] in (0, args.steps):
            named = {"arm": c["arm"], "seed": c["seed"], "tokens_or_samples": c["step"] * P * G}
            rows += [{**named, "metric": "accuracy", "value": c["value"]}]
            rows += [{**named, "metric": f"accuracy, {third}", "value": value} for third, value in c["by"].items()]
    ends = {(r["arm"], r["seed"]): r["value"] for r in rows if r["metric"] == "accuracy"}
    plain, *others = ARMS
    less = {arm: spread([v - ends[plain, seed] for (name, seed), v in ends.items() if name == arm]) for arm in others}
    first = less[others[0]]
    return {
        "claim": CLAIM,
        "confirmed": bool(first["mean"] - first["ci95"] > 0),
        "less_grpo": less,
        "ends": {arm: spread([v for (name, _), v in ends.items() if name == arm]) for arm in ("before", *ARMS)},
        "rows": rows,
        "cells": cells,
    }


def table(args: Args, cells: list[dict[str, Any]]) -> str:
    lines = [f"{'arm':16} {'accuracy':>8}  " + "  ".join(THIRDS) + "  at each seed"]
    for arm in ("before", *ARMS):
        last = [c for c in cells if c["arm"] == arm and c["step"] in (0, args.steps)]
        thirds = "  ".join(f"{np.mean([c['by'].get(third, np.nan) for c in last]):7.3f}" for third in THIRDS)
        each = " ".join(f"{c['value']:.3f}" for c in last)
        lines.append(f"{arm:16} {np.mean([c['value'] for c in last]):8.3f}  {thirds}  {each}")
    return "\n".join(lines)


def draw(cells: list[dict[str, Any]], path: Path) -> str:
    """Accuracy on new problems against steps: mean over seeds and their range."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for arm in ARMS:
        at: dict[int, list[float]] = {}
        for c in cells:
            if c["arm"] in (arm, "before"):
                at.setdefault(c["step"], []).append(c["value"])
        steps = sorted(at)
        axis.plot(steps, [np.mean(at[s]) for s in steps], label=arm)
        axis.fill_between(steps, [min(at[s]) for s in steps], [max(at[s]) for s in steps], alpha=0.15)
    axis.set_xlabel(f"GRPO step ({P} problems x {G} attempts)")
    axis.set_ylabel("accuracy on new problems")
    axis.grid(alpha=0.3)
    axis.legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path.name


if __name__ == "__main__":
    cli.run(main, Args)
