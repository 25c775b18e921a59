"""The SFT agent: its windows are what the environment shows, its loss falls, and a killed run resumes exactly."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from reasongym.agents import sft
from reasongym.algos.packing import pack_examples
from reasongym.core import Completion, HostError, Problem, UserError, Verdict
from reasongym.env import ReasoningEnv
from reasongym.policies.scripted import Scripted
from reasongym.report.log import read_log
from reasongym.rollout import rollout
from reasongym.thinking import Delethink, LongCoT
from reasongym.tokenizer import ByteTokenizer, Chat, HFTokenizer, model_folder
from tests.agents.refused import OPTIMIZER


def shown(thinking: Any, trace: list[int]) -> dict[int, tuple[list[int], int]]:
    """What ``env`` shows in each window of a trace: where it begins -> (context, tokens written in it)."""
    env = ReasoningEnv("register", thinking)
    _, info = env.reset(seed=0)
    at, windows = 0, {}
    while at < len(trace):
        room = info["room"]
        windows[at] = (list(info["response_ids"]), min(room, len(trace) - at))
        at += room
        _, _, terminated, truncated, info = env.step(Completion("", tuple(trace[at - room : at]), finish="length"))
        if terminated or truncated:
            break
    return windows


@pytest.mark.parametrize(
    "thinking",
    [
        Delethink(32, 12, 0, 5),
        Delethink(32, 20, 4, 8),
        Delethink(16, 12, 3, 30),
        Delethink(8, 4, 1, 40, variant="paper"),
        Delethink(8, 6, 1, 60, variant="paper"),  # later windows carry fewer tokens than the first
        Delethink(16, 12, 4, 40, variant="paper"),
        Delethink(16, 12, 0, 40, variant="paper", limit=60),
    ],
    ids=repr,
)
def test_windows_are_what_the_environment_shows(thinking: Delethink) -> None:
    trace = list(range(min(110, thinking.budget)))  # all different, so that a window says where it stands
    windows = shown(thinking, trace)
    rng = np.random.default_rng(0)
    met = set()
    for _ in range(4000):
        context, learned = sft.window(thinking, trace, rng, whole=0.0)
        at = learned[0]
        assert list(learned) == trace[at : at + len(learned)]
        if at in windows:
            met.add(at)
            expected, written = windows[at]
            assert (list(context), len(learned)) == (expected, written)
    assert met == set(windows) and len(windows) > 3


@settings(max_examples=200)
@given(
    chunk=st.integers(2, 40),
    carry=st.integers(1, 39),
    head=st.integers(0, 10),
    chunks=st.integers(1, 6),
    variant=st.sampled_from(["trainer", "paper"]),
    limit=st.none() | st.integers(1, 90),
    length=st.integers(1, 120),
    seed=st.integers(0, 2**32),
)
def test_a_window_is_never_empty_and_fits(
    chunk: int, carry: int, head: int, chunks: int, variant: Any, limit: int | None, length: int, seed: int
) -> None:
    carry = min(carry, chunk - 1)
    head = min(head, carry - 1 if variant == "trainer" else chunk)
    thinking = Delethink(chunk, carry, head, chunks, variant, limit=limit)
    context, learned = sft.window(thinking, range(length), np.random.default_rng(seed), 0.0)
    assert len(learned) > 0
    if not context:
        return  # a first window, or a whole trace
    assert len(context) + len(learned) <= chunk + (head if variant == "paper" else 0)
    assert thinking.max_chunks > 1 and list(learned) == list(range(learned[0], learned[-1] + 1))
    assert context[-1] == learned[0] - 1  # what was written last is always carried


@pytest.mark.parametrize(
    "thinking", [LongCoT(50), Delethink(32, 12, 0, 1), Delethink(32, 12, 0, 4, limit=30)], ids=repr
)
def test_without_resets_only_whole_traces_are_learned(thinking: Any) -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        assert sft.window(thinking, range(70), rng, 0.0) == ([], range(70))


def test_an_example_begins_with_what_a_policy_is_given(tmp_path: Path) -> None:
    """Prompt and context of an example are the prompt_ids of a rollout, up to the token that is learned first."""
    settings = {"chunk": 16, "carry": 8, "head": 2, "max_chunks": 9, "low": 30, "high": 30, "prefix": "<think>"}
    args = arguments(tmp_path, env="Delethink-v0", env_settings=settings, whole=0.0, system="Run it.")
    example = sft.source(args, ByteTokenizer())
    env = ReasoningEnv("register", Delethink(16, 8, 2, 9, prefix="<think>"), low=30, high=30)
    met = 0
    for seed in range(40):
        given_, learned = example(np.random.default_rng(seed))
        rng = np.random.default_rng(seed)
        problem = env.task.sample(rng)
        text = str(env.task.demonstrate(problem, rng))  # type: ignore[attr-defined]
        script: Any = {problem.prompt: [text[a:b] for a, b in split(text, 16, 8)]}
        policy = Scripted(script, "bytes", system="Run it.")
        (trajectory,) = rollout(policy, [env], [{"options": {"problem": problem}}])
        calls = trajectory.info["completions"]
        assert len(calls) == 4 and trajectory.verdict.score == 1
        seen = {call.prompt_ids: call.ids for call in calls}
        if tuple(given_) in seen:
            met += 1
            assert tuple(learned) == seen[tuple(given_)]
    assert met > 8


def split(text: str, first: int, later: int) -> list[tuple[int, int]]:
    """Windows of a text whose last one leaves space for the end token. Full ones are clipped by the room."""
    ends = [first, *range(first + later, len(text) + later, later)]
    return [(a, b + 1) for a, b in zip([0, *ends], ends, strict=False) if a < len(text)]


def test_what_opens_the_thought_is_learned_once(tmp_path: Path) -> None:
    """Not again where a prefix has opened it."""
    data = tmp_path / "rows.jsonl"
    data.write_text(json.dumps({"prompt": "Q", "response": "<think>a</think>b"}))
    for prefix, expected in (("", "Q<think>a</think>b"), ("<think>\n", "Q<think>\na</think>b")):
        args = arguments(tmp_path, data=str(data), env_settings={"prefix": prefix})
        given_, learned = sft.source(args, ByteTokenizer())(np.random.default_rng(0))
        assert ByteTokenizer().decode([*given_, *learned]) == expected + "<|end|>"
        assert ByteTokenizer().decode(given_) == "Q" + prefix


def test_a_template_that_opens_the_thought_keeps_its_opener(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    backend = AutoTokenizer.from_pretrained(model_folder("tiny"))
    backend.chat_template = "{% for m in messages %}U:{{ m.content }}{% endfor %}{{ '\nA:<think>\n' }}"
    tokenizer = HFTokenizer(backend)
    data = tmp_path / "rows.jsonl"
    data.write_text(json.dumps({"prompt": "Q", "response": "<think>\na</think>b"}))
    given_, learned = sft.source(arguments(tmp_path, data=str(data)), tokenizer)(np.random.default_rng(0))
    assert tokenizer.decode(given_) == "U:Q\nA:<think>\n" and tokenizer.decode(learned) == "a</think>b<|end|>"
    assert tuple(given_) == Chat(tokenizer).prompt_ids("Q")
    args = arguments(tmp_path, data=str(data), env_settings={"prefix": "<think>"})
    given_, learned = sft.source(args, tokenizer)(np.random.default_rng(0))
    assert tokenizer.decode(given_) == "U:Q\nA:<think>" and tokenizer.decode(learned) == "\na</think>b<|end|>"


def test_a_broken_off_demonstration_has_no_end_token(tmp_path: Path) -> None:
    args = arguments(tmp_path, env_settings={"low": 24, "high": 24, "demonstrator": "noise"})
    example = sft.source(args, ByteTokenizer())
    lasts = {example(np.random.default_rng(seed))[1][-1] for seed in range(60)}
    assert ByteTokenizer.eos_id in lasts and lasts & set(b"0123456789")


def test_demonstrations_of_a_range_of_levels(tmp_path: Path) -> None:
    """The register's level is its number of steps: n digits, "=abcd" and the end."""
    args = arguments(tmp_path, level=6, last=8)
    example = sft.source(args, ByteTokenizer())
    lengths = [len(example(np.random.default_rng(seed))[1]) for seed in range(90)]
    assert {n: 15 < lengths.count(n) < 50 for n in set(lengths)} == {12: True, 13: True, 14: True}


