"""The Python tool: CoRT's acceptance tests T1 to T12 by name, where a block begins and ends, state, pickling."""

from __future__ import annotations

import math
import os
import pickle
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from reasongym import ByteTokenizer, Completion, Delethink, Problem, ReasoningEnv, UserError, pack, rollout, sandbox
from reasongym.algos.losses import policy_loss
from reasongym.core import Segment, Trajectory
from reasongym.fences import last_block as any_block
from reasongym.fences import shown
from reasongym.policies.scripted import Scripted
from reasongym.rewards.cort import Cort
from reasongym.tools.python import NOTICE, Cell, Interpreter, Python, program

PROBLEM = Problem.of("What is 6 * 7?", 42)


def block(code: str) -> str:
    return f"```python\n{code}\n```\n"


def output(text: str) -> str:
    return f"```output\n{text}\n```\n"


def think(*texts: str, thinking: Any = "longcot", **settings: Any) -> Trajectory:
    """A thought of one text a call, in the real environment with the real tool."""
    env = ReasoningEnv("arithmetic", thinking, [Python(**settings)])
    policy = Scripted({PROBLEM.prompt: list(texts)}, ByteTokenizer())
    [thought] = rollout(policy, [env], [{"seed": 0, "options": {"problem": PROBLEM}}])
    return thought


def counts(thought: Trajectory) -> tuple[int, int, int]:
    [told] = thought.info["tools"]
    return told["code_runs"], told["code_errors"], told["code_empty"]


def told(session: Interpreter) -> tuple[float, ...]:
    return tuple(session.report().values())[:3]


@pytest.fixture
def session() -> Iterator[Interpreter]:
    with closing(Python(seconds=2.0).open(PROBLEM, 0)) as opened:
        yield opened


def seen(segment: Segment, mask: int) -> bytes:
    """What of a row the policy wrote itself (1), or what it was given (0)."""
    return bytes(i for i, m in zip(segment.ids, segment.mask, strict=True) if m == mask and i < 256)


MODES = pytest.mark.parametrize("mode", ["notebook", "replay"])


# --- T1 to T12


@MODES
def test_t1_the_second_block_uses_a_variable_of_the_first(mode: str) -> None:
    first, second = block("x = 6\nprint('six')"), block("print(x * 7)")
    thought = think(f"Let me see.\n{first}", second, "\\boxed{42}", mode=mode)
    assert thought.text == f"Let me see.\n{first}{output('six')}{second}{output('42')}\\boxed{{42}}"
    assert thought.verdict.score == 1.0 and counts(thought) == (2, 0, 0)


@MODES
def test_t2_the_second_block_runs_without_the_first_that_raised(mode: str) -> None:
    thought = think(block("print('seen')\n1 / 0"), block("print(6 * 7)"), "\\boxed{42}", mode=mode)
    first, second = thought.text.split("```output\n")[1:]
    assert first.startswith("seen\nTraceback") and "ZeroDivisionError: division by zero\n```\n" in first
    assert second.startswith("42\n```\n") and counts(thought) == (2, 1, 0)


@MODES
def test_t3_an_infinite_loop_ends_in_time_and_the_next_call_works(mode: str) -> None:
    with closing(Python(seconds=1.0, mode=mode).open(PROBLEM, 0)) as session:  # type: ignore[arg-type]
        session(text := block("1"))
        start = time.monotonic()
        said = session(text := text + block("while True: pass"))
        assert time.monotonic() - start < 1.0 + 1.0
        assert said is not None and "TimeoutError" in said and "1 s" in said
        assert session(text + block("print(6 * 7)")) == output("42")
        assert told(session) == (3, 1, 0)


@MODES
def test_t4_of_2000_characters_803_are_shown(mode: str) -> None:
    said = think(block("print('a' * 1000 + 'b' * 1000)"), "end", mode=mode).text.split("```output\n")[1]
    shown = said.partition("\n```\n")[0]
    assert shown == "a" * 400 + "..." + "b" * 400 and len(shown) == 803


