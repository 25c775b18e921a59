"""Microseconds of one env step: a Delethink chunk of 8,192 tokens with ids, and what other packages take for a step.

    python -m benchmarks.env_overhead [--tokenizer FOLDER] [--peers FOLDER] [--save]

A step appends the chunk, resets the context to 4,096 tokens and decodes those for the observation; nothing is encoded
(``encode_calls`` is counted). The bars: under 60 us with bytes; with a model's tokenizer at most 1.3 times one decode
of the kept ids. FOLDER of --tokenizer (default: $REASONGYM_SMOLLM2) holds a model's tokenizer.

The peers take the same text as their action: a minimal Gymnasium environment that returns it, skyrl-gym's gsm8k and
GEM's GuessTheNumber. Their requirements conflict, so give a folder of their own (their dependencies are not needed):

    pip install --no-deps --target FOLDER skyrl-gym==0.4.0 gem-llm==0.1.0
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from itertools import count
from typing import Any

import gymnasium as gym
import numpy as np

import reasongym
from benchmarks.report import finish
from reasongym import ByteTokenizer, Completion, Delethink, ReasoningEnv, UserError
from reasongym.core import Tokenizer
from reasongym.tasks.arithmetic import Arithmetic
from reasongym.tokenizer import load

BYTE_US, HF_RATIO = 60.0, 1.3
CHUNK, CARRY = 8192, 4096
ROUNDS = 7


class ToyText(gym.Env[str, str]):
    """As little as a text environment can do: return the text."""

    observation_space = action_space = reasongym.Unicode()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        super().reset(seed=seed)
        return "", {}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        return action, 0.0, False, False, {}


def thought(tokenizer: Tokenizer, tokens: int) -> tuple[int, ...]:
    """The first tokens of worked sums, one after the other."""
    task, ids = Arithmetic(), list[int]()
    for seed in count():
        if len(ids) >= tokens:
            return tuple(ids[:tokens])
        problem = task.sample(np.random.default_rng(seed), 4)
        ids += tokenizer.encode(task.demonstrate(problem, np.random.default_rng(0)) + "\n")
    raise AssertionError


def median_us(prepare: Callable[[], Any], act: Callable[[], Any], n: int) -> float:
    """The median time of ``act``, each after a ``prepare`` that is not timed."""
    times = []
    for _ in range(n):
        prepare()
        start = time.perf_counter_ns()
        act()
        times.append(time.perf_counter_ns() - start)
    return statistics.median(times) / 1e3


def counted(tokenizer: Tokenizer) -> list[str]:
    """Make the tokenizer write down every text that it encodes from now on."""
    texts: list[str] = []
    plain = tokenizer.encode

    def encode(text: str) -> list[int]:
        texts.append(text)
        return plain(text)

    object.__setattr__(tokenizer, "encode", encode)
    return texts


def ours(tokenizer: Tokenizer, n: int) -> tuple[Callable[[], float], Callable[[], float], list[str]]:
    """The time of a step, the time of one decode of what it keeps, and what was encoded inside of steps."""
    action = Completion("", thought(tokenizer, CHUNK), finish="length")
    env = ReasoningEnv("arithmetic", Delethink(CHUNK, CARRY), tokenizer=tokenizer)
    encoded, inside = counted(tokenizer), list[str]()

    def step() -> None:
        before = len(encoded)
        _, _, terminated, truncated, info = env.step(action)
        inside.extend(encoded[before:])
        assert not terminated and not truncated and info["resets"] == 1 and len(info["response_ids"]) == CARRY

    env.reset(seed=0)
    env.step(action)
    kept = env._info()["response_ids"]
    return (
        lambda: median_us(lambda: env.reset(seed=0), step, n),
        lambda: median_us(lambda: None, lambda: tokenizer.decode(kept), n),
        inside,
    )


def peers(text: str, n: int) -> dict[str, Callable[[], float]]:
    """What others take for a step with this text, of those that can be imported."""
    toy = gym.wrappers.OrderEnforcing(ToyText())
    found = {"gym": lambda: median_us(toy.reset, lambda: toy.step(text), n)}
    try:
        import skyrl_gym

        extras = {"reward_spec": {"ground_truth": "7"}}
        sky = skyrl_gym.make("gsm8k", extras=extras)
        found["skyrl_gym"] = lambda: median_us(lambda: sky.init([]), lambda: sky.step(text), n)
    except ImportError as error:
        print(f"skyrl-gym is absent: {error}", file=sys.stderr)
    try:
        from gem.envs.game_env.guess_the_number import GuessTheNumberEnv

        gem = GuessTheNumberEnv()
        found["gem"] = lambda: median_us(gem.reset, lambda: gem.step(text), n)
    except ImportError as error:
        print(f"GEM is absent: {error}", file=sys.stderr)
    return found


def installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def main(tokenizer: str = "", peers_folder: str = "", n: int = 60, save: bool = False) -> bool:
    started = time.perf_counter()
    sys.path += [peers_folder] if peers_folder else []
    step, _, inside = ours(ByteTokenizer(), n)
    timers = {"reasongym_byte": step}
    encoded = [inside]
    if tokenizer:
        try:
            timers["reasongym_hf"], timers["decode"], inside = ours(load(tokenizer), n)
            encoded.append(inside)
        except UserError as error:
            print(f"the model's tokenizer is absent: {error}", file=sys.stderr)
    text = ByteTokenizer().decode(thought(ByteTokenizer(), CHUNK))
    timers |= peers(text, n)
    rounds = [{name: timer() for name, timer in timers.items()} for _ in range(ROUNDS)]
    us: dict[str, Any] = {name: statistics.median(r[name] for r in rounds) for name in timers}
    decode = us.pop("decode", None)
    for name in ("reasongym_hf", "gym", "skyrl_gym", "gem"):
        us.setdefault(name, "absent")
    ratio = us["reasongym_hf"] / decode if decode else None
    encode_calls = sum(map(len, encoded))
    figures = {
        "us_per_step": us,
        "hf_decode_us": decode,
        "hf_over_decode": ratio,
        "encode_calls": encode_calls,
        "chunk": CHUNK,
        "kept": CARRY,
        "rounds": ROUNDS,
        "steps_a_round": n,
        "tokenizer": os.path.basename(tokenizer.rstrip("/")) if decode else "absent",
        "peers": {package: installed(package) for package in ("gymnasium", "skyrl-gym", "gem-llm")},
        "bars": {"byte_us": BYTE_US, "hf_over_decode": HF_RATIO, "encode_calls": 0},
    }
    ok = us["reasongym_byte"] < BYTE_US and ratio is not None and ratio <= HF_RATIO and encode_calls == 0
    return bool(finish("env_overhead", ok, figures, started=started, save=save)["ok"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", default=os.environ.get("REASONGYM_SMOLLM2", ""), help="a model's folder")
    parser.add_argument("--peers", dest="peers_folder", default="", help="a folder that pip --target filled")
    parser.add_argument("--n", type=int, default=60, help="steps a round")
    parser.add_argument("--save", action="store_true")
    sys.exit(not main(**vars(parser.parse_args())))
