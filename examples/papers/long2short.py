"""Long2Short (VibeThinker-3B, 2606.16140): a group's short right answers take from its long ones.

Whatever follows is added to the command; ``--dry-run`` prints the resolved arguments and stops.

    python examples/papers/long2short.py                  the miniature: some ten minutes on a CPU
    python examples/papers/long2short.py paper --dry-run  the report's, for a large GPU

On a task with slack to cut: ``python -m benchmarks.lengths --arms long2short --seeds 1``.
"""

from reasongym import cli
from reasongym.agents import grpo

# The model in this package, on 64 problems of the register task.
MINIATURE = """
  --env LongCoT-v0 --env.task "pool(task='register(low=24, high=60)', n=64)" --env.budget 128 --model tiny
  --prompts 16 --group 8 --steps 200 --lr 3e-5
  --shaper long2short
  --out runs/papers/long2short
"""

# Reported: one 64K window, fully on-policy. Our choice: model, data, batch, group, learning rate and steps.
PAPER = """
  --env LongCoT-v0 --env.task "math(source='agentica-org/DeepScaleR-Preview-Dataset', split='train')"
  --env.answer_after "</think>" --env.budget 65536
  --model deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B --device cuda --dtype bfloat16
  --prompts 128 --group 8 --steps 500 --updates 1 --lr 1e-6 --warmup 0 --temperature 1.0
  --shaper "long2short(strength=0.2)"
  --out runs/papers/long2short-paper
"""

COMMANDS = {"miniature": (grpo, MINIATURE), "paper": (grpo, PAPER)}

if __name__ == "__main__":
    cli.recipe(COMMANDS)
