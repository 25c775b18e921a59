"""AutoThink (2505.10832): the ellipsis leaves it to the model whether to think; three stages teach it.

Whatever follows is added to the command; ``--dry-run`` prints the resolved arguments and stops.

    python examples/papers/autothink.py sft               a model that can choose: some five minutes on a CPU,
    python examples/papers/autothink.py                   the miniature's first stage: one,
    python examples/papers/autothink.py second            and the others, each on the one before
    python examples/papers/autothink.py third
    python examples/papers/autothink.py stage1 --dry-run  the paper's, for a large GPU; then stage2, stage3

Without a stage's safeguard: ``--shaper "autothink(stage=2, closer='=', guard_tokens=8)"`` from the start has no batch
balance.
"""

from reasongym import cli
from reasongym.agents import grpo, sft

# Thinks with needless checks, or answers at once, right now and then where it is easy.
SFT = """
  --env LongCoT-v0 --env.task recheck --env.direct 0.5 --env.checks 0.5 --env.slip 0.06 --env.haste 0.4
  --model tiny --fresh --steps 1600 --lr 3e-3 --out runs/papers/recheck
"""

# Batch balance. This model chooses by its first byte, so there is no ellipsis.
MINIATURE = """
  --env LongCoT-v0 --env.task "pool(task='recheck(high=5)', n=96)" --env.answer_after "=" --env.budget 128
  --model runs/papers/recheck/step-001600
  --prompts 16 --group 8 --updates 4 --loss-norm token --steps 30 --lr 2e-4
  --shaper "autothink(stage=1, closer='=', guard_tokens=8)" --out runs/papers/autothink
"""

# The table alone.
SECOND = """
  --env LongCoT-v0 --env.task "pool(task='recheck(high=5)', n=96)" --env.answer_after "=" --env.budget 128
  --model runs/papers/autothink/step-000030
  --prompts 16 --group 8 --updates 4 --loss-norm token --steps 15 --lr 2e-4
  --shaper "autothink(stage=2, closer='=', guard_tokens=8)" --out runs/papers/autothink-second
"""

# With length.
THIRD = """
  --env LongCoT-v0 --env.task "pool(task='recheck(high=5)', n=96)" --env.answer_after "=" --env.budget 128
  --model runs/papers/autothink-second/step-000015
  --prompts 16 --group 8 --updates 4 --loss-norm token --steps 15 --lr 2e-4
  --shaper "autothink(stage=3, closer='=', guard_tokens=8)" --out runs/papers/autothink-third
"""

# Batch balance, at 8K.
STAGE1 = """
  --env LongCoT-v0 --env.task "math(source='agentica-org/DeepScaleR-Preview-Dataset', split='train')"
  --env.answer_after "</think>" --env.thinking "longcot(budget=8192, prefix='<think>\\n...\\n')"
  --model deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B --device cuda --dtype bfloat16
  --prompts 128 --group 8 --steps 220 --updates 2 --lr 1e-6 --warmup 0 --temperature 0.6
  --clip-low 0.2 --clip-high 0.2 --entropy 0.001 --loss-norm token --shaper "autothink(stage=1)"
  --out runs/papers/autothink-stage1
"""

# The table alone, at 16K.
STAGE2 = """
  --env LongCoT-v0 --env.task "math(source='agentica-org/DeepScaleR-Preview-Dataset', split='train')"
  --env.answer_after "</think>" --env.thinking "longcot(budget=16384, prefix='<think>\\n...\\n')"
  --model runs/papers/autothink-stage1/step-000220 --device cuda --dtype bfloat16
  --prompts 64 --group 8 --steps 440 --updates 1 --lr 1e-6 --warmup 0 --temperature 0.6
  --clip-low 0.2 --clip-high 0.2 --entropy 0.001 --loss-norm token --shaper "autothink(stage=2)"
  --out runs/papers/autothink-stage2
"""

# Length shaping, at 24K.
STAGE3 = """
  --env LongCoT-v0 --env.task "math(source='agentica-org/DeepScaleR-Preview-Dataset', split='train')"
  --env.answer_after "</think>" --env.thinking "longcot(budget=24576, prefix='<think>\\n...\\n')"
  --model runs/papers/autothink-stage2/step-000440 --device cuda --dtype bfloat16
  --prompts 64 --group 8 --steps 130 --updates 1 --lr 1e-6 --warmup 0 --temperature 0.6
  --clip-low 0.2 --clip-high 0.2 --entropy 0.001 --loss-norm token --shaper "autothink(stage=3)"
  --out runs/papers/autothink-stage3
"""

COMMANDS = {
    "miniature": (grpo, MINIATURE),
    "sft": (sft, SFT),
    "second": (grpo, SECOND),
    "third": (grpo, THIRD),
    "stage1": (grpo, STAGE1),
    "stage2": (grpo, STAGE2),
    "stage3": (grpo, STAGE3),
}

if __name__ == "__main__":
    cli.recipe(COMMANDS)
