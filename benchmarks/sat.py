r"""SAT-v0's generator beside SATURN's official one, its verifier, hard instances, and answers that mean harm.

    python -m benchmarks.sat --official DIR [--n 10000] [--runs 5] [--save]

DIR is a checkout of github.com/gtxygyzb/Saturn-code; without it there are no official figures, and ``ok`` is false.

* ``settings``: whole processes, from nothing to a file of N rows in SATURN's schema with prompts. Ours: one process,
  which proves every instance with pycosat. Official: the three scripts of its ``build_sat_dataset.sh``, one after the
  other (``official_per_s``), or without the last one, which adds the prompts (``official_no_prompt_per_s``; ours has
  them all the same). Medians over ``--runs``, by turns. ``yield`` is the share of N rows that are there and whose
  solution satisfies them, checked by another reader. ``*_start_s`` is the time for 100 rows, and ``marginal_*`` counts
  only what N rows take beyond that. ``ratio_at_most`` is the ratio of a generator that takes no time at all after
  ``import gymnasium``, which ``import reasongym`` needs.
* ``verify_us_p50``: whether an assignment satisfies a formula, the slowest of the settings;
  ``verify_whole_us_p50``: with finding and reading the answer in a response of 2,000 characters.
* ``hard``: planted 3-SAT, 100 variables, 420 clauses, one `SAT.sample` after another.
* ``hostile``: wrong answers of many kinds, to the strict and to the short form (and through the official scorer's
  reading, which must not raise either).

Bar: 5 times the official generator's rows per second at three sizes, and 10 times at one of these; full yield at all
six; 1,000 hard instances a second, none over 100 ms, none unknown; 5 us; no exception, no false positive.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import finish
from reasongym import cnf
from reasongym.tasks.sat import SAT

ROOT = Path(__file__).resolve().parents[1]
Size = tuple[int, int, int]

COMPARED: tuple[Size, ...] = ((3, 5, 20), (3, 7, 40), (4, 8, 40))
BARREN: tuple[Size, ...] = ((4, 10, 40), (3, 12, 30), (3, 20, 85))  # where the official generator yields nothing
FEW = 100  # rows of a process that does little but start
TIMEOUT_S = 300

OURS = """
import sys
from pathlib import Path
from reasongym import export
from reasongym.tasks.sat import SAT
n, k, l, count = map(int, sys.argv[1:5])
export.write(Path(sys.argv[5]), export.saturn_lines(export.instances(SAT(n, k, l, levels=()), count)))
"""


def ours(size: Size, count: int, folder: Path) -> tuple[list[float], Path]:
    """Seconds of the one process, and its file."""
    out = folder / "ours.jsonl"
    return [_run([sys.executable, "-c", OURS, *map(str, (*size, count)), str(out)], ROOT)], out


def theirs(official: Path, size: Size, count: int, folder: Path) -> tuple[list[float], Path]:
    """Seconds of each of the three processes, and the file of the last one (its test rows are in another)."""
    n, k, l = size  # noqa: E741
    result, prompts = tempfile.mkdtemp(dir=folder), tempfile.mkdtemp(dir=folder)
    sizes = ["--n_sat", str(n), "--k", str(k)]
    more = ["--length", str(l), "--n_sample", str(count)]
    commands = [
        ["single_clause.py", *sizes, "--result_dir", result],
        ["combine.py", *sizes, *more, "--result_dir", result],
        ["train_prompt.py", *sizes, *more, "--seed_datasets_dir", result, "--prompt_dir", prompts],
    ]
    scripts = official / "src" / "Build_SAT_Datasets"
    return [_run([sys.executable, *command], scripts) for command in commands], Path(prompts)


def _run(command: list[str], folder: Path) -> float:
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, capture_output=True, check=True, timeout=TIMEOUT_S)
    return time.perf_counter() - start


def rightful(files: list[Path]) -> int:
    """Rows whose solution makes each of their clauses true, read with neither side's code."""
    lines = [line for file in files if file.is_file() for line in file.read_text(encoding="utf-8").splitlines()]
    return sum(map(_right, map(json.loads, lines)))


def _right(row: dict[str, Any]) -> bool:
    holds = {("" if bit == "1" else "!") + chr(65 + i) for i, bit in enumerate(row["solution"])}
    clauses = [re.findall("!?[A-Z]", clause) for clause in row["clause"].split(" & ")]
    shape = {len(clause) for clause in clauses} == {row["n_sat"]} and len(row["solution"]) == row["k"]
    return shape and len(set(map(tuple, clauses))) == len(clauses) and all(holds & {*clause} for clause in clauses)


