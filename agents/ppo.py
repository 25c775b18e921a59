"""PPO, in any reasongym environment: a critic values every position, and each token is credited by how that changes.

    python -m reasongym.agents.ppo --env Delethink-v0 --env.chunk 32 --env.carry 12 --env.head 0
    python -m reasongym.agents.ppo --env LongCoT-v0 --env.task gsm8k --model Qwen/Qwen3-0.6B --device cuda

One step: pose problems, attempt each, pay, value, credit, update policy and critic. There is nothing to compare with,
so one attempt a problem will do. Credit runs along a whole trajectory: a Delethink reset is a step of the environment,
and the value of the next window, where its first token is sampled, flows back over it. The end of the budget is an end.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from reasongym import cli, parts
from reasongym.algos import checkpoint
from reasongym.algos.advantages import gae, whiten
from reasongym.algos.losses import policy_loss, token_logprobs, value_loss
from reasongym.core import Batch, Sampling, Trajectory, UserError
from reasongym.metrics import batch_means, explained_variance
from reasongym.policies.hf import HF
from reasongym.report.log import RunLog
from reasongym.report.traces import save_traces
from reasongym.rollout import Rows, pack, rollout
from reasongym.schedules import warmup_cosine
from reasongym.shaping import Truth

Tokens = NDArray[np.float64]  # [T] one for each sampled token of a trajectory
Micro = tuple[Rows, Rows, Rows]  # the same rows, with the advantages, values and returns of their tokens as payload
PROBES = 1 << 40  # where the random streams of probes begin, far from those of any step


@dataclass
class Args:
    """The settings of a run; each is a flag."""

    env: str = "Delethink-v0"
    """Any registered environment; --env.KEY VALUE sets its arguments."""
    env_settings: dict[str, Any] = field(default_factory=dict)
    model: str = "tiny"
    """A hub id, a folder, or "tiny", "tiny-sat" or "tiny-python", the models inside this package."""
    out: str = "runs/ppo"
    resume: bool = False
    """Go on from the newest checkpoint in --out, exactly where --deterministic is on."""
    steps: int = 100
    prompts: int = 128
    """Problems a step (P)."""
    group: int = 1
    """Attempts at each problem (G); more are for shapers that compare them."""
    curriculum: str = "uniform"
    shaper: str = ""
    """A reward part such as "overlong(limit=100, buffer=20)"; empty pays the truth."""
    budget: int | None = None
    """Tokens of a thought; None leaves the env's own."""
    schedule: str = ""
    """How that budget changes from step to step: "cosine(high=96, low=48, period=64)" is SIRI's."""
    temperature: float = 1.0
    gamma: float = 1.0
    lam: float = 1.0
    """GAE's lambda for the policy; below 1 the end of a long thought is hardly heard at its beginning."""
    value_lam: float = 1.0
    """The same for what the critic is taught; 1 is the reward that came."""
    whiten: bool = True
    """Shift and scale the advantages of a batch's tokens to mean 0 and deviation 1."""
    critic_lr: float = 1e-5
    value_clip: float = 0.2
    """How far a value may move in a step; 0 is as far as it likes."""
    loss_norm: Literal["trajectory", "token"] = "token"
    """What both losses are divided by."""
    clip_low: float = 0.2
    clip_high: float = 0.2
    kl: float = 0.0
    """Weight of the KL to the first model."""
    entropy: float = 0.0
    """Weight of the entropy bonus."""
    updates: int = 4
    """Optimiser steps an epoch."""
    epochs: int = 1
    """Times that a batch is gone over."""
    micro_tokens: int = 1 << 15
    """Padded tokens of a micro-batch."""
    lr: float = 1e-6
    warmup: int = 5
    floor: float = 1.0
    """The cosine's last learning rate as a share of --lr and --critic-lr; 1 is constant."""
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    """Of the policy's gradient and of the critic's, each by itself."""
    slots: int = 128
    """Episodes at a time."""
    deterministic: bool = False
    """Step envs on the engine's clock: the same numbers in every run."""
    system: str | None = None
    """The system prompt; None leaves the chat template's own."""
    save_every: int = 50
    keep: int = 2
    save_trajectories: bool = False
    tensorboard: bool = True
    wandb: str = ""
    device: str = "cpu"
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of sampling and forward passes; the weights that learn are float32."""
    seed: int = 0
    dry_run: bool = False
    """Print the resolved arguments and stop."""


class Critic(torch.nn.Module):
    """What each position is worth: a linear head, 0 at first, on a body of its own (see `worth`).

    Of its own, so that what it learns moves no ratio, and the policy remains a plain model.
    """

    def __init__(self, body: Any) -> None:
        super().__init__()
        self.body, self.head = body, torch.nn.Linear(body.config.get_text_config().hidden_size, 1)
        torch.nn.init.zeros_(self.head.weight)
        torch.nn.init.zeros_(self.head.bias)


def main(args: Args) -> None:
    """Train; leaves checkpoints, ``metrics.jsonl`` and ``args.json`` in ``--out``."""
    check(args)
    found = checkpoint.start(args.out, resume=args.resume, agent="ppo")
    weights = str(found[0]) if found else args.model
    policy = HF(weights, device=args.device, dtype=args.dtype, system=args.system, slots=args.slots)
    # small optimiser steps vanish in the rounding of bfloat16 weights
    model = policy.model if args.dtype == "float32" else HF(weights, device=args.device, dtype="float32").model
    envs = cli.make_envs(args.env, min(args.slots, args.prompts * args.group), args.env_settings, policy.tokenizer)
    reference = HF(args.model, device=args.device, dtype=args.dtype).model.eval() if args.kl else None
    critic = Critic(HF(args.model, device=args.device, dtype="float32").model.get_decoder()).to(model.device).eval()
    learners = [{"params": [*part.parameters()]} for part in (model, critic)]
    optimizer = torch.optim.AdamW(learners, lr=args.lr, betas=args.betas, weight_decay=args.weight_decay)
    curriculum = parts.make("curriculum", args.curriculum)
    shaper = parts.make("rewards", args.shaper) if args.shaper else Truth()
    stateful = {"optimizer": optimizer, "critic": critic, "curriculum": curriculum, "shaper": shaper}
    schedule = parts.make("schedules", args.schedule) if args.schedule else None
    for part in (curriculum, shaper):
        if hasattr(part, "begin"):
            part.begin(envs[0].unwrapped.task)  # type: ignore[attr-defined]
    first = found[1]["step"] if found else 0
    if found:
        checkpoint.restore(found[1], stateful)
    log = RunLog(args.out, asdict(args), resume_at=first, tensorboard=args.tensorboard, wandb=args.wandb)
    bar = tqdm(range(first, args.steps), initial=first, total=args.steps, desc=args.env, smoothing=0.1)
    for step in bar:
        started = time.perf_counter()
        args = replace(args, budget=schedule(step)) if schedule else args
        batch = collect(args, policy, envs, curriculum, shaper, step)
        rewards = shaper(batch)
        sampled_s = time.perf_counter() - started
        kept = [(t, r) for t, r in zip(chain(*batch), rewards.ravel(), strict=True) if t.valid and not np.isnan(r)]
        attempts = [t for t, _ in kept]
        said = judge(critic, attempts, args)
        advantages, returns, figures = credit([r for _, r in kept], said, args)
        rows = packed(attempts, args, step, advantages, said, returns)
        for learner, lr in zip(optimizer.param_groups, (args.lr, args.critic_lr), strict=True):
            learner["lr"] = lr * warmup_cosine(step, args.steps, args.warmup, args.floor)
        figures |= update(model, critic, optimizer, rows, args, reference)
        policy.sync(model)
        figures |= batch_means(batch, rewards)
        for part in (curriculum, shaper):
            part.update(batch)
            figures |= part.figures() if hasattr(part, "figures") else {}
        figures |= {"lr": optimizer.param_groups[0]["lr"], "sample_s": sampled_s}
        log.write(step, **figures, step_s=time.perf_counter() - started)
        bar.set_postfix(reward=f"{figures['reward']:.2f}", length=f"{figures['length']:.0f}")
        if args.save_trajectories:
            save_traces(f"{args.out}/trajectories/step-{step:06d}.jsonl", (t for g in batch for t in g))
        if (step + 1) % args.save_every == 0 or step + 1 == args.steps:
            state = checkpoint.states(stateful) | {"agent": "ppo"}
            checkpoint.save(args.out, step + 1, model, policy.tokenizer, state, args.keep)
    log.close()
    print(f"model: {checkpoint.steps(args.out)[-1]}")


def check(args: Args) -> None:
    """Refuse what would fail in mid-run, or train on something else than it says."""
    if args.temperature <= 0:
        raise UserError(f"--temperature {args.temperature}: greedy attempts explore nothing; use 1")
    if args.schedule and args.budget is not None:
        raise UserError(f"--budget {args.budget} and --schedule {args.schedule}: give one of them")
    for name in ("gamma", "lam", "value_lam"):
        if not 0 <= (value := getattr(args, name)) <= 1:
            raise UserError(f"--{name.replace('_', '-')} {value} must be from 0 to 1")
    cli.at_least(args, 1, "steps", "prompts", "group", "updates", "epochs", "micro_tokens", "slots", "save_every")
    cli.at_least(args, 1, "keep", "budget")
    cli.at_least(args, 0, "kl", "clip_low", "clip_high", "value_clip", "critic_lr", "warmup", "seed")
    cli.check_optimizer(args)
    if not math.isfinite(args.entropy):
        raise UserError(f"--entropy {args.entropy} must be a number")


def collect(args: Args, policy: HF, envs: list[Any], curriculum: Any, shaper: Any, step: int) -> Batch:
    """P groups of attempts; probes that a part asks for run before them."""
    rng = np.random.default_rng((args.seed, step))
    budget = {} if args.budget is None else {"budget": args.budget}
    most = args.budget or envs[0].unwrapped.thinking.budget

    def attempt(problems: list[Any], n: int, stream: int, starts: Iterable[Iterable[Any]] = ()) -> Batch:
        options = [{"problem": p, **budget} for p in problems for _ in range(n)]
        for given in starts:
            options = [{**o, **g} for o, g in zip(options, given, strict=True)]
        # a start may be given less than the step's budget, never more
        options = [{**o, "budget": min(o["budget"], most)} if o.get("budget") else o for o in options]
        resets = [{"seed": int(rng.integers(1 << 31)), "options": o} for o in options]
        at: Any = {"step": stream, "seed": args.seed, "deterministic": args.deterministic}
        done = rollout(policy, envs, resets, group=n, sampling=Sampling(args.temperature), **at)
        return [done[i : i + n] for i in range(0, len(done), n)]

    problems = curriculum.problems(envs[0].unwrapped.task, rng, args.prompts)
    starts = [part.starts(problems, args.group) for part in (curriculum, shaper) if hasattr(part, "starts")]
    for number, part in enumerate((curriculum, shaper)):
        # after the problems are known, so that a part may probe just these, and before they are attempted
        if hasattr(part, "probe") and (asked := part.probe(step)) is not None:
            part.observe(attempt(*asked, stream=PROBES + 2 * step + number))
    return attempt(problems, args.group, step, starts)


def judge(critic: Critic, attempts: list[Trajectory], args: Args) -> list[Tokens]:
    """What the critic says before each sampled token of each attempt."""
    said = [np.zeros(0)] * len(attempts)
    for part in pack([attempts], [[0.0] * len(attempts)], tokens=args.micro_tokens, whole=True):
        for rows in part:
            with torch.no_grad():
                values = worth(critic, rows, args).cpu().numpy()
            for number in np.unique(rows.trajectory):
                own = rows.trajectory == number  # its windows, in their order
                said[number] = values[own][rows.mask[own, 1:] > 0]
    return said


def credit(paid: list[float], said: list[Tokens], args: Args) -> tuple[list[Tokens], list[Tokens], dict[str, float]]:
    """Advantages of each attempt's sampled tokens, what the critic is taught of them, and figures."""
    if not said:
        return [], [], {}
    rewards = [np.append(np.zeros(len(v) - 1), reward) for v, reward in zip(said, paid, strict=True)]  # at the end
    advantages = [gae(r, v, args.gamma, args.lam)[0] for r, v in zip(rewards, said, strict=True)]
    returns = [gae(r, v, args.gamma, args.value_lam)[1] for r, v in zip(rewards, said, strict=True)]
    values, taught = np.concatenate(said), np.concatenate(returns)
    figures = {"explained_variance": explained_variance(values, taught), "value": float(values.mean())}
    if args.whiten:
        advantages = np.split(whiten(np.concatenate(advantages)), np.cumsum([len(v) for v in said])[:-1])
    return advantages, returns, figures


