"""The command ``reasongym rank``: which problems of a run are worth training on alone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

import numpy as np

from reasongym.core import UserError
from reasongym.report.traces import histories
from reasongym.selection import SCORES, ranked


@dataclass
class Rank:
    """Rank the problems of a training run that saved its trajectories; an id is what "oneshot" takes."""

    run: str
    """The --out of an agent that ran with --save-trajectories, over each problem a few times (curriculum "epochs")."""
    by: Literal["variance", "limr"] = "variance"
    """1-shot RLVR's historical variance, or LIMR's score."""
    top: int = 20
    """So many lines; 0 prints all."""


def rank_command(args: Rank) -> None:
    """One JSON line a problem, the best first."""
    if args.top < 0:
        raise UserError(f"--top {args.top} must be at least 0")
    seen = histories(args.run)
    scores = SCORES[args.by]({name: visits.rates for name, visits in seen.items()})
    for place, name in enumerate(ranked(scores)[: args.top or None], 1):
        rates = seen[name].rates
        figures = {"score": round(scores[name], 6), "mean": round(float(np.mean(rates)), 4), "visits": len(rates)}
        print(json.dumps({"rank": place, "id": name, **figures, "prompt": seen[name].prompt[:80]}))
