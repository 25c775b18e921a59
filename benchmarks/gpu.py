"""What a device gives: sampling, update and cost of length, parity with the CPU, and real learning runs.

    python -m benchmarks.gpu [--device cuda] [--model FOLDER] [--steps 60] [--save]
    OMP_NUM_THREADS=1 python -m benchmarks.gpu --device cpu --small

Sampling and update use a random Llama of about 135M parameters (the shape of SmolLM2-135M) unless ``--model`` names
another; the sweep a random one whose attention is wide; parity and the learning runs the tiny model of the package.
"""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, GenerationConfig

from benchmarks.demo import ARMS, RECIPE, rewards
from benchmarks.forced import Endless, delethink, forced_run, random_llama, request
from benchmarks.report import finish
from reasongym import cli
from reasongym.agents import grpo
from reasongym.core import Request, Sampling, UserError
from reasongym.policies.hf import HF
from reasongym.rollout import Rows, pack, rollout
from reasongym.thinking import LongCoT

SHAPE_135M = {"layers": 30, "heads": 9, "kv_heads": 3, "hidden": 576, "mlp": 1536, "vocab": 49152}
SHAPE_WIDE = {"layers": 8, "heads": 16, "hidden": 1024, "mlp": 1024, "vocab": 258}
SHAPE_SMALL = {"layers": 1, "heads": 2, "hidden": 64, "mlp": 64, "vocab": 258}


@dataclass
class Args:
    device: str = "cuda"
    small: bool = False
    """Everything tiny, to see in seconds that it runs: no figure means anything then."""
    model: str = ""
    """A folder or hub id for sampling and update; empty: a random model of 135M parameters."""
    rows: int = 64
    """Thoughts at a time."""
    length: int = 256
    """Tokens that sampling and update give each thought."""
    chunk: int = 512
    """Delethink's in the sweep, whose lengths are 1, 2, 4, 8 and 16 times it."""
    repeats: int = 5
    steps: int = 60
    """Of each learning run; the demonstration takes 100."""
    seeds: int = 1
    """Learning runs an environment."""
    micro_tokens: int = 1 << 14
    out: str = "runs/gpu"
    save: bool = False


def main(args: Args) -> None:
    started = time.perf_counter()
    if args.device.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(f"--device {args.device}: torch finds no CUDA device; try --device cpu --small")
    if args.small:
        args.rows, args.length, args.chunk, args.repeats, args.steps, args.seeds = 4, 24, 32, 5, 2, 1
    figures: dict[str, Any] = {"device": device_name(args.device), "small": args.small, "n": args.repeats}
    for section in (sampling_speed, update_speed, sweep, parity, learning):
        figures |= section(args)
        print({k: figures[k] for k in list(figures)[3:]}, flush=True)
    finish("gpu", bars(args, figures), figures, seeds=range(args.seeds), started=started, save=args.save)


def device_name(device: str) -> str:
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else device


def network(args: Args) -> Any:
    """The model of the speed sections, as it would be trained there: bfloat16 on a GPU, float32 on a CPU."""
    if args.model:
        model: Any = AutoModelForCausalLM.from_pretrained(args.model, dtype=dtype(args))
    else:
        model = random_llama(**(SHAPE_SMALL if args.small else SHAPE_135M)).to(dtype(args))
    return model.to(args.device).eval()


def dtype(args: Args) -> torch.dtype:
    return torch.bfloat16 if args.device.startswith("cuda") else torch.float32


def timed(args: Args, call: Callable[[], Any], repeats: int | None = None) -> float:
    """Median seconds, after a run that does not count."""
    seconds = []
    for _ in range(1 + (repeats or args.repeats)):
        synchronize(args)
        started = time.perf_counter()
        call()
        synchronize(args)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[1:])


def synchronize(args: Args) -> None:
    if args.device.startswith("cuda"):
        torch.cuda.synchronize(args.device)


# --- sampling


