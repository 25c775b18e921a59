"""The benchmarks that need a device or minutes, run small: that they work, and what they print."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("tyro")

from benchmarks import cost_growth, gpu, real_lm, report
from reasongym.core import UserError
from reasongym.tokenizer import TINY

COMMON = {"bench", "ok", "seeds", "commit", "versions", "machine", "wall_s"}


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    return tmp_path


def test_gpu_small_on_the_cpu(results: Path, tmp_path: Path) -> None:
    gpu.main(gpu.Args(device="cpu", small=True, out=str(tmp_path / "runs"), save=True))
    got = json.loads((results / "gpu.json").read_text())
    own = {"tok_s", "update_tokens_s", "bf16_peak_tflops", "update_share_of_peak", "sweep", "max_diff", "learning_runs"}
    assert COMMON | own <= got.keys()
    assert got["ok"] and got["max_diff"] == {"greedy": 0, "logp": 0.0, "grad": 0.0}
    assert set(got["tok_s"]) == {"ours", "hf"} and min(got["tok_s"].values()) > 0
    assert got["update_tokens_s"] > 0 and 0 < got["update_share_of_peak"] < 10
    assert [(p["T"], p["arm"]) for p in got["sweep"]] == [(t, a) for t in (32, 64) for a in ("longcot", "delethink")]
    kv = {(p["T"], p["arm"]): p["kv_bytes"] for p in got["sweep"]}
    assert kv[32, "delethink"] == kv[64, "delethink"] == kv[32, "longcot"] < kv[64, "longcot"]
    assert [(r["env"], r["seed"], len(r["curve"])) for r in got["learning_runs"]] == [
        ("Delethink-v0", 0, 2),
        ("LongCoT-v0", 0, 2),
    ]


def test_gpu_says_that_there_is_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UserError, match="no CUDA device"):
        gpu.main(gpu.Args())


def test_cost_growth_small(results: Path) -> None:
    cost_growth.main(cost_growth.Args(chunk=32, carry=8, rows=2, heads=2, rounds=2, real=2, save=True))
    got = json.loads((results / "cost_growth.json").read_text())
    assert COMMON <= got.keys() and not got["ok"]  # a chunk of 32 is below the bar
    assert got["chunk"] == 32 and got["T"] == [32, 64, 128, 256, 512]
    for key in ("wall_s", "kv_bytes"):
        assert {arm: len(v) for arm, v in got[key].items()} == {"longcot": 5, "delethink": 5}
    assert set(got["slope_2_16"]) == {"longcot", "delethink"}
    assert got["kv_flatness"] == 1.0 and got["kv_bytes"]["longcot"][-1] > 8 * got["kv_bytes"]["delethink"][-1]
    assert got["wall_ratio_16x"] > 0 and got["closed_form_ratio_16x"] > 0


def test_closed_form() -> None:
    # without attention each chunk is paid whole; with nothing else the ratio is S^2 / (2S - 1) at half a chunk carried
    assert cost_growth.closed_form(1.0, 0.0, 16 * 512, 512, 256) == pytest.approx(16 / 31)
    assert cost_growth.closed_form(0.0, 1.0, 16 * 512, 512, 256) == pytest.approx(16**2 / 31)


def test_slope() -> None:
    t = np.array([2.0, 4.0, 8.0, 16.0])
    assert cost_growth.slope(t, 3 * t**1.5) == pytest.approx(1.5)


def test_real_lm_with_the_tiny_model(results: Path, tmp_path: Path) -> None:
    (tmp_path / "gsm8k").mkdir()
    rows = [{"question": f"What is {i} plus 1?", "answer": f"It is {i + 1}.\n#### {i + 1}"} for i in range(3)]
    (tmp_path / "gsm8k" / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    real_lm.main(
        real_lm.Args(
            str(TINY), str(tmp_path), problems=3, steps=1, dtype="float32", out=str(tmp_path / "out"), save=True
        )
    )
    got = json.loads((results / "real_lm.json").read_text())
    keys = {"model", "env", "problems", "accuracy", "ci95", "trajectories_file", "grpo_steps", "rewards"}
    assert COMMON | keys <= got.keys() and got["ok"]
    for env in ("LongCoT-v0", "Delethink-v0"):
        lines = [json.loads(line) for line in Path(got["trajectories_file"][env]).read_text().splitlines()]
        assert len(lines) == 3 and all(line["segments"] and line["env"] == env for line in lines)
        assert got["grpo_steps"][env] == 1 and len(got["rewards"][env]) == 1
    assert not list((tmp_path / "out").glob("grpo-*/step-*"))  # the checkpoints are large


def test_real_lm_says_what_is_absent(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="REASONGYM_SMOLLM2"):
        real_lm.main(real_lm.Args(model="", data=str(tmp_path)))
    with pytest.raises(UserError, match="REASONGYM_DATA"):
        real_lm.main(real_lm.Args(model=str(TINY), data=str(tmp_path)))
