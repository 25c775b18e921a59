"""The network, and every other kind of socket."""

from __future__ import annotations

from benchmarks.attacks.attack import Attack, Case, attack

_ASK = """
def ask(family, kind, address):
    with socket.socket(family, kind) as door:
        door.settimeout(0.3)
        door.connect(address)
        door.send(b"hello")
        return door.recv(99)
"""


def _socket(name: str, family: int, kind: int = 1, protocol: int = 0, bare: bool = True) -> Attack:
    code = f"fd = call('socket', {family}, {kind}, {protocol})\nwon(f'a socket: {{fd}}')"
    return attack(name, code, bare=bare)


def _asked(name: str, ways: str, bare: bool = True) -> Attack:
    return attack(name, f"{_ASK}\nprint(*attempt({ways}))", bare=bare)


def _lost_socket(case: Case) -> str:
    return "" if case.replies[-1].output in ("42", "") or case.replies[-1].lost else "the reply's socket was misused"


ATTACKS = (
    _asked("TCP to the host", "lambda: ask(2, 1, ('127.0.0.1', H.tcp))"),
    _asked(
        "TCP to the host by all its names", "lambda: ask(2, 1, ('localhost', H.tcp)), lambda: ask(2, 1, ('0', H.tcp))"
    ),
    _asked("TCP over IPv6", "lambda: ask(10, 1, ('::1', H.tcp6))", bare=False),
    _asked("UDP to the host", "lambda: ask(2, 2, ('127.0.0.1', H.udp))"),
    attack(
        "UDP to a stranger",
        "s = socket.socket(2, 2)\ns.sendto(b'x', ('192.0.2.1', 53))\nwon()",
    ),
    attack(
        "names (DNS)",
        "print(attempt(lambda: socket.getaddrinfo('example.org', 80), lambda: socket.gethostbyname('example.org')))\n"
        "for path in ('/etc/resolv.conf', '/etc/hosts'):\n    [won(t) for t in each(lambda p: open(p).read(9), path)]",
    ),
    _asked("a unix socket, like Docker's", "lambda: ask(1, 1, H.unix)"),
    _asked("an abstract unix socket", "lambda: ask(1, 1, chr(0) + H.abstract)"),
    attack(
        "sockets of the system",
        f"""{_ASK}
paths = ["/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock", "/run/dbus/system_bus_socket",
         "/run/systemd/private", "/tmp/.X11-unix/X0", "/run/nscd/socket", "/dev/log", "/run/udev/control"]
[won(p) for p in each(lambda p: (ask(1, 1, p), p)[1], *paths)]
""",
    ),
    attack("a pair of sockets", "fd = call('socketpair', 1, 1, 0, ctypes.create_string_buffer(8))\nwon()", bare=True),
    _socket("a netlink socket", 16, 3),
    _socket("a raw socket", 2, 3, 1),
    _socket("a packet socket", 17, 3, 0x0300),
    _socket("a vsock socket", 40, bare=False),
    _socket("a socket of the kernel's ciphers (AF_ALG)", 38, 5, bare=False),
    attack(
        "any family of sockets",
        """
kept = each(lambda n: (call('socket', n[0], n[1], 0), n), *[(f, k) for f in range(46) for k in (1, 2, 3, 5)])
[won(f'family {n}') for fd, n in kept]
""",
    ),
    attack(
        "by io_uring",
        "fd = call('io_uring_setup', 8, ctypes.create_string_buffer(120))\nwon()",
        bare=True,
    ),
    attack(
        "a server of its own",
        "s = socket.socket()\ns.bind(('127.0.0.1', 0))\ns.listen()\nwon(s.getsockname())",
        bare=True,
    ),
    attack(
        "the reply's socket as any other",
        """
there = struct.pack("=H", 1) + b"\\0" + H.abstract.encode()
attempt(lambda: call("connect", 3, there, len(there)) == 0 and won(),
        lambda: call("sendmsg", 3, ctypes.create_string_buffer(56), 0) and won(),
        lambda: call("bind", 3, struct.pack("=H", 1) + b"\\0there", 8) == 0 and won(),
        lambda: call("accept4", 3, None, None, 0) and won())
""",
        "print(6 * 7)",
        oracle=_lost_socket,
    ),
)
