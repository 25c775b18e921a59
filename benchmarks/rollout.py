"""A rollout without a barrier against one with: uneven thoughts, a slow verifier, and a simulated engine.

    python -m benchmarks.rollout [--slots 16] [--episodes 128] [--rounds 5] [--save]

The engine decodes one token for each of its rows in STEP_MS, however many rows there are, as a GPU about does; the
verifier takes VERIFIER_MS. `stream_s` is `reasongym.rollout`. `barrier_s` is the usual loop with the same envs: all
calls of a round finish, then all envs step (each in a thread of its own), then the next round begins. Both give the
same trajectories, as every request has its own random stream. `engine_idle_share` is the part of `stream_s` in which
the engine decodes nothing. Bars: at most 10 % idle, and 1.5 times as fast as with the barrier. Medians over the rounds.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.report import finish
from reasongym import ByteTokenizer, Completion, Delethink, Problem, ReasoningEnv, Request, Trajectory, Verdict, rollout

IDLE, RATIO = 0.10, 1.5
STEP_MS, VERIFIER_MS = 2.0, 50.0
MEDIAN, SPREAD, LONGEST = 100, 1.0, 900  # tokens of a thought: log-normal


class Verifier:
    """Takes its time, and finds every second thought right."""

    def sample(self, rng: np.random.Generator, level: int = 0) -> Problem:
        raise AssertionError("the resets bring their problems")

    def verify(self, problem: Problem, text: str) -> Verdict:
        time.sleep(VERIFIER_MS / 1e3)
        return Verdict(float(len(text) % 2))


@dataclass
class Engine:
    """Decodes a token for every row at once, and knows how long each problem's thought will be."""

    lengths: dict[str, int]
    tokenizer: ByteTokenizer = field(default_factory=ByteTokenizer)
    busy_s: float = 0.0
    rows: dict[int, tuple[Request, int]] = field(default_factory=dict)  # ticket: request, steps left
    left: dict[str, int] = field(default_factory=dict)
    tickets: int = 0

    def submit(self, request: Request) -> int:
        self.tickets += 1
        left = self.left.setdefault(request.prompt, self.lengths[request.prompt])
        self.rows[self.tickets] = request, min(left, request.room)
        return self.tickets

    def poll(self, timeout: float | None = None) -> list[tuple[int, Completion]]:
        """One step at least, and more until a row is done or the time is up."""
        start = time.perf_counter()
        while self.rows:
            time.sleep(STEP_MS / 1e3)
            self.rows = {ticket: (request, steps - 1) for ticket, (request, steps) in self.rows.items()}
            done = [ticket for ticket, (_, steps) in self.rows.items() if steps == 0]
            if done or (timeout is not None and time.perf_counter() - start >= timeout):
                break
        else:
            return []
        self.busy_s += time.perf_counter() - start
        return [(ticket, self._completion(self.rows.pop(ticket)[0])) for ticket in done]

    def cancel(self, ticket: int) -> None:
        self.rows.pop(ticket, None)

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        tickets = [self.submit(request) for request in requests]
        found: dict[int, Completion] = {}
        while len(found) < len(tickets):
            found |= dict(self.poll())
        return [found[ticket] for ticket in tickets]

    def _completion(self, request: Request) -> Completion:
        n = min(self.left[request.prompt], request.room)
        self.left[request.prompt] -= n
        ids = [int(i) for i in np.random.default_rng(request.seed).integers(32, 127, n)]
        ended = self.left[request.prompt] == 0
        ids[-1:] = [self.tokenizer.eos_id] if ended else ids[-1:]
        prompt = (*self.tokenizer.encode(request.prompt), *request.response_ids)
        return Completion("", tuple(ids), (-1.0,) * n, "end" if ended else "length", prompt)


