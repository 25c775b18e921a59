"""Does a wrong response teach what a right one does not? REDI against SFT, DPO and SimPO, on the same pairs.

    python -m benchmarks.redi --seeds 3 [--steps 40] [--out runs/redi-benchmark] [--save]

The model "tiny" attempts problems of the register task; of each, right and wrong attempts are paired. As in the
paper, the first stage is SFT on the right ones; from its model all arms begin, and learn from the same pairs, as many
and in the same order (the arm SFT: more of the first stage). The learning rate of each arm is the one whose model is
right most often on 384 validation problems, at seed 0 (``sweep``: half-decades from 3e-5 to 1e-3, and further down or
up while the best is at an end). At that rate each is trained on the pairs of each seed and asked 512 new problems,
sampled and greedily. Does alpha = 1 collapse where alpha = 0.8 does not? Both are trained at every seed at up to two
rates: those at which the sweep shows just that, or else its highest. What is done is kept in ``--out``: a run that was
stopped goes on from there.

* ``confirmed``: at every seed REDI (alpha = 0.8) is right more often than SFT, DPO and SimPO, sampled.
* ``collapse.confirmed``: there is a rate at which alpha = 1 collapses at every seed and alpha = 0.8 at none. Collapsed:
  the right responses' mean log-probability ends more than 0.5 nats a token below that of the first steps.

Bar (``ok``): every arm is measured at every seed, and its rate is none of the sweep's ends.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import ROOT, finish, kept, note, resumed, spread
from reasongym import cli
from reasongym.core import Sampling

DOCS = ROOT / "docs"
TASK = {"task": "register(low=24, high=60)", "budget": 80}
ARMS = {
    "redi": "--loss redi --alpha 0.8",
    "redi-symmetric": "--loss redi --alpha 1.0",
    "dpo": "--loss dpo --beta 0.1",
    "simpo": "--loss simpo --beta 2 --gamma 1",
    "sft": "--loss sft",
}
NAMES = {"redi": "REDI, alpha .8", "redi-symmetric": "alpha 1", "dpo": "DPO", "simpo": "SimPO", "sft": "SFT"}
BASELINES = ("sft", "dpo", "simpo")
RATES = (1e-6, 3e-6, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
START = (3, 6)  # the sweep begins from RATES[3] to RATES[6]
FIRST_STAGE = "--loss sft --lr 3e-4"
RECIPE = "--batch 32 --warmup 0.1 --decay linear --on-collapse ignore --deterministic --resume --save-every 1000"
COLLAPSE = 0.5  # nats a token
VALIDATION = 1 << 20  # where the random streams of validation problems begin, and below it those of the test
CLAIM = "at every seed REDI (alpha .8) is right more often than SFT, DPO and SimPO, each at the best rate of its sweep"
COLLAPSE_CLAIM = "there is a rate at which alpha = 1 collapses at every seed and alpha = 0.8 at none"


@dataclass
class Args:
    seeds: int = 3
    first_steps: int = 80
    """Of the first stage: as in the paper, some twice as many as of the second."""
    steps: int = 40
    problems: int = 384
    """Problems of each seed that pairs are made of, with 8 attempts; at most two pairs of each."""
    validation: int = 384
    test: int = 512
    out: str = "runs/redi-benchmark"
    model: str = "tiny"
    save: bool = False


def main(args: Args) -> None:
    started = resumed(args.out)
    Path(args.out).mkdir(parents=True, exist_ok=True)
    seeds = tuple(range(args.seeds))

    def done(name: str, make: Any) -> Any:
        found = kept(Path(args.out, f"{name}.json"), make)
        note(args.out, started)
        return found

    base = [
        {"arm": name, "seed": seed, "tokens": 0} | done(f"{name}-seed{seed}", lambda: asked(args, of(seed), seed))  # noqa: B023
        for name, of in (("before", lambda _: args.model), ("first-stage", lambda seed: first_stage(args, seed)))
        for seed in seeds
    ]
    sweep = [
        {"arm": arm, **cell}
        for arm in ARMS
        for cell in swept(lambda rate: done(f"sweep-{arm}-{rate:g}", lambda: tried(args, arm, rate)))  # noqa: B023
    ]
    best = {arm: max((c for c in sweep if c["arm"] == arm), key=lambda c: c["accuracy"])["lr"] for arm in ARMS}
    cells = [
        {"arm": arm, "seed": seed, "lr": best[arm]}
        | done(f"test-{arm}-{best[arm]:g}-seed{seed}", lambda: tested(args, arm, best[arm], seed))  # noqa: B023
        for seed in seeds
        for arm in ARMS
    ]
    high = [
        {"arm": arm, "seed": seed, "lr": rate, **curve(trained(args, arm, rate, seed))}
        for rate in telling(sweep)
        for arm in ("redi", "redi-symmetric")
        for seed in seeds
    ]
    path = DOCS / "redi.png" if args.save else Path(args.out, "redi.png")
    picture = draw(args, sweep, cells, base, high, path)
    print(f"{table(base, cells)}\n\npicture: {picture}")
    ok, figures = verdict(base, sweep, best, cells, high)
    finish("redi", ok, {**figures, "png": picture}, seeds=seeds, started=started, save=args.save)


def swept(cell_of: Callable[[float], dict[str, Any]]) -> list[dict[str, Any]]:
    """Cells of neighbouring rates, of which the best is not at an end if that can be helped."""
    low, high = START
    cells: dict[int, dict[str, Any]] = {}
    while True:
        cells |= {n: {"lr": RATES[n], **cell_of(RATES[n])} for n in range(low, high + 1) if n not in cells}
        best = max(sorted(cells), key=lambda n: cells[n]["accuracy"])
        if best == low > 0:
            low -= 1
        elif best == high < len(RATES) - 1:
            high += 1
        else:
            return [cells[n] for n in sorted(cells)]


def telling(sweep: list[dict[str, Any]]) -> list[float]:
    """Up to two rates at which, in the sweep, alpha = 1 collapses and alpha = 0.8 does not; or the two highest."""
    symmetric, asymmetric = (
        {c["lr"]: c["collapsed"] for c in sweep if c["arm"] == arm} for arm in ("redi-symmetric", "redi")
    )
    both = sorted(symmetric.keys() & asymmetric.keys())
    return [rate for rate in both if symmetric[rate] and not asymmetric[rate]][:2] or both[-2:]


# --- one run: pairs, training, questions


def pairs_of(args: Args, seed: int) -> str:
    """The file of the pairs of a seed, made of the first model's attempts."""
    from reasongym.agents import redi
    from reasongym.policies.hf import HF

    flags = f"--problems {args.problems} --attempts 8 --per-problem 2 --seed {seed} --deterministic --resume"
    parsed = cli.parse(redi.Args, [*flags.split(), "--out", str(Path(args.out, f"pairs-seed{seed}"))])
    parsed.env_settings |= TASK
    return str(redi.sampled(parsed, HF(args.model, slots=128)))


