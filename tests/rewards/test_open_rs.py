"""open-rs's rewards (2503.16219; ``src/open_r1/rewards.py``): cosine, format, and their weighted sum."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from reasongym import Problem, UserError, parts
from reasongym.rewards.cosine import Cosine
from reasongym.rewards.format import Format
from reasongym.rewards.weighted import Weighted, make
from reasongym.shaping import EpisodeShaper, Truth
from tests.rewards.attempts import attempt, group, one

AT = [0, 250, 500, 750, 1000]
RIGHT = [1, 0.926777, 0.75, 0.573223, 0.5]
WRONG = [-1, -0.926777, -0.75, -0.573223, -0.5]


def test_the_cosine_is_of_tokens_and_stays_at_its_limit() -> None:
    """Section 4.5's table at max_len 1000 with the function's defaults, the paper's direction; clamped beyond."""
    shaper = Cosine(limit=1000)
    assert_allclose(shaper([group([1] * 7, [*AT, 1500, 2000])])[0], [*RIGHT, 0.5, 0.5], atol=1e-6)
    assert_allclose(shaper([group([0] * 7, [*AT, 1500, 2000])])[0], [*WRONG, -0.5, -0.5], atol=1e-6)
    assert shaper.score(attempt(1, 250)) == pytest.approx(0.926777, abs=1e-6)


def characters(score: float, n: int, **more: Any) -> Any:
    return attempt(score, 7, "x" * n, **more)


def test_the_official_cosine_is_of_characters_and_wraps_around() -> None:
    """Section 4.5, CLI defaults: right at 1500 and 2000 characters .75 and 1 again; long wrong ones pay less."""
    shaper = Cosine(limit=1000, compat="official")
    right = shaper(one(*[characters(1, n) for n in [*AT, 1500, 2000]]))
    assert_allclose(right[0], [*RIGHT, 0.75, 1], atol=1e-6)
    wrong = shaper(one(*[characters(0, n) for n in [*AT, 2000]]))
    assert_allclose(wrong[0], [0, -0.073223, -0.25, -0.426777, -0.5, 0], atol=1e-6)


def test_the_official_cosine_with_the_functions_own_defaults() -> None:
    """Section 4.5: -1 and -.5 at the same five lengths."""
    shaper = Cosine(limit=1000, wrong=(-1.0, -0.5), compat="official")
    assert_allclose(shaper(one(*[characters(0, n) for n in AT]))[0], WRONG, atol=1e-6)


def test_an_unknown_gold_answer_pays_one_in_the_official_code_only() -> None:
    """Section 4.1: "gold unparseable -> 1.0"."""
    unknown = characters(0, 500, problem=Problem.of("?"))
    assert Cosine(compat="official").score(unknown) == 1.0
    assert Cosine().score(unknown) < 0


@pytest.mark.parametrize(
    ("text", "pays"),
    [
        ("x\n</think>\ny", 1.0),
        ("x\n</think>\ny\n</think>\n", 0.0),
        ("x</think>y", 0.0),
        ("", 0.0),
        ("a < b << c\n</think>\n3 < 4", 1.0),
        ("\n</think>\n</think>\n", 1.0),  # non-overlapping, as str.count has it
    ],
)
def test_format(text: str, pays: float) -> None:
    """Section 4.5 (``format_reward``): the answer and the opener are not looked at."""
    assert Format().score(attempt(0.0, text=text)) == pays == float(text.count("\n</think>\n") == 1)


@given(st.lists(st.sampled_from(["\n</think>\n", "</think>", "\n", "a", "<"]), max_size=8).map("".join))
def test_the_format_is_as_str_count_has_it(text: str) -> None:
    assert Format().score(attempt(0.0, text=text)) == float(text.count("\n</think>\n") == 1)


def test_the_tag_count() -> None:
    """Section 4.1 (``tag_count_reward``): half for each mark that stands there once."""
    shaper = Format(marks=("<think>\n", "\n</think>\n"))
    texts = ["<think>\nx\n</think>\n2", "x\n</think>\n2", "<think>\n<think>\n", "<think>\nx"]
    assert [shaper.score(attempt(text=t)) for t in texts] == [1.0, 0.5, 0.0, 0.5]


TERMS = "weighted(terms=[(1.0, 'format'), (2.0, 'cosine(limit=3584, compat=\"official\")')])"


def test_the_reward_of_experiment_3() -> None:
    """Section 4.5: right, well formed, 1792 characters of 3584: 1 * 1 + 2 * .75 = 2.5."""
    shaper = parts.make("rewards", TERMS)
    text = "x\n</think>\n" + "y" * (1792 - 11)
    assert shaper.score(attempt(1.0, text=text)) == pytest.approx(2.5)
    assert shaper(one(attempt(1.0, text=text), attempt(valid=False)))[0, 0] == pytest.approx(2.5)


def test_a_sum_of_episode_shapers_is_one_and_any_other_is_not() -> None:
    assert isinstance(make(), EpisodeShaper) and make().score(attempt(0.5)) == 0.5
    mixed = make(terms=[(1.0, "truth"), (0.5, "long2short")])
    assert isinstance(mixed, Weighted) and not isinstance(mixed, EpisodeShaper)
    assert_allclose(mixed([group([1, 1], [10, 20])])[0], [1.6, 1.4])


def test_a_sum_keeps_the_state_of_its_terms() -> None:
    terms = [(1.0, "truth"), (1.0, "hapo")]
    shaper, again = make(terms=terms), make(terms=terms)
    shaper.update([group([1], [10])])
    again.load_state_dict(shaper.state_dict())
    assert again([group([1], [20])])[0, 0] == shaper([group([1], [20])])[0, 0] == pytest.approx(1.3)


class Begun(Truth):
    """Keeps the task that it is told."""

    def begin(self, task: Any) -> None:
        object.__setattr__(self, "task", task)


def test_a_sum_hands_on_what_its_terms_are_told_and_tell() -> None:
    begun = Begun()
    shaper = make(terms=[(1.0, begun), (1.0, "hapo")])
    shaper.begin("a task")  # type: ignore[arg-type]
    shaper.update([group([1], [10])])
    assert vars(begun) == {"task": "a task"} and shaper.figures() == {"history": 10.0}


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ("cosine(limit=0)", "limit=0"),
        ("cosine(compat='trl')", "compat='trl'"),
        ("format(marks='x')", "list of strings"),
        ("format(marks=[''])", "none of them empty"),
        ("format(marks=(1, 2))", "list of strings"),
        ("cosine(right=(1, 2, 3))", "right=.* must be two numbers"),
        ("cosine(wrong=(0, '1'))", "wrong=.* must be two numbers"),
        ("weighted(terms=[('format', 1.0)])", "list of pairs such as"),
        ("weighted(terms=['format', 'cosine'])", "list of pairs such as"),
        ("weighted(terms={'format': 1.0})", "list of pairs such as"),
        ("weighted(terms=[(1.0, 2.0)])", "list of pairs such as"),
        ("weighted(terms=[])", "terms is empty"),
        ("weighted(terms=[(1.0, 'adaptthink')])", "AdaptThink starts or probes"),
    ],
)
def test_refusals(spec: str, named: str) -> None:
    with pytest.raises(UserError, match=named):
        parts.make("rewards", spec)
