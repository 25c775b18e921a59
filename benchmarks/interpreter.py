"""Does a model learn to call the interpreter? GRPO from one checkpoint, with the tool and without it.

    python -m benchmarks.interpreter --seeds 3 [--steps 40] [--out runs/interpreter] [--save]

The task is `reasongym.tasks.doubling`: long by hand, one line of Python. The model "tiny-python" of the package has
seen both ways, most often by hand and carelessly. All arms begin from it, on the same problems: with the tool, paid the
truth alone; with the tool, paid as CoRT pays (a tenth less where no code ran or all of it failed); and without the
tool, where nothing answers a block of code, so that this arm can only mend its handwork. Before and after, each is
asked new problems, sampled and greedily, and some in the other environment. What is done is kept in ``--out``: a run
that was stopped goes on from there.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import ROOT, finish, kept, note, resumed, spread
from reasongym import cli
from reasongym.core import Sampling, Trajectory

DOCS = ROOT / "docs"
TASK = {"task": "doubling", "budget": 192}
ENVS = {
    "python": ("CodeInterpreter-v0", {**TASK, "tools": ["python(hint='')"]}),
    "none": ("LongCoT-v0", TASK),
}


@dataclass(frozen=True)
class Arm:
    tool: str
    reward: str  # a shaper, or the truth


ARMS = {"python": Arm("python", "truth"), "python-cort": Arm("python", "cort"), "none": Arm("none", "truth")}
NAMES = {"python": "with Python", "python-cort": "with Python, CoRT's reward", "none": "without"}
BUDGETS = (64, 96, 128)
RECIPE = "--prompts 16 --group 8 --updates 4 --loss-norm token --lr 1e-4 --save-every 1000 --resume".split()
CURVES = {"score": "reward (the truth)", "code_runs": "calls a problem", "length": "sampled tokens a problem"}


@dataclass
class Args:
    seeds: int = 3
    steps: int = 40
    problems: int = 512
    """New problems that each arm is asked at the end; greedily and in the other arm's environment a quarter."""
    out: str = "runs/interpreter"
    model: str = "tiny-python"
    save: bool = False


def main(args: Args) -> None:
    started = resumed(args.out)
    seeds = tuple(range(args.seeds))
    Path(args.out).mkdir(parents=True, exist_ok=True)
    cells = [kept(Path(args.out, f"base-{tool}.json"), lambda: ask(args, "base", 0, args.model, tool)) for tool in ENVS]  # noqa: B023
    for seed in seeds:
        for arm in ARMS:
            cells.append(kept(Path(args.out, f"{arm}-seed{seed}.json"), lambda: run(args, arm, seed)))  # noqa: B023
            note(args.out, started)
    curves = {arm: [read_curve(args, arm, seed) for seed in seeds] for arm in ARMS}
    asked = [cell for part in cells for cell in part]
    picture = draw(curves, DOCS / "interpreter.png" if args.save else Path(args.out, "interpreter.png"))
    print(table(asked))
    print(f"\npicture: {picture}")
    finish("interpreter", *verdict(curves, asked, picture), seeds=seeds, started=started, save=args.save)


# --- one run: train, then ask


def run(args: Args, arm: str, seed: int) -> list[dict[str, Any]]:
    from reasongym.agents import grpo

    out, tool, reward = folder(args, arm, seed), ARMS[arm].tool, ARMS[arm].reward
    env, settings = ENVS[tool]
    flags = ["--env", env, "--model", args.model, "--out", str(out), "--seed", str(seed), "--steps", str(args.steps)]
    parsed = cli.parse(grpo.Args, [*flags, *RECIPE, *(["--shaper", reward] if reward != "truth" else [])])
    parsed.env_settings |= settings
    grpo.main(parsed)
    return ask(args, arm, seed, f"{out}/step-{args.steps:06d}", *dict.fromkeys([tool, *ENVS]))


def folder(args: Args, arm: str, seed: int) -> Path:
    return Path(args.out, f"{arm}-seed{seed}")


