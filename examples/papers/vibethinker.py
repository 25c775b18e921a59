"""VibeThinker (2511.06221): from spectrum (SFT, specialists by pass@k, their merge) to signal (MGPO).

Whatever follows is added to the command; ``--dry-run`` prints the resolved arguments and stops.

    python examples/papers/vibethinker.py sft             the miniature's three phases: some two minutes,
    python examples/papers/vibethinker.py spectrum        one,
    python examples/papers/vibethinker.py --model runs/papers/vibethinker-spectrum/merged           and ten on a CPU
    python examples/papers/vibethinker.py paper --dry-run after paper_sft and paper_spectrum, for a large GPU
"""

from reasongym import cli
from reasongym.agents import grpo, sft, spectrum

# Sub-domains of the register task are its lengths. The model in this package goes on from where it is.
SFT = """
  --env LongCoT-v0 --env.task "register(low=1, high=60, demonstrator='slip')" --env.budget 96 --model tiny
  --steps 400 --lr 1e-3 --floor 1 --save-every 50 --keep 8
  --out runs/papers/vibethinker-sft
"""

SPECTRUM = """
  --runs runs/papers/vibethinker-sft --env LongCoT-v0 --env.budget 96
  --probes short "register(low=1, high=20)" middle "register(low=21, high=40)" long "register(low=41, high=60)"
  --problems 32 --k 4 --attempts 8
  --out runs/papers/vibethinker-spectrum
"""

MINIATURE = """
  --env LongCoT-v0 --env.task "pool(task='register(low=24, high=60)', n=64)" --env.budget 96 --model tiny
  --prompts 16 --group 8 --steps 200 --lr 3e-5 --mgpo-lambda 1
  --out runs/papers/vibethinker
"""

# The data are not public; batch, learning rates, warm-up and epochs are those of the 3B report (2606.16140).
PAPER_SFT = """
  --env LongCoT-v0 --env.budget 32768 --data solutions.jsonl
  --model Qwen/Qwen2.5-Math-1.5B --device cuda --dtype bfloat16
  --batch 128 --row 32768 --steps 10000 --lr 5e-5 --warmup 500 --floor 0.0016 --save-every 500 --keep 20
  --out runs/papers/vibethinker-paper-sft
"""

# Four sub-domains of mathematics, equal weights. K, the size of the probing sets and their problems are not told.
PAPER_SPECTRUM = """
  --runs runs/papers/vibethinker-paper-sft --env LongCoT-v0 --env.answer_after "</think>" --env.budget 32768
  --probes algebra "math(source='probes/algebra.jsonl')" geometry "math(source='probes/geometry.jsonl')"
    calculus "math(source='probes/calculus.jsonl')" statistics "math(source='probes/statistics.jsonl')"
  --problems 64 --k 8 --attempts 16 --device cuda --dtype bfloat16
  --out runs/papers/vibethinker-paper-spectrum
"""

# Mathematics at 16K; then --env.budget 32768, then code, each on the one before. Lambda, group, rate and steps: ours.
PAPER = """
  --env LongCoT-v0 --env.task "math(source='agentica-org/DeepScaleR-Preview-Dataset', split='train')"
  --env.answer_after "</think>" --env.budget 16384
  --model runs/papers/vibethinker-paper-spectrum/merged --device cuda --dtype bfloat16
  --prompts 128 --group 8 --steps 500 --updates 1 --lr 1e-6 --warmup 0 --temperature 1.0
  --clip-low 0.2 --clip-high 0.2 --loss-norm trajectory --mgpo-lambda 1
  --out runs/papers/vibethinker-paper
"""

COMMANDS = {
    "miniature": (grpo, MINIATURE),
    "sft": (sft, SFT),
    "spectrum": (spectrum, SPECTRUM),
    "paper": (grpo, PAPER),
    "paper_sft": (sft, PAPER_SFT),
    "paper_spectrum": (spectrum, PAPER_SPECTRUM),
}

if __name__ == "__main__":
    cli.recipe(COMMANDS)
