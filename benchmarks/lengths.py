"""Do rewards of thinking lengths change how long a model thinks, and when? GRPO from one checkpoint, an arm a reward.

    python -m benchmarks.lengths --seeds 3 [--arms grpo,hapo] [--out runs/lengths] [--save]

The task is `reasongym.tasks.recheck`, which has slack to cut: of what the first model writes half are needless checks,
and it often answers at once. That model is made here, from nothing. All arms learn on the same problems, with the same
settings and as many attempts, but for what the reward or the budget says; ``no_balance`` and ``length_alone`` are
AutoThink without its safeguards. Each is asked the same new problems at the end. What is done is kept in ``--out``: a
run that was stopped goes on from there, and two that are started at once share the work.
"""

from __future__ import annotations

import fcntl
import json
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import ROOT, finish, spread
from reasongym import cli, parts
from reasongym.core import Sampling, Trajectory

DOCS = ROOT / "docs"
ENV = {"answer_after": "=", "budget": 128}
LEVELS = 5  # of the six that the first model has seen
POOL = f"pool(task='recheck(high={LEVELS})', n=96)"  # HAPO's histories and AdaptThink's references want problems again
SHOWN = {"checks": 0.5, "slip": 0.06, "haste": 0.4}
SFT = (  # flags, and the share of easy problems that are answered at once
    ("--model tiny --fresh --lr 3e-3 --steps 1200", 0.5),
    ("--lr 2e-3 --steps 400 --seed 1", 0.6),
)
RECIPE = "--prompts 16 --group 8 --updates 4 --loss-norm token --lr 2e-4 --save-every 1000 --resume".split()
SIRI = "cosine(high=96, low=32, period=40)"
CURVES = ("score", "length", "no_think", "truncated")
EASY, HARD = (1, 2, 3), (4, 5)
LEVEL_NAMES = [str(level) for level in (*EASY, *HARD)]
SHORTENERS = ("laser_d", "hapo", "l1", "long2short")
CHOOSERS = ("autothink", "adaptthink", "no_balance", "length_alone", "outweighed")


@dataclass(frozen=True)
class Stage:
    """A part of a run: what it pays, other flags, and its share of the steps."""

    shaper: str = ""
    flags: str = ""
    share: float = 1.0


ADAPT = "adaptthink(closer='=', no_think='=', think=':', attempts=8, no_think_budget=8)"
ARMS: dict[str, tuple[Stage, ...]] = {
    "grpo": (Stage(),),
    "laser_d": (Stage("laser/laser-d(target=8, stride=4, limit=128, monitor=64, every=20)"),),
    "hapo": (Stage("hapo"),),
    "l1": (Stage("laser/l1-max(target=32, alpha=0.02)"),),
    "long2short": (Stage("long2short(strength=0.2)"),),
    "autothink": (
        Stage("autothink(stage=1, closer='=', guard_tokens=8)", share=0.5),
        Stage("autothink(stage=2, closer='=', guard_tokens=8)", share=0.25),
        Stage("autothink(stage=3, closer='=', guard_tokens=8)", share=0.25),
    ),
    "no_balance": (Stage("autothink(stage=2, closer='=', guard_tokens=8)"),),
    # its advantages are not divided by their deviation: a higher rate (the paper's is twice that of the others)
    "adaptthink": (Stage(ADAPT, "--advantage identity --ratio geometric --loss-norm trajectory --lr 4e-4"),),
    # AutoThink's own length term from the first step on, twenty times as strong; and one that outweighs the truth
    "length_alone": (Stage("autothink(stage=3, closer='=', guard_tokens=8, alpha=1.0, beta=1.0)"),),
    "outweighed": (Stage("laser/l1-exact(target=5, alpha=0.05)"),),
    "siri": (Stage(flags=f'--schedule "{SIRI}"'),),
    "fixed_cap": (Stage(flags="--budget 64"),),
}


@dataclass
class Args:
    seeds: int = 3
    arms: str = ""
    """Only these, with commas between; all by default."""
    steps: int = 60
    problems: int = 2000
    """New problems that each arm is asked at the end."""
    out: str = "runs/lengths"
    save: bool = False
    so_far: bool = False
    """Report what there is in --out and make nothing more."""