# --- demonstrations with tools


@dataclass(frozen=True)
class Shout:
    """Says again, in capitals, what stands since the last blank; nothing where that is empty."""

    stop: str = "!"
    hint: str = "A ! shouts."

    def open(self, problem: Problem, seed: int) -> Any:
        class Session:
            def __call__(self, text: str) -> str | None:
                return text[:-1].rpartition(" ")[2].upper() or None

            def close(self) -> None: ...

        return Session()


class Calls:
    """Problems whose demonstration calls twice, once for nothing."""

    def sample(self, rng: np.random.Generator, level: int = 0) -> Problem:
        return Problem.of("Q", "b")

    def demonstrate(self, problem: Problem, rng: np.random.Generator) -> str | Completion:
        return Completion("to ab! then ! c! d", finish="length" if rng.random() < 0.5 else "end")

    def verify(self, problem: Problem, text: str) -> Verdict:
        return Verdict(1.0)


def test_what_a_tool_says_in_a_demonstration_is_seen_and_not_learned(tmp_path: Path) -> None:
    """And the tool's hint stands in the prompt, as in a rollout."""
    args = arguments(tmp_path, env_settings={"task": Calls(), "tools": [Shout()], "prefix": "<think>"}, system="S")
    examples = [sft.source(args, ByteTokenizer())(np.random.default_rng(seed)) for seed in range(20)]
    told = {tuple(ByteTokenizer().decode(piece) for piece in example) for example in examples}
    pieces = ("S\nQ\nA ! shouts.<think>", "to ab!", "AB", " then ! c!", "C", " d")
    assert told == {pieces, (*pieces[:-1], " d<|end|>")}
    packed = pack_examples(examples[:1], 1)
    learned = ByteTokenizer().decode(packed.ids[packed.mask > 0].tolist())
    assert learned.removesuffix("<|end|>") == "to ab! then ! c! d"


