"""PPO (1707.06347) with GAE (1506.02438) on thoughts, as Open-Reasoner-Zero (2503.24290) uses it: gamma and lambda 1.

Whatever follows is added to the command; ``--dry-run`` prints the resolved arguments and stops.

    python examples/papers/ppo.py                         the miniature: some three minutes on a CPU
    python examples/papers/ppo.py paper --dry-run         Open-Reasoner-Zero's, for a large GPU

Against GRPO in both environments: ``python -m benchmarks.ppo``.
"""

from reasongym import cli
from reasongym.agents import ppo

# One attempt at each of 128 problems of the demonstration, under Delethink.
MINIATURE = """
  --env Delethink-v0 --env.chunk 32 --env.carry 12 --env.head 0 --env.max-chunks 3 --env.low 24 --env.high 60
  --model tiny --prompts 128 --group 1 --steps 60 --updates 4 --lr 1e-4 --critic-lr 3e-3 --clip-high 0.28
  --out runs/papers/ppo
"""

# Its playground/orz_7b_ppo.py, config.py: 128 problems x 64 attempts. There the critic takes 12 steps a batch and the
# policy one; here both take as many. Its 57 thousand problems are in its repository; these are others.
PAPER = """
  --env LongCoT-v0 --env.task "math(source='agentica-org/DeepScaleR-Preview-Dataset', split='train')"
  --env.budget 8000 --model Qwen/Qwen2.5-7B --device cuda --dtype bfloat16
  --prompts 128 --group 64 --steps 1000 --updates 1 --lr 1e-6 --critic-lr 5e-6 --warmup 50 --temperature 1.0
  --gamma 1 --lam 1 --clip-low 0.2 --clip-high 0.2 --kl 0
  --out runs/papers/ppo-paper
"""

COMMANDS = {"miniature": (ppo, MINIATURE), "paper": (ppo, PAPER)}

if __name__ == "__main__":
    cli.recipe(COMMANDS)
