"""A thought with an interpreter in it: whose tokens are whose, and what CoRT's reward makes of it.

python examples/05_code_interpreter.py
"""

import gymnasium as gym

import reasongym
from reasongym import ByteTokenizer, Request
from reasongym.policies.scripted import Scripted
from reasongym.rewards.cort import Cort


def write(request: Request) -> str:
    """What a model might write: code that fails, code that works, and the answer from its output."""
    outputs = request.response.split("```output\n")[1:]
    product = request.prompt.partition("Compute ")[2].partition(". Give")[0]
    if not outputs:
        return f"That is long by hand.\n```python\nvalue = {product}\nprint(valu)\n```\n"
    if len(outputs) == 1:
        return "A slip of the pen, but `value` is still there.\n```python\nprint(value)\n```\n"
    return f"So it is \\boxed{{{outputs[-1].splitlines()[0]}}}."


policy = Scripted(write, ByteTokenizer())
env = gym.make("CodeInterpreter-v0", task="arithmetic(digits=6, terms=4)")
[thought] = reasongym.rollout(policy, [env], [{"seed": 0}])

[row] = thought.segments  # one window, one training row
for token, learned in zip(row.ids, row.mask, strict=True):
    if token < 256:
        print(chr(token) if learned else f"\033[2m{chr(token)}\033[0m", end="")  # dim: given, not learned
print(
    f"\n\nright: {thought.verdict.score}, the tool says {thought.info['tools'][0]}, CoRT pays {Cort().score(thought)}"
)
print(f"{sum(row.mask)} of {len(row.ids)} tokens are the policy's own")