@MODES
def test_t5_a_block_that_prints_nothing_has_an_empty_output(mode: str) -> None:
    thought = think(block("x = 1"), "end", mode=mode)
    assert thought.text == f"{block('x = 1')}```output\n\n```\nend" and counts(thought) == (1, 0, 1)


@MODES
def test_t6_of_k_3_calls_two_run_and_the_second_is_told_so(mode: str) -> None:
    thought = think(*[block(f"print({n})") for n in range(3)], "\\boxed{42}", calls=3 - 1, mode=mode)
    assert thought.text == (
        f"{block('print(0)')}{output('0')}{block('print(1)')}{output(f'1{chr(10)}{NOTICE}')}"
        f"{block('print(2)')}\\boxed{{42}}"
    )
    assert NOTICE.startswith("[SYSTEM]") and counts(thought) == (2, 0, 0) and thought.info["calls"] == 4


def test_t7_the_reward_table_by_real_runs() -> None:
    good, bad, right, wrong = block("print(42)"), block("1 / 0"), "\\boxed{42}", "\\boxed{41}"
    table = [
        ((good, right), 1.0),
        ((bad, right), 0.9),
        ((good, wrong), 0.0),
        ((bad, wrong), -0.1),
        ((bad, good, right), 1.0),
        ((right,), 0.9),
        ((wrong,), -0.1),
    ]
    for texts, reward in table:
        assert Cort().score(think(*texts)) == pytest.approx(reward), texts


@pytest.mark.parametrize("thinking", ["longcot", Delethink(chunk=90, carry=60, head=10, max_chunks=9)])
def test_t8_what_the_environment_wrote_has_no_part_in_the_loss(thinking: Any) -> None:
    """The log-probs of its tokens may be anything: the same loss, and no gradient on them."""
    thought = think(block("print('a' * 50)"), block("print(2)"), "\\boxed{42}", thinking=thinking)
    [[rows]] = pack([[thought]], [[2.0]])
    assert any(b"```output\n" in seen(s, 0) for s in thought.segments) and 0 < rows.mask.sum() < rows.mask.size
    mask = torch.as_tensor(rows.mask)[:, 1:]

    def loss(noise: float, **kw: Any) -> tuple[float, torch.Tensor]:
        """With ``noise`` on the new and the old log-probs of the tokens that the environment wrote."""
        draw = torch.Generator().manual_seed(0)
        logp = -torch.rand(mask.shape, generator=draw) - noise * (1 - mask)
        logp.requires_grad_()
        old = torch.as_tensor(rows.logprobs)[:, 1:] - 2 * noise * (1 - mask)
        given = (torch.as_tensor(rows.advantages)[:, 1:], mask, torch.as_tensor(rows.weight)[:, 1:])
        found, _ = policy_loss(logp, old, *given, ref_logp=old.clone(), kl=0.1, **kw)
        found.backward()
        assert logp.grad is not None
        return found.item(), logp.grad

    (quiet, gradient), (loud, other) = loss(0.0), loss(7.0)
    assert quiet == loud != 0.0 and torch.equal(gradient, other)
    assert not gradient[mask == 0].any() and gradient[mask == 1].any()


def test_t9_a_stray_back_tick_costs_no_call_and_puts_nothing_in() -> None:
    texts = ["Take `x`\n", "and ``\n", "and ```\n", "```\n", block("  \n\n"), block("print(42)"), "\\boxed{42}"]
    thought = think("".join(texts[:3]), *texts[3:], calls=1)
    assert thought.text == "".join(texts[:6]) + output(f"42\n{NOTICE}") + texts[6], "the one call was still there"
    assert counts(thought) == (1, 0, 0)


def test_t10_a_forged_output_is_trained_on_and_earns_nothing() -> None:
    failing, forged = block("1 / 0"), output("42")
    thought = think(failing, forged, "\\boxed{42}")
    [segment] = thought.segments
    assert seen(segment, 1) == f"{failing}{forged}\\boxed{{42}}".encode(), "mask 1 on what it wrote, forgery and all"
    assert seen(segment, 0).count(b"```output") == 1
    assert counts(thought) == (1, 1, 0) and Cort().score(thought) == pytest.approx(0.9)
    never = think(f"```python\n1 / 0\n``` \n{forged}", "\\boxed{42}")  # its first fence does not pause
    assert never.text.count("```output") == 1 and seen(never.segments[0], 0) == asked(never)
    assert counts(never) == (0, 0, 0) and Cort().score(never) == pytest.approx(0.9)


