"""Hosts for tests, and the system's own OpenSSH client to reach them; also with the hosts' process as an ordinary user."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from launchbay.twin.hosts import Host, Hosts, Listening

REPOSITORY = Path(__file__).resolve().parents[3]
ORDINARY = 65534


def wait_for(condition: Callable[[], object], *, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it does not come true"
        time.sleep(0.02)


def copy_sources(folder: Path) -> Path:
    """Copy what the hosts' process imports to where everybody can read it: a checkout may lie where only its owner may enter."""
    installed = Path(asyncssh.__file__).parents[1]
    skipped = shutil.ignore_patterns("__pycache__", "data", "locks", "recipes")
    shutil.copytree(REPOSITORY / "src" / "launchbay", folder / "launchbay", ignore=skipped)
    for pattern in ("asyncssh", "cryptography", "cffi", "_cffi_backend*", "pycparser", "typing_extensions.py"):
        for path in installed.glob(pattern):
            if path.is_dir():
                shutil.copytree(path, folder / path.name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(path, folder / path.name)
    return folder


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


class Client:
    """OpenSSH's own client for one host, as careful as ours: keys and host keys of its own, no questions."""

    def __init__(self, folder: Path, host: Host, listening: Listening, key: Path) -> None:
        self.host = host
        self.listening = listening
        self.key = key
        self.known = folder / f"known-{host.instance}-{listening.port}"
        self.known.write_text(f"{host.instance} {listening.host_key}\n")

    def options(self, *, key: Path | None = None) -> list[str]:
        settings = {
            "BatchMode": "yes",
            "ConnectTimeout": "10",
            "HostKeyAlias": self.host.instance,
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": str(self.known),
        }
        words = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
        return ["-F", "none", "-i", str(key or self.key), *words]

    @property
    def target(self) -> str:
        return f"{self.host.user}@{self.listening.address}"

    def command(self, *words: str, options: tuple[str, ...] = (), key: Path | None = None) -> list[str]:
        return ["ssh", *self.options(key=key), "-p", str(self.listening.port), *options, self.target, *words]

    def run(self, command: str, data: bytes | str = b"", **how: Any) -> subprocess.CompletedProcess[str]:
        data = data.encode() if isinstance(data, str) else data
        done = subprocess.run(self.command(command, **how), input=data, capture_output=True, timeout=90, check=False)
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())

    def out(self, command: str, data: bytes | str = b"") -> str:
        """Return what a command prints; it must succeed."""
        done = self.run(command, data)
        assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
        return done.stdout

    def python(self, script: str, *words: str) -> Any:
        """Run Python in the host and return the JSON that it prints last."""
        return json.loads(self.out(f"/usr/bin/python3 - {' '.join(words)}", script).splitlines()[-1])