def first_stage(args: Args, seed: int) -> str:
    """The model that all arms of a seed begin from."""
    out = Path(args.out, f"first-stage-seed{seed}")
    return run(args, FIRST_STAGE, args.model, seed, out, args.first_steps)


def trained(args: Args, arm: str, rate: float, seed: int) -> Path:
    out = Path(args.out, f"{arm}-{rate:g}-seed{seed}")
    run(args, f"{ARMS[arm]} --lr {rate:g}", first_stage(args, seed), seed, out, args.steps)
    return out


def run(args: Args, flags: str, model: str, seed: int, out: Path, steps: int) -> str:
    """The last checkpoint of a run, which is made unless it is there."""
    from reasongym.agents import redi

    if not (last := out / f"step-{steps:06d}").exists():
        words = f"{RECIPE} {flags} --steps {steps} --seed {seed} --no-tensorboard".split()
        where = ["--model", model, "--data", pairs_of(args, seed), "--out", str(out)]
        redi.main(cli.parse(redi.Args, [*words, *where]))
    return str(last)


def tried(args: Args, arm: str, rate: float) -> dict[str, Any]:
    """A cell of the sweep."""
    out = trained(args, arm, rate, 0)
    accuracy, low, high, _ = ask(args, checkpoint(args, out), VALIDATION, args.validation, 1.0)
    return {"accuracy": accuracy, "ci95": [low, high], **curve(out)}


