"""Segments from calls, and training rows from segments: what of a rollout is learned from, and how much."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from reasongym.algos.normalise import token_weights
from reasongym.core import Batch, Completion, Segment, Trajectory, UserError


def merge(calls: Sequence[Completion]) -> list[Segment]:
    """Training rows: a call goes on a row iff its ``prompt_ids`` start with the row so far.

    The one rule covers LongCoT, tools, Delethink and APIs that tokenise anew. No ids, no rows.
    """
    rows: list[tuple[list[int], list[int], list[float]]] = []
    for call in calls:
        if not call.ids and not call.text:
            continue  # it wrote nothing
        if not call.ids or not call.prompt_ids:
            return []
        if not rows or list(call.prompt_ids[: len(rows[-1][0])]) != rows[-1][0]:
            rows.append(([], [], []))
        ids, mask, logprobs = rows[-1]
        given = call.prompt_ids[len(ids) :]
        ids += [*given, *call.ids]
        mask += [0] * len(given) + [1] * len(call.ids)
        known = call.logprobs if len(call.logprobs) == len(call.ids) else [float("nan")] * len(call.ids)
        logprobs += [0.0] * len(given) + list(known)
    return [Segment(tuple(i), tuple(m), tuple(p)) for i, m, p in rows]


@dataclass(frozen=True)
class Rows:
    """A micro-batch of training rows, padded on the right. ``loss = (weight * token_loss).sum()``."""

    ids: NDArray[np.int64]  # [N, T]
    mask: NDArray[np.float32]  # [N, T] 1 on the tokens that the policy sampled
    logprobs: NDArray[np.float32]  # [N, T] of the behaviour policy
    advantages: NDArray[np.float32]  # [N, T]
    weight: NDArray[np.float32]  # [N, T] the normaliser, fixed over the whole optimiser step
    trajectory: NDArray[np.int64]  # [N] rows of one trajectory share a number


def pack(
    batch: Batch,
    advantages: Any,
    *,
    loss_norm: Literal["trajectory", "token", "constant"] = "trajectory",
    constant: float | None = None,
    steps: int = 1,
    tokens: int = 1 << 15,
    whole: bool = False,
    silent: bool = True,
    rng: np.random.Generator | None = None,
) -> list[list[Rows]]:
    """The micro-batches of each of ``steps`` optimiser steps.

    A trajectory's advantage goes to all its rows, its rows never split over optimiser steps, and
    the normalisers are fixed before micro-batching, so that micro-batches only add up.

    Args:
        batch: P groups of G trajectories; invalid ones are left out.
        advantages: [P, G], NaN to leave a trajectory out (dynamic sampling); or nested lists with
            one array per trajectory, a value for each of its sampled tokens.
        loss_norm: See `reasongym.algos.normalise.token_weights`.
        constant: The divisor of ``loss_norm="constant"``, in tokens.
        steps: Optimiser steps; trajectories are dealt out evenly, shuffled by ``rng`` if given.
        tokens: Padded tokens a micro-batch may hold (one row may exceed it).
        whole: Keep all rows of a trajectory in one micro-batch (ratios over whole trajectories need it).
        silent: Keep rows whose advantage is 0. Without a KL or entropy term they have no gradient:
            leaving them out only saves time (the normaliser still counts them).
        rng: Shuffles trajectories over optimiser steps.

    Raises:
        UserError: A trajectory has no token ids or no log-probs: it cannot be trained on.
    """
    chosen = [
        (t, np.asarray(a, np.float32))
        for ts, row in zip(batch, advantages, strict=True)
        for t, a in zip(ts, row, strict=True)
        if t.valid and not np.isnan(a).any()
    ]
    order = rng.permutation(len(chosen)) if rng is not None else np.arange(len(chosen))
    packed = []
    for part in np.array_split(order, steps):
        members = [chosen[i] for i in part]
        if members:
            weights = token_weights([t.length for t, _ in members], loss_norm, constant)
            rows = [
                row
                for n, (t, a) in enumerate(members)
                if silent or a.any()
                for row in _rows(n, t, a, float(weights[n]))
            ]
            packed.append(list(_micro_batches(rows, tokens, whole)))
    return packed


_Row = tuple[int, Segment, NDArray[np.float32], float]


def _rows(number: int, trajectory: Trajectory, advantage: NDArray[np.float32], weight: float) -> Iterator[_Row]:
    if not trajectory.segments:
        raise UserError("a trajectory without token ids cannot be trained on: use a policy that returns ids")
    if advantage.shape not in ((), (1,), (trajectory.length,)):
        raise UserError(f"advantages of shape {advantage.shape} for a trajectory of {trajectory.length} sampled tokens")
    per_token = np.broadcast_to(advantage, (trajectory.length,))
    start = 0
    for segment in trajectory.segments:
        if segment.mask[0] or np.isnan(segment.logprobs).any():
            raise UserError("a row needs a prompt, and log-probs for each sampled token, to be trained on")
        end = start + segment.sampled
        yield number, segment, per_token[start:end], weight
        start = end


def _micro_batches(rows: list[_Row], tokens: int, whole: bool) -> Iterator[Rows]:
    """Rows (or, if ``whole``, all rows of a trajectory) of like length together, as many as fit."""
    units: dict[int, list[_Row]] = {}
    for n, row in enumerate(rows):
        units.setdefault(row[0] if whole else n, []).append(row)
    now: list[_Row] = []
    for unit in sorted(units.values(), key=_width):
        if now and (len(now) + len(unit)) * _width(unit) > tokens:
            yield _padded(now)
            now = []
        now += unit
    if now:
        yield _padded(now)


def _width(rows: list[_Row]) -> int:
    return max(len(segment.ids) for _, segment, _, _ in rows)


def _padded(rows: list[_Row]) -> Rows:
    shape = (len(rows), _width(rows))
    ids, real = np.zeros(shape, np.int64), [np.zeros(shape, np.float32) for _ in range(4)]
    mask, logprobs, advantages, weights = real
    for n, (_, segment, advantage, weight) in enumerate(rows):
        t = len(segment.ids)
        ids[n, :t], mask[n, :t], logprobs[n, :t] = segment.ids, segment.mask, segment.logprobs
        advantages[n, mask[n] > 0] = advantage
        weights[n] = mask[n] * weight
    return Rows(ids, mask, logprobs, advantages, weights, np.array([number for number, *_ in rows]))
