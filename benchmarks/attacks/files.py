"""Files of the host: reading what is not the session's business, and changing or making any."""

from __future__ import annotations

from benchmarks.attacks.attack import Case, attack


def _sized(case: Case) -> str:
    return "the size of a hidden file was seen" if str(case.scene.size) in case.said else ""


ATTACKS = (
    attack("read a secret in /tmp that all may read", "print(open(H.secret).read())", bare=True),
    attack("read a file of another user", "print(*attempt(lambda: open(H.hidden).read()))", bare=True),
    attack("read /etc/shadow", "open('/etc/shadow').read() and won()", bare=True),
    attack(
        "read the homes",
        "for found in each(os.listdir, '/root', '/home', os.path.expanduser('~root'), H.folder): print(found), won()",
        bare=True,
    ),
    attack("list folders", "print(*each(os.listdir, H.folder, '/tmp', '/etc', '/proc', '/dev', '/sys'))", bare=True),
    attack(
        "see what a file is that it may not read (stat)",
        "print(*[found.st_size for found in each(os.stat, H.hidden)])",
        oracle=_sized,
        bare=True,
    ),
    attack("follow a link that the host has laid", "print(open(H.link).read())", bare=True),
    attack(
        "climb out of a readable tree with ..",
        """
import json
trees = [os.path.dirname(json.__file__), sys.prefix, "/usr/lib", "/lib", "/usr/share/zoneinfo"]
print(*each(lambda tree: open(tree + "/.." * 40 + H.secret).read(), *trees))
def below(tree):
    return os.read(os.open("../" * 40 + H.secret[1:], os.O_RDONLY, dir_fd=os.open(tree, os.O_PATH)), 99)
print(*each(below, *trees))
""",
        bare=True,
    ),
    attack("walk there first", "os.chdir(H.folder)\nprint(open('secret').read())", bare=True),
    attack(
        "link to it from everywhere",
        """
for place in H.places:
    attempt(lambda: os.symlink(H.secret, f"{place}/{H.marker}"), lambda: os.link(H.secret, f"{place}/{H.marker}"))
    print(*attempt(lambda: open(f"{place}/{H.marker}").read()))
""",
    ),
    attack(
        "by the roots of processes",
        """
pids = ["self", "thread-self", 1, 2, os.getppid(), H.host, H.nursery, H.victim, H.sibling, H.nursery_inside]
print(*each(lambda pid: open(f"/proc/{pid}/root{H.secret}").read(), *pids))
print(*each(lambda pid: open(f"/proc/{pid}/cwd/{'../' * 30}{H.secret}").read(), *pids))
""",
        bare=True,
    ),
    attack(
        "by descriptors of other processes",
        """
for pid in ["self", 1, os.getppid(), H.host, H.nursery, H.victim, H.sibling]:
    for fd in range(3, 64):
        for text in attempt(lambda: os.read(os.open(f"/proc/{pid}/fd/{fd}", os.O_RDONLY | os.O_NONBLOCK), 1 << 16)):
            print(text[:40]), won(f"/proc/{pid}/fd/{fd}") if pid not in ("self", H.sibling) else None
""",
    ),
    attack(
        "by its inode (open_by_handle_at)",
        """
def by_handle(folder):
    handle = struct.pack("IiII", 8, 1, H.inode, 0)
    fd = call("open_by_handle_at", os.open(folder, os.O_RDONLY), handle, os.O_RDONLY)
    return os.read(fd, 99), won()
print(*each(by_handle, os.path.dirname(os.__file__), "/usr/lib", "/"))
""",
    ),
    attack(
        "with other readers than open",
        """
import linecache, numpy, io, sqlite3, zipfile, importlib.util
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
buffer = ctypes.create_string_buffer(200)
def with_stdio():
    file = libc.fopen(H.secret.encode(), b"r")
    if file:
        libc.fgets(buffer, 200, ctypes.c_void_p(file))
    return buffer.value
def with_openat2():
    return os.read(call("openat2", -100, H.secret.encode(), struct.pack("QQQ", 0, 0, 0), 24), 99)
def with_mmap():
    import mmap
    return mmap.mmap(os.open(H.secret, os.O_RDONLY), 0, prot=mmap.PROT_READ)[:]
print(*attempt(with_stdio, with_openat2, with_mmap, lambda: numpy.fromfile(H.secret, dtype="S1").tobytes(),
               lambda: io.open_code(H.secret).read(), lambda: linecache.getlines(H.secret)))
""",
        bare=True,
    ),
    attack("overwrite a file that all may write", "open(H.target, 'w').write('x')", bare=True),
    attack("append to it", "open(H.target, 'a').write('x')", bare=True),
    attack(
        "truncate it",
        "attempt(lambda: os.truncate(H.target, 0), lambda: os.open(H.target, os.O_RDONLY | os.O_TRUNC),"
        " lambda: call('truncate', H.target.encode(), 0))",
        bare=True,
    ),
    attack(
        "remove or rename it",
        "attempt(lambda: os.unlink(H.target), lambda: os.rename(H.target, H.target + '2'),"
        " lambda: call('unlinkat', -100, H.target.encode(), 0),"
        " lambda: call('renameat2', -100, H.target.encode(), -100, H.secret.encode(), 2))",
        bare=True,
    ),
    attack(
        "change whose it is, its rights, its times or its attributes",
        "attempt(lambda: os.chmod(H.target, 0o600), lambda: os.utime(H.target, (0, 0)),"
        " lambda: os.setxattr(H.target, 'user.x', b'1'), lambda: os.chown(H.target, os.getuid(), -1),"
        " lambda: call('utimensat', -100, H.target.encode(), None, 0))",
        bare=True,
    ),
    attack(
        "make files, folders, pipes and nodes beside it",
        """
attempt(lambda: open(f"{H.folder}/new", "w"), lambda: os.mkdir(f"{H.folder}/new2"),
        lambda: os.mkfifo(f"{H.folder}/new3"),
        lambda: os.mknod(f"{H.folder}/new4"), lambda: os.symlink("x", f"{H.folder}/new5"),
        lambda: os.link(H.target, f"{H.folder}/new6"),
        lambda: call("mkdirat", -100, f"{H.folder}/new7".encode(), 0o777))
""",
        bare=True,
    ),
    attack(
        "write a file anywhere",
        """
def write(place):
    with open(f"{place}/{H.marker}", "w") as file:
        file.write("x")
    won(place)
each(write, *H.places)
""",
    ),
    attack(
        "a file without a name (O_TMPFILE)",
        "[won() for _ in each(lambda p: os.open(p, os.O_TMPFILE | os.O_RDWR), *H.places)]",
        bare=True,
    ),
    attack(
        "fill the disk",
        """
def fill(place):
    with open(f"{place}/{H.marker}", "wb") as file:
        for _ in range(8):
            file.write(bytes(1 << 20))
    won(place)
each(fill, *H.places)
import tempfile
attempt(lambda: tempfile.TemporaryFile().write(bytes(1 << 20)) and won("a temporary file"))
""",
    ),
    attack(
        "open devices",
        """
names = "mem kmem port kvm sda vda vdb nvme0n1 fuse net/tun ptmx tty console loop-control"
names += " loop0 kmsg mapper/control vsock"
for name in names.split():
    for kept in each(lambda name: open(f"/dev/{name}", "rb", buffering=0), name):
        keep = globals().setdefault("keep", [])
        keep.append(kept), won(name)
""",
        bare=True,
    ),
    attack(
        "use descriptors that were left open",
        """
for fd in [0, 1, 2, *range(4, 256)]:
    for text in each(lambda fd: os.pread(fd, 99, 0), fd):
        text and won(f"{fd}: {text}")
    for there in each(os.fstat, fd) if fd > 3 else ():
        won(f"descriptor {fd}")
""",
    ),
)
