"""Worked solutions from tasks and rows, and what they are made of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reasongym import worked
from reasongym.core import Completion, Problem, UserError, Verdict
from reasongym.worked import Solutions, Worked


def cut(text: str, by: Any) -> list[str]:
    return [text[a:b] for a, b in worked.steps(text, by)]


def found(text: str, *kinds: Any) -> list[str]:
    return [text[a:b] for a, b in worked.places(text, kinds)]


def test_steps_are_lines_or_sentences_and_formulas_stay_whole() -> None:
    assert cut("05 4173\n\n 04 8346 \n---\n=8346", "line") == ["05 4173", "04 8346", "---", "=8346"]
    assert cut("We get\n\\[x\n= 2.\\]\nSo $x\n= 2$.", "line") == ["We get", "\\[x\n= 2.\\]", "So $x\n= 2$."]
    text = "Mr. Smith has $5. He gives $x = 2.$ Then\n\\[y = 1.\\]So it is 3.5. \n\n[asy] a. B\n\nC [/asy]\n\nthe end"
    assert cut(text, "sentence") == [
        "Mr. Smith has $5.",
        "He gives $x = 2.$",
        "Then\n\\[y = 1.\\]",
        "So it is 3.5.",
        "[asy] a. B\n\nC [/asy]",
        "the end",
    ]
    assert cut("", "line") == cut(" \n ", "sentence") == []
    with pytest.raises(UserError, match="by='word'"):
        worked.steps("a", "word")  # type: ignore[arg-type]


def test_equations_are_formulas_with_an_equals_sign_and_sums() -> None:
    assert found("She makes 9 * 2 = $18, and (5 + 3)*2=16 more.", "equation") == ["9 * 2 = $18", "(5 + 3)*2=16"]
    assert found("It costs $3 and then $48/2=$24 or $4.", "equation") == ["$48/2=$24"]  # prices, not formulas
    assert found("So $x+1 = 3$, $y > 2$, \\[z\n= 4.\\] and $$w=1$$", "equation") == ["x+1 = 3", "z\n= 4.", "w=1"]
    assert found("\\begin{align*}\na&=b\n\\end{align*}", "equation") == ["a&=b"]
    assert found("$a = \\$5$", "equation") == ["a = \\$5"]


def test_numbers_stand_alone() -> None:
    assert found("1,234 eggs, 3.5% of x_2, 2nd, \\frac12, 7.", "number") == ["1,234", "3.5", "7"]
    assert found("\\frac{1}{20}", "number") == ["1", "20"]
    assert found("[asy] 1 [/asy] 2", "number") == ["2"]  # nothing of a drawing


def test_places_of_several_kinds_overlap_and_those_that_are_chosen_do_not() -> None:
    text = "2 + 3 = 5\n5 * 2 = 10"
    spans = worked.places(text, worked.KINDS)
    assert (len(spans), worked.apart(spans)) == (8, 6)  # 6 numbers, and 2 sums that are the 2 lines
    several = set()
    for seed in range(200):
        chosen = worked.choose(spans, 3, np.random.default_rng(seed))
        assert chosen == sorted(chosen) and all(b <= c for (_, b), (c, _) in zip(chosen, chosen[1:], strict=False))
        assert len(chosen) == 3  # also where a whole line was drawn first, which leaves room for one other line only
        several.add(tuple(chosen))
    assert len(several) > 10
    assert worked.apart([]) == 0 and worked.choose([], 2, np.random.default_rng(0)) == []


@pytest.mark.parametrize(
    ("text", "body"),
    [
        ("so <answer> 1 2 </answer> \n", "1 2"),
        ("<answer>1</answer> no: <answer>2</answer>", "2"),
        ("<answer>1</answer> I think", None),
        ("<answer>1", None),
        ("1</answer>", None),
        ("<answer>1</answer></answer>", None),
        ("", None),
    ],
)
def test_the_answer_stands_in_tags_at_the_end(text: str, body: str | None) -> None:
    assert worked.tagged(text) == body


def test_solutions_of_a_task_are_fixed_by_its_problems() -> None:
    endless, finite = Solutions("arithmetic"), Solutions("pool(task='arithmetic', n=5)")
    assert (endless.finite, finite.finite) == (False, True)
    first = endless.draw(np.random.default_rng(3), 2)
    assert first == endless.draw(np.random.default_rng(3), 2) and first is not None and first.level == 2
    assert first.question.startswith("Compute") and first.solution.endswith("}.")
    assert list(finite.every()) == list(finite.every()) and len(list(finite.every())) == 5


class Sloppy:
    """A task whose solutions are right, wrong, or broken off."""

    def sample(self, rng: np.random.Generator, level: int = 0) -> Problem:
        return Problem.of(f"{rng.integers(3)}\n\n{worked.answers.INSTRUCTION}", "right", level)

    def verify(self, problem: Problem, text: str) -> Verdict:
        return Verdict(float(text == "right"))

    def demonstrate(self, problem: Problem, rng: np.random.Generator) -> str | Completion:
        whole = Completion("right", finish="end"), "wrong", Completion("right", finish="length")
        return whole[int(problem.prompt[0])]


def test_wrong_and_broken_solutions_are_left_out() -> None:
    rng = np.random.default_rng(0)
    kept = {Solutions(Sloppy()).draw(rng, 0) for _ in range(30)}
    assert kept == {None, Worked("0", "right")}  # without the instruction to box an answer
    kept = {Solutions(Sloppy(), right=False).draw(rng, 0) for _ in range(30)}
    assert kept == {None, Worked("0", "right"), Worked("1", "wrong")}


def test_solutions_of_rows(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"prompt": f"2?\n\n{worked.answers.INSTRUCTION}", "response": " two\n"}) + "\n")
    rows = Solutions(data=str(path), fields=("prompt", "response"))
    assert rows.finite and list(rows.every()) == [Worked("2?", "two")] == [rows.draw(np.random.default_rng(0), 7)]
    with pytest.raises(UserError, match="'problem' is missing"):
        list(Solutions(data=str(path)).every())


class Mute:
    def sample(self, rng: np.random.Generator, level: int = 0) -> Problem:
        return Problem.of("?")

    def verify(self, problem: Problem, text: str) -> Verdict:
        return Verdict(0.0)


def test_what_cannot_be_a_source_is_named() -> None:
    with pytest.raises(UserError, match="no demonstrate"):
        Solutions(Mute())
    with pytest.raises(UserError, match="fields="):
        Solutions(fields="ab")


def test_random_numbers_are_of_the_content_and_the_seed() -> None:
    def draw(question: str, solution: str, seed: int) -> int:
        return int(Worked(question, solution).stream(seed).integers(1 << 40))

    assert draw("a", "b", 0) == draw("a", "b", 0)
    assert len({draw("a", "b", 0), draw("a", "b", 1), draw("ab", "", 0), draw("a", "\ud800", 0)}) == 4