class Site:
    """Hosts in this process, with callbacks that a test can steer."""

    def __init__(self, folder: Path, key: Path, **how: Any) -> None:
        self.folder = folder
        self.key = key
        self.clock = Clock()
        self.refused: set[str] = set()
        self.asked: list[tuple[str, str]] = []
        self.time = 1_800_000_000.0
        self.timers: dict[str, tuple[float, str]] = {}
        self.disks: list[dict[str, str]] = []
        self.lock = threading.RLock()
        self.values = {"meta-data/": b"instance-id", "meta-data/instance-id": b"i-0"}
        self.hosts = Hosts(
            folder / "hosts",
            allows=self._allows,
            metadata=self._metadata,
            power=self._power,
            answer=self._answer,
            now=self.clock,
            **how,
        )

    def _allows(self, _: str, peer: str, port: int) -> bool:
        with self.lock:  # as the twin's callbacks do
            return port == 22 and peer not in self.refused

    def _metadata(self, _: str, path: str) -> bytes | None:
        with self.lock:
            return self.values.get(path)

    def _power(self, instance: str, what: str) -> None:
        with self.lock:
            self.asked.append((instance, what))

    def _answer(self, _: str, method: str, path: str) -> bytes | None:
        with self.lock:
            if (method, path) == ("GET", "now"):
                return str(self.time).encode()
            if method == "GET":
                return json.dumps({"disks": self.disks, "timers": self.timers}[path]).encode()
            word, name, *rest = path.split("/")
            assert word == "timers"
            self.timers.pop(name, None)
            if rest:
                self.timers[name] = (float(rest[0]), rest[1])
            return b""

    def open(self, host: Host) -> Client:
        with self.lock:  # the twin calls under its lock; a callback on the loop would wait for it for ever
            listening = self.hosts.open(host)
        return Client(self.folder, host, listening, self.key)


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that makes a key pair once."""
    folder = tmp_path_factory.mktemp("keys")

    @functools.cache
    def make(name: str) -> Path:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
        return folder / name

    return make


@pytest.fixture(scope="session")
def key(keys: Callable[[str], Path]) -> Path:
    return keys("user")


@pytest.fixture(scope="session")
def public_key(key: Path) -> str:
    return key.with_suffix(".pub").read_text()


@pytest.fixture(scope="session")
def make_host(public_key: str) -> Callable[..., Host]:
    """Return a function that describes a host of its own at each call."""
    numbers = itertools.count(1)

    def make(**how: Any) -> Host:
        number = next(numbers)
        told: dict[str, Any] = {
            "instance": f"i-{number:017x}",
            "user": "ubuntu",
            "address": "127.0.0.1",
            "port": 0,
            "private_ip": f"10.0.0.{number}",
            "user_data": b"",
            "public_keys": (public_key,),
            **how,
        }
        return Host(**told)

    return make


@pytest.fixture
def make_site(tmp_path: Path, key: Path) -> Iterator[Callable[..., Site]]:
    sites: list[Site] = []

    def make(**how: Any) -> Site:
        sites.append(Site(tmp_path, key, **how))
        return sites[-1]

    yield make
    for site in sites:
        site.hosts.close()


@pytest.fixture(scope="module")
def any_client(tmp_path_factory: pytest.TempPathFactory, key: Path, make_host: Callable[..., Host]) -> Iterator[Client]:
    """Return a host that the tests of a module share: for those that leave nothing behind."""
    site = Site(tmp_path_factory.mktemp("shared"), key)
    yield site.open(make_host())
    site.hosts.close()


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    return make_site()


def ordinary_python() -> Path | None:
    """Return a Python like this one that an ordinary user may run, if this process is root and there is one."""
    if os.geteuid() != 0:
        return None
    test = f"import sys; raise SystemExit(sys.version_info[:2] != {sys.version_info[:2]})"
    for path in (sys.executable, "/usr/bin/python3"):
        command = [path, "-I", "-c", test]
        try:
            done = subprocess.run(command, user=ORDINARY, group=ORDINARY, extra_groups=[], cwd="/", check=False)
        except OSError:
            continue
        if done.returncode == 0:
            return Path(path)
    return None


class Driven:
    """Hosts in a process of their own, also as an ordinary user; see `drive.py`."""

    def __init__(self, folder: Path, host: Host, key: Path, *, python: Path | None) -> None:
        paths = [str(REPOSITORY / "src"), str(Path(asyncssh.__file__).parents[1])]
        as_user: dict[str, Any] = {}
        if python is not None:
            paths = [str(copy_sources(folder / "sources"))]
            as_user = {"user": ORDINARY, "group": ORDINARY, "extra_groups": []}
        told = {
            name: getattr(host, name) for name in ("instance", "user", "address", "port", "private_ip", "public_keys")
        }
        self.process = subprocess.Popen(
            [str(python or sys.executable), str(folder / "drive.py"), str(folder / "hosts"), json.dumps(told)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"PYTHONPATH": os.pathsep.join(paths), "PATH": os.environ["PATH"], "SECRET": "of-the-laptop"},
            cwd=folder,
            **as_user,
        )
        assert self.process.stdin
        self.process.stdin.write(host.user_data)
        self.process.stdin.close()
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            self.kill()
            pytest.fail("the hosts' process ended")
        self.client = Client(folder, host, Listening(**json.loads(line)), key)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout
        self.process.stdout.close()


@pytest.fixture
def drive(key: Path) -> Iterator[Callable[..., Driven]]:
    """Return a function that opens a host in another process, whose folder is kept between calls of one test."""
    with driving(key) as start:
        yield start


@contextlib.contextmanager
def driving(key: Path) -> Iterator[Callable[..., Driven]]:
    driven: list[Driven] = []
    folder = Path(tempfile.mkdtemp(prefix="hosts-"))  # pytest's own folders are for this process's user alone
    folder.chmod(0o755)
    shutil.copyfile(Path(__file__).with_name("drive.py"), folder / "drive.py")
    (folder / "drive.py").chmod(0o644)
    (folder / "hosts").mkdir()

    def start(host: Host, *, python: Path | None = None) -> Driven:
        if python is not None:
            os.chown(folder / "hosts", ORDINARY, ORDINARY)
        driven.append(Driven(folder, host, key, python=python))
        return driven[-1]

    yield start
    for item in driven:
        item.kill()
    wait_for(lambda: _removed(folder))


def _removed(folder: Path) -> bool:
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()
