"""Is the mean of specialists better than the best of them? Spectrum: SFT, probing by sub-domain, merging.

    python -m benchmarks.merge --seeds 3 [--out runs/merge] [--save]

Four sub-domains, each a rule that turns some digits into others, and the small model from random weights. A common
start is trained on all of them; from it one branch a sub-domain, with most of its examples from there. The agent
`spectrum` asks every checkpoint of all branches, picks a specialist a sub-domain by pass@k, and merges them evenly.
Once more as in the paper, where all checkpoints are those of one run: here the start, trained on for as many steps as
all branches have together (the same compute). All are then asked new problems of all sub-domains. What is done is kept
in ``--out``: a run that was stopped goes on.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import finish, note, resumed, spread
from reasongym import cli, parts
from reasongym.core import Problem, UserError, Verdict

KINDS = ("reverse", "sort", "next", "rotate")


@dataclass(frozen=True)
class Digits:
    """``r2719=`` and the digits turned by a rule: reversed, sorted, each one more (mod 10), or the first put last."""

    kind: str = "reverse"
    size: int = 5

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UserError(f"digits: kind={self.kind!r} must be one of {', '.join(KINDS)}")

    def sample(self, rng: np.random.Generator, level: int = 0) -> Problem:
        given = rng.integers(10, size=self.size)
        turned = {
            "reverse": given[::-1],
            "sort": np.sort(given),
            "next": (given + 1) % 10,
            "rotate": np.roll(given, -1),
        }[self.kind]
        return Problem.of(f"{self.kind[:2]}{written(given)}=", written(turned), level)

    def verify(self, problem: Problem, text: str) -> Verdict:
        return Verdict(float(text == problem.answer), text)

    def demonstrate(self, problem: Problem, rng: np.random.Generator) -> str:
        return str(problem.answer)


def written(digits: Any) -> str:
    return "".join(map(str, digits))


# --- the benchmark

TASKS = {kind: f"benchmarks.merge:Digits(kind={kind!r})" for kind in KINDS}
SHARE = 0.7  # of a branch's examples that are of its own sub-domain
BATCH = 32
RECIPE = f"--env LongCoT-v0 --env.budget 12 --batch {BATCH} --row 512 --keep 1000 --resume --no-tensorboard".split()
PROBE = "--env LongCoT-v0 --env.budget 12 --problems 32 --k 2 --attempts 8 --resume".split()
CLAIM = "the even merge of specialists is better on the mean of all sub-domains than the best single specialist"


@dataclass
class Args:
    seeds: int = 3
    start: int = 700
    """SFT steps of the common start."""
    branch: int = 100
    """Of each branch; the one long run has as many as all of them."""
    problems: int = 128
    """New ones of each sub-domain at the end."""
    out: str = "runs/merge"
    save: bool = False


def main(args: Args) -> None:
    started = resumed(args.out)
    Path(args.out).mkdir(parents=True, exist_ok=True)
    cells = []
    for seed in range(args.seeds):
        path = Path(args.out, f"cells-{seed}.json")
        if not path.exists():
            path.write_text(json.dumps(run(args, seed)))
        cells += json.loads(path.read_text())
        note(args.out, started)
    print(table(cells))
    figures = verdict(cells)
    finish("merge", figures["confirmed"], figures, seeds=range(args.seeds), started=started, save=args.save)


def run(args: Args, seed: int) -> list[dict[str, Any]]:
    """Train, probe and merge at one seed, then ask everybody."""
    out = Path(args.out, f"seed{seed}")
    even = [1.0] * len(KINDS)
    start = train(out / "start", seed, args.start, args.start, even, ["--model", "tiny", "--fresh", "--lr", "3e-3"])
    on = ["--model", start, "--lr", "1e-3", "--warmup", "0"]
    rest = (1 - SHARE) / (len(KINDS) - 1)
    branches = {
        kind: train(
            out / kind, seed + 1, args.branch, args.branch // 2, [SHARE if k == kind else rest for k in KINDS], on
        )
        for kind in KINDS
    }
    long = train(out / "long", seed + 1, args.branch * len(KINDS), args.branch, even, on)
    asked = {"start": start, "one long run": long}
    for name, runs in {"branches": [str(out / kind) for kind in branches], "one run": [str(out / "long")]}.items():
        merged, specialists = pick(out / f"spectrum {name}", seed, runs)
        asked |= {f"specialist in {kind}, {name}": folder for kind, folder in specialists.items()}
        asked[f"merge, {name}"] = merged
    whole = args.start + args.branch * len(KINDS)  # behind a merge, and behind the one long run
    steps = {arm: args.start if arm == "start" else whole for arm in asked}
    steps |= {arm: args.start + args.branch for arm in asked if arm.endswith(", branches") and "merge" not in arm}
    named = [{"arm": arm, "seed": seed, "model": model, "examples": BATCH * steps[arm]} for arm, model in asked.items()]
    told = {model: ask(args, model, seed) for model in dict.fromkeys(asked.values())}
    return [{**these, **told[these["model"]]} for these in named]


def train(out: Path, seed: int, steps: int, every: int, weights: Sequence[float], more: list[str]) -> str:
    from reasongym.agents import sft

    flags = ["--out", str(out), "--seed", str(seed), "--steps", str(steps), "--save-every", str(every)]
    parsed = cli.parse(sft.Args, [*RECIPE, *flags, *more])
    parsed.env_settings["task"] = f"mixture(tasks={[*TASKS.values()]!r}, weights={[*weights]!r})"
    sft.main(parsed)
    return f"{out}/step-{steps:06d}"


def pick(out: Path, seed: int, runs: list[str]) -> tuple[str, dict[str, str]]:
    """The merged model, and each sub-domain's specialist."""
    from reasongym.agents import spectrum

    if not (out / "spectrum.json").exists():
        args = cli.parse(spectrum.Args, [*PROBE, "--out", str(out), "--seed", str(seed)])
        args.runs, args.probes = tuple(runs), dict(TASKS)
        spectrum.main(args)
    return str(out / "merged"), json.loads((out / "spectrum.json").read_text())["specialists"]


