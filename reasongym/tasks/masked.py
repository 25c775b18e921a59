"""MR-RLVR's first task: say what stands at the masks of a worked solution."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from functools import cached_property
from typing import Any, Literal

import numpy as np

from reasongym import answers, worked
from reasongym.core import HostError, Problem, UserError, Verdict
from reasongym.worked import Kind, Solutions, Span, Split, Worked

SIMILAR = 400  # characters of each side that are compared

_LABEL = re.compile(r"^\[([0-9]+)\][ \t]*", re.MULTILINE)
_ASK = """Parts of this solution are hidden behind masks.

Problem:
{question}

Solution:
{shown}

Please reason step by step, then say what the masks hide, each on a line of its own that begins with its number, as in \
[1], and all of them between <answer> and </answer>."""


@dataclass(frozen=True)
class Masked:
    """A worked solution of which ``slots`` parts are hidden; the reward is the mean of `match` over them.

    ``task`` or ``data``, ``fields`` and ``right`` are those of `reasongym.worked.Solutions`; a step is a line or a
    sentence (``by``). What may be hidden are parts of these ``kinds``; a solution with fewer than ``least`` of them is
    refused, and ``slots`` of them are drawn. The draw is fixed by content and ``seed``; ``fresh`` draws anew each time
    that a problem is sampled. What is said for a mask and is not equal counts by its similarity, or, without
    ``similar``, not at all.

    * ``form="list"``: masks are ``[MASK 1]``, ``[MASK 2]``, ... and the answer is a line for each, ``[1] text``,
      between ``<answer>`` and ``</answer>`` at the end of the response. A number that is missing, said twice or out of
      range makes all of it worth 0.
    * ``form="whole"``: each hidden character is a ``?`` and the answer is the solution, as long as it was shown and
      with the same line breaks, else 0; only what was hidden is compared. For small models: all that they copy stands
      at one distance.

    Source: arXiv 2511.17473, sections 4.1 and 5.1, and r_mask; there is no public code.
    Differs: masks are placed by rule (the paper: by DeepSeek-R1-0528), and what is not drawn stays visible; equality is
    `reasongym.answers.equal` (the paper: MathRuler's), similarity the ratio of Python's difflib (the paper names none);
    h, 4 here, and the prompt are not in the paper either.
    """

    task: Any = "arithmetic"
    data: str = ""
    fields: Sequence[str] = ("problem", "solution")
    kinds: Sequence[Kind] = worked.KINDS
    by: Split = "line"
    slots: int = 4
    least: int = 7
    similar: bool = True
    form: Literal["list", "whole"] = "list"
    right: bool = True
    fresh: bool = False
    seed: int = 0
    _solutions: Solutions = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if isinstance(self.kinds, str) or not self.kinds or set(self.kinds) - set(worked.KINDS):
            raise UserError(f"masked: kinds={self.kinds!r} must be some of {', '.join(worked.KINDS)}, in a list")
        if not 1 <= self.slots <= self.least:
            raise UserError(f"masked: needs 1 <= slots={self.slots} <= least={self.least}")
        if self.form not in ("list", "whole") or self.by not in worked.SPLITS:
            raise UserError(f"masked: form={self.form!r} is list or whole, by={self.by!r} is line or sentence")
        object.__setattr__(self, "_solutions", Solutions(self.task, self.data, self.fields, self.right))

    def sample(self, rng: np.random.Generator, level: int = 0) -> Problem:
        return worked.drawn(self._solutions, self._pose, rng, level, self.fresh)

    def verify(self, problem: Problem, text: str) -> Verdict:
        hidden, (solution, spans) = problem.answer, worked.own(problem, "masked")
        body = text if self.form == "whole" else worked.tagged(text) or ""
        said = read_whole(body, solution, spans) if self.form == "whole" else read_list(body, len(hidden))
        if said is None:
            return Verdict(0.0)
        try:
            matches = [match(one, other, self.similar) for one, other in zip(said, hidden, strict=True)]
        except HostError as error:
            return Verdict(0.0, body, valid=False, detail={"error": str(error)})
        return Verdict(float(np.mean(matches)), body, detail={"matches": matches})

    def demonstrate(self, problem: Problem, rng: np.random.Generator) -> str:
        """What was hidden, in the form that is asked for."""
        solution, _ = worked.own(problem, "masked")
        return solution if self.form == "whole" else _list(problem.answer)

    def _pose(self, given: Worked, rng: np.random.Generator | None) -> Problem | None:
        found = worked.places(given.solution, self.kinds, self.by)
        if worked.apart(found) < self.least:
            return None
        spans = worked.choose(found, self.slots, rng or given.stream(self.seed))
        hidden = tuple(given.solution[a:b] for a, b in spans)
        shown = _blanked(given.solution, spans) if self.form == "whole" else _numbered(given.solution, spans)
        if self.form == "whole":
            prompt = f"{given.question}\n{shown}\n"
        elif read_list(worked.tagged(_list(hidden)) or "", len(hidden)) == list(hidden):
            prompt = _ASK.format(question=given.question, shown=shown)
        else:
            return None  # a hidden text that begins a line with [1], say
        return Problem.of(prompt, hidden, given.level, masked=(given.solution, spans))


@dataclass(frozen=True)
class MaskedSet(Masked):
    """`Masked` over solutions that have an end: a `core.FiniteTask` of those that are not refused."""

    split = "masked"

    def __len__(self) -> int:
        return len(self._problems)

    def problem(self, i: int) -> Problem:
        return worked.nth(self._problems, i)

    @cached_property
    def _problems(self) -> list[Problem]:
        return worked.posed(self._solutions, self._pose)


def match(said: str, hidden: str, similar: bool = True) -> float:
    """1 for what is the same, or equal as an answer; else how similar the texts are, below 1; 0 for nothing."""
    said = said.strip()
    if said == hidden.strip() or answers.equal(said, hidden):
        return 1.0
    if not similar:
        return 0.0
    ratio = SequenceMatcher(None, hidden[:SIMILAR], said[:SIMILAR], autojunk=False).ratio()
    return min(ratio, 1 - 1 / (1 + len(hidden) + len(said)))  # never 1, also where the first characters agree


def read_list(body: str, n: int) -> list[str] | None:
    """The texts of the lines ``[1]`` to ``[n]``, each of which must be there once; None for anything else."""
    before, *rest = _LABEL.split(body)
    said = dict(zip(rest[::2], rest[1::2], strict=True))
    wanted = [str(k) for k in range(1, n + 1)]
    if before or len(rest) != 2 * n or said.keys() != set(wanted):
        return None
    return [said[label].strip() for label in wanted]


def read_whole(text: str, solution: str, spans: Sequence[Span]) -> list[str] | None:
    """What stands at ``spans`` of a text as long as ``solution`` and with its line breaks; None for another text."""
    if len(text) != len(solution) or _breaks(text, spans) != _breaks(solution, spans):
        return None
    return [text[a:b] for a, b in spans]


def make(**kw: Any) -> Masked:
    endless = Masked(**kw)
    return MaskedSet(**kw) if endless._solutions.finite else endless


def _list(hidden: Sequence[str]) -> str:
    lines = [f"[{k}] {text}" for k, text in enumerate(hidden, 1)]
    return worked.tag("\n".join(["", *lines, ""]))


def _numbered(text: str, spans: Sequence[Span]) -> str:
    for k in range(len(spans), 0, -1):
        a, b = spans[k - 1]
        text = f"{text[:a]}[MASK {k}]{text[b:]}"
    return text


def _breaks(text: str, spans: Sequence[Span]) -> list[int]:
    return [i for i, char in enumerate(_blanked(text, spans)) if char == "\n"]


def _blanked(text: str, spans: Sequence[Span]) -> str:
    for a, b in spans:
        text = text[:a] + "?" * (b - a) + text[b:]
    return text
