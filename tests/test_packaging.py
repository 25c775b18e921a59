"""The package as its users get it: from a wheel, an editable install and a checkout, beside another ``agents``."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OTHER = "openai-agents==0.24.0"  # its wheel installs a top-level package `agents`
UNREACHABLE = re.compile(
    r"NewConnectionError|Max retries|name resolution|timed out|No matching distribution|ProxyError"
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PY", "COV", "MAKE", "MFLAGS", "CC"))}
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=240)


def succeed(*command: str | Path, cwd: Path) -> str:
    done = run(*command, cwd=cwd)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def pip(python: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", *arguments, cwd=python.parent)


def fresh_python(folder: Path) -> Path:
    """The Python of a new environment that sees this one's packages, but not what this one has editable."""
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    here = sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)})
    Path(here, "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    succeed(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", folder, ROOT, cwd=folder)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def pythons(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A Python with the wheel, one with an editable install, and one with neither."""
    made = {kind: fresh_python(tmp_path_factory.mktemp(kind)) for kind in ("wheel", "editable", "bare")}
    alone = ("--no-deps", "--no-build-isolation", "--ignore-installed")
    for kind, what in (("wheel", [wheel]), ("editable", ["-e", ROOT])):
        done = pip(made[kind], *alone, *what)
        assert done.returncode == 0, done.stderr
    return made


def test_the_wheel_holds_the_package_and_nothing_beside_it(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name.partition("/")[0] for name in names} == {
        "reasongym",
        f"reasongym-{wheel.name.split('-')[1]}.dist-info",
    }
    package = {p.relative_to(ROOT).as_posix() for p in (ROOT / "reasongym").rglob("*") if p.is_file()}
    agents = {f"reasongym/agents/{p.name}" for p in (ROOT / "agents").glob("*.py")}
    wanted = {name for name in package | agents if "__pycache__" not in name}
    assert wanted - names == set()  # weights and py.typed too
    assert {"reasongym/agents/__init__.py", "reasongym/agents/grpo.py", "reasongym/py.typed"} <= names
    assert not any(name.endswith(".pyc") for name in names)
    assert not (ROOT / "agents" / "__init__.py").exists()


# Where Python runs, and from which folder: in the checkout's own folder the checkout comes first.
PLACES = {
    "wheel": ("wheel", False, False),
    "editable": ("editable", False, True),
    "checkout": ("bare", True, True),
    "wheel, run in the checkout": ("wheel", True, True),
    "editable, run in the checkout": ("editable", True, True),
}


@pytest.mark.parametrize("place", PLACES)
def test_agents_run_from(place: str, pythons: dict[str, Path], tmp_path: Path) -> None:
    kind, in_root, from_checkout = PLACES[place]
    cwd = ROOT if in_root else tmp_path
    find = "import importlib.util as u; print(u.find_spec('reasongym.agents.grpo').origin)"
    origin = Path(succeed(pythons[kind], "-c", find, cwd=cwd).strip())
    expected = ROOT if from_checkout else pythons[kind].parents[1]
    assert origin.is_relative_to(expected)
    assert (origin.parent == ROOT / "agents") is from_checkout
    assert "usage:" in succeed(pythons[kind], "-m", "reasongym.agents.grpo", "--help", cwd=cwd)


def test_the_command_is_installed(pythons: dict[str, Path], tmp_path: Path) -> None:
    assert "usage:" in succeed(pythons["wheel"].parent / "reasongym", "--help", cwd=tmp_path)


def test_beside_another_package_named_agents(pythons: dict[str, Path], tmp_path: Path) -> None:
    done = pip(pythons["wheel"], "--retries", "1", "--timeout", "30", OTHER)
    if done.returncode and (reason := UNREACHABLE.search(done.stderr)):
        pytest.skip(f"no package index gives {OTHER}: {reason.group()}")
    assert done.returncode == 0, done.stderr
    program = "import agents, reasongym.agents as a; agents.Runner; print(agents.__file__, *a.__path__, sep='\\n')"
    for cwd in (tmp_path, ROOT):
        theirs, *ours = succeed(pythons["wheel"], "-c", program, cwd=cwd).splitlines()
        assert Path(theirs).is_relative_to(pythons["wheel"].parents[1])
        assert str(Path(theirs).parent) not in ours  # the bridge must not take their folder for a checkout's
    assert "usage:" in succeed(pythons["wheel"], "-m", "reasongym.agents.grpo", "--help", cwd=tmp_path)


# What a machine may lack: a module that pretends so, and what `make` then says.
LACKS = {
    "venv": ("ensurepip.py", "raise ImportError", "has no venv module"),
    "age": ("sitecustomize.py", "import sys; sys.version_info = (3, 10, 9)", "older than Python 3.11"),
    "compiler": ("sitecustomize.py", "import os; os.environ['CC'] = 'no-such-compiler -O2'", "no C compiler"),
    "headers": ("sitecustomize.py", "import sysconfig; sysconfig.get_path = lambda name: '/nowhere'", "no Python.h"),
    "Python": (None, "", "is missing: install Python"),
}


@pytest.mark.skipif(shutil.which("make") is None, reason="no make here")
@pytest.mark.parametrize("what", LACKS)
def test_make_says_in_one_line_what_is_missing(what: str, tmp_path: Path) -> None:
    module, program, message = LACKS[what]
    python = tmp_path / "python"
    if module is not None:
        (tmp_path / module).write_text(program + "\n")
        python.write_text(f'#!/bin/sh\nPYTHONPATH={tmp_path} exec {sys.executable} "$@"\n')
        python.chmod(0o755)
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    done = run("make", "venv", f"PYTHON={python}", cwd=tmp_path)
    said = [line for line in done.stderr.splitlines() if not line.startswith("make: ***")]
    assert done.returncode == 2 and len(said) == 1 and message in said[0], done.stderr
    assert not (tmp_path / ".venv").exists()