def ask(args: Args, model: str, seed: int) -> dict[str, Any]:
    """The accuracy on new problems of each sub-domain, sampled, and their mean."""
    from reasongym.evaluate import evaluate
    from reasongym.policies.hf import HF

    policy, by = HF(model, slots=128), {}
    for kind, task in TASKS.items():
        envs = cli.make_envs("LongCoT-v0", min(128, args.problems), {"budget": 12, "task": task}, policy.tokenizer)
        rng = np.random.default_rng((seed, 7))
        problems = [parts.make("tasks", task).sample(rng) for _ in range(args.problems)]
        by[kind] = evaluate(policy, envs, problems, seed=seed + 100).accuracy
    print(json.dumps({"model": model, "by": by}), flush=True)
    return {"value": float(np.mean([*by.values()])), "by": by}


# --- what a person sees


def verdict(cells: list[dict[str, Any]]) -> dict[str, Any]:
    """Confirmed: the merge of the branches' specialists less the best of them, by seed, is above 0 by its interval."""
    less = {name: spread(merge_less_best(cells, name)) for name in ("branches", "one run")}
    plain = {c["seed"]: c["value"] for c in cells if c["arm"] == "one long run"}
    over = [c["value"] - plain[c["seed"]] for c in cells if c["arm"] == "merge, branches"]
    rows = [
        {"arm": c["arm"], "seed": c["seed"], "metric": metric, "value": value, "tokens_or_samples": c["examples"]}
        for c in cells
        for metric, value in {"mean of all sub-domains": c["value"], **c["by"]}.items()
    ]
    first = less["branches"]
    return {
        "claim": CLAIM,
        "confirmed": bool(first["mean"] - first["ci95"] > 0),
        "merge_less_best_specialist": less,
        "merge_of_branches_less_one_long_run": spread(over),
        "rows": rows,
        "cells": [{**c, "model": "/".join(Path(c["model"]).parts[-2:])} for c in cells],
    }


def merge_less_best(cells: list[dict[str, Any]], name: str) -> list[float]:
    """At each seed, by the mean of all sub-domains; the best specialist is the best in hindsight."""
    best: dict[int, float] = {}
    for c in cells:
        if c["arm"].startswith("specialist") and c["arm"].endswith(f", {name}"):
            best[c["seed"]] = max(c["value"], best.get(c["seed"], 0.0))
    return [c["value"] - best[c["seed"]] for c in cells if c["arm"] == f"merge, {name}"]


def table(cells: list[dict[str, Any]]) -> str:
    lines = [f"{'model':32} {'mean':>6} " + " ".join(f"{kind:>8}" for kind in KINDS) + "  mean at each seed"]
    for arm in dict.fromkeys(c["arm"] for c in cells):
        these = [c for c in cells if c["arm"] == arm]
        by = " ".join(f"{np.mean([c['by'][kind] for c in these]):8.3f}" for kind in KINDS)
        each = " ".join(f"{c['value']:.3f}" for c in these)
        lines.append(f"{arm:32} {np.mean([c['value'] for c in these]):6.3f} {by}  {each}")
    return "\n".join(lines)


if __name__ == "__main__":
    cli.run(main, Args)
