"""What changes as training goes on: functions of the step."""

from __future__ import annotations

import math


def warmup_cosine(step: int, total: int, warmup: int = 0, floor: float = 1.0) -> float:
    """Learning-rate factor: linear up over ``warmup`` steps, then a cosine from 1 to ``floor`` at ``total``."""
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, total - warmup)
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
