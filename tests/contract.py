"""What every part and every registered environment must do, as functions that take one and complain by AssertionError.

`tests/test_contract.py` calls these for each module of a family and for each registered id, so a new task, tool or
shaper is checked by being there. One that cannot be made by its name alone gets a line in `example`.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import json
import math
import pickle
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils.env_checker import check_env

from reasongym import parts
from reasongym.core import (
    Completion,
    Demonstrator,
    HostError,
    Problem,
    ResetNeeded,
    Segment,
    Task,
    Tool,
    Trajectory,
    Verdict,
)

UNICODE = "naïve — 数学 \U0001f600 e\u0301\n\r\n\ttab \x00 end\x00"
HOSTILE = [
    "",
    "\x00",
    UNICODE,
    "\ud800 lone \udfff surrogates \udc80",
    "\U0001f600" * 50,
    "<|im_end|><|end|><|pad|><|endoftext|></s><s>[INST]<think></think>",
    "\\boxed{" * 20_000,
    "(" * 20_000 + ")" * 20_000,
    "\\boxed{9^{9^{9^9}}}",
    "\\boxed{10000000!}",
    "\\boxed{__import__('os')._exit(1)}",
    "<answer>" * 20_000,
    "</answer><answer>",
    "=" * 20_000,
    "-" * 20_000 + "1",
    "nan inf -inf 1e999 0x1p9999 \u0661\u0662\u0663",
    "9" * 20_000,
    "a" * 10_000_000,
]
JUNK = ["", "junk", "I do not know.", "\\boxed{}", "\\boxed{junk}", "<answer>junk</answer>", "\x00" * 10, UNICODE]
VERIFY_S = 60.0  # what one verification may take, on a machine that does other things


# --- how to make one


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="reasongym-contract-")  # gone when the process ends


def _rows(name: str, rows: list[dict[str, Any]]) -> str:
    path = Path(_folder().name, f"{name}.jsonl")
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def example(family: str, name: str) -> str:
    """The string that makes the part of this name in its family, with the arguments that it cannot do without."""
    sums = [(f"{a} + {b}", a + b) for a in range(2, 6) for b in range(3, 7)]
    gsm8k = [{"question": f"What is {q}?", "answer": f"{q} = <<{q}={n}>>{n}\n#### {n}"} for q, n in sums]
    maths = [
        {"problem": f"What is {q}?", "answer": str(n), "solution": f"It is $\\boxed{{{n}}}$.", "level": 1 + n % 5}
        for q, n in sums
    ]
    clauses = ("AB & !BC", "A!B & BC", "AC", "!BC & A!C", "A!B & !B!C & BC", "!B!C", "A!C & BC")
    formulas = [{"n_sat": 2, "k": 3, "solution": "101", "clause": clause} for clause in clauses]
    needs = {
        ("tasks", "pool"): lambda: "pool(task='register', n=7)",
        ("tasks", "reasoning_gym"): lambda: "reasoning_gym/chain_sum",
        ("tasks", "gsm8k"): lambda: f"gsm8k(source={_rows('gsm8k', gsm8k)!r})",
        ("tasks", "math"): lambda: f"math(source={_rows('math', maths)!r})",
        ("rewards", "judge"): lambda: "judge(discriminator='tests.contract:Length()')",
        ("tasks", "saturn"): lambda: f"saturn(source={_rows('saturn', formulas)!r})",
    }
    return needs.get((family, name), lambda: name)()


def sampled(task: Task, seeds: int = 3, levels: tuple[int, ...] = (0,)) -> list[Problem]:
    return [task.sample(np.random.default_rng(s), level) for level in levels for s in range(seeds)]


# --- tasks


def digest(spec: str) -> str:
    """A hash of the first problems of a task: the same in every process, whatever PYTHONHASHSEED says."""
    task: Task = parts.make("tasks", spec)
    shown = [repr((p.id, p.prompt, p.answer, p.level, sorted(p.data.items()))) for p in sampled(task, 4)]
    return hashlib.sha256("\n".join(shown).encode("utf-8", "surrogatepass")).hexdigest()


def check_sample(spec: str) -> None:
    """Pure in (rng, level); content makes the id; a problem pickles; nothing is drawn from elsewhere."""
    tasks: list[Task] = [parts.make("tasks", spec) for _ in range(2)]
    np.random.seed(1)
    first = sampled(tasks[0])
    np.random.seed(2)
    assert sampled(tasks[0]) == first == sampled(tasks[1]), "the same seed gave another problem"
    for p in first:
        assert isinstance(p, Problem) and p.prompt and isinstance(p.prompt, str) and isinstance(p.level, int)
        assert p.id == Problem.of(p.prompt, p.answer, p.level, **p.data).id, "the id is not that of the content"
        assert pickle.loads(pickle.dumps(p)) == p
    assert len({p.id for p in sampled(tasks[0], 12)}) > 1, "every seed gave the same problem"


def golden(task: Task, problem: Problem) -> Iterator[str]:
    """Texts of which one must be right: the demonstration, or the answer in one of the known formats."""
    if isinstance(task, Demonstrator):
        yield task.demonstrate(problem, np.random.default_rng(0))
    if problem.answer is not None:
        for form in ("{}", "\\boxed{{{}}}", "<answer>{}</answer>", "```sql\n{}\n```", "Answer: {}"):
            yield form.format(problem.answer)


def check_gold(spec: str) -> None:
    task: Task = parts.make("tasks", spec)
    for problem in sampled(task):
        verdicts = [task.verify(problem, text) for text in golden(task, problem)]
        assert verdicts, f"{spec} has neither demonstrate() nor an answer: nothing shows that a right answer scores 1"
        assert max(v.score for v in verdicts) == 1.0, verdicts
        if isinstance(task, Demonstrator):
            assert verdicts[0].score == 1.0, "the demonstration is not right"


def check_junk(spec: str) -> None:
    task: Task = parts.make("tasks", spec)
    for problem in sampled(task):
        for text in [*JUNK, problem.prompt]:
            verdict = task.verify(problem, text)
            assert verdict.valid and verdict.score < 1.0, (text[:80], verdict)


def check_verify(spec: str) -> None:
    """Whatever the text: a verdict in [0, 1], valid, in bounded time, and the same again."""
    task: Task = parts.make("tasks", spec)
    problem = sampled(task, 1)[0]
    before = copy.deepcopy(problem)
    for text in HOSTILE:
        start = time.monotonic()
        verdict = task.verify(problem, text)
        assert time.monotonic() - start < VERIFY_S, f"{text[:40]!r} took too long"
        assert isinstance(verdict, Verdict) and isinstance(verdict.score, float) and 0.0 <= verdict.score < 1.0
        assert verdict.valid, f"{text[:40]!r}: a text made the verdict invalid: {verdict.detail}"
        assert verdict.answer is None or isinstance(verdict.answer, str)
    assert problem == before, "verify changed the problem"
    right = next(text for text in golden(task, problem) if task.verify(problem, text).score == 1.0)
    assert task.verify(problem, right) == task.verify(problem, right), "verify has a state"


def check_task_pickles(spec: str) -> None:
    task: Task = parts.make("tasks", spec)
    assert sampled(pickle.loads(pickle.dumps(task))) == sampled(task)
    finite: Any = task
    if hasattr(task, "__len__"):
        assert [finite.problem(i) for i in range(min(3, len(finite)))] and isinstance(finite.split, str)


TASK_CHECKS: list[Callable[[str], None]] = [check_sample, check_gold, check_junk, check_verify, check_task_pickles]


# --- tools


def check_tool(spec: str) -> None:
    """A stop string and a hint of one line; a session that no text breaks, and that pickles as what it was asked."""
    tool: Tool = parts.make("tools", spec)
    assert isinstance(tool.stop, str) and tool.stop
    assert isinstance(tool.hint, str) and "\n" not in tool.hint
    problem = Problem.of("What is 1 + 1?", "2")
    asked = [text + tool.stop for text in [t for t in HOSTILE if len(t) < 100_000]]
    with closing(tool.open(problem, 0)) as session, closing(tool.open(problem, 0)) as twin:
        for text in asked:
            output = session(text)
            assert output is None or isinstance(output, str)
            assert output == twin(text), "the same seed and text gave another output"
        again = pickle.loads(pickle.dumps(session))
        with closing(again):
            assert again(asked[2]) == session(asked[2])


# --- shapers


class Length:
    """A discriminator: the shorter the better."""

    def score(self, question: str, candidates: Sequence[str]) -> list[float]:
        return [-1 / (1 + len(c)) for c in candidates]


def batch() -> list[list[Trajectory]]:
    """P = 3 groups of G = 4: mixed, all right and all wrong, each with one invalid attempt but the first."""
    tags = [("mixed", [1.0, 0.0, 1.0, 0.0]), ("right", [1.0] * 4), ("wrong", [0.0] * 4)]
    return [
        [_trajectory(name, i, score, valid=name == "mixed" or i < 3) for i, score in enumerate(scores)]
        for name, scores in tags
    ]


def _trajectory(name: str, i: int, score: float, valid: bool) -> Trajectory:
    thought = "</think> \\boxed{1}" if i % 2 else "<think>one and one</think> \\boxed{2}"
    rows = [Segment((5, 6, *range(n)), (0, 0, *[1] * n), (0.0, 0.0, *[-0.5] * n)) for n in (10 * (i + 1), 7)]
    used = sum(sum(row.mask) for row in rows)
    info = {"used": used, "resets": 1, "calls": 2, "peak_context": 60, "finish": "end", "temperature": 1.0}
    verdict = Verdict(score, "2" if score else None, valid)
    problem = Problem.of(f"{name}: what is 1 + 1?", "2", level=1)
    return Trajectory(problem, rows if valid else [], thought, verdict, False, info)


def check_shaper(spec: str) -> None:
    """[P, G] in float64, NaN exactly where the attempt is invalid; pure until `update`; its state is plain JSON."""
    shaper: Any = parts.make("rewards", spec)
    given = batch()
    rewards = shaper(given)
    valid = np.array([[t.valid for t in group] for group in given])
    assert rewards.shape == (3, 4) and rewards.dtype == np.float64
    assert np.array_equal(np.isfinite(rewards), valid), rewards
    assert np.array_equal(shaper(given), rewards, equal_nan=True), "a call without update changed the rewards"
    shaper.update(given)
    assert np.array_equal(np.isfinite(shaper(given)), valid)
    assert given == batch(), "the shaper changed the batch"
    if hasattr(shaper, "state_dict"):
        state = json.loads(json.dumps(shaper.state_dict()))
        fresh: Any = parts.make("rewards", spec)
        fresh.load_state_dict(state)
        assert np.array_equal(fresh(given), shaper(given), equal_nan=True)


# --- environments


def play(env: gym.Env[Any, Any], seed: int, actions: list[Any], **options: Any) -> list[Any]:
    """Everything that an episode returns, with its NaN rewards made comparable."""
    told: list[Any] = [env.reset(seed=seed, options=options)]
    for action in actions:
        obs, reward, terminated, truncated, info = env.step(action)
        told.append((obs, "nan" if math.isnan(reward) else reward, terminated, truncated, info))
        if terminated or truncated:
            break
    return told


def clipped(env: gym.Env[Any, Any], n: int = 3) -> list[Completion]:
    """Calls that used up their room, of any text: what a long thought is made of."""
    text = "0123456789 é\n" * (1 + env.unwrapped.thinking.budget // 8)  # type: ignore[attr-defined]
    return [Completion(text, finish="length") for _ in range(n)]


def env_passes_gymnasiums_checker(make: Callable[[], gym.Env[Any, Any]]) -> None:
    check_env(make().unwrapped, skip_render_check=True)


def env_spec_round_trips(make: Callable[[], gym.Env[Any, Any]]) -> None:
    env = make()
    assert env.spec is not None
    spec = gym.envs.registration.EnvSpec.from_json(env.spec.to_json())
    again = gym.make(spec)
    assert play(again, 5, ["x"]) == play(env, 5, ["x"])


def env_same_seed_same_infos(make: Callable[[], gym.Env[Any, Any]]) -> None:
    one, two = make(), make()
    for seed in (0, 1):
        actions = [*clipped(one, 2), "the end"]
        first = play(one, seed, actions)
        assert play(two, seed, actions) == first
        assert play(one, seed, actions) == first, "an episode left something behind"
    assert play(one, 0, [])[0] != play(one, 1, [])[0], "two seeds gave the same problem"


def env_needs_a_reset(make: Callable[[], gym.Env[Any, Any]]) -> None:
    env = make().unwrapped
    for act in (lambda: None, lambda: play(env, 0, ["x"]), env.close):
        act()
        try:
            env.step("more")
        except ResetNeeded as error:
            assert "reset()" in str(error)
        else:
            raise AssertionError("step() without an episode did not raise ResetNeeded")


def env_hides_the_gold_answer(make: Callable[[], gym.Env[Any, Any]]) -> None:
    env: Any = make()
    gold = "THE-GOLD-ANSWER-4711"
    problem = Problem.of("A question", gold, data={"more": gold})
    env.unwrapped.task = _Fixed(env.unwrapped.task, problem)
    for obs, *_ in play(env, 0, [*clipped(env), "the end"]):
        assert set(obs) == {"prompt", "response"} and gold not in repr(obs)
        assert obs in env.observation_space


class _Fixed:
    """A task of one problem, which any text answers wrongly."""

    def __init__(self, task: Task, problem: Problem) -> None:
        self.task, self.posed = task, problem

    def sample(self, rng: np.random.Generator, level: int = 0) -> Problem:
        return self.posed

    def verify(self, problem: Problem, text: str) -> Verdict:
        return Verdict(0.0)


def env_pays_for_gold_and_not_for_junk(make: Callable[[], gym.Env[Any, Any]]) -> None:
    env: Any = make()
    _, info = env.reset(seed=3)
    problem, task = info["problem"], env.unwrapped.task
    rewards = [play(env, 3, [text], problem=problem)[-1][1] for text in golden(task, problem)]
    assert rewards and max(rewards) == 1.0
    assert play(env, 3, ["junk"])[-1][1:4] == (0.0, True, False)


def env_survives_any_text(make: Callable[[], gym.Env[Any, Any]]) -> None:
    """Whatever the model writes, the episode is valid, its reward in [0, 1], and its flags exclude each other."""
    env: Any = make()
    stops = [t.stop for t in env.unwrapped.tools]
    for i, text in enumerate([*HOSTILE, *(HOSTILE[k] + stop for stop in stops for k in range(8))]):
        for action in (text, Completion(text, finish="length"), Completion(text, finish="pause")):
            obs, reward, terminated, truncated, info = play(env, i, [action] * 3)[-1]
            assert info["valid"] is True and 0.0 <= reward <= 1.0
            assert not (terminated and truncated) and type(terminated) is type(truncated) is bool
            assert type(reward) is float and obs in env.observation_space


def env_cuts_a_character_in_half(make: Callable[[], gym.Env[Any, Any]]) -> None:
    env = make()
    for budget in (1, 2, 3, 5, 7):
        obs, _, terminated, truncated, info = play(env, 0, ["\U0001f600" * 20], budget=budget)[-1]
        assert (terminated, truncated, info["used"], info["valid"]) == (False, True, budget, True)
        assert info["text"] == env.unwrapped.tokenizer.decode(info["response_ids"])  # type: ignore[attr-defined]
        assert obs["response"].encode()  # no surrogate


def env_info_keeps_its_types(make: Callable[[], gym.Env[Any, Any]]) -> None:
    env, types = make(), dict[str, type]()
    last = {"verdict", "text", "correct", "mode", "closer", "prefix"}
    for actions in ([*clipped(env), "the end"], ["x"], [Completion(UNICODE, finish="length"), "y"]):
        told = play(env, 0, actions)
        for n, (*_, info) in enumerate(told):
            assert all(types.setdefault(k, type(v)) is type(v) for k, v in info.items()), (types, info)
            assert last.isdisjoint(info) if n < len(told) - 1 else last <= set(info)
        assert types["response_ids"] is types["stop"] is list
    assert set(types.values()) == {Problem, Verdict, int, float, bool, str, list}


def env_returns_nothing_it_still_uses(make: Callable[[], gym.Env[Any, Any]]) -> None:
    one, two = make(), make()
    actions = [*clipped(one, 2), "the end"]
    obs, info = one.reset(seed=0)
    ours: list[Any] = []
    for action in actions:
        ours.append((copy.deepcopy(obs), copy.deepcopy(info)))
        obs["response"] = obs["prompt"] = "changed"
        info["response_ids"] += [7]
        info["stop"] += ["changed"]
        info["used"] = -1
        obs, _, terminated, truncated, info = one.step(action)
        if terminated or truncated:
            break
    theirs = [(t[0], t[-1]) for t in play(two, 0, actions)]
    assert [*ours, (obs, info)] == theirs


def env_pickles_in_mid_episode(make: Callable[[], gym.Env[Any, Any]]) -> None:
    for cut in (0, 1, 2):
        env: Any = make().unwrapped
        actions = [*clipped(env, 3), "the end"]
        if len(play(env, 4, actions[:cut])) <= cut or not env._running:
            continue
        again = pickle.loads(pickle.dumps(env))
        for action in [*actions[cut:], None]:
            if not env._running:
                break
            one, two = env.step(action), again.step(action)
            assert repr(one) == repr(two) and one[0] == two[0] and one[-1] == two[-1]
        assert again.reset(seed=9) == env.reset(seed=9)
        assert again.reset() == env.reset(), "the random stream was not pickled"


def env_never_says_both_ends(make: Callable[[], gym.Env[Any, Any]]) -> None:
    """A host that fails is the one case that could: the answer was given, and could not be judged."""
    env: Any = make().unwrapped  # gymnasium's passive checker warns of the NaN
    env.task = _Broken()
    _, reward, terminated, truncated, info = play(env, 0, ["x"], problem=Problem.of("?"))[-1]
    assert (reward, terminated, truncated, info["valid"]) == ("nan", False, True, False)
    assert info["error"] == "no disk" and math.isnan(info["correct"]) and not info["verdict"].valid


class _Broken:
    def sample(self, rng: np.random.Generator, level: int = 0) -> Problem:
        raise HostError("no disk")

    def verify(self, problem: Problem, text: str) -> Verdict:
        raise HostError("no disk")


ENV_CHECKS: list[Callable[[Callable[[], gym.Env[Any, Any]]], None]] = [
    env_passes_gymnasiums_checker,
    env_spec_round_trips,
    env_same_seed_same_infos,
    env_needs_a_reset,
    env_hides_the_gold_answer,
    env_pays_for_gold_and_not_for_junk,
    env_survives_any_text,
    env_cuts_a_character_in_half,
    env_info_keeps_its_types,
    env_returns_nothing_it_still_uses,
    env_pickles_in_mid_episode,
    env_never_says_both_ends,
]
