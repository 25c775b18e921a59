"""What a shaper costs: a batch of 128 x 8 trajectories, for every shaper of the package.

    python -m benchmarks.shaping [--problems 128] [--group 8] [--median 500] [--rounds 31] [--save]

The batch is what a rollout leaves behind: thoughts of log-normal length (median 500 tokens, up to 16384) whose words
are as frequent as Zipf says, one in 500 a "<" (as in the solutions of MATH-500), with a closing mark near the end; a
third are replies without a thought, a tenth as long; 60 % right, one in a hundred lost by the host. Each shaper is
called with what it has learned from a batch like it. ``us_per_batch`` is the median over the rounds, in processor time,
which other work on the machine moves less than the clock (``wall_us_per_batch``); ``update_us_per_batch`` is that of
what it learns afterwards. The bar is 2 ms for each. Most shapers cost the same for any length; ``us_per_batch_4x``,
where thoughts are four times as long, shows which read the text.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks.report import finish
from reasongym import Problem, Segment, Trajectory, Verdict, parts
from reasongym.core import Batch, UserError
from reasongym.rewards.laser import METHODS
from reasongym.shaping import Truth

BAR_US = 2000.0
SPREAD, LONGEST = 1.0, 16384
VOCABULARY = 4000
SPECS = {
    **{name: f"laser(method={name!r})" for name in METHODS},
    **{f"autothink-{stage}": f"autothink(stage={stage})" for stage in (1, 2, 3)},
    "weighted": "weighted(terms=[(1.0, 'truth'), (1.0, 'hapo')])",  # a sum costs what its terms cost
    **{name: name for name in parts.names("rewards") if name not in ("laser", "autothink", "weighted")},
}


def shapers() -> dict[str, Any]:
    """Every shaper that can be made by its name."""
    found: dict[str, Any] = {"truth": Truth()}
    for name, spec in SPECS.items():
        try:
            found[name] = parts.make("rewards", spec)
        except UserError as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
    return found


def trajectory(rng: np.random.Generator, problem: Problem, median: int) -> Trajectory:
    length = int(min(LONGEST, max(8, rng.lognormal(np.log(median), SPREAD))))
    short = rng.random() < 1 / 3
    length = max(8, length // 10) if short else length
    said = words(rng, length)
    answer = f"\n</think>\n\nThe answer is \\boxed{{{rng.integers(10)}}}."
    text = f"{answer[1:]} {said}" if short else said + answer
    valid, right = rng.random() > 0.01, rng.random() < 0.6
    row = Segment((0, *range(length)), (0, *[1] * length), (0.0,) * (length + 1))
    info = {"used": length, "resets": 0, "mode": "no_think" if short else "think", "tools": []}
    found = None if rng.random() < 0.05 and not right else "3"
    return Trajectory(problem, [row] if valid else [], text, Verdict(float(right), found, valid), False, info)


def words(rng: np.random.Generator, n: int) -> str:
    """Numbered words, of which the r-th is as frequent as 1 / r."""
    rank = np.exp(rng.random(n) * np.log(VOCABULARY)).astype(int)
    return " ".join("<" if u < 0.002 else f"w{r}" for r, u in zip(rank, rng.random(n), strict=True))


def batch(rng: np.random.Generator, problems: int, group: int, median: int) -> Batch:
    posed = [Problem.of(f"Problem {i}", str(i), i % 5) for i in range(problems)]
    return [[trajectory(rng, p, median) for _ in range(group)] for p in posed]


def medians(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, tuple[float, float]]:
    """Microseconds of processor time, and by the clock; in turns, so that a busy spell hits all alike."""
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start, clock = time.thread_time(), time.perf_counter()
            call()
            took[name].append((time.thread_time() - start, time.perf_counter() - clock))
    busy = {name: statistics.median(t[0] for t in times) for name, times in took.items()}
    wall = {name: statistics.median(t[1] for t in times) for name, times in took.items()}
    return {name: (round(busy[name] * 1e6, 1), round(wall[name] * 1e6, 1)) for name in calls}


def learn(shaper: Any, before: Batch) -> Any:
    shaper.update(before)
    if hasattr(shaper, "observe"):
        shaper.observe(before)
    return shaper


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=128)
    parser.add_argument("--group", type=int, default=8)
    parser.add_argument("--median", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--save", action="store_true")
    args = parser.parse_args()
    started, rng = time.perf_counter(), np.random.default_rng(0)
    before, now, longer = (batch(rng, args.problems, args.group, args.median * times) for times in (1, 1, 4))
    made = {name: learn(shaper, before) for name, shaper in shapers().items()}
    took = medians({name: partial(shaper, now) for name, shaper in made.items()}, args.rounds)
    long = medians({name: partial(shaper, longer) for name, shaper in made.items()}, args.rounds)
    learns = medians({name: partial(shaper.update, now) for name, shaper in made.items()}, args.rounds)
    calls, wall = ({name: t[i] for name, t in took.items()} for i in range(2))
    every = [t for group in now for t in group]
    figures = {
        "us_per_batch": calls,
        "us_per_batch_4x": {name: t[0] for name, t in long.items()},
        "wall_us_per_batch": wall,
        "update_us_per_batch": {name: t[0] for name, t in learns.items()},
        "bar_us": BAR_US,
        "n": args.rounds,
        "trajectories": len(every),
        "tokens_mean": round(float(np.mean([t.length for t in every])), 1),
        "characters_mean": round(float(np.mean([len(t.text) for t in every])), 1),
    }
    slow = [name for name, us in calls.items() if us >= BAR_US]
    print(f"slower than {BAR_US:.0f} us: {', '.join(slow) or 'none'}", file=sys.stderr)
    finish("shaping", not slow, figures, started=started, save=args.save)


if __name__ == "__main__":
    main()