@pytest.mark.parametrize("chunk", [5, 7, 9, 12])
def test_demonstrations_with_tools_under_resets_are_rows_of_a_rollout(chunk: int) -> None:
    """Each window of the thought, with the masks of a policy that writes the same."""
    env = ReasoningEnv(Calls(), Delethink(chunk, 4, 1, 30), [Shout()])  # type: ignore[arg-type]
    text, tokenizer = "to ab! then ! c! d", ByteTokenizer()
    asked: dict[str, Any] = {"seed": 0, "options": {"problem": Problem.of("Q")}}
    (wanted,) = rollout(Spells(text), [env], [asked], deterministic=True)
    rows = {(row.ids, row.mask) for row in wanted.segments}
    rng, met = np.random.default_rng(0), set()
    for _ in range(200):
        example = sft.played(env, Problem.of("Q"), text, Chat(tokenizer), rng)
        mask = tuple(turn % 2 for turn, piece in enumerate(example) for _ in piece)
        met.add((tuple(i for piece in example for i in piece), mask))
    assert met == rows and len(rows) > 2


class Spells:
    """Writes a text one byte a call; a byte that completes a stop pauses."""

    def __init__(self, text: str) -> None:
        self.left = [*ByteTokenizer().encode(text), ByteTokenizer.eos_id]

    def generate(self, requests: Any) -> list[Completion]:
        (request,) = requests
        token = self.left.pop(0)
        finish = "end" if not self.left else "pause" if chr(token) in request.stop else "length"
        prompt = (*request.prompt.encode(), *request.response_ids)
        return [Completion("", (token,), (0.0,), finish, prompt)]  # type: ignore[arg-type]


def test_a_demonstration_that_cannot_be_played_is_the_hosts_failure(tmp_path: Path) -> None:
    class Down(Shout):
        def open(self, problem: Problem, seed: int) -> Any:
            raise HostError("no engine")

    args = arguments(tmp_path, env_settings={"task": Calls(), "tools": [Down()]})
    with pytest.raises(HostError, match="no engine"):
        sft.source(args, ByteTokenizer())(np.random.default_rng(0))


# --- runs


def arguments(out: Path, **more: Any) -> sft.Args:
    given_ = {"env_settings": {"low": 6, "high": 10}, "steps": 6, "batch": 8, "row": 128, "lr": 3e-3, "warmup": 2}
    return sft.Args(**{**given_, "log_every": 1, "out": str(out / "run"), **more})


def metrics(out: str | Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in line.items() if k != "s"} for line in read_log(Path(out) / "metrics.jsonl")]


def same_weights(a: Path, b: Path) -> bool:
    x, y = (load_file(folder / "model.safetensors") for folder in (a, b))
    return x.keys() == y.keys() and all(torch.equal(x[k], y[k]) for k in x)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_loss_falls_from_random_weights(tmp_path: Path, dtype: Any, capsys: pytest.CaptureFixture[str]) -> None:
    args = arguments(tmp_path, fresh=True, steps=40, dtype=dtype, env="Delethink-v0",
                     env_settings={"chunk": 12, "carry": 6, "head": 0, "low": 8, "high": 14})  # fmt: skip
    sft.main(args)
    losses = [line["loss"] for line in metrics(args.out)]
    assert losses[0] == pytest.approx(np.log(258), abs=0.3)  # nothing is known yet
    assert np.mean(losses[-5:]) < 0.55 * losses[0]
    assert capsys.readouterr().out == f"model: {args.out}/step-000040\n"
    assert {w.dtype for w in load_file(Path(args.out, "step-000040", "model.safetensors")).values()} == {torch.float32}


