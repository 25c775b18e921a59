"""R2R: a router learns at which tokens a small model needs a large one. Labels, training, threshold, evaluation.

    python -m reasongym.agents.router --small SMALL --large LARGE --env LongCoT-v0 --env.budget 128
    python -m reasongym.agents.router --small deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B --large ... --device cuda

The large model answers; the small one is asked for each next token of these answers. Where it would say another one,
the large model goes on from that, and a judge says whether the fork matters. The router learns to foresee that from
what the small model has at hand. ``reasongym.policies.routed`` then decodes with it: router="runs/router".
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm
from transformers import DynamicCache

from reasongym import cli
from reasongym.algos import checkpoint
from reasongym.algos.routing import (
    Learned,
    Network,
    Shape,
    average_parameters,
    choose_threshold,
    positive_weight,
    save_router,
    top_logits,
)
from reasongym.core import FiniteTask, Problem, Sampling, Trajectory, UserError
from reasongym.evaluate import evaluate
from reasongym.forks import GREEDY, Judge, Parting, by_answer, by_sentence
from reasongym.policies.hf import HF
from reasongym.policies.routed import Routed, share
from reasongym.report.log import RunLog
from reasongym.rollout import rollout

Data = dict[str, Tensor]  # M labelled tokens: hidden [M, D], logits [M, k], token, label, mismatch and query [M]


@dataclass
class Args:
    """The settings of a run; each is a flag."""

    small: str = "tiny"
    """The model that writes: a hub id or a folder."""
    large: str = "tiny"
    """The model that is asked for single tokens; it must have the same tokenizer."""
    env: str = "LongCoT-v0"
    """Any registered environment without tools or context resets; --env.KEY VALUE sets its arguments."""
    env_settings: dict[str, Any] = field(default_factory=dict)
    level: int = 0
    out: str = "runs/router"
    resume: bool = False
    """Go on with the labels and from the last validated epoch in --out."""
    problems: int = 512
    """Answered by the large model for labels; of a finite task (`core.FiniteTask`) at most each one once."""
    shard: int = 128
    """Problems of one file of labels: so many are done again after a kill."""
    judge: str = "answer"
    """"answer": a fork matters where the large model then no longer answers rightly (only right answers are labelled).
    Else a model that compares the two sentences, as in the paper."""
    sentence: int = 128
    """Tokens of a sentence at most, for a judge that is a model."""
    piece: int = 4096
    """Tokens of an answer that the small model reads at a time."""
    top_logits: int = 100
    width: int = 1024
    blocks: int = 6
    factor: int = 4
    dropout: float = 0.1
    lr: float = 5e-5
    weight_decay: float = 5e-4
    batch: int = 1024
    epochs: int = 50
    validate_every: int = 2
    """Epochs between two looks at held-out labels."""
    patience: int = 10
    """Looks without a lower loss, after which training stops."""
    held_out: float = 0.1
    """Share of the problems."""
    recall_factor: float = 1.0
    recall: float = 0.95
    """The threshold is the one with the fewest large tokens whose recall of divergent ones is this."""
    evaluate: int = 128
    """New problems that small, large and routed model are asked at the end; 0 for none. Of a finite task at most those
    that --problems leaves, or, where it leaves none, any."""
    temperature: float = 0.0
    """Of the evaluation."""
    slots: int = 128
    system: str | None = None
    tensorboard: bool = True
    wandb: str = ""
    device: str = "cpu"
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of the two models; the router is float32."""
    seed: int = 0
    dry_run: bool = False
    """Print the resolved arguments and stop."""


def main(args: Args) -> None:
    """Label, train, evaluate; leaves ``labels/``, ``router.safetensors`` and ``evaluation.json`` in ``--out``."""
    check(args)
    engine = {"device": args.device, "dtype": args.dtype, "system": args.system, "slots": args.slots}
    small, large = HF(args.small, **engine), HF(args.large, **engine)
    if small.tokenizer.fingerprint != large.tokenizer.fingerprint:
        raise UserError(f"--small {args.small} and --large {args.large} have different tokenizers: choose one family")
    envs = cli.make_envs(args.env, args.slots, args.env_settings, large.tokenizer)
    if envs[0].unwrapped.tools:  # type: ignore[attr-defined]
        raise UserError(f"--env {args.env} has tools: answers to be labelled must be written in one piece")
    prefix = envs[0].unwrapped.thinking.prefix  # type: ignore[attr-defined]
    if args.judge == "answer":
        judge = by_answer(large, envs)
    else:
        judge = by_sentence(large, HF(args.judge, **engine), prefix, args.sentence)
    data = labelled(args, small, large, envs, judge)
    network, threshold = train(args, data, small.model.get_input_embeddings())
    save_router(args.out, network, threshold)
    print(f"router: {args.out}")
    if args.evaluate:
        compare(args, small, large, envs, network, threshold)


