"""How the cost of a thought grows with its length T: LongCoT against Delethink, same model, lengths forced.

    OMP_NUM_THREADS=1 python -m benchmarks.cost_growth [--chunk 512] [--carry 128] [--real 4] [--save]

``wall_s`` is integrated: the seconds of one decode step are measured on a grid of context lengths (medians over rounds
that visit all positions in turn), the prefill of a prompt and of a prompt with its carryover likewise, and both are
summed over the positions that each arm visits. Both arms are run whole, in the real environment, at ``--real`` times
the chunk, Delethink for every T too, and bytes of the key-value cache are those of the policy's tensors. A whole run
has no median, so it is compared with the integral in processor seconds, which other work on the machine moves less
(``processor`` has all figures by that clock; with one thread and an idle machine the two clocks agree). The model is a
random one in which attention dominates on a CPU: one layer, many heads, small vocabulary.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.forced import PROMPT, Clocks, Endless, delethink, forced_run, kv_bytes, random_llama, request, timed
from benchmarks.report import finish
from reasongym import cli
from reasongym.core import Thinking
from reasongym.policies.hf import HF
from reasongym.thinking import Delethink, LongCoT

MULTIPLES = (1, 2, 4, 8, 16)  # of the chunk


@dataclass
class Args:
    chunk: int = 512
    carry: int = 128
    """A quarter of the chunk; half of it (the paper's default) is reported beside it."""
    rows: int = 12
    """Thoughts at a time: so many that the keys and values of even a short context outgrow the processor's cache."""
    layers: int = 1
    heads: int = 32
    rounds: int = 8
    """Of the grid; half of them before the real runs, half after."""
    real: int = 4
    """Multiple of the chunk at which both arms are run for real."""
    save: bool = False


def main(args: Args) -> None:
    started = time.perf_counter()
    model = random_llama(layers=args.layers, heads=args.heads, hidden=64, mlp=64, vocab=258)
    grid = Grid(model, args)
    grid.visit(args.rounds // 2)
    real, kv = real_runs(model, args)
    grid.visit(args.rounds - args.rounds // 2)
    figures = summary(args, grid, real, kv)
    finish("cost_growth", bars(figures), figures, started=started, save=args.save)


def real_runs(model: Any, args: Args) -> tuple[dict[str, dict[int, Clocks]], dict[str, dict[int, int]]]:
    """Real seconds of each arm at ``--real`` chunks, and of Delethink at every T; the caches' bytes."""
    arms: dict[str, Callable[[int], Thinking]] = {
        "longcot": LongCoT,
        "delethink": lambda length: delethink(args.chunk, args.carry, length),
    }
    lengths = {"longcot": {1, args.real}, "delethink": {*MULTIPLES, args.real}}
    seconds: dict[str, dict[int, Clocks]] = {arm: {} for arm in arms}
    kv: dict[str, dict[int, int]] = {arm: {} for arm in arms}
    for arm, thinking in arms.items():
        for multiple in sorted(lengths[arm]):
            length = multiple * args.chunk
            seconds[arm][length], kv[arm][length], _ = forced_run(model, thinking(length), args.rows)
            wall, own = seconds[arm][length]
            print(f"{arm:9} T={length:6}: {wall:8.2f} s ({own:.2f} own), cache {kv[arm][length]:,} bytes", flush=True)
    return seconds, kv


# --- the grid


class Grid:
    """Seconds of a decode step and of a prefill at each position, by rounds over all of them."""

    def __init__(self, model: Any, args: Args) -> None:
        self.model, self.rows, self.kv = model, args.rows, dict[int, int]()
        self.chunk, self.rounds = args.chunk, args.rounds
        chunk = args.chunk
        top = MULTIPLES[-1] * chunk
        inside = [PROMPT + 1, *(PROMPT + chunk * n // 8 for n in (1, 2, 3, 4, 6, 8))]
        self.grid = [*inside, *(PROMPT + m * chunk for m in MULTIPLES[1:])]
        self.fit = [chunk // 3, chunk * 7 // 8, chunk * 3, top * 3 // 8]  # none of them on the grid
        self.fills = [PROMPT, PROMPT + args.carry, PROMPT + chunk // 2]
        self.seconds: dict[int, list[Clocks]] = {c: [] for c in sorted({*self.grid, *self.fit})}
        self.prefill_s: dict[int, list[Clocks]] = {c: [] for c in self.fills}
        self.policies = {c: self.filled(c) for c in self.seconds}

    def filled(self, context: int) -> HF:
        """A policy whose rows stand at ``context``, with room for all rounds."""
        policy = HF(self.model, Endless(), slots=self.rows)
        for i in range(self.rows):  # one context for all: its prefill is not what is measured here
            policy.submit(request(0, i, context - PROMPT - 1, self.drift(context) + 1))
        policy.poll(0)
        self.kv[context - PROMPT] = kv_bytes(policy)
        return policy

    def visit(self, rounds: int) -> None:
        for _ in range(rounds):
            for context, policy in self.policies.items():
                policy.poll(0)  # brings the cache back
                for _ in range(self.samples(context)):
                    self.seconds[context].append(timed(lambda p=policy: p.poll(0)))
            for context in self.fills:
                self.prefill_s[context].append(self.prefill(context))

    def samples(self, context: int) -> int:
        """Steps a visit: more of the short ones, which are cheap and noisy."""
        return 2 if context > 2 * self.chunk else 6

    def drift(self, context: int) -> int:
        """Tokens that the rounds add to a context."""
        return 2 + self.rounds * (1 + self.samples(context))

    def middle(self, contexts: Sequence[int]) -> list[float]:
        """Where the median step stood."""
        return [c + self.drift(c) / 2 for c in contexts]

    def prefill(self, context: int) -> Clocks:
        """Seconds until each row, with a context of its own, has its first token."""
        policy = HF(self.model, Endless(), slots=self.rows)
        for i in range(self.rows):
            policy.submit(request(i, i, context - PROMPT, 1))
        return timed(lambda: policy.poll(0))

    def step(self, context: Any, clock: int = 0) -> Any:
        """Seconds of a decode step that attends to ``context`` tokens."""
        return np.interp(context, self.middle(self.grid), [median(self.seconds[c], clock) for c in self.grid])

    def longcot(self, length: int, clock: int = 0) -> float:
        return self.window(0, length, clock)

    def delethink(self, thinking: Delethink, clock: int = 0) -> float:
        total, used = self.window(0, min(thinking.chunk, thinking.budget), clock), thinking.chunk
        while used < thinking.budget:
            new = min(thinking.chunk - thinking.carry, thinking.budget - used)
            total, used = total + self.window(thinking.carry, new, clock), used + new
        return total

    def window(self, carried: int, new: int, clock: int) -> float:
        """A prefill, which gives the first token, and a step for each of the others."""
        first = PROMPT + carried
        return median(self.prefill_s[first], clock) + float(self.step(np.arange(first + 1, first + new), clock).sum())

    def coefficients(self, clock: int) -> tuple[float, float]:
        """Seconds a token, and seconds a token and context token, from the positions apart: least relative squares."""
        y = np.array([median(self.seconds[c], clock) for c in self.fit])
        x = np.array([[1.0, c] for c in self.middle(self.fit)])
        a, b = np.linalg.lstsq(x / y[:, None], np.ones(len(y)), rcond=None)[0]
        return float(a), float(b)


def median(seconds: Sequence[Clocks], clock: int = 0) -> float:
    return float(np.median([s[clock] for s in seconds]))


# --- the figures


def summary(
    args: Args, grid: Grid, real: dict[str, dict[int, Clocks]], kv: dict[str, dict[int, int]]
) -> dict[str, Any]:
    lengths = [m * args.chunk for m in MULTIPLES]
    at, own = args.real * args.chunk, growth(args, grid, args.carry, clock=1)
    integrated = {"longcot": grid.longcot(at, 1), "delethink": grid.delethink(delethink(args.chunk, args.carry, at), 1)}
    kv_all = {"longcot": [grid.kv[t] for t in lengths], "delethink": [kv["delethink"][t] for t in lengths]}
    return {
        "chunk": args.chunk,
        "carry": args.carry,
        "rows": args.rows,
        "T": lengths,
        "method": "wall_s, of each arm, is integrated over a grid of medians; real is of whole runs in the environment",
        "n": min(len(s) for s in grid.seconds.values()),
        **growth(args, grid, args.carry),
        "kv_bytes": kv_all,
        "kv_flatness": max(kv_all["delethink"]) / min(kv_all["delethink"]),
        "kv_real": kv,
        "processor": own,
        "half_carry": growth(args, grid, args.chunk // 2),
        "real_wall_and_processor_s": real,
        "real_over_integrated": {arm: real[arm][at][1] / seconds for arm, seconds in integrated.items()},
        "step_s": {c: median(s) for c, s in grid.seconds.items()},
        "prefill_s": {c: median(s) for c, s in grid.prefill_s.items()},
    }


def growth(args: Args, grid: Grid, carry: int, clock: int = 0) -> dict[str, Any]:
    """Both arms' seconds over T, and how they grow, by the clock on the wall (0) or the processor's (1)."""
    lengths = [m * args.chunk for m in MULTIPLES]
    wall = {
        "longcot": [grid.longcot(t, clock) for t in lengths],
        "delethink": [grid.delethink(delethink(args.chunk, carry, t), clock) for t in lengths],
    }
    a, b = grid.coefficients(clock)
    return {
        "wall_s": wall,
        "slope_2_16": {arm: slope(lengths[1:], seconds[1:]) for arm, seconds in wall.items()},
        "wall_ratio_16x": wall["longcot"][-1] / wall["delethink"][-1],
        "closed_form_ratio_16x": closed_form(a, b, lengths[-1], args.chunk, carry),
        "closed_form_from": f"a={a:.4g} s, b={b:.4g} s, fitted to positions that are not on the grid",
    }


def closed_form(a: float, b: float, length: int, chunk: int, carry: int) -> float:
    """LongCoT(T) = aT + bT^2/2 over Delethink(T) = L(aC + bC^2/2) with L = 1 + ceil((T - C)/(C - m)) chunks.

    It charges what is carried over as if it were decoded again.
    """
    chunks = 1 + math.ceil((length - chunk) / (chunk - carry))
    return (a * length + b * length**2 / 2) / (chunks * (a * chunk + b * chunk**2 / 2))


def slope(lengths: Sequence[int], seconds: Sequence[float]) -> float:
    return float(np.polyfit(np.log(lengths), np.log(seconds), 1)[0])


def bars(figures: dict[str, Any]) -> bool:
    return (
        figures["chunk"] >= 512
        and 0.95 <= figures["slope_2_16"]["delethink"] <= 1.10
        and figures["slope_2_16"]["longcot"] >= 1.4
        and figures["wall_ratio_16x"] >= 4
        and figures["kv_flatness"] <= 1.05
        and abs(figures["closed_form_ratio_16x"] / figures["wall_ratio_16x"] - 1) <= 0.20
        and all(abs(r - 1) <= 0.25 for r in figures["real_over_integrated"].values())
    )


if __name__ == "__main__":
    cli.run(main, Args)