def tested(args: Args, arm: str, rate: float, seed: int) -> dict[str, Any]:
    out = trained(args, arm, rate, seed)
    return {**asked(args, checkpoint(args, out), seed), **curve(out)}


def asked(args: Args, model: str, seed: int) -> dict[str, Any]:
    """New problems, the same for all arms of a seed, sampled and greedily."""
    sampled, greedy = ask(args, model, seed, args.test, 1.0), ask(args, model, seed, args.test, 0.0)
    return {"sampled": sampled[0], "greedy": greedy[0], "truncated": sampled[3]}


def checkpoint(args: Args, out: Path) -> str:
    return str(out / f"step-{args.steps:06d}")


def ask(args: Args, model: str, stream: int, count: int, temperature: float) -> tuple[float, float, float, float]:
    """Accuracy with its interval, and the share of thoughts that the budget cut."""
    from reasongym.evaluate import evaluate
    from reasongym.policies.hf import HF

    policy = HF(model, slots=128)
    envs = cli.make_envs("LongCoT-v0", min(128, count), TASK, policy.tokenizer)
    rng = np.random.default_rng((stream, 7))  # training problems are drawn by default_rng(seed)
    posed = [envs[0].unwrapped.task.sample(rng) for _ in range(count)]  # type: ignore[attr-defined]
    done = evaluate(policy, envs, posed, sampling=Sampling(temperature), seed=stream, deterministic=True)
    return done.accuracy, *done.ci95, float(np.mean([t.truncated for t in done.attempts]))


def log_of(out: Path) -> list[dict[str, Any]]:
    from reasongym.report.log import read_log

    return read_log(out / "metrics.jsonl")


def curve(out: Path, n: int = 5) -> dict[str, Any]:
    """What became of both sides' log-probabilities, in nats a token: means of the first and of the last steps."""
    log = log_of(out)
    ends = {
        f"{side}_{when}": float(np.mean([line.get(side, float("nan")) for line in part]))
        for side in ("chosen", "rejected")
        for when, part in (("first", log[:n]), ("last", log[-n:]))
    }
    fallen = ends["chosen_first"] - ends["chosen_last"]
    return {**ends, "collapsed": not fallen <= COLLAPSE, "tokens": sum(line["tokens"] for line in log)}


# --- what a person sees


def table(base: list[dict[str, Any]], cells: list[dict[str, Any]]) -> str:
    lines = [f"{'arm':15} {'lr':>6} {'seed':>4} {'sampled':>8} {'greedy':>7} {'chosen':>7} {'rejected':>8}"]
    lines += [f"{c['arm']:15} {'':6} {c['seed']:4} {c['sampled']:8.3f} {c['greedy']:7.3f}" for c in base]
    for c in cells:
        ends = f"{c['chosen_last']:7.2f} {c['rejected_last']:8.2f}"
        lines.append(f"{c['arm']:15} {c['lr']:6g} {c['seed']:4} {c['sampled']:8.3f} {c['greedy']:7.3f} {ends}")
    return "\n".join(lines)


