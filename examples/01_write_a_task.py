"""A task is two methods. It then works with every thinking, tool, reward, policy and agent.

python examples/01_write_a_task.py
"""

from dataclasses import dataclass

import gymnasium as gym
import numpy as np

from reasongym import Problem, Verdict


@dataclass(frozen=True)
class Reverse:
    """Write a word backwards; a level is its length."""

    letters: str = "abcdefghij"

    def sample(self, rng: np.random.Generator, level: int = 0) -> Problem:
        word = "".join(rng.choice(list(self.letters), level or 5))
        return Problem.of(f"Write {word} backwards.", answer=word[::-1], level=level)

    def verify(self, problem: Problem, text: str) -> Verdict:
        """Never raises, whatever the text is."""
        words = text.split()
        answer = words[-1] if words else None
        return Verdict(float(answer == problem.answer), answer)

    def demonstrate(self, problem: Problem, rng: np.random.Generator) -> str:
        """Optional: `agents/sft.py` learns from it."""
        return f"The letters from last to first: {problem.answer}"


env = gym.make("LongCoT-v0", task=Reverse())
obs, info = env.reset(seed=0, options={"level": 7})
print(obs["prompt"])
gold = Reverse().demonstrate(info["problem"], np.random.default_rng(0))
obs, reward, terminated, truncated, info = env.step(gold)
print(f"{info['text']} -> {reward}")
assert reward == 1.0

# the same task under a thinking that resets its context: what is too long for the window is clipped
env = gym.make("Delethink-v0", task=Reverse(), chunk=16, carry=8, head=0, max_chunks=8)
obs, info = env.reset(seed=0, options={"problem": info["problem"]})
over = False
while not over:
    obs, reward, terminated, truncated, info = env.step(gold[info["used"] :])
    over = terminated or truncated
    print(f"  the policy now sees {obs['response']!r}")
print(f"{info['text']} -> {reward}")