def check(args: Args) -> None:
    """Refuse what would fail in mid-run, and a folder that holds another run."""
    positive = "problems shard sentence piece top_logits width blocks factor batch epochs validate_every patience slots"
    cli.at_least(args, 1, *positive.split())
    cli.at_least(args, 0, "level", "lr", "weight_decay", "evaluate", "temperature", "seed", "recall_factor")
    if not 0 < args.held_out < 1 or not 0 < args.recall <= 1:
        raise UserError(
            f"--held-out {args.held_out} must be between 0 and 1, --recall {args.recall} above 0, at most 1"
        )
    if not 0 <= args.dropout < 1:
        raise UserError(f"--dropout {args.dropout} must be at least 0 and below 1")
    checkpoint.check_folder(args.out)
    labelled = Path(args.out, "labels").exists()
    if checkpoint.steps(args.out) or (Path(args.out, "metrics.jsonl").exists() and not labelled):
        raise UserError(f"{args.out} holds the run of another agent: choose another --out")
    if labelled and not args.resume:
        raise UserError(f"{args.out} holds a run: add --resume, or choose another --out")


# --- labels


def labelled(args: Args, small: HF, large: HF, envs: Sequence[Any], judge: Judge) -> Data:
    """The labels of all shards: those that are not there yet are made, and kept."""
    folder = Path(args.out, "labels")
    folder.mkdir(parents=True, exist_ok=True)
    shards = []
    for first in tqdm(range(0, args.problems, args.shard), desc="labels"):
        path, count = folder / f"{first:06d}.pt", min(args.shard, args.problems - first)
        shard = known(path, about(args, count))
        if shard is None:
            shard = label(thoughts(args, large, envs, first, count), small, judge, args, first)
            write(path, shard | {"about": about(args, count)})
        shards.append(shard)
    shards = [shard for shard in shards if shard]
    if not shards:
        raise UserError("the large model finished no answer (or no right one): nothing can be labelled")
    return {key: torch.cat([shard[key] for shard in shards]) for key in shards[0]}


def about(args: Args, count: int) -> dict[str, Any]:
    """What the labels of a shard depend on."""
    names = ("small", "large", "env", "level", "judge", "top_logits", "seed")
    settings = {f"env.{key}": repr(value) for key, value in args.env_settings.items()}
    return {name: getattr(args, name) for name in names} | settings | {"count": count}


def known(path: Path, wanted: dict[str, Any]) -> Data | None:
    """The labels of a shard; None where it is not there, or of another number of problems. Other ones are refused."""
    if not path.exists():
        return None
    shard: Data = torch.load(path, weights_only=True)
    made: dict[str, Any] = shard.pop("about", wanted)  # type: ignore[assignment,arg-type]  # older ones do not say
    for name in sorted({*made, *wanted} - {"count"}):
        if made.get(name) != wanted.get(name):
            flag = f"--{name.replace('_', '-')}"
            raise UserError(f"{path} was made with {flag} {made.get(name)}: keep that, or choose another --out")
    return shard if made["count"] == wanted["count"] else None


def write(path: Path, values: Any) -> None:
    draft = path.with_name(f".{path.name}")
    torch.save(values, draft)
    draft.replace(path)


def thoughts(args: Args, large: HF, envs: Sequence[Any], first: int, count: int) -> list[Trajectory]:
    """The large model's greedy answers that it finished; only right ones where the judge looks at answers."""
    task, rng = envs[0].unwrapped.task, np.random.default_rng((args.seed, 0, first))
    if isinstance(task, FiniteTask):
        problems = listed(args, task)[first : first + count]
    else:
        problems = [task.sample(rng, args.level) for _ in range(count)]
    resets = [{"options": {"problem": p}} for p in problems]
    done = rollout(large, envs, resets, sampling=GREEDY, deterministic=True)  # so that a killed run resumes exactly
    if any(len(t.segments) > 1 for t in done):
        raise UserError(f"--env {args.env} resets the context: answers to be labelled must be in one window")
    return [t for t in done if t.valid and not t.truncated and (args.judge != "answer" or t.verdict.score >= 1)]


def listed(args: Args, task: FiniteTask) -> list[Problem]:
    """A finite task's problems of --level (all where none is), each once, in the order in which they are answered."""
    task.sample(np.random.default_rng(), args.level)  # which refuses a level that the task says it does not have
    order = np.random.default_rng((args.seed, 0)).permutation(len(task))
    every = {problem.id: problem for problem in (task.problem(int(i)) for i in order)}.values()
    return [problem for problem in every if args.level in (0, problem.level)] or list(every)


