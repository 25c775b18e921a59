"""The contract (tests/contract.py), for every registered id and every module of the families."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector.utils import create_shared_memory, read_from_shared_memory, write_to_shared_memory

import reasongym
from reasongym import parts
from reasongym.core import Completion, Problem, UserError
from tests import contract

ROOT = Path(__file__).resolve().parents[1]
TASKS, TOOLS, REWARDS = (parts.names(family) for family in ("tasks", "tools", "rewards"))


def names(check: Callable[..., Any]) -> str:
    return check.__name__


def made(family: str, name: str) -> str:
    """The string that makes a part; skips where an extra or a service that it needs is missing."""
    spec = contract.example(family, name)
    try:
        parts.make(family, spec)
    except UserError as error:
        if "pip install" not in str(error) and "needs" not in str(error):
            raise
        pytest.skip(str(error))
    return spec


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("check", contract.TASK_CHECKS, ids=names)
def test_task(check: Callable[[str], None], name: str) -> None:
    check(made("tasks", name))


@pytest.fixture(scope="module")
def digests() -> list[dict[str, str]]:
    """The digests of all tasks, in two processes with two hash seeds."""
    specs = {}
    for name in TASKS:
        try:
            parts.make("tasks", contract.example("tasks", name))
        except UserError:
            continue
        specs[name] = contract.example("tasks", name)
    program = "import sys; from tests.contract import digest; print(*map(digest, sys.argv[1:]), sep='\\n')"
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", program, *specs.values()],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("1", "2")
    ]
    found = [run.communicate(timeout=110)[0].split() for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    return [dict(zip(specs, lines, strict=True)) for lines in found]


@pytest.mark.parametrize("name", TASKS)
def test_task_is_the_same_under_two_hash_seeds(name: str, digests: list[dict[str, str]]) -> None:
    spec = made("tasks", name)
    assert digests[0][name] == digests[1][name] == contract.digest(spec)


@pytest.mark.parametrize("name", TOOLS)
def test_tool(name: str) -> None:
    contract.check_tool(made("tools", name))


@pytest.mark.parametrize("name", REWARDS)
def test_shaper(name: str) -> None:
    contract.check_shaper(made("rewards", name))


# --- environments


def maker(env_id: str) -> Callable[[], gym.Env[Any, Any]]:
    try:
        gym.make(env_id)
    except UserError as error:
        if "pip install" not in str(error) and "needs" not in str(error):
            raise
        pytest.skip(str(error))
    return lambda: gym.make(env_id)


@pytest.mark.parametrize("env_id", reasongym.IDS)
@pytest.mark.parametrize("check", contract.ENV_CHECKS, ids=names)
def test_env(check: Callable[[Any], None], env_id: str) -> None:
    check(maker(env_id))


VECTORS: dict[str, dict[str, Any]] = {
    "sync": {"vectorization_mode": "sync"},
    "async": {"vectorization_mode": "async"},
    "async-pipes": {"vectorization_mode": "async", "vector_kwargs": {"shared_memory": False}},
}


@pytest.mark.parametrize("env_id", reasongym.IDS)
@pytest.mark.parametrize("mode", VECTORS)
def test_vector_envs_say_what_single_ones_say(env_id: str, mode: str) -> None:
    make = maker(env_id)
    singles = [make(), make()]
    vector = gym.make_vec(env_id, num_envs=2, **VECTORS[mode])
    try:
        said, infos = vector.reset(seed=7)
        for i, env in enumerate(singles):
            obs, info = env.reset(seed=7 + i)
            assert {key: texts[i] for key, texts in said.items()} == obs
            assert {key: infos[key][i] for key in info} == info
        actions = [contract.UNICODE, "x\x00"]
        said, rewards, terminated, truncated, infos = vector.step(actions)
        for i, env in enumerate(singles):
            obs, reward, *ends, info = env.step(actions[i])
            assert {key: texts[i] for key, texts in said.items()} == obs
            assert obs["response"] == actions[i]
            assert [rewards[i], terminated[i], truncated[i]] == [reward, *ends]
            assert {key: infos[key][i] for key in info} == info
        said, *_ = vector.step(actions)  # the next episodes begin
        assert list(said["response"]) == ["", ""]
    finally:
        vector.close()


@pytest.mark.parametrize("mode", VECTORS)
def test_vector_envs_carry_any_prompt_and_long_texts(mode: str) -> None:
    vector = gym.make_vec("LongCoT-v0", num_envs=2, **VECTORS[mode], budget=300_000)
    prompt = contract.UNICODE + "\ud800\x00"
    try:
        said, _ = vector.reset(seed=0, options={"problem": Problem.of(prompt)})
        assert list(said["prompt"]) == [prompt] * 2
        long = "é\x00" * 50_000
        said, *_ = vector.step([long, ""])
        assert list(said["response"]) == [long, ""]
        assert said == {"prompt": (prompt, prompt), "response": (long, "")}
    finally:
        vector.close()


@pytest.mark.parametrize("mode", VECTORS)
def test_vector_envs_take_completions_with_ids(mode: str) -> None:
    vector = gym.make_vec("Delethink-v0", num_envs=2, **VECTORS[mode], chunk=4, carry=2, head=1)
    half = tuple("\U0001f600".encode())
    try:
        vector.reset(seed=0)
        actions = [Completion("", half[:4], finish="length"), Completion("", (*half[:3],), finish="length")]
        said, _, _, _, infos = vector.step(actions)
        assert list(infos["response_ids"]) == [[half[0], half[3]], [*half[:3]]]
        assert list(said["response"]) == ["\ufffd\ufffd", "\ufffd"]
        said, _, terminated, _, infos = vector.step([Completion("", (256,)), Completion("", (half[3],), finish="end")])
        assert list(infos["text"]) == ["\U0001f600"] * 2 and list(terminated) == [True, True]
    finally:
        vector.close()


def test_a_text_beyond_the_shared_memory_says_what_to_do() -> None:
    space = reasongym.Unicode(max_bytes=8)
    shared = create_shared_memory(space, n=2, ctx=multiprocessing)
    write_to_shared_memory(space, 1, "12345678", shared)
    write_to_shared_memory(space, 1, "é\x00", shared)  # a shorter one hides nothing of the longer
    view = read_from_shared_memory(space, shared, n=2)
    assert (list(view), view[1], len(view)) == (["", "é\x00"], "é\x00", 2)
    with pytest.raises(UserError, match="12 bytes.*'shared_memory': False.*make_vec"):
        write_to_shared_memory(space, 0, "é" * 6, shared)
    write_to_shared_memory(space, 0, "live", shared)
    assert list(view) == ["live", "é\x00"] and copy.deepcopy(view) == ("live", "é\x00")


def test_the_space_of_text() -> None:
    space = reasongym.Unicode(seed=0)
    drawn = [space.sample() for _ in range(300)]
    assert all(text in space and text.encode().decode() == text for text in drawn)
    assert len(set(drawn)) > 200 and any("\n" in text for text in drawn) and "" in drawn
    assert "\ud800" in space and b"x" not in space and None not in space
    again = reasongym.Unicode(seed=0)
    assert [again.sample() for _ in range(300)] == drawn
    assert space == again != reasongym.Unicode(max_bytes=7) and pickle.loads(pickle.dumps(space)) == space


@pytest.mark.parametrize("env_id", reasongym.IDS)
def test_no_import_is_needed(env_id: str) -> None:
    maker(env_id)
    program = f"import gymnasium; e = gymnasium.make('reasongym:{env_id}'); e.reset(seed=0); print(*e.step('x')[2:4])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, ["True", "False"], "")


def test_ids_are_registered_once_and_their_settings_are_strings() -> None:
    for env_id, kwargs in reasongym.IDS.items():
        assert gym.spec(env_id).kwargs == kwargs
    spec = gym.make("Delethink-v0", chunk=64, carry=32, head=4).spec
    assert spec is not None
    again: Any = gym.make(gym.envs.registration.EnvSpec.from_json(spec.to_json())).unwrapped
    assert (again.thinking.chunk, again.thinking.carry, again.thinking.head) == (64, 32, 4)


# --- the contract itself: each check fails where it should


class Leaky:
    """A task with every fault that the checks look for."""

    calls = 0

    def sample(self, rng: np.random.Generator, level: int = 0) -> Problem:
        Leaky.calls += 1
        return Problem("id", f"question {Leaky.calls}", "right")

    def verify(self, problem: Problem, text: str) -> Any:
        if "\x00" in text:
            raise ValueError("a text made verify raise")
        return reasongym.Verdict(1.0 if "junk" in text else 0.5)


@pytest.mark.parametrize("check", [contract.check_sample, contract.check_gold, contract.check_junk], ids=names)
def test_the_task_checks_find_faults(check: Callable[[str], None]) -> None:
    with pytest.raises(AssertionError):
        check(f"{__name__}:Leaky")


def test_the_check_of_verify_finds_what_raises() -> None:
    with pytest.raises(ValueError, match="made verify raise"):
        contract.check_verify(f"{__name__}:Leaky")


class Negative:
    def __call__(self, batch: Any) -> Any:
        return np.zeros((3, 4))

    def update(self, batch: Any) -> None: ...


def test_the_shaper_check_finds_rewards_for_invalid_attempts() -> None:
    with pytest.raises(AssertionError):
        contract.check_shaper(f"{__name__}:Negative")


class Both(reasongym.ReasoningEnv):
    def step(self, action: str | Completion) -> Any:
        obs, reward, terminated, truncated, info = super().step(action)
        return obs, reward, terminated or truncated, terminated or truncated, info | {"used": float(info["used"])}


@pytest.mark.parametrize(
    "check",
    [contract.env_survives_any_text, contract.env_never_says_both_ends, contract.env_info_keeps_its_types],
    ids=names,
)
def test_the_env_checks_find_faults(check: Callable[[Any], None]) -> None:
    with pytest.raises(AssertionError):
        check(lambda: Both())
