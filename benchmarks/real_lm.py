"""A real language model on real problems: SmolLM2-135M on GSM8K, in LongCoT-v0 and in Delethink-v0.

    OMP_NUM_THREADS=1 REASONGYM_DATA=... REASONGYM_SMOLLM2=... python -m benchmarks.real_lm [--model FOLDER] [--save]

Each environment: an evaluation whose trajectories are all saved, then GRPO steps through agents/grpo.py. A model of
this size rarely answers within these budgets. What is shown is that every part works on a real model, tokenizer and
data set, not that it learns: the entropy bonus is there so that a step whose rewards are all alike is an update too.
"""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmarks.report import finish
from reasongym import cli
from reasongym.core import Sampling, UserError
from reasongym.evaluate import evaluate
from reasongym.policies.hf import HF
from reasongym.report.log import read_log
from reasongym.report.traces import save_traces

ARMS: dict[str, dict[str, Any]] = {
    "LongCoT-v0": {"budget": 256},
    "Delethink-v0": {"chunk": 128, "carry": 64, "head": 16, "max_chunks": 4},
}
TRAINED: dict[str, dict[str, Any]] = {  # 96 tokens of thought in both
    "LongCoT-v0": {"budget": 96},
    "Delethink-v0": {"chunk": 64, "carry": 32, "head": 8, "max_chunks": 2},
}


@dataclass
class Args:
    model: str = os.environ.get("REASONGYM_SMOLLM2", "")
    """A folder with SmolLM2-135M-Instruct (or any other model)."""
    data: str = os.environ.get("REASONGYM_DATA", "")
    """A folder with gsm8k/test.jsonl."""
    problems: int = 20
    steps: int = 5
    temperature: float = 0.6
    """Of the evaluation; the steps sample at 1."""
    dtype: Literal["float32", "bfloat16"] = "bfloat16"
    """Of the evaluation; the steps are float32, for bfloat16 weights would lose so small an update."""
    out: str = "runs/real_lm"
    seed: int = 0
    save: bool = False


def main(args: Args) -> None:
    started = time.perf_counter()
    source = check(args)
    settings = {"task": "gsm8k", "source": source, "split": "test"}
    evaluated = {env: attempt(args, env, ARMS[env] | settings) for env in ARMS}
    trained = {env: learn(args, env, TRAINED[env] | settings) for env in ARMS} if args.steps else {}
    figures = {
        "model": Path(args.model).name,
        "dtype": args.dtype,
        "env": list(ARMS),
        "data": "gsm8k test",
        "n": args.problems,
        **{key: {env: e[key] for env, e in evaluated.items()} for key in evaluated["LongCoT-v0"]},
        "grpo_steps": {env: len(lines) for env, lines in trained.items()},
        "rewards": {env: [line["reward"] for line in lines] for env, lines in trained.items()},
        "grpo": trained,
    }
    finish("real_lm", bars(args, figures), figures, seeds=(args.seed,), started=started, save=args.save)


def check(args: Args) -> str:
    if not args.model or not Path(args.model, "config.json").is_file():
        raise UserError(f"no model in {args.model!r}: set REASONGYM_SMOLLM2 or --model to a folder with SmolLM2-135M")
    source = Path(args.data, "gsm8k", "test.jsonl")
    if not args.data or not source.is_file():
        raise UserError(f"no {source}: set REASONGYM_DATA or --data to a folder with gsm8k/test.jsonl")
    return str(source)


def attempt(args: Args, env: str, settings: dict[str, Any]) -> dict[str, Any]:
    """One sampled attempt at each of the first problems, every one saved."""
    policy = HF(args.model, dtype=args.dtype, slots=args.problems)
    envs = cli.make_envs(env, args.problems, settings, policy.tokenizer)
    task: Any = envs[0].unwrapped.task  # type: ignore[attr-defined]
    problems = [task.problem(i) for i in range(args.problems)]
    done = evaluate(policy, envs, problems, sampling=Sampling(args.temperature), seed=args.seed, deterministic=True)
    file = Path(args.out, f"{env}.jsonl")
    save_traces(file, (t for group in done.batch for t in group), env=env, model=Path(args.model).name)
    saved = len(file.read_text(encoding="utf-8").splitlines())
    figures = done.summary()
    figures["evaluation_s"] = figures.pop("wall_s")
    print(f"{env}: {figures}", flush=True)
    ended = sum(t.info["finish"] == "end" for t in done.attempts)
    return {**figures, "ended": ended, "trajectories_file": str(file), "trajectories": saved}


def learn(args: Args, env: str, settings: dict[str, Any]) -> list[dict[str, Any]]:
    """GRPO from the same weights; its log, without the checkpoint (a gigabyte and a half)."""
    from reasongym.agents import grpo

    out = Path(args.out, f"grpo-{env}")
    flags = (
        f"--env {env} --steps {args.steps} --prompts 2 --group 4 --lr 1e-6 --entropy 0.001 --micro-tokens 1024".split()
    )
    flags += ["--model", args.model, "--out", str(out), "--seed", str(args.seed)]
    flags += ["--deterministic", "--save-trajectories", "--save-every", "1000"]
    flags += [word for key, value in settings.items() for word in (f"--env.{key}", str(value))]
    shutil.rmtree(out, ignore_errors=True)
    grpo.main(cli.parse(grpo.Args, flags))
    for checkpoint in out.glob("step-*"):
        shutil.rmtree(checkpoint)
    keys = ("step", "reward", "length", "resets", "tokens", "loss", "grad_norm", "drift", "sample_s", "step_s")
    return [{key: line[key] for key in keys if key in line} for line in read_log(out / "metrics.jsonl")]


def bars(args: Args, figures: dict[str, Any]) -> bool:
    """Every trajectory saved and valid, Delethink's context bounded, every step a whole update."""
    return (
        all(figures["trajectories"][env] == args.problems and not figures["invalid"][env] for env in ARMS)
        and all(len(lines) == args.steps for lines in figures["grpo"].values())
        and all(line["tokens"] > 0 for lines in figures["grpo"].values() for line in lines)
    )


if __name__ == "__main__":
    cli.run(main, Args)
