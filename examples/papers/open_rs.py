"""open-rs (2503.16219), experiment 3: a cosine of the length, and a format reward.

Whatever follows is added to the command; ``--dry-run`` prints the resolved arguments and stops.

    python examples/papers/open_rs.py                     the miniature: some ten minutes on a CPU
    python examples/papers/open_rs.py paper --dry-run     the paper's, for a large GPU
"""

import shlex

from reasongym import cli
from reasongym.agents import grpo

# The model in this package, on 64 problems of the register task.
MINIATURE = """
  --env LongCoT-v0 --env.task "pool(task='register(low=24, high=60)', n=64)" --env.budget 128 --model tiny
  --prompts 16 --group 8 --steps 200 --lr 3e-5
  --shaper "cosine(limit=128)"
  --out runs/papers/open_rs
"""

# 12 problems a step, 6 attempts at each, a learning rate that falls to a tenth. What its recipe leaves out is TRL's.
# The system prompt is that of recipes/grpo.yaml, whose last sentence the third experiment brought; the math task asks
# for steps and \boxed{} once more at the end of each problem, which is not there.
system = (
    "A conversation between User and Assistant. The user asks a question, and the Assistant solves it. The assistant "
    "first thinks about the reasoning process in the mind and then provides the user with the answer, and put your "
    "final answer within \\boxed{{}} . The reasoning process and answer are enclosed within <think> </think> and "
    "<answer> </answer> tags, respectively, i.e., <think> reasoning process here </think> <answer> answer here "
    "</answer>. Note that respond by English, NOT use other languages."
)
PAPER = f"""
  --env LongCoT-v0 --env.task "math(source='knoveleng/open-rs', split='train')"
  --env.answer_after "</think>" --env.budget 3584
  --model deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B --device cuda --dtype bfloat16
  --system {shlex.quote(system)}
  --prompts 12 --group 6 --steps 500 --updates 1 --lr 1e-6 --warmup 50 --temperature 0.7
  --floor 0.1 --clip-low 0.2 --clip-high 0.2 --kl 0.04 --loss-norm token
  --shaper "weighted(terms=[(1.0, 'format'), (2.0, 'cosine(limit=3584)')])"
  --out runs/papers/open_rs-paper
"""

COMMANDS = {"miniature": (grpo, MINIATURE), "paper": (grpo, PAPER)}

if __name__ == "__main__":
    cli.recipe(COMMANDS)
