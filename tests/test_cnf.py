"""Formulas: counts and difficulty (golden), text, drawing (statistics), judging answers, the written search."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reasongym import cnf
from reasongym.cnf import drawing, search
from reasongym.core import UserError, Verdict

EXAMPLE = "!B!C!D & A!B!D & AB!D"  # of SATURN's prompt
FIRST_ROW = "!B!DE & !BCE & !BD!E & !BDE & BC!D"  # of its training data


def models(clauses: cnf.Formula, k: int) -> list[str]:
    """The truth table, the slow way."""
    rows = itertools.product((0, 1), repeat=k)
    return ["".join(map(str, r)) for r in rows if all(any((r[abs(x) - 1] == 1) == (x > 0) for x in c) for c in clauses)]


def chi_square(counts: Any, expected: Any) -> float:
    """The probability, roughly, of a chi-square statistic as large as this (Wilson and Hilferty)."""
    observed = np.asarray(counts, dtype=float)
    statistic = float(((observed - expected) ** 2 / expected).sum())
    free = observed.size - 1
    z = ((statistic / free) ** (1 / 3) - (1 - 2 / (9 * free))) / math.sqrt(2 / (9 * free))
    return 0.5 * math.erfc(z / math.sqrt(2))


# --- counts and difficulty


@pytest.mark.parametrize(
    ("size", "d"),
    [
        ((3, 5, 5), 5.6325),
        ((3, 5, 6), 6.1585),
        ((3, 5, 13), 8.3895),
        ((3, 5, 15), 8.8024),
        ((6, 7, 40), 8.618),
        ((4, 7, 20), 9.201),
        ((3, 5, 20), 9.6325),
        ((3, 6, 20), 10.229),
        ((5, 8, 40), 10.244),
        ((3, 5, 25), 10.276),
        ((3, 7, 20), 10.785),
        ((4, 7, 40), 11.201),
        ((4, 8, 40), 11.644),
        ((3, 7, 40), 12.785),
    ],
)
def test_difficulty_is_saturns(size: cnf.Size, d: float) -> None:
    assert cnf.difficulty(*size) == pytest.approx(d, abs=5.1e-4)


def test_clauses_and_pairs() -> None:
    assert [cnf.pairs(*size) for size in ((3, 5), (3, 7), (4, 7))] == [2240, 31360, 67200]
    sizes = ((3, 5), (3, 6), (3, 7), (4, 8), (6, 7))
    assert [cnf.clauses_satisfied(*size) for size in sizes] == [70, 140, 245, 1050, 441]
    assert cnf.clauses_in_all(3, 5) == 80


EXPECTED = {
    (3, 5, 5): 16.285,
    (3, 5, 13): 5.509,
    (3, 5, 20): 2.406,
    (3, 5, 25): 1.576,
    (4, 7, 20): 35.12,
    (6, 7, 40): 66.33,
}


@pytest.mark.parametrize("size", EXPECTED)
def test_solutions_to_expect(size: cnf.Size) -> None:
    """The formula gives the known means, and so do formulas that are drawn."""
    mean = cnf.expected_solutions(*size)
    assert mean == pytest.approx(EXPECTED[size], rel=3e-4)
    codes, values = cnf.draw(np.random.default_rng(7), 2000, *size)
    counts = [cnf.count_models(f, size[1]) for f in cnf.Clauses(*size[:2]).formulas(codes)]
    assert min(counts) >= 1
    assert abs(np.mean(counts) - mean) < 4 * np.std(counts) / math.sqrt(len(counts))


def test_solutions_to_expect_of_uniform_formulas() -> None:
    codes, values = cnf.draw(np.random.default_rng(8), 3000, 3, 5, 12, planted=False)
    counts = [cnf.count_models(f, 5) for f in cnf.Clauses(3, 5).formulas(codes)]
    assert values is None
    mean = cnf.expected_solutions(3, 5, 12, planted=False)
    assert abs(np.mean(counts) - mean) < 4 * np.std(counts) / math.sqrt(3000)


def test_all_satisfied_clauses_leave_one_solution() -> None:
    codes, values = cnf.draw(np.random.default_rng(0), 5, 3, 5, 70)
    assert values is not None and cnf.expected_solutions(3, 5, 70) == 1.0
    for formula, planted in zip(cnf.Clauses(3, 5).formulas(codes), values.tolist(), strict=True):
        assert models(formula, 5) == ["".join(map(str, planted))]


@pytest.mark.parametrize(
    ("size", "says"),
    [
        ((4, 3, 2), "n=4.*k=3"),
        ((3, 5, 71), "l=71.*only 70"),
        ((3, 0, 5), "k=0 must be"),
        ((0, 5, 5), "n=0 must be"),
        ((3, 5, 0), "l=0 must be"),
        ((3, 2_000_000, 5), "k=2000000.*more than 1000000"),
        ((3.0, 5, 5), "n=3.0 must be"),
    ],
)
def test_sizes_that_cannot_be(size: Any, says: str) -> None:
    with pytest.raises(UserError, match=says) as caught:
        cnf.check_size(*size)
    assert "\n" not in str(caught.value)


@st.composite
def formulas(draw: Callable[..., Any], most: int = 6) -> tuple[cnf.Formula, int]:
    k = draw(st.integers(1, most))
    literal = st.integers(1, k).flatmap(lambda v: st.sampled_from((v, -v)))
    return draw(st.lists(st.lists(literal, min_size=1, max_size=4), max_size=12)), k


@given(formulas())
def test_count_models_is_the_truth_table(given_: tuple[cnf.Formula, int]) -> None:
    clauses, k = given_
    found = models(clauses, k)
    assert cnf.count_models(clauses, k) == len(found)
    assert [m for m in map("".join, itertools.product("01", repeat=k)) if cnf.satisfies(clauses, m)] == found


def test_count_models_has_a_limit() -> None:
    assert cnf.count_models([[1, -20]], 20) == 3 << 18
    with pytest.raises(UserError, match="k=25"):
        cnf.count_models([], 25)


# --- text


@given(formulas())
def test_dimacs_round_trips(given_: tuple[cnf.Formula, int]) -> None:
    clauses, k = given_
    assert cnf.from_dimacs("c a comment\n" + cnf.to_dimacs(clauses, k)) == (clauses, k)
    if clauses:
        assert cnf.from_letters(cnf.to_letters(clauses), k) == clauses


def test_text() -> None:
    clauses = cnf.from_letters(EXAMPLE, 4)
    assert clauses == [[-2, -3, -4], [1, -2, -4], [1, 2, -4]]
    assert cnf.to_letters(clauses) == EXAMPLE and cnf.to_letters(clauses, "&") == EXAMPLE.replace(" ", "")
    assert cnf.to_letters([[26, -26]]) == "Z!Z"
    assert cnf.to_dimacs(clauses, 4) == "p cnf 4 3\n-2 -3 -4 0\n1 -2 -4 0\n1 2 -4 0\n"
    assert len(models(clauses, 4)) == cnf.count_models(clauses, 4) == 11
    assert cnf.satisfies(clauses, "1101") and not cnf.satisfies(clauses, "1111")
    first = cnf.from_letters(FIRST_ROW, 5)
    assert cnf.count_models(first, 5) == 16 and cnf.satisfies(first, "10110")


@pytest.mark.parametrize("text", ["", "A & ", "A!", "a", "A B", "AE", "!!A", "A&&B", "A\x00"])
def test_letters_that_say_nothing(text: str) -> None:
    with pytest.raises(UserError) as caught:
        cnf.from_letters(text, 4)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "p cnf x 1\n1 0", "p cnf 1 1\n2 0", "p cnf 1 2\n1 0", "p cnf 1 1\n1", "p cnf 1 1\n1 x 0", "1 2 0"]
)
def test_dimacs_that_says_nothing(text: str) -> None:
    with pytest.raises(UserError):
        cnf.from_dimacs(text)


# --- drawing


@pytest.fixture(params=["by number", "by literals"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to draw clauses."""
    if request.param == "by literals":
        monkeypatch.setattr(drawing, "DENSE", 0)
    return str(request.param)