def main(args: Args) -> None:
    started = time.perf_counter()
    seeds, arms = tuple(range(args.seeds)), args.arms.split(",") if args.arms else list(ARMS)
    Path(args.out).mkdir(parents=True, exist_ok=True)
    wanted: dict[Path, Callable[[], dict[str, Any]]] = {Path(args.out, "base.json"): partial(first, args)}
    wanted |= {
        Path(args.out, f"{arm}-seed{seed}.json"): partial(run, args, arm, seed) for seed in seeds for arm in arms
    }
    for wait in () if args.so_far else (False, True):  # first what no other process is at
        for number, (path, make) in enumerate(wanted.items()):
            kept(path, make, wait or not number)
    rows = [json.loads(path.read_text()) for path in wanted if path.exists()]
    rows.sort(key=lambda r: ["base", *ARMS].index(r["method"]))
    print(table(rows))
    if "grpo" not in arms:
        return
    picture = draw(rows, DOCS / "lengths.png" if args.save else Path(args.out, "lengths.png"))
    print(f"\npicture: {picture}")
    finish("lengths", *verdict(rows, picture), seeds=seeds, started=started, save=args.save)


def kept(path: Path, make: Callable[[], dict[str, Any]], wait: bool) -> dict[str, Any]:
    """What is in the file, made where there is none yet; {} where another process is making it and ``wait`` is off."""
    with claimed(path.with_suffix(".lock"), wait) as mine:
        if mine and not path.exists():
            started = time.perf_counter()
            made = make()
            draft = path.with_suffix(".part")
            draft.write_text(json.dumps({**made, "seconds": time.perf_counter() - started}))
            draft.replace(path)
        return json.loads(path.read_text()) if path.exists() else {}