def packed(attempts: list[Trajectory], args: Args, step: int, *tokens: list[Tokens]) -> list[list[Micro]]:
    """The micro-batches of each optimiser step; each of ``tokens`` is dealt out in the same way, as ``advantages``."""
    how: Any = {"loss_norm": args.loss_norm, "steps": args.updates, "tokens": args.micro_tokens}
    columns = [pack([attempts], [x], rng=np.random.default_rng((args.seed, step, 1)), **how) for x in tokens]
    return [list(zip(*part, strict=True)) for part in zip(*columns, strict=True)]


def update(
    model: Any, critic: Critic, optimizer: Any, rows: list[list[Micro]], args: Args, reference: Any = None
) -> dict[str, float]:
    """An optimiser step for each part of ``rows``, in each epoch; the figures are means over the tokens."""
    seen: list[dict[str, float]] = []
    losses, norms = [], []
    for part in rows * args.epochs:
        for micro in part:
            loss, figures = micro_loss(model, critic, micro, args, reference)
            loss.backward()
            seen.append(figures)
            losses.append(loss.item())
        clip, limit = torch.nn.utils.clip_grad_norm_, args.max_grad_norm
        norms.append([clip(learner["params"], limit).item() for learner in optimizer.param_groups])
        optimizer.step()
        optimizer.zero_grad()
    keys = seen[0].keys() if seen else ()
    means = {k: np.average([s[k] for s in seen], weights=[s["tokens"] for s in seen]) for k in keys}
    means |= {"ratio_max": max(s["ratio_max"] for s in seen)} if seen else {}
    means["loss"] = sum(losses) / max(1, len(norms))
    means["tokens"] = sum(s["tokens"] for s in seen) / args.epochs
    means["grad_norm"], means["critic_grad_norm"] = np.mean(norms, axis=0) if norms else (0.0, 0.0)
    return means


