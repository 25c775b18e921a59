"""The planners, with scripted generators and exact discriminators: S4, S5, S6, and what trainers say to them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import gymnasium as gym
import numpy as np
import pytest

from reasongym.core import Request, Sampling, UserError
from reasongym.discriminators import Checked, Oracle, YesNo
from reasongym.evaluate import evaluate
from reasongym.policies.hf import HF
from reasongym.policies.ranked import Correct, Ranked, Rerank, TreeSearch
from reasongym.policies.scripted import Scripted
from reasongym.rollout import pack, rollout
from reasongym.sql.text import next_clause, normal_form
from reasongym.tokenizer import ByteTokenizer

ASKED = Request((0, 0, 0, 0), "How many?", "", (), 100)


@dataclass
class Table:
    """A discriminator that looks scores up, and keeps what it was asked."""

    scores: dict[str, float]
    default: float = 0.0
    asked: list[str] = field(default_factory=list)

    def score(self, question: str, candidates: Sequence[str]) -> list[float]:
        self.asked += candidates
        return [self.scores.get(c, self.default) for c in candidates]


def choose(ranked: Ranked) -> str:
    return ranked.plan([ASKED])[0][0]


def one_by_one(texts: list[str]) -> Scripted:
    """Proposals by batch and sample: five a batch, then from the start again."""
    return Scripted(lambda r: texts[(5 * r.key[-2] + r.key[-1]) % len(texts)])


# --- S4


def test_s4_the_perfect_oracle_finds_what_is_right_and_the_liar_avoids_it() -> None:
    rng = np.random.default_rng(0)
    for trial in range(200):
        right = {f"r{n}" for n in range(3)}
        texts = [f"{'r' if rng.random() < 0.3 else 'w'}{rng.integers(3)}" for _ in range(5)]
        truth: Callable[[str, str], float] = lambda q, c: float(c in right)  # noqa: B023, E731
        best = choose(Ranked(one_by_one(texts), Oracle(truth, p=1.0, seed=trial)))
        worst = choose(Ranked(one_by_one(texts), Oracle(truth, p=0.0, seed=trial)))
        assert (best in right) == bool(right & set(texts))
        assert (worst in right) == (set(texts) <= right)


def test_rerank_breaks_ties_by_the_alphabet_and_scores_each_candidate_once() -> None:
    table = Table({"b": -0.5, "a": -0.5, "c": -0.1})
    assert choose(Ranked(one_by_one(["b", "c", " b ", "a", "a"]), table)) == "a"
    assert table.asked == ["a", "b", "c"]


def test_rerank_leaves_empty_proposals_out_and_says_nothing_when_there_is_none() -> None:
    assert choose(Ranked(one_by_one(["", "x", "", "", ""]), Table({}, default=1.0))) == "x"
    assert choose(Ranked(one_by_one([""]), Table({}))) == ""


def test_an_execution_check_comes_before_the_judge() -> None:
    judge = Table({"broken": -1.0, "sound": 0.0})
    ranked = Ranked(one_by_one(["broken", "sound"]), Checked(judge, lambda q, c: c != "broken"))
    assert choose(ranked) == "sound" and judge.asked == ["sound"]


# --- S5


def test_s5_correction_stops_at_the_first_sure_score() -> None:
    table = Table({"c": -0.995}, default=-0.5)
    shown: list[str] = []
    ask = Correct(lambda q, faulty: shown.append(faulty) or f"{q} not {faulty}")
    texts = ["a"] * 5 + ["b", "b", "c", "b", "b"] + ["d"] * 5
    assert choose(Ranked(one_by_one(texts), table, ask)) == "c"
    assert shown == ["a"] and "d" not in table.asked


def test_s5_correction_stops_by_patience_and_keeps_the_best() -> None:
    table = Table({"a": -0.6}, default=-0.5)
    shown: list[str] = []
    ask = Correct(lambda q, faulty: shown.append(faulty) or "again", patience=3)
    assert choose(Ranked(one_by_one(["a"] * 5 + ["b"] * 50), table, ask)) == "a"
    assert shown == ["a"] * 3, "three rounds without a better one, and no fourth"


def test_s5_the_ten_rounds_end_too() -> None:
    texts = [name for n in range(40) for name in [f"t{n:02}"] * 5]
    table = Table({f"t{n:02}": -n / 100 for n in range(40)})
    assert choose(Ranked(one_by_one(texts), table, Correct(lambda q, faulty: faulty))) == "t09"


def test_s5_a_correction_prompt_reaches_the_generator() -> None:
    seen: list[str] = []
    script = Scripted(lambda r: seen.append(r.prompt) or "a")
    choose(Ranked(script, Table({}), Correct(lambda q, faulty: f"{q} / {faulty}", rounds=2)))
    assert seen == ["How many?"] * 5 + ["How many? / a"] * 5


# --- S6

SEARCH = TreeSearch(next_clause, lambda text: text.endswith(";"))
GOOD = "select a from t where b > 1;"


def sql(script: Callable[[Request], str], judge: object, search: TreeSearch = SEARCH) -> Ranked:
    return Ranked(Scripted(script), judge, search, normalise=normal_form, begin="SELECT")  # type: ignore[arg-type]


def complete(goal: str, other: str) -> Callable[[Request], str]:
    """Goes on from any prefix of one of two queries; the odd samples take the other one."""

    def script(request: Request) -> str:
        prefix = normal_form(request.response).rstrip(";")
        fits = [q for q in (goal, other) if q.startswith(prefix)]
        return fits[request.key[-1] % len(fits)][len(prefix) :] if fits else ""

    return script


def test_s6_tree_search_returns_a_complete_query() -> None:
    judge = Table({GOOD: -0.9}, default=-0.2)
    assert choose(sql(complete(GOOD, "select c from u group by d;"), judge)) == GOOD


def test_s6_branches_whose_rollouts_all_fail_are_pruned() -> None:
    bad = "select c from u group by d;"
    extended: list[str] = []

    def script(request: Request) -> str:
        extended.append(request.response)
        return complete(GOOD, bad)(request)

    judge = Table({GOOD: -0.1}, default=1.0)
    assert choose(sql(script, judge)) == GOOD
    assert not any(text.startswith("select c from u ") for text in extended), "a dead branch was extended"


def test_s6_a_prefix_after_which_the_turn_ends_is_complete() -> None:
    def script(request: Request) -> str:
        prefix = normal_form(request.response).rstrip(";")
        return "" if prefix == "select a from t" else "select a from t where b"[len(prefix) :]

    assert choose(sql(script, Table({"select a from t;": -0.9}))) == "select a from t;"


def test_s6_a_step_that_goes_nowhere_is_not_tried_again() -> None:
    search = TreeSearch(lambda prefix, text: text, lambda text: False)
    table = Table({})
    ranked = Ranked(Scripted(lambda r: "" if r.response else "a"), table, search)
    assert choose(ranked) == "a" and table.asked == ["a"]


def test_s6_where_nothing_executes_the_first_proposal_is_the_answer() -> None:
    assert choose(sql(complete(GOOD, "select c from u;"), Table({}, default=1.0))) == GOOD
    assert choose(sql(lambda r: "", Table({}))) == ""


def test_s6_the_pops_end_and_the_best_whole_query_is_taken() -> None:
    judge = Table({GOOD: -0.9}, default=-0.2)
    few = TreeSearch(next_clause, lambda text: text.endswith(";"), pops=1)
    assert choose(sql(complete(GOOD, "select c from u group by d;"), judge, few)) == GOOD


# --- as a policy


def test_the_planner_is_a_policy_that_no_trainer_takes() -> None:
    env = gym.make("LongCoT-v0", task="arithmetic")
    env.reset(seed=1)
    problem = env.unwrapped.task.sample(np.random.default_rng(1))  # type: ignore[attr-defined]
    generator = Scripted(lambda r: str(problem.answer + r.key[-1]))
    truth: Callable[[str, str], float] = lambda q, c: float(c == str(problem.answer))  # noqa: E731
    ranked = Ranked(generator, Oracle(truth), Rerank(), answer="The answer is \\boxed{{}}.")
    done = evaluate(ranked, [env], [problem], deterministic=True)
    assert done.accuracy == 1.0
    assert done.attempts[0].text == f"The answer is \\boxed{{{problem.answer}}}."
    batch = [rollout(ranked, [env], [{"options": {"problem": problem}}], deterministic=True)]
    assert batch[0][0].segments == []
    with pytest.raises(UserError, match="token ids"):
        pack(batch, np.ones((1, 1)))


def test_on_a_real_model_the_same_proposals_every_time() -> None:
    tiny = HF("tiny")
    ranked = Ranked(tiny, YesNo(tiny, lambda q, c: f"{q} {c}"), tokens=8, begin="1", sampling=Sampling(2.0))
    first, again = ranked.plan([ASKED])[0], ranked.plan([ASKED])[0]
    assert first[0] == again[0] and first[1].scored == again[1].scored
    assert all(text.startswith("1") for text in first[1].scored) and len(first[1].scored) > 1


def test_the_generator_is_given_the_exact_tokens_of_what_its_answer_begins_with() -> None:
    seen: list[Request] = []
    tokens = ByteTokenizer()
    script = Scripted(lambda r: seen.append(r) or "x", tokens)
    choose(Ranked(script, Table({}), opened="```sql\n", begin="SELECT", stop=(";",), samples=2))
    assert {tokens.decode(r.response_ids) for r in seen} == {"```sql\nSELECT"} == {r.response for r in seen}
    assert len({r.seed for r in seen}) == 2 and seen[0].sampling.temperature == 0.6 and seen[0].room == 300


@pytest.mark.parametrize("wrong", [{"samples": 0}, {"tokens": 0}, {"answer": "none"}])
def test_settings_that_cannot_be(wrong: dict[str, object]) -> None:
    with pytest.raises(UserError, match="ranked"):
        Ranked(Scripted("x"), Table({}), **wrong)  # type: ignore[arg-type]


PROGRAM = """
from reasongym.core import Request
from reasongym.discriminators import Oracle
from reasongym.policies.ranked import Correct, Ranked, TreeSearch
from reasongym.policies.scripted import Scripted

asked = [Request((0, n, 0, 0), f"q{n}", "", (), 9) for n in range(20)]
for planner in (None, Correct(lambda q, c: c), TreeSearch(lambda p, t: t[: len(p) + 1], lambda p: len(p) == 3)):
    settings = {"planner": planner} if planner else {}
    script = Scripted(lambda r: "".join("abc"[(r.key[1] * i + r.key[-1] + r.key[-2]) % 3] for i in range(3)))
    ranked = Ranked(script, Oracle(lambda q, c: c.count("a") / 3, 0.7), **settings)
    print([c.text for c in ranked.generate(asked)])
"""


def test_the_same_choices_under_two_hash_seeds() -> None:
    runs = [
        subprocess.run(
            [sys.executable, "-c", PROGRAM], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True
        )
        for seed in ("1", "2")
    ]
    assert [run.returncode for run in runs] == [0, 0], runs[0].stderr
    assert runs[0].stdout == runs[1].stdout and len(set(runs[0].stdout)) > 5
