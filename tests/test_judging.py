"""Scores of a discriminator: the acceptance tests S1, S2 and S10 of arXiv 2505.03786's port."""

from __future__ import annotations

import math
import time

import pytest

from reasongym.core import Completion, UserError
from reasongym.discriminators import ChainOfThought, Checked, Oracle, Remembered, YesNo
from reasongym.judging import FAIL, INVALID, hard_probability, oracle_score, overlap, said, soft_probability
from reasongym.metrics import pairwise_accuracy
from reasongym.policies.scripted import Scripted
from reasongym.tokenizer import ByteTokenizer

BYTES = ByteTokenizer()


def spoken(text: str, word: str, q: float) -> Completion:
    """A completion in bytes whose last ``word`` was sampled with probability q, and all else with certainty."""
    ids = (*BYTES.encode(text), BYTES.eos_ids[0])
    at = len(text[: text.rindex(word)].encode())
    logprobs = [0.0] * len(ids)
    logprobs[at] = math.log(q)  # the first byte carries it all
    return Completion(text, ids, tuple(logprobs), prompt_ids=(0,))


@pytest.mark.parametrize(
    ("text", "word", "q", "p"),
    [
        ('Fine. {"correct": true}', "true", 0.8, 0.8),
        ('No. {"correct": false}', "false", 0.9, 0.1),
        ('{"correct": false} no: {"correct": true}', "true", 0.7, 0.7),
        ('{"correct": true,}', "true", 0.8, 0.8),
        ('{"correct": True}', "True", 0.8, 0.8),
        ('{"correct": "true"}', "true", 0.8, 0.8),
        ('naïve 数学 {"why": "true enough", "correct": false} so', "false", 0.75, 0.25),
        ('true {"correct": true} and {"other": false}', 'true} and {"other', 0.6, 0.6),
    ],
)
def test_s1_soft_score_by_hand(text: str, word: str, q: float, p: float) -> None:
    assert soft_probability(spoken(text, word, q), BYTES.decode) == pytest.approx(p)


@pytest.mark.parametrize(
    "text", ["", "true", "{}", '{"correct": 1}', '{"correct": maybe}', '{"right": true}', '{"correct": true', "{" * 99]
)
def test_s1_without_a_verdict_the_fail_value(text: str) -> None:
    completion = Completion(text, tuple(BYTES.encode(text)), (0.0,) * len(text.encode()))
    assert soft_probability(completion, BYTES.decode) == hard_probability(text) == FAIL == -0.5
    assert soft_probability(completion, BYTES.decode, fail=0.5) == hard_probability(text, 0.5) == 0.5


def test_s1_tokens_are_those_that_were_sampled() -> None:
    """A word in one token with its blank, and a word over two tokens, whose probabilities multiply."""
    table = {1: '{"correct":', 2: " true", 3: "}", 4: " tr", 5: "ue"}

    def decode(ids: object) -> str:
        return "".join(table[i] for i in ids)  # type: ignore[attr-defined]

    one = Completion(decode([1, 2, 3]), (1, 2, 3), (0.0, math.log(0.8), math.log(0.5)))
    two = Completion(decode([1, 4, 5, 3]), (1, 4, 5, 3), (0.0, math.log(0.8), math.log(0.5), math.log(0.1)))
    assert soft_probability(one, decode) == pytest.approx(0.8)
    assert soft_probability(two, decode) == pytest.approx(0.4)


def test_s1_refuses_scores_that_are_not_raw() -> None:
    warped = Completion('{"correct": true}', (1,), (0.0,), temperature=0.6)
    with pytest.raises(UserError, match="temperature 1"):
        soft_probability(warped, BYTES.decode)


def test_the_answer_wins_over_the_thought() -> None:
    text = 'I shall say {"correct": true} in the end.</think>{"correct": false} or like {"correct": x}'
    found = said(text)
    assert found is not None and not found.correct and text[found.start : found.end] == "false"
    assert hard_probability('{"correct": true}</think> I am done.') == 1.0, (
        "a verdict in the thought is better than none"
    )


def test_said_is_bounded_in_time() -> None:
    started = time.perf_counter()
    for text in ("{" * 1_000_000, '{"correct": ' * 200_000, '{"correct": true' + "," * 1_000_000 + "}", "{}" * 300_000):
        assert said(text) is None
    assert time.perf_counter() - started < 5