def label(done: Sequence[Trajectory], small: HF, judge: Judge, args: Args, first: int = 0) -> Data:
    """Features and labels of every token of these answers but those that the judge left open; empty without answers.

    A token is divergent (1) iff the small model's greedy choice, after the answer's own beginning, is another token and
    the judge says that it matters. Each is judged alone, never after another change.

    Source: arXiv 2505.21600, section 3.2; thu-nics/R2R ``script/data_labeling``. Differs: the judge may be the verifier
    of an environment.
    """
    parts, partings = list[Data](), list[Parting]()
    for n, thought in enumerate(done):
        row = thought.segments[0]
        ids, answer = torch.tensor(row.ids), torch.tensor(row.mask).nonzero()[:, 0]
        found = propose(small, ids, answer, args.top_logits, args.piece)
        closer = torch.tensor([small.tokenizer.decode([i]) == "</think>" for i in ids[answer].tolist()])
        found["mismatch"] = (found["token"] != ids[answer]) & ~closer
        found["query"] = torch.full_like(answer, first + n)
        said = tuple(ids[answer].tolist())
        places = found["mismatch"].nonzero()[:, 0].tolist()
        partings += [Parting(thought, said, i, int(found["token"][i])) for i in places]
        parts.append(found)
    if not parts:
        return {}
    data = {key: torch.cat([part[key] for part in parts]) for key in parts[0]}
    data["label"] = torch.zeros_like(data["token"])
    data["label"][data["mismatch"]] = torch.tensor(judge(partings), dtype=torch.long)
    known = data["label"] >= 0
    return {key: values[known] for key, values in data.items()}


@torch.inference_mode()
def propose(small: HF, ids: Tensor, answer: Tensor, k: int, piece: int) -> Data:
    """What the small model has at hand for the tokens at the places ``answer`` [t] of a row ``ids`` [T]; its choice.

    Row p - 1 of its outputs is what predicts the token at place p.
    """
    model, cache = small.model, DynamicCache()
    hidden, logits, token = [], [], []
    for part in ids[:-1].split(piece):
        inputs = part[None].to(model.device)
        out = model(input_ids=inputs, past_key_values=cache, use_cache=True, output_hidden_states=True)
        hidden.append(out.hidden_states[-1][0].cpu())
        logits.append(top_logits(out.logits[0], k).cpu())
        token.append(out.logits[0].argmax(-1).cpu())
    at = answer - 1
    return {name: torch.cat(x)[at].clone() for name, x in (("hidden", hidden), ("logits", logits), ("token", token))}


# --- the router


def train(args: Args, data: Data, embedding: nn.Module) -> tuple[Network, float]:
    """The network with the lowest loss on held-out problems, and its threshold.

    Source: arXiv 2505.21600, section 3.3; thu-nics/R2R ``default_training_config.json``. Differs: held out are whole
    problems.
    """
    shape = Shape(data["hidden"].shape[1], args.top_logits, args.width, args.blocks, args.factor, args.dropout)
    network = Network(shape, args.seed).to(args.device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=args.lr, weight_decay=args.weight_decay)
    learned, held = split(args, data)
    if (data["label"] == 1).any() and not all((side["label"] == 1).any() for side in (learned, held)):
        raise UserError(
            f"--held-out {args.held_out} of --problems {args.problems}: on one side of the split no token is "
            "divergent; raise either"
        )
    weight = positive_weight(learned["label"].numpy() == 1, args.recall_factor)
    lossy = nn.BCEWithLogitsLoss(pos_weight=torch.tensor(weight, device=args.device))
    file, count = Path(args.out, "state.pt"), len(data["label"])
    now: dict[str, Any] = {"epoch": 0, "loss": float("inf"), "waited": 0, "labels": count}
    found = torch.load(file, weights_only=True, map_location=args.device) if file.exists() else {}
    if found and found.get("labels", count) == count:  # of more labels, others are held out
        now = found
        if shapes(now["network"]) != shapes(network.state_dict()):
            raise UserError(f"{args.out} holds a router of other dimensions than {shape}: choose another --out")
        network.load_state_dict(now["network"])
        optimizer.load_state_dict(now["optimizer"])
    log = RunLog(args.out, asdict(args), resume_at=now["epoch"], tensorboard=args.tensorboard, wandb=args.wandb)
    for epoch in tqdm(range(now["epoch"], args.epochs), initial=now["epoch"], total=args.epochs, desc="router"):
        if now["waited"] >= args.patience:
            break
        figures = {"loss": one_epoch(args, epoch, network, optimizer, lossy, learned, embedding)}
        look = (epoch + 1) % args.validate_every == 0 or epoch + 1 == args.epochs
        if look:
            raw = logits_of(network, held, embedding, args)
            figures["held_out_loss"] = lossy(raw, held["label"].to(raw)).item()
        log.write(epoch, **figures)
        if look:
            weights = {name: value.clone() for name, value in network.state_dict().items()}
            if figures["held_out_loss"] < now["loss"]:
                now |= {"loss": figures["held_out_loss"], "best": weights, "waited": -1}
            now |= {"epoch": epoch + 1, "waited": now["waited"] + 1, "network": weights}
            write(file, now | {"optimizer": optimizer.state_dict()})
    log.close()
    if "best" not in now:
        raise UserError(f"--lr {args.lr}: the loss on held-out labels was never finite; lower it")
    network.load_state_dict(now["best"])
    scores, truth = logits_of(network, held, embedding, args).sigmoid().cpu().numpy(), held["label"].numpy() == 1
    return network.eval(), choose_threshold(scores, truth, args.recall)