@contextmanager
def claimed(path: Path, wait: bool) -> Iterator[bool]:
    """Whether this process alone holds ``path`` within the block: a lock that ends with its process."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True


# --- one run: train, then ask


def first(args: Args) -> dict[str, Any]:
    """The model that all arms begin with."""
    from reasongym.agents import sft

    for number, (flags, direct) in enumerate(SFT, 1):
        begin = ["--model", newest(args, "base", number - 1)] if number > 1 else []
        out = str(Path(args.out, "base", f"stage-{number}"))
        parsed = cli.parse(sft.Args, [*begin, *flags.split(), "--out", out, "--resume"])
        parsed.env_settings |= {"task": "recheck", "direct": direct, **SHOWN}
        sft.main(parsed)
    return row(args, "base", 0, newest(args, "base", len(SFT)), [])


def run(args: Args, arm: str, seed: int) -> dict[str, Any]:
    """All stages of an arm, each from the end of the one before."""
    from reasongym.agents import grpo
    from reasongym.report.log import read_log

    model, curve = newest(args, "base", len(SFT)), []
    for number, stage in enumerate(ARMS[arm], 1):
        out, steps = Path(args.out, f"{arm}-seed{seed}", f"stage-{number}"), round(args.steps * stage.share)
        flags = ["--env", "LongCoT-v0", "--model", model, "--out", str(out), "--seed", str(seed), "--steps", str(steps)]
        parsed = cli.parse(grpo.Args, [*flags, *RECIPE, "--shaper", stage.shaper, *shlex.split(stage.flags)])
        parsed.env_settings |= {"task": POOL, **ENV}
        grpo.main(parsed)
        curve += [{key: line.get(key, 0.0) for key in CURVES} for line in read_log(out / "metrics.jsonl")]
        model = newest(args, f"{arm}-seed{seed}", number)
    return row(args, arm, seed, model, curve)


def newest(args: Args, name: str, stage: int) -> str:
    """The last checkpoint of a stage."""
    from reasongym.algos import checkpoint

    return str(checkpoint.steps(Path(args.out, name, f"stage-{stage}"))[-1])


def row(args: Args, arm: str, seed: int, model: str, curve: list[dict[str, float]]) -> dict[str, Any]:
    """The figures of one model: new problems, sampled at a temperature of 1."""
    from reasongym.evaluate import evaluate
    from reasongym.policies.hf import HF

    policy = HF(model, slots=128)
    settings = {"task": "recheck", "high": LEVELS, **ENV}
    envs = cli.make_envs("LongCoT-v0", min(128, args.problems), settings, policy.tokenizer)
    rng = np.random.default_rng(7)  # the same problems for all
    problems = [envs[0].unwrapped.task.sample(rng) for _ in range(args.problems)]  # type: ignore[attr-defined]
    done = evaluate(policy, envs, problems, sampling=Sampling(1.0), seed=seed)
    levels = {str(level): part.attempts for level, part in done.by(lambda p: p.level).items()}
    return {
        "method": arm,
        "seed": seed,
        "n": len(done.attempts),
        "accuracy": done.accuracy,
        "ci95": list(done.ci95),
        "tokens": tokens(done.attempts),
        "no_think_share": no_think(done.attempts),
        "checks": float(np.mean([t.text.count("?") for t in done.attempts])),
        "n_by_level": {level: len(these) for level, these in levels.items()},
        "accuracy_by_level": {level: accuracy(these) for level, these in levels.items()},
        "tokens_by_level": {level: tokens(these) for level, these in levels.items()},
        "no_think_share_by_level": {level: no_think(these) for level, these in levels.items()},
        "curve": curve,
    }


def accuracy(attempts: Sequence[Trajectory]) -> float:
    return float(np.mean([t.verdict.score for t in attempts]))


def tokens(attempts: Sequence[Trajectory]) -> float:
    return float(np.mean([t.length for t in attempts]))


def no_think(attempts: Sequence[Trajectory]) -> float:
    return float(np.mean([t.info["mode"] == "no_think" for t in attempts]))


# --- what a person sees


def table(rows: list[dict[str, Any]]) -> str:
    lines = [f"{'method':12} seed     n  accuracy  95 %      tokens  checks  no-think; tokens and no-think by level"]
    for r in rows:
        low, high = r["ci95"]
        by = [f"{r['tokens_by_level'][k]:3.0f} {r['no_think_share_by_level'][k]:.2f}" for k in r["tokens_by_level"]]
        lines.append(
            f"{r['method']:12} {r['seed']:4} {r['n']:5}  {r['accuracy']:8.3f}  {low:.2f}-{high:.2f} {r['tokens']:7.1f} "
            f"{r['checks']:7.2f} {r['no_think_share']:9.2f};  {' | '.join(by)}"
        )
    return "\n".join(lines)


def draw(rows: list[dict[str, Any]], path: Path) -> str:
    """Accuracy against thought tokens; who thinks at which level; SIRI's lengths under its cap."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(17, 5), layout="constrained")
    for number, (method, runs) in enumerate(by_method(rows).items()):
        mark = {"color": f"C{number % 10}", "marker": "osD^vPX*"[number % 8], "label": method.replace("_", " ")}
        axes[0].scatter([r["tokens"] for r in runs], [r["accuracy"] for r in runs], **mark)
        if method in ("base", "grpo", *CHOOSERS):
            shares = np.mean([list(r["no_think_share_by_level"].values()) for r in runs], axis=0)
            axes[1].plot([int(k) for k in runs[0]["no_think_share_by_level"]], shares, **mark)
        if method in ("siri", "fixed_cap"):
            axes[2].plot(np.mean([lengths(r) for r in runs], axis=0), **{**mark, "marker": ""})
    axes[2].plot([parts.make("schedules", SIRI)(t) for t in range(steps_of(rows))], "k:", label="SIRI's cap")
    for axis, x, y in zip(
        axes,
        ("thought tokens", "level (steps to take)", "step (16 problems x 8 attempts)"),
        ("accuracy", "share that answers at once", "sampled tokens"),
        strict=True,
    ):
        axis.set(xlabel=x, ylabel=y)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path.name


