"""System calls by number, and what every attacking session has at hand."""

from __future__ import annotations

import platform

# x86-64 and 64-bit ARM; None where there is none.
_NUMBERS: dict[str, tuple[int | None, int | None]] = {
    "accept4": (288, 242), "acct": (163, 89), "add_key": (248, 217), "adjtimex": (159, 171), "bind": (49, 200),
    "bpf": (321, 280), "capset": (126, 91), "chmod": (90, None), "chroot": (161, 51), "clock_settime": (227, 112),
    "clone": (56, 220), "clone3": (435, 435), "connect": (42, 203), "copy_file_range": (326, 285),
    "delete_module": (176, 106), "epoll_create1": (291, 20), "eventfd2": (290, 19), "execve": (59, 221),
    "execveat": (322, 281), "fanotify_init": (300, 262), "fchmodat": (268, 53), "finit_module": (313, 273),
    "fork": (57, None), "fsopen": (430, 430), "get_mempolicy": (239, 236), "init_module": (175, 105),
    "inotify_init1": (294, 26), "io_setup": (206, 0), "io_uring_setup": (425, 425), "ioctl": (16, 29),
    "ioperm": (173, None), "iopl": (172, None), "ioprio_set": (251, 30), "kcmp": (312, 272),
    "kexec_file_load": (320, 294), "kexec_load": (246, 104), "keyctl": (250, 219), "kill": (62, 129),
    "linkat": (265, 37), "lookup_dcookie": (212, 18), "memfd_create": (319, 279), "memfd_secret": (447, 447),
    "mkdirat": (258, 34), "mknodat": (259, 33), "mlockall": (151, 230), "modify_ldt": (154, None),
    "mount": (165, 40), "move_mount": (429, 429), "mq_open": (240, 180), "msgget": (68, 186),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "open_tree": (428, 428),
    "openat2": (437, 437), "perf_event_open": (298, 241), "personality": (135, 92), "pidfd_getfd": (438, 438),
    "pidfd_open": (434, 434), "pidfd_send_signal": (424, 424), "pipe2": (293, 59), "pivot_root": (155, 41),
    "prctl": (157, 167), "prlimit64": (302, 261), "process_madvise": (440, 440), "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271), "ptrace": (101, 117), "quotactl": (179, 60), "reboot": (169, 142),
    "renameat2": (316, 276), "request_key": (249, 218), "rt_sigqueueinfo": (129, 138), "sched_setaffinity": (203, 122),
    "sched_setattr": (314, 274), "seccomp": (317, 277), "semget": (64, 190), "sendmsg": (46, 211), "sendto": (44, 206),
    "setdomainname": (171, 162), "setgroups": (116, 159), "sethostname": (170, 161), "setns": (308, 268),
    "setpgid": (109, 154), "setpriority": (141, 140), "setresuid": (117, 147), "setsid": (112, 157),
    "settimeofday": (164, 170), "setuid": (105, 146), "shmat": (30, 196), "shmctl": (31, 195), "shmget": (29, 194),
    "signalfd4": (289, 74), "socket": (41, 198), "socketpair": (53, 199), "splice": (275, 76), "swapoff": (168, 225),
    "swapon": (167, 224), "symlinkat": (266, 36), "syslog": (103, 116), "tgkill": (234, 131),
    "timer_create": (222, 107), "timerfd_create": (283, 85), "tkill": (200, 130), "truncate": (76, 45),
    "umount2": (166, 39), "unlinkat": (263, 35), "unshare": (272, 97), "userfaultfd": (323, 282),
    "utimensat": (280, 88), "vfork": (58, None), "vhangup": (153, 58), "vmsplice": (278, 75),
}  # fmt: skip


def numbers() -> dict[str, int]:
    """Number by name, on this machine."""
    column = 1 if platform.machine() == "aarch64" else 0
    return {name: number for name, pair in _NUMBERS.items() if (number := pair[column]) is not None}


PREAMBLE = '''
import ctypes, os, signal, socket, struct, sys, time

H = type("H", (), FACTS)  # what the attacker knows
_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def call(name, *arguments):
    """A system call: its result, or OSError."""
    number = H.nr.get(name, 999_999) if isinstance(name, str) else name
    found = _libc.syscall(*[ctypes.c_long(a) if isinstance(a, int) else a for a in (number, *arguments)])
    if found == -1:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")
    return found


def won(what="it worked"):
    print("PW" + "NED", what)


def attempt(*ways):
    """Whatever the ways give that do not fail; why they failed is printed in short."""
    found, why = [], set()
    for way in ways:
        try:
            found.append(way())
        except (OSError, MemoryError, RuntimeError, ValueError, EOFError, OverflowError) as error:
            why.add(f"{type(error).__name__} {getattr(error, 'strerror', None) or error}"[:60])
    print(*sorted(why)[:4], sep=", ")
    return found


def each(way, *things):
    return attempt(*(lambda thing=thing: way(thing) for thing in things))
'''