def micro_loss(
    model: Any, critic: Critic, micro: Micro, args: Args, reference: Any = None
) -> tuple[Tensor, dict[str, float]]:
    """The loss of a micro-batch, policy's and critic's, to be added up, and its figures."""
    rows = micro[0]
    logp, entropy = logprobs(model, rows, args)

    def on(x: Any) -> Tensor:
        return torch.as_tensor(x, device=logp.device)[:, 1:]

    behaviour, mask, weight = on(rows.logprobs), on(rows.mask), on(rows.weight)
    advantages, said, returns = (on(column.advantages) for column in micro)
    terms: dict[str, Any] = {"entropy": entropy, "entropy_coef": args.entropy}
    if reference is not None:
        with torch.no_grad():
            terms |= {"kl": args.kl, "ref_logp": logprobs(reference, rows, args)[0]}
    clips = {"clip_low": args.clip_low, "clip_high": args.clip_high}
    loss, figures = policy_loss(logp, behaviour, advantages, mask, weight, **clips, **terms)
    taught, more = value_loss(worth(critic, rows, args), returns, mask, weight, old_values=said, clip=args.value_clip)
    return loss + taught, {**figures, **more}


def logprobs(model: Any, rows: Rows, args: Args) -> tuple[Tensor, Tensor]:
    """Of each row's tokens after its first, and the entropies there: [N, T - 1] each."""
    ids = torch.as_tensor(rows.ids, device=model.device)
    # padding stands on the right and attention is causal, so no mask is needed
    with torch.autocast(ids.device.type, torch.bfloat16, enabled=args.dtype == "bfloat16"):
        logits = model(input_ids=ids, use_cache=False).logits
    logp, entropy = token_logprobs(logits, ids, args.temperature)
    assert entropy is not None
    return logp, entropy


def worth(critic: Critic, rows: Rows, args: Args) -> Tensor:
    """What the critic says before each of a row's tokens after its first, [N, T - 1]."""
    ids = torch.as_tensor(rows.ids, device=critic.head.weight.device)
    with torch.autocast(ids.device.type, torch.bfloat16, enabled=args.dtype == "bfloat16"):
        hidden = critic.body(input_ids=ids, use_cache=False).last_hidden_state
    values: Tensor = critic.head(hidden.float()).squeeze(-1)  # rounded to bfloat16, small differences would be lost
    return values[:, :-1]


if __name__ == "__main__":
    cli.run(main, Args)
