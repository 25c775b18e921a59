"""A policy is one method, and an agent is a loop: here REINFORCE on a table of logits, in 40 lines.

python examples/02_write_an_agent.py
"""

from collections.abc import Sequence

import gymnasium as gym
import numpy as np

import reasongym
from reasongym import ByteTokenizer, Completion, Problem, Request, Verdict
from reasongym.algos.advantages import grpo


class Coin:
    """Say h or t; the problem's own coin shows h."""

    def sample(self, rng: np.random.Generator, level: int = 0) -> Problem:
        return Problem.of("h or t?", answer="h")

    def verify(self, problem: Problem, text: str) -> Verdict:
        return Verdict(float(text == problem.answer), text)


class Table:
    """One logit a letter. It returns ids and log-probs, so that what it sampled can be trained on."""

    def __init__(self) -> None:
        self.tokenizer, self.letters, self.logits = ByteTokenizer(), "ht", np.zeros(2)

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        chances = np.exp(self.logits) / np.exp(self.logits).sum()
        picks = [int(np.random.default_rng(r.seed).choice(2, p=chances)) for r in requests]
        end = self.tokenizer.eos_id
        ids = [tuple(self.tokenizer.encode(r.prompt)) for r in requests]
        logprobs = [(float(np.log(chances[i])), 0.0) for i in picks]
        return [
            Completion(self.letters[i], (ord(self.letters[i]), end), p, "end", prompt_ids=given)
            for i, p, given in zip(picks, logprobs, ids, strict=True)
        ]


policy = Table()
envs = [gym.make("LongCoT-v0", task=Coin()) for _ in range(8)]
for step in range(30):
    attempts = reasongym.rollout(policy, envs, [{"seed": 0}] * 8, group=8, step=step)
    rewards = np.array([[a.verdict.score for a in attempts]])  # [P=1, G=8]
    for attempt, advantage in zip(attempts, grpo(rewards)[0], strict=True):
        said = policy.letters.index(attempt.text)
        chances = np.exp(policy.logits) / np.exp(policy.logits).sum()
        policy.logits += 0.1 * advantage * (np.eye(2)[said] - chances)
    if step % 10 == 9:
        print(f"step {step + 1}: reward {rewards.mean():.2f}, logits {policy.logits.round(2)}")
