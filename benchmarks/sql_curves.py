"""Any model in TextToSQL-v0 or SQLJudge-v0, at several token budgets: accuracy by level, and a judge's intrinsic table.

    python -m benchmarks.sql_curves --model FOLDER --env TextToSQL-v0 --env.source DATA/spider_en --problems 100
    python -m benchmarks.sql_curves --model FOLDER --env SQLJudge-v0 --env.candidates FILE.jsonl --budgets 128 256 512

Every problem is attempted once, greedily, at the largest budget; the smaller ones are the same thoughts, cut
(`evaluate.right_trim`). With Spider's folder, the level is the hardness, from 1 (easy) to 4 (extra).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from benchmarks.report import finish
from reasongym import cli
from reasongym.core import Problem, Sampling
from reasongym.evaluate import Evaluation, evaluate, right_trim
from reasongym.report.judged import intrinsic_rows


@dataclass
class Args:
    model: str = "tiny"
    env: str = "SQLJudge-v0"
    env_settings: dict[str, Any] = field(default_factory=dict)
    budgets: tuple[int, ...] = (128, 256, 512)
    problems: int = 100
    """The first ones of a finite task; of another, so many are drawn."""
    temperature: float = 0.0
    slots: int = 32
    dtype: Literal["float32", "bfloat16"] = "float32"
    device: str = "cpu"
    out: str = "runs/sql_curves"
    seed: int = 0
    save: bool = False


def main(args: Args) -> None:
    from reasongym.policies.hf import HF

    started = time.perf_counter()
    cli.at_least(args, 1, "problems", "slots")
    policy = HF(args.model, dtype=args.dtype, device=args.device, slots=args.slots)
    settings = {"budget": max(args.budgets), **args.env_settings}
    envs = cli.make_envs(args.env, args.slots, settings, policy.tokenizer)
    posed = problems(envs[0].unwrapped.task, args)  # type: ignore[attr-defined]
    done = evaluate(policy, envs, posed, sampling=Sampling(args.temperature), seed=args.seed, deterministic=True)
    trimmed = {b: done if b == max(args.budgets) else right_trim(envs[0], done, b) for b in sorted(args.budgets)}
    rows = [row for budget, part in trimmed.items() for row in at(budget, part)]
    judges = all(isinstance(p.answer, bool) for p in posed)
    table = intrinsic_rows(done, policy.tokenizer.decode, sorted(args.budgets)) if judges else []
    figures = {"model": Path(args.model).name, "env": args.env, "n": len(posed), "rows": rows, "intrinsic": table}
    figures["png"] = draw(rows, table, Path(args.out, "sql_curves.png"))
    for row in (*rows, *table):
        print({k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()})
    finish("sql_curves", bool(rows), figures, seeds=(args.seed,), started=started, save=args.save)


def problems(task: Any, args: Args) -> list[Problem]:
    if hasattr(task, "__len__"):
        return [task.problem(i) for i in range(min(args.problems, len(task)))]
    return [task.sample(np.random.default_rng((args.seed, i))) for i in range(args.problems)]


def at(budget: int, done: Evaluation) -> list[dict[str, Any]]:
    """Accuracy at one budget: over all problems, and by level."""
    parts = {"all": done, **done.by(lambda problem: problem.level)}
    return [
        {"budget": budget, "level": name, "n": len(part.batch), "accuracy": part.accuracy, "ci95": list(part.ci95)}
        for name, part in parts.items()
    ]


def draw(rows: list[dict[str, Any]], table: list[dict[str, Any]], path: Path) -> str:
    """Accuracy against budget, a line a level; beside it, what of a judge's table moves with the budget."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.5), layout="constrained")
    for level in dict.fromkeys(row["level"] for row in rows):
        mine = [row for row in rows if row["level"] == level]
        line = left.plot([r["budget"] for r in mine], [r["accuracy"] for r in mine], "o-", label=f"level {level}")
        low, high = zip(*(r["ci95"] for r in mine), strict=True)
        left.fill_between([r["budget"] for r in mine], low, high, color=line[0].get_color(), alpha=0.1)
    for key in ("pws", "macro_f1", "hit_at_1", "mrr", "failures"):
        for name, style in (("soft", "o-"), ("hard", "x--")):
            mine = [row for row in table if row["scores"] == name]
            if mine and (name == "soft" or key == "pws"):
                right.plot([r["budget"] for r in mine], [r[key] for r in mine], style, label=f"{key}, {name} scores")
    for axis, title in ((left, "accuracy"), (right, "judge")):
        axis.set_title(title)
        axis.set_xlabel("tokens of thought")
        axis.grid(alpha=0.3)
        if axis.get_legend_handles_labels()[0]:
            axis.legend(fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    plt.close(figure)
    return str(path)


if __name__ == "__main__":
    cli.run(main, Args)
