"""One offline instance for all tests of the ways to it, with real files and processes behind its SSH."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from launchbay.transport.base import Transport
from launchbay.transport.door import Door
from launchbay.transport.hostkeys import pin_host_key
from launchbay.transport.local import LocalTransport
from launchbay.transport.ssh import SshTransport
from tests.twin.conftest import TwinProcess

IMAGE = "resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
HOME = "/home/ec2-user"


class Far:
    """An instance behind SSH, and what a test does to it."""

    def __init__(self, folder: Path, *, binds: Sequence[tuple[str, str]] = ()) -> None:
        folder.chmod(0o755)  # hosts run as nobody where the twin is root's
        self.twin = TwinProcess(folder / "twin", has_hosts=True, is_virtual=True, binds=binds)
        self.key = folder / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.key], check=True)
        self.ec2 = self.twin.client("ec2")
        self.ec2.import_key_pair(KeyName="k", PublicKeyMaterial=self.key.with_suffix(".pub").read_bytes())
        vpc = self.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
        group = self.ec2.create_security_group(GroupName="g", Description="d", VpcId=vpc)["GroupId"]
        with urllib.request.urlopen(f"{self.twin.url}/twin/address") as answer:
            network = answer.read().decode().strip() + "/32"
        rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": network}]}
        self.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
        made = self.ec2.run_instances(
            ImageId=IMAGE, InstanceType="m5.large", MinCount=1, MaxCount=1, KeyName="k", SecurityGroupIds=[group]
        )
        self.instance = made["Instances"][0]["InstanceId"]
        self.twin.ask("advance", seconds=10)
        host = self.twin.ask("hosts")["hosts"][self.instance]
        self.host_key = host["host_key"]
        known = folder / "known_hosts"
        pin_host_key(known, self.instance, self.host_key)
        self.door = Door(
            address=host["address"],
            port=host["port"],
            user="ec2-user",
            keys=(self.key,),
            known_hosts=known,
            alias=self.instance,
        )

    def reboot(self) -> None:
        """End all that runs there, connections too."""
        self.ec2.reboot_instances(InstanceIds=[self.instance])


@pytest.fixture(scope="session")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Far]:
    if shutil.which("bwrap") is None:
        pytest.skip("hosts need bubblewrap")
    place = Far(tmp_path_factory.mktemp("far"))
    yield place
    place.twin.end()


class Relay:
    """Passes TCP connections on, until those that it has fall silent: no end, no reset, as after a laptop's sleep."""

    def __init__(self, address: str, port: int) -> None:
        self.address, self.far_port = address, port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.held: list[socket.socket] = []
        self.silent: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                there = socket.create_connection((self.address, self.far_port))
                self.held += [near, there]
                for ends in ((near, there), (there, near)):
                    threading.Thread(target=self._pass, args=ends, daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while part := source.recv(65536):
                if source not in self.silent:
                    target.sendall(part)

    def fall_silent(self) -> None:
        self.silent.update(self.held)

    def close(self) -> None:
        for item in (self.listener, *self.held):
            item.close()


_numbers = itertools.count(1)


@pytest.fixture
def reach(far: Far) -> Iterator[Callable[..., SshTransport]]:
    """Return a function that makes a way to the instance, into a new folder if none is named."""
    made: list[SshTransport] = []

    def make(*, folder: str = "", **variables: str) -> SshTransport:
        if not folder:
            folder = f"{HOME}/work-{next(_numbers)}"
            make(folder=HOME).run(["mkdir", folder])
        made.append(SshTransport(door=far.door, variables=variables, folder=folder))
        return made[-1]

    yield make
    for transport in made:
        transport.close()


@pytest.fixture
def ssh(reach: Callable[..., SshTransport]) -> SshTransport:
    return reach(MARK="here")


@dataclass(frozen=True)
class Way:
    """A transport, and how to make another with other variables, or in another folder of the same place."""

    transport: Transport
    folder: str
    make: Callable[..., Transport]

    def sh(self, text: str, **how: Any) -> str:
        done = self.transport.run(["sh", "-c", text], **how)
        assert done.code == 0, done
        return done.stdout.decode()


@pytest.fixture(params=["local", "ssh"])
def way(request: pytest.FixtureRequest, tmp_path: Path) -> Way:
    """Return each kind of transport, in an empty working folder."""
    if request.param == "ssh":
        reach = request.getfixturevalue("reach")
        transport = reach(MARK="here")
        return Way(transport, transport.folder, reach)
    (tmp_path / "work").mkdir()

    def make(*, folder: str, **variables: str) -> LocalTransport:
        return LocalTransport(environment={"PATH": os.environ["PATH"], **variables}, folder=folder)

    return Way(make(folder=str(tmp_path / "work"), MARK="here"), str(tmp_path / "work"), make)


def wait_for(condition: Callable[[], object], *, seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it does not come true"
        time.sleep(0.02)
