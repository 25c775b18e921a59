"""GRPO, and with its arguments Dr. GRPO, RLOO, DAPO and GSPO, in any reasongym environment.

    python -m reasongym.agents.grpo --env Delethink-v0 --env.chunk 32 --env.carry 12 --env.head 0
    python -m reasongym.agents.grpo --env LongCoT-v0 --env.task gsm8k --model Qwen/Qwen3-0.6B --device cuda

One step: pose problems, let the policy attempt each ``group`` times, pay, compare within the group,
update. A trajectory may be several rows (Delethink); its advantage goes to all of them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from reasongym import cli, parts
from reasongym.algos import checkpoint
from reasongym.algos.advantages import ADVANTAGES, informative, mgpo
from reasongym.algos.losses import policy_loss, token_logprobs
from reasongym.core import Batch, Sampling, UserError
from reasongym.metrics import batch_means
from reasongym.policies.hf import HF
from reasongym.report.log import RunLog
from reasongym.report.traces import save_traces
from reasongym.rollout import Rows, pack, rollout
from reasongym.schedules import warmup_cosine
from reasongym.shaping import Truth, columns

PROBES = 1 << 40  # where the random streams of probes begin, far from those of any step


@dataclass
class Args:
    """The settings of a run; each is a flag."""

    env: str = "Delethink-v0"
    """Any registered environment; --env.KEY VALUE sets its arguments."""
    env_settings: dict[str, Any] = field(default_factory=dict)
    model: str = "tiny"
    """A hub id, a folder, or "tiny", "tiny-sat" or "tiny-python", the models inside this package."""
    out: str = "runs/grpo"
    resume: bool = False
    """Go on from the newest checkpoint in --out, exactly where --deterministic is on."""
    steps: int = 100
    prompts: int = 16
    """Problems a step (P)."""
    group: int = 8
    """Attempts at each problem (G)."""
    dynamic: int = 0
    """DAPO's dynamic sampling: in so many rounds, groups without spread are replaced; 0 keeps them."""
    curriculum: str = "uniform"
    shaper: str = ""
    """A reward part such as "overlong(limit=100, buffer=20)"; empty pays the truth."""
    budget: int | None = None
    """Tokens of a thought; None leaves the env's own."""
    schedule: str = ""
    """How that budget changes from step to step: "cosine(high=96, low=48, period=64)" is SIRI's."""
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    advantage: Literal["grpo", "dr_grpo", "rloo", "identity"] = "grpo"
    mgpo_lambda: float = 0.0
    """MGPO: how much less groups count whose accuracy is far from a half; 0 is off."""
    loss_norm: Literal["trajectory", "token", "constant"] = "trajectory"
    """What the loss is divided by; "constant" is --budget tokens a trajectory."""
    ratio: Literal["token", "sequence", "geometric"] = "token"
    """"geometric" is GSPO."""
    clip_low: float = 0.2
    clip_high: float = 0.28
    dual_clip: float | None = None
    tis: float | None = None
    """Cap of the truncated importance weight between engine and trainer."""
    policy_coef: float = 1.0
    """Weight of the policy term; 0 trains on the entropy and KL terms alone."""
    kl: float = 0.0
    """Weight of the KL to the first model."""
    entropy: float = 0.0
    """Weight of the entropy bonus."""
    updates: int = 1
    """Optimiser steps a batch."""
    micro_tokens: int = 1 << 15
    """Padded tokens of a micro-batch."""
    lr: float = 1e-6
    warmup: int = 5
    floor: float = 1.0
    """The cosine's last learning rate as a share of --lr; 1 is constant."""
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
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


