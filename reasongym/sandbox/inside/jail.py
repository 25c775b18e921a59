"""What a session may still do: little. Standard library only, since it runs inside, before anything untrusted does.

`confine_files` (Landlock) is for the nursery and all that it forks; `confine` (limits, then a seccomp filter that
allows what is on a list and nothing else) is for one session, and can never be undone.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import struct

_libc = ctypes.CDLL(None, use_errno=True)

# Numbers of the system calls that a session may make, for x86-64 and for the 64-bit ARM. Not among them: anything that
# makes a process, a thread, a socket, a pipe, a file or a name, or that looks at another process; nor a timer, whose
# handler would run between two cells.
_CALLS = {
    "read": (0, 63), "write": (1, 64), "poll": (7, None), "ppoll": (271, 73), "mmap": (9, 222), "munmap": (11, 215),
    "brk": (12, 214), "futex": (202, 98), "mremap": (25, 216), "madvise": (28, 233), "mprotect": (10, 226),
    "clock_gettime": (228, 113), "clock_getres": (229, 114), "clock_nanosleep": (230, 115), "nanosleep": (35, 101),
    "gettimeofday": (96, 169), "time": (201, None), "times": (100, 153), "getrusage": (98, 165), "open": (2, None),
    "openat": (257, 56), "close": (3, 57), "stat": (4, None), "fstat": (5, 80), "lstat": (6, None),
    "newfstatat": (262, 79), "statx": (332, 291), "access": (21, None), "faccessat": (269, 48),
    "faccessat2": (439, 439), "readlink": (89, None), "readlinkat": (267, 78), "getdents64": (217, 61),
    "lseek": (8, 62), "pread64": (17, 67), "readv": (19, 65), "writev": (20, 66), "dup": (32, 23), "dup2": (33, None),
    "dup3": (292, 24), "getcwd": (79, 17), "chdir": (80, 49), "select": (23, None), "pselect6": (270, 72),
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "sigaltstack": (131, 132),
    "pause": (34, None), "getitimer": (36, 102), "getpid": (39, 172), "getppid": (110, 173), "gettid": (186, 178),
    "getuid": (102, 174), "geteuid": (107, 175), "getgid": (104, 176), "getegid": (108, 177), "getpgrp": (111, None),
    "uname": (63, 160), "sched_yield": (24, 124), "sched_getaffinity": (204, 123), "getrandom": (318, 278),
    "getrlimit": (97, 163), "arch_prctl": (158, None), "set_robust_list": (273, 99), "rseq": (334, 293),
    "membarrier": (324, 283), "restart_syscall": (219, 128), "exit": (60, 93), "exit_group": (231, 94),
}  # fmt: skip
_TO_ITSELF = {"kill": (62, 129), "tkill": (200, 130), "tgkill": (234, 131)}  # with its own number only
# To copy a descriptor and to read its flags. Not F_SETOWN with F_SETSIG, which kills another session when data arrive.
_FCNTL, _FCNTL_ALLOWED = (72, 25), (0, 1, 2, 3, 1030)
_NOT_THERE = {"clone3": (435, 435)}  # ENOSYS: the C library then asks for clone, which is refused
_PRLIMIT = (302, 261)  # of itself only; it cannot raise a hard limit
_AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_LANDLOCK = (444, 445, 446)  # create_ruleset, add_rule, restrict_self: the same numbers everywhere


class Refused(Exception):
    """The kernel does not allow a part of the jail; nothing untrusted may run."""


def confine(memory: int, seconds: int) -> None:
    """Limit this process (``memory`` bytes of addresses, ``seconds`` of processor in all), filter its system calls."""
    _limit(memory, seconds)
    hide()
    _prctl(38, 1, "no_new_privs")
    _filter(os.getpid())


def hide() -> None:
    """Nobody may trace this process, or look at it in /proc; it leaves no core."""
    _prctl(4, 0, "dumpable")


def confine_files(readable: list[str], writable: list[str]) -> bool:
    """Landlock: only these trees may be read, only these files written. False where the kernel has none."""
    version = _libc.syscall(_LANDLOCK[0], None, 0, 1)
    if version < 1:
        return False
    handled = (1 << (13 + (version >= 2) + (version >= 3))) - 1 | ((1 << 15) if version >= 5 else 0)
    attributes = struct.pack("QQQ", handled, 3 if version >= 4 else 0, 3 if version >= 6 else 0)
    size = 8 if version < 4 else 16 if version < 6 else 24
    rules = _call("landlock", _LANDLOCK[0], attributes, size, 0)
    for paths, rights in ((readable, 1 << 2 | 1 << 3), (writable, 1 << 1 | 1 << 2)):
        for path in paths:
            _allow(rules, path, rights)
    _prctl(38, 1, "no_new_privs")
    _call("landlock", _LANDLOCK[2], rules, 0)
    os.close(rules)
    return True


def confine_root(root: str) -> bool:
    """Instead of Landlock, where anybody may (gVisor): nothing but the tree ``root``. False where one may not."""
    if _libc.unshare(1 << 28):  # CLONE_NEWUSER, in which chroot is allowed
        return False
    os.chroot(root)
    os.chdir("/")
    _keep_rights(0)
    return True


def _allow(rules: int, path: str, rights: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # what is not there need not be allowed
    if not os.path.isdir(path):
        rights &= ~(1 << 3)  # a file has no directory to read
    _call("landlock", _LANDLOCK[1], rules, 1, struct.pack("=Qi", rights, fd), 0)
    os.close(fd)


def die_with(parent: int) -> None:
    """Be killed when the process ``parent`` ends."""
    _prctl(1, 9, "pdeathsig")
    if os.getppid() != parent:
        os._exit(1)


def become(uid: int) -> None:
    """From root to ``uid``, keeping one right: to read what root may read, of which Landlock leaves the libraries."""
    _prctl(8, 1, "keepcaps")
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    _keep_rights(1 << 2)  # CAP_DAC_READ_SEARCH


def _keep_rights(rights: int) -> None:
    """Of the first 32 capabilities these, effective and permitted."""
    data = struct.pack("6I", rights, rights, 0, 0, 0, 0)
    if _libc.capset(struct.pack("Ii", 0x20080522, 0), data):
        raise Refused(f"capset: {os.strerror(ctypes.get_errno())}")


def _limit(memory: int, seconds: int) -> None:
    limits = {"AS": memory, "CPU": seconds, "CORE": 0, "FSIZE": 0, "NOFILE": 64, "MEMLOCK": 0}
    for name, value in limits.items():
        kind = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))


def _filter(pid: int) -> None:
    machine = platform.machine()
    if machine not in _AUDIT:
        raise Refused(f"there is no system call filter for {machine}")
    column = list(_AUDIT).index(machine)
    program = b"".join(_program(_AUDIT[machine], column, pid))
    buffer = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    if _libc.prctl(22, 2, header, 0, 0):  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
        raise Refused(f"seccomp: {os.strerror(ctypes.get_errno())}")


def _program(audit: int, column: int, pid: int) -> list[bytes]:
    """The filter, in the kernel's BPF: 8 bytes an instruction."""

    def op(code: int, k: int, yes: int = 0, no: int = 0) -> bytes:
        return struct.pack("HBBI", code, yes, no, k & 0xFFFFFFFF)

    load, equal, end = 0x20, 0x15, 0x06
    allow, refuse, kill = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x80000000
    program = [op(load, 4), op(equal, audit, 1, 0), op(end, kill), op(load, 0)]
    for numbers in _CALLS.values():
        if (number := numbers[column]) is not None:
            program += [op(equal, number, 0, 1), op(end, allow)]
    for numbers in _NOT_THERE.values():
        program += [op(equal, numbers[column], 0, 1), op(end, 0x00050000 | errno.ENOSYS)]
    for number, first in [(n[column], pid) for n in _TO_ITSELF.values()] + [(_PRLIMIT[column], 0)]:
        program += [op(equal, number, 0, 4), op(load, 16), op(equal, first, 0, 1), op(end, allow), op(end, refuse)]
    program += [op(equal, _FCNTL[column], 0, 2 * len(_FCNTL_ALLOWED) + 1), op(load, 24)]
    for command in _FCNTL_ALLOWED:
        program += [op(equal, command, 0, 1), op(end, allow)]
    return [*program, op(end, refuse)]


def _prctl(what: int, value: int, name: str) -> None:
    if _libc.prctl(what, value, 0, 0, 0):
        raise Refused(f"{name}: {os.strerror(ctypes.get_errno())}")


def _call(name: str, *arguments: object) -> int:
    found = int(_libc.syscall(*arguments))
    if found < 0:
        raise Refused(f"{name}: {os.strerror(ctypes.get_errno())}")
    return found
