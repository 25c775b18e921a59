"""HAPO (2505.11225): a thought is measured by the shortest right one that its problem ever had.

Whatever follows is added to the command; ``--dry-run`` prints the resolved arguments and stops.

    python examples/papers/hapo.py                        the miniature: some ten minutes on a CPU
    python examples/papers/hapo.py paper --dry-run        the paper's, for a large GPU

On a task with slack to cut: ``python -m benchmarks.lengths --arms hapo --seeds 1``.
"""

from reasongym import cli
from reasongym.agents import grpo

# The model in this package, on 64 problems of the register task.
MINIATURE = """
  --env LongCoT-v0 --env.task "pool(task='register(low=24, high=60)', n=64)" --env.budget 128 --model tiny
  --prompts 16 --group 8 --steps 200 --lr 3e-5
  --shaper hapo
  --out runs/papers/hapo
"""

# 2,000 problems, 5 epochs, 4 attempts at each. Not stated: how many GPUs (8 here), --lr and --kl (those of TRL).
PAPER = """
  --env LongCoT-v0 --env.task "pool(
    task='math(source=\\"agentica-org/DeepScaleR-Preview-Dataset\\", split=\\"train\\")', n=2000)"
  --env.answer_after "</think>" --env.budget 32768
  --model deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B --device cuda --dtype bfloat16
  --curriculum epochs --prompts 8 --group 4 --steps 1250 --updates 1 --lr 1e-6 --warmup 0 --temperature 0.7
  --clip-low 0.2 --clip-high 0.2 --kl 0.04 --loss-norm token --shaper "hapo(weight=1.0)"
  --out runs/papers/hapo-paper
"""

COMMANDS = {"miniature": (grpo, MINIATURE), "paper": (grpo, PAPER)}

if __name__ == "__main__":
    cli.recipe(COMMANDS)
