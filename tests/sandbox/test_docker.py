"""The docker backend on a real engine: what its containers may, what they leave behind, and what its end does to us."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from reasongym import cli, sandbox
from reasongym.core import HostError, UserError
from reasongym.sandbox import Limits, Session, image, open_session, seccomp, selftest
from reasongym.sandbox import docker as backend
from reasongym.sandbox.docker import LABEL, Docker, engine, settings
from reasongym.sandbox.stream import Stream

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    found = engine()
    yield found
    found.close()


@pytest.fixture(scope="module")
def built(client: Any) -> str:
    """The image's name."""
    return backend.build()


@pytest.fixture(scope="module")
def nursery(built: str) -> Iterator[Stream]:
    found = Docker().start()
    yield found
    found.close()


@pytest.fixture
def session(nursery: Stream) -> Iterator[Session]:
    with closing(Session(lambda: nursery, Limits(seconds=1.0))) as found:
        yield found


def containers(client: Any) -> set[str]:
    return {found["Id"] for found in client.api.containers(all=True, filters={"label": LABEL})}


def until(true: Callable[[], object], seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.05)
    return bool(true())


def processes(word: str) -> list[int]:
    """Nurseries and their sessions, of this machine and of every container, whose command has ``word`` in it."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            text = path.read_text()
            if "nursery.py" in text and word in text and "-c" not in text.split("\0"):
                found.append(int(path.parent.name))
    return found


# --- what a container is


def test_a_container_is_hardened(client: Any, nursery: Stream) -> None:
    attributes = client.api.inspect_container(nursery._source.id)  # type: ignore[attr-defined]
    host, config = attributes["HostConfig"], attributes["Config"]
    assert host["NetworkMode"] == "none" and attributes["NetworkSettings"]["Networks"].keys() == {"none"}
    assert host["ReadonlyRootfs"] and host["CapDrop"] == ["ALL"] and not host["CapAdd"] and not host["Privileged"]
    assert host["IpcMode"] == "none" and not host.get("Tmpfs") and not host["Binds"] and not attributes["Mounts"]
    assert host["Memory"] == host["MemorySwap"] == 4 << 30 and host["PidsLimit"] == 512
    assert host["Init"] is True and host["AutoRemove"] is True and host["LogConfig"]["Type"] == "none"
    assert "no-new-privileges:true" in host["SecurityOpt"] and f"seccomp={seccomp.profile()}" in host["SecurityOpt"]
    assert config["User"] == "64917:64917" and config["StdinOnce"] and config["OpenStdin"] and not config["Tty"]
    assert config["Labels"] == {LABEL: image.fingerprint()}
    assert not any(word in "".join(config["Env"]) for word in ("SECRET", "TOKEN", os.getcwd()))


def test_settings_reach_the_container() -> None:
    given = settings(Docker(runtime="runsc", memory="1g", pids=9, cpus=1.5))
    assert given["runtime"] == "runsc" and given["pids_limit"] == 9 and given["nano_cpus"] == 1_500_000_000
    assert given["mem_limit"] == given["memswap_limit"] == "1g"


FORBIDDEN = """
ptrace process_vm_readv process_vm_writev io_uring_setup io_uring_enter userfaultfd memfd_create memfd_secret keyctl
add_key request_key bpf perf_event_open unshare setns mount umount2 pivot_root chroot open_tree fsopen mq_open shmget
msgget semget pidfd_open pidfd_getfd open_by_handle_at name_to_handle_at kcmp init_module finit_module kexec_load
reboot swapon socket connect bind listen accept personality mknod mknodat iopl ioperm modify_ldt acct quotactl
""".split()


def test_the_profile_allows_nothing_that_opens_another_door() -> None:
    assert not seccomp.ALLOWED & set(FORBIDDEN)
    profile = json.loads(seccomp.profile())
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO"
    allowed = [rule for rule in profile["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW"]
    assert [rule["names"] for rule in allowed if rule.get("args")] == [["clone"]]


# Run in a container in the nursery's place: what a session could do that has got out of its own jail.
ATTACKS = r"""
import ctypes, json, os, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
calls = {"ptrace": (101, 0), "io_uring_setup": (425, 1, 0), "memfd_create": (319, b"x", 0), "keyctl": (250, 0, -3, 0),
    "add_key": (248, b"user", b"x", b"x", 1, -3), "bpf": (321, 0, 0, 0), "perf_event_open": (298, 0, 0, -1, -1, 0),
    "userfaultfd": (323, 1), "unshare": (272, 1 << 28), "setns": (308, 0, 0), "mount": (165, 0, b"/", b"tmpfs", 0, 0),
    "mq_open": (240, b"x", 0o102, 0o600, 0), "shmget": (29, 0, 4096, 0o1600), "pidfd_open": (434, 1, 0),
    "process_vm_readv": (310, 1, 0, 0, 0, 0, 0), "open_by_handle_at": (304, -100, 0, 0), "chroot": (161, b"/"),
    "personality": (135, 0x0040000), "clone_newuser": (56, 1 << 28 | 17, 0, 0, 0, 0), "vsock": (41, 40, 1, 0),
    "inet": (41, 2, 1, 0), "inet6": (41, 10, 1, 0), "netlink": (41, 16, 3, 0), "unix": (41, 1, 1, 0),
    "packet": (41, 17, 3, 0)}
