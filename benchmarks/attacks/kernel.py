"""System calls that a session has no use for, and files that change the kernel."""

from __future__ import annotations

from benchmarks.attacks.attack import Attack, attack


def _call(name: str, arguments: str, bare: bool = False, also: str = "") -> Attack:
    number = name.split()[0]
    return attack(name, f"fd = call({number!r}, {arguments})\nwon(fd)\n{also}", bare=bare)


def _write(name: str, *paths: str) -> Attack:
    return attack(name, f"kept = each(lambda p: (open(p, 'r+b', buffering=0), won(p)), *{paths!r})", bare=False)


_SPACES = {"users": 1 << 28, "mounts": 1 << 17, "processes": 1 << 29, "networks": 1 << 30, "names": 1 << 26}

ATTACKS = (
    *(_call(f"unshare {name}", f"{flag:#x}", bare=name != "processes") for name, flag in _SPACES.items()),
    _call("clone with a user namespace", f"{(1 << 28) | 17:#x}, None, None, None, None", also="fd or time.sleep(9)"),
    attack(
        "enter another namespace (setns)",
        """
def enter(pid):
    call("setns", call("pidfd_open", pid, 0), 0x7E020000)
    won(pid)
def enter_file(path):
    call("setns", os.open(path, os.O_RDONLY), 0)
    won(path)
each(enter, 1, H.host, H.victim)
each(enter_file, "/proc/1/ns/net", f"/proc/{H.host}/ns/mnt", f"/proc/{H.victim}/ns/net")
""",
    ),
    _call("mount", "b'tmpfs', b'/mnt', b'tmpfs', 0, None"),
    _call("mount a link", "b'/', b'/mnt', None, 4096, None"),
    _call("umount2", "b'/proc', 2"),
    _call("fsopen", "b'tmpfs', 0", bare=True),
    _call("open_tree", "-100, b'/', 1"),
    _call("pivot_root", "b'/', b'/'"),
    _call("chroot", "b'/usr'", bare=True),
    attack(
        "setuid to root",
        "attempt(lambda: os.setuid(0) or won(), lambda: os.setresuid(0, 0, 0) or won(), lambda: os.setgid(0) or won())",
        bare=True,
    ),
    _call("setgroups", "1, struct.pack('I', 0)", bare=True),
    attack(
        "take capabilities (capset)",
        """
call('capset', struct.pack('Ii', 0x20080522, 0), struct.pack('6I', *[0xFFFFFFFF, 0xFFFFFFFF, 0] + [0x1FF, 0x1FF, 0]))
won()
""",
    ),
    attack("be dumped and traced again (PR_SET_DUMPABLE)", "call('prctl', 4, 1, 0, 0, 0)\nwon()", bare=True),
    attack(
        "lift its filter (PR_SET_SECCOMP)",
        "attempt(lambda: call('prctl', 22, 0, 0, 0, 0) or won(),"
        " lambda: call('seccomp', 1, 0, struct.pack('HxxxxxxP', 0, 0)) or won())",
    ),
    _call("personality", "0x0040000", bare=True),
    _call("keyctl", "0, -3, 1", bare=True),
    _call("add_key", "b'user', b'reasongym', b'x', 1, -2", bare=True),
    _call("request_key", "b'user', b'reasongym', None, -4"),
    _call("bpf", "0, struct.pack('4I', 2, 4, 4, 1) + bytes(112), 128", bare=True),
    _call("perf_event_open", "struct.pack('IIQ', 1, 128, 0) + bytes(112), 0, -1, -1, 0"),
    _call("userfaultfd", "1", bare=True),
    _call("io_uring_setup", "4, ctypes.create_string_buffer(120)", bare=True),
    _call("io_setup", "4, ctypes.create_string_buffer(8)", bare=True),
    _call("memfd_create", "b'x', 0", bare=True),
    _call("memfd_secret", "0"),
    _call("shmget", "0, 4096, 0o1600", bare=True, also="call('shmctl', fd, 0, None)"),
    _call("semget", "0, 1, 0o1600"),
    _call("msgget", "0, 0o1600"),
    _call("mq_open", "b'reasongym', 0o102, 0o600, None"),
    _call("eventfd2", "0, 0", bare=True),
    _call("timerfd_create", "0, 0", bare=True),
    _call("signalfd4", "-1, bytes(8), 8, 0", bare=True),
    _call("inotify_init1", "0", bare=True),
    _call("fanotify_init", "0, 0", bare=True),
    _call("epoll_create1", "0", bare=True),
    _call("pipe2", "ctypes.create_string_buffer(8), 0", bare=True),
    _call("init_module", "b'', 0, b''"),
    _call("finit_module", "0, b'', 0"),
    _call("delete_module", "b'reasongym', 0"),
    _call("kexec_load", "0, 0, None, 0"),
    _call("reboot", "0xfee1dead, 672274793, 0, None"),
    _call("swapon", "b'/nothing', 0"),
    _call("swapoff", "b'/nothing'"),
    _call("sethostname", "b'pwned', 5"),
    _call("setdomainname", "b'pwned', 5"),
    attack(
        "set the clock",
        "now = struct.pack('qq', int(time.time()), 0)\n"
        "attempt(lambda: call('clock_settime', 0, now) or won(), lambda: call('settimeofday', now, None) or won(),"
        " lambda: call('adjtimex', struct.pack('I', 1) + bytes(204)) and won())",
    ),
    _call("iopl", "3"),
    _call("ioperm", "0x80, 1, 1"),
    _call("modify_ldt", "0, ctypes.create_string_buffer(64), 64", bare=True),
    _call("acct", "None"),
    _call("quotactl", "0x80000100, None, 0, None"),
    _call("vhangup", ""),
    _call("sched_setattr (real time)", "0, struct.pack('IIQiIQQQ', 48, 1, 0, 0, 50, 0, 0, 0), 0"),
    _call("kcmp", "H.victim, H.victim, 1, 0, 0", bare=True),
    _call("lookup_dcookie", "0, ctypes.create_string_buffer(8), 8"),
    _call("process_madvise", "0, None, 0, 0, 0"),
    _call("get_mempolicy", "None, None, 0, None, 0", bare=True),
    _call("splice", "0, None, 1, None, 1, 0"),
    _call("copy_file_range", "0, None, 1, None, 1, 0"),
    attack(
        "push characters into a terminal (TIOCSTI)",
        "[won(f) for f in each(lambda fd: call('ioctl', fd, 0x5412, b'x') or fd, 0, 1, 2, 3)]",
    ),
    attack("any ioctl", "fd = call('ioctl', 3, 0x541B, ctypes.create_string_buffer(8))\nwon()", bare=True),
    _write("core_pattern", "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/kernel/hotplug"),
    _write(
        "knobs in /proc",
        "/proc/sysrq-trigger",
        "/proc/sys/vm/drop_caches",
        "/proc/sys/kernel/sysrq",
        "/proc/sys/fs/binfmt_misc/register",
        "/proc/self/oom_score_adj",
        "/proc/self/uid_map",
        "/proc/self/attr/exec",
    ),
    _write(
        "knobs in /sys",
        "/sys/kernel/uevent_helper",
        "/sys/power/state",
        "/sys/fs/cgroup/cgroup.procs",
        "/sys/fs/cgroup/release_agent",
        "/sys/fs/cgroup/memory/release_agent",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ),
    attack(
        "the system calls of 32 bits",
        """
import mmap
page = mmap.mmap(-1, 4096, prot=7)
fork = bytes([0xB8, 2, 0, 0, 0, 0xCD, 0x80, 0xC3])
page.write(fork if H.machine == "x86_64" else struct.pack("<I", 0xD65F03C0))
code = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
found = code()
found == 0 and time.sleep(0.5)
(found > 0 and H.machine == "x86_64") and won(found)
""",
    ),
    attack(
        "the system calls of x32",
        """
for n in (57, 41, 319):
    attempt(lambda: won(call(0x40000000 | n, 0, 0, 0)))
""",
    ),
    attack(
        "system calls that are to come",
        "[won(n) for n in each(lambda n: (call(n, 0, 0, 0, 0, 0), n)[1], *range(450, 600))]",
    ),
)
