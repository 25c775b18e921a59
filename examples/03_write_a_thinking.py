"""A thinking decides what the policy still sees: here a window that slides instead of being reset.

python examples/03_write_a_thinking.py
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import gymnasium as gym

import reasongym
from reasongym import Sampling
from reasongym.policies.hf import HF


@dataclass(frozen=True)
class Sliding:
    """Every ``stride`` tokens forget all but the last ``window``: Delethink with a small step and no head."""

    window: int = 24
    stride: int = 8
    budget: int = 300
    prefix: str = ""

    def room(self, kept: int, carried: int, used: int, resets: int) -> int:
        """Tokens that the next call may write."""
        new = kept - carried
        return min(self.stride - new if resets else self.window - new, self.budget - used)

    def keep(self, ids: Sequence[int], carried: int) -> Sequence[int]:
        """What stands in the window after a reset."""
        return ids[max(0, len(ids) - self.window) :]

    def with_budget(self, budget: int) -> "Sliding":
        return replace(self, budget=budget)


policy = HF("tiny")
for thinking in (Sliding(), "longcot(budget=300)", "delethink(chunk=32, carry=12, head=0, max_chunks=15)"):
    envs = [gym.make("LongCoT-v0", task="register(low=40, high=40)", thinking=thinking) for _ in range(32)]
    done = reasongym.rollout(policy, envs, [{"seed": i} for i in range(32)], sampling=Sampling(temperature=1.0))
    right = sum(t.verdict.score for t in done) / len(done)
    peak = max(t.info["peak_context"] for t in done)
    print(f"{thinking!s:60.60} right {right:.2f}, {max(t.info['calls'] for t in done):3} calls, context {peak} tokens")
