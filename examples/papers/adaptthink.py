"""AdaptThink (2505.13417): no thought where the answer is as good without one, by the first model.

Whatever follows is added to the command; ``--dry-run`` prints the resolved arguments and stops.

    python examples/papers/adaptthink.py sft              a model that can choose: some five minutes on a CPU,
    python examples/papers/adaptthink.py                  and the miniature: two
    python examples/papers/adaptthink.py paper --dry-run  the paper's, for a large GPU

``--ratio sequence`` is the paper's importance ratio, ``--ratio geometric`` that of the official code.
"""

from reasongym import cli
from reasongym.agents import grpo, sft

# Thinks with needless checks, or answers at once, right now and then where it is easy.
SFT = """
  --env LongCoT-v0 --env.task recheck --env.direct 0.5 --env.checks 0.5 --env.slip 0.06 --env.haste 0.4
  --model tiny --fresh --steps 1600 --lr 3e-3 --out runs/papers/recheck
"""

MINIATURE = """
  --env LongCoT-v0 --env.task "pool(task='recheck(high=5)', n=96)" --env.answer_after "=" --env.budget 128
  --model runs/papers/recheck/step-001600
  --prompts 16 --group 8 --updates 4 --steps 60 --lr 4e-4
  --advantage identity --ratio geometric
  --shaper "adaptthink(closer='=', no_think='=', think=':', attempts=8, no_think_budget=8)"
  --out runs/papers/adaptthink
"""

# One epoch of 314 steps, 16 attempts, 4K without a thought; before it the references, 16 attempts at 40,315 problems.
# The math task ends each with "Please reason step by step, and put your final answer within \boxed{}."; there, nothing
# is added to the problem.
PAPER = """
  --env LongCoT-v0 --env.task "math(source='agentica-org/DeepScaleR-Preview-Dataset', split='train')"
  --env.answer_after "</think>" --env.budget 16384
  --model deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B --device cuda --dtype bfloat16
  --curriculum epochs --prompts 128 --group 16 --steps 314 --updates 1 --lr 2e-6 --warmup 0 --temperature 0.6
  --advantage identity --ratio geometric --clip-low 0.2 --clip-high 0.2 --weight-decay 0.01
  --shaper "adaptthink(delta=0.05, share=0.5, attempts=16, no_think_budget=4096)"
  --out runs/papers/adaptthink-paper
"""

COMMANDS = {"miniature": (grpo, MINIATURE), "sft": (sft, SFT), "paper": (grpo, PAPER)}

if __name__ == "__main__":
    cli.recipe(COMMANDS)
