"""The lease of an instance, on the twin's real hosts: it ends the instance in time though nobody ever logs in."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from launchbay.cloud.boot import boot_config
from launchbay.cloud.lease import GRACE_S, PLACE, SCRIPT, read_lease, write_lease
from launchbay.errors import LaunchbayError, UsageError
from launchbay.transport.door import Door
from launchbay.transport.keypair import KeyPair, make_key_pair
from launchbay.transport.ssh import SshTransport
from tests.twin.test_standing import Place

pytestmark = pytest.mark.skipif(shutil.which("bwrap") is None, reason="hosts need bubblewrap")

HOUR = 3600


class Leased(Place):
    """A twin with hosts on a virtual clock, and a way into instances that were launched with a lease."""

    host_key: KeyPair

    def go(self, *, ttl_s: int, count: int = 1, **more: Any) -> list[str]:
        """Launch instances with a lease, as `bay launch` does, and let no time pass."""
        self.host_key = make_key_pair()
        asked = {
            "ImageId": "resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64",
            "InstanceType": "c5.large",
            "MinCount": count,
            "MaxCount": count,
            "KeyName": "k",
            "SecurityGroupIds": [self.ready()],
            "InstanceInitiatedShutdownBehavior": "terminate",
            "UserData": boot_config(self.host_key, ttl_s=ttl_s, login="ec2-user").decode(),
        }
        made = self.ec2.run_instances(**{**asked, **more})["Instances"]
        return [str(item["InstanceId"]) for item in made]

    def advance(self, seconds: float) -> None:
        self.twin.ask("advance", seconds=seconds)

    def now(self) -> float:
        return datetime.fromisoformat(self.twin.ask("status")["now"]).timestamp()

    def transport(self, instance: str) -> SshTransport:
        host = self.twin.ask("hosts")["hosts"][instance]
        known = self.folder / f"known-{instance}"
        known.write_text(f"{instance} {self.host_key.public}\n")  # given before anybody asked the instance
        door = Door(
            address=host["address"],
            port=host["port"],
            user="ec2-user",
            keys=(self.folder / "key",),
            known_hosts=known,
            alias=instance,
        )
        return SshTransport(door=door, variables={})

    def run(self, instance: str, script: str) -> str:
        transport = self.transport(instance)
        done = transport.run(["/bin/sh", "-c", script], timeout=30)
        transport.close()
        assert done.code == 0, done
        return done.stdout.decode()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Leased]:
    place = Leased(tmp_path_factory.mktemp("leased"))
    yield place
    place.twin.end()


def test_a_fleet_ends_itself_though_nobody_logs_in(place: Leased) -> None:
    names = place.go(ttl_s=8 * HOUR, count=3)
    place.advance(9 * HOUR)
    assert [place.state(name) for name in names] == ["terminated"] * 3
    found = place.ec2.describe_instances(InstanceIds=names)["Reservations"][0]["Instances"]
    assert {item["StateReason"]["Code"] for item in found} == {"Client.InstanceInitiatedShutdown"}
    left = place.twin.ask("left")
    assert (left["instances"], left["volumes"]) == ([], [])
    bill = place.twin.ask("bill")
    spans = [line["seconds"] for line in bill["lines"] if line["item"].startswith("c5.large")]
    assert (len(spans), bill["running"]) == (3, 0)
    assert all(abs(seconds - 8 * HOUR) < 60 for seconds in spans), "the meter stopped at the end of the lease"
    assert not [knock for knock in place.twin.ask("hosts")["knocks"] if knock["instance"] in names], "nobody came"


def test_it_does_not_end_before(place: Leased) -> None:
    (name,) = place.go(ttl_s=8 * HOUR)
    place.advance(8 * HOUR - 60)
    assert place.state(name) == "running"
    place.advance(120)
    assert place.state(name) in ("shutting-down", "terminated")


def test_the_end_is_a_moment_and_not_a_span_from_each_boot(place: Leased) -> None:
    (name,) = place.go(ttl_s=4 * HOUR)
    place.advance(HOUR)
    before = read_lease(place.transport(name))
    place.ec2.reboot_instances(InstanceIds=[name])
    place.advance(HOUR)
    place.ec2.stop_instances(InstanceIds=[name])
    place.advance(HOUR)
    place.ec2.start_instances(InstanceIds=[name])
    place.advance(HOUR / 2)
    assert read_lease(place.transport(name)) == before
    assert place.state(name) == "running"
    place.advance(HOUR)
    assert place.state(name) in ("shutting-down", "terminated")


def test_what_comes_up_overdue_has_a_few_minutes(place: Leased) -> None:
    (name,) = place.go(ttl_s=HOUR)
    place.advance(60)
    place.ec2.stop_instances(InstanceIds=[name])
    place.advance(9 * HOUR)
    assert place.state(name) == "stopped"
    place.ec2.start_instances(InstanceIds=[name])
    place.advance(GRACE_S - 60)
    assert place.state(name) == "running"
    place.advance(120)
    assert place.state(name) in ("shutting-down", "terminated")


def test_the_twin_may_end_meanwhile(place: Leased) -> None:
    (name,) = place.go(ttl_s=2 * HOUR)
    place.advance(HOUR)
    place.twin.kill()
    place.twin.start()
    place.ec2 = place.twin.client("ec2")
    place.advance(HOUR - 60)
    assert place.state(name) == "running"
    place.advance(120)
    assert place.state(name) in ("shutting-down", "terminated")


def test_a_lease_can_be_read_and_its_end_moved(place: Leased) -> None:
    (name,) = place.go(ttl_s=8 * HOUR)
    place.advance(20)
    transport = place.transport(name)
    lease = read_lease(transport)
    assert place.now() + 8 * HOUR - 60 < lease.ends_at <= place.now() + 8 * HOUR
    later = write_lease(transport, lease.ends_at + 2 * HOUR + 0.25)
    assert later.ends_at == lease.ends_at + 2 * HOUR + 1
    assert write_lease(transport, later.ends_at) == later == read_lease(transport)
    place.advance(9 * HOUR)
    assert place.state(name) == "running"
    place.ec2.reboot_instances(InstanceIds=[name])
    place.advance(600)
    transport = place.transport(name)
    assert read_lease(transport) == later
    write_lease(transport, place.now() - HOUR)  # sooner than now is as soon as can be
    place.advance(10)
    assert place.state(name) in ("shutting-down", "terminated")


def test_what_has_no_lease_says_so(place: Leased) -> None:
    (name,) = place.go(ttl_s=HOUR, UserData="#!/bin/sh\n")
    place.advance(20)
    host = place.twin.ask("hosts")["hosts"][name]
    place.host_key = KeyPair(private="", public=host["host_key"])
    transport = place.transport(name)
    with pytest.raises(LaunchbayError, match="has no lease"):
        read_lease(transport)
    with pytest.raises(LaunchbayError, match="this instance has no lease"):
        write_lease(transport, place.now() + HOUR)
    for wrong in (float("nan"), float("inf"), 0, -1, 1e15):
        with pytest.raises(UsageError, match="must end at a moment"):
            write_lease(transport, wrong)


def test_the_lease_of_another_instance_is_none(place: Leased) -> None:
    """What an image carries that was made of an instance with a lease, long over now."""
    (name,) = place.go(ttl_s=8 * HOUR)
    place.advance(20)
    place.run(name, f"echo 'i-0123456789abcdef0 1700000000' | sudo tee {PLACE}")
    place.ec2.reboot_instances(InstanceIds=[name])
    place.advance(2 * GRACE_S)
    assert place.state(name) == "running"
    assert read_lease(place.transport(name)).ends_at > place.now() + 7 * HOUR


@pytest.mark.parametrize("damage", ["", "i-0 x", "nonsense", "\\n\\n", "INSTANCE 99999999999999999999"])
def test_a_damaged_lease_is_made_anew_or_ends(place: Leased, damage: str) -> None:
    (name,) = place.go(ttl_s=HOUR)
    place.advance(20)
    text = damage.replace("INSTANCE", name)
    place.run(name, f"printf '{text}' | sudo tee {PLACE}")
    place.ec2.reboot_instances(InstanceIds=[name])
    place.advance(2 * HOUR)
    assert place.state(name) in ("shutting-down", "terminated")


def test_without_systemd_it_is_shutdowns_own_time(place: Leased) -> None:
    (name,) = place.go(ttl_s=8 * HOUR)
    place.advance(20)
    transport = place.transport(name)
    script = 'sudo rm /run/systemd/system; sudo sh -c "$1" lease until $(($(date +%s) + 7200)); systemctl list-timers'
    done = transport.run(["/bin/sh", "-c", script, "x", SCRIPT], timeout=30)
    assert b" shutdown stop" in done.stdout, done
    place.advance(2 * HOUR + 60)
    assert place.state(name) in ("shutting-down", "terminated")
