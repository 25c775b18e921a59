"""Which levels to train on: GRPO on SAT with a ladder, a sliding window, one fixed level, or all levels at random.

    python -m benchmarks.ladder --seeds 3 [--steps 50] [--out runs/ladder] [--save]

Every arm begins from the model "tiny-sat" of the package, which has learned to write the search down on formulas of the
lower levels alone, and makes as many attempts as the others, the ladder's validation included. At the end, and on the
way, each is asked the same held-out problems of all levels of the range, which no arm can draw and no ladder validates
on. The ladder also trains and is asked under Delethink. What is done is kept in ``--out``: a run that was stopped goes
on from there.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import finish, spread
from reasongym import cli, parts
from reasongym.core import Problem
from reasongym.curriculum import Ladder, held_out

FIRST, LAST = 8, 13  # (3, 5, 5) to (3, 5, 11); the model's demonstrations had (3, 5, 6) and easier ones
K = 4  # attempts at each held-out problem
P, G = 16, 8  # problems and attempts a step
VALIDATION = {"every": 5, "count": 32, "attempts": 2}
CLIMB = ", ".join(f"{k}={v}" for k, v in VALIDATION.items())
ARMS = {
    "ladder": f"ladder(first={FIRST}, last={LAST}, {CLIMB})",
    "window": f"window(first={FIRST}, last={LAST}, apart=True)",
    "fixed": f"uniform({FIRST}, apart=True)",
    "random": f"uniform({FIRST}, {LAST}, apart=True)",
}
WITH_RESETS = "ladder_delethink"
BUDGET = 528
THINKING = {
    "LongCoT": {"budget": BUDGET},
    # the line before and the one that is being written fit into what is carried
    "Delethink": {"thinking": f"delethink(chunk=240, carry=144, head=0, max_chunks={1 + (BUDGET - 240) // 96})"},
}
RECIPE = "--updates 4 --loss-norm token --lr 1e-4 --deterministic --keep 1000 --resume".split()


@dataclass
class Args:
    seeds: int = 3
    steps: int = 50
    """Of the ladder; the other arms take a few more instead of its validation."""
    checks: int = 2
    """How often each run is evaluated, evenly over its steps; the last time is the figure."""
    problems: int = 48
    """Held-out problems a level at the end; on the way a third."""
    out: str = "runs/ladder"
    model: str = "tiny-sat"
    resets: int = 3
    """Seeds at which the ladder also trains under Delethink."""
    jobs: int = 2
    """Processes at a time."""
    save: bool = False
    arm: str = ""
    """Run this arm only, in this process, with --seed (what each process is told)."""
    seed: int = 0


def main(args: Args) -> None:
    if args.arm:
        return run_arm(args)
    started = time.perf_counter()
    seeds = tuple(range(args.seeds))
    wanted = {"base": (0,), **dict.fromkeys(ARMS, seeds), WITH_RESETS: tuple(range(args.resets))}
    run_all(args, [(arm, seed) for arm, these in wanted.items() for seed in these])
    runs = {arm: [read_run(args, arm, seed) for seed in these] for arm, these in wanted.items() if these}
    picture = draw(runs, Path(args.out, "ladder.png"))
    print(table(runs))
    print(f"\npicture: {picture}")
    finish("ladder", *verdict(args, runs, picture), seeds=seeds, started=started, save=args.save)


# --- one arm: train, then ask


def run_arm(args: Args) -> None:
    """Train ``args.arm`` ("base" is what all begin from), and leave ``cells.json`` beside the run."""
    from reasongym.agents import grpo

    if args.arm == "base":
        cells = [c for thinking in THINKING for c in ask(args, args.model, thinking, args.problems, 0)]
        folder(args, args.arm, args.seed).mkdir(parents=True, exist_ok=True)
        folder(args, args.arm, args.seed).joinpath("cells.json").write_text(json.dumps(cells))
        return
    out, steps = folder(args, args.arm, args.seed), steps_of(args, args.arm)
    every = -(-steps // args.checks)
    flags = ["--env", "SAT-v0", "--model", args.model, "--out", str(out), "--seed", str(args.seed)]
    flags += ["--curriculum", ARMS.get(args.arm, ARMS["ladder"]), "--steps", str(steps), "--save-every", str(every)]
    flags += ["--prompts", str(P), "--group", str(G), *RECIPE]
    parsed = cli.parse(grpo.Args, flags)
    parsed.env_settings |= settings(thinking_of(args.arm))
    grpo.main(parsed)
    cells = []
    for step in [*range(every, steps, every), steps]:
        last = step == steps
        asked = THINKING if last and "ladder" in args.arm else (thinking_of(args.arm),)
        for thinking in asked:
            cells += ask(args, f"{out}/step-{step:06d}", thinking, args.problems if last else args.problems // 3, step)
    Path(out, "cells.json").write_text(json.dumps(cells))


def steps_of(args: Args, arm: str) -> int:
    """As many as make the ladder's number of attempts, validation included."""
    if "ladder" in arm:
        return args.steps
    validations = -(-args.steps // VALIDATION["every"])
    return args.steps + round(validations * VALIDATION["count"] * VALIDATION["attempts"] / (P * G))


def thinking_of(arm: str) -> str:
    return "Delethink" if arm == WITH_RESETS else "LongCoT"


def settings(thinking: str) -> dict[str, Any]:
    return {"prompt": "short", **THINKING[thinking]}


def folder(args: Args, arm: str, seed: int) -> Path:
    return Path(args.out, f"{arm}-seed{seed}")


def ask(args: Args, model: str, thinking: str, count: int, step: int) -> list[dict[str, Any]]:
    """K attempts at ``count`` held-out problems of each level."""
    from reasongym.evaluate import evaluate
    from reasongym.policies.hf import HF

    policy = HF(model, slots=128)
    envs = cli.make_envs("SAT-v0", 128, settings(thinking), policy.tokenizer)
    cells = []
    for level in range(FIRST, LAST + 1):
        problems = test_problems(envs[0].unwrapped.task, level, count)  # type: ignore[attr-defined]
        done = evaluate(policy, envs, problems, k=K, seed=args.seed, deterministic=True)
        named = {"arm": args.arm, "seed": args.seed, "step": step, "thinking": thinking, "level": level}
        figures = {k: v for k, v in done.summary().items() if k not in ("accuracy", "invalid")}
        cells.append({**named, "pass_at_k": {k: done.pass_at(k) for k in (1, K)}, **figures})
        print(json.dumps(cells[-1]), flush=True)
    return cells


def test_problems(task: Any, level: int, count: int) -> list[Problem]:
    """The same for all arms and seeds: of the held-out side, and none that a ladder validates on."""
    ladder = parts.make("curriculum", ARMS["ladder"])
    assert isinstance(ladder, Ladder)
    ladder.problems(task, np.random.default_rng(0), 1)
    ladder.level = level
    seen = {p.id for p in (ladder.probe(0) or ([], 0))[0]}
    rng = np.random.default_rng((level, 7))
    found: list[Problem] = []
    while len(found) < count:
        problem = task.sample(rng, level)
        if held_out(problem) and problem.id not in seen:
            seen.add(problem.id)
            found.append(problem)
    return found


# --- all runs, and what a person sees


def run_all(args: Args, wanted: list[tuple[str, int]]) -> None:
    """One process a run, some at a time; those that are done are passed over."""
    Path(args.out).mkdir(parents=True, exist_ok=True)
    waiting = [(arm, seed) for arm, seed in wanted if not Path(folder(args, arm, seed), "cells.json").exists()]
    running: dict[tuple[str, int], subprocess.Popen[bytes]] = {}
    while waiting or running:
        while waiting and len(running) < args.jobs:
            run = waiting.pop(0)
            running[run] = start(args, *run)
        time.sleep(0.5)
        for key, process in list(running.items()):
            if process.poll() is None:
                continue
            del running[key]
            print(f"{key[0]}, seed {key[1]}: {'done' if process.returncode == 0 else 'failed'}", flush=True)
            if process.returncode:
                print(Path(args.out, f"{key[0]}-seed{key[1]}.log").read_text()[-2000:], file=sys.stderr)
                for other in running.values():
                    other.terminate()
                raise SystemExit(process.returncode)


def start(args: Args, arm: str, seed: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "benchmarks.ladder", "--arm", arm, "--seed", str(seed), "--out", args.out]
    command += ["--steps", str(args.steps), "--checks", str(args.checks), "--problems", str(args.problems)]
    with Path(args.out, f"{arm}-seed{seed}.log").open("w") as log:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            [*command, "--model", args.model], stdout=log, stderr=subprocess.STDOUT, env=environment
        )