def test_one_seed_one_run_and_global_random_streams_stay(tmp_path: Path) -> None:
    before = torch.random.get_rng_state()
    for name in "ab":
        sft.main(arguments(tmp_path / name, steps=2))
    sft.main(arguments(tmp_path / "c", steps=2, seed=1))
    a, b, c = (tmp_path / name / "run" for name in "abc")
    assert metrics(a) == metrics(b) != metrics(c) and same_weights(a / "step-000002", b / "step-000002")
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("left", [2, 4])
def test_resume_is_exact(tmp_path: Path, left: int) -> None:
    sft.main(arguments(tmp_path, save_every=2, keep=9, log_every=3))
    whole, out = tmp_path / "run", tmp_path / "again" / "run"
    shutil.copytree(whole, out)
    for step in range(left + 2, 7, 2):
        shutil.rmtree(out / f"step-{step:06d}")
    (out / ".step-000006").mkdir()
    sft.main(arguments(tmp_path / "again", save_every=2, keep=9, log_every=3, resume=True))
    assert [line["step"] for line in metrics(out)] == [0, 3, 5] and metrics(out) == metrics(whole)
    assert same_weights(out / "step-000006", whole / "step-000006")
    assert not list(out.glob(".step*"))


def test_resume_is_exact_with_dropout(tmp_path: Path) -> None:
    model, more = tmp_path / "model", {"save_every": 2, "keep": 9}
    shutil.copytree(model_folder("tiny"), model)
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | {"attention_dropout": 0.3}))
    sft.main(arguments(tmp_path, model=str(model), **more))
    shutil.copytree(tmp_path / "run", tmp_path / "again" / "run")
    shutil.rmtree(tmp_path / "again" / "run" / "step-000006")
    before = torch.get_rng_state()
    sft.main(arguments(tmp_path / "again", model=str(model), resume=True, **more))
    assert torch.equal(torch.get_rng_state(), before)  # the global stream stays as it is
    assert same_weights(tmp_path / "again" / "run" / "step-000006", tmp_path / "run" / "step-000006")
    sft.main(arguments(tmp_path / "none", **more))
    assert not same_weights(tmp_path / "none" / "run" / "step-000006", tmp_path / "run" / "step-000006")


def test_rows_of_a_file_are_cut_into_the_windows_of_the_thinking(tmp_path: Path) -> None:
    data = tmp_path / "rows.jsonl"
    data.write_text(json.dumps({"prompt": "Q", "response": "0123456789" * 3}))
    more = {"env": "Delethink-v0", "env_settings": {"chunk": 12, "carry": 6, "head": 0, "max_chunks": 5}, "whole": 0.0}
    example = sft.source(arguments(tmp_path, data=str(data), **more), ByteTokenizer())
    sizes = [tuple(map(len, example(np.random.default_rng(seed)))) for seed in range(50)]
    assert {size[0] for size in sizes} == {1, 7} and max(size[1] for size in sizes) == 12


BAD_ROWS = {
    "missing": ('{"prompt": "x", "answer": "y"}', "line 7: the field 'response'"),
    "json": ("{", "line 7: this is not JSON"),
    "type": ('{"prompt": "x", "response": 3}', "row 7 must both be text"),
}


@pytest.mark.parametrize("kind", BAD_ROWS)
def test_a_bad_row_is_named_and_nothing_is_written(tmp_path: Path, kind: str) -> None:
    line, said = BAD_ROWS[kind]
    data = tmp_path / "rows.jsonl"
    data.write_text("\n".join([json.dumps({"prompt": "x", "response": "y"})] * 6 + [line]))
    with pytest.raises(UserError, match=said):
        sft.main(arguments(tmp_path, data=str(data)))
    assert not (tmp_path / "run").exists()


class Mute:
    """A task that cannot show a solution."""

    def sample(self, rng: np.random.Generator, level: int = 0) -> Problem:
        return Problem.of("?")

    def verify(self, problem: Problem, text: str) -> Any:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"steps": 0}, "--steps"),
        ({"keep": 0}, "--keep"),
        *OPTIMIZER,
        ({"save_every": 0}, "--save-every"),
        ({"whole": 1.5}, "--whole"),
        ({"level": -1}, "--level"),
        ({"level": 3, "last": 2}, "--last"),
        ({"seed": -1}, "--seed"),
        ({"model": "/nowhere/at-all"}, "/nowhere/at-all"),
        ({"model": "/nowhere/at-all", "fresh": True}, "/nowhere/at-all"),
        ({"data": "/nowhere/at-all.jsonl"}, "/nowhere/at-all.jsonl"),
        ({"env_settings": {"task": Mute()}}, "demonstrate"),
        ({"device": "cuda:99" if torch.cuda.is_available() else "cuda"}, "cuda"),
        ({"device": "cuda:99" if torch.cuda.is_available() else "cuda", "fresh": True}, "cuda"),
    ],
)
def test_nonsense_is_refused_before_anything_is_written(tmp_path: Path, more: dict[str, Any], named: str) -> None:
    with pytest.raises(UserError, match=named):
        sft.main(arguments(tmp_path, **more))
    assert not (tmp_path / "run").exists()
