"""R2R (2505.21600): a router finds the few tokens at which a small model needs a large one.

Whatever follows is added to the command; ``--dry-run`` prints the resolved arguments and stops.

    python examples/papers/r2r.py large                   the miniature's large model: a minute on a CPU
    python examples/papers/r2r.py                         the miniature, with that: two minutes on a CPU
    python examples/papers/r2r.py paper --dry-run         the paper's; what it needs stands below

What the agent leaves is a policy: ``"routed(small=..., large=..., router='runs/papers/r2r')"``.
"""

from reasongym import cli
from reasongym.agents import router, sft

# The model in this package errs at four of the 100 pairs of digits that decide the next one. The same model, tuned on
# flawless solutions, does not: here both are of one size, and what counts is the share of tokens that it is asked for.
LARGE = """
  --env LongCoT-v0 --env.task "register(low=24, high=60)" --env.budget 128 --model tiny
  --steps 300 --lr 1e-3 --whole 1 --out runs/papers/r2r-large
"""

MINIATURE = """
  --env LongCoT-v0 --env.task "register(low=24, high=60)" --env.budget 128
  --small tiny --large runs/papers/r2r-large/step-000300
  --problems 384 --top-logits 10 --width 64 --blocks 2 --factor 2 --lr 1e-3 --epochs 40
  --out runs/papers/r2r
"""

# 1.5B and 32B, sentences judged by a 72B model: 210 GB of weights in bfloat16, all three at once, and 9 GB of keys and
# values of the 32B for each slot. The paper labels
# AIME 1983-2023, GPQA-extended and Bespoke-Stratos-17k (7.6 million tokens); not stated: how many of each. Its AIME
# configuration overrides the threshold that is found: Routed(..., threshold=0.40596).
PAPER = """
  --env LongCoT-v0 --env.task "math(source='di-zhang-fdu/AIME_1983_2024', split='train', problem_field='Question',
    answer_field='Answer')"
  --env.answer_after "</think>" --env.budget 32768 --device cuda --dtype bfloat16
  --small deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B --large deepseek-ai/DeepSeek-R1-Distill-Qwen-32B
  --judge Qwen/Qwen2.5-72B-Instruct --problems 933 --shard 32 --slots 4
  --top-logits 100 --width 1024 --blocks 6 --factor 4 --dropout 0.1 --lr 5e-5 --weight-decay 5e-4 --batch 1024
  --epochs 50 --validate-every 2 --patience 10 --recall-factor 1.0 --recall 0.95
  --out runs/papers/r2r-paper
"""

COMMANDS = {"miniature": (router, MINIATURE), "large": (sft, LARGE), "paper": (router, PAPER)}

if __name__ == "__main__":
    cli.recipe(COMMANDS)