def shapes(weights: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(x.shape) for name, x in weights.items()}


def split(args: Args, data: Data) -> tuple[Data, Data]:
    """The labels to learn from, and those of the problems that are held out."""
    queries = np.unique(data["query"].numpy())
    rng = np.random.default_rng((args.seed, 1))
    chosen = rng.permutation(queries)[: max(1, round(args.held_out * len(queries)))]
    held = torch.isin(data["query"], torch.tensor(chosen))
    return {key: x[~held] for key, x in data.items()}, {key: x[held] for key, x in data.items()}


def one_epoch(
    args: Args, epoch: int, network: Network, optimizer: Any, lossy: nn.Module, data: Data, embedding: nn.Module
) -> float:
    """Every label once, in an order and under a dropout that are the epoch's own; the mean loss."""
    network.train()
    losses = []
    own = int(np.random.SeedSequence((args.seed, epoch)).generate_state(1)[0])
    with torch.random.fork_rng(devices=[] if args.device == "cpu" else [args.device]):
        torch.manual_seed(own)
        for rows in torch.randperm(len(data["label"])).split(args.batch):
            loss = lossy(network(*features(data, rows, embedding, args)), data["label"][rows].float().to(args.device))
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.item())
    return float(np.mean(losses))


def features(data: Data, rows: Tensor, embedding: nn.Module, args: Args) -> list[Tensor]:
    with torch.no_grad():
        embedded = embedding(data["token"][rows].to(args.device))
    return [x.to(args.device).float() for x in (data["hidden"][rows], embedded, data["logits"][rows])]


@torch.inference_mode()
def logits_of(network: Network, data: Data, embedding: nn.Module, args: Args) -> Tensor:
    network.eval()
    parts = torch.arange(len(data["label"])).split(args.batch)
    return torch.cat([network(*features(data, rows, embedding, args)) for rows in parts])


# --- what it is worth


def compare(args: Args, small: HF, large: HF, envs: Sequence[Any], network: Network, threshold: float) -> None:
    """Accuracy, activated parameters and wall time of both models alone and of the routed pair, on new problems."""
    task, rng = envs[0].unwrapped.task, np.random.default_rng((args.seed, 2))
    new = listed(args, task)[args.problems :][: args.evaluate] if isinstance(task, FiniteTask) else []
    problems = new or [task.sample(rng, args.level) for _ in range(args.evaluate)]
    router = Learned(network.to(small.model.device))
    routed = Routed(small.model, large.model, router, threshold, small.tokenizer, slots=args.slots, system=args.system)
    sizes = [sum(p.numel() for p in model.parameters()) for model in (small.model, large.model)]
    rows = []
    for name, policy in (("small", small), ("large", large), ("routed", routed)):
        done = evaluate(policy, envs, problems, sampling=Sampling(args.temperature), seed=args.seed)
        said = share(c for t in done.attempts for c in t.info["completions"])
        figures = {k: done.summary()[k] for k in ("accuracy", "ci95", "thought_tokens", "wall_s")}
        figures["large_share"] = said[1] / sum(said) if name == "routed" else float(name == "large")
        for how in ("said", "run"):
            routed_size = average_parameters(*said, *sizes, counted=how) if name == "routed" else 0
            figures[f"parameters_{how}"] = {"small": sizes[0], "large": sizes[1]}.get(name, routed_size)
        rows.append({"arm": name, **figures})
        print(json.dumps(rows[-1]))
    about = {"threshold": threshold, "router": network.shape.size, "small": sizes[0], "large": sizes[1]}
    Path(args.out, "evaluation.json").write_text(json.dumps({**about, "arms": rows}, indent=2) + "\n")


if __name__ == "__main__":
    cli.run(main, Args)