done = {}
for name, (number, *arguments) in calls.items():
    ctypes.set_errno(0)
    done[name] = [libc.syscall(number, *arguments), ctypes.get_errno()]
def tried(work):
    try:
        work()
    except OSError as error:
        return error.errno
    return 0
writes = ["/x", "/python/x", "/tmp/x", "/dev/x", "/dev/shm/x", "/etc/passwd", "/proc/sys/kernel/core_pattern",
    "/proc/sysrq-trigger", "/sys/kernel/uevent_helper", "/sys/fs/cgroup/x"]
done["written"] = [path for path in writes if not tried(lambda: open(path, "w").close())]
done["became"] = [uid for uid in (0, 1000) if not tried(lambda: os.setuid(uid))]
done["signalled"] = tried(lambda: os.kill(1, 9)) or "sent"
status = dict(line.split(":\t", 1) for line in open("/proc/self/status").read().splitlines())
done["status"] = {key: status[key] for key in ("CapEff", "CapPrm", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Uid")}
done["interfaces"] = sorted(line.split(":")[0].strip() for line in open("/proc/net/dev").read().splitlines()[2:])
done["pids"] = sorted(int(word) for word in os.listdir("/proc") if word.isdigit())
done["environment"] = sorted(os.environ)
forked = 0
try:
    while forked < 2000:
        if not os.fork():
            import time; time.sleep(20); os._exit(0)
        forked += 1
except OSError:
    pass
done["forked"] = forked
print(json.dumps(done), flush=True)
os.kill(0, 9)
"""


@pytest.fixture(scope="module")
def attacked(client: Any, built: str) -> Any:
    given = {**settings(Docker(pids=64)), "command": ["/python/bin/python3", "-I", "-c", ATTACKS]}
    given |= {"auto_remove": False, "log_config": {"type": "json-file"}}
    made = client.containers.run(built, detach=True, **given)
    try:
        made.wait(timeout=30)
        said = made.logs().decode()
    finally:
        made.remove(force=True)
    return json.loads(said.splitlines()[0])


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the attack's numbers are those of x86-64")
def test_a_container_holds_by_itself(attacked: Any) -> None:
    """Without the sessions' own filter."""
    calls = {name: result for name, result in attacked.items() if isinstance(result, list) and name not in OTHERS}
    assert len(calls) == 25
    assert {name: result for name, result in calls.items() if result != [-1, 1]} == {}
    assert attacked["written"] == [] and attacked["became"] == []
    assert attacked["status"].pop("Uid").split() == ["64917"] * 4
    assert attacked["status"] == {
        **dict.fromkeys(("CapEff", "CapPrm", "CapBnd", "CapAmb"), "0" * 16),
        "NoNewPrivs": "1",
        "Seccomp": "2",
    }
    assert attacked["interfaces"] == ["lo"] and len(attacked["pids"]) == 2
    assert 1 <= attacked["forked"] < 64
    assert set(attacked["environment"]) <= ENVIRONMENT


OTHERS = {"written", "became", "interfaces", "pids", "environment"}
ENVIRONMENT = {"PATH", "HOSTNAME", *settings(Docker())["environment"]}


# --- sessions in it


def test_sessions_are_what_they_are_everywhere(session: Session) -> None:
    cells = ("x = 41", "x + 1", "import numpy, sympy; sympy.factorint(int(numpy.arange(14).sum()))")
    assert [session.run(cell).output for cell in cells] == ["", "42", "{7: 1, 13: 1}"]
    cells = ("import sqlite3, ssl, decimal, ctypes", "import zoneinfo; zoneinfo.ZoneInfo('Asia/Tokyo').key")
    assert [session.run(cell).output for cell in cells] == ["", "'Asia/Tokyo'"]
    session.run("def f(n): return 'a' * n")
    assert len(session.call("f", {"tuple": [250_000]}, {"dict": []}).value) == 250_000


def test_the_self_test_passes(nursery: Stream) -> None:
    selftest.check(nursery)


@pytest.mark.parametrize(
    "code",
    [
        "import os; os.listdir('/proc')",
        "open('/proc/self/mem', 'r+b')",
        "open('/proc/1/environ')",
        "import os; os.open('/proc/self/fd/3', os.O_RDWR)",
        "open('/etc/hostname').read()",
        "open('/dev/mqueue/x', 'w')",
        "open('/dev/shm/x', 'w')",
        "open('/python/inside/jail.py', 'a')",
        "import os; os.kill(1, 9)",
        "import os; os.kill(2, 9)",
        "import os; os.kill(-1, 9)",
        "import socket; socket.socketpair()",
        "import ctypes; assert ctypes.CDLL(None).unshare(1 << 28) == 0",
        "import ctypes; assert ctypes.CDLL(None).prctl(4, 1, 0, 0, 0) == 0",
        "import os; os.execv('/python/bin/python3', ['python3', '-c', ''])",
        "import os; os.nice(-1)",
    ],
)
def test_attacks_from_inside_fail_and_cost_nothing(session: Session, nursery: Stream, code: str) -> None:
    reply = session.run(code)
    assert not reply.ok, reply
    assert nursery.alive and session.run("1 + 1").output == "2"


@pytest.mark.parametrize(
    "code",
    [
        "while True: pass",
        "import time; time.sleep(60)",
        "sum(range(10**12))",
        "import re; re.match('(a+)+$', 'a' * 40 + 'b')",
        "import signal\nfor n in range(1, 32):\n    try: signal.signal(n, signal.SIG_IGN)\n    except Exception: 0\n"
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
        "import os; os.kill(os.getpid(), 19)",
    ],
)
def test_a_hang_takes_its_second_and_no_more(session: Session, code: str) -> None:
    session.run("1")
    begin = time.monotonic()
    reply = session.run(code)
    assert reply.lost and "TimeoutError" in reply.output
    assert time.monotonic() - begin < 1.3
    assert session.run("2").output == "2"


def test_sessions_share_nothing(nursery: Stream) -> None:
    with closing(Session(lambda: nursery)) as one, closing(Session(lambda: nursery)) as two:
        pid = one.run("import os, math; math.pi = 3; secret = 'hunter2'; os.getpid()").output
        assert two.run("import math; math.pi > 3").output == "True"
        for attack in (
            "open('/proc/{}/mem', 'rb')",
            "import os; os.kill({}, 9)",
            "import os; os.listdir('/proc/{}/fd')",
        ):
            assert not two.run(attack.format(pid)).ok
        assert one.run("secret").output == "'hunter2'"


def test_memory_that_runs_out_takes_who_took_it(built: str) -> None:
    """Together they want more than the container has: one of those ends, and neither the nursery nor who is modest."""
    with closing(Docker(memory="512m").start()) as small:
        with closing(Session(lambda: small)) as modest, ThreadPoolExecutor(4) as pool:
            modest.run("x = 7")
            greedy = [Session(lambda: small, Limits(seconds=20.0)) for _ in range(4)]
            hold = "x = bytearray(b'x' * (300 << 20))\nlen(x)"
            replies = [reply for reply in pool.map(lambda s: s.run(hold), greedy)]
            assert any(reply.lost for reply in replies)
            assert all("interpreter died" in reply.output for reply in replies if reply.lost)
            assert small.alive and modest.run("x").output == "7"
            for one in greedy:
                one.close()


def test_a_session_beyond_the_limit_of_processes_is_the_hosts_failure_and_no_other_is_lost(built: str) -> None:
    with closing(Docker(pids=8).start()) as small:
        some = [Session(lambda: small) for _ in range(12)]
        try:
            with pytest.raises(HostError, match="could not start"):
                for one in some:
                    one.run("x = 1")
            assert small.alive and some[0].run("x").output == "1"
            for one in some[1:]:
                one.close()
            time.sleep(0.2)
            assert some[1].run("2").output == "2"
        finally:
            for one in some:
                one.close()


# --- nothing stays


@pytest.mark.slow
def test_nothing_is_left_of_nurseries_and_sessions(client: Any, built: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = f"mark_{os.getpid()}_leak"
    monkeypatch.setattr(backend, "PRELOAD", (mark,))

    def counts() -> tuple[set[str], int, int]:
        return containers(client), len(processes(mark)), len(os.listdir("/proc/self/fd"))

    def use() -> None:
        with closing(Docker().start()) as nursery:
            for i in range(10):
                with closing(Session(lambda: nursery)) as one:
                    assert one.run(f"{i}").output == f"{i}"
            assert processes(mark)
            with closing(Session(lambda: nursery, Limits(seconds=0.1))) as hung:
                assert hung.run("while True: pass").lost
                hung.run("1")

    use()
    before = counts()
    assert before[1] == 0
    for _ in range(3):
        use()
        assert counts()[0] == before[0]  # close() has waited for it
    assert until(lambda: counts() == before), (before, counts())


KILLED = """
import os, threading, time
from reasongym.sandbox import Limits, docker, open_session
docker.PRELOAD = ({mark!r},)
session = open_session("docker", Limits(seconds=60.0))
session.run("1")
threading.Thread(target=session.run, args=[{code!r}], daemon=True).start()
time.sleep(0.5)
print("there", flush=True)
os.kill(os.getpid(), {signal})
time.sleep(60)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("code", ["while True: pass", "import os, signal\nwhile True: os.write(3, b'x' * 4)"])
def test_nothing_outlives_the_host(client: Any, built: str, code: str, how: signal.Signals) -> None:
    before, mark = containers(client), f"mark_{os.getpid()}_{how}_{len(code)}"
    program = KILLED.format(mark=mark, code=code, signal=int(how))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == -how and done.stdout == "there\n", done.stderr
    assert until(lambda: containers(client) == before and not processes(mark))


def test_what_was_made_and_never_started_is_swept_up(client: Any, built: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = client.containers.create(built, **settings(Docker()))
    try:
        with closing(Docker().start()):
            assert made.id in containers(client)  # another process may be about to start it
        monkeypatch.setattr(backend, "_STALE_S", -60.0)
        with closing(Docker().start()):
            assert made.id not in containers(client)
    finally:
        with suppress(Exception):
            made.remove(force=True)


# --- the host's failures


def test_a_container_that_is_killed_is_the_hosts_failure(client: Any, built: str) -> None:
    with closing(Docker().start()) as nursery, ThreadPoolExecutor(1) as thread:
        with closing(Session(lambda: nursery, Limits(seconds=30.0))) as one:
            one.run("1")
            waiting = thread.submit(one.run, "import time; time.sleep(20)")
            time.sleep(0.3)
            begin = time.monotonic()
            client.api.kill(nursery._source.id)  # type: ignore[attr-defined]
            with pytest.raises(HostError, match="lost"):
                waiting.result(10)
            assert time.monotonic() - begin < 5
            assert not nursery.alive


def test_a_lost_container_is_replaced(client: Any, built: str) -> None:
    with closing(open_session("docker")) as one:
        assert one.run("1").output == "1"
        client.api.kill(sandbox.nursery("docker")._source.id)  # type: ignore[attr-defined]
        with pytest.raises(HostError, match="lost"):
            one.run("2")
        assert one.run("3").output == "3"
    sandbox.close_all()


@dataclass
class Engine:
    """One of our own, to be killed."""

    folder: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"unix://{self.folder}/docker.sock"

    def start(self) -> None:
        (self.folder / "daemon.json").write_text("{}")
        (self.folder / "dockerd.pid").unlink(missing_ok=True)
        command = f"dockerd --config-file {self.folder}/daemon.json -H {self.address} --data-root {self.folder}/data"
        command += f" --exec-root {self.folder}/exec -p {self.folder}/dockerd.pid --bridge=none --iptables=false"
        command += " --ip6tables=false --storage-driver=overlay2"
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(command.split(), stdout=log, stderr=log, start_new_session=True)

        def up() -> bool:
            with suppress(UserError):
                engine().close()
                return True
            return False

        if not until(up, 30.0):
            self.stop()
            pytest.skip(f"no engine of our own starts: {(self.folder / 'log').read_text()[-300:]}")

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        assert self.process is not None
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(20)
        self.process.kill()
        self.process.wait()
        for point in reversed(mounts(self.folder)):
            subprocess.run(["umount", "-l", point], check=True)


def mounts(folder: Path) -> list[str]:
    """What is mounted below a folder, a point once for each time: an engine that is killed cannot take it down."""
    points = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    return [point for point in points if point.startswith(f"{folder}/")]


@pytest.fixture
def own_engine(client: Any, built: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    if os.getuid() or shutil.which("dockerd") is None:
        pytest.skip("an engine of our own takes root and dockerd")
    found = Engine(tmp_path)
    monkeypatch.setenv("DOCKER_HOST", found.address)
    found.start()
    with closing(engine()) as other:
        list(other.images.load(client.images.get(built).save(named=True)))
    yield found
    found.stop()
    assert not mounts(tmp_path), "what stays mounted cannot be deleted, and fails a later run of pytest"


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_lost_engine_is_the_hosts_failure(
    own_engine: Engine, monkeypatch: pytest.MonkeyPatch, how: signal.Signals
) -> None:
    mark = f"mark_{os.getpid()}_engine_{int(how)}"
    monkeypatch.setattr(backend, "PRELOAD", (mark,))
    monkeypatch.setattr(backend, "SILENCE_S", 10.0)
    monkeypatch.setattr("reasongym.sandbox.stream._PATIENCE_S", 1.0)
    nursery = Docker().start()
    assert own_engine.process is not None
    with closing(Session(lambda: nursery, Limits(seconds=3.0))) as one, ThreadPoolExecutor(1) as thread:
        one.run("1")
        waiting = thread.submit(one.run, "import time; time.sleep(20)")
        time.sleep(0.3)
        begin = time.monotonic()
        os.kill(own_engine.process.pid, how)
        with pytest.raises(HostError, match="lost"):
            waiting.result(20)
        assert time.monotonic() - begin < (2.0 if how == signal.SIGKILL else 6.0)
        assert not nursery.alive
        if how == signal.SIGSTOP:
            os.kill(own_engine.process.pid, signal.SIGCONT)
        else:
            with pytest.raises(UserError, match="no engine answers"):
                Docker().start()
        begin = time.monotonic()
        nursery.close()
        assert time.monotonic() - begin < 10
    assert until(lambda: not processes(mark)), "the container has outlived its engine"
    if how == signal.SIGKILL:
        own_engine.kill()
        own_engine.start()
    with closing(engine()) as again:
        assert until(lambda: not containers(again))
    with closing(Docker().start()) as second, closing(Session(lambda: second)) as one:
        assert one.run("4").output == "4"


# --- gVisor


@pytest.fixture(scope="module")
def gvisor(client: Any, built: str) -> Iterator[Stream]:
    if "runsc" not in client.info()["Runtimes"]:
        pytest.skip("the engine has no runtime runsc")
    found = Docker(runtime="runsc").start()
    yield found
    found.close()


def test_gvisor_lacks_landlock_and_sessions_are_apart_all_the_same(gvisor: Stream) -> None:
    assert not gvisor.landlock
    selftest.check(gvisor)
    with closing(Session(lambda: gvisor, Limits(seconds=20.0))) as one:
        assert one.run("import os; sorted(os.listdir('/'))").output == "['bin', 'inside', 'lib', 'python', 'zoneinfo']"
        assert one.run("import statistics, zoneinfo; zoneinfo.ZoneInfo('Asia/Tokyo').key").output == "'Asia/Tokyo'"
        for path in ("/proc/self/mem", "/proc/2/fd/0", "/tmp/x", "/dev/shm/x", "/x", "/python/x"):
            assert not one.run(f"open({path!r}, 'r+b')").ok and not one.run(f"open({path!r}, 'w')").ok
        assert one.run("import os; os.kill(2, 9)").output.endswith("PermissionError: [Errno 1] Operation not permitted")
    with closing(Session(lambda: gvisor, Limits(seconds=1.0))) as one:
        one.run("1")
        begin = time.monotonic()
        assert one.run("while True: pass").lost and time.monotonic() - begin < 1.5


def test_an_unknown_runtime_is_named(built: str, client: Any) -> None:
    before = containers(client)
    with pytest.raises(UserError, match="no runtime 'nonesuch'"):
        Docker(runtime="nonesuch").start()
    assert containers(client) == before


# --- the image


def test_the_image_is_of_this_version_or_refused(client: Any, built: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert built == f"reasongym-sandbox:{image.fingerprint()}"
    with pytest.raises(UserError, match="no image nonesuch:1: make it with `reasongym sandbox build --tag nonesuch:1`"):
        Docker(image="nonesuch:1").start()
    monkeypatch.setattr(image, "fingerprint", lambda: "0" * 12)
    with pytest.raises(UserError, match="no image reasongym-sandbox:0{12}, only one of another version"):
        Docker().start()
    with pytest.raises(UserError, match=f"the image {built} is of another version: make it again"):
        Docker(image=built).start()


def test_the_commands(built: str, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["sandbox", "check"])
    said = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in said[:-1]] == list(sandbox.BACKENDS)
    assert "docker: works" in said and said[-1].startswith("auto takes ")


@pytest.mark.slow
def test_the_image_has_a_name_of_ones_own(client: Any, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["sandbox", "build", "--tag", "reasongym-test:mine"])
    try:
        assert capsys.readouterr().out == "reasongym-test:mine\n"
        with closing(Docker(image="reasongym-test:mine").start()) as nursery, closing(Session(lambda: nursery)) as one:
            assert one.run("import sys; sys.executable, sys.prefix").output == "('/python/bin/python3', '/python')"
    finally:
        client.images.remove("reasongym-test:mine")


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    with pytest.raises(UserError, match="no engine answers: start one, or name it with DOCKER_HOST"):
        open_session("docker").run("1")
    monkeypatch.setitem(sys.modules, "docker", None)
    with pytest.raises(UserError, match=r"pip install 'reasongym\[docker\]'"):
        open_session("docker").run("1")
    cli.main(["sandbox", "check"])
    assert "docker: no: the SDK is missing: pip install 'reasongym[docker]'" in capsys.readouterr().out
