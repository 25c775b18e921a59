"""Supervised fine-tuning on worked solutions: of a task (`Task.demonstrate`), or of a jsonl.

    python -m reasongym.agents.sft --env Delethink-v0 --env.chunk 32 --env.carry 12 --env.head 0
    python -m reasongym.agents.sft --data solutions.jsonl --model Qwen/Qwen3-0.6B --device cuda --lr 1e-5

Under a thinking that resets the context, a share of the rows are windows of a trace instead of
whole traces, so that one checkpoint serves both ways to think. The loss is on the response alone.

In an environment with tools a demonstration is played: the text is what the policy itself writes, the tools answer
wherever it ends in a stop string, as they do in a rollout, and what they say is seen but not learned.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby, pairwise
from operator import itemgetter
from typing import Any, Literal

import numpy as np
import torch
from tqdm import tqdm
from transformers import AutoConfig, AutoModelForCausalLM

from reasongym import cli
from reasongym.algos import checkpoint
from reasongym.algos.losses import sft_loss, token_logprobs
from reasongym.algos.packing import Example, pack_examples
from reasongym.core import (
    Completion,
    Demonstrator,
    Finish,
    HostError,
    Problem,
    Request,
    Thinking,
    Tokenizer,
    UserError,
)
from reasongym.policies.hf import HF
from reasongym.report.log import RunLog
from reasongym.rollout import rollout
from reasongym.rows import read_rows
from reasongym.schedules import warmup_cosine
from reasongym.tokenizer import Chat, load, model_folder

Response = str | list[str] | Completion


@dataclass
class Args:
    """The settings of a run; each is a flag."""

    env: str = "LongCoT-v0"
    """Whose task demonstrates and whose thinking cuts the windows; --env.KEY VALUE sets its arguments."""
    env_settings: dict[str, Any] = field(default_factory=dict)
    data: str = ""
    """A jsonl or parquet file (or hub id) with "prompt" and "response", instead of the task's demonstrations.
    A response may be a list of texts, by turns what is learned and what a tool answered; such a row is never cut."""
    model: str = "tiny"
    """A hub id, a folder, or "tiny", "tiny-sat" or "tiny-python", the models inside this package."""
    fresh: bool = False
    """Begin from random weights of the model's architecture."""
    out: str = "runs/sft"
    resume: bool = False
    """Go on from the newest checkpoint in --out."""
    steps: int = 1200
    batch: int = 16
    """Examples an optimiser step."""
    row: int = 512
    """Tokens of a packed row."""
    whole: float = 0.5
    """Share of examples that are whole traces; the others are single windows of the env's thinking."""
    level: int = 0
    last: int | None = None
    """Demonstrations are of levels --level to --last, all alike; by default of one level."""
    lr: float = 1e-5
    warmup: int = 30
    floor: float = 0.05
    """The cosine's last learning rate, as a share of --lr."""
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    system: str | None = None
    """The system prompt; None leaves the chat template's own."""
    save_every: int = 500
    keep: int = 2
    log_every: int = 10
    tensorboard: bool = True
    wandb: str = ""
    device: str = "cpu"
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of the forward passes; the weights are float32."""
    seed: int = 0
    dry_run: bool = False
    """Print the resolved arguments and stop."""


def main(args: Args) -> None:
    """Train; leaves checkpoints, ``metrics.jsonl`` and ``args.json`` in ``--out``."""
    check(args)
    found = checkpoint.start(args.out, resume=args.resume, agent="sft")
    model, tokenizer = begin(args, str(found[0]) if found else args.model, fresh=args.fresh and not found)
    decay = {"lr": args.lr, "betas": args.betas, "weight_decay": args.weight_decay}
    optimizer = torch.optim.AdamW(model.parameters(), **decay)
    first = 0
    if found:
        optimizer.load_state_dict(found[1]["optimizer"])
        first = found[1]["step"]
    examples = source(args, tokenizer)
    log = RunLog(args.out, asdict(args), resume_at=first, tensorboard=args.tensorboard, wandb=args.wandb)
    model.train()
    bar = tqdm(range(first, args.steps), initial=first, total=args.steps, desc="sft", smoothing=0.1)
    for step in bar:
        rng = np.random.default_rng((args.seed, step))  # a stream a step, so a resumed run needs no state
        own = int(np.random.SeedSequence((args.seed, step)).generate_state(1)[0])
        packed = pack_examples([examples(rng) for _ in range(args.batch)], args.row).to(args.device)
        started = time.perf_counter()
        with (
            torch.random.fork_rng(devices=[] if args.device == "cpu" else [args.device]),
            torch.autocast(packed.ids.device.type, torch.bfloat16, enabled=args.dtype == "bfloat16"),
        ):
            torch.manual_seed(own)  # of dropout, where the model has any
            # no attention mask: transformers then keeps packed examples apart by their positions
            logits = model(input_ids=packed.ids, position_ids=packed.positions, use_cache=False).logits
        logp, _ = token_logprobs(logits, packed.ids, entropy=False)
        loss = sft_loss(logp, packed.mask[:, 1:])
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), args.max_grad_norm)
        for group in optimizer.param_groups:
            group["lr"] = args.lr * warmup_cosine(step, args.steps, args.warmup, args.floor)
        optimizer.step()
        optimizer.zero_grad()
        if step % args.log_every == 0 or step + 1 == args.steps:
            tokens = int(packed.mask.sum())
            bar.set_postfix(loss=f"{loss.item():.3f}")
            log.write(step, loss=loss.item(), grad_norm=norm.item(), tokens=tokens, s=time.perf_counter() - started)
        if (step + 1) % args.save_every == 0 or step + 1 == args.steps:
            state = {"optimizer": optimizer.state_dict(), "agent": "sft"}
            checkpoint.save(args.out, step + 1, model, tokenizer, state, args.keep)
    log.close()
    print(f"model: {checkpoint.steps(args.out)[-1]}")


def check(args: Args) -> None:
    """Refuse what would fail in mid-run."""
    cli.at_least(args, 1, "steps", "batch", "row", "save_every", "keep", "log_every")
    cli.at_least(args, 0, "level", "warmup", "seed")
    cli.check_optimizer(args)
    if not 0 <= args.whole <= 1:
        raise UserError(f"--whole {args.whole} must be a share from 0 to 1")
    if args.last is not None and args.last < args.level:
        raise UserError(f"--last {args.last} must be at least --level {args.level}")


def source(args: Args, tokenizer: Tokenizer) -> Callable[[np.random.Generator], Example]:
    """Where examples come from: a function of a random generator."""
    chat = Chat(tokenizer, args.system)
    env = cli.make_envs(args.env, 1, args.env_settings, tokenizer)[0].unwrapped
    task, thinking = env.task, env.thinking  # type: ignore[attr-defined]
    if args.data:
        rows = read_rows(args.data, ("prompt", "response"))
        for n, row in enumerate(rows, 1):
            if not (isinstance(row["prompt"], str) and texts(row["response"])):
                raise UserError(
                    f"{args.data}: prompt and response of row {n} must both be text, or the latter a list of texts"
                )

        def worked(rng: np.random.Generator) -> tuple[str, Response]:
            row = rows[int(rng.integers(len(rows)))]
            return row["prompt"], row["response"]
    else:
        if not isinstance(task, Demonstrator):
            raise UserError(f"{task!r} has no demonstrate(): give --data, or another --env.task")

        def demonstrated(rng: np.random.Generator) -> tuple[Problem, str | Completion]:
            level = args.level if args.last is None else int(rng.integers(args.level, args.last + 1))
            problem = task.sample(rng, level)
            return problem, task.demonstrate(problem, rng)

        def worked(rng: np.random.Generator) -> tuple[str, Response]:
            problem, response = demonstrated(rng)
            return problem.prompt, response

        if env.tools:  # type: ignore[attr-defined]
            return lambda rng: played(env, *demonstrated(rng), chat, rng)

    prefix = tokenizer.encode(thinking.prefix)
    # a response that opens its thought must not do so again after a prefix or a template that has
    _, opened, rest = (thinking.prefix or tokenizer.frame(args.system)[1]).rpartition(chat.opener)

    def example(rng: np.random.Generator) -> Example:
        prompt, response = worked(rng)
        finished = not isinstance(response, Completion) or response.finish == "end"
        first, *more = turns(response)
        first = first.removeprefix(opened + rest).removeprefix(opened) if opened else first
        pieces = [tokenizer.encode(text) for text in (first, *more)]
        pieces += [[]] * (len(pieces) % 2 == 0)  # where a tool has the last word, the end is still the policy's
        pieces[-1] = [*pieces[-1], *tokenizer.eos_ids[:finished]]
        context, learned = window(thinking, pieces[0], rng, args.whole) if not more else ([], pieces[0])
        seen = [*prefix, *context]
        return [[*chat.prompt_ids(prompt, tokenizer.decode(seen)), *seen], learned, *pieces[1:]]

    return example


def turns(response: Response) -> list[str]:
    """By turns what is learned and what is given."""
    text = response.text if isinstance(response, Completion) else response
    return [text] if isinstance(text, str) else text


def texts(response: Any) -> bool:
    """Whether a row's response is a text, or a list of texts."""
    listed = response if isinstance(response, list) and response else [response]
    return all(isinstance(text, str) for text in listed)


