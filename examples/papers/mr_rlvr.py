"""MR-RLVR (2511.17473): rewards for filling masks and ordering steps of worked solutions, then for answers.

Whatever follows is added to the command; ``--dry-run`` prints the resolved arguments and stops.

    python examples/papers/mr_rlvr.py                     the miniature: stage I, some minutes on a CPU
    python examples/papers/mr_rlvr.py answers             its stage II, on the answers alone
    python examples/papers/mr_rlvr.py stage1 --dry-run    the paper's, for eight large GPUs; then stage2

The miniature begins from weights that know its three forms: ``python -m benchmarks.mr --seeds 1 --out runs/mr`` makes
them first. R1-Distill-Qwen-1.5B in the paper: ``stage1 --model deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B --group 8
--env.budget 8192``.
"""

import shlex

from reasongym import cli
from reasongym.agents import grpo


def mixture(source: str, masked: str, reorder: str) -> str:
    """The flags of stage I: as many masked as reordered solutions of one source."""
    tasks = (f"masked(task={source!r}, {masked})", f"reorder(task={source!r}, {reorder})")
    return f"--env.task mixture --env.tasks {shlex.quote(repr(tasks))}"


# 4,000 problems of five doublings; the tasks' compact forms.
compact = "kinds=('step',), slots=3, least=5, form='whole'", "form='whole'"
doubling = "pool(task='doubling(low=5, high=5)', n=4000)"
MINIATURE = f"""
  --env LongCoT-v0 {mixture(doubling, *compact)} --env.budget 64
  --model runs/mr/base/step-000600
  --prompts 16 --group 8 --steps 12 --updates 2 --loss-norm token --lr 1e-4
  --out runs/papers/mr-rlvr-stage1
"""
ANSWERS = f"""
  --env LongCoT-v0 --env.task "{doubling}" --env.budget 64
  --model runs/papers/mr-rlvr-stage1/step-000012
  --prompts 16 --group 8 --steps 20 --updates 2 --loss-norm token --lr 1e-4
  --out runs/papers/mr-rlvr-stage2
"""

# 20,000 samples, three epochs. The paper's data is not public (DeepTheorem and DeepMath, rewritten and annotated by
# larger models): here, MATH's own solutions, cut and masked by rule, and as many draws as three epochs have samples: a
# mixture has no list to go through. Not stated: how many slots are asked for.
competition = "math(source='DigitalLearningGmbH/MATH-lighteval', split='train', answer_field=None)"
STAGE1 = f"""
  --env LongCoT-v0 {mixture(competition, "by='sentence', least=7", "by='sentence'")} --env.budget 4096
  --model Qwen/Qwen2.5-3B --device cuda --dtype bfloat16
  --prompts 512 --group 16 --steps 117 --updates 8 --lr 1e-6 --warmup 0 --temperature 1.0
  --clip-low 0.2 --clip-high 0.2 --kl 0.001
  --out runs/papers/mr-rlvr-paper-stage1
"""

# 5,000 of the same problems, three epochs.
STAGE2 = f"""
  --env LongCoT-v0 --env.task {shlex.quote(f"pool(task={competition!r}, n=5000)")} --env.budget 4096
  --model runs/papers/mr-rlvr-paper-stage1/step-000117 --device cuda --dtype bfloat16
  --curriculum epochs --prompts 512 --group 16 --steps 29 --updates 8 --lr 1e-6 --warmup 0 --temperature 1.0
  --clip-low 0.2 --clip-high 0.2 --kl 0.001
  --out runs/papers/mr-rlvr-paper-stage2
"""

COMMANDS = {
    "miniature": (grpo, MINIATURE),
    "answers": (grpo, ANSWERS),
    "stage1": (grpo, STAGE1),
    "stage2": (grpo, STAGE2),
}

if __name__ == "__main__":
    cli.recipe(COMMANDS)
