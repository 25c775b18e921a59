"""A judge's evaluation as the paper's intrinsic table: which candidates it ranks above which, at any token budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

from reasongym.core import Completion, Trajectory, UserError
from reasongym.evaluate import Evaluation
from reasongym.judging import FAIL, hard_probability, said, soft_probability
from reasongym.metrics import intrinsic

Decode = Callable[[Sequence[int]], str]


def intrinsic_rows(
    evaluation: Evaluation, decode: Decode, budgets: Sequence[int], fail: float = FAIL
) -> list[dict[str, Any]]:
    """For each budget, the table (`metrics.intrinsic`) of soft and of hard scores, as if thoughts had been cut there.

    ``evaluation`` is of problems whose ``answer`` says whether the candidate is right (`SQLJudge-v0`). Candidates of
    one question have the same ``data["of"]``, or else the same ``data["question"]``; drawn ones, which have no ``of``,
    the same question, tables and gold query. Of several attempts at a candidate, the first valid one counts.

    Source: arXiv 2505.03786, section 4 and its token-budget ablation; llm-planning-eval ``eval_intrinsic``.
    Differs: a smaller budget cuts the same thoughts, where the paper samples anew.
    """
    questions: dict[str, list[Trajectory]] = {}
    for group in evaluation.batch:
        if (first := next((t for t in group if t.valid), None)) is not None:
            questions.setdefault(_question(first), []).append(first)
    thoughts = [[(whole(t, decode), bool(t.problem.answer)) for t in group] for group in questions.values()]
    rows = []
    for budget in budgets:
        for name in ("soft", "hard"):
            cut = [[(c, decode(c.ids[:budget]), label) for c, label in group] for group in thoughts]
            scores = [[_p(name, c, text, decode, fail) for c, text, _ in group] for group in cut]
            failed = [[said(text) is None for _, text, _ in group] for group in cut]
            labels = [[label for *_, label in group] for group in cut]
            rows.append({"scores": name, "budget": budget, **intrinsic(scores, labels, failed)})
    return rows


def whole(trajectory: Trajectory, decode: Decode) -> Completion:
    """All that was sampled in an attempt, as one completion."""
    calls: list[Completion] = trajectory.info.get("completions", [])
    ids = tuple(chain.from_iterable(c.ids for c in calls))
    if not ids:
        raise UserError("a judge's table needs the tokens that it sampled: use a policy that returns ids")
    logprobs = tuple(chain.from_iterable(c.logprobs for c in calls))
    return Completion(decode(ids), ids, logprobs, temperature=calls[0].temperature)


def _p(name: str, completion: Completion, text: str, decode: Decode, fail: float) -> float:
    return soft_probability(completion, decode, text, fail) if name == "soft" else hard_probability(text, fail)


def _question(trajectory: Trajectory) -> str:
    data = trajectory.problem.data
    if "of" not in data and "gold" in data:  # drawn: other databases have a question in the same words
        return repr([data.get(key) for key in ("question", "tables", "gold")])
    return str(data.get("of") or data.get("question") or trajectory.problem.id)