def played(env: Any, problem: Problem, response: str | Completion, chat: Chat, rng: np.random.Generator) -> Example:
    """A row of the trajectory in which a policy writes ``response`` in ``env`` and its tools answer."""
    reset = {"seed": int(rng.integers(1 << 31)), "options": {"problem": problem}}
    done = rollout(Reciter.of(response, env, chat), [env], [reset], deterministic=True)[0]
    if not done.valid:
        raise HostError(f"a demonstration could not be played: {done.verdict.detail.get('error')}")
    row = done.segments[int(rng.integers(len(done.segments)))]
    return [[i for i, _ in run] for _, run in groupby(zip(row.ids, row.mask, strict=True), key=itemgetter(1))]


@dataclass
class Reciter:
    """A policy that writes what it was given, in each call up to the next stop string or to the end of the room."""

    pieces: list[list[int]]
    chat: Chat

    @classmethod
    def of(cls, response: str | Completion, env: Any, chat: Chat) -> Reciter:
        text, finish = (response.text, response.finish) if isinstance(response, Completion) else (response, "end")
        text = text.removeprefix(env.thinking.prefix)
        stops = "|".join(re.escape(tool.stop) for tool in env.tools)
        cuts = [0, *(found.end() for found in re.finditer(stops, text)), len(text)]
        pieces = [env.tokenizer.encode(text[a:b]) for a, b in pairwise(cuts)]
        pieces[-1] += env.tokenizer.eos_ids[: finish == "end"]
        return cls(pieces, chat)

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        return [self._call(request) for request in requests]

    def _call(self, request: Request) -> Completion:
        ids, rest = self.pieces[0][: request.room], self.pieces[0][request.room :]
        self.pieces = [rest, *self.pieces[1:]] if rest else self.pieces[1:]
        finish: Finish = "length" if rest else "pause" if self.pieces else "end"
        seen = (*self.chat.prompt_ids(request.prompt, request.response), *request.response_ids)
        text = self.chat.tokenizer.decode(ids)
        return Completion(text, tuple(ids), (0.0,) * len(ids), finish, seen)


