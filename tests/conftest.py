"""One thread a process, no network and no display, unless the environment says otherwise; skips by marker.

Markers (declared in pyproject.toml): ``slow``, ``gpu``, ``docker``, ``network``. Tests of real data read the folder
named by REASONGYM_DATA, and skip, saying so, where it is unset.
"""

from __future__ import annotations

import functools
import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: more threads than free cores spin
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
if "torch" in sys.modules:
    sys.modules["torch"].set_num_threads(int(os.environ["OMP_NUM_THREADS"]))

import hypothesis
import pytest

# Wall-clock deadlines measure the machine's other work; pytest-timeout bounds a hang.
hypothesis.settings.register_profile("reasongym", deadline=None)
hypothesis.settings.load_profile("reasongym")


@functools.cache
def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


@functools.cache
def _has_docker() -> bool:
    from reasongym.core import UserError
    from reasongym.sandbox.docker import engine

    try:
        engine().close()
    except UserError:
        return False
    return True


_without_docker: list[str] = []


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") and not _has_gpu():
        pytest.skip("no CUDA device")
    if item.get_closest_marker("docker") and not _has_docker():
        _without_docker.append(item.nodeid)
        pytest.skip(f"no Docker engine answers: {item.nodeid}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _without_docker:
        terminalreporter.line(f"docker: {len(_without_docker)} tests skipped, no engine answers")
