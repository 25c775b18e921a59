"""Does MR-RLVR's first stage pay? Filling masks and ordering steps before GRPO on answers, at equal compute.

    python -m benchmarks.mr --seeds 3 [--steps 32] [--pre 12] [--out runs/mr] [--save]

The problems are five doublings (`reasongym.tasks.doubling`) by hand; 4,000 are trained on, others are asked. One model,
made here by a short SFT from fresh weights on all three forms, shown by somebody who forgets carries, starts both arms:
``plain`` is GRPO on the answers, ``mr`` spends ``--pre`` of its steps on masked and reordered solutions and the rest on
the answers. A step is 128 attempts in both. What is done is kept in ``--out``: a run that was stopped goes on from
there.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import ROOT, finish, kept, note, resumed, spread
from reasongym import cli, parts
from reasongym.core import Problem, UserError
from reasongym.metrics import bootstrap_ci, pass_at_k

DOCS = ROOT / "docs"
ENV, BUDGET = "LongCoT-v0", 64
CLAIM = "filling masks and ordering steps before GRPO on answers beats GRPO on answers alone, held out, equal compute"
MASKS = "kinds=('step',), slots=3, least=5, form='whole'"
RECIPE = "--prompts 16 --group 8 --updates 2 --loss-norm token --lr 1e-4 --save-every 1000 --resume --no-tensorboard"
SFT = "--model tiny --fresh --lr 3e-3 --batch 16 --row 288 --save-every 100 --resume --no-tensorboard"
ATTEMPTS = 4  # at each held-out problem


@dataclass
class Args:
    seeds: int = 3
    steps: int = 32
    """GRPO steps of each arm, all stages together."""
    pre: int = 12
    """Of these, how many the arm "mr" spends on masked and reordered solutions."""
    sft_steps: int = 600
    train: int = 4000
    problems: int = 256
    """Held-out problems, asked four times each."""
    out: str = "runs/mr"
    save: bool = False


def tasks(args: Args, careless: bool = False, held_out: bool = False) -> dict[str, str]:
    """The three forms of the training problems, or of others, some of which are the same.

    Shown by somebody careless, what stands in the last two is careless too.
    """
    n, seed = (4 * args.problems, 1) if held_out else (args.train, 0)
    source = f"pool(task='doubling(low=5, high=5, careless={careless})', n={n}, seed={seed})"
    more = ", right=False, fresh=True" if careless else ""
    return {
        "answers": source,
        "masked": f"masked(task={source!r}, {MASKS}{more})",
        "reorder": f"reorder(task={source!r}, form='whole'{more})",
    }


def settings(args: Args, *names: str, careless: bool = False) -> dict[str, Any]:
    """Of the environment that poses one of the forms, or several in turn."""
    made = [tasks(args, careless)[name] for name in names]
    posed = {"task": made[0]} if len(made) == 1 else {"task": "mixture", "tasks": made}
    return {**posed, "budget": BUDGET}


def stages(args: Args, arm: str) -> list[tuple[tuple[str, ...], int]]:
    """What an arm is trained on, and for how many steps: the same number in all."""
    if arm == "plain":
        return [(("answers",), args.steps)]
    return [(("masked", "reorder"), args.pre), (("answers",), args.steps - args.pre)]


def main(args: Args) -> None:
    if not 0 < args.pre < args.steps:
        raise UserError(f"--pre {args.pre} must be above 0 and below --steps {args.steps}")
    started = resumed(args.out)
    Path(args.out).mkdir(parents=True, exist_ok=True)
    base = begin(args)
    cells = [kept(Path(args.out, "base.json"), lambda: ask(args, "base", 0, base))]
    for seed in range(args.seeds):
        for arm in ("plain", "mr"):
            made = kept(Path(args.out, f"{arm}-seed{seed}.json"), lambda: run(args, arm, seed, base))  # noqa: B023
            cells.append(made)
            note(args.out, started)
    curves = {(arm, seed): read(args, arm, seed) for arm in ("plain", "mr") for seed in range(args.seeds)}
    picture = draw(curves, DOCS / "mr.png" if args.save else Path(args.out, "mr.png"))
    ok, figures = verdict([row for cell in cells for row in cell])
    figures["curves"] = [
        {"arm": arm, "seed": seed, "stage": n + 1, "asked": names, "scores": scores}
        for (arm, seed), run in curves.items()
        for n, (names, scores, _) in enumerate(run)
    ]
    print(f"\npicture: {picture}")
    finish("mr", ok, {**figures, "png": picture}, seeds=range(args.seeds), started=started, save=args.save)


# --- one run: train, then ask


def begin(args: Args) -> str:
    """The model that knows the three forms, carelessly."""
    from reasongym.agents import sft

    last = Path(args.out, "base", f"step-{args.sft_steps:06d}")
    if not last.exists():
        parsed = cli.parse(
            sft.Args, [*SFT.split(), "--env", ENV, "--out", str(last.parent), "--steps", str(args.sft_steps)]
        )
        parsed.env_settings |= settings(args, "answers", "masked", "reorder", careless=True)
        sft.main(parsed)
    return str(last)


def run(args: Args, arm: str, seed: int, model: str) -> list[dict[str, Any]]:
    from reasongym.agents import grpo

    rows = []
    for number, (names, steps) in enumerate(stages(args, arm)):
        out = folder(args, arm, seed, number)
        flags = ["--env", ENV, "--model", model, "--out", str(out), "--seed", str(seed), "--steps", str(steps)]
        parsed = cli.parse(grpo.Args, [*flags, *RECIPE.split()])
        parsed.warmup *= number == 0  # one warm-up an arm, or the two stages would pay for two
        parsed.env_settings |= settings(args, *names)
        grpo.main(parsed)
        model = f"{out}/step-{steps:06d}"
        rows += ask(args, arm, seed, model, stage=number + 1)
    return rows


def folder(args: Args, arm: str, seed: int, number: int) -> Path:
    return Path(args.out, f"{arm}-seed{seed}-stage{number + 1}")


def read(args: Args, arm: str, seed: int) -> list[tuple[tuple[str, ...], list[float], int]]:
    """Of each stage: what was asked, the mean score of each step, and the sampled tokens."""
    from reasongym.report.log import read_log

    found = []
    for number, (names, _) in enumerate(stages(args, arm)):
        log = read_log(folder(args, arm, seed, number) / "metrics.jsonl")
        tokens = round(sum(line["length"] for line in log) * attempts_a_step())
        found.append((names, [line["score"] for line in log], tokens))
    return found


def attempts_a_step() -> int:
    words = RECIPE.split()
    return int(words[words.index("--prompts") + 1]) * int(words[words.index("--group") + 1])


def ask(args: Args, arm: str, seed: int, model: str, stage: int = 0) -> list[dict[str, Any]]:
    """What a model makes of problems that no training saw, in the three forms."""
    from reasongym.evaluate import evaluate
    from reasongym.policies.hf import HF

    policy, values = HF(model, slots=128), dict[str, tuple[float, list[float], int]]()
    done = read(args, arm, seed)[:stage] if stage else []
    for name in tasks(args):
        k, problems = ATTEMPTS if name == "answers" else 1, asked(args, name)
        envs = cli.make_envs(ENV, min(128, k * len(problems)), settings(args, name), policy.tokenizer)
        found = evaluate(policy, envs, problems, k=k, seed=seed)
        values["accuracy" if name == "answers" else name] = (found.accuracy, list(found.ci95), len(problems))
        for few in (2, ATTEMPTS) if name == "answers" else ():
            each = [pass_at_k(len(group), sum(t.verdict.score >= 1 for t in group), few) for group in found.batch]
            interval = bootstrap_ci(each, np.random.default_rng(0))
            values[f"pass@{few}"] = (float(np.mean(each)), list(interval), len(problems))
    cost = {"tokens_or_samples": sum(tokens for *_, tokens in done)}
    cost["attempts"] = attempts_a_step() * sum(len(scores) for _, scores, _ in done)
    rows = [
        {"arm": arm, "seed": seed, "stage": stage, "metric": metric, "value": value, "ci95": ci95, "n": n, **cost}
        for metric, (value, ci95, n) in values.items()
    ]
    print("\n".join(map(json.dumps, rows)), flush=True)
    return rows


def asked(args: Args, name: str) -> list[Problem]:
    """``--problems`` problems of one form whose question is not among those that are trained on."""
    pool, task = (parts.make("tasks", spec) for spec in (tasks(args)["answers"], tasks(args, held_out=True)[name]))
    trained = {question(pool.problem(i)) for i in range(len(pool))}
    new = (problem for i in range(len(task)) if question(problem := task.problem(i)) not in trained)
    return list(islice(new, args.problems))


def question(problem: Problem) -> str:
    return problem.prompt.partition("=")[0]


# --- what a person sees


def draw(curves: dict[tuple[str, int], list[tuple[tuple[str, ...], list[float], int]]], path: Path) -> str:
    """The score against attempts; the first stage's is that of other questions, and dotted."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for (arm, seed), run in curves.items():
        at = 0
        for names, scores, _ in run:
            xs = attempts_a_step() * (at + 1 + np.arange(len(scores)))
            answers, colour = names == ("answers",), "C0" if arm == "plain" else "C1"
            label = f"{arm}, {'answers' if answers else 'masks and order'}" if seed == 0 else None
            axis.plot(xs, scores, color=colour, linestyle="-" if answers else ":", alpha=0.7, label=label)
            at += len(scores)
    axis.set_xlabel("attempts")
    axis.set_ylabel("score in training")
    axis.set_ylim(0, 1)
    axis.grid(alpha=0.3)
    axis.legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path.name


