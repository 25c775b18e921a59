"""Boolean formulas in conjunctive normal form: their text, their counts, drawing them, and asking about them.

A clause is a list of literals, 3 for the third variable and -3 for its negation; a formula is a list of clauses; an
assignment is a string of one 0 or 1 a variable. Sizes are SATURN's (n, k, l): n literals a clause, k variables, l
clauses. A formula is drawn with distinct clauses of n distinct variables each. No solver lives here.
"""

from reasongym.cnf.counts import (
    check_size,
    clauses_in_all,
    clauses_satisfied,
    count_models,
    difficulty,
    expected_solutions,
    pairs,
)
from reasongym.cnf.drawing import Clauses, draw
from reasongym.cnf.formula import (
    LETTERS,
    UNSAT,
    Clause,
    Formula,
    from_dimacs,
    from_letters,
    satisfies,
    to_dimacs,
    to_letters,
)
from reasongym.cnf.instances import UNKNOWN, Instances, Size, collect
from reasongym.cnf.questions import ask, judge, judge_marked, judge_saturn, short, unmarked
from reasongym.cnf.search import solve_by_hand

__all__ = [
    "Clause",
    "Clauses",
    "Formula",
    "Instances",
    "LETTERS",
    "Size",
    "UNKNOWN",
    "UNSAT",
    "ask",
    "check_size",
    "clauses_in_all",
    "clauses_satisfied",
    "collect",
    "count_models",
    "difficulty",
    "draw",
    "expected_solutions",
    "from_dimacs",
    "from_letters",
    "judge",
    "judge_marked",
    "judge_saturn",
    "pairs",
    "satisfies",
    "short",
    "solve_by_hand",
    "to_dimacs",
    "to_letters",
    "unmarked",
]
