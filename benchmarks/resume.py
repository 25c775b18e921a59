"""Kill a training run again and again, and resume it: are its numbers those of a run that nobody touched?

    python -m benchmarks.resume [--kills 20] [--seed 0] [--save]

A short GRPO run of the tiny model, which writes a checkpoint after every step, is run once without a kill. Then the
same command is run and killed with SIGKILL, and run again with ``--resume``, until it is finished; and so on with
further runs until there were enough kills. They come at three kinds of moments: ``write``, up to a few milliseconds
after the draft of a checkpoint appears; ``step``, somewhere in a step; ``start``, while the process starts or resumes.

* ``kills``: how many there were. ``inside_write`` of them left a half-written checkpoint behind.
* ``identical``: those whose run ended with every number of its log (but for times) and every bit of its weights equal
  to the undisturbed run's.
* ``corrupt``: checkpoints that looked whole after a kill and could not be read, and resumes that failed.

* ``steps_that_learned``: steps of the undisturbed run with a gradient.

Bar: all identical, none corrupt, at least 5 inside a write (a quarter of the kills, with fewer than 20).
"""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.report import finish
from reasongym import cli
from reasongym.report.log import read_log

STEPS = 12
RUN = (
    "--env Delethink-v0 --env.chunk 32 --env.carry 12 --env.head 0 --env.max-chunks 2 --env.low 24 --env.high 30 "
    f"--deterministic --steps {STEPS} --prompts 4 --group 4 --updates 2 --lr 3e-4 --floor 0.1 --save-every 1 --keep 2"
).split()
TIMES = ("sample_s", "step_s")
MOMENTS = ("write", "step", "write", "start", "write")  # in turn
EACH = 5  # kills that one run has to survive
GIVE_UP_S = 420.0  # no more kills after so long


@dataclass
class Args:
    kills: int = 20
    seed: int = 0
    save: bool = False


@dataclass
class Tally:
    """What came of the kills so far."""

    moments: Counter[str]
    inside_write: int = 0
    identical: int = 0
    corrupt: int = 0
    runs: int = 0

    @property
    def kills(self) -> int:
        return self.moments.total()


def main(args: Args) -> None:
    cli.at_least(args, 1, "kills")
    started = time.perf_counter()
    dice, tally = random.Random(args.seed), Tally(Counter())
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder, "whole")
        begin(whole, args.seed).wait()
        wanted = outcome(whole)
        while tally.kills < args.kills and time.perf_counter() - started < GIVE_UP_S:
            before = tally.kills
            out = Path(folder, f"run-{tally.runs}")
            ended = survive(out, args, tally, dice, started)
            tally.runs += 1
            same = ended and outcome(out) == wanted
            tally.identical += (tally.kills - before) * same
            print(f"run {tally.runs}: {tally.kills - before} kills, identical: {same}", file=sys.stderr)
    figures: dict[str, Any] = {
        "kills": tally.kills,
        "identical": tally.identical,
        "corrupt": tally.corrupt,
        "inside_write": tally.inside_write,
        "moments": dict(tally.moments),
        "runs": tally.runs,
        "steps": STEPS,
        "steps_that_learned": sum(line["grad_norm"] > 0 for line in wanted[0]),
    }
    enough = tally.kills >= args.kills and tally.inside_write >= min(5, args.kills / 4)
    enough &= figures["steps_that_learned"] > STEPS / 2  # else there is nothing to get wrong
    ok = enough and tally.identical == tally.kills and tally.corrupt == 0
    finish("resume", ok, figures, seeds=(args.seed,), started=started, save=args.save)


def begin(out: Path, seed: int) -> subprocess.Popen[bytes]:
    """The run in a process of its own; with ``--resume`` it also begins a new one."""
    command = [sys.executable, "-m", "reasongym.agents.grpo", *RUN, "--seed", str(seed), "--out", str(out), "--resume"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)


def survive(out: Path, args: Args, tally: Tally, dice: random.Random, started: float) -> bool:
    """One run, killed and resumed until it is finished; whether it could be."""
    last = tally.kills + EACH
    while True:
        more = tally.kills < last and tally.kills < args.kills and time.perf_counter() - started < GIVE_UP_S
        moment = MOMENTS[tally.kills % len(MOMENTS)] if more else "never"
        process = begin(out, args.seed)
        if moment != "never" and wait_for(moment, out, process, dice):
            process.kill()
        if process.wait() >= 0:  # it ended by itself
            tally.corrupt += process.returncode != 0
            return process.returncode == 0
        tally.moments[moment] += 1
        tally.inside_write += any(out.glob(".step-*"))
        tally.corrupt += sum(not readable(path) for path in out.glob("step-*"))


def wait_for(moment: str, out: Path, process: subprocess.Popen[bytes], dice: random.Random) -> bool:
    """Wait for the moment to kill; False where the process ended before."""
    if moment == "start":
        return not ends_within(process, dice.uniform(0.0, 4.0))
    lines, drafts = log_size(out), dice.randint(1, 3)
    if moment == "step":
        return until(lambda: log_size(out) > lines, process) and not ends_within(process, dice.uniform(0.0, 0.2))
    for n in range(drafts):  # the first, second or third checkpoint that this process writes
        if n and not until(lambda: not drafted(out), process):
            return False
        if not until(lambda: drafted(out), process):
            return False
    time.sleep(dice.uniform(0.0, 0.006))
    return process.poll() is None


def until(happened: Callable[[], bool], process: subprocess.Popen[bytes]) -> bool:
    while process.poll() is None:
        if happened():
            return True
        time.sleep(0.0002)
    return False


def ends_within(process: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def drafted(out: Path) -> bool:
    return out.is_dir() and any(name.startswith(".step-") for name in os.listdir(out))


def log_size(out: Path) -> int:
    path = out / "metrics.jsonl"
    return path.stat().st_size if path.exists() else 0


def readable(folder: Path) -> bool:
    """Whether a checkpoint that looks whole is."""
    import torch
    from safetensors.torch import load_file

    try:
        load_file(folder / "model.safetensors")
        return bool(torch.load(folder / "trainer.pt", weights_only=True)["step"] == int(folder.name[5:]))
    except Exception:  # whatever a broken file makes its reader say
        return False


def outcome(out: Path) -> tuple[list[dict[str, Any]], str]:
    """What must not change: the log without its times, and the last weights."""
    lines = [{k: v for k, v in line.items() if k not in TIMES} for line in read_log(out / "metrics.jsonl")]
    weights = (out / f"step-{STEPS:06d}" / "model.safetensors").read_bytes()
    return lines, hashlib.sha256(weights).hexdigest()


if __name__ == "__main__":
    cli.run(main, Args)
