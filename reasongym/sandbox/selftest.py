"""A few real attacks, tried before a backend is trusted: a host without one of its protections is found out here."""

from __future__ import annotations

import os
import tempfile

from reasongym.core import HostError
from reasongym.sandbox.session import Limits, Nursery, Session

_PROBES = {
    "read a file of the host": "open({secret!r}).read()",
    "list its folders": "import os; os.listdir('/home'), os.listdir({folder!r})",
    "write a file": "open({folder!r} + '/written', 'w').write('x')",
    "open a socket": "import socket; socket.socket()",
    "start a process": "import os; os.fork() or os._exit(0)",
    "start a thread": "import threading; threading.Thread(target=print).start()",
    "signal its parent": "import os; os.kill(os.getppid(), 0)",
    "find a secret of its environment": "import os; os.environ['REASONGYM_PROBE']",
    "take 8 GiB": "x = bytearray(8 << 30)",
    "run a program": "import os; os.execv('/bin/true', ['true'])",
}


def check(nursery: Nursery) -> None:
    """HostError if the sandbox does not hold."""
    os.environ.setdefault("REASONGYM_PROBE", "secret")
    with tempfile.TemporaryDirectory(prefix="reasongym-") as folder:
        secret = os.path.join(folder, "secret")
        with open(secret, "w") as file:
            file.write("secret")
        os.chmod(folder, 0o777)
        os.chmod(secret, 0o666)
        for what, code in _PROBES.items():
            session = Session(lambda: nursery, Limits(seconds=5.0))
            try:
                if session.run(code.format(secret=secret, folder=folder)).ok:
                    raise HostError(f"its self-test failed: a cell could {what}")
                if not session.run("1 + 1").ok:
                    raise HostError("its self-test failed: an honest cell did not run")
            finally:
                session.close()