@pytest.mark.parametrize("planted", [True, False])
@pytest.mark.parametrize("size", [(3, 5, 20), (3, 3, 7), (2, 6, 9), (1, 4, 3), (4, 4, 15), (3, 5, 70)])
def test_clauses_are_distinct_sorted_and_hold(size: cnf.Size, planted: bool, path: str) -> None:
    n, k, l = size  # noqa: E741
    codes, values = cnf.draw(np.random.default_rng(1), 50, n, k, l, planted=planted)
    clauses = cnf.Clauses(n, k)
    assert codes.shape == (50, l)
    for i, (formula, text) in enumerate(zip(clauses.formulas(codes), clauses.texts(codes), strict=True)):
        assert cnf.to_letters(formula) == text
        assert text.split(" & ") == sorted(set(text.split(" & "))), "SATURN sorts the clauses' text"
        assert all(len(c) == n and [abs(x) for x in c] == sorted({abs(x) for x in c}) for c in formula)
        if values is not None:
            assert cnf.satisfies(formula, "".join(map(str, values[i].tolist())))


@pytest.mark.parametrize("size", [(1, 1, 1), (3, 26, 110), (12, 26, 5), (26, 26, 3)])
@pytest.mark.parametrize("joint", [" & ", "&", ""])
def test_texts_of_any_size(size: cnf.Size, joint: str) -> None:
    codes, _ = cnf.draw(np.random.default_rng(2), 7, *size)
    clauses = cnf.Clauses(*size[:2])  # codes of 12 literals or more do not fit int64
    assert clauses.texts(codes, joint) == [cnf.to_letters(formula, joint) for formula in clauses.formulas(codes)]
    assert clauses.texts(codes[:0], joint) == []