def setting(size: Size, official: Path | None, n: int, runs: int) -> dict[str, Any]:
    """The figures of one size."""
    with tempfile.TemporaryDirectory(prefix="sat-") as name:
        folder, mine, other = Path(name), [], []
        mine_few, other_few, imports = [], [], []
        for _ in range(runs):
            seconds, out = ours(size, n, folder)
            mine.append(seconds)
            mine_few.append(sum(ours(size, FEW, folder)[0]) if size in COMPARED else 0.0)
            if not mine[1:]:
                out = ours(size, n, folder)[1]
                share = rightful([out]) / n
            if official is None:
                continue
            seconds, prompts = theirs(official, size, n, folder)
            other.append(seconds)
            yielded = rightful([prompts / "train.jsonl", prompts / "test.jsonl"]) / n
            other_few.append(sum(theirs(official, size, FEW, folder)[0]) if size in COMPARED else 0.0)
            imports.append(_run([sys.executable, "-c", "import gymnasium"], ROOT))
    took = statistics.median(map(sum, mine))
    figures: dict[str, Any] = {"nkl": size, "n": n, "runs": runs, "ours_per_s": share * n / took, "yield": share}
    if official is None:
        return figures | {"official_per_s": None, "ratio": None, "official_yield": None}
    whole, short = (statistics.median(sum(seconds[:stages]) for seconds in other) for stages in (3, 2))
    figures |= {"official_per_s": yielded * n / whole, "official_yield": yielded}
    figures |= {"official_no_prompt_per_s": yielded * n / short, "ratio": None}
    if yielded:
        start, official_start = statistics.median(mine_few), statistics.median(other_few)
        figures |= {
            "ratio": figures["ours_per_s"] / figures["official_per_s"],
            "ratio_at_most": whole / statistics.median(imports),
            "ratio_no_prompt": figures["ours_per_s"] / figures["official_no_prompt_per_s"],
            "ours_start_s": start,
            "official_start_s": official_start,
            "marginal_ours_us": 1e6 * (took - start) / (n - FEW),
            "marginal_official_us": 1e6 * (whole - official_start) / (n - FEW),
            "marginal_ratio": (whole - official_start) / (took - start) if took > start else None,
        }
    return figures


def verify_us(call: Callable[[SAT, Any], object], seed: int) -> float:
    """The median time of a call over instances of a size, the slowest size's."""
    medians = []
    for size in COMPARED:
        task, times = SAT(*size, levels=()), []
        for i in range(300):
            problem = task.sample(np.random.default_rng((seed, i)))
            start = time.perf_counter()
            for _ in range(10):
                call(task, problem)
            times.append((time.perf_counter() - start) / 10)
        medians.append(statistics.median(times))
    return 1e6 * max(medians)


def hard(n: int, seed: int) -> dict[str, Any]:
    """Instances of planted 3-SAT near the threshold, one by one."""
    task = SAT(3, 100, 420, format="dimacs", levels=())
    task.sample(np.random.default_rng(seed))
    times, unknown = [], 0
    for i in range(n):
        rng = np.random.default_rng((seed, i))
        start = time.perf_counter()
        problem = task.sample(rng)
        times.append(time.perf_counter() - start)
        assert cnf.satisfies(problem.data["clauses"], problem.answer)
        unknown += task.batch(np.random.default_rng((seed, i)), 1).unknown
    ms = [1e3 * t for t in times]
    return {"n": n, "per_s": n / sum(times), "p50_ms": statistics.median(ms), "max_ms": max(ms), "unknown": unknown}


