"""Every example runs as a person would run it, and fits a screen."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).resolve().parents[1] / "examples").glob("[0-9]*.py"))


def test_there_are_examples() -> None:
    assert [e.name[:2] for e in EXAMPLES] == [f"{i:02}" for i in range(len(EXAMPLES))] != []


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.stem)
def test_example(example: Path, tmp_path: Path) -> None:
    assert len(example.read_text().splitlines()) < 60
    done = subprocess.run([sys.executable, example], cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
