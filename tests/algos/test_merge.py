"""Merging weights: golden numbers, what is refused, and no more memory than a few tensors."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from reasongym import cli
from reasongym.algos import checkpoint
from reasongym.algos.merge import merge, merge_folders
from reasongym.core import UserError
from reasongym.policies.hf import HF
from reasongym.tokenizer import ByteTokenizer


def states(*rows: list[float], dtype: torch.dtype = torch.float32) -> list[dict[str, torch.Tensor]]:
    return [{"w": torch.tensor(row, dtype=dtype)} for row in rows]


def stored(folder: Path, state: dict[str, Any], shards: int = 1) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"of": folder.name}))
    (folder / "trainer.pt").write_bytes(b"state")
    names = list(state)
    for n in range(shards):
        save_file({k: state[k] for k in names[n::shards]}, folder / f"model-{n}.safetensors", metadata={"format": "pt"})
    return folder


def random_state(seed: int, dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = {"a": (3, 4), "b": (5,), "c": (2, 2, 2), "scalar": (), "empty": (0, 3)}
    return {k: torch.randn(s, generator=generator).to(dtype) for k, s in shapes.items()} | {"n": torch.tensor([3, 4])}


def test_merge_golden() -> None:
    """VibeThinker (2511.06221, section 3.3): the plain mean; and with weights of one's own."""
    four = states([0, 2], [2, 4], [4, 6], [6, 8])
    assert merge(four)["w"].tolist() == [3, 5]
    assert merge(four, [0.5, 0, 0, 0.5])["w"].tolist() == [3, 5]
    assert merge(four[:2], [0.75, 0.25])["w"].tolist() == [0.5, 2.5]
    assert merge(four[2:3])["w"].tolist() == [4, 6]


def test_half_precision_is_added_up_in_float32() -> None:
    """256 + 1 is 256 in bfloat16: a running sum there would lose every one of these ones."""
    rows = [[256.0], *[[1.0]] * 3]
    merged = merge(states(*rows, dtype=torch.bfloat16), [0.25] * 4)["w"]
    assert merged.dtype == torch.bfloat16 and merged.item() == torch.tensor(259 / 4, dtype=torch.bfloat16).item()


@pytest.mark.parametrize("weights", [[1.0], [0.5, 0.6], [1.5, -0.5], []])
def test_weights_that_are_no_shares(weights: list[float]) -> None:
    with pytest.raises(UserError, match="sum 1"):
        merge(states([0, 2], [2, 4]), weights)
    with pytest.raises(UserError, match="one for each"):
        merge([], weights)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a missing key": ({"w": torch.zeros(2)}, "differ in bias"),
    "one too many": ({"w": torch.zeros(2), "bias": torch.zeros(1), "more": torch.zeros(1)}, "differ in more"),
    "another shape": ({"w": torch.zeros(3), "bias": torch.zeros(1)}, "w is "),
    "another type": ({"w": torch.zeros(2).half(), "bias": torch.zeros(1)}, "w is "),
    "the same bytes in another shape": ({"w": torch.zeros(1, 2), "bias": torch.zeros(1)}, "w is "),
}


@pytest.mark.parametrize("kind", WRONG)
def test_models_that_do_not_match_are_refused(tmp_path: Path, kind: str) -> None:
    first, (second, said) = {"w": torch.zeros(2), "bias": torch.zeros(1)}, WRONG[kind]
    with pytest.raises(UserError, match=said):
        merge([first, second])
    folders = [stored(tmp_path / name, state) for name, state in (("a", first), ("b", second))]
    with pytest.raises(UserError, match=said):
        merge_folders(folders, tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]


def test_counters_must_agree(tmp_path: Path) -> None:
    same, other = {"n": torch.tensor([1, 2])}, {"n": torch.tensor([1, 3])}
    assert merge([same, same])["n"].tolist() == [1, 2]
    folders = [stored(tmp_path / name, state) for name, state in (("a", same), ("b", other), ("c", same))]
    for call in (lambda: merge([same, other]), lambda: merge_folders(folders[:2], tmp_path / "out")):
        with pytest.raises(UserError, match="n is .*differs"):
            call()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b", "c"]  # nothing half-written either
    merge_folders([folders[0], folders[2]], tmp_path / "out")
    assert load_file(tmp_path / "out" / "model-0.safetensors")["n"].tolist() == [1, 2]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shards", [(1, 1, 1), (3, 2, 1)])