def sampling_speed(args: Args) -> dict[str, Any]:
    """Tokens a second on the same prompts; ours also returns the log-probs that training needs."""
    model = network(args)
    policy = HF(model, Endless(), slots=args.rows)
    work = [request(i, i, 48, args.length) for i in range(args.rows)]
    ids = torch.tensor([[*r.prompt.encode(), *r.response_ids] for r in work], device=args.device)
    plain = GenerationConfig(
        max_new_tokens=args.length, do_sample=True, top_k=0, top_p=1.0, temperature=1.0, pad_token_id=0
    )
    model.generation_config = plain
    mask = torch.ones_like(ids)

    def ours() -> None:
        assert all(len(c.ids) == args.length for c in policy.generate(work))

    def theirs() -> None:
        with torch.inference_mode():
            out = model.generate(ids, attention_mask=mask, generation_config=plain)
        assert out.shape[1] == ids.shape[1] + args.length

    calls = {"ours": ours, "hf": theirs}
    tokens = args.rows * args.length
    return {"tok_s": {name: tokens / timed(args, call) for name, call in calls.items()}}


# --- update


def update_speed(args: Args) -> dict[str, Any]:
    """Tokens a second of a whole GRPO update, and its model FLOPs as a share of what a bf16 matmul reaches here."""
    model = network(args)
    batch = trained_batch(model, args)
    settings = grpo.Args(micro_tokens=args.micro_tokens)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6)
    lengths = [len(s.ids) for group in batch[0] for t in group for s in t.segments]
    packed = pack(*batch, tokens=settings.micro_tokens)
    seconds = timed(args, lambda: grpo.update(model, optimizer, packed, settings))
    peak = matmul_flops(args)
    return {
        "update_dtype": str(dtype(args)).removeprefix("torch."),
        "update_tokens_s": sum(lengths) / seconds,
        "bf16_peak_tflops": peak / 1e12,
        "update_share_of_peak": model_flops(model, lengths) / seconds / peak,
    }


def trained_batch(model: Any, args: Args) -> tuple[list[list[Any]], Any]:
    """Forced thoughts in groups of 4 with made-up advantages: what they are does not change what an update costs."""
    _, _, done = forced_run(model, LongCoT(args.length), args.rows)
    batch = [done[i : i + 4] for i in range(0, len(done), 4)]
    return batch, np.where(np.arange(len(done)) % 2, 1.0, -1.0).reshape(len(batch), 4)


def model_flops(model: Any, lengths: list[int]) -> float:
    """Of forward and backward: 6 a parameter and token, and causal attention's; no recomputation is counted."""
    config = model.config
    d = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    embedding = model.get_input_embeddings().weight
    head = model.get_output_embeddings().weight
    own = sum(p.numel() for p in model.parameters()) - (0 if head is embedding else embedding.numel())
    attention = 6 * config.num_hidden_layers * config.num_attention_heads * d
    return float(sum(6 * own * t + attention * t * t for t in lengths))


def matmul_flops(args: Args) -> float:
    """Operations a second of a large bf16 matmul."""
    size = 256 if args.small else 8192
    x, y = (torch.randn(size, size, device=args.device, dtype=torch.bfloat16) for _ in range(2))
    calls = 2 if args.small else 20

    def many() -> None:
        for _ in range(calls):
            torch.mm(x, y)

    return calls * 2 * size**3 / timed(args, many)


# --- the cost of length


