"""Where two models' thoughts part, and who says whether it matters: the verifier, or a model that reads both sentences.

These are the labels of R2R (arXiv 2505.21600): at each token of the large model's answer where the small model would
say another one, the large model goes on from that other one, and a `Judge` compares.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from reasongym.core import Completion, HostError, Policy, Request, Sampling, Trajectory
from reasongym.rollout import rollout

GREEDY = Sampling(temperature=0)
# A sentence's end as an engine's stop strings, and as an expression that also sees white space after it.
STOPS = (". ", "! ", "? ", ".\n", "!\n", "?\n", "\n", "。", "！", "？")
_BOUNDARY = re.compile(r"(?<=[.!?])\s+|\n\s*|(?<=[。！？])\s*")
_NUMBER = re.compile(r"-?\d+")

_TASK = """Two writers go on from the same context, and their next sentences first differ where << >> stands. Decide
whether that difference matters. It does where it changes what is meant, how the reasoning goes on, a logical relation
or a conclusion, and where one sentence brings a fact that is new or contradicts the other. It does not where only the
wording, style or level of detail differs. Write "Output: 1" where it matters and "Output: 0" where it does not, and
nothing else.

Context: The train leaves at 9:40 and needs 35 minutes.
First: So <<it>> arrives at 10:15.
Second: So <<the>> train arrives at 10:15.
Output: 0

Context: We need the last digit of 7 * 8.
First: The product is <<56>>, so it is 6.
Second: The product is <<54>>, so it is 4.
Output: 1

"""


@dataclass(frozen=True)
class Fork:
    """A thought up to a token where two models differ, and both ways to go on."""

    before: str
    tokens: tuple[str, str]
    after: tuple[str, str]  # of each token, at least to its sentence's end

    def sentences(self) -> tuple[str, str, str]:
        """What stands before the sentence, and the two sentences with their tokens between ``<<`` and ``>>``.

        Where the token is white space, the sentence that follows is shown too.
        """
        start = max((m.end() for m in _BOUNDARY.finditer(self.before)), default=0)
        begun = self.before[start:]
        first, second = (
            f"{begun}<<{token}>>{_to_the_end(token, rest)}" for token, rest in zip(self.tokens, self.after, strict=True)
        )
        return self.before[:start], first, second

    def question(self) -> str:
        """The judge's prompt.

        Source: arXiv 2505.21600, appendix; thu-nics/R2R ``script/data_labeling``.
        Differs: our words; sentences are cut by a rule of ours where the official code has NLTK's Punkt.
        """
        context, first, second = self.sentences()
        context = context.rpartition("<think>")[2].strip()
        return f"{_TASK}Context: {context}\nFirst: {first}\nSecond: {second}\n"


def _to_the_end(token: str, rest: str) -> str:
    """``rest`` up to the end of the sentence that ``token`` is in."""
    text = token + rest
    found = _BOUNDARY.search(text, len(text) - len(text.lstrip()))  # white space at the beginning ends no sentence
    return text[len(token) : max(found.start(), len(token))] if found else rest


def verdict(text: str) -> int:
    """1 where the difference matters, 0 where not, -1 where the judge did not say.

    It is the first number after the first word "output", or else the first number.

    Source: thu-nics/R2R ``script/data_labeling`` (step 4). Differs: the number must be 0 or 1, where the official
    parser looks for the digit 1 (10 would count).
    """
    _, said, after = text.lower().partition("output")
    found = _NUMBER.search(after if said else text)
    return int(found.group()) if found and found.group() in ("0", "1") else -1


# --- judges


@dataclass(frozen=True)
class Parting:
    """A token of an answer where the small model would say another one."""

    thought: Trajectory
    answer: tuple[int, ...]
    at: int  # the token's place in it
    token: int  # the small model's

    @property
    def ids(self) -> tuple[int, ...]:
        return (*self.answer[: self.at], self.token)


Judge = Callable[[Sequence[Parting]], list[int]]  # 1: it matters, 0: it does not, -1: not known


def by_answer(large: Any, envs: Sequence[Any]) -> Judge:
    """The verifier as judge: a fork matters where the large model, going on from it greedily, then scores less.

    ``large`` is a policy with a tokenizer, ``envs`` have no tools.
    """

    def judge(partings: Sequence[Parting]) -> list[int]:
        scores: dict[int, float] = {}
        resets = {}
        for n, parting in enumerate(partings):
            problem, ids = {"problem": parting.thought.problem}, parting.ids
            envs[0].reset(options=problem)
            ends = parting.token in large.tokenizer.eos_ids
            *_, ended, cut, info = envs[0].step(Completion("", ids, finish="end" if ends else "length"))
            if ended or cut:
                scores[n] = info["verdict"].score
            else:
                resets[n] = {"options": problem | {"response": Completion("", ids, (0.0,) * len(ids), "length")}}
        done = rollout(large, envs, [*resets.values()], sampling=GREEDY, deterministic=True)
        if not all(t.valid for t in done):
            raise HostError("a fork could not be judged: the environment failed")
        scores |= {n: t.verdict.score for n, t in zip(resets, done, strict=True)}
        return [int(scores[n] < p.thought.verdict.score) for n, p in enumerate(partings)]

    return judge


def by_sentence(large: Any, judge: Policy, prefix: str = "", longest: int = 128) -> Judge:
    """A model as judge: it is shown both sentences; that of the small model's token the large model has finished.

    ``large`` is a policy with a tokenizer, ``prefix`` what the thought begins with, ``longest`` tokens a sentence has
    at most.
    """
    encode, decode, ends = large.tokenizer.encode, large.tokenizer.decode, set(large.tokenizer.eos_ids)

    def unfinished(n: int, parting: Parting) -> Request:
        begun = (*encode(prefix), *parting.ids)
        return Request((0, 0, n, 0), parting.thought.problem.prompt, prefix, begun, longest, STOPS, sampling=GREEDY)

    def fork(parting: Parting, rest: str) -> Fork:
        before, at = decode(parting.answer[: parting.at]), parting.at
        tokens = decode(parting.answer[at : at + 1]), decode([parting.token])
        return Fork(before, tokens, (decode([i for i in parting.answer[at + 1 :] if i not in ends]), rest))

    def verdicts(partings: Sequence[Parting]) -> list[int]:
        asked = {n: unfinished(n, p) for n, p in enumerate(partings) if p.token not in ends}
        rests = dict(zip(asked, [c.text for c in large.generate([*asked.values()])], strict=True))
        questions = [fork(p, rests.get(n, "")).question() for n, p in enumerate(partings)]
        said = judge.generate([Request((0, 0, n, 0), q, "", (), 16, sampling=GREEDY) for n, q in enumerate(questions)])
        return [verdict(completion.text) for completion in said]

    return verdicts
