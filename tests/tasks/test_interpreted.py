"""Every task of the code interpreter, in the environment: a thought with a block of Python in it that answers right."""

from __future__ import annotations

import ast
import re
from typing import Any

import gymnasium as gym
import pytest

import reasongym
from reasongym import ReasoningEnv, Request
from reasongym.policies.scripted import Scripted
from reasongym.tokenizer import ByteTokenizer
from tests import contract


def sums(prompt: str) -> str:
    """The sum or product that a prompt asks for, as an expression."""
    return max(re.findall(r"[\d(][\d()+*\- ]*[\d)]", prompt), key=len)


def thought(program: Any) -> Scripted:
    """A policy that writes ``program(prompt)`` in a block, and boxes what stands in the output."""

    def write(request: Request) -> str:
        _, found, output = request.response.partition("```output\n")
        if not found:
            return f"By hand, that is long.\n```python\n{program(request.prompt)}\n```\n"
        return f"It is \\boxed{{{output.splitlines()[0]}}}."

    return Scripted(write, ByteTokenizer())


@pytest.mark.parametrize("name", ["gsm8k", "math", "arithmetic"])
@pytest.mark.parametrize("thinking", ["longcot", "delethink(chunk=300, carry=200, head=4)"])
def test_a_block_answers(name: str, thinking: str) -> None:
    env = ReasoningEnv(contract.example("tasks", name), thinking, ["python"])
    found = reasongym.rollout(thought(sums), [env], [{"seed": seed} for seed in range(4)])
    for trajectory in found:
        assert trajectory.verdict.score == 1.0 and trajectory.text.count("```output\n") == 1
        assert (
            str(ast.literal_eval(trajectory.text.split("```output\n")[1].splitlines()[0])) == trajectory.verdict.answer
        )


def test_the_default_task_is_hard_by_hand_and_easy_in_python() -> None:
    env: Any = gym.make("CodeInterpreter-v0")
    _, info = env.reset(seed=5)
    problem = info["problem"]
    _, reward, *_, info = env.step(f"```python\n{problem.data['code']}\n```\n")
    assert (reward, "verdict" in info) == (0.0, False)
    _, reward, terminated, _, info = env.step(f"So \\boxed{{{problem.answer}}}.")
    assert (reward, terminated) == (1.0, True)
    shown = env.unwrapped.task.demonstrate(problem, env.np_random)
    block = shown[shown.index("```python") : shown.index("The answer")]
    assert block in info["text"], "a demonstration looks as the tool's own blocks do"


def test_a_function_may_be_tried_before_it_is_handed_in() -> None:
    """The block that the tool ran last is the answer; what the tool printed is none."""
    env = ReasoningEnv("code", tools=["python"])
    task: Any = env.task
    problem = task.problem(1)
    env.reset(seed=0, options={"problem": problem})
    env.step("```python\ndef digit_squares(n):\n    return n\nprint(digit_squares(12))\n```\n")
    obs, *_ = env.step(f"No.\n```python\n{problem.answer}\nprint(digit_squares(12))\n```\n")
    assert obs["response"].endswith("```output\n5\n```\n")
    _, reward, terminated, _, _ = env.step("Done.")
    assert (reward, terminated) == (1.0, True)
