"""Are the ids that the environment keeps the ids that the engine saw? Random traces through context resets.

    python -m benchmarks.exactness --tokenizers SMOLLM2,QWEN [--traces 20000] [--save]

Every trace is written by an engine that draws random ids (any id of the vocabulary but the ends, in runs of real text
and of noise, so that characters are cut by calls and by resets) under a random Delethink or LongCoT. The engine
rebuilds each window on its own from what it sampled, by the papers' slices. A mismatch is a call whose ids differ, a
text that is not the decode of all sampled ids, or a training row whose sampled ids differ. The bar: none in 20,000
traces, over two models' tokenizers (folders) and bytes. ``retokenised_differ`` is the share of the last windows that an
environment of plain text would have got wrong: encoding their text again gives other ids.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.report import finish
from reasongym import (
    ByteTokenizer,
    Chat,
    Completion,
    Delethink,
    LongCoT,
    Problem,
    ReasoningEnv,
    Request,
    Trajectory,
    Verdict,
    rollout,
)
from reasongym.core import Thinking, Tokenizer
from reasongym.tokenizer import load

BAR, TOKENIZERS, BLOCK = 20_000, 3, 50
TEXT = "naïve 数学 \U0001f600 = 12345 - 6789; e\u0301 \n\n  def f(x):\n\treturn x**2 // 3  # ∑ → «fin»"


class Unjudged:
    def sample(self, rng: np.random.Generator, level: int = 0) -> Problem:
        raise AssertionError("the resets bring their problems")

    def verify(self, problem: Problem, text: str) -> Verdict:
        return Verdict(0.0)


@dataclass
class Engine:
    """Draws ids, and remembers for each attempt what it has sampled, call by call."""

    tokenizer: Tokenizer
    vocabulary: int
    chat: Chat = field(init=False)
    text: list[int] = field(init=False)
    sampled: dict[tuple[int, ...], list[list[int]]] = field(default_factory=dict)
    seen: dict[tuple[int, ...], list[list[int]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.chat = Chat(self.tokenizer)
        self.text = self.tokenizer.encode(TEXT * 4)

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        return [self.complete(request) for request in requests]

    def complete(self, request: Request) -> Completion:
        rng = np.random.default_rng(request.seed)
        n = int(rng.integers(1, 1 + request.room)) if rng.random() < 0.03 else request.room
        ids = self.draw(rng, n)
        ended = n < request.room or rng.random() < 0.03
        ids[-1:] = [self.tokenizer.eos_ids[0]] if ended else ids[-1:]
        self.sampled.setdefault(request.key[:3], []).append(ids)
        self.seen.setdefault(request.key[:3], []).append(list(request.response_ids))
        prompt = (*self.chat.prompt_ids(request.prompt, request.response), *request.response_ids)
        return Completion("", tuple(ids), (-1.0,) * n, "end" if ended else "length", prompt)

    def draw(self, rng: np.random.Generator, n: int) -> list[int]:
        """Runs of real text and of noise."""
        ids: list[int] = []
        while len(ids) < n:
            size = int(rng.integers(1, 12))
            start = int(rng.integers(len(self.text)))
            noise = [int(i) for i in rng.integers(0, self.vocabulary, size)]
            ids += self.text[start : start + size] if rng.random() < 0.5 else noise
        ends = set(self.tokenizer.eos_ids)
        return [self.text[0] if i in ends else i for i in ids[:n]]


def random_thinking(rng: np.random.Generator) -> Thinking:
    prefix = str(rng.choice(["", "<think>\n"]))
    if rng.random() < 0.1:
        return LongCoT(int(rng.integers(8, 200)), prefix)
    carry = int(rng.integers(2, 40))
    chunk = carry + int(rng.integers(1, 40))
    variant: Any = rng.choice(["trainer", "paper"])
    made = Delethink(chunk, carry, int(rng.integers(0, carry)), int(rng.integers(2, 9)), variant, prefix)
    return made if rng.random() < 0.5 else made.with_budget(int(rng.integers(chunk, made.budget + 1)))


def rebuilt(thinking: Thinking, prefix: list[int], calls: list[list[int]]) -> list[list[int]]:
    """What each call must have been conditioned on, by the papers' slices of what was sampled before it."""
    windows = [prefix]
    answer: list[int] = []  # the window's response
    for n, ids in enumerate(calls[:-1]):
        if isinstance(thinking, Delethink) and thinking.variant == "paper":
            answer = [*calls[0][: thinking.head], *ids[-thinking.carry :]]
        elif isinstance(thinking, Delethink):
            whole = calls[0] if n == 0 else [*answer, *ids]
            answer = [*whole[: thinking.head], *whole[-(thinking.carry - thinking.head) :]]
        windows.append([*prefix, *answer])
    return windows


