"""The demonstration at several seeds, with its controls.

    python -m benchmarks.delethink_vs_longcot --seeds 3 [--out runs/delethink_vs_longcot] [--save]

Beside the two arms of `benchmarks.demo`, each seed has four controls: carries too short for the
task's register and just long enough; other chunks, one longer than any trained context; a head and
a shorter tail; and a LongCoT arm whose SFT paid for twice the context. What is done is kept in
``--out``: a run that was stopped goes on from there.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import demo
from benchmarks.report import finish, note, resumed
from reasongym import cli
from reasongym.metrics import mean_ci95

CONTROLS: dict[str, dict[str, Any]] = {
    "carry=4 (register is 6)": {"carry": 4},
    "carry=6": {"carry": 6},
    "carry=8": {"carry": 8},
    "carry=16": {"carry": 16},
    "chunk=24": {"chunk": 24},
    "chunk=48": {"chunk": 48},
    "chunk=64": {"chunk": 64},
    "chunk=96 (longer than trained)": {"chunk": 96},
    "head=4, tail=8": {"head": 4},
    "head=4, tail=12": {"head": 4, "carry": 16},
}
TWICE = "LongCoT-v0, SFT on twice the context"


@dataclass
class Args:
    seeds: int = 3
    steps: int = 100
    problems: int = 512
    """Problems a cell of the two arms; controls, greedy and crossed cells take a quarter."""
    out: str = "runs/delethink_vs_longcot"
    save: bool = False


def main(args: Args) -> None:
    started = resumed(args.out)
    seeds = tuple(range(args.seeds))
    cells: list[dict[str, Any]] = []
    curves: dict[str, list[list[float]]] = {arm: [] for arm in (*demo.ARMS, TWICE)}
    for seed in seeds:
        run = demo.Args(seed=seed, steps=args.steps, problems=args.problems, out=f"{args.out}/seed{seed}")
        if not all(Path(run.out, arm, "cells.json").exists() for arm in demo.ARMS):
            demo.run_arms(run, list(demo.ARMS))
        twice = replace(run, out=f"{run.out}/twice", model=once(Path(run.out, "twice_sft"), lambda out: sft(seed, out)))  # noqa: B023
        if not Path(twice.out, "LongCoT-v0", "cells.json").exists():
            demo.run_arms(twice, ["LongCoT-v0"])
        controls = Path(run.out, "controls.json")
        if not controls.exists():
            controls.write_text(json.dumps(control_cells(run)))
        note(args.out, started)
        for arm in demo.ARMS:
            cells += json.loads(Path(run.out, arm, "cells.json").read_text())
            curves[arm].append(demo.rewards(Path(run.out, arm)))
        cells += [{**c, "arm": TWICE} for c in json.loads(Path(twice.out, "LongCoT-v0", "cells.json").read_text())]
        curves[TWICE].append(demo.rewards(Path(twice.out, "LongCoT-v0")))
        cells += json.loads(controls.read_text())
    picture = draw(curves, cells, Path(args.out, "delethink_vs_longcot.png"))
    print(table(cells))
    print(f"\npicture: {picture}")
    finish("delethink_vs_longcot", *verdict(args, curves, cells, picture), seeds=seeds, started=started, save=args.save)


def once(out: Path, make: Any) -> str:
    if not list(out.glob("step-*")):
        make(out)
    return str(next(out.glob("step-*")))


def sft(seed: int, out: Path) -> None:
    """The recipe of the tiny model, but on thoughts of up to 120 digits, whole ones only."""
    flags = "--env LongCoT-v0 --env.low 1 --env.high 120 --env.demonstrator slip --model tiny --fresh --lr 3e-3".split()
    command = [sys.executable, "-m", "reasongym.agents.sft", *flags, "--seed", str(seed), "--out", str(out)]
    subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


def control_cells(run: demo.Args) -> list[dict[str, Any]]:
    """The Delethink arm's weights, untouched, under other windows."""
    from reasongym.policies.hf import HF

    arm = "Delethink-v0"
    policy = HF(f"{run.out}/{arm}/step-{run.steps:06d}", slots=128)
    cells = []
    for name, change in CONTROLS.items():
        for n in demo.LENGTHS:
            settings = {**demo.ARMS[arm], **change}
            cell = demo.cell(policy, arm, settings, n, max(1, run.problems // 4), "sampled", run.seed)
            cells.append({"arm": name, "seed": run.seed, "env": arm, "mode": "sampled", **cell})
            print(json.dumps(cells[-1]), flush=True)
    return cells


def gathered(cells: list[dict[str, Any]]) -> dict[tuple[str, str, str, int], list[float]]:
    """Accuracies over the seeds, by (arm, env, mode, n)."""
    found: dict[tuple[str, str, str, int], list[float]] = {}
    for c in cells:
        found.setdefault((c["arm"], c["env"], c["mode"], c["n"]), []).append(c["accuracy"])
    return found


def table(cells: list[dict[str, Any]]) -> str:
    rows: dict[tuple[str, str, str], dict[int, list[float]]] = {}
    for (arm, env, mode, n), values in gathered(cells).items():
        rows.setdefault((arm, env, mode), {})[n] = values
    lines = [f"{'weights of':38} {'environment':13} {'mode':8}" + "".join(f"{f'n={n}':>18}" for n in demo.LENGTHS)]
    for (arm, env, mode), by_n in rows.items():
        shown = "".join(f"{np.mean(v):6.2f} ({min(v):.2f}-{max(v):.2f})" for v in by_n.values())
        lines.append(f"{arm:38} {env:13} {mode:8}{shown}")
    return "\n".join(lines)


def draw(curves: dict[str, list[list[float]]], cells: list[dict[str, Any]], path: Path) -> str:
    """Reward per step and accuracy against n: mean, and the range over the seeds."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(16, 4.5), layout="constrained")
    found = gathered(cells)
    for number, (arm, runs) in enumerate(curves.items()):
        smooth = np.array([np.convolve(run, np.ones(5) / 5, "valid") for run in runs])
        left.plot(smooth.mean(0), color=f"C{number}", label=arm)
        left.fill_between(range(smooth.shape[1]), smooth.min(0), smooth.max(0), color=f"C{number}", alpha=0.2)
        env = arm if arm in demo.ARMS else "LongCoT-v0"
        band(middle, found, arm, env, f"C{number}", "-")
        if arm in demo.ARMS:
            other = next(e for e in demo.ARMS if e != arm)
            band(middle, found, arm, other, f"C{number}", "--", f"{arm} weights in {other}")
    for number, name in enumerate(CONTROLS):
        band(right, found, name, "Delethink-v0", f"C{number}", "-")
    titles = ("reward while training", "accuracy against n", "Delethink's weights under other windows")
    for axis, title in zip((left, middle, right), titles, strict=True):
        axis.set_title(title)
        axis.legend(fontsize=7)
        axis.grid(alpha=0.3)
    for axis in (middle, right):
        axis.set_xscale("log", base=2)
        axis.set_xticks(demo.LENGTHS, [f"{n}\n({n // demo.TRAINED_N}x)" for n in demo.LENGTHS])
    figure.savefig(path, dpi=110)
    return str(path)


def band(axis: Any, found: dict[Any, list[float]], arm: str, env: str, colour: str, line: str, label: str = "") -> None:
    values = np.array([found[arm, env, "sampled", n] for n in demo.LENGTHS])
    axis.plot(demo.LENGTHS, values.mean(1), color=colour, ls=line, marker="o", ms=3, label=label or arm)
    axis.fill_between(demo.LENGTHS, values.min(1), values.max(1), color=colour, alpha=0.15)


def verdict(
    args: Args, curves: dict[str, list[list[float]]], cells: list[dict[str, Any]], picture: str
) -> tuple[bool, dict[str, Any]]:
    found = gathered(cells)
    arms = {arm: [demo.ends(curve) for curve in runs] for arm, runs in curves.items()}

    def at(times: int) -> dict[str, dict[str, Any]]:
        """Accuracy of each arm in its own environment, by seed."""
        places = {arm: arm if arm in demo.ARMS else "LongCoT-v0" for arm in arms}
        own = {arm: found[arm, env, "sampled", times * demo.TRAINED_N] for arm, env in places.items()}
        return {
            arm: dict(zip(("mean", "ci95"), mean_ci95(v), strict=True), n=len(v), seeds=v) for arm, v in own.items()
        }

    four, eight = at(4), at(8)
    peaks = [c["peak_context"] for c in cells if c["arm"] == c["env"] == "Delethink-v0" and c["mode"] == "sampled"]
    short = found["carry=4 (register is 6)", "Delethink-v0", "sampled", demo.TRAINED_N]
    ok = (
        all(run["rise"] >= 0.45 for arm in demo.ARMS for run in arms[arm])
        and min(four["Delethink-v0"]["seeds"]) >= 0.70
        and min(eight["Delethink-v0"]["seeds"]) >= 0.50
        and max(peaks) == min(peaks)
        and max(short) < 0.05
    )
    figures = {
        "arms": arms,
        "trained_n": demo.TRAINED_N,
        "cells": cells,
        "acc_4x": four,
        "acc_8x": eight,
        "ratio_4x": four["Delethink-v0"]["mean"] / max(four["LongCoT-v0"]["mean"], 0.5 / args.problems),
        "peak_context_max_over_min": {"Delethink-v0": max(peaks) / min(peaks)},
        "png": picture,
    }
    return ok, figures


if __name__ == "__main__":
    cli.run(main, Args)
