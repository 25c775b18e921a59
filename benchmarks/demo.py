"""The demonstration (`make train`): GRPO from one checkpoint in Delethink-v0 and LongCoT-v0, side by side.

    python -m benchmarks.demo [--seed 0] [--steps 100] [--problems 512] [--out runs/demo] [--save]

Two processes train the tiny model of the package on thoughts of up to 66 tokens, one in each
environment; then each is evaluated on problems up to 8 times as long, sampled and greedily, in its
own environment and in the other. Ends with a table, a picture, and one line of JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import finish
from reasongym import cli
from reasongym.core import Sampling

TRAINED_N = 60
LENGTHS = (60, 120, 240, 480)  # 1x, 2x, 4x and 8x the trained length
SLACK = 32  # tokens of thought beyond the n digits, "=abcd" and the end token
ARMS: dict[str, dict[str, Any]] = {
    "Delethink-v0": {"chunk": 32, "carry": 12, "head": 0, "max_chunks": 3, "low": 24, "high": TRAINED_N},
    "LongCoT-v0": {"budget": 72, "low": 24, "high": TRAINED_N},
}
RECIPE = "--prompts 16 --group 8 --updates 4 --loss-norm token --lr 1e-4 --deterministic --save-every 1000".split()
RECIPE += ["--no-tensorboard"]


@dataclass
class Args:
    seed: int = 0
    steps: int = 100
    problems: int = 512
    """Problems a cell; greedy and crossed cells take a quarter."""
    out: str = "runs/demo"
    model: str = "tiny"
    save: bool = False
    arm: str = ""
    """Run one arm only, in this process (what the two processes are told)."""


def main(args: Args) -> None:
    if args.arm:
        return run_arm(args, args.arm, ARMS[args.arm])
    started = time.perf_counter()
    out = Path(args.out)
    run_arms(args, list(ARMS))
    reports = {arm: json.loads((out / arm / "cells.json").read_text()) for arm in ARMS}
    curves = {arm: rewards(out / arm) for arm in ARMS}
    cells = [cell for arm in ARMS for cell in reports[arm]]
    picture = draw(curves, cells, out / "demo.png")
    print(table(cells))
    print(f"\npicture: {picture}\n{CAPTION}")
    finish("demo", *verdict(args, curves, cells, picture), seeds=(args.seed,), started=started, save=args.save)


CAPTION = (
    "Both arms began from one checkpoint that had seen thoughts of at most 60 digits, whole and in windows, and RL "
    "showed both 24 to 60; nothing longer was ever seen by either. The picture does not show that training in "
    "Delethink is what extrapolates (the crossed cells show that resetting the context does, with either arm's "
    "weights), nor anything about models and tasks of another size."
)


# --- one arm: train, then evaluate


def run_arm(args: Args, arm: str, settings: dict[str, Any], extra: tuple[str, ...] = ()) -> None:
    """Train in ``arm`` and leave ``cells.json`` beside the run."""
    from reasongym.agents import grpo

    out = f"{args.out}/{arm}"
    flags = [word for k, v in settings.items() for word in (f"--env.{k}", str(v))]
    flags += ["--env", arm, "--model", args.model, "--out", out, "--seed", str(args.seed), "--steps", str(args.steps)]
    grpo.main(cli.parse(grpo.Args, [*flags, *RECIPE, *extra]))
    cells = evaluate_arm(args, arm, f"{out}/step-{args.steps:06d}")
    Path(out, "cells.json").write_text(json.dumps(cells))


def evaluate_arm(args: Args, arm: str, model: str) -> list[dict[str, Any]]:
    """Every cell of one arm's weights: its own environment sampled and greedily, and the other one."""
    from reasongym.policies.hf import HF

    policy = HF(model, slots=128)
    other = next(env for env in ARMS if env != arm)
    few = max(1, args.problems // 4)
    cells = []
    for n in LENGTHS:
        for env, mode, count in ((arm, "sampled", args.problems), (arm, "greedy", few), (other, "sampled", few)):
            cells.append({"arm": arm, "seed": args.seed, "env": env, "mode": mode, "n": n})
            cells[-1] |= cell(policy, env, ARMS[env], n, count, mode, args.seed)
            print(json.dumps(cells[-1]), flush=True)
    return cells


def cell(policy: Any, env: str, settings: dict[str, Any], n: int, count: int, mode: str, seed: int) -> dict[str, Any]:
    """``count`` fresh problems of exactly n steps."""
    from reasongym.evaluate import evaluate

    envs = cli.make_envs(env, min(128, count), settings, policy.tokenizer)
    rng = np.random.default_rng((seed, n, 7))
    problems = [envs[0].unwrapped.task.sample(rng, n) for _ in range(count)]  # type: ignore[attr-defined]
    sampling = Sampling(temperature=1.0 if mode == "sampled" else 0.0)
    budget = n + 6 + SLACK
    done = evaluate(policy, envs, problems, budget=budget, sampling=sampling, seed=seed, deterministic=True)
    figures = done.summary()
    return {"n": n, "honest_share": honest(done), **{k: v for k, v in figures.items() if k != "invalid"}}


def honest(done: Any) -> float | None:
    """Of the right answers, the share whose thought took exactly n + 6 tokens."""
    right = [t for t in done.attempts if t.verdict.score == 1]
    return float(np.mean([t.length == t.problem.data["n"] + 6 for t in right])) if right else None


# --- both arms, and what a person sees


def run_arms(args: Args, arms: list[str], more: tuple[str, ...] = ()) -> None:
    """One process an arm; a bar each, fed from their logs."""
    from tqdm import tqdm

    Path(args.out).mkdir(parents=True, exist_ok=True)
    flags = ["--seed", str(args.seed), "--steps", str(args.steps), "--problems", str(args.problems)]
    flags += ["--out", args.out, "--model", args.model, *more]
    running = {}
    for arm in arms:
        log = Path(args.out, f"{arm}.log").open("w")
        command = [sys.executable, "-m", "benchmarks.demo", "--arm", arm, *flags]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        running[arm] = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
    bars = {arm: tqdm(total=args.steps, desc=f"{arm:13}", position=i) for i, arm in enumerate(arms)}
    while any(process.poll() is None for process in running.values()):
        time.sleep(0.5)
        for arm, bar in bars.items():
            watch(bar, Path(args.out, arm), Path(args.out, f"{arm}.log"))
    for bar in bars.values():
        bar.close()
    for arm, process in running.items():
        if process.returncode:
            print(Path(args.out, f"{arm}.log").read_text()[-2000:], file=sys.stderr)
            raise SystemExit(process.returncode)


def watch(bar: Any, run: Path, log: Path) -> None:
    curve = rewards(run)
    if len(curve) > bar.n:
        bar.n = len(curve)
        bar.set_postfix(reward=f"{np.mean(curve[-5:]):.2f}")
    if len(curve) == bar.total:
        lines = [line for line in log.read_text().splitlines() if line.startswith('{"arm"')]
        bar.set_postfix(reward=f"{np.mean(curve[-5:]):.2f}", evaluated=f"{len(lines)}/{3 * len(LENGTHS)} cells")


def rewards(run: Path) -> list[float]:
    from reasongym.report.log import read_log

    return [line["reward"] for line in read_log(run / "metrics.jsonl")]


def table(cells: list[dict[str, Any]]) -> str:
    head = f"{'trained in':13} {'evaluated in':13} {'mode':8} {'n':>4} {'problems':>8} {'accuracy':>8}  {'95 %':11}"
    lines = [f"{head} {'thought':>7} {'right ones':>10} {'peak context':>12} {'seconds':>7}"]
    for c in cells:
        low, high = c["ci95"]
        right = "-" if c["correct_tokens"] is None else f"{c['correct_tokens']:.0f}"
        lines.append(
            f"{c['arm']:13} {c['env']:13} {c['mode']:8} {c['n']:4} {c['problems']:8} {c['accuracy']:8.2f}  "
            f"{low:.2f}-{high:.2f}   {c['thought_tokens']:7.0f} {right:>10} {c['peak_context']:12} {c['wall_s']:7.1f}"
        )
    return "\n".join(lines)


def draw(curves: dict[str, list[float]], cells: list[dict[str, Any]], path: Path) -> str:
    """Reward per step; accuracy, peak context and time against n."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 4, figsize=(17, 4.6), layout="constrained")
    colours = {"Delethink-v0": "tab:blue", "LongCoT-v0": "tab:orange"}
    for arm, curve in curves.items():
        axes[0].plot(np.convolve(curve, np.ones(5) / 5, "valid"), color=colours[arm], label=arm)
        own = [c for c in cells if c["arm"] == arm and c["env"] == arm and c["mode"] == "sampled"]
        greedy = [c for c in cells if c["arm"] == arm and c["mode"] == "greedy"]
        crossed = [c for c in cells if c["arm"] == arm and c["env"] != arm]
        n = [c["n"] for c in own]
        mean = [c["accuracy"] for c in own]
        bounds = np.array([[c["accuracy"] - c["ci95"][0], c["ci95"][1] - c["accuracy"]] for c in own]).T.clip(0)
        axes[1].errorbar(n, mean, bounds, color=colours[arm], marker="o", label=f"{arm}, sampled")
        axes[1].plot(n, [c["accuracy"] for c in greedy], color=colours[arm], ls=":", label="greedy")
        label = f"its weights in {crossed[0]['env']}"
        axes[1].plot(n, [c["accuracy"] for c in crossed], color=colours[arm], ls="--", marker="x", label=label)
        axes[2].plot(n, [c["peak_context"] for c in own], color=colours[arm], marker="o")
        axes[3].plot(n, [c["wall_s"] / c["problems"] * 1e3 for c in own], color=colours[arm], marker="o")
    titles = ("reward while training", "accuracy against n", "peak context, tokens", "time a problem, ms")
    for axis, title, label in zip(axes, titles, ("step", *["n, digits to write"] * 3), strict=True):
        axis.set_title(title)
        axis.set_xlabel(label)
        axis.grid(alpha=0.3)
    for axis in axes[1:]:
        axis.set_xscale("log", base=2)
        axis.set_xticks(LENGTHS, [f"{n}\n({n // TRAINED_N}x)" for n in LENGTHS])
    axes[0].legend(fontsize=8)
    axes[1].legend(fontsize=7)
    figure.supxlabel("\n".join(textwrap.wrap(CAPTION, 230)), fontsize=9)
    figure.savefig(path, dpi=110)
    return str(path)


def verdict(
    args: Args, curves: dict[str, list[float]], cells: list[dict[str, Any]], picture: str
) -> tuple[bool, dict[str, Any]]:
    """Whether the project's own bar is met, and the figures."""
    arms = {arm: ends(curve) for arm, curve in curves.items()}
    own = {(c["arm"], c["n"]): c for c in cells if c["env"] == c["arm"] and c["mode"] == "sampled"}
    acc_4x = {arm: own[arm, 4 * TRAINED_N]["accuracy"] for arm in arms}
    acc_8x = {arm: own[arm, 8 * TRAINED_N]["accuracy"] for arm in arms}
    peaks = {arm: [c["peak_context"] for (a, _), c in own.items() if a == arm] for arm in arms}
    growth = {arm: max(p) / min(p) for arm, p in peaks.items()}
    ok = (
        all(a["rise"] >= 0.45 for a in arms.values())
        and acc_4x["Delethink-v0"] >= 0.70
        and acc_8x["Delethink-v0"] >= 0.50
        and growth["Delethink-v0"] == 1.0
        and all(c["honest_share"] in (None, 1.0) for c in own.values())
    )
    figures = {
        "arms": arms,
        "trained_n": TRAINED_N,
        "cells": cells,
        "acc_4x": acc_4x,
        "acc_8x": acc_8x,
        # LongCoT's accuracy is often exactly 0 there: it counts as half a problem
        "ratio_4x": acc_4x["Delethink-v0"] / max(acc_4x["LongCoT-v0"], 0.5 / args.problems),
        "peak_context_max_over_min": growth,
        "png": picture,
    }
    return ok, figures


def ends(curve: list[float]) -> dict[str, float]:
    first, last = float(np.mean(curve[:10])), float(np.mean(curve[-10:]))
    return {"reward_first10": first, "reward_last10": last, "rise": last - first}


if __name__ == "__main__":
    cli.run(main, Args)
