"""Where two thoughts part: the sentences that a judge is shown, its verdict, and the verifier as judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from reasongym import cli
from reasongym.core import Completion, HostError, Problem, Request, Trajectory, Verdict
from reasongym.forks import STOPS, Fork, Parting, by_answer, by_sentence, verdict
from reasongym.tasks.register import Register
from reasongym.tokenizer import ByteTokenizer

BYTES = ByteTokenizer()


@pytest.mark.parametrize(
    ("before", "tokens", "after", "shown"),
    [
        ("It is 4. So ", ("x", "y"), (" is 2. Then z.", " is 3. Then"), ("So <<x>> is 2.", "So <<y>> is 3.")),
        ("", ("A", "B"), (" b c", " d"), ("<<A>> b c", "<<B>> d")),
        ("a\nb ", ("c", "d"), ("\ne", " f\ng"), ("b <<c>>", "b <<d>> f")),
        ("It is 3.1", ("4", "5"), (". So", " m! No"), ("It is 3.1<<4>>.", "It is 3.1<<5>> m!")),
        ("So x", (".", ","), (" Then y. Z", " and z? W"), ("So x<<.>>", "So x<<,>> and z?")),
        ("So x.", ("\n\n", " Wait"), ("Then y. Z", ", no. Z"), ("So x.<<\n\n>>Then y.", "So x.<< Wait>>, no.")),
        ("第一。第", ("二", "三"), ("。第", "！第"), ("第<<二>>。", "第<<三>>！")),
        ("a", ("b", "c"), ("", ""), ("a<<b>>", "a<<c>>")),
    ],
)
def test_sentences(before: str, tokens: tuple[str, str], after: tuple[str, str], shown: tuple[str, str]) -> None:
    context, first, second = Fork(before, tokens, after).sentences()
    assert (first, second) == shown
    assert context + first.replace("<<", "").replace(">>", "") in before + tokens[0] + after[0]


def test_the_question_shows_what_is_thought_and_both_sentences() -> None:
    asked = Fork("<think>Let x = 2. So ", ("it", "he"), (" is even.", " is odd.")).question()
    assert asked.endswith("Context: Let x = 2.\nFirst: So <<it>> is even.\nSecond: So <<he>> is odd.\n")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Output: 1", 1),
        ("output 0.", 0),
        ("0 would be wrong. Output: 1", 1),
        ("Output: 1. The output differs in 2 places", 1),
        ("1", 1),
        ("the number 0", 0),
        ("Output: 10", -1),
        ("Output: -1", -1),
        ("2, or 1", -1),
        ("yes", -1),
        ("", -1),
    ],
)
def test_the_verdict_is_the_first_number_after_output(text: str, found: int) -> None:
    assert verdict(text) == found


# --- judges


@dataclass
class Says:
    """A policy that says what a function of the request says, and keeps what it was asked."""

    say: Any
    tokenizer: ByteTokenizer = BYTES
    asked: list[Request] = field(default_factory=list)

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        self.asked += requests
        return [self._completion(request) for request in requests]

    def _completion(self, request: Request) -> Completion:
        ids = (*BYTES.encode(self.say(request)), 256)
        return Completion(
            BYTES.decode(ids[:-1]), ids, prompt_ids=(*BYTES.encode(request.prompt), *request.response_ids)
        )


def parting(answer: str, at: int, token: str | int, problem: Problem | None = None) -> Parting:
    thought = Trajectory(problem or Problem.of("why?"), [], answer, Verdict(1.0), False)
    return Parting(thought, (*BYTES.encode(answer), 256), at, token if isinstance(token, int) else ord(token))


def test_a_model_judges_sentences_that_the_large_one_has_finished() -> None:
    large = Says(lambda request: " bad.")
    judge = Says(lambda request: "Output: " + str(int("bad" in request.prompt.rpartition("Second")[2])))
    answer = "So a is 1. And b."
    partings = [parting(answer, 3, "b"), parting(answer, 15, "c"), parting(answer, 3, 256)]
    assert by_sentence(large, judge, "<think>", 7)(partings) == [1, 1, 0]
    assert [r.response_ids for r in large.asked] == [tuple(b"<think>So b"), tuple(b"<think>So a is 1. And c")]
    assert {(r.room, r.stop, r.prompt, r.sampling.temperature) for r in large.asked} == {(7, STOPS, "why?", 0)}
    assert "First: So <<a>> is 1.\nSecond: So <<b>> bad.\n" in judge.asked[0].prompt
    assert "Context: So a is 1.\nFirst: And <<b>>.\nSecond: And <<c>> bad.\n" in judge.asked[1].prompt


def test_the_verifier_judges_by_the_answer_that_follows() -> None:
    task = Register(low=3, high=3)
    envs = cli.make_envs("LongCoT-v0", 2, {"task": task, "budget": 12}, BYTES)
    problem = next(p for seed in range(99) if len(set((p := task.sample(np.random.default_rng(seed))).answer)) == 4)
    honest = str(task.demonstrate(problem, np.random.default_rng(0)))

    def knows(request: Request) -> str:
        """Goes on rightly after what is right so far or differs in the first place only, else gives up."""
        begun = BYTES.decode(request.response_ids)
        return honest[len(begun) :] if begun[1:] == honest[1 : len(begun)] else "="

    wrong = "x" if honest[3] != "x" else "y"
    forks = [parting(honest, 0, "z", problem), parting(honest, 1, wrong, problem), parting(honest, 3, 256, problem)]
    forks += [parting(honest, len(honest) - 1, "z", problem), parting(honest, len(honest), "z", problem)]
    judge = by_answer(Says(knows), envs)
    # neutral; decisive; ends too early; spoils the answer; says more after it, for which it then gives up
    assert judge(forks) == [0, 1, 1, 1, 1]
    assert judge([]) == []


def test_an_environment_that_fails_judges_nothing() -> None:
    class Failing(Register):
        def verify(self, problem: Problem, text: str) -> Verdict:
            raise HostError("the disk is full")

    envs = cli.make_envs("LongCoT-v0", 1, {"task": Failing(), "budget": 12}, BYTES)
    with pytest.raises(HostError, match="could not be judged"):
        by_answer(Says(lambda request: "="), envs)([parting("12", 0, "3", Register().sample(np.random.default_rng(0)))])
