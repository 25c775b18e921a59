"""Checkpoints: what loads them, what a kill leaves, and what cannot be saved or resumed."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, LlamaConfig, LlamaForCausalLM

from reasongym import parts
from reasongym.algos import checkpoint
from reasongym.core import UserError
from reasongym.shaping import Truth
from reasongym.tokenizer import ByteTokenizer, load


@pytest.fixture
def model() -> LlamaForCausalLM:
    return llama()


def llama() -> LlamaForCausalLM:
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return LlamaForCausalLM(LlamaConfig(vocab_size=258, **small))


def save(out: Path, step: int, model: Any, keep: int = 2, **state: Any) -> Path:
    return checkpoint.save(out, step, model, ByteTokenizer(), {"optimizer": {}, **state}, keep)


def test_transformers_loads_the_folder_and_gives_the_same_logits(tmp_path: Path, model: Any) -> None:
    folder = str(save(tmp_path, 7, model))
    assert Path(folder).name == "step-000007"
    loaded: Any = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer("^123\n é", return_tensors="pt")["input_ids"]
    assert ids[0].tolist() == ByteTokenizer().encode("^123\n é") and tokenizer.decode(ids[0]) == "^123\n é"
    assert torch.equal(loaded(input_ids=ids).logits, model(input_ids=ids).logits)
    assert (tokenizer.eos_token_id, tokenizer.pad_token_id) == (256, 257)
    ends = GenerationConfig.from_pretrained(folder)
    assert (ends.eos_token_id, ends.pad_token_id) == ([256], 257)
    assert load(folder) == ByteTokenizer()


def test_state_comes_back_as_it_was(tmp_path: Path, model: Any) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    model(input_ids=torch.tensor([[1, 2, 3]]), labels=torch.tensor([[1, 2, 3]])).loss.backward()
    optimizer.step()
    save(tmp_path, 3, model, optimizer=optimizer.state_dict(), shaper={"best": {"a": 3, "b": None}, "t": (1, 2.5)})
    found = checkpoint.newest(tmp_path)
    assert found is not None
    folder, state = found
    assert (folder.name, state["step"], state["shaper"]) == (
        "step-000003",
        3,
        {"best": {"a": 3, "b": None}, "t": (1, 2.5)},
    )
    for old, new in zip(optimizer.state_dict()["state"].values(), state["optimizer"]["state"].values(), strict=True):
        assert all(torch.equal(old[k], new[k]) for k in old)


@pytest.mark.parametrize("keep", [1, 2, 5])
def test_only_the_last_are_kept_in_order_of_their_number(tmp_path: Path, model: Any, keep: int) -> None:
    for step in (8, 9, 10, 999_999, 1_000_000):  # names sort otherwise than numbers there
        save(tmp_path, step, model, keep)
    assert [int(p.name[5:]) for p in checkpoint.steps(tmp_path)] == [8, 9, 10, 999_999, 1_000_000][-keep:]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(p.name for p in checkpoint.steps(tmp_path))


def test_files_may_be_read_by_whoever_may_read_the_folder(tmp_path: Path, model: Any) -> None:
    old = os.umask(0o022)
    try:
        folder = save(tmp_path, 1, model)
    finally:
        os.umask(old)
    assert {oct(path.stat().st_mode & 0o777) for path in folder.iterdir()} == {"0o644"}


@pytest.mark.parametrize("out", ["file", "file/run"])
def test_a_file_is_no_folder(tmp_path: Path, out: str) -> None:
    (tmp_path / "file").write_text("mine")
    for start in (False, True):
        with pytest.raises(UserError, match="file is a file: choose another folder"):
            checkpoint.start(tmp_path / out, resume=start)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_run_is_not_overwritten(tmp_path: Path, model: Any) -> None:
    assert checkpoint.start(tmp_path / "none", resume=False) is None
    assert checkpoint.start(tmp_path / "none", resume=True) is None
    assert not (tmp_path / "none").exists()
    save(tmp_path, 4, model)
    with pytest.raises(UserError, match="step-000004.*--resume"):
        checkpoint.start(tmp_path, resume=False)
    found = checkpoint.start(tmp_path, resume=True)
    assert found is not None and found[1]["step"] == 4


@pytest.mark.parametrize(
    ("state", "agents"),
    [
        ({"agent": "grpo"}, ["grpo"]),
        ({"agent": "ppo", "critic": {}}, ["ppo"]),
        ({"critic": {}}, ["ppo"]),  # older ones, which do not say
        ({"monitor": {}}, ["redi"]),
        ({}, ["grpo", "sft"]),
    ],
)
def test_another_agents_run_is_not_resumed(
    tmp_path: Path, model: Any, state: dict[str, Any], agents: list[str]
) -> None:
    save(tmp_path, 4, model, **state)
    for agent in ("grpo", "ppo", "redi", "sft"):
        if agent in agents:
            assert checkpoint.start(tmp_path, resume=True, agent=agent)
        else:
            with pytest.raises(UserError, match=f"holds a run of agents.{' or '.join(agents)}: go on with that"):
                checkpoint.start(tmp_path, resume=True, agent=agent)


@pytest.mark.parametrize("resume", [False, True])
def test_what_a_kill_leaves_is_swept_and_other_folders_stay(tmp_path: Path, model: Any, resume: bool) -> None:
    for name in (".step-000004", ".step-000002-old", "step-best", "step-000001-mine", "stepladder"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_text("half")
    assert checkpoint.start(tmp_path, resume=resume) is None
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-000001-mine", "step-best", "stepladder"]


def test_a_draft_of_the_same_step_is_written_anew(tmp_path: Path, model: Any) -> None:
    (tmp_path / ".step-000004").mkdir(parents=True)
    (tmp_path / ".step-000004" / "junk").write_text("half")
    folder = save(tmp_path, 4, model)
    assert not (folder / "junk").exists() and not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "text"])
def test_a_broken_checkpoint_is_named_in_one_error(tmp_path: Path, model: Any, damage: str) -> None:
    save(tmp_path, 1, model)
    file = save(tmp_path, 2, model) / "trainer.pt"
    data = file.read_bytes()
    file.unlink()
    if damage != "missing":
        file.write_bytes({"empty": b"", "cut": data[: len(data) // 2], "text": b"not a checkpoint"}[damage])
    with pytest.raises(UserError, match="cannot resume from .*step-000002"):
        checkpoint.newest(tmp_path)


RESUMED = [
    ("hapo", ""),
    ("hapo", "adaptthink"),
    ("weighted(terms=[(1.0, 'hapo')])", "weighted(terms=[(1.0, 'cort')])"),
    ("cosine", "hapo"),
]


@pytest.mark.parametrize(("before", "after"), RESUMED)
def test_a_state_goes_back_to_the_same_part_only(before: str, after: str) -> None:
    was, now = (parts.make("rewards", spec) if spec else Truth() for spec in (before, after))
    state = checkpoint.states({"shaper": was, "curriculum": parts.make("curriculum", "uniform")})
    checkpoint.restore(state, {"shaper": parts.make("rewards", before)})
    with pytest.raises(
        UserError, match=r"^--resume: this run began with another --shaper \(.+\): give the same again$"
    ):
        checkpoint.restore(state, {"shaper": now})


def test_an_older_state_without_kinds_goes_back_too() -> None:
    shaper = parts.make("rewards", "hapo")
    checkpoint.restore({"step": 3, "shaper": {"lengths": {"a": 2.0}, "counts": {"a": 1}}}, {"shaper": shaper})
    assert shaper.lengths == {"a": 2.0}
    checkpoint.restore({"step": 3, "shaper": {}}, {"shaper": Truth()})  # nothing to load
    with pytest.raises(UserError, match="another --shaper"):
        checkpoint.restore({"step": 3, "shaper": {"lengths": {}}}, {"shaper": Truth()})


@pytest.mark.parametrize("value", [np.float64(1.0), np.zeros(2), Path("x")], ids=lambda x: type(x).__name__)
def test_what_could_not_be_resumed_is_refused_when_it_is_saved(tmp_path: Path, model: Any, value: Any) -> None:
    with pytest.raises(UserError, match="plain values"):
        save(tmp_path, 1, model, shaper={"value": value})
    assert not checkpoint.steps(tmp_path)


DIES = """
    import os, shutil, signal, sys
    from pathlib import Path
    from reasongym.algos import checkpoint
    from tests.algos.test_checkpoint import llama, save

    EVENTS = ("open", "os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.chmod", "shutil.rmtree")
    model, out, calls, last = llama(), Path(sys.argv[1]), 0, 0

    def audit(event, arguments):
        global calls
        if last and event in EVENTS and any("step-0" in str(a) for a in arguments):
            calls += 1
            if calls == last:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(audit)
    for n in range(1, 200):
        save(out / str(n), 1, model, keep=1)
        child = os.fork()
        if child == 0:
            last = n
            save(out / str(n), 2, model, keep=1)
            os._exit(0)
        if not os.WIFSIGNALED(os.waitpid(child, 0)[1]):
            break
        left = ",".join(sorted(p.name for p in (out / str(n)).iterdir()))
        folder, state = checkpoint.start(out / str(n), resume=True)
        type(model).from_pretrained(folder)
        rest = ",".join(sorted(p.name for p in (out / str(n)).iterdir()))
        print(n, left, folder.name, state["step"], rest)
    print(n - 1)
"""


def test_killed_at_any_moment_while_it_writes_the_older_one_is_whole(tmp_path: Path) -> None:
    """The process dies at its first, second, ... call of the system's file functions inside `save`."""
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(DIES), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root, timeout=100)
    assert done.returncode == 0, done.stderr
    *kills, count = done.stdout.splitlines()
    assert len(kills) == int(count) > 20
    found = [line.split() for line in kills]
    assert {left for _, left, *_ in found} >= {".step-000002,step-000001", ".step-000001-old,step-000002"}
    for _, _, folder, step, rest in found:
        assert folder == f"step-{int(step):06d}" and rest in (folder, "step-000001,step-000002")