def window(
    thinking: Thinking, ids: Sequence[int], rng: np.random.Generator, whole: float
) -> tuple[Sequence[int], Sequence[int]]:
    """What stands in a window of ``thinking``, and what is written there; or nothing, and the whole trace.

    A quarter of the windows are the first one. The others begin anywhere, not only where resets
    would fall, and half of them near the end: else the model never learns to stop right after a reset.
    """
    first = thinking.room(0, 0, 0, 0)
    lowest = min(first, len(thinking.keep(range(first), 0)))
    later = thinking.room(lowest, lowest, first, 1)  # what may be written in each window but the first
    if rng.random() < whole or later <= 0 or len(ids) <= lowest:
        return [], ids
    if rng.random() < 0.25:
        return [], ids[:first]
    near_end = rng.random() < 0.5
    start = int(rng.integers(max(lowest, len(ids) - later) if near_end else lowest, len(ids)))
    end = start - later * max(0, -(-(start - first) // later))  # of a first window after which a reset falls on start
    kept = thinking.keep(ids[:end], 0)
    for at in range(end, start, later):
        kept = thinking.keep([*kept, *ids[at : at + later]], len(kept))
    return kept, ids[start : start + later]


def begin(args: Args, name: str, *, fresh: bool) -> tuple[Any, Tokenizer]:
    """The model to tune: the one of this name, or its architecture with new weights."""
    if not fresh:
        policy = HF(name, device=args.device, dtype="float32")
        return policy.model, policy.tokenizer
    tokenizer = load(name)
    try:
        config = AutoConfig.from_pretrained(model_folder(name))
    except (OSError, ValueError) as error:
        raise UserError(f"--model {name}: no configuration of a model there") from error
    with torch.random.fork_rng(devices=[]):  # global streams stay as they are
        torch.manual_seed(args.seed)
        model = AutoModelForCausalLM.from_config(config)
    return HF(model, tokenizer, device=args.device, dtype="float32").model, tokenizer


if __name__ == "__main__":
    cli.run(main, Args)