def read_run(args: Args, arm: str, seed: int) -> dict[str, Any]:
    """A run's curve, cells and figures."""
    from reasongym.report.log import read_log

    out = folder(args, arm, seed)
    log = read_log(out / "metrics.jsonl")
    cells = json.loads((out / "cells.json").read_text())
    final = [c for c in cells if c["step"] == len(log) and c["thinking"] == thinking_of(arm)]
    levels = [int(line.get("level", FIRST)) for line in log] or [FIRST]
    return {
        "seed": seed,
        "levels_climbed": levels[-1] - FIRST,
        "pass_at_k": {k: float(np.mean([c["pass_at_k"][k] for c in final])) for k in ("1", str(K))},
        "by_level": {c["level"]: c["pass_at_k"]["1"] for c in final},
        "tokens_by_level": {c["level"]: c["thought_tokens"] for c in final},
        "steps": len(log),
        "train_s": float(sum(line["step_s"] for line in log)),
        "levels": levels,
        "rewards": [line["reward"] for line in log],
        "cells": cells,
    }


def table(runs: dict[str, list[dict[str, Any]]]) -> str:
    """Final pass@1 on the held-out problems by level, mean over seeds."""
    levels = range(FIRST, LAST + 1)
    lines = [
        f"{'arm':17} {'climbed':10} {'pass@1':6} {f'pass@{K}':6} " + "".join(f"{f'level {x}':>10}" for x in levels)
    ]
    for arm, found in runs.items():
        climbed = " ".join(str(run["levels_climbed"]) for run in found)
        means = [np.mean([run["pass_at_k"][k] for run in found]) for k in ("1", str(K))]
        cells = [np.mean([run["by_level"][x] for run in found]) for x in levels]
        lines.append(f"{arm:17} {climbed:10} {means[0]:6.2f} {means[1]:6.2f} " + "".join(f"{c:10.2f}" for c in cells))
    return "\n".join(lines)


