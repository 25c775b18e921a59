"""One problem, one thought: an environment, the tiny model of the package, and what they say.

python examples/00_hello.py
"""

import gymnasium as gym

import reasongym
from reasongym.policies.hf import HF

policy = HF("tiny")
env = gym.make("Delethink-v0", chunk=32, carry=12, head=0)  # reset the context every 32 tokens, carry 12 over

obs, info = env.reset(seed=1)
print(f"prompt   {obs['prompt']}   (at most {info['room']} tokens before the context is reset)")

# by hand: ask the policy, step the environment, until it is over
over = False
while not over:
    request = reasongym.Request((0,), obs["prompt"], obs["response"], tuple(info["response_ids"]), info["room"])
    [completion] = policy.generate([request])
    obs, reward, terminated, truncated, info = env.step(completion)
    over = terminated or truncated
    print(f"  wrote  {completion.text}")
print(f"thought  {info['text']}\nreward   {reward}  (it should end in ={info['problem'].answer})")

# or all at once: a trajectory for each reset, with the rows that a trainer learns from
for attempt in reasongym.rollout(policy, [env], [{"seed": seed} for seed in range(4)]):
    print(f"score {attempt.verdict.score}, {attempt.length} tokens in {len(attempt.segments)} windows")
