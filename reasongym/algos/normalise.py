"""Loss normalisers: what one sampled token weighs, fixed on the whole batch before it is cut up.

With these weights the loss of a batch is a plain sum over its tokens, so that micro-batches, rows and
optimiser steps of any size add up to the same gradient.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reasongym.core import UserError

LossNorm = Literal["trajectory", "token", "constant"]


def token_weights(
    lengths: ArrayLike,
    loss_norm: LossNorm = "trajectory",
    constant: float | None = None,
    valid: ArrayLike | None = None,
) -> NDArray[np.float64]:
    """The weight of each sampled token of M trajectories: ``lengths`` [M] to [M].

    * ``"trajectory"``: ``1 / (M * length)``, every trajectory weighs the same however many rows it has.
    * ``"token"``: ``1 / sum(lengths)``, every token weighs the same.
    * ``"constant"``: ``1 / (M * constant)``, as the first but for one fixed length (the budget, say).

    ``lengths`` counts the sampled tokens over *all* rows of a trajectory. Trajectories that are not
    ``valid`` [M] weigh 0 and count neither in M nor in the sum.

    Source: trajectory: arXiv 2510.06557 eq. 3, the-markovian-thinker ``verl/trainer/ppo/core_algos.py``
    (``agg_loss_with_trace_lengths``); token: arXiv 2503.14476 eq. 12; constant: arXiv 2503.20783 section 3.2.
    Differs: the official code reaches "trajectory" by correcting a mean over rows by traces / rows,
    and deletes rows that do not divide its workers; here nothing is deleted.
    """
    n = np.asarray(lengths, dtype=np.float64)
    ok = np.ones(n.shape, dtype=bool) if valid is None else np.asarray(valid, dtype=bool)
    if n.ndim != 1 or ok.shape != n.shape:
        raise UserError(f"token_weights: lengths {n.shape} and valid {ok.shape} must both be [M]")
    counted = ok & (n > 0)  # a trajectory of no tokens still counts in M
    if loss_norm == "trajectory":
        norm = ok.sum() * np.where(counted, n, 1.0)
    elif loss_norm == "token":
        norm = np.full(n.shape, n[ok].sum())
    elif loss_norm == "constant" and constant is not None and constant > 0:
        norm = np.full(n.shape, ok.sum() * constant)
    else:
        choices = "'trajectory', 'token' or 'constant' (with constant > 0)"
        raise UserError(f"loss_norm={loss_norm!r}, constant={constant!r}: choose {choices}")
    return np.where(counted, 1.0 / np.where(counted, norm, 1.0), 0.0)
