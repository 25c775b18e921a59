"""AutoThink (2505.10832): the ellipsis leaves it to the model whether to think; three stages teach it.

Whatever follows is added to the command; ``--dry-run`` prints the resolved arguments and stops.

    python examples/papers/autothink.py                   the miniature: some ten minutes on a CPU
    python examples/papers/autothink.py stage1 --dry-run  then stage2, stage3, each on the one before

Without a stage's safeguard: ``--shaper "autothink(gamma=1.0)"`` has no batch balance.
"""

from reasongym import cli
from reasongym.agents import grpo

# The model in this package, on 64 problems of the register task.
MINIATURE = """
  --env LongCoT-v0 --env.task "pool(task='register(low=24, high=60)', n=64)" --env.budget 128 --model tiny
  --prompts 16 --group 8 --steps 200 --lr 3e-5
  --shaper "autothink(closer='=', guard_tokens=8)"
  --out runs/papers/autothink
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

if __name__ == "__main__":
    cli.recipe(grpo.main, grpo.Args, miniature=MINIATURE, stage1=STAGE1, stage2=STAGE2, stage3=STAGE3)
