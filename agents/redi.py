"""REDI, and with its arguments DPO, SimPO and SFT: learning from right and wrong responses that are there already.

    python -m reasongym.agents.redi --env LongCoT-v0 --env.budget 128 --problems 512 --attempts 8 --lr 1e-4
    python -m reasongym.agents.redi --data pairs.jsonl --model Qwen/Qwen3-0.6B --device cuda --loss dpo --beta 0.001

Without ``--data`` the model's own attempts in ``--env`` are paired first; ``reasongym pairs`` pairs any others. A
thought in several windows is several rows of one response: its log-probability is the sum over all the tokens that
were sampled, each seen from its own window, as in `agents/grpo.py`.

REDI's loss has no lower bound, so the right responses may lose their log-probability with the wrong ones. The log
shows both sides (``chosen``, ``rejected``, nats a token), and ``--on-collapse`` says what is done about it.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from reasongym import cli
from reasongym.algos import checkpoint
from reasongym.algos.losses import token_logprobs
from reasongym.algos.preferences import CollapseMonitor, dpo, redi, response_logprobs, simpo
from reasongym.core import Sampling, Tokenizer, UserError
from reasongym.evaluate import evaluate
from reasongym.export import write
from reasongym.pairs import pairs, read_attempts
from reasongym.policies.hf import HF
from reasongym.report.log import RunLog
from reasongym.report.traces import save_traces
from reasongym.rows import Row, read_rows
from reasongym.schedules import warmup_cosine, warmup_linear
from reasongym.tokenizer import Chat

DECAYS = {"linear": warmup_linear, "cosine": warmup_cosine}
SIDES = ("chosen", "rejected")


@dataclass
class Args:
    """The settings of a run; each is a flag."""

    data: str = ""
    """Pairs: a jsonl or parquet file (or hub id) with prompt, chosen and rejected (--loss sft needs no rejected)."""
    env: str = "LongCoT-v0"
    """Without --data, pairs are made of attempts in this environment; --env.KEY VALUE sets its arguments."""
    env_settings: dict[str, Any] = field(default_factory=dict)
    problems: int = 512
    attempts: int = 8
    """At each problem, sampled at --temperature."""
    per_problem: int = 1
    """Pairs of each problem, at most; 1 is its first right and its first wrong attempt."""
    temperature: float = 1.0
    model: str = "tiny"
    """A hub id, a folder, or "tiny", "tiny-sat" or "tiny-python", the models inside this package."""
    out: str = "runs/redi"
    resume: bool = False
    """Go on from the newest checkpoint in --out; exact (its own attempts only where --deterministic is on)."""
    loss: Literal["redi", "dpo", "simpo", "sft"] = "redi"
    """"sft" is "redi" with --alpha 0: every right response weighs the same."""
    alpha: float = 0.8
    """Of redi: what a wrong response weighs against a right one, 0 to 1."""
    weighting: float | None = None
    """Of redi: the exponent of the code's optional weight of the wrong side."""
    beta: float | None = None
    """Of dpo (None: 0.1) and simpo (None: 2)."""
    gamma: float = 1.0
    """Of simpo: its margin."""
    compat: Literal["paper", "official"] = "paper"
    """"official" divides by a response's length before --max-tokens cut it."""
    max_tokens: int | None = None
    """Rows of more tokens, prompt included, are cut."""
    truncation: Literal["start", "end"] = "start"
    """The part of a row that is kept."""
    collapse: float = 0.5
    """Nats a token that the right responses may lose against the first steps, in means over --window steps."""
    window: int = 5
    on_collapse: Literal["warn", "stop", "ignore"] = "warn"
    steps: int | None = None
    """Optimiser steps; None: as many as --epochs takes."""
    epochs: float = 1.0
    batch: int = 32
    """Pairs an optimiser step."""
    micro_tokens: int = 1 << 15
    """Padded tokens of a micro-batch; a pair is never split."""
    lr: float = 1e-6
    decay: Literal["linear", "cosine"] = "linear"
    """Of the learning rate, after the warm-up."""
    warmup: float = 0.1
    """Share of the steps."""
    floor: float = 0.0
    """The last learning rate as a share of --lr."""
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 1e-4
    max_grad_norm: float = 1.0
    slots: int = 128
    """Episodes at a time."""
    deterministic: bool = False
    """Step envs on the engine's clock: the same attempts in every run."""
    system: str | None = None
    """The system prompt; None leaves the chat template's own."""
    save_every: int = 200
    keep: int = 2
    tensorboard: bool = True
    wandb: str = ""
    device: str = "cpu"
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of the forward passes; the weights are float32."""
    seed: int = 0
    dry_run: bool = False
    """Print the resolved arguments and stop."""


@dataclass(frozen=True)
class Response:
    """Its rows, each with token ids and a mask of what is learned; and what its log-probability is divided by."""

    rows: tuple[tuple[Sequence[int], Sequence[int]], ...]
    length: int

    @property
    def learned(self) -> int:
        return sum(sum(mask) for _, mask in self.rows)


Pair = tuple[Response, Response]  # chosen, rejected


def main(args: Args) -> None:
    """Train; leaves checkpoints, ``metrics.jsonl`` and ``args.json`` in ``--out``."""
    check(args)
    found = checkpoint.start(args.out, resume=args.resume, agent="redi")
    policy = HF(str(found[0]) if found else args.model, device=args.device, dtype="float32", system=args.system,
                slots=args.slots)  # fmt: skip
    model, tokenizer = policy.model, policy.tokenizer
    # float32 as the policy: a sum over thousands of tokens shows every rounding
    reference = HF(args.model, device=args.device, dtype="float32").model.eval() if args.loss == "dpo" else None
    rows = source(args, policy)
    steps = args.steps or math.ceil(args.epochs * len(rows) / args.batch)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, betas=args.betas, weight_decay=args.weight_decay)
    monitor, first = CollapseMonitor(args.collapse, args.window), 0
    if found:
        optimizer.load_state_dict(found[1]["optimizer"])
        monitor.load_state_dict(found[1]["monitor"])
        first = found[1]["step"]
    log = RunLog(args.out, asdict(args), resume_at=first, tensorboard=args.tensorboard, wandb=args.wandb)
    bar, warned = tqdm(range(first, steps), initial=first, total=steps, desc=args.loss, smoothing=0.1), False
    for step in bar:
        started = time.perf_counter()
        batch = [encoded(rows[i], tokenizer, args) for i in members(step, args.batch, len(rows), args.seed)]
        for group in optimizer.param_groups:
            group["lr"] = args.lr * DECAYS[args.decay](step, steps, round(args.warmup * steps), args.floor)
        figures = update(model, optimizer, batch, args, reference)
        learned = any(chosen.learned for chosen, _ in batch)  # not where --max-tokens has cut all of them away
        collapsed = learned and monitor(figures["chosen"]) and args.on_collapse != "ignore"
        seconds, lr = time.perf_counter() - started, optimizer.param_groups[0]["lr"]
        log.write(step, **figures, fallen=monitor.fallen, lr=lr, step_s=seconds)
        bar.set_postfix(chosen=f"{figures['chosen']:.3f}", rejected=f"{figures['rejected']:.3f}")
        stop = collapsed and args.on_collapse == "stop"
        if collapsed and not warned:
            told, warned = "stopped" if stop else "warning", True
            tqdm.write(f"{told}: step {step}: {monitor}; take a smaller --lr or --alpha", file=sys.stderr)
        if (step + 1) % args.save_every == 0 or step + 1 == steps or stop:
            state = {"optimizer": optimizer.state_dict(), "monitor": monitor.state_dict(), "agent": "redi"}
            checkpoint.save(args.out, step + 1, model, tokenizer, state, args.keep)
        if stop:
            break
    log.close()
    print(f"model: {checkpoint.steps(args.out)[-1]}")


def check(args: Args) -> None:
    """Refuse what would fail in mid-run."""
    cli.at_least(args, 1, "problems", "attempts", "per_problem", "steps", "batch", "micro_tokens", "slots")
    cli.at_least(args, 1, "save_every", "keep", "window")
    cli.at_least(args, 2, "max_tokens")
    cli.at_least(args, 0, "temperature", "beta", "collapse", "seed")
    cli.check_optimizer(args)
    if not 0 <= args.alpha <= 1:
        raise UserError(f"--alpha {args.alpha} must be from 0 to 1")
    if not args.epochs > 0:
        raise UserError(f"--epochs {args.epochs} must be above 0")
    if not 0 <= args.warmup <= 1:
        raise UserError(f"--warmup {args.warmup} must be a share of the steps, from 0 to 1")
    if args.compat == "official" and args.max_tokens is None:
        raise UserError("--compat official changes nothing without --max-tokens: set it, or leave --compat out")


# --- pairs


def source(args: Args, policy: HF) -> list[Row]:
    """The pairs of ``--data``, or those of the model's own attempts, which are kept in ``--out``."""
    path = args.data or str(sampled(args, policy))
    rows = read_rows(path, ("prompt", "chosen") if args.loss == "sft" else ("prompt", *SIDES))
    for n, row in enumerate(rows, 1):
        if not isinstance(row["prompt"], str):
            raise UserError(f"{path}, row {n}: prompt must be text")
        for side in SIDES:
            if row.get(side) is not None and not isinstance(text_of(row[side]), str):
                raise UserError(f"{path}, row {n}: {side} must be text, or messages that end in the response")
            if row.get(f"{side}_segments") and not are_windows(row[f"{side}_segments"]):
                raise UserError(f"{path}, row {n}: {side}_segments must be token ids and masks of equal length")
    for side in SIDES:  # one look is enough: a file is of one tokenizer
        if rows[0].get(f"{side}_segments") and not same_tokens(rows[0], side, policy.tokenizer):
            raise UserError(f"{path}: its token ids are not those of --model {args.model}: make the pairs from texts")
    return rows