def sweep(args: Args) -> dict[str, Any]:
    """Both arms at forced lengths, each run whole; what the first kernels cost is paid before."""
    model = random_llama(**(SHAPE_SMALL if args.small else SHAPE_WIDE)).to(device=args.device, dtype=dtype(args))
    forced_run(model, LongCoT(args.chunk), args.rows)
    points = []
    for multiple in (1, 2) if args.small else (1, 2, 4, 8, 16):
        length = multiple * args.chunk
        for arm, thinking in (
            ("longcot", LongCoT(length)),
            ("delethink", delethink(args.chunk, args.chunk // 4, length)),
        ):
            memory = device_memory(args)
            (seconds, _), kv, _ = forced_run(model, thinking, args.rows)
            point = {"T": length, "arm": arm, "s": seconds, "peak_bytes": memory() or kv, "kv_bytes": kv}
            points.append(point)
            print(point, flush=True)
    return {"sweep": points, "sweep_chunk": args.chunk, "sweep_rows": args.rows}


def device_memory(args: Args) -> Callable[[], int]:
    """Tells the most memory allocated since now; 0 on a CPU, where the cache's bytes stand for it."""
    if not args.device.startswith("cuda"):
        return lambda: 0
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(args.device)
    return lambda: torch.cuda.max_memory_allocated(args.device)


# --- parity


def parity(args: Args) -> dict[str, Any]:
    """The tiny model in float32 on the CPU and on the device: greedy ids that differ, log-probs and gradients."""
    there, here = (HF("tiny", device=device, dtype="float32") for device in (args.device, "cpu"))
    envs = cli.make_envs("Delethink-v0", 16, ARMS["Delethink-v0"], here.tokenizer)
    task: Any = envs[0].unwrapped.task  # type: ignore[attr-defined]
    problems = [task.sample(np.random.default_rng(i), 24) for i in range(16)]
    resets = [{"seed": 0, "options": {"problem": p}} for p in problems]
    done = rollout(here, envs, resets, group=4, deterministic=True)
    cold = Sampling(temperature=0)
    work = [Request((0, i, 0, 0), p.prompt, "", (), 40, seed=i, sampling=cold) for i, p in enumerate(problems)]
    pairs = list(zip(here.generate(work), there.generate(work), strict=True))
    greedy = sum(a != b for x, y in pairs for a, b in zip(x.ids, y.ids, strict=False))
    greedy += sum(abs(len(x.ids) - len(y.ids)) for x, y in pairs)
    scores = [[policy.score(x.prompt_ids, x.ids) for x, _ in pairs] for policy in (here, there)]
    logp = max(float(np.abs(np.subtract(a, b)).max()) for a, b in zip(*scores, strict=True))
    batch = [done[i : i + 4] for i in range(0, 16, 4)]
    packed = pack(batch, np.where(np.arange(16) % 2, 1.0, -1.0).reshape(4, 4))
    first, second = (gradient(policy.model, packed[0]) for policy in (here, there))
    grad = float((first - second).abs().max() / first.abs().max())
    return {"max_diff": {"greedy": greedy, "logp": logp, "grad": grad}, "greedy_n": sum(len(x.ids) for x, _ in pairs)}


def gradient(model: Any, micro: list[Rows]) -> torch.Tensor:
    """Of the GRPO loss with all parameters, as one vector on the CPU."""
    model.zero_grad()
    for rows in micro:
        grpo.micro_loss(model, rows, grpo.Args())[0].backward()
    return torch.cat([p.grad.flatten().cpu() for p in model.parameters() if p.grad is not None])


# --- learning


def learning(args: Args) -> dict[str, Any]:
    """The demonstration's recipe on this device: the reward of every step."""
    runs = []
    for seed in range(args.seeds):
        for env, settings in ARMS.items():
            started = time.perf_counter()
            curve = learn(args, env, settings, seed)
            runs.append({"env": env, "seed": seed, "curve": curve, "s": time.perf_counter() - started})
    return {"learning_runs": runs}


def learn(args: Args, env: str, settings: dict[str, Any], seed: int) -> list[float]:
    out = Path(args.out, f"{env}-{seed}")
    flags = [word for key, value in settings.items() for word in (f"--env.{key}", str(value))]
    flags += ["--env", env, "--steps", str(args.steps), "--seed", str(seed), "--out", str(out), "--device", args.device]
    flags += RECIPE
    if args.small:
        flags += ["--prompts", "2", "--group", "2", "--updates", "1"]
    shutil.rmtree(out, ignore_errors=True)
    grpo.main(cli.parse(grpo.Args, flags))
    return rewards(out)


def bars(args: Args, figures: dict[str, Any]) -> bool:
    """Parity; and, where the figures mean something, no slower than transformers, flat memory, rewards that rise."""
    diff = figures["max_diff"]
    same = diff["greedy"] == 0 and diff["logp"] <= 1e-3 and diff["grad"] <= 1e-3
    if args.small:
        return bool(same)
    flat = [p["kv_bytes"] for p in figures["sweep"] if p["arm"] == "delethink"]
    curves = [run["curve"] for run in figures["learning_runs"]]
    return bool(
        same
        and figures["tok_s"]["ours"] >= figures["tok_s"]["hf"]
        and max(flat) <= 1.05 * min(flat)
        and all(np.mean(c[-10:]) > np.mean(c[:10]) for c in curves)
    )


if __name__ == "__main__":
    cli.run(main, Args)