def main(args: Args) -> None:
    """Train; leaves checkpoints, ``metrics.jsonl`` and ``args.json`` in ``--out``."""
    check(args)
    found = checkpoint.start(args.out, resume=args.resume, agent="grpo")
    weights = str(found[0]) if found else args.model
    policy = HF(weights, device=args.device, dtype=args.dtype, system=args.system, slots=args.slots)
    # small optimiser steps vanish in the rounding of bfloat16 weights
    model = policy.model if args.dtype == "float32" else HF(weights, device=args.device, dtype="float32").model
    envs = cli.make_envs(args.env, min(args.slots, args.prompts * args.group), args.env_settings, policy.tokenizer)
    reference = HF(args.model, device=args.device, dtype=args.dtype).model.eval() if args.kl else None
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, betas=args.betas, weight_decay=args.weight_decay)
    curriculum = parts.make("curriculum", args.curriculum)
    shaper = parts.make("rewards", args.shaper) if args.shaper else Truth()
    stateful = {"curriculum": curriculum, "shaper": shaper}
    schedule = parts.make("schedules", args.schedule) if args.schedule else None
    for part in stateful.values():
        if hasattr(part, "begin"):
            part.begin(envs[0].unwrapped.task)  # type: ignore[attr-defined]
    first = found[1]["step"] if found else 0
    if found:
        checkpoint.restore(found[1], {"optimizer": optimizer, **stateful})
    log = RunLog(args.out, asdict(args), resume_at=first, tensorboard=args.tensorboard, wandb=args.wandb)
    bar = tqdm(range(first, args.steps), initial=first, total=args.steps, desc=args.env, smoothing=0.1)
    for step in bar:
        started = time.perf_counter()
        args = replace(args, budget=schedule(step)) if schedule else args
        batch, tried = collect(args, policy, envs, curriculum, shaper, step)
        rewards = shaper(batch)
        advantages = ADVANTAGES[args.advantage](rewards) * mgpo(columns(batch).score, args.mgpo_lambda)
        rng = np.random.default_rng((args.seed, step, 1))
        constant = float(args.budget or envs[0].unwrapped.thinking.budget)  # type: ignore[attr-defined]
        sampled_s = time.perf_counter() - started
        packed = pack(
            batch,
            advantages,
            loss_norm=args.loss_norm,
            constant=constant,
            steps=args.updates,
            tokens=args.micro_tokens,
            whole=args.ratio != "token",
            silent=bool(args.kl or args.entropy),
            rng=rng,
        )
        for group in optimizer.param_groups:
            group["lr"] = args.lr * warmup_cosine(step, args.steps, args.warmup, args.floor)
        learned = update(model, optimizer, packed, args, reference)
        policy.sync(model)
        paid = shaper(tried) if args.dynamic else rewards
        figures = batch_means(tried, paid) | {"flat_groups": 1.0 - float(np.mean(informative(paid)))}
        for part in stateful.values():
            part.update(tried)
            figures |= part.figures() if hasattr(part, "figures") else {}
        seconds = {"sample_s": sampled_s, "step_s": time.perf_counter() - started}
        figures |= {**learned, "lr": optimizer.param_groups[0]["lr"], **seconds}
        log.write(step, **figures)
        bar.set_postfix(reward=f"{figures['reward']:.2f}", length=f"{figures['length']:.0f}")
        if args.save_trajectories:
            save_traces(f"{args.out}/trajectories/step-{step:06d}.jsonl", (t for g in tried for t in g))
        if (step + 1) % args.save_every == 0 or step + 1 == args.steps:
            state = checkpoint.states({"optimizer": optimizer, **stateful}) | {"agent": "grpo"}
            checkpoint.save(args.out, step + 1, model, policy.tokenizer, state, args.keep)
    log.close()
    print(f"model: {checkpoint.steps(args.out)[-1]}")


def check(args: Args) -> None:
    """Refuse what would fail in mid-run, or train on something else than it says."""
    if (args.top_p < 1 or args.top_k) and args.tis is None:
        raise UserError("--top-p and --top-k bias the behaviour log-probs: set --tis 2 as well, or leave them off")
    if args.temperature <= 0:
        raise UserError(f"--temperature {args.temperature}: a group of greedy attempts has no spread; use 1")
    if not 0 < args.top_p <= 1:
        raise UserError(f"--top-p {args.top_p} must be above 0 and at most 1")
    if args.dual_clip is not None and args.dual_clip <= 1:
        raise UserError(f"--dual-clip {args.dual_clip} must be above 1")
    if args.schedule and args.budget is not None:
        raise UserError(f"--budget {args.budget} and --schedule {args.schedule}: give one of them")
    cli.at_least(
        args, 1, "steps", "prompts", "group", "updates", "micro_tokens", "slots", "save_every", "keep", "budget"
    )
    cli.at_least(args, 0, "dynamic", "top_k", "tis", "kl", "clip_low", "clip_high", "warmup", "seed")
    cli.at_least(args, 0, "mgpo_lambda", "policy_coef")
    cli.check_optimizer(args)
    if not math.isfinite(args.entropy):
        raise UserError(f"--entropy {args.entropy} must be a number")