def test_folders_merge_as_state_dicts_do(tmp_path: Path, dtype: torch.dtype, shards: tuple[int, ...]) -> None:
    """However each is sharded; the files are those of the first, without its trainer's state."""
    three = [random_state(seed, dtype) for seed in range(3)]
    folders = [stored(tmp_path / f"m{i}", s, n) for i, (s, n) in enumerate(zip(three, shards, strict=True))]
    out = merge_folders(folders, tmp_path / "out", [0.5, 0.25, 0.25])
    names = {f"model-{n}.safetensors" for n in range(shards[0])}
    assert {path.name for path in out.iterdir()} == {"config.json", *names}
    assert json.loads((out / "config.json").read_text()) == {"of": "m0"}
    merged = {k: v for name in sorted(names) for k, v in load_file(out / name).items()}
    wanted = merge(three, [0.5, 0.25, 0.25])
    assert merged.keys() == wanted.keys() and all(torch.equal(merged[k], wanted[k]) for k in wanted)
    assert all(merged[k].dtype == three[0][k].dtype for k in wanted)


def test_what_is_no_checkpoint(tmp_path: Path) -> None:
    good = stored(tmp_path / "good", random_state(0))
    (tmp_path / "empty").mkdir()
    bad = stored(tmp_path / "bad", random_state(1))
    with pytest.raises(UserError, match="no \\*.safetensors"):
        merge_folders([good, tmp_path / "empty"], tmp_path / "out")
    file = bad / "model-0.safetensors"
    whole = file.read_bytes()
    for data, said in ((whole[:-4], "not whole"), (whole[:40], "no safetensors"), (b"", "no safetensors")):
        file.write_bytes(data)
        with pytest.raises(UserError, match=said):
            merge_folders([good, bad], tmp_path / "out")
    with pytest.raises(UserError, match="there already"):
        merge_folders([good], tmp_path / "empty")
    with pytest.raises(UserError, match="model-0.safetensors is a file"):
        merge_folders([good], good / "model-0.safetensors" / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad", "empty", "good"]


def test_transformers_loads_what_the_command_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    models = []
    for seed in range(2):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            models.append(LlamaForCausalLM(LlamaConfig(vocab_size=258, **sizes)))
        checkpoint.save(tmp_path / str(seed), 1, models[-1], ByteTokenizer(), {})
    folders, out = [str(tmp_path / str(seed) / "step-000001") for seed in range(2)], str(tmp_path / "merged")
    cli.main(["merge", *folders, "--out", out, "--weights", "0.25", "0.75"])
    assert capsys.readouterr().out == f"model: {out}\n"
    loaded: Any = AutoModelForCausalLM.from_pretrained(out)
    one, other = (m.state_dict() for m in models)
    for name, tensor in loaded.state_dict().items():
        torch.testing.assert_close(tensor, 0.25 * one[name] + 0.75 * other[name])
    assert HF(out).tokenizer.fingerprint == ByteTokenizer().fingerprint


MEASURED = """
import resource, sys, torch
from reasongym.algos.merge import merge, merge_folders
merge([{"w": torch.ones(9)}] * 2)  # whatever torch sets up at first use
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
merge_folders(sys.argv[2:], sys.argv[1])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB on Linux only")
def test_memory_is_that_of_a_few_tensors(tmp_path: Path) -> None:
    """Three models of 64 MiB in one file each, tensors of 4 MiB: a part of one model is held."""
    tensor = torch.randn(1 << 20, generator=torch.Generator().manual_seed(0))
    state = {f"t{i}": tensor.clone() for i in range(16)}
    folders = [str(stored(tmp_path / f"m{i}", state)) for i in range(3)]
    program = [sys.executable, "-c", MEASURED, str(tmp_path / "out"), *folders]
    done = subprocess.run(program, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 40 * 1024, f"{int(done.stdout) / 1024:.0f} MiB"
    merged = load_file(tmp_path / "out" / "model-0.safetensors")
    assert len(merged) == 16 and torch.allclose(merged["t15"], tensor)