def ask(args: Args, arm: str, seed: int, model: str, *tools: str) -> list[dict[str, Any]]:
    """New problems in the environment of the first of ``tools``, sampled and greedily, and in the others'."""
    from reasongym.policies.hf import HF

    policy, few = HF(model, slots=128), max(1, args.problems // 4)
    wanted = [
        (tools[0], "sampled", args.problems),
        (tools[0], "greedy", few),
        *((t, "sampled", few) for t in tools[1:]),
    ]
    cells = []
    for tool, mode, count in wanted:
        cells.append({"arm": arm, "seed": seed, "tool": tool, "mode": mode, **cell(policy, tool, mode, count, seed)})
        print(json.dumps(cells[-1]), flush=True)
    return cells


def cell(policy: Any, tool: str, mode: str, count: int, seed: int) -> dict[str, Any]:
    from reasongym.evaluate import evaluate

    env, settings = ENVS[tool]
    envs = cli.make_envs(env, min(128, count), settings, policy.tokenizer)
    rng = np.random.default_rng((seed, 7))
    problems = [envs[0].unwrapped.task.sample(rng) for _ in range(count)]  # type: ignore[attr-defined]
    done = evaluate(policy, envs, problems, sampling=Sampling(float(mode == "sampled")), seed=seed)
    figures = {k: v for k, v in done.summary().items() if k != "invalid"}
    return {
        **figures,
        "accuracy_at": {budget: accuracy_at(done.attempts, budget) for budget in BUDGETS},
        "guesses": guesses(done.attempts),
        "kinds": kinds(done.attempts),
    }


def accuracy_at(attempts: list[Trajectory], budget: int) -> float:
    """The accuracy with a smaller budget: an answer is a thought's last word, so one that is cut is wrong."""
    return float(np.mean([t.verdict.score * (t.info["used"] <= budget) for t in attempts]))


def kinds(attempts: list[Trajectory]) -> dict[str, Any]:
    """The thoughts that called and those by hand: how many, how often right, how long."""
    called = [t for t in attempts if any(report.get("code_runs", 0) for report in t.info["tools"])]
    fenced = [t for t in attempts if "```python" in t.text and t not in called]
    hand = [t for t in attempts if "```python" not in t.text]
    return {
        name: {
            "n": len(these),
            "accuracy": float(np.mean([t.verdict.score for t in these])) if these else None,
            "tokens": float(np.mean([t.length for t in these])) if these else None,
        }
        for name, these in (("called", called), ("unanswered", fenced), ("by hand", hand))
    }


def guesses(attempts: list[Trajectory]) -> float | None:
    """Of the right answers, the share that neither called nor wrote the honest number of lines."""
    right = [t for t in attempts if t.verdict.score == 1]
    honest = [
        any(report.get("code_runs", 0) for report in t.info["tools"]) or t.text.count("\n") == t.problem.data["n"] + 2
        for t in right
    ]
    return 1.0 - float(np.mean(honest)) if right else None


# --- what a person sees


def read_curve(args: Args, arm: str, seed: int) -> dict[str, list[float]]:
    from reasongym.report.log import read_log

    log = read_log(folder(args, arm, seed) / "metrics.jsonl")
    return {key: [float(line.get(key, 0.0)) for line in log] for key in (*CURVES, "step_s")}


def table(cells: list[dict[str, Any]]) -> str:
    head = f"{'arm':11} {'seed':4} {'asked with':10} {'mode':8} {'n':>4} {'accuracy':>8}  {'95 %':9} {'calls':>6}"
    lines = [f"{head} {'tokens':>6}"]
    for c in cells:
        low, high = c["ci95"]
        lines.append(
            f"{c['arm']:11} {c['seed']:4} {c['tool']:10} {c['mode']:8} {c['problems']:4} {c['accuracy']:8.2f}  "
            f"{low:.2f}-{high:.2f} {c.get('code_runs', 0.0):6.2f} {c['thought_tokens']:6.0f}"
        )
    return "\n".join(lines)


def draw(curves: dict[str, list[dict[str, list[float]]]], path: Path) -> str:
    """Reward, calls and tokens against steps: mean over seeds, and their range."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(15, 4.5), layout="constrained")
    for axis, (key, title) in zip(axes, CURVES.items(), strict=True):
        for arm, runs in curves.items():
            values = np.array([run[key] for run in runs])
            steps = range(1, values.shape[1] + 1)
            axis.plot(steps, values.mean(0), label=NAMES[arm])
            axis.fill_between(steps, values.min(0), values.max(0), alpha=0.2)
        axis.set_title(title)
        axis.set_xlabel("GRPO step (16 problems x 8 attempts)")
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
    axes[0].legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path.name


def verdict(
    curves: dict[str, list[dict[str, list[float]]]], cells: list[dict[str, Any]], picture: str
) -> tuple[bool, dict[str, Any]]:
    """At every seed: with the tool, reward and calls rise and tokens fall, below those of the arm without it.

    With CoRT's reward nearly every thought ends up calling, in at most half the tokens of the arm without.
    """
    arms = [
        {
            "arm": arm,
            "tool": ARMS[arm].tool,
            "reward": ARMS[arm].reward,
            "seed": seed,
            "reward_first": ends(run["score"])[0],
            "reward_last": ends(run["score"])[1],
            "calls": ends(run["code_runs"]),
            "tokens": ends(run["length"]),
            "train_s": sum(run["step_s"]),
        }
        for arm, runs in curves.items()
        for seed, run in enumerate(runs)
    ]
    without = {a["seed"]: a for a in arms if a["tool"] == "none"}
    learned = all(
        a["reward_last"] >= max(0.9, a["reward_first"] + 0.2)
        and a["calls"][1] > a["calls"][0]
        and a["tokens"][1] < min(a["tokens"][0], without[a["seed"]]["tokens"][1])
        for a in arms
        if a["tool"] != "none"
    )
    by_tool = all(
        a["calls"][1] >= 0.9 and a["tokens"][1] <= 0.5 * without[a["seed"]]["tokens"][1]
        for a in arms
        if a["reward"] == "cort"
    )
    over_seeds = {
        arm: {
            "reward_last": spread([ends(run["score"])[1] for run in runs]),
            "calls_last": spread([ends(run["code_runs"])[1] for run in runs]),
            "tokens_last": spread([ends(run["length"])[1] for run in runs]),
        }
        for arm, runs in curves.items()
    }
    return learned and by_tool, {"arms": arms, "over_seeds": over_seeds, "cells": cells, "png": picture}


def ends(curve: list[float], n: int = 5) -> list[float]:
    """The mean of the first and of the last steps."""
    return [float(np.mean(curve[:n])), float(np.mean(curve[-n:]))]


if __name__ == "__main__":
    cli.run(main, Args)
