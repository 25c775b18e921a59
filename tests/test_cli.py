"""Command lines: what a user gets wrong is one clear line and exit code 2, before anything is written."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
import torch

from reasongym import IDS, cli
from reasongym.core import UserError

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def other_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model whose tokenizer is not the byte tokenizer."""
    from tokenizers import Tokenizer, models
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = str(tmp_path_factory.mktemp("other"))
    words = {word: n for n, word in enumerate(["<end>", *"0123456789^=abcd"])}
    raw = Tokenizer(models.BPE(vocab=words, merges=[]))
    PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<end>").save_pretrained(folder)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    LlamaForCausalLM(LlamaConfig(vocab_size=len(words), **sizes)).save_pretrained(folder)
    return folder


def refused(capsys: pytest.CaptureFixture[str], main: Any, arguments: Any, argv: list[str]) -> str:
    """The one line that a bad command gets."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        cli.run(main, arguments, argv)
    out, err = capsys.readouterr()
    assert (end.value.code, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith("error: ") and len(line) < 500
    return line


SHARED = {
    "--env Nonsense-v0": "Nonsense",
    "--env nowhere:Nonsense-v0": "nowhere",
    "--env CartPole-v1": "CartPole-v1",
    "--env.task nonsense": "nonsense",
    "--env.thinking nonsense": "nonsense",
    "--env Delethink-v0 --env.chunk 8 --env.carry 8": "chunk=8 must be larger than carry=8",
    "--env LongCoT-v0 --env.budget -5": "budget=-5",
    "--env.nonsense 3": "nonsense",
    "--env.low": "--env.low needs a value",
    "--env.low --seed 1": "--env.low needs a value",
    "--env.low x": "register",
    "--model /nowhere/at-all": "/nowhere/at-all",
    "--device cuda" if not torch.cuda.is_available() else "--device cuda:99": "cuda",
    "--device nonsense": "nonsense",
    "--nonsense 3": "--nonsense",
    "--steps many": "many",
    "--steps 0": "--steps 0 must be at least 1",
    "--dtype float16": "float16",
    "--seed -1": "--seed -1",
}


@pytest.mark.parametrize("agent", ["grpo", "ppo", "sft", "redi"])
@pytest.mark.parametrize("words", SHARED)
def test_a_bad_argument_is_one_line_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], agent: str, words: str
) -> None:
    module: Any = __import__(f"reasongym.agents.{agent}", fromlist=["main"])
    line = refused(capsys, module.main, module.Args, [*words.split(), "--out", str(tmp_path / "a" / "run")])
    assert SHARED[words] in line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("agent", ["grpo", "ppo", "sft", "redi"])
def test_tokenizers_that_differ_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], other_model: str, agent: str
) -> None:
    module: Any = __import__(f"reasongym.agents.{agent}", fromlist=["main"])
    argv = ["--model", other_model, "--env.tokenizer", "bytes", "--out", str(tmp_path / "run")]
    line = refused(capsys, module.main, module.Args, argv)
    assert "--env.tokenizer" in line and other_model in line
    assert not list(tmp_path.iterdir())


def test_only_grpo_and_only_sft(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from reasongym.agents import grpo, sft

    out = ["--out", str(tmp_path / "run")]
    assert "--budget -3" in refused(capsys, grpo.main, grpo.Args, ["--budget", "-3", *out])
    assert "--tis" in refused(capsys, grpo.main, grpo.Args, ["--top-p", "0.9", *out])
    assert "sooverlong" in refused(capsys, grpo.main, grpo.Args, ["--shaper", "sooverlong(limit=3)", *out])
    assert "buffer=9" in refused(capsys, grpo.main, grpo.Args, ["--shaper", "overlong(limit=3, buffer=9)", *out])
    assert not list(tmp_path.iterdir())
    data = tmp_path / "rows.jsonl"
    rows = [{"prompt": "x", "response": "y"}] * 6 + [{"prompt": "x"}]
    data.write_text("\n".join(map(json.dumps, rows)))
    line = refused(capsys, sft.main, sft.Args, ["--data", str(data), *out])
    assert f"{data}, line 7" in line and "'response'" in line
    assert [p.name for p in tmp_path.iterdir()] == ["rows.jsonl"]


def test_a_run_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from reasongym.agents import sft

    argv = ["--steps", "1", "--batch", "1", "--env.high", "24", "--out", str(tmp_path / "run")]
    cli.run(sft.main, sft.Args, argv)
    files = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert "--resume" in refused(capsys, sft.main, sft.Args, argv)
    assert files == {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}


def test_dry_run_prints_what_would_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from reasongym.agents import grpo

    argv = "--dry-run --lr 3e-5 --env LongCoT-v0 --env.low=3 --env.task gsm8k --env.tools ['a','b']".split()
    cli.run(grpo.main, grpo.Args, [*argv, "--env.answer-after", "None", "--out", str(tmp_path / "run")])
    told = json.loads(capsys.readouterr().out)
    assert told["env_settings"] == {"low": 3, "task": "gsm8k", "tools": ["a", "b"], "answer_after": None}
    assert (told["env"], told["lr"], told["group"]) == ("LongCoT-v0", 3e-5, 8)
    assert not list(tmp_path.iterdir())


def test_settings_of_one_run_do_not_leak_into_the_next() -> None:
    @dataclass
    class Args:
        env_settings: dict[str, Any] = field(default_factory=dict)

    assert cli.parse(Args, ["--env.low", "3"]).env_settings == {"low": 3}
    assert cli.parse(Args, []).env_settings == {}
    with pytest.raises(UserError, match=r"--env\.low"):
        cli.parse(dataclass(type("None_", (), {})), ["--env.low", "3"])


def test_environments_speak_the_tokenizer_of_the_policy(other_model: str) -> None:
    from reasongym.tokenizer import ByteTokenizer, load

    envs = cli.make_envs("LongCoT-v0", 3, {}, load(other_model))
    assert {env.unwrapped.tokenizer.fingerprint for env in envs} == {load(other_model).fingerprint}  # type: ignore[attr-defined]
    assert len({id(env.unwrapped) for env in envs}) == 3
    cli.make_envs("LongCoT-v0", 1, {"tokenizer": "bytes"}, ByteTokenizer())  # said twice is no error


# --- in a process of its own


def python(*argv: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *argv], cwd=ROOT, capture_output=True, text=True, timeout=100, input=stdin)


def test_importing_the_command_line_loads_no_torch() -> None:
    program = "import sys, reasongym.cli; print(*sorted({'torch', 'transformers', 'tyro'} & set(sys.modules)))"
    done = python("-c", program)
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")


def test_a_program_shows_no_bars_but_its_own(tmp_path: Path) -> None:
    program = (
        "from transformers.utils import logging; from reasongym import cli; from reasongym.agents import sft; "
        "assert logging.is_progress_bar_enabled(); cli.run(sft.main, sft.Args); "
        "assert not logging.is_progress_bar_enabled()"
    )
    done = python("-c", program, "--steps", "1", "--batch", "1", "--env.high", "24", "--out", str(tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    assert "sft:" in done.stderr and "Loading" not in done.stderr and "Writing" not in done.stderr
    assert done.stdout == f"model: {tmp_path}/run/step-000001\n"


def test_a_real_command_fails_in_one_line(tmp_path: Path) -> None:
    done = python("-m", "reasongym.agents.grpo", "--model", "/nowhere", "--out", str(tmp_path / "run"))
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert "Traceback" not in done.stderr and not list(tmp_path.iterdir())


def test_the_module_is_the_script() -> None:
    done = python("-m", "reasongym", "play", "LongCoT-v0", "--env.low", "6", "--env.high", "6", stdin="x")
    assert done.returncode == 0 and "score 0, answer None, gold" in done.stdout and done.stderr == ""


# --- reasongym list, play, check, eval


def test_list_names_every_id_and_part(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["list"])
    lines = capsys.readouterr().out.splitlines()
    assert set(IDS) <= set(lines)
    families = dict(line.split(": ", 1) for line in lines if ": " in line)
    assert set(families) >= {"tasks", "thinking", "rewards", "policies"}
    assert "register" in families["tasks"].split(", ") and families["thinking"] == "delethink, longcot"


@pytest.mark.parametrize(("thought", "score"), [("=8506", "score 1"), ("=8507", "score 0")])
def test_play(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], thought: str, score: str) -> None:
    problem = cli.make_envs("LongCoT-v0", 1, {"low": 3, "high": 3})[0].reset(seed=0)[1]["problem"]
    right = thought == "=8506"
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"={problem.answer}\n" if right else "=\n"))
    cli.main(["play", "LongCoT-v0", "--env.low", "3", "--env.high", "3"])
    said = capsys.readouterr().out
    assert problem.prompt in said and score in said and f"gold {problem.answer!r}" in said and "[8192 tokens]" in said


def test_play_shows_each_window_and_may_be_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("123456789\nab\n"))
    cli.main(["play", "Delethink-v0", *"--env.chunk 8 --env.carry 4 --env.head 0 --env.max-chunks 2".split()])
    said = capsys.readouterr().out
    assert "[8 tokens]" in said and "\n5678\n[4 tokens]" in said and "score 0" in said
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    cli.main(["play", "LongCoT-v0"])
    assert "score" not in capsys.readouterr().out


def test_check_says_what_passes_and_what_does_not(capsys: pytest.CaptureFixture[str]) -> None:
    for id in IDS:
        cli.main(["check", id])
        assert f"{id}: check_env passes" in capsys.readouterr().out
    from reasongym.env import ReasoningEnv

    class Forgetful(ReasoningEnv):
        def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
            obs, info = super().reset(seed=seed, options=options)
            return {"prompt": obs["prompt"]}, info

    gym.register("Forgetful-v0", entry_point=Forgetful)
    try:
        with pytest.raises(SystemExit, match="2"):
            cli.main(["check", "Forgetful-v0"])
        assert "Forgetful-v0 fails check_env" in capsys.readouterr().err
    finally:
        del gym.registry["Forgetful-v0"]


def test_eval_writes_trajectories_and_a_summary_for_each_budget(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = "eval --env LongCoT-v0 --env.low 24 --env.high 26 --problems 6 --k 4 --budgets 40,28,31".split()
    cli.main([*argv, "--out", str(tmp_path / "run")])
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    told = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert told["cells"] == printed and told["settings"]["k"] == 4
    assert [cell["budget"] for cell in printed] == [28, 31, 40]
    accuracies = [cell["accuracy"] for cell in printed]
    assert accuracies == sorted(accuracies) and accuracies[0] == 0 < accuracies[2]  # none is under 29 tokens
    assert all(
        cell["pass@1"] == pytest.approx(cell["accuracy"]) and cell["accuracy"] <= cell["pass@4"] for cell in printed
    )
    lines = (tmp_path / "run" / "trajectories.jsonl").read_text().splitlines()
    assert len(lines) == 24
    assert sum(json.loads(line)["verdict"]["score"] for line in lines) / 24 == pytest.approx(accuracies[2])


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("", "{list, play, check, eval"),
        ("nonsense", "nonsense"),
        ("play", "Missing from reasongym play"),
        ("eval --k many", "--k: invalid literal for int() with base 10: 'many'"),
        ("play Nonsense-v0", "Nonsense"),
        ("list --env.low 3", "--env.low"),
        ("check CartPole-v1", "CartPole-v1"),
        ("eval --problems 0", "--problems 0"),
        ("eval --budgets 8,x", "--budgets 8,x"),
        ("eval --budgets 8,-1", "--budgets 8,-1"),
        ("eval --model /nowhere", "/nowhere"),
        ("eval --env Nonsense-v0", "Nonsense"),
        ("eval --top-p 0", "top_p"),
    ],
)
def test_bad_commands(capsys: pytest.CaptureFixture[str], words: str, named: str) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(words.split())
    out, err = capsys.readouterr()
    assert (end.value.code, out, len(err.splitlines())) == (2, "", 1)
    assert err.startswith("error: ") and named in err
