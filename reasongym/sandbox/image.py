"""A container's whole file system, packed from the Python that runs: no registry, no network, no base image.

Everything is under ``/python``: the interpreter, its standard library, numpy and sympy, the C libraries that they are
linked with, and ``inside/``. Only the loader has to be where programs look for it. ``/python/python`` is ``/python``
again, so that no name changes where that becomes the root.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

from reasongym.core import UserError
from reasongym.sandbox.native import INSIDE, PRELOAD

REPOSITORY = "reasongym-sandbox"
ROOT = "/python"
PROGRAM = [f"{ROOT}/bin/python3", "-I", f"{ROOT}/inside/nursery.py"]
READABLE = (ROOT, "/dev/urandom")
ENVIRONMENT = {"LD_LIBRARY_PATH": f"{ROOT}/lib", "PYTHONTZPATH": f"{ROOT}/zoneinfo"}
_LEFT_OUT = {"test", "tests", "idlelib", "ensurepip", "tkinter", "turtledemo", "lib2to3", "site-packages"}
_LEFT_OUT |= {"dist-packages", "lib-dynload"}  # the second is put where it belongs


def fingerprint() -> str:
    """Of what runs inside: an image of another one is of another reasongym."""
    whole = hashlib.sha256()
    for path in sorted(INSIDE.glob("*.py")):
        whole.update(path.name.encode() + b"\0" + path.read_bytes())
    return whole.hexdigest()[:12]


def pack(out: Path) -> None:
    """Write the file system to ``out``, a tar."""
    if sys.platform != "linux" or shutil.which("ldd") is None:
        raise UserError("the sandbox's image is packed from a Linux system that has ldd, which this one is not")
    files = dict(_files())
    libraries = dict(_libraries(files.values()))
    with tarfile.open(out, "w") as tar:
        for name, path in sorted({**libraries, **files}.items()):
            tar.add(os.path.realpath(path), name, filter=_anyone)
        again = tarfile.TarInfo(f"{ROOT}{ROOT}".strip("/"))
        again.type, again.linkname = tarfile.SYMTYPE, "."
        tar.addfile(again)


def _anyone(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Root's, and for all to read."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    entry.mode = 0o755 if entry.mode & 0o100 else 0o644
    return entry


def _files() -> Iterator[tuple[str, Path]]:
    """Names in the image, and the files that they are here."""
    inside = ROOT.strip("/")
    yield f"{inside}/bin/python3", Path(getattr(sys, "_base_executable", sys.executable))
    for path in INSIDE.glob("*.py"):
        yield f"{inside}/inside/{path.name}", path
    home = f"{inside}/{sys.platlibdir}/python{sys.version_info.major}.{sys.version_info.minor}"
    yield from _tree(Path(os.__file__).parent, home)
    yield from _tree(Path(sysconfig.get_config_var("DESTSHARED")), f"{home}/lib-dynload")
    # Packages go into the standard library's folder: where else Python looks, every distribution decides for itself.
    for package in sorted(_needed({name.partition(".")[0] for name in PRELOAD})):
        found = importlib.util.find_spec(package)
        if found is None or not found.submodule_search_locations:
            raise UserError(f"the sandbox's image needs {package}: pip install {package}")
        folder = Path(found.submodule_search_locations[0])
        yield from _tree(folder, f"{home}/{package}")
        yield from _tree(folder.with_name(f"{package}.libs"), f"{home}/{package}.libs")
    yield from _tree(Path("/usr/share/zoneinfo"), f"{inside}/zoneinfo")


def _tree(folder: Path, name: str) -> Iterator[tuple[str, Path]]:
    for here, folders, files in os.walk(folder):
        folders[:] = [f for f in folders if f not in _LEFT_OUT]
        for file in files:
            path = Path(here, file)
            if path.is_file() and not file.startswith(("_test", "_tkinter")) and path.suffix not in (".a", ".whl"):
                yield f"{name}/{path.relative_to(folder)}", path


def _needed(packages: set[str]) -> set[str]:
    """These, and what they require."""
    found: set[str] = set()
    while todo := packages - found:
        found |= todo
        for package in todo:
            try:
                required = metadata.requires(package) or []
            except metadata.PackageNotFoundError:
                continue  # not found as a module either, which is then said
            packages = packages | {re.split(r"[^\w.]", line)[0] for line in required if "extra ==" not in line}
    return found


def _libraries(files: Iterable[Path]) -> Iterator[tuple[str, Path]]:
    """The C libraries that the files are linked with, and the loader."""
    own = {os.path.realpath(path) for path in files}
    linked = [path for path in own if ".so" in os.path.basename(path) or os.access(path, os.X_OK)]
    said = subprocess.run(["ldd", *sorted(linked)], capture_output=True, text=True, check=False).stdout
    for name, path in re.findall(r"^\s+(\S+) => (/\S+)", said, re.MULTILINE):
        if os.path.realpath(path) not in own:
            yield f"{ROOT.strip('/')}/lib/{name}", Path(path)
    for loader in set(re.findall(r"^\s+(/\S+/ld-\S+)", said, re.MULTILINE)):
        yield loader.lstrip("/"), Path(loader)
