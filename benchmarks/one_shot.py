"""Does one training problem lift the accuracy on others? GRPO on a single one, and which term of the loss does it.

    python -m benchmarks.one_shot --seeds 3 [--steps 16] [--out runs/one_shot] [--save]

At each seed, first the run on a pool of problems (the demonstration's task and model) with the whole loss: its log
ranks the pool by historical variance. Then, with as many attempts, runs on the best-ranked problem alone with the terms
of the loss that some rows of the paper's ablations leave in (2504.20571, Table 5), and one on the worst-ranked. All are
asked the same problems, which are in no pool. What is done is kept in ``--out``: a run that was stopped goes on.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import ROOT, finish, kept, note, resumed, spread
from reasongym import cli, parts
from reasongym.core import Problem
from reasongym.report.traces import histories
from reasongym.selection import historical_variance, ranked

DOCS = ROOT / "docs"
TASK = "register(low=24, high=60)"
P, G, BUDGET = 16, 8, 96
RECIPE = f"--prompts {P} --group {G} --updates 4 --loss-norm token --keep 1000 --resume".split()
DECAY, KL, ENTROPY, SILENT = "--weight-decay 0.01", "--kl 0.001", "--entropy 0.001", "--policy-coef 0"
WHOLE = f"{DECAY} {KL} {ENTROPY}"


@dataclass(frozen=True)
class Arm:
    flags: str  # the terms of the loss
    on: str  # "all", or which of the ranking


ARMS = {
    "all problems": Arm(WHOLE, "all"),  # first: it is what ranks them
    "one: policy": Arm("", "best"),
    "one: policy, decay, KL": Arm(f"{DECAY} {KL}", "best"),
    "one: whole loss": Arm(WHOLE, "best"),
    "one: policy, entropy": Arm(ENTROPY, "best"),
    "one: decay, KL": Arm(f"{SILENT} {DECAY} {KL}", "best"),
    "one: entropy": Arm(f"{SILENT} {ENTROPY}", "best"),
    "worst: whole loss": Arm(WHOLE, "worst"),
}
METRICS = ("accuracy", "greedy accuracy")
CLAIM = "one training problem, chosen by historical variance, lifts the accuracy on other problems"


@dataclass
class Args:
    seeds: int = 3
    steps: int = 16
    pool: int = 32
    lr: float = 1e-4
    checks: int = 2
    """How often each run is asked, evenly over its steps; the last time is the figure."""
    problems: int = 512
    """At the end; on the way, and greedily, a quarter."""
    out: str = "runs/one_shot"
    model: str = "tiny"
    save: bool = False


def main(args: Args) -> None:
    started = resumed(args.out)
    Path(args.out).mkdir(parents=True, exist_ok=True)
    seeds, cells = tuple(range(args.seeds)), []
    for seed in seeds:
        cells.append(kept(Path(args.out, f"before-{seed}.json"), lambda: ask(args, args.model, "before", seed, 0)))  # noqa: B023
        for arm in ARMS:
            path = folder(args, arm, seed) / "cells.json"
            cells.append(kept(path, lambda: run(args, arm, seed)))  # noqa: B023
            note(args.out, started)
    asked = [cell for these in cells for cell in these]
    rankings = [{"seed": seed, **ends_of(ranking(args, seed))} for seed in seeds]
    print(table(args, asked))
    picture = draw(asked, DOCS / "one_shot.png" if args.save else Path(args.out, "one_shot.png"))
    figures = {**verdict(args, asked), "ranking": rankings, "png": picture}
    finish("one_shot", figures["confirmed"], figures, seeds=seeds, started=started, save=args.save)


# --- one run: train, then ask


def folder(args: Args, arm: str, seed: int) -> Path:
    made = Path(args.out, f"{arm.replace(':', '').replace(',', '').replace(' ', '-')}-{seed}")
    made.mkdir(parents=True, exist_ok=True)
    return made


def run(args: Args, arm: str, seed: int) -> list[dict[str, Any]]:
    from reasongym.agents import grpo

    out, every = folder(args, arm, seed), -(-args.steps // args.checks)
    flags = ["--env", "LongCoT-v0", "--model", args.model, "--out", str(out), "--seed", str(seed)]
    flags += [
        "--steps",
        str(args.steps),
        "--lr",
        str(args.lr),
        "--save-every",
        str(every),
        *RECIPE,
        *ARMS[arm].flags.split(),
    ]
    flags += ["--no-tensorboard", "--save-trajectories", "--curriculum", curriculum(args, ARMS[arm].on, seed)]
    parsed = cli.parse(grpo.Args, flags)
    parsed.env_settings |= {"task": pool(args, seed), "budget": BUDGET}
    grpo.main(parsed)
    steps = [*range(every, args.steps, every), args.steps]
    return [cell for step in steps for cell in ask(args, f"{out}/step-{step:06d}", arm, seed, step)]


def pool(args: Args, seed: int) -> str:
    return f"pool(task={TASK!r}, n={args.pool}, seed={1000 + seed})"


def curriculum(args: Args, on: str, seed: int) -> str:
    if on == "all":
        return f"epochs(seed={seed})"
    best, *_, worst = ranking(args, seed)
    return f"oneshot({(best if on == 'best' else worst)[0]!r})"


def ranking(args: Args, seed: int) -> list[tuple[str, float, list[float]]]:
    """Problem, variance and history, best first, of the run on all problems."""
    seen = histories(folder(args, "all problems", seed))
    scores = historical_variance({name: visits.rates for name, visits in seen.items()})
    return [(name, scores[name], seen[name].rates) for name in ranked(scores)]


def ends_of(order: list[tuple[str, float, list[float]]]) -> dict[str, Any]:
    named = {"best": order[0], "worst": order[-1]}
    return {place: {"id": found[0], "variance": found[1], "history": found[2]} for place, found in named.items()}


def ask(args: Args, model: str, arm: str, seed: int, step: int) -> list[dict[str, Any]]:
    """The accuracy on problems of no pool, sampled and (at the end) greedily."""
    from reasongym.core import Sampling
    from reasongym.evaluate import evaluate
    from reasongym.policies.hf import HF

    last = step in (0, args.steps)
    policy, count = HF(model, slots=128), args.problems if last else args.problems // 4
    envs = cli.make_envs("LongCoT-v0", min(128, count), {"task": TASK, "budget": BUDGET}, policy.tokenizer)
    problems, cells = others(args, seed, count), []
    for metric in METRICS[: 1 + last]:
        these = problems if metric == "accuracy" else problems[: count // 4]
        done = evaluate(policy, envs, these, sampling=Sampling(float(metric == "accuracy")), seed=seed)
        named = {"arm": arm, "seed": seed, "step": step, "metric": metric}
        cells.append({**named, "value": done.accuracy, "ci95": list(done.ci95), "problems": len(these)})
        print(json.dumps(cells[-1]), flush=True)
    return cells


def others(args: Args, seed: int, count: int) -> list[Problem]:
    """The same at each call: problems that are not in the seed's pool."""
    posed, rng = parts.make("tasks", pool(args, seed)), np.random.default_rng((seed, 7))
    task, taken = parts.make("tasks", TASK), {posed.problem(i).id for i in range(len(posed))}
    found: list[Problem] = []
    while len(found) < count:
        found += [p for p in [task.sample(rng)] if p.id not in taken]
    return found