def mismatches(trajectory: Trajectory, thinking: Thinking, engine: Engine, key: tuple[int, ...]) -> int:
    tokenizer, calls = engine.tokenizer, engine.sampled[key]
    prefix = tokenizer.encode(thinking.prefix)
    sampled = [i for ids in calls for i in ids]
    thought = sampled if trajectory.truncated else sampled[:-1]
    trained = [i for s in trajectory.segments for i, m in zip(s.ids, s.mask, strict=True) if m]
    wrong = [
        engine.seen[key] != rebuilt(thinking, prefix, calls),
        trajectory.text != tokenizer.decode([*prefix, *thought]),
        trained != sampled,
        trajectory.length != len(sampled) or trajectory.info["used"] != len(sampled),
    ]
    return sum(wrong)


def check(tokenizer: Tokenizer, traces: int, seed: int) -> dict[str, Any]:
    """Counts over ``traces`` random traces with this tokenizer."""
    rng = np.random.default_rng(seed)
    vocabulary = len(tokenizer)  # type: ignore[arg-type]
    counts = {"traces": 0, "resets": 0, "tokens": 0, "mismatches": 0, "retokenised_differ": 0}
    while counts["traces"] < traces:
        n = min(BLOCK, traces - counts["traces"])
        thinking, engine = random_thinking(rng), Engine(tokenizer, vocabulary)
        envs = [ReasoningEnv(Unjudged(), thinking, tokenizer=tokenizer) for _ in range(min(n, 32))]
        resets = [{"seed": 0, "options": {"problem": Problem.of(f"question {i}: {TEXT}<|im_end|>")}} for i in range(n)]
        stream = int(rng.integers(1 << 31))
        for i, t in enumerate(rollout(engine, envs, resets, seed=stream, deterministic=True)):
            key = (0, i, 0)
            last = [*engine.seen[key][-1], *engine.sampled[key][-1][: None if t.truncated else -1]]
            counts["mismatches"] += mismatches(t, thinking, engine, key)
            counts["retokenised_differ"] += tokenizer.encode(tokenizer.decode(last)) != last
            counts["resets"] += t.info["resets"]
            counts["tokens"] += t.length
        counts["traces"] += n
    return counts | {"retokenised_differ": counts["retokenised_differ"] / traces}


def main(tokenizers: str = "", traces: int = BAR, seed: int = 0, save: bool = False) -> bool:
    started = time.perf_counter()
    given = {os.path.basename(f.rstrip("/")): load(f) for f in tokenizers.split(",") if f}
    used: dict[str, Tokenizer] = {"bytes": ByteTokenizer(), **given}
    share = -(-traces // len(used))
    found = [{"name": name, **check(t, share, seed)} for name, t in used.items()]
    total = {key: sum(f[key] for f in found) for key in ("traces", "resets", "tokens", "mismatches")}
    if len(used) < TOKENIZERS:
        print(f"only {', '.join(used)}: give --tokenizers FOLDER,FOLDER for the bar's {TOKENIZERS}", file=sys.stderr)
    ok = total["mismatches"] == 0 and total["traces"] >= BAR and total["resets"] > 0 and len(used) >= TOKENIZERS
    return bool(
        finish("exactness", ok, {**total, "tokenizers": found}, seeds=(seed,), started=started, save=save)["ok"]
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizers", default="", help="folders of models' tokenizers, separated by commas")
    parser.add_argument("--traces", type=int, default=BAR, help="over all tokenizers together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", action="store_true")
    sys.exit(not main(**vars(parser.parse_args())))
