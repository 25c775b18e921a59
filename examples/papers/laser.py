"""LASER-D (2505.15612): a bonus for right answers within a target length, which adapts to each difficulty.

Whatever follows is added to the command; ``--dry-run`` prints the resolved arguments and stops.

    python examples/papers/laser.py                       the miniature: some ten minutes on a CPU
    python examples/papers/laser.py paper --dry-run       the paper's, for a large GPU

The other members of its table: ``--shaper laser/kimi`` and so on (see ``reasongym/rewards/laser.py``). On a task with
slack to cut: ``python -m benchmarks.lengths --arms laser_d,l1 --seeds 1``.
"""

from reasongym import cli
from reasongym.agents import grpo

# The model in this package, on 64 problems of the register task.
MINIATURE = """
  --env LongCoT-v0 --env.task "pool(task='register(low=24, high=60)', n=64)" --env.budget 128 --model tiny
  --prompts 16 --group 8 --steps 200 --lr 3e-5
  --shaper "laser/laser-d(target=32, stride=8, limit=128, monitor=64, every=20)"
  --out runs/papers/laser
"""

# Batch 128, mini-batch 64, 5 epochs of 315 steps, 500 monitored problems every 20; the target of its best row.
PAPER = """
  --env LongCoT-v0 --env.task "math(source='agentica-org/DeepScaleR-Preview-Dataset', split='train')"
  --env.answer_after "</think>" --env.budget 16384
  --model deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B --device cuda --dtype bfloat16
  --curriculum epochs --prompts 128 --group 8 --steps 1575 --updates 2 --lr 1e-6 --warmup 0 --temperature 0.6
  --clip-low 0.2 --clip-high 0.28 --kl 0.001 --entropy 0.001 --loss-norm token
  --shaper "laser/laser-d(target=4096, alpha=0.5, monitor=500, attempts=8, every=20)"
  --out runs/papers/laser-paper
"""

COMMANDS = {"miniature": (grpo, MINIATURE), "paper": (grpo, PAPER)}

if __name__ == "__main__":
    cli.recipe(COMMANDS)
