"""Boolean satisfiability (SATURN): formulas of any size, each proved before it is posed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from reasongym import cnf
from reasongym.cnf import Size
from reasongym.core import Problem, UserError, Verdict

# By difficulty D, in steps of at most 0.8 (from two clauses over three variables, where one cannot do better); SATURN's
# own stages and test sets of three literals are among them.
LADDER: tuple[Size, ...] = (
    *((3, 3, 2), (3, 4, 2), (3, 3, 3), (3, 4, 3), (3, 5, 3), (3, 4, 4), (3, 5, 4), (3, 5, 5), (3, 5, 6), (3, 5, 7)),
    *((3, 5, 8), (3, 5, 9), (3, 5, 11), (3, 5, 13), (3, 5, 15), (3, 6, 15), (3, 5, 20), (3, 6, 20), (3, 7, 20)),
    *((3, 7, 25), (3, 7, 30), (3, 7, 40), (3, 8, 40), (3, 9, 40), (3, 10, 42), (3, 11, 46), (3, 12, 50), (3, 13, 55)),
    *((3, 14, 59), (3, 15, 63), (3, 16, 67), (3, 17, 72), (3, 18, 76), (3, 19, 80), (3, 20, 85)),
)
FEW = 4.0  # mean solutions above which one solution, or none, is too rare to wait for: no level of the ladder then


_CHOICES: dict[str, tuple[Any, ...]] = {
    "planted": (True, False),
    "solutions": ("any", "unique"),
    "satisfiable": ("always", "mixed"),
    "format": ("letters", "dimacs"),
    "prompt": ("saturn", "short"),
    "compat": (None, "saturn"),
}


@dataclass(frozen=True)
class SAT:
    r"""Find an assignment that satisfies a formula of ``l`` distinct clauses of ``n`` distinct variables out of ``k``.

    Every instance is proved by pycosat before it is posed, and any satisfying assignment is right. ``level`` 0 is
    (n, k, l); level i > 0 is the i-th of ``levels`` (of `LADDER`, if None, as far as the settings allow).

    Args:
        planted: Draw a hidden assignment, then clauses among those that it satisfies. Else uniform formulas, of which
            those that the solver finds satisfiable are kept.
        solutions: ``"unique"`` keeps formulas with exactly one solution.
        satisfiable: ``"mixed"``: each second one, on average, is a uniform formula without a solution, and the
            answer is UNSAT.
        format: SATURN's ``"letters"`` (k up to 26), or ``"dimacs"``.
        prompt: ``"saturn"`` asks in words for ``\boxed{0110}``; ``"short"`` is ``4:AB!C&!ABD``, to be answered
            ``=0110``, for a small model that reads bytes.
        compat: ``"saturn"`` scores as the official scorer does (see `reasongym.cnf.judge_saturn`); by default an answer
            must give all k values and nothing else.
        effort: Propagations that the solver may spend on a formula; one that takes more is dropped and counted.

    Source: arXiv 2505.16368, section 3; Saturn-code ``src/Build_SAT_Datasets``.
    Differs: clauses are uniform among those that the planted assignment satisfies (the official generator draws them
    from a pool of at most 10,000 over all assignments, which has none for k = 10, l = 40); a solver proves each
    formula; the prompt is our own.
    """

    n: int = 3
    k: int = 5
    l: int = 5  # noqa: E741
    planted: bool = True
    solutions: Literal["any", "unique"] = "any"
    satisfiable: Literal["always", "mixed"] = "always"
    format: Literal["letters", "dimacs"] = "letters"
    prompt: Literal["saturn", "short"] = "saturn"
    compat: Literal["saturn"] | None = None
    levels: Sequence[Size] | None = None
    effort: int = 1_000_000

    def __post_init__(self) -> None:
        _solver()
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise UserError(f"sat: {name}={getattr(self, name)!r} must be {' or '.join(map(repr, choices))}")
        if self.compat and (self.prompt == "short" or self.satisfiable == "mixed"):
            raise UserError("sat: compat='saturn' knows neither prompt='short' nor satisfiable='mixed'")
        if self.effort < 1:
            raise UserError(f"sat: effort={self.effort} must be a positive number of propagations")
        if self.levels is not None:
            object.__setattr__(self, "levels", _sizes(self.levels))
        for size in ((self.n, self.k, self.l), *self.sizes):
            self._check(*size)

    @cached_property
    def sizes(self) -> tuple[Size, ...]:
        """(n, k, l) of level 1, 2, ..."""
        return tuple(filter(self._allows, LADDER) if self.levels is None else self.levels)

    def size(self, level: int) -> Size:
        """(n, k, l) of a level."""
        if not 0 <= level <= len(self.sizes):
            raise UserError(f"sat: level={level} must be from 0 (n, k, l themselves) to {len(self.sizes)}")
        return self.sizes[level - 1] if level else (self.n, self.k, self.l)

    @property
    def last_level(self) -> int:
        return len(self.sizes)

    def sample(self, rng: np.random.Generator, level: int = 0) -> Problem:
        found = self.batch(rng, 1, level)
        return self._pose(found.formulas()[0], found.answers[0], found.size, level)

    def batch(self, rng: np.random.Generator, n: int, level: int = 0) -> cnf.Instances:
        """``n`` instances at once, pure in (rng, n, level), and much faster than one by one."""
        size = self.size(level)
        if self.satisfiable == "always":
            return self._satisfiable(rng, n, size)
        none = rng.integers(0, 2, n, dtype=np.int8) == 1
        some = self._satisfiable(rng, int((~none).sum()), size)
        lack = "none was unsatisfiable: raise l or lower k"
        return some.mixed_with(cnf.collect(rng, int(none.sum()), size, self._refute, planted=False, lack=lack), none)

    def verify(self, problem: Problem, text: str) -> Verdict:
        boxed = cnf.judge_saturn if self.compat else cnf.judge
        judge = cnf.judge_marked if self.prompt == "short" else boxed
        return judge(text, problem.data["clauses"], problem.data["k"], problem.answer)

    def demonstrate(self, problem: Problem, rng: np.random.Generator) -> str:
        """The search written out (see `cnf.solve_by_hand`), and the first solution that it comes upon."""
        given = problem.data
        search, answer = cnf.solve_by_hand(given["clauses"], given["k"], letters=self.format == "letters")
        return f"{search}={answer}" if self.prompt == "short" else f"{search}\n\\boxed{{{answer}}}"

    def ask(self, formula: str, k: int) -> str:
        """The prompt for a formula's text, as the settings have it."""
        letters = self.format == "letters"
        if self.prompt == "short":
            return cnf.short(formula, k, letters=letters)
        return cnf.ask(formula, k, letters=letters, unsat=self.satisfiable == "mixed")

    def _pose(self, clauses: cnf.Formula, answer: str, size: Size, level: int) -> Problem:
        n, k, l = size  # noqa: E741
        if self.format == "dimacs":
            text = cnf.to_dimacs(clauses, k)
        else:
            text = cnf.to_letters(clauses, "&" if self.prompt == "short" else " & ")
        return Problem.of(self.ask(text, k), answer, level, n=n, k=k, l=l, clauses=clauses)

    def _check(self, n: int, k: int, l: int) -> None:  # noqa: E741
        cnf.check_size(n, k, l)
        if self.format == "letters" and k > len(cnf.LETTERS):
            raise UserError(f"sat: k={k} variables do not fit the letters A to Z: format='dimacs' has no such limit")
        least = 1 << n if self.satisfiable == "mixed" else (1 << n) - (k == n) if self.solutions == "unique" else 1
        if l < least:
            kind = "unsatisfiable" if self.satisfiable == "mixed" else "of one solution"
            raise UserError(f"sat: l={l}: no formula of n={n}, k={k} and fewer than {least} clauses is {kind}: raise l")

    def _allows(self, size: Size) -> bool:
        """Whether a level of the ladder has instances of the kind that is wanted often enough to wait for them."""
        mean = 1.0
        if self.solutions == "unique":
            mean = cnf.expected_solutions(*size, planted=self.planted)
        if self.satisfiable == "mixed":
            mean = max(mean, cnf.expected_solutions(*size, planted=False))
        return mean <= FEW

    # --- drawing and proving

    def _satisfiable(self, rng: np.random.Generator, n: int, size: Size) -> cnf.Instances:
        lack = "none had exactly one solution: raise l or lower k"
        if self.solutions == "any":
            lack = "none was satisfiable: lower l, or draw planted ones"
        return cnf.collect(rng, n, size, self._solve, planted=self.planted, lack=lack)

    def _solve(self, codes: NDArray[Any], values: NDArray[np.int8] | None, size: Size) -> list[str | None]:
        """A solution of each formula, the only one where that is asked for; None where there is none such."""
        if values is not None and self.solutions == "any":
            return self._confirm(codes, values, size)
        return [self._solution(formula, size[1]) for formula in cnf.Clauses(*size[:2]).formulas(codes, shared=True)]

    def _confirm(self, codes: NDArray[Any], values: NDArray[np.int8], size: Size) -> list[str | None]:
        """The planted assignments, each confirmed: all formulas planted with one assignment in one call of the solver.

        The call has the assignment as unit clauses and every clause of these formulas. If that is satisfiable, then so
        is each of the formulas, which are subsets, and by this assignment.
        """
        solve, clauses = _solver(), cnf.Clauses(*size[:2])
        shown: list[str | None] = [row.decode() for row in (values + ord("0")).view(f"S{size[1]}").ravel().tolist()]
        groups: dict[str | None, list[int]] = {}
        for i, bits in enumerate(shown):
            groups.setdefault(bits, []).append(i)
        for bits, rows in groups.items():
            units = [[v if bit == "1" else -v] for v, bit in enumerate(bits or "", 1)]
            proof = solve(
                [*units, *clauses.formulas(_union(codes[rows]), shared=True)[0]], prop_limit=self.effort + size[1]
            )
            if not isinstance(proof, list):
                for i in rows:
                    shown[i] = cnf.UNKNOWN if proof == cnf.UNKNOWN else None
        return shown

    def _solution(self, clauses: cnf.Formula, k: int) -> str | None:
        model = _solver()(clauses, vars=k, prop_limit=self.effort)
        if not isinstance(model, list):
            return cnf.UNKNOWN if model == cnf.UNKNOWN else None
        bits = "".join("1" if x > 0 else "0" for x in model)
        if self.solutions == "any":
            return bits
        other = _solver()([*clauses, [-x for x in model]], vars=k, prop_limit=self.effort)
        return {"UNSAT": bits, cnf.UNKNOWN: cnf.UNKNOWN}.get(other) if isinstance(other, str) else None

    def _refute(self, codes: NDArray[Any], values: NDArray[np.int8] | None, size: Size) -> list[str | None]:
        """UNSAT for each formula that the solver proves to have no solution."""
        outcome = {"UNSAT": cnf.UNSAT, cnf.UNKNOWN: cnf.UNKNOWN}
        proofs = (_solver()(f, prop_limit=self.effort) for f in cnf.Clauses(*size[:2]).formulas(codes, shared=True))
        return [outcome.get(proof) if isinstance(proof, str) else None for proof in proofs]


def make(**kw: Any) -> SAT:
    return SAT(**kw)


def _sizes(levels: Any) -> tuple[Size, ...]:
    """The levels as they may be written, in JSON for one, checked."""
    try:
        found = tuple(tuple(size) for size in levels)
    except TypeError:
        found = ((),)
    if any(len(size) != 3 for size in found):
        raise UserError(f"sat: levels={levels!r} must be some (n, k, l), such as ((3, 5, 5), (3, 5, 6))")
    return cast("tuple[Size, ...]", found)


def _union(codes: NDArray[Any]) -> NDArray[Any]:
    """All codes of some rows, as one row without repetitions. (`np.unique` would import numpy.ma.)"""
    if len(codes) == 1:
        return codes
    flat = np.sort(codes, axis=None)
    first: NDArray[np.bool_] = np.concatenate([[True], flat[1:] != flat[:-1]])
    return np.asarray(flat[first][None])


def _solver() -> Callable[..., list[int] | str]:
    try:
        import pycosat
    except ImportError as error:
        raise UserError("sat: its instances are proved by pycosat: pip install 'reasongym[sat]'") from error
    solve: Callable[..., list[int] | str] = pycosat.solve
    return solve