def test_s2_order_right_unsure_wrong_failed_invalid() -> None:
    said_right, unsure, said_wrong = 1.0, 0.5, 0.0
    scores = [-said_right, -unsure, -said_wrong, -FAIL, INVALID]
    assert scores == sorted(scores) and len(set(scores)) == 5
    judge = Scripted(lambda r: {"a": '{"correct": true}', "b": '{"correct": false}', "c": "hm"}[r.prompt], BYTES)
    checked = Checked(ChainOfThought(judge, lambda q, c: c), lambda q, c: c != "d")
    assert checked.score("?", ["d", "c", "b", "a"]) == [INVALID, 0.5, 0.0, -1.0]


def test_s10_hard_scores_separate_no_more_pairs_than_soft_ones_of_the_same_order() -> None:
    right = [[True, False, False], [False, True, False]]
    soft = [[0.9, 0.6, 0.2], [0.4, 0.8, 0.7]]
    hard = [[float(p > 0.5) for p in row] for row in soft]
    assert pairwise_accuracy(soft, right) == 1.0
    assert pairwise_accuracy(hard, right) == 0.5 <= pairwise_accuracy(soft, right)


def test_chain_of_thought_hard_takes_any_policy_and_soft_needs_ids() -> None:
    judge = Scripted('{"correct": true}')
    assert ChainOfThought(judge, lambda q, c: q + c, soft=False).score("q", ["a", "b"]) == [-1.0, -1.0]
    with pytest.raises(UserError, match="token ids"):
        ChainOfThought(judge, lambda q, c: q + c).score("q", ["a"])


@pytest.mark.parametrize(
    ("rows", "gold", "worth"),
    [
        ([(1, "a")], [(1, "a")], 1.0),
        ([("a", 1)], [(1, "a")], 1.0),
        ([(1,), (2,)], [(2,), (1,)], 0.0),
        ([(1, 1)], [(1, 2)], 0.5),
        ([(1,)], [(1, 2, 3)], 0.5),
        ([], [], 1.0),
        ([(1,)], [], 0.0),
        ([], [(1,)], 0.0),
        ([(i,) for i in range(9)], [(i,) for i in range(5)], 1.0),
    ],
)
def test_overlap_by_hand(rows: list[tuple[object, ...]], gold: list[tuple[object, ...]], worth: float) -> None:
    assert overlap(rows, gold) == pytest.approx(worth)


def test_the_oracle_and_its_lies() -> None:
    assert math.isnan(overlap(None, [(1,)]))
    assert [oracle_score(x) for x in (1.0, 0.25, 0.0, math.nan)] == [-1.0, -0.25, 0.0, 1.0]
    assert [oracle_score(x, honest=False) for x in (1.0, 0.25, 0.0, math.nan)] == [0.0, -0.75, -1.0, -1.0]


def test_the_oracles_dial() -> None:
    names = [f"c{n}" for n in range(2000)]
    for p in (0.0, 0.5, 0.8, 1.0):
        honest = [s == -1.0 for s in Oracle(lambda q, c: 1.0, p, seed=3).score("q", names)]
        assert abs(sum(honest) / len(names) - p) < 0.04
        assert honest == [s == -1.0 for s in Oracle(lambda q, c: 1.0, p, seed=3).score("q", names)]


def test_remembered_asks_once() -> None:
    asked: list[str] = []

    def truth(question: str, candidate: str) -> float:
        asked.append(candidate)
        return 1.0

    judge = Remembered(Oracle(truth))
    assert judge.score("q", ["a", "b", "a"]) == judge.score("q", ["a", "a", "b"]) == [-1.0] * 3
    assert asked == ["a", "b"]


def test_yes_no_is_the_first_tokens_probability() -> None:
    class Sure:
        tokenizer = BYTES

        def score(self, prompt_ids: tuple[int, ...], ids: list[int]) -> list[float]:
            assert ids == BYTES.encode("Y")
            return [math.log(0.9 if BYTES.decode(prompt_ids).endswith("good") else 0.2)]

    assert YesNo(Sure(), lambda q, c: f"{q} {c}").score("?", ["good", "bad"]) == pytest.approx([-0.9, -0.2])
