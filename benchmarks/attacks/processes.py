"""Other processes: signals, tracing; and whatever a session leaves behind."""

from __future__ import annotations

import time

from benchmarks.attacks import look
from benchmarks.attacks.attack import Case, attack

_OTHERS = """
others = {H.victim, H.nursery, H.sibling, H.nursery_inside, H.sibling_inside, os.getppid()} - {0, None, os.getpid()}
tids = [t for t in others if t > 1]
"""
_IDLE_S = 1.2


def busy(case: Case) -> str:
    """The session's process works on after its reply."""
    if case.pid is None or case.lost:
        return ""
    time.sleep(0.02)
    pid, before = case.pid, look.processor_s(case.pid)
    worked = look.until(lambda: look.processor_s(pid) - before > 0.04, _IDLE_S)
    return "it used the processor after its reply" if worked else ""


def owned(case: Case) -> str:
    """No mapping of the nursery is left that sessions share and may write."""
    return "; ".join(look.shared_memory(case.pid)) if case.pid is not None else ""


ATTACKS = (
    attack("kill another process", "[won() for _ in each(lambda s: os.kill(H.victim, s), 15, 10, 9)]", bare=True),
    attack("stop another process", "attempt(lambda: os.kill(H.victim, signal.SIGSTOP))", bare=True),
    attack(
        "kill the nursery or another session",
        _OTHERS + "[won(n) for n in each(lambda p: (os.kill(p, signal.SIGTERM), p)[1], *tids)]",
    ),
    attack(
        "look whether a process is there",
        _OTHERS + "[won(n) for n in each(lambda p: (os.kill(p, 0), p)[1], H.host, *tids)]",
        bare=True,
    ),
    attack("signal all processes", "os.kill(-1, signal.SIGCONT)\nwon()"),
    attack("signal its group", "os.kill(0, signal.SIGCONT)\nwon()", bare=True),
    attack(
        "signal threads of others",
        _OTHERS
        + "[won(n) for n in attempt(*(lambda t=t: (call('tgkill', t, t, 10), t) for t in tids),"
        + " *(lambda t=t: (call('tkill', t, 10), t) for t in tids),"
        + " *(lambda t=t: (call('rt_sigqueueinfo', t, 10, struct.pack('iii', 10, 0, -1) + bytes(116)), t)"
        + " for t in tids))]",
    ),
    attack(
        "signal by a pidfd",
        "fd = call('pidfd_open', H.victim, 0)\nwon(fd)\ncall('pidfd_send_signal', fd, 10, None, 0)",
        bare=True,
    ),
    attack(
        "let the reply's socket send a signal (F_SETOWN)",
        _OTHERS
        + """
import fcntl
def own(pid):
    fcntl.fcntl(3, fcntl.F_SETOWN, pid)
    fcntl.fcntl(3, 10, 9)  # F_SETSIG: SIGKILL
    fcntl.fcntl(3, fcntl.F_SETFL, os.O_ASYNC | os.O_RDWR)
    won(pid)
each(own, *([H.sibling_inside] if H.sibling_inside else tids))
""",
        "print(6 * 7)",
    ),
    attack(
        "the same with F_SETOWN_EX",
        "import fcntl\nfcntl.fcntl(3, 15, struct.pack('ii', 1, H.sibling_inside or 1))\nwon()",
        bare=True,
    ),
    attack("trace another process", "call('ptrace', 16, H.victim, None, None)\nwon()\ntime.sleep(0.1)", bare=True),
    attack("be traced (PTRACE_TRACEME)", "call('ptrace', 0, 0, None, None)\nwon()", bare=True),
    attack(
        "read another's memory (process_vm_readv)",
        _OTHERS
        + """
buffer = ctypes.create_string_buffer(64)
mine = struct.pack("PN", ctypes.addressof(buffer), 64)
theirs = struct.pack("PN", id(sys), 64)
[won(n) for n in each(lambda p: (call("process_vm_readv", p, mine, 1, theirs, 1, 0), p), *tids)]
""",
    ),
    attack(
        "write another's memory (process_vm_writev)",
        _OTHERS
        + """
buffer = ctypes.create_string_buffer(8)
mine, theirs = struct.pack("PN", ctypes.addressof(buffer), 8), struct.pack("PN", id(sys), 8)
[won(n) for n in each(lambda p: (call("process_vm_writev", p, mine, 1, theirs, 1, 0), p), *tids)]
""",
    ),
    attack(
        "take another's descriptors (pidfd_getfd)",
        _OTHERS
        + """
each(lambda p: won(call("pidfd_getfd", call("pidfd_open", p, 0), 0, 0)), *tids)
""",
        bare=True,
    ),
    attack(
        "renice, pin and limit others",
        _OTHERS
        + """
import resource
attempt(lambda: os.setpriority(os.PRIO_PROCESS, H.victim, 19) or won("nice"),
        lambda: os.sched_setaffinity(H.victim, {0}) or won("affinity"),
        *(lambda t=t: resource.prlimit(t, resource.RLIMIT_CPU, (1, 1)) and won("limits") for t in tids),
        lambda: call("ioprio_set", 1, H.victim, 0) == 0 and won("ioprio"))
""",
    ),
    attack(
        "leave its group and session",
        "attempt(lambda: os.setsid() or won(), lambda: os.setpgid(0, 0) or won())",
        bare=True,
    ),
    attack("leave a child behind", "os.fork() or time.sleep(30)", "print(6 * 7)", bare=True),
    attack(
        "leave a grandchild behind, in a session of its own",
        """
if os.fork() == 0:
    os.setsid()
    os.fork() and os._exit(0)
    os.closerange(0, 99)
    time.sleep(30)
""",
        bare=True,
    ),
    attack("a child by clone", "call('clone', 17, None, None, None, None) or time.sleep(30)", bare=True),
    attack(
        "a child by clone3",
        "call('clone3', struct.pack('11Q', 0, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0), 88) or time.sleep(30)",
        bare=True,
    ),
    attack("a child by vfork", "ctypes.CDLL(None).vfork() == 0 and (time.sleep(0.2), os._exit(0))"),
    attack(
        "start a program", "import subprocess\nprint(subprocess.run(['/bin/sh', '-c', 'echo PWN''ED']))", bare=False
    ),
    attack("start a program (posix_spawn)", "os.posix_spawn('/bin/sleep', ['sleep', '3'], {}) and won()", bare=True),
    attack("start a program (libc)", "ctypes.CDLL(None).system(b'sleep 0.2') == 0 and won()", bare=True),
    attack(
        "become another program",
        "each(lambda p: os.execv(p, [p, '-c', 'import time; time.sleep(30)']), sys.executable, '/bin/sh', '/bin/true')",
    ),
    attack(
        "become a program that runs as root",
        "each(lambda p: os.execv(p, [p]), *(f'{d}/{n}' for d in ('/bin', '/usr/bin') for n in"
        " ('su', 'sudo', 'mount', 'passwd', 'newgrp', 'chsh', 'ping', 'pkexec')))",
    ),
    attack(
        "leave a thread behind",
        "import threading\nthreading.Thread(target=time.sleep, args=(30,), daemon=True).start()",
        "print(6 * 7)",
        bare=True,
    ),
    attack(
        "a thread by clone", "call('clone', 0x3D0F00, ctypes.create_string_buffer(1 << 16), None, None, None)\nwon()"
    ),
    attack(
        "work on after the reply, by a timer",
        """
def burn(*_):
    end = time.monotonic() + 10
    while time.monotonic() < end:
        pass
signal.signal(signal.SIGALRM, burn)
signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
""",
        oracle=busy,
        bare=True,
    ),
    attack(
        "work on after the reply, by alarm",
        """
def burn(*_):
    while True:
        pass
signal.signal(signal.SIGALRM, burn)
ctypes.CDLL(None).alarm(1)
""",
        oracle=busy,
    ),
    attack(
        "work on after the reply, by a timer of POSIX",
        "call('timer_create', 0, None, ctypes.create_string_buffer(8))\nwon()",
        bare=True,
    ),
    attack("outlive its nursery (PR_SET_PDEATHSIG)", "call('prctl', 1, 0, 0, 0, 0)\nwon()", bare=True),
    attack("memory that all sessions share", "print(6 * 7)", oracle=owned),
)
