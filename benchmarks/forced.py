"""Thoughts of a forced length: a model that never ends one, and a run that says what it took."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from reasongym.core import Problem, Request, Thinking, Trajectory, Verdict
from reasongym.env import ReasoningEnv
from reasongym.policies.hf import HF
from reasongym.rollout import rollout
from reasongym.thinking import Delethink
from reasongym.tokenizer import ByteTokenizer

PROMPT = 16  # tokens


class Endless(ByteTokenizer):
    """Bytes whose end token no model has: only its room ends a thought."""

    eos_id: ClassVar[int] = 1 << 30


def random_llama(
    *, layers: int, heads: int, hidden: int, mlp: int, vocab: int, kv_heads: int = 0, seed: int = 0
) -> Any:
    """A Llama with random weights and heads of 64, in float32 on the CPU."""
    config = LlamaConfig(
        vocab_size=vocab,
        hidden_size=hidden,
        intermediate_size=mlp,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads or heads,
        head_dim=64,
        max_position_embeddings=1 << 17,
        tie_word_embeddings=True,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(config).eval()


class Watched(HF):
    """A policy that remembers the most bytes its key-value cache took."""

    peak = 0

    def poll(self, timeout: float | None = None) -> list[tuple[int, Any]]:
        until = math.inf if timeout is None else time.monotonic() + timeout
        while True:
            done = super().poll(0)
            self.peak = max(self.peak, kv_bytes(self))
            if done or not (self._waiting or self._window.rows) or time.monotonic() >= until:
                return done


def kv_bytes(policy: HF) -> int:
    return sum(b.numel() * b.element_size() for layer in policy._window.layers for b in layer.buffers)


class Blank:
    """A task of prompts of one length and no right answer."""

    def sample(self, rng: np.random.Generator, level: int = 0) -> Problem:
        return self.problem(level)

    def problem(self, i: int) -> Problem:
        return Problem.of(f"{i:0{PROMPT}d}")

    def verify(self, problem: Problem, text: str) -> Verdict:
        return Verdict(0.0)


Clocks = tuple[float, float]  # seconds on the wall, and of this process on a processor


def forced_run(model: Any, thinking: Thinking, rows: int) -> tuple[Clocks, int, list[Trajectory]]:
    """Seconds, peak bytes of the cache, and the trajectories of ``rows`` thoughts that use their whole budget."""
    task, policy = Blank(), Watched(model, Endless(), slots=rows)
    envs = [ReasoningEnv(task, thinking, tokenizer=policy.tokenizer) for _ in range(rows)]
    resets = [{"seed": 0, "options": {"problem": task.problem(i)}} for i in range(rows)]
    done: list[Trajectory] = []
    seconds = timed(lambda: done.extend(rollout(policy, envs, resets, deterministic=True)))
    assert all(t.length == thinking.budget and t.truncated for t in done)
    return seconds, policy.peak, done


def delethink(chunk: int, carry: int, length: int) -> Delethink:
    return Delethink(chunk, carry, head=carry // 8).with_budget(length)


def timed(call: Callable[[], Any]) -> Clocks:
    wall, own = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall, time.process_time() - own


def request(row: int, stream: int, response: int, room: int) -> Request:
    return Request((0, row, 0, 0), Blank().problem(row).prompt, "", (65 + row,) * response, room, seed=stream)
