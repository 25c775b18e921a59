"""Does a learned router spend a large model's tokens better than entropy or chance? R2R on a pair of tiny models.

    python -m benchmarks.r2r --seeds 3 [--small plain] [--out runs/r2r] [--save]

The task is `benchmarks.spelt`: the register, with thoughts in which a fifth of the digits may be spelt in two ways. The
large model (two layers) is tuned on flawless solutions, the small one (one layer) on those of somebody who is sure of a
wrong digit at two of the 100 pairs that decide the next one, and guesses at two others, until it has learned them all.
So the small model's entropy is high where it guesses, a little high where spelling is free, and low where it is sure
and wrong. ``--small plain`` is one that nobody misled: tuned on flawless solutions, but not for long enough. Each seed
labels problems of its own, trains a router, and asks new problems at many thresholds of it, of entropy and of chance;
all decode greedily, as in the paper. What is done is kept in ``--out``: a run that was stopped goes on from there.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from benchmarks.report import ROOT, finish, kept, note, resumed, spread
from benchmarks.spelt import value
from reasongym import cli
from reasongym.agents import router, sft
from reasongym.algos.routing import (
    Draft,
    Entropy,
    Learned,
    Oracle,
    Random,
    Router,
    Shape,
    average_parameters,
    load_router,
)
from reasongym.core import Completion, Problem, Request, Sampling
from reasongym.evaluate import evaluate
from reasongym.policies.hf import HF
from reasongym.policies.routed import Routed, RoutedCompletion, share
from reasongym.tokenizer import TINY, ByteTokenizer

DOCS = ROOT / "docs"
TASK = {"task": "benchmarks.spelt:Spelt(low=24, high=60)", "budget": 128}
CARELESS = {**TASK, "task": "benchmarks.spelt:Spelt(low=24, high=60, careless=True)"}
SMALL = {"num_hidden_layers": 1, "hidden_size": 48, "head_dim": 12, "intermediate_size": 144}
SUFFIX = {"careless": "", "plain": "plain"}  # of the results
STEPS = {"careless": 1600, "plain": 600, "large": 400}
ROUTER = (
    "--top-logits 20 --width 32 --blocks 2 --factor 2 --lr 1e-3 --batch 256 --epochs 40 --evaluate 0 --resume".split()
)
SHARES = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 0.9)  # of tokens that thresholds aim at
BUDGETS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)  # of the way from the small to the large model's size
CLAIM = "the learned router is above random and entropy routing at every parameter budget between small and large"
ARMS = {"learned": "learned router", "entropy": "entropy", "random": "random"}
GREEDY = Sampling(temperature=0)


@dataclass
class Args:
    seeds: int = 3
    problems: int = 256
    """New problems that each threshold is asked."""
    labels: int = 384
    """Problems that the large model answers for labels."""
    rows: int = 48
    """Thoughts with random switches whose logits are computed again."""
    small: Literal["careless", "plain"] = "careless"
    out: str = "runs/r2r"
    save: bool = False


def main(args: Args) -> None:
    started = resumed(args.out)
    seeds = tuple(range(args.seeds))
    Path(args.out).mkdir(parents=True, exist_ok=True)
    small, large = pair(args)
    cells, labels = [], []
    for seed in seeds:
        labels.append(train(args, seed, small, large))
        for arm in ("alone", "oracle", *ARMS):
            cells += kept(Path(args.out, f"{arm}-seed{seed}.json"), lambda: ask(args, arm, seed, small, large))  # noqa: B023
            note(args.out, started)
    exact = kept(Path(args.out, "exact.json"), lambda: [exactness(small, large, args.rows)])[0]
    picture = draw(cells, sizes(small, large), (DOCS if args.save else Path(args.out)) / f"r2r_{args.small}.png")
    ok, figures = verdict(cells, seeds, exact)
    print(table(cells))
    more = {"labels": labels, "sizes": sizes(small, large), "router": router_size(args), "png": picture}
    finish("r2r", ok, {**figures, **more}, seeds=seeds, started=started, save=args.save, suffix=SUFFIX[args.small])


# --- the pair, and its router


def pair(args: Args) -> tuple[Any, Any]:
    """The two models, which are made where they are not there."""
    shape = Path(args.out, "small-shape")
    shape.mkdir(exist_ok=True)
    config = json.loads((TINY / "config.json").read_text()) | SMALL
    (shape / "config.json").write_text(json.dumps(config))
    ByteTokenizer().save(shape)
    fresh = [str(shape), "--fresh", "--lr", "3e-3"]
    made = {
        args.small: (fresh, CARELESS if args.small == "careless" else TASK),
        "large": (["tiny", "--lr", "1e-3"], TASK),
    }
    models = []
    for name, (flags, env) in made.items():
        out, steps = f"{args.out}/{name}", STEPS[name]
        folder = Path(out, f"step-{steps:06d}")
        if not folder.exists():
            common = f"--env LongCoT-v0 --whole 1 --steps {steps} --out {out} --resume --no-tensorboard --model".split()
            given = cli.parse(sft.Args, [*common, *flags])
            given.env_settings |= env
            sft.main(given)
        models.append(HF(str(folder)).model)
    return models[0], models[1]


def sizes(small: Any, large: Any) -> dict[str, int]:
    return {n: sum(p.numel() for p in m.parameters()) for n, m in (("small", small), ("large", large))}


def folder(args: Args, seed: int) -> Path:
    return Path(args.out, f"router-seed{seed}")


def router_size(args: Args) -> int:
    return load_router(folder(args, 0))[0].shape.size


def train(args: Args, seed: int, small: Any, large: Any) -> dict[str, Any]:
    """A router on labels of this seed; what the labels are like."""
    out = folder(args, seed)
    if not (out / "router.safetensors").exists():
        names = ["--small", small.config.name_or_path, "--large", large.config.name_or_path, "--no-tensorboard"]
        where = ["--out", str(out), "--seed", str(seed), "--problems", str(args.labels)]
        given = cli.parse(router.Args, [*names, *where, *ROUTER])
        given.env_settings |= TASK
        router.main(given)
    shards = [torch.load(path, weights_only=True) for path in sorted((out / "labels").glob("*.pt"))]
    logp = torch.cat([s["logits"] for s in shards]).log_softmax(-1)  # the top ones hold nearly all of the mass
    entropy = -(logp.exp() * logp).sum(-1)
    mismatch, label = (torch.cat([s[key] for s in shards]) for key in ("mismatch", "label"))
    divergent = label == 1
    return {
        "seed": seed,
        "tokens": len(label),
        "mismatch": mismatch.float().mean().item(),
        "divergent": divergent.float().mean().item(),
        "entropy_divergent": entropy[divergent].mean().item(),
        "entropy_rest": entropy[~divergent].mean().item(),
        "threshold": load_router(out)[1],
    }


# --- accuracy at thresholds


@dataclass
class Tap:
    """A router that keeps the scores that it gave."""

    router: Router
    scores: list[float] = field(default_factory=list)

    def score(self, draft: Draft) -> torch.Tensor:
        found = self.router.score(draft)
        self.scores += found.tolist()
        return found


def ask(args: Args, arm: str, seed: int, small: Any, large: Any) -> list[dict[str, Any]]:
    """An arm's cells: of both models alone, of the oracle, or at thresholds that aim at `SHARES`."""
    tokenizer = ByteTokenizer()
    envs = cli.make_envs("LongCoT-v0", min(128, args.problems), TASK, tokenizer)

    def posed(stream: int, n: int) -> list[Problem]:
        rng = np.random.default_rng((seed, stream))
        return [envs[0].unwrapped.task.sample(rng) for _ in range(n)]  # type: ignore[attr-defined]

    def cell(name: str, policy: Any, threshold: float | None, share_of: Any) -> dict[str, Any]:
        done = evaluate(policy, envs, posed(7, args.problems), sampling=GREEDY, seed=seed)
        said = share_of(done.attempts)
        keys = ("problems", "accuracy", "ci95", "thought_tokens", "truncated", "wall_s")
        figures = {k: done.summary()[k] for k in keys}
        spent = {how: average_parameters(*said, *sizes(small, large).values(), counted=how) for how in ("said", "run")}  # type: ignore[arg-type]
        found = {"arm": name, "seed": seed, "threshold": threshold, "share": said[1] / sum(said), "parameters": spent}
        print(json.dumps(found | figures), flush=True)
        return found | figures | {"tokens": sum(said)}

    def of_both(attempts: Sequence[Any]) -> tuple[int, int]:
        return share(c for t in attempts for c in t.info["completions"])

    if arm == "alone":
        return [
            cell("small", HF(small, tokenizer, slots=128), None, lambda ts: (sum(t.length for t in ts), 0)),
            cell("large", HF(large, tokenizer, slots=128), None, lambda ts: (0, sum(t.length for t in ts))),
        ]
    chosen: Router = {"oracle": Oracle(wrong), "entropy": Entropy(), "random": Random()}.get(arm) or learned(args, seed)
    tap = Tap(chosen)  # on thoughts of the large model, which those of a good router come near to
    always = Routed(small, large, tap, -1.0, tokenizer, slots=128)
    evaluate(always, envs, posed(8, max(8, args.problems // 4)), sampling=GREEDY)
    thresholds = [0.5] if arm == "oracle" else [float(np.quantile(tap.scores, 1 - aim)) for aim in SHARES]
    if arm == "learned":
        thresholds.append(load_router(folder(args, seed))[1])
    return [cell(arm, Routed(small, large, chosen, t, tokenizer, slots=128), t, of_both) for t in thresholds]


def learned(args: Args, seed: int) -> Router:
    return Learned(load_router(folder(args, seed))[0])


def wrong(context: Sequence[int], token: int) -> bool:
    """Whether a token is a mistake of the thought so far, in either spelling."""
    thought, found, answer = ByteTokenizer().decode(context)[1:].partition("=")
    digits = [value(c) for c in thought]
    if None in digits:
        return False  # nothing can be said any more
    if found:
        return token != (256 if len(answer) == 4 else ord(str(digits[-6:-2][len(answer)])))
    if digits[-2:] == [0, 0]:
        return token != ord("=")
    return value(chr(token)) != (digits[-1] ** 2 - digits[-6] + 3) % 10  # type: ignore[operator]


# --- exactness


@contextmanager
def watched(model: Any) -> Iterator[list[tuple[list[int], torch.Tensor]]]:
    """Of every forward on one row: the positions that entered the model, and the logits after the last."""
    seen: list[tuple[list[int], torch.Tensor]] = []

    def watch(_: Any, args: Any, given: Any, out: Any) -> None:
        seen.append((given["position_ids"][0].tolist(), out.logits[0, -1]))

    hook = model.register_forward_hook(watch, with_kwargs=True)
    try:
        yield seen
    finally:
        hook.remove()


def exactness(small: Any, large: Any, rows: int) -> dict[str, Any]:
    """Random switches, row by row: positions that entered a model twice, and how far logits are from recomputed ones.

    ``max_logprob_diff`` is the same of the sampled tokens where all rows are decoded as one batch.
    """
    asked = [request(n) for n in range(rows)]
    twice, worst, entered, switches = 0, 0.0, 0, 0
    for n, one in enumerate(asked):
        policy = Routed(small, large, Random(), (0.2, 0.5, 0.9)[n % 3], ByteTokenizer(), slots=1)
        with watched(small) as of_small, watched(large) as of_large:
            (done,) = policy.generate([one])
        for seen, model in ((of_small, small), (of_large, large)):
            places = Counter(place for positions, _ in seen for place in positions)
            twice += sum(count - 1 for count in places.values())
            truth = recomputed(model, done)
            worst = max([worst, *((truth[places[-1]] - logits).abs().max().item() for places, logits in seen)])
        entered += sum(len(positions) for positions, _ in of_large)
        assert isinstance(done, RoutedCompletion)
        switches += sum(a != b for a, b in zip(done.by_large, done.by_large[1:], strict=False))
    batch = Routed(small, large, Random(), 0.5, ByteTokenizer(), slots=32).generate(asked)
    return {
        "thoughts": rows,
        "switches": switches,
        "positions_entered": entered,
        "positions_entered_twice": twice,
        "max_logit_diff": worst,
        "max_logprob_diff": max(batched(done, small, large) for done in batch),
    }


def request(n: int) -> Request:
    prompt = "^" + "".join(map(str, np.random.default_rng((n, 9)).integers(10, size=6)))
    return Request((0, 0, n, 0), prompt, "", (), 64, seed=n)


@torch.no_grad()
def recomputed(model: Any, done: Completion) -> torch.Tensor:
    """The logits [T, V] of one plain forward."""
    logits: torch.Tensor = model(input_ids=torch.tensor([[*done.prompt_ids, *done.ids]]), use_cache=False).logits[0]
    return logits


def batched(done: Completion, small: Any, large: Any) -> float:
    """How far the sampled tokens' log-probs are from those of the model that said them."""
    assert isinstance(done, RoutedCompletion)
    ids, first = torch.tensor(done.ids)[:, None], len(done.prompt_ids) - 1
    of = [recomputed(m, done)[first:-1].log_softmax(-1).gather(1, ids)[:, 0] for m in (small, large)]
    truth = torch.where(torch.tensor(done.by_large), of[1], of[0])
    return (truth - torch.tensor(done.model_logprobs)).abs().max().item()


# --- what a person sees


def curve(cells: list[dict[str, Any]], arm: str, seed: int, at: Sequence[float]) -> list[float]:
    """Accuracy at these shares of the way from small to large, between the measured points of an arm and both ends."""
    mine = [c for c in cells if c["seed"] == seed and c["arm"] in (arm, "small", "large")]
    points = sorted((c["share"], c["accuracy"]) for c in mine)
    return [float(y) for y in np.interp(at, *zip(*points, strict=True))]


def verdict(cells: list[dict[str, Any]], seeds: Sequence[int], exact: dict[str, Any]) -> tuple[bool, dict[str, Any]]:
    """Confirmed: at each budget, the learned router's mean over the seeds is above those of both others."""
    at = {arm: np.array([curve(cells, arm, seed, BUDGETS) for seed in seeds]) for arm in ARMS}
    margins = {
        arm: {str(b): spread(list(at["learned"][:, i] - at[arm][:, i])) for i, b in enumerate(BUDGETS)}
        for arm in ("entropy", "random")
    }
    confirmed = all(m["mean"] > 0 for of in margins.values() for m in of.values())
    tokens = {(c["arm"], c["seed"]): 0 for c in cells}
    for c in cells:
        tokens[c["arm"], c["seed"]] += c["tokens"]
    rows = [
        {"arm": a, "seed": s, "metric": f"accuracy@{b}", "value": at[a][n, i], "tokens_or_samples": tokens[a, s]}
        for a in ARMS
        for n, s in enumerate(seeds)
        for i, b in enumerate(BUDGETS)
    ]
    rows += [
        {"arm": c["arm"], "seed": c["seed"], "metric": metric, "value": c[metric], "tokens_or_samples": c["tokens"]}
        for c in (c for c in cells if c["arm"] not in ARMS)
        for metric in ("accuracy", "share", "wall_s")
    ]
    over_seeds = {a: {str(b): spread(list(at[a][:, i])) for i, b in enumerate(BUDGETS)} for a in ARMS}
    once = exact["positions_entered_twice"] == 0 and max(exact["max_logit_diff"], exact["max_logprob_diff"]) <= 1e-4
    figures = {"rows": rows, "claim": CLAIM, "confirmed": confirmed, "params": Shape().size, **exact}
    figures |= {"over_seeds": over_seeds, "margins": margins, "cells": cells}
    return confirmed and once and Shape().size == 56_302_081, figures


def table(cells: list[dict[str, Any]]) -> str:
    lines = [f"{'arm':8} {'seed':4} {'large':>6} {'accuracy':>8}  {'95 %':9} {'tokens':>6} {'wall s':>6}"]
    for c in cells:
        low, high = c["ci95"]
        lines.append(
            f"{c['arm']:8} {c['seed']:4} {c['share']:6.3f} {c['accuracy']:8.3f}  {low:.2f}-{high:.2f} "
            f"{c['thought_tokens']:6.1f} {c['wall_s']:6.1f}"
        )
    return "\n".join(lines)


def draw(cells: list[dict[str, Any]], size: dict[str, int], path: Path) -> str:
    """Accuracy against average activated parameters: mean over seeds, and their range."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    seeds = sorted({c["seed"] for c in cells})
    at = np.linspace(0, 1, 201)
    parameters = [average_parameters(1 - x, x, size["small"], size["large"]) / 1000 for x in at]
    figure, axis = plt.subplots(figsize=(7.5, 4.8), layout="constrained")
    for arm, name in ARMS.items():
        values = np.array([curve(cells, arm, seed, at) for seed in seeds])
        axis.plot(parameters, values.mean(0), label=name)
        axis.fill_between(parameters, values.min(0), values.max(0), alpha=0.2)
    best = [c for c in cells if c["arm"] == "oracle"]
    axis.plot([c["parameters"]["said"] / 1000 for c in best], [c["accuracy"] for c in best], "k*", label="oracle")
    own = [[c for c in cells if c["arm"] == "learned" and c["seed"] == seed][-1] for seed in seeds]
    axis.plot(
        [c["parameters"]["said"] / 1000 for c in own], [c["accuracy"] for c in own], "C0o", label="its own threshold"
    )
    axis.set_xlabel("average activated parameters a token, thousands (small alone to large alone)")
    axis.set_ylabel("accuracy, greedy")
    axis.set_ylim(0, 1)
    axis.grid(alpha=0.3)
    axis.legend(loc="lower right")
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path.name


if __name__ == "__main__":
    cli.run(main, Args)
