"""``python -m benchmarks.attacks``: see the package."""

from __future__ import annotations

import argparse
import os
import platform
import re
import sys
import time
import warnings
from typing import Any

import benchmarks.attacks as package
from benchmarks.attacks import battery, docs
from benchmarks.attacks.scene import Scene
from benchmarks.report import finish
from reasongym import sandbox
from reasongym.core import HostError, UserError

BAR = 100


def best() -> str:
    """The backend that ``auto`` takes here."""
    taken = sandbox.nursery("auto")
    return next(name for name, made in sandbox._nurseries.items() if made is taken and name != "auto")


def one(backend: str, only: str = "", bare: bool = False, save: bool = False, say: bool = False) -> dict[str, Any]:
    started, load = time.perf_counter(), os.getloadavg()[0]
    scene = Scene(backend, unsafe=backend == "unsafe")
    try:
        outcomes = battery.run(scene, battery.chosen(only, bare))
    finally:
        scene.close()
    for o in outcomes:
        if say:
            print(f"--- {o.kind}: {o.name} ({o.return_s:.3f} s)\n{o.said}", file=sys.stderr)
        if o.succeeded or o.mistaken:
            why = o.succeeded or f"A MISTAKE IN ITS TEXT: {o.said[-300:]}"
            print(f"{o.kind}: {o.name}: {why}", file=sys.stderr)
    succeeded = [f"{o.kind}: {o.name}: {o.succeeded}" for o in outcomes if o.succeeded]
    mistaken = [f"{o.kind}: {o.name}" for o in outcomes if o.mistaken]
    figures = {
        "backend": backend,
        "kernel": platform.release(),
        "user": "root" if os.getuid() == 0 else "not root",
        "attacks": len(outcomes),
        "blocked": len(outcomes) - len(succeeded),
        "succeeded": succeeded,
        "invalid_caused": sum(o.invalid for o in outcomes),
        "max_return_s": round(max((o.return_s for o in outcomes), default=0.0), 4),
        "mistaken": mistaken,
        "load": {"before": load, "after": os.getloadavg()[0]},
        "rows": [o.row() for o in outcomes],
    }
    ok = len(outcomes) >= BAR and not (succeeded or mistaken or figures["invalid_caused"])
    return finish("attacks", ok, figures, started=started, save=save, suffix="_".join(re.findall(r"\w+", backend)))


def main(backend: str, only: str = "", bare: bool = False, save: bool = False, say: bool = False) -> bool:
    if backend == "unsafe" and not bare:
        raise UserError("without isolation only the attacks that are harmless may run: --backend unsafe --bare")
    if backend != "all":
        return bool(one(best() if backend == "auto" else backend, only, bare, save, say)["ok"])
    done = []
    for name in sandbox.BACKENDS:
        try:
            sandbox.nursery(name)
        except (UserError, HostError) as error:
            print(f"{name}: not here: {error}", file=sys.stderr)
        else:
            done.append(one(name, only, bare, save, say)["ok"])
    return bool(done) and all(done)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=package.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", default="auto", help="auto, all, or the name of one")
    parser.add_argument("--only", default="", help="the attacks whose kind or name has this in it")
    parser.add_argument("--bare", action="store_true", help="only those that are harmless without a sandbox")
    parser.add_argument("--say", action="store_true", help="print what each attack was answered")
    parser.add_argument("--save", action="store_true")
    parser.add_argument("--docs", action="store_true", help="write the table of docs/sandbox.md from the saved results")
    args = parser.parse_args()
    if args.docs:
        docs.write()
        sys.exit(0)
    warnings.simplefilter("ignore")
    try:
        sys.exit(not main(args.backend, args.only, args.bare, args.save, args.say))
    except UserError as error:
        sys.exit(str(error))