def by_method(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    return {method: [r for r in rows if r["method"] == method] for method in dict.fromkeys(r["method"] for r in rows)}


def lengths(row: dict[str, Any]) -> list[float]:
    return [line["length"] for line in row["curve"]]


def steps_of(rows: list[dict[str, Any]]) -> int:
    return max(len(r["curve"]) for r in rows)


def verdict(rows: list[dict[str, Any]], picture: str) -> tuple[bool, dict[str, Any]]:
    """Each claim as measured, over the mean of the seeds; all of them make ``ok``."""
    runs = by_method(rows)
    delta = {method: against(runs["grpo"], runs[method]) for method in runs if method not in ("base", "grpo")}
    claims = claims_of(runs, delta)
    figures = {
        "rows": [{k: v for k, v in r.items() if k not in ("curve", "seconds")} for r in rows],
        "delta_vs_grpo": delta,
        "claims": claims,
        "siri": {"caps": SIRI, "correlation": [follows(r) for r in runs.get("siri", [])]},
        "trained_tokens": {m: [sum(lengths(r)) * 128 for r in these] for m, these in runs.items() if m != "base"},
        "runs_s": sum(r["seconds"] for r in rows),
        "png": picture,
    }
    return all(claims.values()) and len(runs) == len(ARMS) + 1, figures


def against(grpo: list[dict[str, Any]], runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Seed by seed: accuracy less that of plain GRPO, and what share of its tokens is cut, in all and at each level."""
    plain = {r["seed"]: r for r in grpo}
    pairs = [(r, plain[r["seed"]]) for r in runs if r["seed"] in plain]
    return {
        "accuracy": spread([r["accuracy"] - g["accuracy"] for r, g in pairs]),
        "cut": spread([1 - r["tokens"] / g["tokens"] for r, g in pairs]),
        "cut_by_level": {
            level: float(np.mean([1 - r["tokens_by_level"][level] / g["tokens_by_level"][level] for r, g in pairs]))
            for level in grpo[0]["tokens_by_level"]
        },
    }


def claims_of(runs: dict[str, list[dict[str, Any]]], delta: dict[str, Any]) -> dict[str, bool]:
    """What the papers would have, by the means over seeds."""
    claims = {
        f"{m}_cuts_30_within_2_points": delta[m]["cut"]["mean"] >= 0.3 and delta[m]["accuracy"]["mean"] >= -0.02
        for m in SHORTENERS
        if m in runs
    }
    if "laser_d" in runs:
        cut = delta["laser_d"]["cut_by_level"]
        claims["laser_d_cuts_easy_more"] = mean_at(cut, EASY) > mean_at(cut, HARD)
    for m in ("autothink", "adaptthink"):
        if m in runs:
            shares = {k: float(np.mean([r["no_think_share_by_level"][k] for r in runs[m]])) for k in LEVEL_NAMES}
            claims[f"{m}_thinks_where_hard"] = mean_at(shares, EASY) >= 0.75 and mean_at(shares, HARD) <= 0.1
    if "no_balance" in runs:
        claims["all_think_without_balance"] = mean_of(runs["no_balance"], "no_think_share") <= 0.05
    if "length_alone" in runs:
        claims["all_no_think_by_length_alone"] = mean_of(runs["length_alone"], "no_think_share") >= 0.95
    if "outweighed" in runs:
        claims["all_no_think_where_length_outweighs"] = mean_of(runs["outweighed"], "no_think_share") >= 0.95
    if {"siri", "fixed_cap"} <= runs.keys():
        claims["siri_follows_its_cap"] = all(follows(r) >= 0.5 for r in runs["siri"])
        ours, fixed = ([mean_of(runs[m], key) for key in ("tokens", "accuracy")] for m in ("siri", "fixed_cap"))
        claims["siri_no_longer_no_worse"] = ours[0] <= fixed[0] and ours[1] >= fixed[1]
    return claims


def follows(row: dict[str, Any]) -> float:
    """The correlation of a run's lengths with SIRI's cap, step by step."""
    cap = parts.make("schedules", SIRI)
    return float(np.corrcoef(lengths(row), [cap(t) for t in range(len(row["curve"]))])[0, 1])


def mean_of(runs: list[dict[str, Any]], key: str) -> float:
    return float(np.mean([r[key] for r in runs]))


def mean_at(by_level: dict[str, float], levels: Sequence[int]) -> float:
    return float(np.mean([by_level[str(level)] for level in levels]))


if __name__ == "__main__":
    cli.run(main, Args)
