"""Running code that nobody trusts: sessions of Python, isolated by the best means that this machine has.

``open_session()`` takes the first of `BACKENDS` that can start here and passes a short self-test of real attacks. Each
session is a process of its own, forked warm (numpy and sympy imported) and then confined: no file but the interpreter's
can be read and none written, there is no socket, no further process or thread, and memory, time and output are bounded.
``docs/sandbox.md`` says what that covers, and what not.
"""

from __future__ import annotations

import atexit
import os
import threading
import warnings
from typing import Protocol

from reasongym import parts
from reasongym.core import HostError, UserError
from reasongym.sandbox import selftest
from reasongym.sandbox.session import Limits as Limits
from reasongym.sandbox.session import Nursery as Nursery
from reasongym.sandbox.session import Reply as Reply
from reasongym.sandbox.session import Session as Session
from reasongym.sandbox.unsafe import Unsafe

BACKENDS = ("bubblewrap", "landlock", "docker")  # best first: how much is kept apart for how little time


class Backend(Protocol):
    """A way to isolate: a frozen value that starts nurseries. UserError says what to install, HostError what failed."""

    def start(self) -> Nursery: ...


# The one piece of state of this package. A nursery takes half a second to import numpy and sympy, so it outlives a
# session; sessions are forks, so that none can change it; and a Tool is a frozen value that is pickled and copied.
_nurseries: dict[str, Nursery] = {}
_lock = threading.Lock()


def open_session(
    backend: str = "auto",
    limits: Limits = Limits(),  # noqa: B008  (frozen)
    *,
    seed: int = 0,
    unsafe: bool = False,
) -> Session:
    """A new session, which starts its process with its first cell.

    Args:
        backend: One of `BACKENDS`, with settings if need be (``"docker(runtime='runsc')"``), ``"auto"`` for the best
            that passes the self-test, or ``"unsafe"``: a plain process, which isolates nothing.
        limits: What the session may use.
        seed: Of Python's and numpy's global random numbers.
        unsafe: Must be said for ``backend="unsafe"``; that it is said also lets ``"auto"`` fall back on it.

    Raises:
        UserError: No backend is to be had here, with what to install.
    """
    if backend != "auto":
        _made(backend, unsafe)  # what cannot be is refused at once, not with the first cell
    return Session(lambda: nursery(backend, unsafe=unsafe), limits, seed)


def nursery(backend: str = "auto", *, unsafe: bool = False) -> Nursery:
    """The nursery of this process for a backend, started if need be. UserError as `open_session`."""
    made = None if backend == "auto" else _made(backend, unsafe)
    # Who has not said unsafe=True must never be given what somebody else's has fallen back on.
    key = backend if made else f"auto, unsafe={unsafe}"
    with _lock:
        return _running(key) or _keep(key, _start(made) if made else _best(unsafe))


def _made(backend: str, unsafe: bool = False) -> Backend:
    """The backend of that name, however it is spelt; one that isolates nothing only where that is asked for."""
    made: Backend = parts.make("sandbox", backend)
    if isinstance(made, Unsafe) and not unsafe:
        raise UserError(f"sandbox: backend={backend!r} isolates nothing: say unsafe=True as well, or backend='auto'")
    return made


def _running(backend: str) -> Nursery | None:
    """The nursery that there is, if it lives; what is left of a dead one is cleared away."""
    found = _nurseries.get(backend)
    if found is not None and not found.alive:
        found.close()
        return None
    return found


def _keep(backend: str, found: Nursery) -> Nursery:
    _nurseries[backend] = found
    return found


def _start(made: Backend) -> Nursery:
    if isinstance(made, Unsafe):
        warnings.warn("the sandbox 'unsafe' isolates nothing: what a model writes runs as you", stacklevel=2)
    return made.start()


def _best(unsafe: bool) -> Nursery:
    """The first backend that starts and holds; a running one is taken over."""
    why = []
    for name in BACKENDS:
        try:
            found = _running(name) or _keep(name, _start(_made(name)))
            selftest.check(found)
        except (UserError, HostError) as error:
            why.append(str(error))
        else:
            return found
    if unsafe:
        return _running("unsafe") or _keep("unsafe", _start(Unsafe()))
    raise UserError(f"sandbox: no backend works here: {'; '.join(why)}")


def close_all() -> None:
    """End every nursery, and with it every session; the next session starts a new one."""
    with _lock:
        for found in set(_nurseries.values()):
            found.close()
        _nurseries.clear()


atexit.register(close_all)


def _forget() -> None:
    """In a fork: its parent's nurseries are not its own, and would live as long as it holds their sockets."""
    for found in set(_nurseries.values()):
        found.let_go()
    _nurseries.clear()
    _lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_forget)
