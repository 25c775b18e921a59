"""The spectrum: specialists by unbiased pass@k, first on ties, and their merge."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file

from reasongym import cli
from reasongym.agents import sft, spectrum
from reasongym.algos.merge import merge
from reasongym.core import UserError
from reasongym.evaluate import evaluate
from reasongym.policies.hf import HF

PROBES = {"short": "register(low=1, high=2)", "long": "register(low=4, high=6)"}


def test_specialists_golden() -> None:
    """VibeThinker (2511.06221, section 3.3): argmax over the checkpoints, and the first of equal ones."""
    passes = {"algebra": [0.1, 0.5, 0.5], "geometry": [0.0, 0.0, 0.0], "calculus": [0.2, 0.1, 0.3]}
    assert spectrum.specialists(passes) == {"algebra": 1, "geometry": 0, "calculus": 2}
    with pytest.raises(UserError, match="algebra"):
        spectrum.specialists({"algebra": [0.5, float("nan")]})


@pytest.fixture(scope="module")
def branches(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two short runs from the model of the package, one of which forgets it all."""
    out = []
    for name, lr in (("kept", 1e-6), ("lost", 0.3)):
        out.append(str(tmp_path_factory.mktemp("branches") / name))
        few = {"steps": 2, "batch": 1, "save_every": 1, "warmup": 0, "tensorboard": False}
        sft.main(sft.Args(env_settings={"low": 1, "high": 2}, lr=lr, out=out[-1], **few))  # type: ignore[arg-type]
    return out


def arguments(branches: list[str], out: Path, **more: Any) -> spectrum.Args:
    small = {"problems": 4, "k": 2, "attempts": 3, "env_settings": {"budget": 16}}
    return spectrum.Args(runs=tuple(branches), probes=PROBES, out=str(out), **{**small, **more})


def test_checkpoints_are_probed_picked_and_merged(
    branches: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = arguments(branches, tmp_path / "out", weights=(0.25, 0.75))
    spectrum.main(args)
    lines = [json.loads(line) for line in (tmp_path / "out" / "probes.jsonl").read_text().splitlines()]
    assert len({(line["model"], line["probe"]) for line in lines}) == len(lines) == 8  # 2 runs, 2 checkpoints, 2 probes
    lost = [line["pass"] for line in lines if "/lost/" in line["model"]]
    assert max(lost) == 0 < max(line["pass"] for line in lines)
    told = json.loads((tmp_path / "out" / "spectrum.json").read_text())
    chosen = [told["specialists"][name] for name in PROBES]
    for name, folder in zip(PROBES, chosen, strict=True):
        table = told["pass@2"][name]
        best = max(table.values())
        assert folder == next(model for model, value in table.items() if value == best) and "/kept/" in folder
    merged = load_file(tmp_path / "out" / "merged" / "model.safetensors")
    wanted = merge([load_file(Path(folder) / "model.safetensors") for folder in chosen], [0.25, 0.75])
    assert merged.keys() == wanted.keys() and all((merged[k] == wanted[k]).all() for k in wanted)
    assert capsys.readouterr().out.endswith(f"model: {tmp_path / 'out' / 'merged'}\n")


def test_the_figure_is_the_unbiased_pass_at_k(branches: list[str], tmp_path: Path) -> None:
    policy = HF(f"{branches[0]}/step-000001")
    args = arguments(branches, tmp_path)
    envs = cli.make_envs("LongCoT-v0", 12, {"budget": 16, "task": PROBES["long"]}, policy.tokenizer)
    rng = np.random.default_rng(0)
    problems = [envs[0].unwrapped.task.sample(rng) for _ in range(4)]  # type: ignore[attr-defined]
    right = [sum(t.verdict.score for t in group) for group in evaluate(policy, envs, problems, k=3, seed=0).batch]
    by_hand = np.mean([{0: 0, 1: 2 / 3, 2: 1, 3: 1}[int(c)] for c in right])  # 1 - C(3 - c, 2) / C(3, 2)
    assert spectrum.pass_at_k(args, policy, PROBES["long"]) == pytest.approx(by_hand)


def test_what_was_asked_is_not_asked_again(branches: list[str], tmp_path: Path) -> None:
    args = arguments(branches, tmp_path / "out")
    (tmp_path / "out").mkdir()
    known = [f"{run}/step-{n:06d}" for run in branches for n in (1, 2)]
    lines = [{"model": model, "probe": name, "k": 2, "pass": n / 8} for name in PROBES for n, model in enumerate(known)]
    (tmp_path / "out" / "probes.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines[:-1]))
    with pytest.raises(UserError, match="--resume"):
        spectrum.main(args)
    args.resume = True
    spectrum.main(args)
    told = json.loads((tmp_path / "out" / "spectrum.json").read_text())
    assert told["specialists"] == {"short": known[3], "long": known[2]}  # the last one was asked, and had forgotten
    with pytest.raises(UserError, match="holds a run"):
        spectrum.main(args)


def test_figures_of_other_settings_or_of_none_are_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, figures = Path(str(HF("tiny").model.config.name_or_path)), iter([float("nan"), 0.25, 0.5, 0.75])
    monkeypatch.setattr(spectrum, "pass_at_k", lambda *_: next(figures))

    def found(**more: Any) -> float:
        args = arguments([], tmp_path, **more)
        args.probes = {"short": PROBES["short"]}
        return spectrum.probe(args, [model])[str(model), "short"]

    assert np.isnan(found()) and not (tmp_path / "probes.jsonl").exists()
    assert (found(), found(), found(k=3), found(), found(temperature=0.5)) == (0.25, 0.25, 0.5, 0.25, 0.75)


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"probes": {}}, "--probes"),
        ({"k": 5}, "--attempts 3"),
        ({"k": 0}, "--k 0"),
        ({"weights": (1.0,)}, "--weights"),
        ({"weights": (0.7, 0.7)}, "--weights 0.7 0.7"),
        ({"weights": (1.5, -0.5)}, "--weights 1.5 -0.5"),
        ({"runs": ("nowhere",)}, "nowhere"),
        ({"out": __file__}, "is a file: choose another folder"),
    ],
)
def test_nonsense_is_refused_before_anything_is_written(tmp_path: Path, more: dict[str, Any], named: str) -> None:
    args = arguments(["nowhere"], tmp_path / "out")
    for key, value in more.items():
        setattr(args, key, value)
    with pytest.raises(UserError, match=named):
        spectrum.main(args)
    assert not list(tmp_path.iterdir())


def test_probes_are_pairs_on_the_command_line() -> None:
    args = cli.parse(spectrum.Args, ["--probes", "short", "register(high=30)", "long", "register", "--env.budget", "9"])
    assert args.probes == {"short": "register(high=30)", "long": "register"} and args.env_settings == {"budget": 9}