def test_clauses_and_signs_have_no_bias(path: str) -> None:
    """Planted: all clauses, all planted bits and all patterns of agreement are equally likely."""
    codes, values = cnf.draw(np.random.default_rng(2), 4000, 3, 5, 5)
    assert values is not None
    _, counts = np.unique(codes, return_counts=True)
    assert counts.size == 80 and chi_square(counts, codes.size / 80) > 1e-3
    assert chi_square(values.sum(0), 2000) > 1e-3
    literals = np.array(cnf.Clauses(3, 5).formulas(codes))
    of = np.abs(literals) - 1
    holds = (literals > 0) == (values[np.arange(4000)[:, None, None], of] == 1)
    patterns = np.bincount((holds * [1, 2, 4]).sum(-1).ravel(), minlength=8)
    assert patterns[0] == 0 and chi_square(patterns[1:], codes.size / 7) > 1e-3
    assert chi_square(np.bincount(of.ravel(), minlength=5), of.size / 5) > 1e-3
    assert chi_square([(literals > 0).sum(), (literals < 0).sum()], literals.size / 2) > 1e-3


def test_sets_of_clauses_have_no_bias(path: str) -> None:
    """All C(8, 3) = 56 uniform formulas of three of the eight clauses over three variables are equally likely."""
    codes, _ = cnf.draw(np.random.default_rng(3), 20_000, 3, 3, 3, planted=False)
    _, counts = np.unique(codes, axis=0, return_counts=True)
    assert counts.size == 56 and chi_square(counts, 20_000 / 56) > 1e-3


def test_one_at_a_time_has_no_bias() -> None:
    rng = np.random.default_rng(4)
    codes = np.concatenate([cnf.draw(rng, 1, 3, 3, 3, planted=False)[0] for _ in range(6000)])
    _, counts = np.unique(codes, axis=0, return_counts=True)
    assert counts.size == 56 and chi_square(counts, 6000 / 56) > 1e-3


def test_any_number_of_variables() -> None:
    """Beyond 63 bits of code, too."""
    for n, k, l in ((3, 300, 50), (12, 1000, 40), (60, 60, 3), (70, 80, 3)):  # noqa: E741
        codes, values = cnf.draw(np.random.default_rng(5), 3, n, k, l)
        assert values is not None
        for formula, planted in zip(cnf.Clauses(n, k).formulas(codes), values.tolist(), strict=True):
            assert len({tuple(c) for c in formula}) == l and {len({abs(x) for x in c}) for c in formula} == {n}
            assert json.loads(json.dumps(formula)) == formula
            assert cnf.satisfies(formula, "".join(map(str, planted)))


def test_a_repeated_clause_is_drawn_again() -> None:
    codes, _ = cnf.draw(np.random.default_rng(6), 200, 3, 60, 900)
    assert drawing.DENSE < cnf.clauses_satisfied(3, 60)
    assert all(len(set(row)) == 900 for row in codes.tolist())


# --- answers

CLAUSES = cnf.from_letters(FIRST_ROW, 5)  # 10110 is right, 11110 is not
RIGHT = [
    "10110",
    " 10110 ",
    "1 0 1 1 0",
    "1,0,1,1,0",
    "[1, 0, 1, 1, 0]",
    "(1, 0, 1, 1, 0)",
    "\\{1, 0, 1, 1, 0\\}",
    "\\text{10110}",
    "$10110$",
    "A=1, B=0, C=1, D=1, E=0",
    "A=1,B=0,C=1,D=1,E=0",
    "A = 1\nB = 0\nC = 1\nD = 1\nE = 0",
    "B: 0; A: 1; C: 1; D: 1; E: 0",
    "A=1 B=0 C=1 D=1 E=0",
    "x1=1, x2=0, x3=1, x4=1, x5=0",
    "x_1=1, x_2=0, x_3=1, x_4=1, x_5=0",
]
WRONG = [
    "",
    "11110",
    "1011",
    "101100",
    "10110 0",
    "1 0 1 1",
    "[1, 0, 1, 1, 0, 1]",
    "1011O",
    "１０１１０",
    "1_0110",
    "+10110",
    "A=1, B=0, C=1, D=1",
    "A=1, B=0, C=1, D=1, E=0, F=1",
    "A=1, B=0, C=1, D=1, D=1",
    "A=1, B=0, C=1, D=1, E=2",
    "A=1, B=0, C=1, D=1, E=0, A=0",
    "x0=1, x1=1, x2=0, x3=1, x4=1",
    "UNSAT",
    "true",
    "10110 or 11110",
    "{10110",
]