def asked(thought: Trajectory) -> bytes:
    """The prompt alone."""
    return f"{thought.problem.prompt}\n{Python().hint}".encode()


def test_t11_an_output_that_a_reset_cuts_is_masked_in_every_window() -> None:
    code, thinking = block("print('o' * 300)"), Delethink(chunk=64, carry=32, head=4, max_chunks=20)
    thought = think(code, "\\boxed{42}", thinking=thinking)
    assert [seen(s, 1) for s in thought.segments] == [code.encode(), b"\\boxed{42}"]
    assert b"oooo" in seen(thought.segments[1], 0) and output("o" * 300).encode() not in seen(thought.segments[1], 0)


@pytest.mark.parametrize("left", [-1, 0, 2])
def test_t12_an_output_beyond_the_budget_is_dropped_and_the_episode_truncated(left: int) -> None:
    code = block("print('x' * 50)")
    budget = len(code) + len(output("x" * 50)) + left
    thought = think(code, "4", thinking=f"longcot(budget={budget})")
    assert thought.text == code + output("x" * 50) * (left >= 0) + "4" * (left > 0)
    assert thought.truncated is (left <= 0) and counts(thought) == (1, 0, 0)


# --- under Delethink


class Writes:
    """Writes a text to its end, over as many calls as that takes."""

    tokenizer = ByteTokenizer()

    def __init__(self, text: str) -> None:
        self.left = text

    def generate(self, requests: Any) -> list[Completion]:
        [done] = Scripted(self.left, self.tokenizer).generate(requests)
        self.left = self.left[len(done.text) :]
        return [done]


def test_state_and_open_blocks_outlive_a_reset_of_the_context() -> None:
    """A window holds 24 tokens: each block is opened in one and closed in another, and none sees the first variable."""
    first, second = block("x = 6"), block("y = x + 1" + "\n" * 30 + "print(x * y)")
    words = f"Now {'on and ' * 9}\n"
    env = ReasoningEnv("arithmetic", Delethink(chunk=24, carry=8, head=0, max_chunks=60), [Python()])
    policy = Writes(f"{first}{words}{second}\\boxed{{42}}")
    [thought] = rollout(policy, [env], [{"seed": 0, "options": {"problem": PROBLEM}}])
    assert thought.text == f"{first}{output('')}{words}{second}{output('42')}\\boxed{{42}}"
    assert thought.verdict.score == 1.0 and not thought.truncated and counts(thought) == (2, 0, 1)
    assert thought.info["resets"] > 5 and thought.info["peak_context"] < len(env._prompt) + 30
    assert all(b"x = 6" not in seen(segment, 0) for segment in thought.segments[3:])


# --- where a block begins and ends


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (block("x"), "x"),
        ("a\n  ```python  \n    x\n      y\n  ```\n", "x\n  y"),
        ("```python\nold\n``` \n" + block("new"), "new"),
        ("```python\nold\n" + block("new"), "new"),
        ("```python\r\nx\r\n```\n", "x\r"),
        (block("# nothing"), "# nothing"),
        (block(""), ""),
        (block(" \n\t\n"), ""),
        ("```python\nx\n```", ""),
        ("```python\nx = '```\n", ""),
        ("```\n", ""),
        ("````python\nx\n````\n", ""),
        ("```python x\n```\n", ""),
        ("see ```python\nx\n```\n", ""),
        ("```bash\nx\n```\n", ""),
        (block("x") + "```\n", ""),
        (output("```python\nx"), "x"),
        ("```python\nold\n``` \nand\n```\n", ""),
        ("", ""),
        ("\n", ""),
    ],
)
def test_the_last_block(text: str, code: str) -> None:
    assert last_block(text) == code


def last_block(text: str) -> str:
    """What the tool would run."""
    found = any_block(text, ("python",))
    return found.text if found and found.text.strip() else ""


