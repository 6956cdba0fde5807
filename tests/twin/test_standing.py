"""Hosts stand for what runs: booted once, reached as the groups say, ended with their instance, there again after a kill."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.twin.rules.test_launch import IMAGE
from tests.twin_process import TwinProcess

pytestmark = pytest.mark.skipif(shutil.which("bwrap") is None, reason="hosts need bubblewrap")

BOOT = "#!/bin/bash\ndate +%s%N >> /home/ec2-user/boots\n"


class Place:
    """A twin with hosts, and a way in."""

    def __init__(self, folder: Path) -> None:
        folder.chmod(0o755)  # hosts run as nobody where the twin is root's
        self.folder = folder
        self.twin = TwinProcess(folder / "twin", has_hosts=True, is_virtual=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "key"], check=True)
        self.ec2 = self.twin.client("ec2")

    def ready(self) -> str:
        """Return a security group that lets in whoever runs these tests; the key pair is there too."""
        self.twin.ask("reset")
        self.ec2.import_key_pair(KeyName="k", PublicKeyMaterial=(self.folder / "key.pub").read_bytes())
        vpc = self.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
        group = self.ec2.create_security_group(GroupName="g", Description="d", VpcId=vpc)["GroupId"]
        with urllib.request.urlopen(f"{self.twin.url}/twin/address") as answer:
            self.let_in(group, answer.read().decode().strip() + "/32")
        return str(group)

    def let_in(self, group: str, network: str) -> None:
        rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": network}]}
        self.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])

    def launch(self, group: str, **more: Any) -> str:
        asked = {
            "ImageId": IMAGE,
            "InstanceType": "p3.2xlarge",
            "MinCount": 1,
            "MaxCount": 1,
            "KeyName": "k",
            "UserData": BOOT,
        }
        made = self.ec2.run_instances(**{**asked, "SecurityGroupIds": [group], **more})["Instances"][0]["InstanceId"]
        self.twin.ask("advance", seconds=10)
        return str(made)

    def ssh(
        self, instance: str, command: str, *, source: str = "127.0.0.1", user: str = "ec2-user", key: str = "key"
    ) -> Any:
        host = self.twin.ask("hosts")["hosts"][instance]
        known = self.folder / "known"
        known.write_text(f"{instance} {host['host_key']}\n")
        options = {
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": known,
            "HostKeyAlias": instance,
            "BatchMode": "yes",
            "IdentitiesOnly": "yes",
            "ConnectTimeout": "5",
        }
        words: list[str | Path] = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        where: list[str | Path] = [
            "-F",
            "none",
            "-b",
            source,
            "-i",
            self.folder / key,
            "-p",
            str(host["port"]),
            f"{user}@{host['address']}",
        ]
        return subprocess.run(["ssh", *words, *where, command], capture_output=True, text=True, check=False, timeout=60)

    def state(self, instance: str) -> str:
        found = self.ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
        return str(found["State"]["Name"])

    def wait(self, instance: str, state: str) -> None:
        end = time.monotonic() + 20
        while self.state(instance) != state:
            assert time.monotonic() < end, self.state(instance)
            time.sleep(0.05)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    place = Place(tmp_path_factory.mktemp("hosts"))
    yield place
    place.twin.end()


def test_a_host_boots_once_and_knows_what_it_is(place: Place) -> None:
    name = place.launch(place.ready())
    asked = "TOKEN=$(curl -s -X PUT http://169.254.169.254/latest/api/token -H 'X-aws-ec2-metadata-token-ttl-seconds: 60'); "
    asked += 'curl -s http://169.254.169.254/latest/meta-data/PATH -H "X-aws-ec2-metadata-token: $TOKEN"'
    for path, expected in (("instance-id", name), ("instance-type", "p3.2xlarge"), ("placement/region", "us-east-1")):
        done = place.ssh(name, asked.replace("PATH", path))
        assert done.stdout == expected, done
    document = json.loads(place.ssh(name, asked.replace("meta-data/PATH", "dynamic/instance-identity/document")).stdout)
    assert document["instanceId"] == name
    assert "V100" in place.ssh(name, "nvidia-smi").stdout
    place.ec2.stop_instances(InstanceIds=[name])
    place.twin.ask("advance", seconds=10)
    place.ec2.start_instances(InstanceIds=[name])
    place.twin.ask("advance", seconds=10)
    assert len(place.ssh(name, "cat boots").stdout.splitlines()) == 1


def test_only_who_is_let_in_gets_in(place: Place) -> None:
    group = place.ready()
    name = place.launch(group)
    assert place.ssh(name, "true").returncode == 0
    assert place.ssh(name, "true", source="127.0.0.9").returncode == 255
    place.let_in(group, "203.0.113.9/32")
    assert place.ssh(name, "true", source="127.0.0.9").returncode == 0
    banners = {
        (knock["peer"], knock["banner"]) for knock in place.twin.ask("hosts")["knocks"] if knock["instance"] == name
    }
    assert ("127.0.0.1", True) in banners


def test_an_instance_without_a_public_address_lets_nobody_in(place: Place) -> None:
    interface = {"DeviceIndex": 0, "AssociatePublicIpAddress": False, "Groups": [place.ready()]}
    made = place.ec2.run_instances(
        ImageId=IMAGE, InstanceType="c5.large", MinCount=1, MaxCount=1, KeyName="k", NetworkInterfaces=[interface]
    )
    name = made["Instances"][0]["InstanceId"]
    place.twin.ask("advance", seconds=10)
    assert place.ssh(name, "true").returncode == 255


def test_a_one_time_key_opens_an_instance(place: Place) -> None:
    name = place.launch(place.ready(), KeyName="k")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", place.folder / "once"], check=True)
    assert place.ssh(name, "true", key="once").returncode == 255
    connect = place.twin.client("ec2-instance-connect")
    public = (place.folder / "once.pub").read_text()
    connect.send_ssh_public_key(InstanceId=name, InstanceOSUser="ec2-user", SSHPublicKey=public)
    assert place.ssh(name, "whoami", key="once").stdout == "ec2-user\n"


@pytest.mark.parametrize(("behaviour", "state"), [("stop", "stopped"), ("terminate", "terminated")])
def test_a_host_that_shuts_itself_down_ends_its_instance(place: Place, behaviour: str, state: str) -> None:
    name = place.launch(place.ready(), InstanceInitiatedShutdownBehavior=behaviour)
    place.ssh(name, "sudo shutdown -h now")
    place.wait(name, state)
    reason = place.ec2.describe_instances(InstanceIds=[name])["Reservations"][0]["Instances"][0]["StateReason"]["Code"]
    assert reason == "Client.InstanceInitiatedShutdown"
    going = [line["item"] for line in place.twin.ask("bill")["lines"] if line["end"] is None]
    assert len(going) == (1 if state == "stopped" else 0), going  # a stopped one pays for its disk


def test_a_host_is_rebooted_and_keeps_its_files(place: Place) -> None:
    name = place.launch(place.ready())
    place.ssh(name, "echo kept > note; nohup sleep 600 >/dev/null 2>&1 &")
    assert "sleep" in place.ssh(name, "ps -ef").stdout
    place.ec2.reboot_instances(InstanceIds=[name])
    assert place.ssh(name, "cat note").stdout == "kept\n"
    assert "sleep" not in place.ssh(name, "ps -ef").stdout


def test_what_ran_runs_again_after_a_kill_with_the_same_key(place: Place) -> None:
    group = place.ready()
    name, ended = place.launch(group), place.launch(group)
    place.ssh(name, "echo kept > note")
    place.ec2.terminate_instances(InstanceIds=[ended])
    place.twin.ask("advance", seconds=10)
    before = place.twin.ask("hosts")["hosts"][name]
    place.twin.kill()
    place.twin.start()
    place.ec2 = place.twin.client("ec2")
    after = place.twin.ask("hosts")["hosts"]
    assert list(after) == [name]
    assert after[name]["host_key"] == before["host_key"]
    assert place.ssh(name, "cat note").stdout == "kept\n"
    assert [path.name for path in (place.folder / "twin" / "hosts").glob("i-*")] == [name]


def test_nothing_of_a_terminated_instance_is_left(place: Place) -> None:
    group = place.ready()
    names = [place.launch(group) for _ in range(3)]
    address = place.twin.ask("hosts")["hosts"][names[0]]
    place.ec2.terminate_instances(InstanceIds=names)
    place.twin.ask("advance", seconds=10)
    assert list((place.folder / "twin" / "hosts").glob("i-*")) == []
    with socket.socket() as probe:
        assert probe.connect_ex((address["address"], address["port"])) != 0


def test_two_twins_have_networks_of_their_own(place: Place, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    name = place.launch(place.ready())
    mine = place.twin.ask("hosts")["hosts"][name]["address"]
    other = TwinProcess(tmp_path / "twin", has_hosts=True, is_virtual=True)
    try:
        other.client("ec2").run_instances(ImageId=IMAGE, InstanceType="c5.large", MinCount=1, MaxCount=1)
        other.ask("advance", seconds=10)
        (theirs,) = (host["address"] for host in other.ask("hosts")["hosts"].values())
    finally:
        other.end()
    assert mine.split(".")[:2] != theirs.split(".")[:2]


def test_a_spot_instance_that_shuts_itself_down_leaves_no_request(place: Place) -> None:
    name = place.launch(
        place.ready(), InstanceInitiatedShutdownBehavior="terminate", InstanceMarketOptions={"MarketType": "spot"}
    )
    place.ssh(name, "sudo shutdown -h now")
    place.wait(name, "terminated")
    (request,) = place.ec2.describe_spot_instance_requests()["SpotInstanceRequests"]
    assert (request["State"], request["Status"]["Code"]) == ("closed", "instance-terminated-by-user")
    assert place.twin.ask("left")["spot_requests"] == []


def test_a_notice_is_gone_with_the_run_that_it_was_of(place: Place) -> None:
    asked = "TOKEN=$(curl -s -X PUT http://169.254.169.254/latest/api/token -H 'X-aws-ec2-metadata-token-ttl-seconds: 60'); "
    asked += "curl -s -o /dev/null -w '%{http_code}' -H \"X-aws-ec2-metadata-token: $TOKEN\" "
    asked += "http://169.254.169.254/latest/meta-data/spot/instance-action"
    options = {"SpotInstanceType": "persistent", "InstanceInterruptionBehavior": "stop"}
    market = {"MarketType": "spot", "SpotOptions": options}
    name = place.launch(place.ready(), InstanceMarketOptions=market)
    assert place.ssh(name, asked).stdout == "404"
    place.twin.ask("interrupt", instance=name)
    assert place.ssh(name, asked).stdout == "200"
    place.ec2.stop_instances(InstanceIds=[name])
    place.twin.ask("advance", seconds=10)
    place.ec2.start_instances(InstanceIds=[name])
    place.twin.ask("advance", seconds=10)
    assert place.ssh(name, asked).stdout == "404"


BOOTED = 'booted() { until [ "$(wc -l < ~/boots)" = $1 ]; do sleep 0.1; done; }; booted'
"""Waits in a host until its boot script has run so often."""


def make_image(place: Place, instance: str, **more: Any) -> str:
    made = place.ec2.create_image(InstanceId=instance, Name=f"baked {instance}", **more)["ImageId"]
    place.twin.ask("advance", seconds=70)
    return str(made)


def test_an_image_of_an_instance_has_its_files_and_is_another_machine(place: Place) -> None:
    group = place.ready()
    first = place.launch(group)
    write = f"{BOOTED} 1; echo kept > ~/kept; chmod 600 ~/kept; (cd / && echo gone > tmp/gone); "
    write += "echo 'alias ll=ls' >> ~/.bashrc"
    assert place.ssh(first, write).returncode == 0
    before = place.twin.ask("hosts")["hosts"][first]["host_key"]
    image = make_image(place, first)
    assert place.ssh(first, "cat ~/kept").stdout == "kept\n"  # it was restarted, and has its files
    assert place.twin.ask("hosts")["hosts"][first]["host_key"] == before
    assert place.ssh(first, "wc -l < ~/boots").stdout.split() == ["1"]  # a restart is no first start
    second = place.launch(group, ImageId=image)
    found = place.ssh(
        second,
        f"{BOOTED} 2; cat ~/kept; stat -c %a ~/kept; cd / && ls tmp; tail -1 ~/.bashrc; hostname; wc -l < ~/boots",
    )
    assert found.stdout.split("\n") == ["kept", "600", "alias ll=ls", second, "2", ""]
    identities = [place.ssh(name, "cat /etc/machine-id").stdout for name in (first, second)]
    assert len(set(identities)) == 2
    hosts = place.twin.ask("hosts")["hosts"]
    assert hosts[first]["host_key"] != hosts[second]["host_key"]
    place.ssh(second, "echo other > ~/kept")
    assert place.ssh(first, "cat ~/kept").stdout == "kept\n"
    place.ec2.terminate_instances(InstanceIds=[first])
    place.twin.ask("advance", seconds=120)
    third = place.launch(group, ImageId=image)
    assert place.ssh(third, "cat ~/kept").stdout == "kept\n"


def test_the_files_of_an_image_go_with_its_snapshots_and_not_with_the_image_alone(place: Place) -> None:
    group = place.ready()
    first = place.launch(group)
    place.ssh(first, "echo kept > ~/kept")
    image = make_image(place, first, NoReboot=True)
    snapshot = place.ec2.describe_images(ImageIds=[image])["Images"][0]["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    kept = place.folder / "twin/hosts" / snapshot
    assert kept.is_dir()
    copy = place.ec2.copy_image(SourceRegion="us-east-1", SourceImageId=image, Name="a copy")["ImageId"]
    place.twin.ask("advance", seconds=70)
    place.ec2.deregister_image(ImageId=image, DeleteAssociatedSnapshots=True)
    assert kept.is_dir()  # the copy's snapshot has the same files
    second = place.launch(group, ImageId=copy)
    assert place.ssh(second, "cat ~/kept").stdout == "kept\n"
    place.ec2.deregister_image(ImageId=copy, DeleteAssociatedSnapshots=True)
    assert not kept.exists()
    assert place.ssh(second, "cat ~/kept").stdout == "kept\n"
