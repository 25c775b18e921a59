"""The careless demonstrator writes the search of the package, and errs as often as it is told."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("pycosat")

from benchmarks.careless_sat import Careless
from reasongym import cnf
from reasongym.core import Problem
from reasongym.tasks.sat import SAT


def test_without_oversights_it_is_the_search() -> None:
    rng, careful = np.random.default_rng(0), SAT(prompt="short")
    for level in range(1, 15):
        for _ in range(10):
            problem = careful.sample(rng, level)
            shown = careful.demonstrate(problem, rng)
            assert Careless(prompt="short", overlook=0.0).demonstrate(problem, rng) == shown
    unsat = SAT(3, 4, 22, prompt="short", satisfiable="mixed")
    problems = [unsat.sample(rng) for _ in range(20)]
    assert {p.answer for p in problems} > {cnf.UNSAT}
    for problem in problems:
        assert Careless(prompt="short", overlook=0.0).demonstrate(problem, rng) == unsat.demonstrate(problem, rng)


@pytest.mark.parametrize("overlook", [0.5, 1.0])
def test_an_oversight_reads_on(overlook: float) -> None:
    """One clause, false at first: it is overlooked, and 000 is the answer, in that share of the cases."""
    task, rng = Careless(prompt="short", overlook=overlook), np.random.default_rng(0)
    problem = Problem.of("3:ABC", "100", n=3, k=3, l=1, clauses=[[1, 2, 3]])
    shown = [task.demonstrate(problem, rng) for _ in range(400)]
    wrong = np.mean([task.verify(problem, text).score == 0 for text in shown])
    assert all(text.startswith("A0B0C0:") for text in shown)
    assert wrong == pytest.approx(overlook, abs=0.08)
