"""The system calls of a container that holds a nursery, as Docker's ``--security-opt seccomp=`` takes them.

As in Docker's own profile, what is not on the list is refused, and clone makes no namespace. The list is shorter: what
the engine, its init and Python need to start, fork sessions and confine them. So there is no ptrace, process_vm_*,
io_uring, userfaultfd, memfd, keyctl, bpf, perf_event_open, unshare, setns, mount, mq_open, shmget, pidfd_open, and no
socket but pairs of one's own. The sessions' own filter (``inside/jail.py``) is shorter still.
"""

from __future__ import annotations

import json

_MEMORY = "brk madvise mlock mmap mprotect mremap munlock munmap membarrier"
_FILES = (
    "access chdir close close_range dup dup2 dup3 faccessat faccessat2 fadvise64 fchdir fcntl flock fstat fstatfs "
    "getcwd getdents getdents64 ioctl lseek lstat newfstatat open openat openat2 pipe pipe2 pread64 preadv pwrite64 "
    "pwritev read readahead readlink readlinkat readv stat statfs statx umask write writev"
)
_WAITING = (
    "alarm clock_getres clock_gettime clock_nanosleep epoll_create1 epoll_ctl epoll_pwait epoll_wait eventfd2 futex "
    "getitimer gettimeofday nanosleep pause poll ppoll pselect6 restart_syscall select setitimer time timer_create "
    "timer_delete timer_settime times"
)
_SOCKETS = "getsockname getsockopt recvfrom recvmsg sendmsg sendto setsockopt shutdown socketpair"
_PROCESSES = (
    "arch_prctl capget capset execve exit exit_group fork get_robust_list getegid geteuid getgid getgroups getpgid "
    "getpgrp getpid getppid getpriority getrandom getresgid getresuid getrlimit getrusage getsid gettid getuid kill "
    "landlock_add_rule landlock_create_ruleset landlock_restrict_self prctl prlimit64 rseq rt_sigaction rt_sigpending "
    "rt_sigprocmask rt_sigreturn rt_sigsuspend rt_sigtimedwait sched_getaffinity sched_getparam sched_getscheduler "
    "sched_yield seccomp set_robust_list set_tid_address setgid setgroups setpgid setresgid setresuid setrlimit setsid "
    "setuid sigaltstack sysinfo tgkill tkill uname vfork wait4 waitid"
)
ALLOWED = frozenset(" ".join((_MEMORY, _FILES, _WAITING, _SOCKETS, _PROCESSES)).split())
_NAMESPACES = 0x7E020000  # the flags of clone that make one
_ENOSYS = 38  # to which the C library answers with clone


def profile() -> str:
    """The profile's JSON."""
    no_namespace = {"index": 0, "value": _NAMESPACES, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}
    return json.dumps(
        {
            "defaultAction": "SCMP_ACT_ERRNO",
            "defaultErrnoRet": 1,
            "syscalls": [
                {"names": sorted(ALLOWED), "action": "SCMP_ACT_ALLOW"},
                {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [no_namespace]},
                {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": _ENOSYS},
            ],
        }
    )