def draw(runs: dict[str, list[dict[str, Any]]], path: Path) -> str:
    """The level and the held-out pass@1 against steps, and pass@1 by level at the end: mean, and range over seeds."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(16, 4.5), layout="constrained")
    for number, (arm, found) in enumerate(runs.items()):
        colour = f"C{number}"
        if arm not in ("base", "fixed", "random"):
            band(left, range(1, found[0]["steps"] + 1), [run["levels"] for run in found], colour, arm)
        steps, curves = over_steps(arm, found)
        begun = float(np.mean(list(runs["base"][0]["by_level"].values())))
        if arm != "base":
            band(middle, [0, *steps], [[begun, *curve] for curve in curves], colour, arm, "o-")
        band(right, range(FIRST, LAST + 1), [list(run["by_level"].values()) for run in found], colour, arm, "o-")
    titles = ("level that is trained on", f"held-out pass@1, levels {FIRST} to {LAST}", "held-out pass@1 at the end")
    for axis, title, label in zip((left, middle, right), titles, ("step", "step", "level"), strict=True):
        axis.set_title(title)
        axis.set_xlabel(label)
        axis.legend(fontsize=8)
        axis.grid(alpha=0.3)
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return str(path)


def over_steps(arm: str, found: list[dict[str, Any]]) -> tuple[list[int], list[list[float]]]:
    """Mean pass@1 over the levels at each check."""
    own = [[c for c in run["cells"] if c["thinking"] == thinking_of(arm)] for run in found]
    steps = sorted({c["step"] for c in own[0]})
    return steps, [
        [float(np.mean([c["pass_at_k"]["1"] for c in cells if c["step"] == s])) for s in steps] for cells in own
    ]


def band(axis: Any, x: Any, curves: list[list[float]], colour: str, label: str, line: str = "-") -> None:
    values = np.array(curves)
    axis.plot(x, values.mean(0), line, ms=3, color=colour, label=label)
    axis.fill_between(x, values.min(0), values.max(0), color=colour, alpha=0.15)


def verdict(args: Args, runs: dict[str, list[dict[str, Any]]], picture: str) -> tuple[bool, dict[str, Any]]:
    """The bar: three levels climbed at every seed, and final pass@k above the fixed and the random levels'."""
    shown = ("seed", "levels_climbed", "pass_at_k", "by_level", "tokens_by_level", "steps", "train_s")
    arms = {arm: [{k: run[k] for k in shown} for run in found] for arm, found in runs.items()}
    final = {
        arm: {k: spread([run["pass_at_k"][k] for run in found]) for k in ("1", str(K))} for arm, found in runs.items()
    }
    climbs = min(run["levels_climbed"] for run in runs["ladder"])
    above = {
        k: all(final["ladder"][k]["mean"] > final[arm][k]["mean"] for arm in ("fixed", "random"))
        for k in final["ladder"]
    }
    ends = [run for arm in ("base", "ladder", WITH_RESETS) for run in runs.get(arm, [])]
    rows = [c for run in ends for c in run["cells"] if c["step"] == run["steps"]]
    figures = {
        "arms": {arm: arms[arm] for arm in ARMS},
        "k": K,
        "levels": [FIRST, LAST],
        "final": final,
        "ladder_above_fixed_and_random": above,
        "attempts": {arm: attempts(args, arm) for arm in ARMS},
        "base": arms["base"],
        "delethink": {"trained": arms.get(WITH_RESETS, []), "cells": rows},
        "png": picture,
    }
    return climbs >= 3 and all(above.values()), figures


def attempts(args: Args, arm: str) -> int:
    """Of a whole run, the ladder's validation included."""
    validations = -(-args.steps // VALIDATION["every"]) if arm == "ladder" else 0
    return steps_of(args, arm) * P * G + validations * VALIDATION["count"] * VALIDATION["attempts"]


if __name__ == "__main__":
    cli.run(main, Args)
