"""What ``import reasongym`` costs over what it needs anyway: gymnasium and numpy, in fresh interpreters.

    python -m benchmarks.import_cost [--runs 15] [--save]

Both imports are timed inside the interpreter, alternately, after one run of each that warms the disk's cache.
The figures are medians. The bar: a ratio of at most 1.15.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.report import finish

ROOT = Path(__file__).resolve().parents[1]
BAR = 1.15
IMPORTS = {"reasongym": "import reasongym", "gymnasium": "import gymnasium, numpy"}


def import_ms(statement: str) -> float:
    """Milliseconds that an import takes in an interpreter of its own."""
    program = f"import time; t = time.perf_counter(); {statement}; print(1e3 * (time.perf_counter() - t))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    return float(done.stdout)


def main(runs: int = 15, save: bool = False) -> bool:
    started = time.perf_counter()
    times: dict[str, list[float]] = {name: [] for name in IMPORTS}
    for run in range(runs + 1):
        for name, statement in IMPORTS.items():
            took = import_ms(statement)
            if run:
                times[name].append(took)
    ours, theirs = (statistics.median(times[name]) for name in ("reasongym", "gymnasium"))
    figures = {"reasongym_ms": ours, "gymnasium_ms": theirs, "ratio": ours / theirs, "runs": runs, "bar": BAR}
    return bool(finish("import_cost", ours / theirs <= BAR and runs >= 11, figures, started=started, save=save)["ok"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--save", action="store_true")
    sys.exit(not main(**vars(parser.parse_args())))
