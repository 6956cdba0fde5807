"""The lease of an instance, on the twin's real hosts: it ends the instance in time though nobody ever logs in."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest

from launchbay.afar.origin import Origin, keep_until, write_origin
from launchbay.api.fleet import extend
from launchbay.api.listing import ps
from launchbay.cloud import storing
from launchbay.cloud.boot import boot_config
from launchbay.cloud.fleet import find_fleet, fleet_folder
from launchbay.cloud.lease import GRACE_S, PLACE, SCRIPT, read_lease, write_lease
from launchbay.cloud.standing import find_far, open_transport
from launchbay.errors import LaunchbayError, StateError, UsageError
from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay
from launchbay.transport.door import Door
from launchbay.transport.keypair import KeyPair, make_key_pair
from launchbay.transport.ssh import SshTransport
from tests.cli.texts.values import RUN
from tests.cloud.fleets import far_of, standing_fleet
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


# --- what is kept here of the ends of a fleet's instances ----------------------------------------------------------------


@pytest.fixture(scope="module")
def bay(tmp_path_factory: pytest.TempPathFactory, image_store: Callable[[str], Image]) -> Iterator[Bay]:
    """Return a bay with a fleet ``exp`` of two that stands."""
    with standing_fleet(tmp_path_factory.mktemp("ends"), image_store("tiny")) as bay:
        yield bay


def ends_shown(bay: Bay) -> list[float]:
    """Return when `ps` says that each ends, having asked each itself."""
    shown = {row.name: row.ends_at for row in ps(bay)}
    for name, at in shown.items():
        transport = open_transport(bay, far_of(bay, name))
        there = read_lease(transport).ends_at
        transport.close()
        assert at is not None
        assert abs(there - at) <= 1, f"{name} really ends at {there}, and not at {at}"
    return [shown["exp-1"] or 0, shown["exp-2"] or 0]


def test_each_of_a_fleet_is_shown_with_its_own_end(bay: Bay) -> None:
    both = extend(bay, "exp", 2 * HOUR).ends_at
    assert ends_shown(bay) == [both, both]
    longer = extend(bay, "exp-1", 4 * HOUR).ends_at
    assert ends_shown(bay) == [longer, both]
    shorter = extend(bay, "exp-1", HOUR).ends_at
    assert ends_shown(bay) == [shorter, both]
    assert shorter < both
    other = extend(bay, "exp-2", 3 * HOUR).ends_at
    assert ends_shown(bay) == [shorter, other]
    again = extend(bay, "exp", 2 * HOUR).ends_at
    assert ends_shown(bay) == [again, again]
    fleet = find_fleet(bay.home, "exp")
    assert fleet is not None
    assert not fleet.ends


def test_an_extension_that_was_cut_off_comes_right_by_the_same_command(
    bay: Bay, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = extend(bay, "exp", 2 * HOUR).ends_at
    with monkeypatch.context() as patch:
        patch.setattr("launchbay.cloud.extend.keep_fleet", killed)
        with pytest.raises(KeyboardInterrupt):
            extend(bay, "exp-1", 4 * HOUR)
    longer = extend(bay, "exp-1", 4 * HOUR).ends_at
    assert ends_shown(bay) == [longer, both]


def killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_two_who_looked_at_the_same_time_and_extend_one_each_lose_nothing(
    bay: Bay, monkeypatch: pytest.MonkeyPatch
) -> None:
    extend(bay, "exp", 2 * HOUR)
    looked = find_far(bay, "exp-2")
    first = extend(bay, "exp-1", 4 * HOUR).ends_at
    monkeypatch.setattr("launchbay.api.fleet.find_far", lambda *_: looked)
    second = extend(bay, "exp-2", 3 * HOUR).ends_at
    assert ends_shown(bay) == [first, second]


def test_a_record_of_before_has_one_end_for_all(bay: Bay) -> None:
    both = extend(bay, "exp", 2 * HOUR).ends_at
    path = fleet_folder(bay.home, "exp") / "fleet.json"
    record = json.loads(path.read_text())
    del record["ends"]
    path.write_text(json.dumps(record))
    assert ends_shown(bay) == [both, both]
    longer = extend(bay, "exp-2", 4 * HOUR).ends_at
    assert ends_shown(bay) == [both, longer]
    kept = path.read_text()
    path.write_text(json.dumps({**record, "ends": {"exp-1": "soon"}}))
    with pytest.raises(StateError, match="ends must be an object"):
        find_fleet(bay.home, "exp")
    path.write_text(kept)


def test_a_runs_form_is_good_until_its_own_instance_ends(
    bay: Bay, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = extend(bay, "exp", 2 * HOUR).ends_at
    extend(bay, "exp-1", 4 * HOUR)
    asked: dict[str, float] = {}

    def start(machine: Any, *_: object, lease_s: float) -> Any:
        asked[machine] = lease_s
        return SimpleNamespace(seconds=lease_s)

    monkeypatch.setattr(storing, "start_courier", start)
    run = replace(RUN, folder=tmp_path)
    origin = Origin(machine="m", home="/h", instance="exp-1", fleet="exp", script="/s", script_there="/t")
    write_origin(tmp_path, origin, state="running", seen_at=0.0)
    machine: Any
    for machine in ("exp-1", "exp-2"):
        storing.send_courier(bay, far_of(bay, machine), machine, run)
    assert abs(asked["exp-1"] - 4 * HOUR) < 60
    assert abs(asked["exp-2"] - 2 * HOUR) < 60

    asked.clear()
    monkeypatch.setattr(storing, "_SOON_S", 1e12)
    for machine in ("exp-1", "exp-2"):
        keep_until(tmp_path, "twin", "us-east-1", both + 60)
        storing.renew_courier(bay, far_of(bay, machine), machine, run)
    assert list(asked) == ["exp-1"], "it alone outlives its form"