# --- what a person sees


def verdict(args: Args, cells: list[dict[str, Any]]) -> dict[str, Any]:
    """Confirmed: the gain of one problem with the whole loss is above 0 by the 95 % interval over the seeds."""
    spent = args.steps * P * G
    rows = [
        {**{k: c[k] for k in ("arm", "seed", "metric", "value")}, "tokens_or_samples": spent if c["step"] else 0}
        for c in cells
        if c["step"] in (0, args.steps)
    ]
    gains = {arm: spread(gain(rows, arm)) for arm in ARMS}
    order = sorted(gains, key=lambda arm: -gains[arm]["mean"])
    confirmed = gains["one: whole loss"]["mean"] - gains["one: whole loss"]["ci95"] > 0
    return {"claim": CLAIM, "confirmed": bool(confirmed), "gains": gains, "order": order, "rows": rows, "cells": cells}


def gain(rows: list[dict[str, Any]], arm: str) -> list[float]:
    """After less before, at each seed."""
    values = {(r["arm"], r["seed"]): r["value"] for r in rows if r["metric"] == "accuracy"}
    return [value - values["before", seed] for (name, seed), value in values.items() if name == arm]


def table(args: Args, cells: list[dict[str, Any]]) -> str:
    last = [c for c in cells if c["step"] in (0, args.steps)]
    lines = [f"{'arm':26} {'sampled':>8} {'greedy':>8}  sampled at each seed"]
    for arm in ("before", *ARMS):
        sampled, greedy = ([c["value"] for c in last if (c["arm"], c["metric"]) == (arm, m)] for m in METRICS)
        each = " ".join(f"{value:.3f}" for value in sampled)
        lines.append(f"{arm:26} {np.mean(sampled):8.3f} {np.mean(greedy):8.3f}  {each}")
    return "\n".join(lines)


def draw(cells: list[dict[str, Any]], path: Path) -> str:
    """Held-out accuracy against steps: mean over seeds and their range."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(8, 5), layout="constrained")
    for arm in ARMS:
        at: dict[int, list[float]] = {}
        for c in cells:
            if c["metric"] == "accuracy" and c["arm"] in (arm, "before"):
                at.setdefault(c["step"], []).append(c["value"])
        steps = sorted(at)
        style = "--" if SILENT in ARMS[arm].flags else "-"
        axis.plot(steps, [np.mean(at[s]) for s in steps], style, label=arm)
        axis.fill_between(steps, [min(at[s]) for s in steps], [max(at[s]) for s in steps], alpha=0.1)
    axis.set_xlabel(f"GRPO step ({P * G} attempts)")
    axis.set_ylabel("accuracy on problems of no pool")
    axis.set_ylim(bottom=0)
    axis.grid(alpha=0.3)
    axis.legend(fontsize="small")
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path.name


if __name__ == "__main__":
    cli.run(main, Args)