@pytest.mark.parametrize("body", RIGHT)
def test_forms_that_are_read(body: str) -> None:
    verdict = cnf.judge(f"So the answer is \\boxed{{{body}}}.", CLAUSES, 5, "10110")
    assert verdict == Verdict(1.0, body.strip())
    assert cnf.unmarked(body, 5) == "10110"


@pytest.mark.parametrize("body", WRONG)
def test_forms_that_are_wrong(body: str) -> None:
    assert cnf.judge(f"So the answer is \\boxed{{{body}}}.", CLAUSES, 5, "10110").score == 0.0


def test_boxes() -> None:
    """SATURN's cases: 1 for a right box, 0 for a wrong one, none where there is none; of two, the last counts."""
    example = cnf.from_letters(EXAMPLE, 4)
    for judge in (cnf.judge, cnf.judge_saturn):
        assert judge("\\boxed{1101}", example, 4, "1101") == Verdict(1.0, "1101")
        assert judge("\\boxed{0101}", example, 4, "1101") == Verdict(0.0, "0101")
        assert judge("1101", example, 4, "1101") == Verdict(0.0, None)
        assert judge("\\boxed{1101} no, \\boxed{0101}", example, 4, "1101") == Verdict(0.0, "0101")
        assert judge("\\boxed{0101} no, \\boxed{1101}", example, 4, "1101") == Verdict(1.0, "1101")
        assert judge("\\boxed{1101} again: \\boxed{11", example, 4, "1101") == Verdict(1.0, "1101")


@pytest.mark.parametrize(
    ("box", "strict", "official"),
    [
        ("\\boxed{101101}", 0.0, 1.0),  # too long: the official scorer ignores the rest
        ("\\boxed{1011}", 0.0, 1.0),  # too short: it takes what is missing for 0
        ("\\boxed{}", 0.0, 1.0),  # so an empty box is 00000, which is right here
        ("\\boxed{1 0 1 1 0}", 1.0, 0.0),  # spaces shift its positions
        ("\\boxed{A=1, B=0, C=1, D=1, E=0}", 1.0, 0.0),
        ("\\boxed{\\text{10110}}", 1.0, 0.0),  # it stops at the first closing brace
        ("\\boxed{10110\n}", 1.0, 0.0),  # it finds a box on one line only
        ("\\boxed{1011x}", 0.0, 1.0),  # x makes neither E nor !E true, and no clause needs one
    ],
)
def test_where_strict_and_official_differ(box: str, strict: float, official: float) -> None:
    assert cnf.judge(box, CLAUSES, 5, "10110").score == strict
    assert cnf.judge_saturn(box, CLAUSES, 5, "10110").score == official


def official(text: str, formula: str) -> float | None:
    """The official scorer's rule, said again: None where it finds no box."""
    boxes = re.findall(r"\\boxed{(.*?)}", text)
    if not boxes:
        return None
    value = {chr(65 + i): bit for i, bit in enumerate(boxes[-1])}
    clauses = (re.findall(r"(!?)([A-Z])", clause) for clause in formula.split(" & "))
    return float(all(any(value.get(v, "0") == ("0" if sign else "1") for sign, v in clause) for clause in clauses))


pieces = st.sampled_from(["\\boxed{", "}", "{", "\n", "0", "1", "10110", " ", "x", "\\", "=", "\\boxed{10110}"])


@settings(max_examples=400)
@given(st.lists(pieces, max_size=14).map("".join))
def test_compat_is_the_official_scorer(text: str) -> None:
    verdict = cnf.judge_saturn(text, CLAUSES, 5, "10110")
    expected = official(text, FIRST_ROW)
    assert (verdict.score, verdict.answer is None) == (expected or 0.0, expected is None)


