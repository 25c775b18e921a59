"""Pairs of a right and a wrong response to one prompt, from attempts that were saved.

Attempts are rows of a file (`rows.read_rows`): trajectories as `report.traces.save_traces` writes them, or rows with
``prompt``, ``response`` and ``correct`` (and, if it applies, ``id`` and ``truncated``). What was sampled keeps its
token ids, window by window, so that nothing is tokenised twice; see `Attempt.segments`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from reasongym.core import Problem, UserError
from reasongym.export import write
from reasongym.rows import Row, read_rows


@dataclass
class Pairs:
    """Make pairs of right and wrong responses, from trajectories or from rows with prompt, response and correct."""

    attempts: str
    """A jsonl or parquet file (or hub id)."""
    out: Path
    """A .jsonl or .parquet file."""
    per_problem: int = 1
    """At most so many pairs of a problem; 1 is the first right and the first wrong attempt."""


def pairs_command(args: Pairs) -> None:
    """The command ``reasongym pairs``."""
    if args.per_problem < 1:
        raise UserError(f"--per-problem {args.per_problem} must be at least 1")
    found = list(pairs(read_attempts(args.attempts), args.per_problem))
    if not found:
        raise UserError(f"{args.attempts}: no problem has both a right and a wrong attempt, so there is no pair")
    count = write(args.out, (f"{json.dumps(row)}\n" for row in found))
    print(f"{args.out}: {count} pairs")


@dataclass(frozen=True)
class Attempt:
    """One response, and whether it is right.

    ``segments``: its windows' token ids and masks, or None where only the text is known. A response of several windows
    (Delethink) or with tool outputs is learned as these rows, since its text is not what the policy went on from.
    """

    problem: str  # id
    prompt: str
    response: str
    right: bool
    truncated: bool = False  # it was cut: no end token follows
    segments: Any = None


def read_attempts(source: str) -> list[Attempt]:
    """The valid attempts of a file, in its order."""
    rows = read_rows(source, ("prompt",))
    made = (_attempt(f"{source}, row {n}", row) for n, row in enumerate(rows, 1))
    return [attempt for attempt in made if attempt is not None]


def pairs(attempts: Iterable[Attempt], per_problem: int = 1) -> Iterator[Row]:
    """Rows of ``prompt``, ``chosen``, ``rejected``: at most ``per_problem`` of each problem, in the attempts' order.

    The first is the first right attempt with the first wrong one. Further ones go on in rounds, in each of which no
    attempt occurs twice: second with second, ..., then first with second, and so on, up to every pair that there is.

    Source: arXiv 2505.24850; reinforcement-distillation ``data_preprocess/clean_base_shuffled_dpo.py`` (one a problem).
    Differs: ids say which attempts of which problem make the pair, where the official ones are random; an attempt whose
    host failed is neither right nor wrong. A verifier's single "wrong" is believed, as there.
    """
    problems: dict[str, list[Attempt]] = {}
    for attempt in attempts:
        problems.setdefault(attempt.problem, []).append(attempt)
    for tried in problems.values():
        right, wrong = ([i for i, a in enumerate(tried) if a.right is side] for side in (True, False))
        for i, j in list(_rounds(len(right), len(wrong)))[:per_problem]:
            yield _pair(tried, right[i], wrong[j])


def _rounds(n: int, m: int) -> Sequence[tuple[int, int]]:
    """All pairs (i, j), those first that come first on both sides and repeat neither."""
    return sorted(product(range(n), range(m)), key=lambda pair: ((pair[1] - pair[0]) % max(n, m), pair[0]))


def _pair(tried: list[Attempt], right: int, wrong: int) -> Row:
    row: Row = {"id": f"{tried[0].problem}-{right}-{wrong}", "prompt": tried[0].prompt}
    for side, n in (("chosen", right), ("rejected", wrong)):
        attempt = tried[n]
        row |= {side: attempt.response, f"{side}_attempt": n, f"{side}_truncated": attempt.truncated}
        row |= {f"{side}_segments": attempt.segments}
    return row


def _attempt(where: str, row: Row) -> Attempt | None:
    prompt = row["prompt"]
    problem = str(row.get("id") or Problem.of(str(prompt)).id)
    try:
        if "verdict" in row:
            return _trajectory(where, problem, row) if row["verdict"]["valid"] else None
        response, right = row["response"], float(row["correct"]) >= 1
    except (KeyError, TypeError, ValueError) as error:
        wanted = "a trajectory as save_traces writes it, or prompt, response and correct (true or false)"
        raise UserError(f"{where}: an attempt must be {wanted} ({type(error).__name__}: {error})") from error
    if not (isinstance(prompt, str) and isinstance(response, str)):
        raise UserError(f"{where}: prompt and response must both be text")
    return Attempt(problem, prompt, response, right, bool(row.get("truncated")))


def _trajectory(where: str, problem: str, row: Row) -> Attempt:
    segments = [{"ids": list(s["ids"]), "mask": list(s["mask"])} for s in row["segments"]]
    if not segments and (row.get("resets") or row.get("tools")):
        raise UserError(f"{where}: an attempt in windows or with tools needs token ids: use a policy that gives them")
    right = float(row["verdict"]["score"]) >= 1
    return Attempt(problem, row["prompt"], row["text"], right, bool(row["truncated"]), segments or None)