class Barrier:
    """The engine behind ``generate`` alone, called with whole rounds."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.tokenizer = engine, engine.tokenizer

    def rollout(self, envs: list[ReasoningEnv], resets: list[dict[str, Any]]) -> list[Any]:
        """Verdicts in the order of the resets: rounds of calls, then of steps."""
        waiting, slots, verdicts = list(enumerate(resets))[::-1], dict[int, Any](), dict[int, Any]()
        with ThreadPoolExecutor(len(envs)) as pool:
            while waiting or slots:
                for k, env in enumerate(envs):
                    if k not in slots and waiting:
                        index, reset = waiting.pop()
                        slots[k] = index, *env.reset(**reset), 0
                requests = [_request(*slot) for slot in slots.values()]
                completions = self.engine.generate(requests)
                stepped = list(pool.map(lambda k, c: envs[k].step(c), slots, completions))
                for k, (obs, _, terminated, truncated, info) in zip(list(slots), stepped, strict=True):
                    index, _, _, calls = slots.pop(k)
                    if terminated or truncated:
                        verdicts[index] = info["text"], info["verdict"]
                    else:
                        slots[k] = index, obs, info, calls + 1
        return [verdicts[i] for i in range(len(resets))]


def _request(index: int, obs: dict[str, str], info: dict[str, Any], calls: int) -> Request:
    """As `reasongym.rollout` makes it, so that the texts are the same."""
    key = (0, index, 0, calls)
    seed = int(np.random.SeedSequence((0, *key)).generate_state(1, np.uint64)[0])
    return Request(key, obs["prompt"], obs["response"], tuple(info["response_ids"]), info["room"], (), seed)


def timed(run: Callable[[], list[Any]]) -> tuple[float, list[Any]]:
    start = time.perf_counter()
    result = run()
    return time.perf_counter() - start, result


def told(trajectories: list[Trajectory]) -> list[Any]:
    return [(t.text, t.verdict) for t in trajectories]


def main(slots: int = 16, episodes: int = 128, rounds: int = 5, seed: int = 0, save: bool = False) -> bool:
    started = time.perf_counter()
    drawn = np.random.default_rng(seed).lognormal(np.log(MEDIAN), SPREAD, episodes)
    lengths = {f"Q{i}": int(min(max(n, 2), LONGEST)) for i, n in enumerate(drawn)}
    resets = [{"seed": 0, "options": {"problem": Problem.of(prompt)}} for prompt in lengths]
    thinking = Delethink(chunk=256, carry=128, head=16, max_chunks=8)
    envs = [ReasoningEnv(Verifier(), thinking) for _ in range(slots)]

    stream, barrier, idle, same = [], [], [], True
    for _ in range(rounds):
        engine = Engine(lengths)
        seconds, done = timed(lambda: rollout(engine, envs, resets))  # noqa: B023
        stream.append(seconds)
        idle.append(1 - engine.busy_s / seconds)
        lockstep = Barrier(Engine(lengths))
        seconds, expected = timed(lambda: lockstep.rollout(envs, resets))  # noqa: B023
        barrier.append(seconds)
        same = same and told(done) == expected
    fixed = [rollout(Engine(lengths), envs, resets, deterministic=True) for _ in range(2)]
    same_deterministic = fixed[0] == fixed[1] and told(fixed[0]) == expected
    ratio = statistics.median(b / s for b, s in zip(barrier, stream, strict=True))
    counts = sorted(lengths.values())
    figures = {
        "slots": slots,
        "episodes": episodes,
        "lengths": {
            "min": counts[0],
            "median": statistics.median(counts),
            "mean": statistics.mean(counts),
            "p90": counts[int(0.9 * episodes)],
            "max": counts[-1],
        },
        "calls": sum(t.info["calls"] for t in fixed[0]),
        "step_ms": STEP_MS,
        "verifier_ms": VERIFIER_MS,
        "stream_s": statistics.median(stream),
        "barrier_s": statistics.median(barrier),
        "ratio": ratio,
        "engine_idle_share": statistics.median(idle),
        "same_results_as_barrier": same,
        "same_results_deterministic": same_deterministic,
        "rounds": rounds,
        "bars": {"ratio": RATIO, "engine_idle_share": IDLE},
    }
    ok = ratio >= RATIO and figures["engine_idle_share"] <= IDLE and same and same_deterministic
    return bool(finish("rollout", ok, figures, seeds=(seed,), started=started, save=save)["ok"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slots", type=int, default=16)
    parser.add_argument("--episodes", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", action="store_true")
    sys.exit(not main(**vars(parser.parse_args())))
