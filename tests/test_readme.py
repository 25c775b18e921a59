"""What the README says can be typed, can be typed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import reasongym
from reasongym import parts

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def test_the_hello_runs_and_is_ten_lines_at_most(tmp_path: Path) -> None:
    [hello] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(hello.splitlines()) <= 10
    done = subprocess.run([sys.executable, "-c", hello], cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 8


@pytest.mark.parametrize("family", ["tasks", "thinking", "tools", "rewards", "curriculum", "policies"])
def test_every_part_is_named(family: str) -> None:
    assert [name for name in parts.names(family) if f"`{name}`" not in README and f"`{name}/" not in README] == []


def test_every_agent_is_in_the_agents_table() -> None:
    table = (ROOT / "agents/README.md").read_text()
    assert [path.stem for path in sorted((ROOT / "agents").glob("*.py")) if f"| `{path.stem}` |" not in table] == []


def test_every_id_is_named() -> None:
    assert all(f"`{name}`" in README for name in reasongym.IDS)


def test_every_local_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", README):
        assert (ROOT / target).exists(), target