def sampled(args: Args, policy: HF) -> Path:
    """The file of pairs of the model's own attempts; a run that goes on has made it already."""
    path = Path(args.out, "pairs.jsonl")
    if args.resume and path.exists():
        return path
    count = min(args.slots, args.problems * args.attempts)
    envs = cli.make_envs(args.env, count, args.env_settings, policy.tokenizer)
    rng = np.random.default_rng(args.seed)
    posed = [envs[0].unwrapped.task.sample(rng) for _ in range(args.problems)]  # type: ignore[attr-defined]
    done = evaluate(policy, envs, posed, k=args.attempts, sampling=Sampling(args.temperature), seed=args.seed,
                    deterministic=args.deterministic)  # fmt: skip
    tried = Path(args.out, "attempts.jsonl")
    save_traces(tried, (t for group in done.batch for t in group))
    made = list(pairs(read_attempts(str(tried)), args.per_problem))
    if not made:
        raise UserError(f"--env {args.env}: none of {args.problems} problems has both a right and a wrong attempt")
    write(path, (f"{json.dumps(row)}\n" for row in made))
    return path


def members(step: int, batch: int, n: int, seed: int) -> list[int]:
    """The pairs of a step: every epoch is a permutation of its own, and a run needs no state of it."""
    places = range(step * batch, (step + 1) * batch)
    orders = {epoch: np.random.default_rng((seed, epoch)).permutation(n) for epoch in {k // n for k in places}}
    return [int(orders[k // n][k % n]) for k in places]


def encoded(row: Row, tokenizer: Tokenizer, args: Args) -> Pair:
    """Both responses of a pair as token ids: those that were sampled, or else their text behind the template."""
    chat = Chat(tokenizer, args.system)
    return response(row, "chosen", chat, args), response(row, "rejected", chat, args)


def response(row: Row, side: str, chat: Chat, args: Args) -> Response:
    """One side of a pair ("chosen" or "rejected"), cut to ``--max-tokens``; empty where the pair has none."""
    if row.get(side) is None:
        return Response((), 0)
    if segments := row.get(f"{side}_segments"):
        whole = [(s["ids"], s["mask"]) for s in segments]
    else:
        text = text_of(row[side])
        given = chat.prompt_ids(row["prompt"], text)
        own = [*chat.tokenizer.encode(text), *chat.tokenizer.eos_ids[: not row.get(f"{side}_truncated")]]
        whole = [([*given, *own], [0] * len(given) + [1] * len(own))]
    limit = args.max_tokens
    part = slice(None) if limit is None else slice(limit) if args.truncation == "start" else slice(-limit, None)
    rows = tuple((ids[part], [0, *mask[part][1:]]) for ids, mask in whole)  # nothing stands before a first token
    return Response(rows, sum(sum(mask) for _, mask in (whole if args.compat == "official" else rows)))


def text_of(side: Any) -> Any:
    """A response, which may be the last of a list of messages."""
    return side[-1].get("content") if isinstance(side, list) and side and isinstance(side[-1], dict) else side


def are_windows(segments: Any) -> bool:
    """Whether these are windows of a thought: token ids, and a mask for each."""
    try:
        return all(
            len(s["ids"]) == len(s["mask"]) > 0 and all(isinstance(x, int) for x in (*s["ids"], *s["mask"]))
            for s in segments
        )
    except (TypeError, KeyError):
        return False


def same_tokens(row: Row, side: str, tokenizer: Tokenizer) -> bool:
    """Whether what was sampled last, behind any tool's output, is part of the text also in this tokenizer."""
    last = row[f"{side}_segments"][-1]
    own = [m and i not in tokenizer.eos_ids for i, m in zip(last["ids"], last["mask"], strict=True)]
    runs = [[i for i, _ in run] for mine, run in groupby(zip(last["ids"], own, strict=True), itemgetter(1)) if mine]
    ids = runs[-1] if runs else []
    return max(last["ids"], default=0) < len(tokenizer) and tokenizer.decode(ids).strip("\ufffd") in text_of(row[side])


# --- learning


def update(model: Any, optimizer: Any, batch: list[Pair], args: Args, reference: Any = None) -> dict[str, float]:
    """One optimiser step on the mean loss of these pairs; the figures are means over them.

    ``chosen`` and ``rejected`` are means over the responses of which any token is learned.
    """
    model.eval()  # no dropout: the reference has none
    total, means, counts = 0.0, [], []
    for micro in micro_batches(batch, args.micro_tokens):
        logps = logprobs(model, micro, args)
        with torch.no_grad():
            ref = logprobs(reference, micro, args) if reference is not None else None
        loss = losses(logps, micro, args, ref).sum() / len(batch)
        loss.backward()
        total += loss.item()
        learned = [[r.learned for r in pair] for pair in micro]
        means += (logps.detach().T.cpu() / torch.tensor(learned)).tolist()
        counts += learned
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), args.max_grad_norm).item()
    optimizer.step()
    optimizer.zero_grad()
    chosen, rejected = np.array(means).T
    there = np.array(counts).T > 0
    return {
        "loss": total,
        "chosen": float(np.mean(chosen[there[0]])) if there[0].any() else math.nan,
        "rejected": float(np.mean(rejected[there[1]])) if there[1].any() else math.nan,
        "preferred": float(np.mean(chosen > rejected)),
        "grad_norm": norm,
        "tokens": sum(r.learned for pair in batch for r in pair),
    }


def losses(logps: Tensor, micro: list[Pair], args: Args, ref: Tensor | None = None) -> Tensor:
    """The loss of each pair, [B], from its log-probabilities [2, B]."""
    lengths = torch.tensor([[r.length for r in pair] for pair in micro], dtype=logps.dtype, device=logps.device).T
    if args.loss == "dpo":
        assert ref is not None
        return dpo(*logps, *ref, beta=0.1 if args.beta is None else args.beta)
    if args.loss == "simpo":
        return simpo(*logps, *lengths, beta=2.0 if args.beta is None else args.beta, gamma=args.gamma)
    return redi(*logps, *lengths, alpha=0.0 if args.loss == "sft" else args.alpha, weighting=args.weighting)


def logprobs(model: Any, micro: list[Pair], args: Args) -> Tensor:
    """Of the chosen and of the rejected responses, [2, B]."""
    found = [(n, *row) for n, r in enumerate(r for side in zip(*micro, strict=True) for r in side) for row in r.rows]
    width = max(len(ids) for _, ids, _ in found)
    ids, mask = np.zeros((2, len(found), width), np.int64)
    for i, (_, own, learned) in enumerate(found):
        ids[i, : len(own)], mask[i, : len(own)] = own, learned
    given, kept, owner = (torch.as_tensor(x, device=model.device) for x in (ids, mask, [n for n, *_ in found]))
    # padding stands on the right and attention is causal, so no mask is needed
    with torch.autocast(given.device.type, torch.bfloat16, enabled=args.dtype == "bfloat16"):
        logits = model(input_ids=given, use_cache=False).logits
    logp, _ = token_logprobs(logits, given, entropy=False)
    return response_logprobs(logp, kept[:, 1:], owner, 2 * len(micro)).view(2, -1)


def micro_batches(batch: list[Pair], tokens: int) -> Iterator[list[Pair]]:
    """Pairs of like length together, as many as fit."""
    now: list[Pair] = []
    for pair in sorted(batch, key=_width):
        rows = sum(len(r.rows) for other in (*now, pair) for r in other)
        if now and rows * _width(pair) > tokens:
            yield now
            now = []
        now.append(pair)
    yield now


def _width(pair: Pair) -> int:
    return max(len(ids) for r in pair for ids, _ in r.rows)


if __name__ == "__main__":
    cli.run(main, Args)
