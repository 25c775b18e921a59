"""SIRI (2509.25176): the budget goes down and up again by a cosine.

Whatever follows is added to the command; ``--dry-run`` prints the resolved arguments and stops.

    python examples/papers/siri.py                        the miniature: some ten minutes on a CPU
    python examples/papers/siri.py paper --dry-run        the paper's, for a large GPU

On a task with slack to cut: ``python -m benchmarks.lengths --arms siri,fixed_cap --seeds 1``.
"""

from reasongym import cli
from reasongym.agents import grpo

# The model in this package, on 64 problems of the register task.
MINIATURE = """
  --env LongCoT-v0 --env.task "pool(task='register(low=24, high=60)', n=64)" --env.budget 128 --model tiny
  --prompts 16 --group 8 --steps 192 --lr 3e-5
  --schedule "cosine(high=96, low=48, period=64)"
  --out runs/papers/siri
"""

# Three cycles of 640 steps between 16K and 8K. Not stated: the group's size (8 here).
PAPER = """
  --env LongCoT-v0 --env.task "math(source='agentica-org/DeepScaleR-Preview-Dataset', split='train')"
  --env.answer_after "</think>" --env.budget 16384
  --model deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B --device cuda --dtype bfloat16
  --prompts 128 --group 8 --steps 1920 --updates 1 --lr 1e-6 --warmup 0 --temperature 1.0
  --clip-low 0.2 --clip-high 0.28 --loss-norm token --schedule "cosine(high=16384, low=8192, period=640)"
  --out runs/papers/siri-paper
"""

COMMANDS = {"miniature": (grpo, MINIATURE), "paper": (grpo, PAPER)}

if __name__ == "__main__":
    cli.recipe(COMMANDS)