def verdict(rows: list[dict[str, Any]]) -> tuple[bool, dict[str, Any]]:
    """The claim is confirmed if, paired by seed, the interval of the difference in held-out accuracy is above 0.

    ``ok``: both arms ended at the same attempts, within 2 % of each other's tokens, and better than they began, so that
    the comparison means something.
    """
    last = {arm: max(r["stage"] for r in rows if r["arm"] == arm) for arm in ("base", "plain", "mr")}
    ends = {arm: [r for r in rows if r["arm"] == arm and r["stage"] == last[arm]] for arm in last}

    def of(arm: str, metric: str, key: str = "value") -> list[float]:
        return [r[key] for r in ends[arm] if r["metric"] == metric]

    metrics = ("accuracy", "pass@2", f"pass@{ATTEMPTS}")
    over_seeds = {arm: {metric: spread(of(arm, metric)) for metric in metrics} for arm in ("plain", "mr")}
    gains = {
        metric: spread([b - a for a, b in zip(of("plain", metric), of("mr", metric), strict=True)])
        for metric in metrics
    }
    tokens = {arm: float(np.mean(of(arm, "accuracy", "tokens_or_samples"))) for arm in ("plain", "mr")}
    same = of("plain", "accuracy", "attempts") == of("mr", "accuracy", "attempts")
    learned = all(min(of(arm, "accuracy")) > of("base", "accuracy")[0] for arm in ("plain", "mr"))
    ok = same and abs(tokens["mr"] / tokens["plain"] - 1) <= 0.02 and learned
    low = gains["accuracy"]["mean"] - gains["accuracy"]["ci95"]
    found = {
        "rows": rows,
        "claim": CLAIM,
        "confirmed": bool(low > 0),
        "over_seeds": over_seeds,
        "mr_minus_plain": gains,
    }
    return ok, {**found, "tokens": tokens}


if __name__ == "__main__":
    cli.run(main, Args)