@settings(max_examples=400)
@given(st.one_of(st.text(), st.lists(st.one_of(pieces, st.text(max_size=3)), max_size=14).map("".join)))
def test_a_strict_point_needs_a_right_assignment(text: str) -> None:
    for judge in (cnf.judge, cnf.judge_marked):
        verdict = judge(text, CLAUSES, 5, "10110")
        if verdict.score:
            bits = cnf.unmarked(verdict.answer or "", 5)
            assert bits in models(CLAUSES, 5)


def test_unsat_is_right_only_where_it_is() -> None:
    both: cnf.Formula = [[1], [-1]]
    for claim in ("UNSAT", "unsat", "UNSATISFIABLE", "\\text{UNSAT}"):
        assert cnf.judge(f"\\boxed{{{claim}}}", both, 1, cnf.UNSAT).score == 1.0
        assert cnf.judge(f"\\boxed{{{claim}}}", CLAUSES, 5, "10110").score == 0.0
    assert cnf.judge("\\boxed{1}", both, 1, cnf.UNSAT).score == 0.0
    assert cnf.judge_marked("=UNSAT", both, 1, cnf.UNSAT).score == 1.0
    assert cnf.judge_marked("=UNSAT.", both, 1, cnf.UNSAT).score == 0.0


def test_marked() -> None:
    for text, score, answer in [
        ("A0B0=10110", 1.0, "10110"),
        ("=11110=10110", 1.0, "10110"),
        ("=11110", 0.0, "11110"),
        ("=10110 ", 0.0, "10110 "),
        ("=101101", 0.0, "101101"),
        ("=", 0.0, ""),
        ("10110", 0.0, None),
    ]:
        assert cnf.judge_marked(text, CLAUSES, 5, "10110") == Verdict(score, answer), text


def test_texts_meant_to_take_long() -> None:
    for text in ("\\boxed{" * 200_000, "\\boxed{\n" * 100_000 + "}", "\\boxed{" + " " * 500_000 + "}", "{" * 10**6):
        for judge in (cnf.judge, cnf.judge_saturn, cnf.judge_marked):
            assert judge(text, CLAUSES, 5, "10110").score == 0.0
    assert cnf.unmarked("1 " * 10**6, 5) is None


# --- questions and the written search


def test_the_question_says_all_that_is_needed() -> None:
    text = cnf.ask(EXAMPLE, 4)
    assert EXAMPLE in text and "A to D" in text and "4 characters" in text and "UNSAT" not in text
    assert "\\boxed{}" in text and cnf.judge(text, cnf.from_letters(EXAMPLE, 4), 4, "1101").score == 0.0
    assert "UNSAT" in cnf.ask(EXAMPLE, 4, unsat=True)
    dimacs = cnf.ask(cnf.to_dimacs([[1, -2]], 2), 2, letters=False)
    assert "p cnf 2 1\n1 -2 0" in dimacs and "1 to 2" in dimacs
    assert cnf.short("A!B&B", 2) == "2:A!B&B"


def test_a_search_written_down() -> None:
    clauses = cnf.from_letters("AB & !BC & BC", 3)
    assert cnf.solve_by_hand(clauses, 3) == (
        "A0B0C0:A0B0\nA1B0C0:A1B0&!B0C0&B0C0\nA0B1C0:A0B1&!B1C0\nA0B0C1:A0B0\nA1B0C1:A1B0&!B0C1&B0C1",
        "101",
    )
    assert cnf.solve_by_hand([[1], [-1]], 1) == ("A0:A0\nA1:A1&!A1\n", "UNSAT")
    assert cnf.solve_by_hand([[-3]], 3, letters=False) == ("1:0 2:0 3:0:-3:0", "000")


def test_a_search_has_an_end() -> None:
    codes, _ = cnf.draw(np.random.default_rng(0), 1, 3, 60, 255)
    formula = cnf.Clauses(3, 60).formulas(codes)[0]
    with pytest.raises(UserError, match="k=60.*10000 characters"):
        cnf.solve_by_hand(formula, 60, letters=False, longest=10_000)


@given(formulas())
def test_the_search_finds_the_first_solution_and_misses_none(given_: tuple[cnf.Formula, int]) -> None:
    """In the order in which the first variable turns fastest; and it says UNSAT only where that is so."""
    clauses, k = given_
    clauses = [sorted(clause, key=abs) for clause in clauses]
    first = min(models(clauses, k), key=lambda bits: bits[::-1], default=cnf.UNSAT)
    text, answer = cnf.solve_by_hand(clauses, k)
    assert answer == first
    tried = [bits for bits, _ in search.candidates(clauses, k)]
    assert len({tuple(bits) for bits in tried}) == len(tried) == len(text.strip("\n").split("\n"))