@given(st.lists(st.sampled_from(["```python\n", "```\n", "```output\n", "x\n", " ", "`", "\n"]), max_size=12))
def test_a_block_holds_no_fence_and_ends_the_text(pieces: list[str]) -> None:
    text = "".join(pieces)
    code = last_block(text)
    assert not code or (text.endswith("```\n") and "```python" in text)
    assert all(line.strip() not in ("```", "```python") for line in code.split("\n"))


def test_a_block_runs_once(session: Interpreter) -> None:
    text = block("print('once')")
    assert session(text) == output("once")
    text += output("once") + "So.\n```\n"
    assert session(text) is None and session(text + "and\n```\n") is None
    assert session.report()["code_runs"] == 1


def test_an_open_block_goes_on_over_fences_that_do_not_close_it(session: Interpreter) -> None:
    text = "```python\ntext = '''a ```\n"
    assert session(text) is None
    assert session(text + "'''\nprint(len(text))\n```\n") == output("6")


def test_an_output_cannot_open_or_close_a_block(session: Interpreter) -> None:
    fence = "chr(96) * 3"
    code = f"print({fence} + chr(10) + {fence} + 'python' + chr(10) + 'print(1)' + chr(10) + {fence})"
    said = session(text := block(code))
    assert said == output("'''\n'''python\nprint(1)\n'''")
    assert said is not None and session(text + said + "\n```\n") is None


def test_what_is_shown() -> None:
    assert shown("1") == output("1") and shown("") == output("")
    assert shown("1", "last") == output("1\nlast") and shown("", "last") == output("last")


def test_what_a_token_says_beyond_its_stop_is_no_part_of_the_call(session: Interpreter) -> None:
    """The environment then puts the output after the whole token; the next block is found all the same."""
    assert session(text := block("x = 20")) == output("")
    assert session(f"{text}\n\n{output('')}{block('print(x + 22)')}") == output("42")


# --- the interpreter


def test_what_the_model_writes_is_never_the_hosts_failure(session: Interpreter) -> None:
    text = ""
    for code in ["\x00", "\ud800", "(" * 5000, "import os; os._exit(0)", "raise SystemExit", "x" * 200_000, "1 +"]:
        said = session(text := text + block(code))
        assert said is not None and said.startswith("```output\n") and said.endswith("\n```\n")
    assert told(session) == (7, 7, 0)
    assert session(text + block("6 * 7")) == output("42")


@MODES
def test_a_session_pickles_as_its_cells_and_runs_them_again(mode: str) -> None:
    codes = ["import random\nx = random.random()", "x += 1\nprint(x)", "1 / 0", "print(x, random.random())"]
    with closing(Python(mode=mode).open(PROBLEM, 7)) as session, closing(Python(mode=mode).open(PROBLEM, 7)) as twin:  # type: ignore[arg-type]
        text = ""
        for code in codes:
            text += block(code)
            with closing(pickle.loads(pickle.dumps(session))) as again:
                said = session(text)
                assert said == twin(text) == again(text) and again.report() == session.report()
            assert session._live is not None or mode == "replay", "pickling has not closed it"


def test_a_lost_session_says_so_and_pickles_as_what_came_after(session: Interpreter) -> None:
    session(text := block("x = 1"))
    said = session(text := text + block("import os; os._exit(1)"))
    assert said is not None and "all variables are gone" in said and session.cells == []
    assert "NameError" in str(session(text := text + block("x")))
    session(text := text + block("x = 2"))
    with closing(pickle.loads(pickle.dumps(session))) as again:
        assert again(text + block("x")) == session(text + block("x")) == output("2")


def test_sessions_share_nothing() -> None:
    with closing(Python().open(PROBLEM, 0)) as one, closing(Python().open(PROBLEM, 0)) as two:
        one(block("import math; math.pi = 3; x = 1"))
        assert two(block("print(math.pi) if 'math' in dir() else print('x' in dir())")) == output("False")


