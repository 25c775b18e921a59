"""VibeThinker's spectrum: ask checkpoints of SFT runs about each sub-domain, pick a specialist for each, merge them.

    python -m reasongym.agents.sft --out runs/sft --keep 1000 ...
    python -m reasongym.agents.spectrum --runs runs/sft --probes short "register(high=30)" long "register(low=50)"

A checkpoint's figure on a probe is its pass@k: what it can do at all, which is what the RL that follows starts from.

Source: VibeThinker-1.5B, arXiv 2511.06221, section 3.3 (no training code is public).
Differs: the checkpoints may be of several runs from one start; pass@k is the unbiased estimate from more attempts; K
and the sizes are not told there.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from tqdm import tqdm

from reasongym import cli
from reasongym.algos import checkpoint
from reasongym.algos.merge import merge_folders
from reasongym.core import Sampling, UserError
from reasongym.evaluate import evaluate
from reasongym.policies.hf import HF
from reasongym.report.log import read_log


@dataclass
class Args:
    """The settings of a run; each is a flag."""

    runs: tuple[str, ...] = ("runs/sft",)
    """Folders of runs, all of whose checkpoints are asked; from one common start, or merging makes no sense."""
    probes: dict[str, str] = field(default_factory=dict)
    """Sub-domains: a name and a task for each."""
    env: str = "LongCoT-v0"
    """Where they are asked; --env.KEY VALUE sets its arguments."""
    env_settings: dict[str, Any] = field(default_factory=dict)
    level: int = 0
    problems: int = 64
    """Of each probe."""
    k: int = 4
    attempts: int = 8
    """At each problem; pass@k is estimated from these."""
    temperature: float = 1.0
    weights: tuple[float, ...] = ()
    """Of the specialists, in the order of the probes, with sum 1; by default all alike."""
    out: str = "runs/spectrum"
    resume: bool = False
    """Go on with what has been asked in --out."""
    system: str | None = None
    """The system prompt; None leaves the chat template's own."""
    slots: int = 128
    """Episodes at a time."""
    device: str = "cpu"
    dtype: Literal["float32", "bfloat16"] = "float32"
    seed: int = 0
    dry_run: bool = False
    """Print the resolved arguments and stop."""


def main(args: Args) -> None:
    """Probe, pick, merge; leaves ``probes.jsonl``, ``spectrum.json`` and the model ``merged`` in ``--out``."""
    check(args)
    folders = [folder for run in args.runs for folder in checkpoint.steps(run)]
    if not folders:
        raise UserError(f"--runs {' '.join(args.runs)}: there is no checkpoint")
    found = probe(args, folders)
    picked = specialists({name: [found[str(folder), name] for folder in folders] for name in args.probes})
    chosen = {name: str(folders[at]) for name, at in picked.items()}
    merged = merge_folders([*chosen.values()], Path(args.out, "merged"), args.weights or None)
    table = {name: {str(folder): found[str(folder), name] for folder in folders} for name in args.probes}
    whole = {"settings": asdict(args), "specialists": chosen, f"pass@{args.k}": table}
    Path(args.out, "spectrum.json").write_text(json.dumps(whole, indent=2, default=repr) + "\n")
    for name, folder in chosen.items():
        print(f"{name}: {folder}, pass@{args.k} {found[folder, name]:.3f}")
    print(f"model: {merged}")


def check(args: Args) -> None:
    """Refuse what would fail in mid-run."""
    cli.at_least(args, 1, "problems", "k", "slots")
    cli.at_least(args, 0, "level", "temperature", "seed")
    if not args.probes:
        raise UserError('--probes: give a name and a task for each sub-domain, such as short "register(high=30)"')
    if args.attempts < args.k:
        raise UserError(f"--attempts {args.attempts} must be at least --k {args.k}")
    if args.weights and len(args.weights) != len(args.probes):
        raise UserError(f"--weights: {len(args.weights)} for {len(args.probes)} probes; give one for each")
    if args.weights and (min(args.weights) < 0 or not math.isclose(sum(args.weights), 1, abs_tol=1e-6)):
        raise UserError(f"--weights {' '.join(map(str, args.weights))} must be at least 0, with sum 1")
    checkpoint.check_folder(args.out)
    if Path(args.out, "merged").exists() or (Path(args.out, "probes.jsonl").exists() and not args.resume):
        raise UserError(f"{args.out} holds a run: add --resume if it is not done, or choose another --out")


def probe(args: Args, folders: Sequence[Path]) -> dict[tuple[str, str], float]:
    """Pass@k by checkpoint and probe; a line of ``probes.jsonl`` each as soon as it is known.

    A figure of other settings is not taken from there, and none that a host's failure left undefined.
    """
    path, found = Path(args.out, "probes.jsonl"), dict[tuple[str, str], float]()
    for line in read_log(path):
        wanted = asked(args, args.probes.get(line["probe"], ""))
        # lines of older versions say less
        if np.isfinite(line["pass"]) and all(line.get(key, value) == value for key, value in wanted.items()):
            found[line["model"], line["probe"]] = line["pass"]
    for folder in tqdm(folders, desc="checkpoints"):
        missing = {name: task for name, task in args.probes.items() if (str(folder), name) not in found}
        policy = HF(str(folder), device=args.device, dtype=args.dtype, system=args.system, slots=args.slots)
        for name, task in missing.items():
            found[str(folder), name] = pass_at_k(args, policy, task)
            if not np.isfinite(found[str(folder), name]):
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a") as file:
                line = {"model": str(folder), "probe": name, **asked(args, task), "pass": found[str(folder), name]}
                file.write(json.dumps(line) + "\n")
    return found


def asked(args: Args, task: str) -> dict[str, Any]:
    """What a figure depends on besides the checkpoint."""
    names = ("k", "attempts", "problems", "level", "temperature", "seed", "system", "env")
    settings = {key: repr(value) for key, value in args.env_settings.items()}
    return {"task": task, **{name: getattr(args, name) for name in names}, "env_settings": settings}


def pass_at_k(args: Args, policy: HF, task: str) -> float:
    """Of one checkpoint on one probe: the same problems and random streams for all checkpoints."""
    count = min(args.slots, args.problems * args.attempts)
    envs = cli.make_envs(args.env, count, {**args.env_settings, "task": task}, policy.tokenizer)
    posed, rng = envs[0].unwrapped.task, np.random.default_rng(args.seed)  # type: ignore[attr-defined]
    problems = [posed.sample(rng, args.level) for _ in range(args.problems)]
    done = evaluate(policy, envs, problems, k=args.attempts, sampling=Sampling(args.temperature), seed=args.seed)
    return done.pass_at(args.k)


def specialists(passes: Mapping[str, Sequence[float]]) -> dict[str, int]:
    """For each sub-domain the place of the checkpoint with the highest figure, the first of equal ones."""
    lost = [name for name, row in passes.items() if not np.isfinite(row).all()]
    if lost:
        raise UserError(
            f"probes {', '.join(lost)}: no problem had enough valid attempts; see the sandbox or the engine"
        )
    return {name: int(np.argmax(row)) for name, row in passes.items()}


if __name__ == "__main__":
    cli.run(main, Args)
