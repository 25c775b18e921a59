"""CoRT's hints on thoughts made by hand: where they go, what is left alone, and that the policy can go on from them."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest

from reasongym import ByteTokenizer, LongCoT, Problem, ReasoningEnv, Trajectory, Verdict, rollout
from reasongym.agents import sft
from reasongym.hints import OPENER, TEDIOUS, TRUST, delayed, doubted, hinted, rows
from reasongym.policies.scripted import Scripted
from reasongym.tools.python import Python

RUN = "```python\nprint(123 * 456)\n```\n```output\n56088\n```\n"

TEDIUM = [
    ("We need the product. ", "123 * 456 = 56088, I think."),
    ("Two rows.\n", "347 × 20 = 6940 and 347 × 8 = 2776, so 6940 + 2776 = 9716."),
    ("First: ", "12 * 12 = 144. Then 144 + 25 = 169, and 169 + 1,000 = 1,169."),
    ("The sum is wanted.\n", "I carry the 1 and write 3."),
    ("Now. ", "By long division we find the quotient."),
    ("", "1234567 + 7654321 = 8888888 and 12 + 21 = 33"),
    ("So ", "98765 \\times 43 \\approx 4246895."),
    (RUN + "That is one. ", "(817 + 33) * 912 = 775200."),
    ("Calculating the two, ", "I will compute it by hand: first the tens."),
]


@pytest.mark.parametrize(("before", "rest"), TEDIUM)
def test_a_hint_at_heavy_calculation_by_hand(before: str, rest: str) -> None:
    cut = "" if before in ("So ", "Calculating the two, ") else before  # a hint begins a sentence
    assert delayed(before + rest) == len(cut) and hinted(before + rest) == cut + TEDIOUS


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2 + 2 = 4, and 12 * 3 = 36.",
        "We must find 123456 * 654321 - 17, for which I use Python.",
        "In 2024-05 there were 300 of them; 17% more in 2025.",
        f"{RUN}So 123 * 456 = 56088.",
        "```python\n# 123456 * 654321 = ?\nprint(123456 * 654321 == 80779853376)\n```\n",
        "```output\n123456 * 654321 = 80779853376\n```\n",
        "12 * 12 = 144." + " and so on" * 30 + " 11 * 11 = 121." + " and so on" * 30 + " 13 * 13 = 169",
        f"12 * 12 = 144.\n{RUN}11 * 12 = 132.",
        "Instead of long division, I let Python do it. I would not calculate that by hand.",
        f"{TEDIOUS}print(2)\n```\n{TRUST}",
    ],
)
def test_no_hint_where_little_is_calculated(text: str) -> None:
    assert delayed(text) is None and hinted(text) is None


@pytest.mark.parametrize(
    "doubt",
    [
        "Wait, let me double-check this.",
        "Hmm, let me verify the multiplication.",
        "Is that right? It seems large.",
        "Let me check the result again.",
        "I am not sure about this number.",
        "The output could be wrong.",
        "Let me recompute it another way.",
        "I'll check it manually.",
    ],
)
def test_a_hint_after_an_output_that_is_doubted(doubt: str) -> None:
    text = f"Some first.\n{RUN}{doubt} Then more."
    assert doubted(text) == len(f"Some first.\n{RUN}")
    assert hinted(text) == f"Some first.\n{RUN}{TRUST}"


@pytest.mark.parametrize(
    "after",
    [
        "So the answer is \\boxed{56088}.",
        "Wait, did my code handle the condition? Let me double-check the logic.",
        "The formula assumes n > 0; let me verify the formula.",
        "Now the next part." + " More." * 40 + " Let me verify that.",
        "```python\nprint('let me verify')\n```\n",
        "There is no need to double-check that.",
        f"{TRUST}They say 56088.",
        f"{TEDIOUS}print(2)\n```\n",
    ],
)
def test_no_hint_where_the_output_is_believed_or_the_program_looked_at(after: str) -> None:
    assert doubted(RUN + after) is None and hinted(RUN + after) is None


def test_doubt_without_an_output_is_no_doubt_of_one() -> None:
    assert doubted("Let me double-check this.") is doubted("```python\n1\n```\nLet me verify this.") is None


def test_the_first_of_the_two_is_hinted_at() -> None:
    by_hand, doubt = "Now 1234 * 5678 = 7006652. ", f"{RUN}Let me verify this. "
    assert hinted(by_hand + "\n" + doubt) == TEDIOUS and hinted(doubt + by_hand) == RUN + TRUST


@pytest.mark.parametrize(
    "text",
    ["9" * 50_000, "1+" * 50_000, "```python\n" * 9_000, "(-" * 50_000, "1 = " * 30_000, "No carrying the 1. " * 3000],
)
def test_any_text_is_read_in_bounded_time(text: str) -> None:
    start = time.monotonic()
    hinted(text)
    assert time.monotonic() - start < 5.0


# --- going on from a hint


def env(prefix: str = "") -> ReasoningEnv:
    return ReasoningEnv("arithmetic", LongCoT(prefix=prefix), [Python()])


def go_on(problem: Problem, given: str | None, *texts: str) -> Trajectory:
    assert given is not None
    policy = Scripted({problem.prompt: list(texts)}, ByteTokenizer())
    [thought] = rollout(policy, [env()], [{"seed": 0, "options": {"problem": problem, "response": given}}])
    return thought


def test_a_thought_goes_on_from_the_block_that_the_hint_opens() -> None:
    problem = Problem.of("What is 1234 * 5678?", 7006652)
    cut = hinted("We multiply. 1234 * 8 = 9872, and 1234 * 70 = 86380, carry the 1")
    thought = go_on(problem, cut, "print(1234 * 5678)\n```\n", "\\boxed{7006652}")
    assert thought.verdict.score == 1.0 and thought.info["tools"][0]["code_runs"] == 1
    assert thought.text == f"We multiply. {TEDIOUS}print(1234 * 5678)\n```\n```output\n7006652\n```\n\\boxed{{7006652}}"
    [row] = rows([thought])  # it is learned from, but for the output
    assert row["response"] == [
        f"We multiply. {TEDIOUS}print(1234 * 5678)\n```\n",
        "```output\n7006652\n```\n",
        "\\boxed{7006652}",
    ]
    [segment] = thought.segments
    assert sum(segment.mask) == len("print(1234 * 5678)\n```\n\\boxed{7006652}") + 1, "the hint is not learned"


def test_a_thought_goes_on_after_an_output_with_the_variables_of_its_blocks() -> None:
    problem = Problem.of("What is 6 * 7 + 1?", 43)
    first = "```python\nx = 6 * 7\nprint(x)\n```\n\n```output\n42\n```\n"
    failed = "```python\nx = 0\n1 / 0\n```\n```output\nTraceback ...\n```\n"
    unrun = "```python\nx = 5\n```\nLet me think.\n"
    cut = hinted(f"{failed}{unrun}{first}Let me double-check that.")
    thought = go_on(problem, cut, "```python\nprint(x + 1)\n```\n", "\\boxed{43}")
    assert cut == f"{failed}{unrun}{first}{TRUST}" and thought.text.endswith("```output\n43\n```\n\\boxed{43}")
    told = {"code_runs": 1, "code_errors": 0, "code_empty": 0, "code_given": 2}
    assert thought.verdict.score == 1.0 and thought.info["tools"] == [told]
    response = rows([thought])[0]["response"]  # it is learned from, but for the three outputs
    assert len(response) == 7 and "".join(response) == thought.text
    assert all(("```output" in text) == (n % 2 == 1) for n, text in enumerate(response))


def test_the_opener_is_a_prefix_of_every_window() -> None:
    obs, info = env(OPENER).reset(seed=0)
    assert obs["response"] == OPENER and info["used"] == 0


# --- what is learned from


def thought(text: str, score: float = 1.0, runs: int = 1, **kw: bool) -> Trajectory:
    verdict = Verdict(score, valid=kw.get("valid", True))
    return Trajectory(
        Problem.of("123 * 456?"), [], text, verdict, kw.get("truncated", False), {"tools": [{"code_runs": runs}]}
    )


GOOD = f"{OPENER}{RUN}So \\boxed{{56088}}."


def test_only_what_is_right_and_shows_neither_behaviour_is_kept() -> None:
    good = [thought(GOOD), thought("Easy: \\boxed{4}", runs=0)]
    bad = [
        thought(GOOD, score=0.0),
        thought(GOOD, valid=False),
        thought(GOOD, truncated=True),
        thought(f"123 * 456 = 56088. {GOOD}"),
        thought(f"{GOOD[:-1]}.\n{RUN}Let me verify this.", runs=2),
        thought(GOOD, runs=0),  # it wrote the output itself
    ]
    kept = rows([*bad, *good, *bad], Python().hint)
    prompt = f"123 * 456?\n{Python().hint}"
    assert [row["prompt"] for row in kept] == [prompt] * 2
    assert ["".join(row["response"]) for row in kept] == [t.text for t in good] and kept[1]["response"] == good[1].text
    assert rows(good[:1])[0]["prompt"] == "123 * 456?" and rows(bad) == []


def test_the_rows_are_what_sft_reads(tmp_path: Path) -> None:
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows([thought(GOOD)], Python().hint, OPENER)))
    settings = {"tools": "python", "thinking": "longcot", "prefix": OPENER}
    args = sft.Args(data=str(data), env="LongCoT-v0", env_settings=settings)
    given, called, output, answered = sft.source(args, ByteTokenizer())(np.random.default_rng(0))
    assert bytes(given).decode() == f"123 * 456?\n{Python().hint}{OPENER}"
    assert (
        bytes(called).decode() == RUN.partition("```output")[0] and bytes(output).decode() == "```output\n56088\n```\n"
    )
    assert bytes(answered[:-1]).decode() == "So \\boxed{56088}." and answered[-1] == ByteTokenizer().eos_ids[0]
