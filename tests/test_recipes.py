"""The recipes of examples/papers: every command parses, every part in it exists, and the miniatures run."""

from __future__ import annotations

import importlib.util
import json
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("tyro")

from reasongym import cli, parts
from reasongym.agents import grpo
from reasongym.rewards.autothink import ELLIPSIS

FOLDER = Path(__file__).resolve().parents[1] / "examples" / "papers"
RECIPES = sorted(FOLDER.glob("*.py"))


def commands(recipe: Path) -> dict[str, str]:
    """The commands of a recipe, by name."""
    spec = importlib.util.spec_from_file_location(recipe.stem, recipe)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {name.lower(): text for name, text in vars(module).items() if name.isupper()}


COMMANDS = {f"{recipe.stem} {name}": text for recipe in RECIPES for name, text in commands(recipe).items()}


def parsed(text: str) -> grpo.Args:
    return cli.parse(grpo.Args, shlex.split(text))


def test_each_system_has_one() -> None:
    assert [r.stem for r in RECIPES] == ["adaptthink", "autothink", "hapo", "laser", "long2short", "open_rs", "siri"]
    assert all({"miniature"} < set(commands(recipe)) for recipe in RECIPES)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_resolves(command: str) -> None:
    args = parsed(COMMANDS[command])
    grpo.check(args)
    for family, spec in (("rewards", args.shaper), ("schedules", args.schedule), ("curriculum", args.curriculum)):
        if spec:
            parts.make(family, spec)
    parts.make("tasks", args.env_settings["task"])
    if "thinking" in args.env_settings:
        assert parts.make("thinking", args.env_settings["thinking"]).prefix == ELLIPSIS


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
        cli.recipe(grpo.main, grpo.Args, ["small"], miniature="", paper="")
    assert end.value.code == 2 and capsys.readouterr().err == "error: there is no 'small'; there is miniature, paper\n"


@pytest.mark.slow
@pytest.mark.parametrize("command", [name for name in COMMANDS if name.endswith("miniature")])
def test_the_miniatures_run(command: str, tmp_path: Path) -> None:
    args = replace(parsed(COMMANDS[command]), steps=1, prompts=2, group=4, out=str(tmp_path), tensorboard=False)
    grpo.main(args)
    assert (tmp_path / "step-000001" / "model.safetensors").is_file()