def wrong_body(r: random.Random, wrong: str, right: str) -> str:
    """What a box might hold that is no right answer: a false assignment, or a right one made unreadable."""
    k = len(right)
    kinds = [
        lambda: wrong,
        lambda: " ".join(wrong),
        lambda: "[" + ", ".join(wrong) + "]",
        lambda: right[: r.randrange(k)],
        lambda: right + r.choice(["0", "1", "01", " 0", ",", " x", "\x00", "2"])[: 1 + r.randrange(2)] + "1",
        lambda: right.translate({48: 0xFF10, 49: 0xFF11}),
        lambda: right.translate({48: "O", 49: "l"}),
        lambda: right.translate({48: 0x660, 49: 0x661}),
        lambda: r.choice(["UNSAT", "unsat", "UNSATISFIABLE", "", "true", "None", "nan", "-1", "1e5", "0x1F", "{}"]),
        lambda: ", ".join(f"{cnf.LETTERS[i]}={bit}" for i, bit in enumerate(wrong)),
        lambda: ", ".join(f"{cnf.LETTERS[i]}={bit}" for i, bit in enumerate(right[:-1])),
        lambda: ", ".join(f"A={bit}" for bit in right),
        lambda: f"{right} or {wrong}",
        lambda: right[: k // 2] + r.choice("\\{}[]()$!&=_^~\u200b\ud800é") * r.randrange(1, 4) + right[k // 2 :] + "0",
        lambda: r.choice("01{}\\\x00 ,=AB\n") * r.randrange(k + 1, 2000),
        lambda: "".join(r.choice("01 ,[]{}=ABCDE!&\\x") for _ in range(r.randrange(60))) + "x",
        lambda: "__import__('os')._exit(1)",
        lambda: str(10 ** r.randrange(1, 40)) + "2",
        lambda: f"-{right}",
        lambda: "\\boxed{" * r.randrange(1, 50) + wrong,
    ]
    return r.choice(kinds)()


def hostile(n: int, seed: int) -> dict[str, Any]:
    """Wrong answers to instances of all sizes; a point for one of these would be a false positive."""
    r = random.Random(seed)
    posed = []
    for i, size in enumerate((*COMPARED, (3, 5, 13), (3, 12, 30))):
        task = SAT(*size, levels=())
        for j in range(20):
            problem = task.sample(np.random.default_rng((seed, i, j)))
            clauses, k = problem.data["clauses"], problem.data["k"]
            tried = (format(r.getrandbits(k), f"0{k}b") for _ in range(64))
            posed.append((clauses, k, problem.answer, [bits for bits in tried if not cnf.satisfies(clauses, bits)]))
    exceptions = false_pos = 0
    for _ in range(n):
        clauses, k, right, false = r.choice(posed)
        body = wrong_body(r, r.choice(false), right)
        before = r.choice(["", f"\\boxed{{{right}}} no: ", f"={right} no: ", "\\boxed{", "x" * 500, "\x00", "{" * 30])
        try:
            boxed = cnf.judge(f"{before}\\boxed{{{body}}}{r.choice(['', '.', '}', ' Done.'])}", clauses, k, right)
            marked = cnf.judge_marked(f"{before}={body}", clauses, k, right)
            cnf.judge_saturn(f"{before}\\boxed{{{body}}}", clauses, k, right)
        except Exception:  # which is what is counted
            exceptions += 1
            continue
        false_pos += boxed.score != 0 or marked.score != 0
    return {"n": n, "exceptions": exceptions, "false_pos": false_pos}


def figures_of(args: argparse.Namespace) -> dict[str, Any]:
    official = Path(args.official).resolve() if args.official else None
    if official is None or not (official / "src" / "Build_SAT_Datasets" / "combine.py").is_file():
        print(f"the official generator is absent: {args.official or 'no --official'} is no checkout of Saturn-code")
        official = None
    text = "Let us see. " * 170

    def whole(task: SAT, problem: Any) -> object:
        return task.verify(problem, f"{text}\\boxed{{{problem.answer}}}")

    settings = []
    for size in (*COMPARED, *BARREN):
        settings.append(setting(size, official, args.n, args.runs if size in COMPARED else 1))
        print(json.dumps(settings[-1]), flush=True)
    return {
        "settings": settings,
        "verify_us_p50": verify_us(lambda _, p: cnf.satisfies(p.data["clauses"], p.answer), args.seed),
        "verify_whole_us_p50": verify_us(whole, args.seed),
        "hard": hard(args.hard, args.seed),
        "hostile": hostile(args.hostile, args.seed),
    }


def meets_the_bar(f: dict[str, Any]) -> bool:
    ratios = [s["ratio"] or 0.0 for s in f["settings"] if tuple(s["nkl"]) in COMPARED]
    fast = min(ratios) >= 5 and max(ratios) >= 10
    full = all(s["yield"] == 1.0 for s in f["settings"])
    hard_ok = f["hard"]["per_s"] >= 1000 and f["hard"]["max_ms"] <= 100 and f["hard"]["unknown"] == 0
    safe = f["hostile"]["n"] >= 100_000 and f["hostile"]["exceptions"] == f["hostile"]["false_pos"] == 0
    return bool(fast and full and hard_ok and safe and f["verify_us_p50"] < 5)


def main(argv: list[str] | None = None) -> bool:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--official", default="", help="a checkout of Saturn-code")
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--hard", type=int, default=3000)
    parser.add_argument("--hostile", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", action="store_true")
    args = parser.parse_args(argv)
    started = time.perf_counter()
    figures = figures_of(args)
    ok = meets_the_bar(figures)
    finish("sat", ok, figures, seeds=[args.seed], started=started, save=args.save)
    return ok


if __name__ == "__main__":
    raise SystemExit(0 if main() else 1)
