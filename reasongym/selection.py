"""Which problems are worth training on: scores of each by its accuracy over a run that trained on all of them.

A history is the mean accuracy of a problem's attempts at each of its visits, oldest first (`report.traces.histories`
reads them from a run). Scores are by problem id, in the order of the histories.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from reasongym.core import UserError

Histories = Mapping[str, Sequence[float]]


def historical_variance(histories: Histories) -> dict[str, float]:
    """The variance of each history over its visits: what is learned or fluctuates scores, what stays does not.

    Source: 1-shot RLVR, arXiv 2504.20571, section 2; ypwang61/One-Shot-RLVR ``data/data_selection.py`` (``std``).
    Differs: the paper's variance where the code takes its root; the order is the same.
    """
    _check(histories)
    return {name: float(np.var(history)) for name, history in histories.items()}


def limr(histories: Histories) -> dict[str, float]:
    """LIMR's score: 1 for a history that follows the pool's mean curve, less the further it is from that.

    ``1 - sum_e (s_e - mean_e)^2 / sum_e (1 - mean_e)^2`` over the visits e that all histories have.

    Source: LIMR, arXiv 2502.11886; ypwang61/One-Shot-RLVR ``data/data_selection.py`` (``lim``).
    Differs: a pool that was always right, where the code divides by 0, scores 1.
    """
    _check(histories)
    visits = min(len(history) for history in histories.values())
    table = np.array([history[:visits] for history in histories.values()])
    mean = table.mean(axis=0)
    whole = ((1 - mean) ** 2).sum()
    scores = 1 - ((table - mean) ** 2).sum(axis=1) / whole if whole else np.ones(len(table))
    return dict(zip(histories, map(float, scores), strict=True))


def ranked(scores: Mapping[str, float]) -> list[str]:
    """Names by falling score; equal ones stay in their order."""
    return sorted(scores, key=scores.__getitem__, reverse=True)


def _check(histories: Histories) -> None:
    if not histories or not all(len(history) for history in histories.values()):
        raise UserError("histories: there must be at least one problem, and a visit to each")


SCORES: dict[str, Callable[[Histories], dict[str, float]]] = {"variance": historical_variance, "limr": limr}
