"""PPO against GRPO on the demonstration task, from one model and with the same samples and updates.

    python -m benchmarks.ppo --seeds 3 [--steps 60] [--out runs/ppo-benchmark] [--save]

In both environments of `benchmarks.demo`, with its settings: 128 attempts and 4 optimiser steps a step. GRPO makes 8
attempts at each of 16 problems and compares them; PPO makes one at each of 128 and asks its critic. Then both are asked
new problems of the lengths that they trained on.

What the critic knows is its explained variance on new attempts of the policy of that time, over their sampled tokens:
how much of the variance of the reward that will come it foresees. Beside it stands a least-squares fit on other
attempts of the same policy, quadratic in n (the length of the right thought, which no policy or critic is told) and the
tokens used so far (which a window after a reset does not show). What is done is kept in ``--out``: a run that was
stopped goes on from there.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import demo
from benchmarks.report import ROOT, finish, note, resumed, spread
from reasongym import cli
from reasongym.core import Sampling, Trajectory
from reasongym.metrics import explained_variance

DOCS = ROOT / "docs"
SAMPLES = 128  # attempts a step
COMMON = "--updates 4 --loss-norm token --lr 1e-4 --clip-high 0.28 --deterministic --no-tensorboard --resume".split()
AGENTS = {
    "grpo": ["--prompts", "16", "--group", "8"],
    "ppo": ["--prompts", "128", "--group", "1", "--critic-lr", "3e-3"],
}
CHECKS = 3  # times in a run that the critic is asked
MARGIN = 0.05
CLAIM = f"PPO with one attempt a problem is at most {MARGIN * 100:.0f} points below GRPO in both environments"


@dataclass
class Args:
    seeds: int = 3
    steps: int = 60
    problems: int = 512
    """New problems at the end, sampled; greedily a quarter. As many for the critic, and to fit its rival."""
    out: str = "runs/ppo-benchmark"
    model: str = "tiny"
    save: bool = False


def main(args: Args) -> None:
    started = resumed(args.out)
    seeds = tuple(range(args.seeds))
    Path(args.out).mkdir(parents=True, exist_ok=True)
    runs = []
    for seed in seeds:
        for env in demo.ARMS:
            for agent in AGENTS:
                path = folder(args, agent, env, seed).with_suffix(".json")
                if not path.exists():
                    path.write_text(json.dumps(run(args, agent, env, seed)))
                    note(args.out, started)
                runs.append(json.loads(path.read_text()))
                print(f"{agent:4} {env:12} seed {seed}: {runs[-1]['accuracy']:.3f}", flush=True)
    picture = draw(runs, DOCS / "ppo.png" if args.save else Path(args.out, "ppo.png"))
    print(table(runs))
    print(f"\npicture: {picture}")
    finish("ppo", *verdict(args, runs, picture), seeds=seeds, started=started, save=args.save)


# --- one run: train, then ask the policy and the critic


def run(args: Args, agent: str, env: str, seed: int) -> dict[str, Any]:
    from reasongym.policies.hf import HF
    from reasongym.report.log import read_log

    module: Any = __import__(f"reasongym.agents.{agent}", fromlist=["main"])
    out, every = folder(args, agent, env, seed), -(-args.steps // CHECKS)
    flags = ["--env", env, "--model", args.model, "--out", str(out), "--seed", str(seed), "--steps", str(args.steps)]
    flags += ["--save-every", str(every), "--keep", str(CHECKS), *COMMON, *AGENTS[agent]]
    parsed = cli.parse(module.Args, flags)
    parsed.env_settings |= demo.ARMS[env]
    module.main(parsed)
    policy = HF(f"{out}/step-{args.steps:06d}", slots=SAMPLES)
    log = read_log(out / "metrics.jsonl")
    found: dict[str, Any] = {"agent": agent, "env": env, "seed": seed, "rewards": [line["reward"] for line in log]}
    found |= {"samples": SAMPLES * args.steps, "train_s": sum(line["step_s"] for line in log)}
    for mode, count in (("sampled", args.problems), ("greedy", max(1, args.problems // 4))):
        done = ask(policy, env, count, (seed, 7), float(mode == "sampled"))
        found["accuracy" if mode == "sampled" else mode] = float(np.mean([t.verdict.score for t in done]))
    if agent == "ppo":
        found["critic"] = [
            ask_critic(args, out, env, step, seed) for step in sorted({*range(every, args.steps, every), args.steps})
        ]
    return found


def folder(args: Args, agent: str, env: str, seed: int) -> Path:
    return Path(args.out, f"{agent}-{env}-seed{seed}")


def ask(policy: Any, env: str, count: int, stream: tuple[int, ...], temperature: float = 1.0) -> list[Trajectory]:
    """Attempts at new problems of the trained lengths."""
    from reasongym.evaluate import evaluate

    envs = cli.make_envs(env, min(SAMPLES, count), demo.ARMS[env], policy.tokenizer)
    rng = np.random.default_rng(stream)
    problems = [envs[0].unwrapped.task.sample(rng) for _ in range(count)]  # type: ignore[attr-defined]
    return evaluate(policy, envs, problems, sampling=Sampling(temperature), seed=stream[0], deterministic=True).attempts


def ask_critic(args: Args, out: Path, env: str, step: int, seed: int) -> dict[str, float]:
    """What the critic of a checkpoint foresees on new attempts of its policy, and what its rival does."""
    import torch

    from reasongym.agents import ppo
    from reasongym.policies.hf import HF

    at = out / f"step-{step:06d}"
    policy, critic = HF(str(at), slots=SAMPLES), ppo.Critic(HF(args.model).model.get_decoder())
    critic.load_state_dict(torch.load(at / "trainer.pt", weights_only=True)["critic"])
    new, other = (ask(policy, env, args.problems, (seed, step, n)) for n in (8, 9))
    said = np.concatenate(ppo.judge(critic.eval(), new, ppo.Args()))
    n, used, to_go = per_token(new)
    return {
        "step": step,
        "accuracy": float(np.mean([t.verdict.score for t in new])),
        "critic": explained_variance(said, to_go),
        "regression": explained_variance(quadratic(n, used) @ fit(other), to_go),
    }


def per_token(attempts: Sequence[Trajectory]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Of each sampled token: the length of the right thought, the tokens sampled before it, the reward to go."""
    counts = [t.length for t in attempts]
    n = np.repeat([t.problem.data["n"] for t in attempts], counts)
    used = np.concatenate([np.arange(count) for count in counts])
    return n, used, np.repeat([t.verdict.score for t in attempts], counts)