def collect(args: Args, policy: HF, envs: list[Any], curriculum: Any, shaper: Any, step: int) -> tuple[Batch, Batch]:
    """P groups of attempts to learn from, and all that were tried; probes that a part asks for run before these."""
    task, sampling = envs[0].unwrapped.task, Sampling(args.temperature, args.top_p, args.top_k)
    rng = np.random.default_rng((args.seed, step))
    budget = {} if args.budget is None else {"budget": args.budget}
    most = args.budget or envs[0].unwrapped.thinking.budget

    def attempt(problems: list[Any], n: int, stream: int, starts: Sequence[Iterable[Any]] = ()) -> Batch:
        options = [{"problem": p, **budget} for p in problems for _ in range(n)]
        for given in starts:
            options = [{**o, **g} for o, g in zip(options, given, strict=True)]
        # a start may be given less than the step's budget, never more
        options = [{**o, "budget": min(o["budget"], most)} if o.get("budget") else o for o in options]
        done = rollout(
            policy,
            envs,
            [{"seed": int(rng.integers(1 << 31)), "options": o} for o in options],
            group=n,
            step=stream,
            seed=args.seed,
            sampling=sampling,
            deterministic=args.deterministic,
        )
        return [done[i : i + n] for i in range(0, len(done), n)]

    batch: Batch = []
    tried: Batch = []
    for extra in range(args.dynamic + 1):
        problems = curriculum.problems(task, rng, args.prompts - len(batch))
        starts = [part.starts(problems, args.group) for part in (curriculum, shaper) if hasattr(part, "starts")]
        for number, part in enumerate((curriculum, shaper)):
            # before the problems are attempted; in a later round only a part that was just told of them may ask
            asks = hasattr(part, "probe") and (extra == 0 or hasattr(part, "starts"))
            if asks and (asked := part.probe(step)) is not None:
                part.observe(attempt(*asked, stream=PROBES * (extra + 1) + 2 * step + number))
        new = attempt(problems, args.group, (args.dynamic + 1) * step + extra, starts)
        kept = informative(shaper(new)) if args.dynamic else np.ones(len(new), bool)
        tried += new
        batch += [group for group, keep in zip(new, kept, strict=True) if keep]
        if len(batch) == args.prompts:
            break
    return batch or new, tried


def update(model: Any, optimizer: Any, packed: list[list[Rows]], args: Args, reference: Any = None) -> dict[str, float]:
    """One optimiser step for each part of ``packed``; the figures are means over the batch's tokens."""
    model.eval()  # dropout would put noise into the ratios
    old = None
    if args.tis is not None and len(packed) > 1:  # old and behaviour policy differ, and the weights will move
        with torch.no_grad():
            old = [[logprobs(model, rows, args)[0] for rows in micro] for micro in packed]
    seen: list[dict[str, float]] = []
    losses, norms = [], []
    for number, micro in enumerate(packed):
        for m, rows in enumerate(micro):
            loss, figures = micro_loss(model, rows, args, old[number][m] if old else None, reference)
            loss.backward()
            if number > 0:
                figures.pop("drift")  # the weights have moved since: no longer a matter of numerics
            seen.append(figures)
            losses.append(loss.item())
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), args.max_grad_norm).item())
        optimizer.step()
        optimizer.zero_grad()
    keys = seen[0].keys() if seen else ()
    means = {k: np.average([s[k] for s in seen if k in s], weights=[s["tokens"] for s in seen if k in s]) for k in keys}
    means |= {"ratio_max": max(s["ratio_max"] for s in seen)} if seen else {}
    means["loss"] = sum(losses) / max(1, len(packed))
    means["tokens"] = sum(s["tokens"] for s in seen)
    return {**means, "grad_norm": float(np.mean(norms)) if norms else 0.0}


def micro_loss(
    model: Any, rows: Rows, args: Args, old: Tensor | None = None, reference: Any = None
) -> tuple[Tensor, dict[str, float]]:
    """The loss of a micro-batch, to be added up, and its figures."""
    logp, entropy = logprobs(model, rows, args)

    def on(x: Any) -> Tensor:
        return torch.as_tensor(x, device=logp.device)

    behaviour, mask = on(rows.logprobs)[:, 1:], on(rows.mask)[:, 1:]
    if old is None and args.tis is None:
        old = behaviour
    ref = None
    if reference is not None:
        with torch.no_grad():
            ref = logprobs(reference, rows, args)[0]
    loss, figures = policy_loss(
        logp,
        old,
        on(rows.advantages)[:, 1:],
        mask,
        on(rows.weight)[:, 1:],
        clip_low=args.clip_low,
        clip_high=args.clip_high,
        dual_clip=args.dual_clip,
        ratio=args.ratio,
        trajectory=on(rows.trajectory),
        tis=args.tis,
        behaviour_logp=behaviour,
        ref_logp=ref,
        kl=args.kl,
        entropy=entropy,
        entropy_coef=args.entropy,
        policy_coef=args.policy_coef,
    )
    drift = ((logp.detach() - behaviour).abs() * mask).sum() / mask.sum().clamp(min=1)
    return loss, {**figures, "drift": drift.item()}


def logprobs(model: Any, rows: Rows, args: Args) -> tuple[Tensor, Tensor]:
    """Of each row's tokens after its first, and the entropies there: [N, T - 1] each."""
    ids = torch.as_tensor(rows.ids, device=model.device)
    # padding stands on the right and attention is causal, so no mask is needed
    with torch.autocast(ids.device.type, torch.bfloat16, enabled=args.dtype == "bfloat16"):
        logits = model(input_ids=ids, use_cache=False).logits
    logp, entropy = token_logprobs(logits, ids, args.temperature)
    assert entropy is not None
    return logp, entropy


if __name__ == "__main__":
    cli.run(main, Args)
