"""1-shot RLVR (2504.20571): GRPO on one problem, which a log of a run on all of them has chosen.

Whatever follows is added to the command; ``--dry-run`` prints the resolved arguments and stops.

    python examples/papers/one_shot.py log                the pool, some three minutes on a CPU: the log to rank by
    reasongym rank runs/papers/one_shot-log --top 3       prints ids, those of the highest variance first
    python examples/papers/one_shot.py --curriculum "oneshot('ID')"          the miniature, on the one that you name
    python examples/papers/one_shot.py paper --dry-run    the paper's, for a large GPU; paper_log is its log

The ablations of its Table 5: ``--weight-decay 0``, ``--kl 0``, ``--entropy 0``, ``--policy-coef 0``. What the form of
the answer brings alone: ``--shaper format``.
"""

from reasongym import cli
from reasongym.agents import grpo

# The model in this package, on 64 problems of the register task.
LOG = """
  --env LongCoT-v0 --env.task "pool(task='register(low=24, high=60)', n=64)" --env.budget 96 --model tiny
  --prompts 16 --group 8 --steps 32 --updates 4 --lr 1e-4 --loss-norm token
  --weight-decay 0.01 --kl 0.001 --entropy 0.001 --curriculum epochs --save-trajectories
  --out runs/papers/one_shot-log
"""

MINIATURE = """
  --env LongCoT-v0 --env.task "pool(task='register(low=24, high=60)', n=64)" --env.budget 96 --model tiny
  --prompts 16 --group 8 --steps 32 --updates 4 --lr 1e-4 --loss-norm token
  --weight-decay 0.01 --kl 0.001 --entropy 0.001 --curriculum "oneshot(0)"
  --out runs/papers/one_shot
"""

# 1,209 problems of DeepScaleR-Preview, 500 steps. One update a step, as the released code comes to (the paper says 8).
PAPER_LOG = """
  --env LongCoT-v0 --env.task "pool(
    task='math(source=\\"agentica-org/DeepScaleR-Preview-Dataset\\", split=\\"train\\")', n=1209)"
  --env.budget 3072 --model Qwen/Qwen2.5-Math-1.5B --device cuda --dtype bfloat16
  --prompts 128 --group 8 --steps 500 --updates 1 --lr 1e-6 --warmup 0 --temperature 0.6
  --clip-low 0.2 --clip-high 0.2 --loss-norm token --weight-decay 0.01 --kl 0.001 --entropy 0.001
  --curriculum epochs --save-trajectories
  --out runs/papers/one_shot-paper-log
"""

# The paper's own problem, pi_1, is row 1 of pi1_r128.parquet in the official repository: as the one row of a jsonl with
# "problem" and "answer" (12.8) it is --env.task "math(source='pi1.jsonl')".
PAPER = """
  --env LongCoT-v0 --env.task "pool(
    task='math(source=\\"agentica-org/DeepScaleR-Preview-Dataset\\", split=\\"train\\")', n=1209)"
  --env.budget 3072 --model Qwen/Qwen2.5-Math-1.5B --device cuda --dtype bfloat16
  --prompts 128 --group 8 --steps 2000 --updates 1 --lr 1e-6 --warmup 0 --temperature 0.6
  --clip-low 0.2 --clip-high 0.2 --loss-norm token --weight-decay 0.01 --kl 0.001 --entropy 0.001
  --curriculum "oneshot(0)" --save-every 20
  --out runs/papers/one_shot-paper
"""

COMMANDS = {
    "miniature": (grpo, MINIATURE),
    "log": (grpo, LOG),
    "paper": (grpo, PAPER),
    "paper_log": (grpo, PAPER_LOG),
}

if __name__ == "__main__":
    cli.recipe(COMMANDS)