def draw(args: Args, sweep: Any, cells: Any, base: Any, high: Any, path: Path) -> str:
    """The sweep, the test, and both sides' log-probabilities at the highest rates."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rates = sorted({c["lr"] for c in high})
    figure, axes = plt.subplots(1, 2 + len(rates), figsize=(9 + 5 * len(rates), 4.5), layout="constrained")
    for n, arm in enumerate(ARMS):
        line = [(c["lr"], c["accuracy"]) for c in sweep if c["arm"] == arm]
        axes[0].semilogx(*zip(*line, strict=True), marker="o", label=NAMES[arm])
        for shift, how in ((-0.1, "sampled"), (0.1, "greedy")):
            values = [c[how] for c in cells if c["arm"] == arm]
            axes[1].plot([n + shift] * len(values), values, "o" if how == "sampled" else "x", color=f"C{n}")
    axes[1].axhline(np.mean([c["sampled"] for c in base if c["arm"] != "before"]), color="grey", linestyle=":")
    axes[1].set_xticks(range(len(ARMS)), [NAMES[arm] for arm in ARMS], rotation=20)
    axes[0].set_title("validation accuracy by learning rate, seed 0")
    axes[1].set_title("test accuracy (o sampled, x greedy, dotted: first stage)")
    for axis, rate in zip(axes[2:], rates, strict=True):
        for arm, colour in (("redi", "C0"), ("redi-symmetric", "C1")):
            logs = [log_of(Path(args.out, f"{arm}-{rate:g}-seed{c['seed']}")) for c in high
                    if c["arm"] == arm and c["lr"] == rate]  # fmt: skip
            for side, style in (("chosen", "-"), ("rejected", "--")):
                values = np.array([[line.get(side, np.nan) for line in log] for log in logs])
                axis.plot(values.mean(0), style, color=colour, label=f"{NAMES[arm]}, {side}")
                axis.fill_between(range(values.shape[1]), values.min(0), values.max(0), color=colour, alpha=0.15)
        axis.set_title(f"log-probability a token, learning rate {rate:g}")
        axis.set_xlabel("step (32 pairs)")
    for axis in (axes[0], axes[2]):
        axis.legend()
    for axis in axes:
        axis.grid(alpha=0.3)
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path.name


def verdict(base: Any, sweep: Any, best: dict[str, float], cells: Any, high: Any) -> tuple[bool, dict[str, Any]]:
    """Both claims, with what they rest on."""
    rows = [
        {"arm": c["arm"], "seed": c["seed"], "metric": metric, "value": c[how], "tokens_or_samples": c["tokens"]}
        for c in [*base, *cells]
        for how, metric in (("sampled", "accuracy_sampled"), ("greedy", "accuracy_greedy"))
    ]
    sampled = {arm: [c["sampled"] for c in cells if c["arm"] == arm] for arm in ARMS}
    ahead = {arm: [a - b for a, b in zip(sampled["redi"], sampled[arm], strict=True)] for arm in ARMS if arm != "redi"}
    found = fallen(high)
    figures = {
        "rows": rows,
        "claim": CLAIM,
        "confirmed": all(x > 0 for arm in BASELINES for x in ahead[arm]),
        "accuracy": {
            arm: spread([c["sampled"] for c in [*base, *cells] if c["arm"] == arm])
            for arm in dict.fromkeys(c["arm"] for c in [*base, *cells])
        },
        "redi_ahead_of": {arm: {**spread(values), "by_seed": values} for arm, values in ahead.items()},
        "sweep": sweep,
        "best_rate": best,
        "collapse": {"claim": COLLAPSE_CLAIM, "confirmed": bool(found), "rates": found, "runs": high},
        "cells": cells,
    }
    tried = {arm: [c["lr"] for c in sweep if c["arm"] == arm] for arm in ARMS}
    inside = all(min(tried[arm]) < rate < max(tried[arm]) for arm, rate in best.items())
    return inside and len({len(values) for values in sampled.values()}) == 1, figures


def fallen(high: Any) -> list[float]:
    """The rates at which alpha = 1 collapses at every seed and alpha = 0.8 at none."""

    def share(arm: str, rate: float) -> float:
        return float(np.mean([c["collapsed"] for c in high if c["arm"] == arm and c["lr"] == rate]))

    rates = dict.fromkeys(c["lr"] for c in high)
    return [rate for rate in rates if share("redi-symmetric", rate) == 1 and share("redi", rate) == 0]


if __name__ == "__main__":
    cli.run(main, Args)
