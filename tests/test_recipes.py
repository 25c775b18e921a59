"""The recipes of examples/papers: every command parses, every part in it exists, and the miniatures run."""

from __future__ import annotations

import importlib.util
import json
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("tyro")

from reasongym import cli, parts
from reasongym.agents import grpo, redi, router, sft, spectrum
from reasongym.core import FiniteTask
from reasongym.rewards.autothink import ELLIPSIS

FOLDER = Path(__file__).resolve().parents[1] / "examples" / "papers"
RECIPES = sorted(FOLDER.glob("*.py"))


def module_of(recipe: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(recipe.stem, recipe)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


COMMANDS = {f"{r.stem} {name}": found for r in RECIPES for name, found in module_of(r).COMMANDS.items()}


def parsed(command: str) -> Any:
    agent, text = COMMANDS[command]
    return cli.parse(agent.Args, shlex.split(text))


def test_each_system_has_one() -> None:
    wanted = "adaptthink autothink hapo laser long2short mr_rlvr one_shot open_rs ppo r2r redi siri vibethinker"
    assert [r.stem for r in RECIPES] == wanted.split()
    for module in map(module_of, RECIPES):
        texts = [text for name, text in vars(module).items() if name.isupper() and isinstance(text, str)]
        assert [*module.COMMANDS][0] == "miniature" and sorted(texts) == sorted(
            text for _, text in module.COMMANDS.values()
        )


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_resolves(command: str) -> None:
    agent, args = COMMANDS[command][0], parsed(command)
    agent.check(args)
    for family, kind in (("rewards", "shaper"), ("schedules", "schedule"), ("curriculum", "curriculum")):
        if spec := getattr(args, kind, ""):
            parts.make(family, spec)
    tasks = [args.env_settings["task"]] if "task" in args.env_settings else list(getattr(args, "probes", {}).values())
    for task in tasks:
        parts.make("tasks", task)
    if "thinking" in args.env_settings:
        assert parts.make("thinking", args.env_settings["thinking"]).prefix == ELLIPSIS


def test_mr_rlvr_poses_masks_and_order_in_its_first_stage_alone() -> None:
    stages = {name: str(parsed(f"mr_rlvr {name}").env_settings) for name in module_of(FOLDER / "mr_rlvr.py").COMMANDS}
    posed = {name: ("masked(" in said, "reorder(" in said) for name, said in stages.items()}
    assert posed == {
        "miniature": (True, True),
        "answers": (False, False),
        "stage1": (True, True),
        "stage2": (False, False),
    }


@pytest.mark.parametrize("command", ["adaptthink paper", "hapo paper", "laser paper", "mr_rlvr stage2"])
def test_what_the_paper_does_in_epochs_is_done_in_epochs(command: str) -> None:
    args = parsed(command)
    assert args.curriculum == "epochs" and isinstance(parts.make("tasks", args.env_settings["task"]), FiniteTask)


def test_the_third_experiment_of_open_rs_asks_for_english() -> None:
    """knoveleng/open-rs ``recipes/grpo.yaml``: ``system_prompt``, doubled braces and all."""
    system = parsed("open_rs paper").system
    assert r"put your final answer within \boxed{{}} . The" in system
    assert system.endswith("</answer>. Note that respond by English, NOT use other languages.")


def test_dry_run_prints_the_resolved_arguments(tmp_path: Path) -> None:
    for words, group in (["paper", "--dry-run"], 8), (["paper", "--group", "4", "--dry-run"], 4):
        run = [sys.executable, FOLDER / "siri.py", *words]
        done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert (told["schedule"], told["group"]) == ("cosine(high=16384, low=8192, period=640)", group)
    assert not list(tmp_path.iterdir())


def test_another_word_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.recipe({"miniature": (grpo, ""), "paper": (grpo, "")}, ["small"])
    assert end.value.code == 2 and capsys.readouterr().err == "error: there is no 'small'; there is miniature, paper\n"


@pytest.mark.slow
@pytest.mark.parametrize("command", [name for name in COMMANDS if name.endswith("miniature")])
def test_the_miniatures_run(command: str, tmp_path: Path) -> None:
    agent, made = COMMANDS[command][0], "step-000001/model.safetensors"
    few: dict[str, Any] = {"steps": 1, "prompts": 2, "group": 4, "model": "tiny"}  # what came before is not there
    if agent is redi:
        few = {"steps": 1, "problems": 8}
    if agent is router:  # with models that are there
        few = {"small": "tiny-sat", "large": "tiny", "problems": 32, "epochs": 1, "evaluate": 4}
        made = "router.safetensors"
    agent.main(replace(parsed(command), out=str(tmp_path), tensorboard=False, **few))
    assert (tmp_path / made).is_file()


@pytest.mark.slow
def test_the_phases_of_vibethinker_follow_one_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each finds what the one before left, in the folders that the recipe names."""
    monkeypatch.chdir(tmp_path)
    first, second, third = (parsed(f"vibethinker {name}") for name in ("sft", "spectrum", "miniature"))
    sft.main(replace(first, steps=2, batch=1, save_every=1, tensorboard=False))
    spectrum.main(replace(second, problems=2, attempts=2, k=1))
    assert len((tmp_path / second.out / "probes.jsonl").read_text().splitlines()) == 2 * 3
    merged = f"{second.out}/merged"
    assert merged in (module_of(FOLDER / "vibethinker.py").__doc__ or "")
    grpo.main(replace(third, model=merged, steps=1, prompts=2, group=2, tensorboard=False))
    assert third.mgpo_lambda == 1 and (tmp_path / third.out / "step-000001").is_dir()
