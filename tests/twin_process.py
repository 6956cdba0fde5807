"""One twin for all tests that need no hosts: its own process, on a virtual clock, begun anew for each of them."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import botocore.loaders
import pytest

from launchbay.twin.truth import Settings

__all__ = ["IMAGE", "TwinProcess", "ec2", "let_others_in", "twin", "twin_process"]


IMAGE = "resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"


def let_others_in(folder: Path) -> None:
    """Let other users look into a folder below pytest's own: hosts run as others, and pytest keeps everybody out."""
    for path in (folder, *folder.parents):
        path.chmod(0o755)
        if path.name.startswith("pytest-of-"):
            return


class TwinProcess:
    """A twin that runs, clients for it, and its own addresses."""

    def __init__(
        self, folder: Path, *, has_hosts: bool = False, binds: Sequence[tuple[str, str]] = (), **settings: Any
    ) -> None:
        self.folder = folder
        self.binds = binds
        self.has_hosts = has_hosts
        self.settings = settings
        self.start()

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.process = self.spawn()
        end = time.monotonic() + 60
        while not (self.folder / "twin.json").exists():
            assert self.process.poll() is None, "the twin ended"
            assert time.monotonic() < end, "the twin does not come up"
            time.sleep(0.02)
        self.url = json.loads((self.folder / "twin.json").read_text())["url"]
        self.token = (self.folder / "token").read_text()

    def spawn(self, **more: Any) -> subprocess.Popen[str]:
        """Start a process on the folder, and do not wait for it; `more` is for Popen."""
        words = [
            sys.executable,
            "-m",
            "launchbay.twin.server",
            str(self.folder),
            "--settings",
            json.dumps(self.settings),
        ]
        words += [] if self.has_hosts else ["--no-hosts"]
        words += ["--binds", json.dumps(self.binds)] if self.binds else []
        return subprocess.Popen(words, text=True, **more)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        (self.folder / "twin.json").unlink(missing_ok=True)

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=30)

    def client(self, service: str, region: str = "us-east-1", *, attempts: int = 1, key: str = "AKIATEST") -> Any:
        """Return a client that asks once and does not try again, unless it shall."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            service,
            region_name=region,
            endpoint_url=self.url,
            aws_access_key_id=key,
            aws_secret_access_key="secret",
            config=Config(retries={"total_max_attempts": attempts}, parameter_validation=True),
        )

    def ask(self, door: str, **asked: Any) -> Any:
        """Ask one of the twin's own addresses. Raises ValueError for what it refuses."""
        headers = {"X-Twin-Token": self.token, "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/twin/{door}", json.dumps(asked).encode(), headers)
        try:
            with urllib.request.urlopen(request) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise ValueError(json.load(error)["error"]) from error


@pytest.fixture(scope="session", autouse=True)
def _models_are_read_once() -> Iterator[None]:
    """Let botocore read what it knows of EC2 once, and not, for a third of a second, for each session."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("botocore.session.create_loader", functools.cache(botocore.loaders.create_loader))
        yield


@pytest.fixture(scope="session")
def twin_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwinProcess]:
    """Return the twin that all tests share; `twin` is what they want."""
    process = TwinProcess(tmp_path_factory.mktemp("twin"), is_virtual=True, seed=1)
    yield process
    process.end()


@pytest.fixture
def twin(twin_process: TwinProcess) -> TwinProcess:
    """Return a twin without machines, on a virtual clock, in which nothing has happened yet and nothing is set otherwise."""
    twin_process.ask("reset", **asdict(Settings(is_virtual=True, seed=1)))
    return twin_process


@pytest.fixture
def ec2(twin: TwinProcess) -> Any:
    """Return a client that asks once and does not try again."""
    return twin.client("ec2")