def test_the_environment_pickles_between_two_blocks() -> None:
    env = ReasoningEnv("arithmetic", "longcot", [Python()])
    env.reset(seed=0, options={"problem": PROBLEM})
    env.step(block("x = 42"))
    again = pickle.loads(pickle.dumps(env))
    for one in (env, again):
        assert one.step(block("print(x)"))[0]["response"].endswith(output("42"))
        *_, info = one.step("\\boxed{42}")
        assert list(info["tools"][0].values()) == [2, 0, 1, 0] and info["correct"] == 1.0


def warm_interpreter() -> int:
    """The process that forks this process's sessions: inside of bubblewrap's own, where there is one."""
    running: Any = sandbox.nursery()
    pid = int(running.process.pid)
    while "python" not in os.readlink(f"/proc/{pid}/exe"):
        pid = int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
    return pid


def test_a_sandbox_that_is_killed_in_mid_call_makes_the_episode_invalid_and_the_next_one_has_another() -> None:
    env = ReasoningEnv("arithmetic", "longcot", [Python()])
    env.reset(seed=0, options={"problem": PROBLEM})
    env.step(block("x = 1"))
    killer = threading.Timer(0.3, os.kill, (warm_interpreter(), signal.SIGKILL))
    killer.start()
    _, reward, terminated, truncated, info = env.step(block("import time\ntime.sleep(4)"))
    killer.join()
    assert math.isnan(reward) and (terminated, truncated, info["valid"]) == (False, True, False)
    assert "sandbox" in info["error"] and info["tools"][0]["code_runs"] == 1
    env.reset(seed=0, options={"problem": PROBLEM})
    assert env.step(block("6 * 7"))[0]["response"].endswith(output("42"))


# --- replay, as the official code does it


@pytest.mark.parametrize(
    ("cells", "before"),
    [
        ([Cell("x = 1\n\nprint(x)\npprint(x)", "1")], ["x = 1"]),
        ([Cell("x = 1", "Traceback ..."), Cell("y = 2", ""), Cell("z = 3", "an ERROR of 0.1")], ["y = 2"]),
        ([Cell("for i in range(2):\n    print(i)", "0\n1")], []),
        ([Cell("sp.pprint(x)\nsympy.pprint(x)\nrprint(x)\nprinter = 3\ny = 4", "")], ["y = 4"]),
        ([Cell("x = 1", ""), Cell("y = 2", "")], ["x = 1", "y = 2"]),
    ],
)
def test_a_replayed_program(cells: list[Cell], before: list[str]) -> None:
    assert program(cells, "print(x)\n") == "\n".join([*before, "print(x)\n"])


def test_replay_starts_from_nothing_each_time() -> None:
    with closing(Python(mode="replay").open(PROBLEM, 0)) as session:
        session(text := block("x = [1]"))
        session(text := text + block("x.append(2)\nprint(x)"))
        assert session(text := text + block("x.append(3)\nx")) == output("[1, 2, 3]")
        session(text := text + block("x.clear()\n1 / 0"))
        assert session(text + block("x")) == output("[1, 2, 3]"), "what failed is left out"


# --- settings and parts


@pytest.mark.parametrize("wrong", [{"calls": 0}, {"seconds": 0.0}, {"memory": 0}, {"output": 1}, {"mode": "repl"}])
def test_wrong_settings_are_one_line(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="python: ") as caught:
        Python(**wrong)
    assert "\n" not in str(caught.value)


def test_parts_and_seeds() -> None:
    env = ReasoningEnv("arithmetic", "longcot", "python(calls=3, seconds=1.5, mode='replay')")
    assert env.tools == [Python(calls=3, seconds=1.5, mode="replay")]
    obs, info = env.reset(seed=0)
    assert obs["prompt"].endswith(Python().hint) and info["stop"] == ["```\n"]
    draws = []
    for seed in (3, 3, 4):
        with closing(Python().open(PROBLEM, seed)) as session:
            draws.append(session(block("import random, numpy\nprint(random.random(), numpy.random.random())")))
    assert draws[0] == draws[1] != draws[2]


def test_a_cell_may_use_numpy_and_sympy(session: Interpreter) -> None:
    code = "import numpy as np, sympy as sp\nprint(np.arange(4).sum(), sp.factorint(8051))"
    assert session(block(code)) == output("6 {83: 1, 97: 1}")
