"""How a benchmark ends: one JSON object on the last line, with what is needed to run and read it again."""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from reasongym.metrics import mean_ci95

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PACKAGES = ("numpy", "gymnasium", "torch", "transformers")


def finish(
    bench: str,
    ok: bool,
    figures: Mapping[str, Any],
    *,
    seeds: Sequence[int] = (0,),
    started: float,
    save: bool = False,
    suffix: str = "",
) -> dict[str, Any]:
    """Print and return the result; with ``save``, also write it to ``benchmarks/results/BENCH[_SUFFIX].json``.

    ``started`` is ``time.perf_counter()`` at the start. ``ok`` says whether the benchmark's own bar is met; whoever
    reads the file can recompute it from the figures. A figure that is not a finite number becomes null.
    """
    result = {
        "bench": bench,
        "ok": bool(ok),
        "seeds": list(seeds),
        "commit": commit(),
        "versions": versions(),
        "machine": machine(),
        "wall_s": round(time.perf_counter() - started, 2),
        **figures,
    }
    line = json.dumps(_plain(result), allow_nan=False)
    if save:
        RESULTS.mkdir(parents=True, exist_ok=True)
        name = f"{bench}_{suffix}" if suffix else bench
        (RESULTS / f"{name}.json").write_text(line + "\n", encoding="utf-8")
    print(line, flush=True)
    return dict(json.loads(line))


def spread(values: Sequence[float]) -> dict[str, Any]:
    """A figure over seeds: mean, half width of its 95 % interval (not a number for one seed) and their count."""
    mean, half = mean_ci95(values) if len(values) > 1 else (values[0], float("nan"))
    return {"mean": mean, "ci95": half, "n": len(values)}


def kept(path: Path, make: Callable[[], Any]) -> Any:
    """What is in the file; made, and put there, where there is none yet."""
    if not path.exists():
        path.write_text(json.dumps(make()))
    return json.loads(path.read_text())


def resumed(out: str) -> float:
    """`time.perf_counter()` at a start before which those seconds lie that stopped runs into this folder have noted."""
    spent = Path(out, "seconds.json")
    return time.perf_counter() - (json.loads(spent.read_text()) if spent.exists() else 0.0)


def note(out: str, started: float) -> None:
    """Keep what has been spent so far, for `resumed`."""
    Path(out, "seconds.json").write_text(json.dumps(time.perf_counter() - started))


def commit() -> str:
    """The commit, with "+" where tracked files differ from it; "unknown" outside a repository."""
    head = _git("rev-parse", "HEAD")
    return head + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "") if head else "unknown"


def versions() -> dict[str, str]:
    """Python's version, and those of the packages that move the figures, where they are installed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def machine() -> str:
    """The kind of machine: processor and cores that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{_processor()}, {cores} cores"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _git(*command: str) -> str:
    try:
        done = subprocess.run(["git", *command], cwd=ROOT, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _plain(value: Any) -> Any:
    """``value`` as JSON knows it: numpy scalars and arrays as Python's, no NaN and no infinity."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value
