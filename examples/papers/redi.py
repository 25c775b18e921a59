"""REDI (2505.24850): first SFT on right responses, then right and wrong ones, the wrong ones weighing 0.8.

Whatever follows is added to the command; ``--dry-run`` prints the resolved arguments and stops.

    python examples/papers/redi.py                        the miniature's SFT: a minute on a CPU
    python examples/papers/redi.py miniature_stage2       its REDI, on the pairs that the first made
    python examples/papers/redi.py stage1 --dry-run       then stage2: the paper's, for a large GPU

The paper's responses are those of a larger model to OpenR1-Math-Raw (valid problems, not of cn_k12). Write them as
rows of prompt, response and correct (both verifiers say so) to attempts.jsonl; then the pairs are made by

    reasongym pairs attempts.jsonl data/openr1-math-pairs.jsonl
"""

from reasongym import cli
from reasongym.agents import redi

# The model in this package, on its own attempts at 512 problems.
MINIATURE = """
  --env LongCoT-v0 --env.low 24 --env.high 60 --env.budget 80 --model tiny
  --problems 512 --attempts 8 --per-problem 2
  --loss sft --steps 80 --lr 3e-4
  --out runs/papers/redi-sft
"""

MINIATURE_STAGE2 = """
  --data runs/papers/redi-sft/pairs.jsonl --model runs/papers/redi-sft/step-000080
  --loss redi --alpha 0.8 --steps 80 --lr 3e-5
  --out runs/papers/redi
"""

# 77,629 right responses, as rows of prompt and chosen. The model is Qwen/Qwen2.5-Math-1.5B with max_position_embeddings
# 32768 and rope_theta 300000 in its config.json. There every token weighs the same, here every response.
STAGE1 = """
  --data data/openr1-math-right.jsonl --model data/Qwen2.5-Math-1.5B-32k --device cuda --dtype bfloat16
  --loss sft --epochs 5 --batch 128 --lr 5e-5 --decay linear --warmup 0.1 --weight-decay 1e-4
  --max-tokens 32768 --micro-tokens 32768 --seed 42
  --out runs/papers/redi-stage1
"""

# 53,175 pairs with prompts of at most 800 tokens and responses of at most 19,000; 5 * 77629 / 128 steps came before.
STAGE2 = """
  --data data/openr1-math-pairs.jsonl --model runs/papers/redi-stage1/step-003033 --device cuda --dtype bfloat16
  --loss redi --alpha 0.8 --epochs 1 --batch 32 --lr 1e-6 --decay linear --warmup 0.1 --weight-decay 1e-4
  --max-tokens 19800 --truncation end --micro-tokens 32768 --seed 42
  --out runs/papers/redi-stage2
"""

COMMANDS = {
    "miniature": (redi, MINIATURE),
    "miniature_stage2": (redi, MINIATURE_STAGE2),
    "stage1": (redi, STAGE1),
    "stage2": (redi, STAGE2),
}

if __name__ == "__main__":
    cli.recipe(COMMANDS)
