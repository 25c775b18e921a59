"""Worked solutions, of a task that shows them or of rows, and what they are made of: steps, equations, numbers."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np

from reasongym import answers, parts
from reasongym.core import Completion, Demonstrator, FiniteTask, Problem, UserError
from reasongym.rows import Row, read_rows

Span = tuple[int, int]
Split = Literal["line", "sentence"]
Kind = Literal["equation", "number", "step"]
KINDS: tuple[Kind, ...] = ("equation", "number", "step")
SPLITS = ("line", "sentence")
TRIES = 1000  # solutions drawn before a task gives up on finding one that it can use

# A dollar that closes mathematics has no space before it and no digit behind it, which keeps prices out.
_MATH = re.compile(
    r"\$\$(?P<a>(?:\\.|[^\\$])+)\$\$|(?<!\\)\$(?=\S)(?P<b>(?:\\.|[^\\$])+)(?<=\S)\$(?![0-9])"
    r"|\\\[(?P<c>.+?)\\\]|\\\((?P<d>.+?)\\\)|\\begin\{(?P<name>[a-z]+\*?)\}(?P<e>.+?)\\end\{(?P=name)\}",
    re.DOTALL,
)
_DRAWING = re.compile(r"\[asy\].*?\[/asy\]", re.DOTALL)
_TERM = r"[($]*[0-9]+(?:[.,][0-9]+)*[%)]*"
_SUM = re.compile(rf"(?<![\w.]){_TERM}(?:\s*[-+*/x×÷^=]\s*{_TERM})+")
_NUMBER = re.compile(r"(?<![\w.,^\\])[0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)?(?!\w)")
_LINE = re.compile(r"\s*\n\s*")
_TITLES = "".join(rf"(?<!{title}\.)" for title in ("Mr", "Mrs", "Ms", "Dr", "St"))
_SENTENCE = re.compile(
    rf"(?:(?<=[.!?])|(?<=[.!?]\$)){_TITLES}\s+(?=[A-Z\\$(])|(?<=\\\]|[*]\}})\s*(?=[A-Z])|\s*\n\s*\n\s*"
)
_TAG, _END = "<answer>", "</answer>"


class Worked(NamedTuple):
    """A question and its worked solution."""

    question: str
    solution: str
    level: int = 0

    def stream(self, seed: int) -> np.random.Generator:
        """Random numbers that this content and ``seed`` fix."""
        return _stream(seed, self.question, self.solution)


@dataclass(frozen=True)
class Solutions:
    """Worked solutions: what ``task`` demonstrates, or, where ``data`` is given, rows (see `reasongym.rows`).

    ``fields`` of a row are its question and its solution. A demonstration is fixed by its problem's id; one that was
    broken off is left out, and with ``right`` one that the task itself does not take for right.
    """

    task: Any = "arithmetic"
    data: str = ""
    fields: Sequence[str] = ("problem", "solution")
    right: bool = True
    _task: Any = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.fields) != 2 or isinstance(self.fields, str):
            raise UserError(f"fields={self.fields!r} must be two names: the question's and the solution's")
        task = None if self.data else parts.make("tasks", self.task)
        if task is not None and not isinstance(task, Demonstrator):
            raise UserError(f"{self.task!r} has no demonstrate(): give a task that shows solutions, or data=a file")
        object.__setattr__(self, "_task", task)

    @property
    def finite(self) -> bool:
        """Whether they have an end."""
        return self._task is None or isinstance(self._task, FiniteTask)

    def every(self) -> Iterator[Worked]:
        """All of them, where they have an end."""
        found = map(self._row, self._rows) if self._task is None else map(self._shown, self._problems())
        return (worked for worked in found if worked is not None)

    def draw(self, rng: np.random.Generator, level: int) -> Worked | None:
        """One of them; None for one that is left out. Rows have no levels."""
        if self._task is None:
            return self._row(self._rows[int(rng.integers(len(self._rows)))])
        return self._shown(self._task.sample(rng, level))

    def _problems(self) -> Iterator[Problem]:
        return (self._task.problem(i) for i in range(len(self._task)))

    def _shown(self, problem: Problem) -> Worked | None:
        shown = self._task.demonstrate(problem, _stream(problem.id))
        if isinstance(shown, Completion):
            if shown.finish != "end":
                return None
            shown = shown.text
        if self.right and self._task.verify(problem, shown).score < 1:
            return None
        return Worked(problem.prompt.removesuffix(f"\n\n{answers.INSTRUCTION}"), shown, problem.level)

    def _row(self, row: Row) -> Worked | None:
        question, solution = (str(row[name]).strip() for name in self.fields)
        return Worked(question.removesuffix(f"\n\n{answers.INSTRUCTION}"), solution)

    @cached_property
    def _rows(self) -> list[Row]:
        return read_rows(self.data, self.fields)


Pose = Callable[[Worked, np.random.Generator | None], Problem | None]


def drawn(solutions: Solutions, pose: Pose, rng: np.random.Generator, level: int, fresh: bool) -> Problem:
    """The first problem that ``pose`` makes of what ``rng`` draws: the same each time, or a ``fresh`` one."""
    for _ in range(TRIES):
        worked = solutions.draw(rng, level)
        problem = worked and pose(worked, rng if fresh else None)
        if problem:
            return problem
    raise UserError(f"none of {TRIES} solutions of {solutions.data or solutions.task!r} will do: ask for less of each")


def posed(solutions: Solutions, pose: Pose) -> list[Problem]:
    """The problems that ``pose`` makes of all solutions, which must have an end."""
    problems = [problem for worked in solutions.every() if (problem := pose(worked, None))]
    if not problems:
        raise UserError(f"no solution of {solutions.data or solutions.task!r} will do: ask for less of each")
    return problems


def nth(problems: Sequence[Problem], i: int) -> Problem:
    if not 0 <= i < len(problems):
        raise UserError(f"there is no problem {i}; there are problems 0 to {len(problems) - 1}")
    return problems[i]


def own(problem: Problem, kind: str) -> Any:
    """What the task ``kind`` put into its problem; a problem of another kind, or of two, is refused.

    Source: arXiv 2511.17473: in r_proc = 1_mask r_mask + 1_order r_order exactly one of the indicators is on.
    Differs: none (one sentence has one task a training run; the paper's own stage I mixes both).
    """
    kinds = [name for name in ("masked", "reorder") if name in problem.data]
    if kinds != [kind]:
        raise UserError(f"{kind}: problem {problem.id} is {' and '.join(kinds) or 'neither masked nor reordered'}")
    return problem.data[kind]


# --- what a solution is made of


def steps(text: str, by: Split) -> list[Span]:
    """Its lines or its sentences; formulas and drawings of several lines stay whole, and blank ends are left out."""
    if by not in SPLITS:
        raise UserError(f"by={by!r} must be one of {', '.join(SPLITS)}")
    whole = [found.span() for pattern in (_MATH, _DRAWING) for found in pattern.finditer(text)]
    gaps = (found.span() for found in (_LINE if by == "line" else _SENTENCE).finditer(text))
    cuts = [gap for gap in gaps if not any(a < gap[1] and gap[0] < b for a, b in whole)]
    edges = zip([0, *(b for _, b in cuts)], [*(a for a, _ in cuts), len(text)], strict=True)
    return [span for a, b in edges if (span := _stripped(text, a, b))]


def places(text: str, kinds: Sequence[Kind], by: Split = "line") -> list[Span]:
    """Where something of these kinds stands: an equation (a formula with ``=``), a number, a step. They may overlap."""
    found: set[Span] = set()
    if "equation" in kinds:
        formulas = [s for m in _MATH.finditer(text) if (s := _stripped(text, *m.span(_inside(m))))]
        within = [m.span() for m in _MATH.finditer(text)]
        sums = [m.span() for m in _SUM.finditer(text) if not _meets(m.span(), within)]
        found.update((a, b) for a, b in formulas + sums if "=" in text[a:b])
    if "number" in kinds:
        found.update(m.span() for m in _NUMBER.finditer(text))
    if "step" in kinds:
        found.update(steps(text, by))
    drawings = [m.span() for m in _DRAWING.finditer(text)]
    return sorted(span for span in found if not _meets(span, drawings))


def apart(spans: Sequence[Span]) -> int:
    """How many of them can be had at most without an overlap."""
    count = end = 0
    for a, b in sorted(spans, key=lambda span: span[1]):
        if a >= end:
            count, end = count + 1, b
    return count


def choose(spans: Sequence[Span], n: int, rng: np.random.Generator) -> list[Span]:
    """``n`` of them at random without an overlap, in order; fewer only where no more can be had (see `apart`)."""
    n, chosen = min(n, apart(spans)), list[Span]()
    for i in rng.permutation(len(spans)):
        if len(chosen) == n:
            break
        left = [span for span in spans if not _meets(span, [*chosen, spans[i]])]
        # a long one that leaves too little room for the others is passed over
        if not _meets(spans[i], chosen) and len(chosen) + 1 + apart(left) >= n:
            chosen.append(spans[i])
    return sorted(chosen)


def tagged(text: str) -> str | None:
    """What stands in ``<answer>`` and ``</answer>`` at the end of a response, or None."""
    _, opened, tail = text.rpartition(_TAG)
    body, closed, rest = tail.partition(_END)
    return body.strip() if opened and closed and not rest.strip() else None


def tag(body: str) -> str:
    return f"{_TAG}{body}{_END}"


def _inside(formula: re.Match[str]) -> str:
    return next(name for name in "abcde" if formula[name] is not None)


def _stripped(text: str, a: int, b: int) -> Span | None:
    body = text[a:b]
    a += len(body) - len(body.lstrip())
    return (a, a + len(body.strip())) if body.strip() else None


def _meets(span: Span, others: Sequence[Span]) -> bool:
    return any(a < span[1] and span[0] < b for a, b in others)


def _stream(*content: Any) -> np.random.Generator:
    seed = hashlib.sha256("\x1f".join(map(str, content)).encode("utf-8", "surrogatepass")).digest()
    return np.random.default_rng(int.from_bytes(seed[:8], "big"))
