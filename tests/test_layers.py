"""The dependency rule: a module imports only from lower tiers, and a family's files never from one another."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Lowest first. A name stands for the module and for everything under it that has no name of its own here.
TIERS = [
    ["core"],
    ["parts", "tokenizer", "thinking", "metrics", "rows", "schedules", "selection", "spaces", "fences"],
    ["answers", "cnf", "hints", "repetition", "sandbox", "shaping", "algos.normalise"],
    ["sql", "judging", "worked"],
    ["discriminators"],
    ["curriculum", "algos", "exam", "rewards", "segments"],
    ["tasks", "tools"],
    ["env"],
    ["rollout", "policies"],
    ["evaluate", "forks"],
    ["reasongym"],  # __init__.py, which exports the public names of all the above
    ["report", "adapters", "export"],
    ["pairs"],
    ["cli"],
    ["__main__", "agents", "examples", "benchmarks"],
]
TIER = {name: i for i, tier in enumerate(TIERS) for name in tier}
FAMILIES = {"tasks", "tools", "rewards", "policies", "algos", "adapters", "agents"}  # every file is a leaf
ONLY_IN = {
    "torch": ("algos", "policies", "agents", "examples", "benchmarks"),
    "pycosat": ("tasks.sat", "benchmarks"),
    "docker": ("sandbox.docker", "benchmarks"),
    "vllm": ("policies.vllm", "benchmarks"),
}


def place(module: str) -> str | None:
    """The longest name of the table that covers ``module`` (without its leading ``reasongym.``)."""
    parts = module.split(".")
    return next((name for n in range(len(parts), 0, -1) if (name := ".".join(parts[:n])) in TIER), None)


def source_files() -> dict[str, Path]:
    """Module name, relative to reasongym, of every source file."""
    files: dict[str, Path] = {}
    for path in sorted((ROOT / "reasongym").rglob("*.py")):
        parts = path.relative_to(ROOT / "reasongym").with_suffix("").parts
        files[".".join(parts[:-1] if parts[-1] == "__init__" else parts) or "reasongym"] = path
    for folder in ("agents", "examples", "benchmarks"):
        files |= {".".join(p.relative_to(ROOT).with_suffix("").parts): p for p in sorted((ROOT / folder).rglob("*.py"))}
    return files


FILES = source_files()


def imports(tree: ast.AST, module: str) -> Iterator[str]:
    """Every module that ``tree`` imports anywhere, in full; ``from a import b`` gives a.b where that is a file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno}: a relative import; write it in full"
            assert node.module is not None
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full.removeprefix("reasongym.") in FILES else node.module


def faults(module: str, source: str) -> list[str]:
    """What is wrong with a module's imports, one line each."""
    here = place(module)
    if here is None:
        return [f"{module} is in no tier: add it to TIERS"]
    found = []
    for name in sorted(set(imports(ast.parse(source), module))):
        top = name.partition(".")[0]
        if top in ONLY_IN and not any(module == m or module.startswith(m + ".") for m in ONLY_IN[top]):
            found.append(f"{module} imports {name}, which only {', '.join(ONLY_IN[top])} may")
        inside = name == "reasongym" or top in ("agents", "examples", "benchmarks") or name.startswith("reasongym.")
        if not inside:
            continue
        other = name.removeprefix("reasongym.")
        there = place(other)
        if there is None:
            found.append(f"{module} imports {name}, which is in no tier: add it to TIERS")
        elif there == here and here in FAMILIES and other != module:
            found.append(f"{module} imports its sibling {name}")
        elif there != here and TIER[there] >= TIER[here] < TIER["agents"]:
            found.append(f"{module} imports {name}, which is not below it")
    return found


@pytest.mark.parametrize("module", FILES)
def test_imports_point_down(module: str) -> None:
    found = faults(module, FILES[module].read_text(encoding="utf-8"))
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("module", "source", "fault"),
    [
        ("core", "import reasongym.env", "not below"),
        ("rollout", "from reasongym import env", ""),
        ("rollout", "import reasongym.policies.hf", "not below"),
        ("thinking", "from reasongym import core, env", "not below"),
        ("rewards.laser", "def f():\n    from reasongym.rewards.hapo import Hapo", "sibling"),
        ("algos.losses", "from reasongym.algos.normalise import token_weights", ""),
        ("algos.losses", "import torch.nn", ""),
        ("env", "import torch", "only algos"),
        ("tasks.sat", "import pycosat", ""),
        ("tasks.sql", "import pycosat", "only tasks.sat"),
        ("evaluate", "import benchmarks.demo", "not below"),
        ("tasks.sat", "from reasongym import Delethink", "not below"),
        ("misc", "import numpy", "in no tier"),
        ("env", "import reasongym.misc", "in no tier"),
        ("agents.grpo", "import reasongym.agents.ppo", "sibling"),
        ("benchmarks.demo", "import reasongym.agents.grpo", ""),
    ],
)
def test_the_rule_itself(module: str, source: str, fault: str) -> None:
    found = "\n".join(faults(module, source))
    assert fault in found and bool(fault) == bool(found)


def test_importing_reasongym_loads_nothing_heavier_than_gymnasium_and_numpy() -> None:
    program = (
        "import sys, gymnasium, numpy; before = {m.partition('.')[0] for m in sys.modules}; import reasongym; "
        "after = {m.partition('.')[0] for m in sys.modules}; "
        "print(*sorted(after - before - sys.stdlib_module_names - {'reasongym'}))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, [], "")