def quadratic(n: NDArray[Any], used: NDArray[Any]) -> NDArray[np.float64]:
    x, y = n / demo.TRAINED_N, used / demo.TRAINED_N
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)


def fit(attempts: Sequence[Trajectory]) -> NDArray[np.float64]:
    """The coefficients of `quadratic` that come closest to the reward to go."""
    n, used, to_go = per_token(attempts)
    return np.linalg.lstsq(quadratic(n, used), to_go, rcond=None)[0]


# --- what a person sees


def table(runs: list[dict[str, Any]]) -> str:
    head = (
        f"{'agent':5} {'env':12} {'seed':4} {'first 10':>8} {'last 10':>7} {'accuracy':>8} {'greedy':>6} {'train s':>7}"
    )
    lines = [head]
    for r in runs:
        e = demo.ends(r["rewards"])
        curve = f"{e['reward_first10']:8.2f} {e['reward_last10']:7.2f}"
        asked = f"{r['accuracy']:8.3f} {r['greedy']:6.2f} {r['train_s']:7.0f}"
        lines.append(f"{r['agent']:5} {r['env']:12} {r['seed']:4} {curve} {asked}")
    return "\n".join(lines)


def draw(runs: list[dict[str, Any]], path: Path) -> str:
    """Reward against steps in each environment (mean and range over seeds), and the critic's explained variance."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(15, 4.5), layout="constrained")
    for axis, env in zip(axes, demo.ARMS, strict=False):
        for agent in AGENTS:
            curves = np.array([smooth(r["rewards"]) for r in runs if (r["agent"], r["env"]) == (agent, env)])
            axis.plot(curves.mean(0), label=agent.upper())
            axis.fill_between(range(curves.shape[1]), curves.min(0), curves.max(0), alpha=0.2)
        axis.set_title(f"reward, {env}")
        axis.set_ylim(0, 1)
        axis.legend()
    for env, colour in zip(demo.ARMS, ("tab:blue", "tab:orange"), strict=True):
        critics = [r["critic"] for r in runs if (r["agent"], r["env"]) == ("ppo", env)]
        for who, style in (("critic", "-o"), ("regression", "--x")):
            values = np.array([[check[who] for check in checks] for checks in critics])
            axes[2].plot([c["step"] for c in critics[0]], values.mean(0), style, color=colour, label=f"{who}, {env}")
    axes[2].set_title("explained variance of the reward to go")
    axes[2].legend(fontsize=8)
    for axis in axes:
        axis.set_xlabel(f"step ({SAMPLES} attempts)")
        axis.grid(alpha=0.3)
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path.name


def smooth(curve: list[float], width: int = 5) -> NDArray[np.float64]:
    return np.convolve(curve, np.ones(min(width, len(curve))) / min(width, len(curve)), "valid")


def by_seed(values: list[float]) -> dict[str, Any]:
    return {**spread(values), "seeds": values}


def verdict(args: Args, runs: list[dict[str, Any]], picture: str) -> tuple[bool, dict[str, Any]]:
    """Whether the mean over seeds of PPO's accuracy is at most `MARGIN` below GRPO's, in both environments."""
    rows = []
    for r in runs:
        named = {"arm": f"{r['agent']} in {r['env']}", "seed": r["seed"], "tokens_or_samples": r["samples"]}
        values = {"accuracy": r["accuracy"], "greedy": r["greedy"], **demo.ends(r["rewards"]), "train_s": r["train_s"]}
        for check in r.get("critic", ()):
            for who in ("critic", "regression"):
                values[f"explained_variance_{who}_step{check['step']}"] = check[who]
        rows += [{**named, "metric": metric, "value": value} for metric, value in values.items()]
    difference = {env: by_seed(differences(runs, env)) for env in demo.ARMS}
    confirmed = all(d["mean"] >= -MARGIN for d in difference.values())
    over_seeds = {
        f"{agent} in {env}": by_seed([r["accuracy"] for r in runs if (r["agent"], r["env"]) == (agent, env)])
        for agent in AGENTS
        for env in demo.ARMS
    }
    figures = {"claim": CLAIM, "confirmed": confirmed, "difference": difference, "over_seeds": over_seeds}
    return confirmed, {**figures, "rows": rows, "problems": args.problems, "png": picture}


def differences(runs: list[dict[str, Any]], env: str) -> list[float]:
    """PPO's accuracy less GRPO's, seed by seed."""
    at = {(r["agent"], r["seed"]): r["accuracy"] for r in runs if r["env"] == env}
    return [at["ppo", seed] - at["grpo", seed] for agent, seed in at if agent == "ppo"]


if __name__ == "__main__":
    cli.run(main, Args)
