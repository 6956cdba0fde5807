"""Up the ladder on the twin: one token a rung, nothing twice, nothing left, whatever goes wrong and wherever it is killed."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from launchbay.errors import UserError
from launchbay.lifecycle.climb import LAUNCH_TAG, Ascent, Climb, climb
from launchbay.planning.cloudwish import CloudImage, CloudWish, ImageDisk
from launchbay.planning.ladder import Rung
from launchbay.providers.ec2.client import Client, open_client
from launchbay.providers.ec2.groups import default_vpc, ensure_group
from launchbay.providers.ec2.instances import list_ours, terminate
from launchbay.store.journal import Journal, open_journal
from tests.providers.ec2.test_instances import TwinClock
from tests.twin.conftest import TwinProcess

ZONES = ("us-east-1a", "us-east-1b", "us-east-1c")


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwinProcess]:
    process = TwinProcess(tmp_path_factory.mktemp("twin"), is_virtual=True, seed=1)
    yield process
    process.end()


@pytest.fixture
def twin(process: TwinProcess) -> TwinProcess:
    process.ask("reset")
    return process


class Mountain:
    """A place to climb: the twin, a way to it, and a journal that outlives whoever climbs."""

    def __init__(self, twin: TwinProcess, folder: Path) -> None:
        self.twin = twin
        self.journal = folder / "state.db"
        self.clock = TwinClock(twin)
        self.client = open_client("us-east-1", endpoint=twin.url, keys=("twin", "twin"))
        self.told: list[str] = []
        group = ensure_group(self.client, "exp", default_vpc(self.client), ["203.0.113.1/32"])
        parameter = "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-22.04/latest/ami-id"
        image = str(self.client.ask("get_parameter", service="ssm", Name=parameter)["Parameter"]["Value"])
        found = self.client.ask("describe_images", ImageIds=[image])["Images"][0]
        root = ImageDisk(
            device=found["RootDeviceName"], snapshot_gib=found["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"]
        )
        tags = {"managed-by": "launchbay", "launchbay:fleet": "exp"}
        self.wish = CloudWish(
            region="us-east-1",
            zone="us-east-1a",
            image=CloudImage(id=image, root=root, architecture="x86_64"),
            type="g5.xlarge",
            count=3,
            groups=(group,),
            ttl_s=3600,
            tags=tags,
        )

    def rungs(self, *types: str, market: str = "on-demand") -> tuple[Rung, ...]:
        return tuple(
            Rung(zone=zone, type=kind, market=market, usd_per_hour=Decimal(1), why="")
            for kind in types or ("g5.xlarge",)
            for zone in ZONES
        )

    def go(self, rungs: tuple[Rung, ...] = (), *, client: Client | None = None) -> Climb:
        """Climb, going on with the operation that was cut off, if there is one."""
        ascent = Ascent(fleet="exp", wish=self.wish, rungs=rungs or self.rungs(), tell=self.told.append)
        with open_journal(self.journal, self.clock, lambda _: None) as journal:
            open_ones = journal.unfinished("launch", "exp")
            operation = open_ones[-1] if open_ones else journal.begin("launch", "exp", {})
            found = climb(client or self.client, journal, operation, ascent, clock=self.clock)
            journal.end(operation, "done")
            return found

    def standing(self) -> list[str]:
        left: list[str] = self.twin.ask("left")["instances"]
        return left


@pytest.fixture
def mountain(twin: TwinProcess, tmp_path: Path) -> Mountain:
    return Mountain(twin, tmp_path)


def test_the_first_rung_that_has_room_takes_all(mountain: Mountain) -> None:
    for zone, count in zip(ZONES, (0, 2, 3), strict=True):
        mountain.twin.ask("capacity", type="g5.xlarge", zone=zone, count=count)
    found = mountain.go()
    assert found.rung.zone == "us-east-1c"
    assert [row.state for row in found.rows] == ["running"] * 3
    assert [item.rung.zone for item in found.tried] == ["us-east-1a", "us-east-1b"]
    assert "has no room for g5.xlarge" in found.tried[0].why
    assert mountain.twin.ask("calls")["ec2:RunInstances"] == 3  # one a rung, none of them twice
    assert mountain.told[0] == "us-east-1a: 3 × g5.xlarge, on-demand"


def test_a_quota_leaves_only_rungs_against_another(mountain: Mountain) -> None:
    mountain.twin.ask("quota", region="us-east-1", code="L-DB2E81BA", vcpus=4)
    found = mountain.go(mountain.rungs("g5.xlarge", "c5.xlarge"))
    assert found.rung.type == "c5.xlarge"
    assert mountain.twin.ask("calls")["ec2:RunInstances"] == 2


@pytest.mark.parametrize("fault", ["unauthorized", "pending-verification", "expired-credentials"])
def test_what_no_rung_would_mend_ends_it_at_once(mountain: Mountain, fault: str) -> None:
    mountain.twin.ask("fault", name=fault, action="ec2:RunInstances", count=9)
    with pytest.raises(UserError) as caught:
        mountain.go()
    assert caught.value.hint
    assert mountain.twin.ask("calls")["ec2:RunInstances"] == 1
    assert mountain.standing() == []


def test_no_room_anywhere_says_where_it_was_tried_and_leaves_nothing(mountain: Mountain) -> None:
    mountain.twin.ask("capacity", type="g5.xlarge", count=0)
    with pytest.raises(UserError, match=r"us-east-1a has no room.*us-east-1c has no room"):
        mountain.go()
    assert mountain.standing() == []


def test_every_instance_is_hardened_and_tagged(mountain: Mountain) -> None:
    found = mountain.go()
    item = mountain.twin.client("ec2").describe_instances(InstanceIds=[found.rows[0].id])["Reservations"][0][
        "Instances"
    ][0]
    assert item["MetadataOptions"]["HttpTokens"] == "required"
    assert found.rows[0].tags["managed-by"] == "launchbay"
    assert found.rows[0].tags[LAUNCH_TAG].startswith("op-")
    disks = mountain.twin.client("ec2").describe_volumes(VolumeIds=list(found.rows[0].disks))["Volumes"]
    assert all(disk["Encrypted"] and disk["VolumeType"] == "gp3" for disk in disks)


# --- killed -----------------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """What stands for SIGKILL here: nothing of ours catches it."""


def killed_at(mountain: Mountain, monkeypatch: pytest.MonkeyPatch, point: int) -> int:
    """Climb until the so-manyth crossing of a seam, before or after a call or an entry of the journal; return how many."""
    crossings = 0

    def cross() -> None:
        nonlocal crossings
        crossings += 1
        if crossings == point:
            raise Killed

    def seamed(real: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **named: Any) -> Any:
            cross()
            result = real(*args, **named)
            cross()
            return result

        return wrapped

    with monkeypatch.context() as patched:
        patched.setattr(Client, "act", seamed(Client.act))
        patched.setattr(Client, "ask", seamed(Client.ask))
        patched.setattr(Journal, "write", seamed(Journal.write))
        with contextlib.suppress(Killed):
            mountain.go()
    return crossings


def lame(mountain: Mountain) -> None:
    """Let the first zone have no room, and one answer be lost: a climb with something to it."""
    mountain.twin.ask("capacity", type="g5.xlarge", zone="us-east-1a", count=0)
    mountain.twin.ask("fault", name="lost-answer", action="ec2:RunInstances", after=1)


def test_killed_anywhere_and_given_again_it_launches_once(
    twin: TwinProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Mountain(twin, tmp_path / "whole")
    lame(whole)
    crossings = killed_at(whole, monkeypatch, 0)
    assert crossings >= 16
    for point in range(1, crossings):  # after the last one it is over, and the same command is another launch
        twin.ask("reset")
        (tmp_path / str(point)).mkdir()
        mountain = Mountain(twin, tmp_path / str(point))
        lame(mountain)
        killed_at(mountain, monkeypatch, point)
        found = mountain.go()
        assert len(found.rows) == 3, point
        assert sorted(mountain.standing()) == sorted(row.id for row in found.rows), point


def test_killed_twice_and_then_terminated_nothing_is_left(
    twin: TwinProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(7)
    for turn in range(12):
        twin.ask("reset")
        (tmp_path / str(turn)).mkdir()
        mountain = Mountain(twin, tmp_path / str(turn))
        lame(mountain)
        for _ in range(2):
            killed_at(mountain, monkeypatch, chance.randint(1, 20))
        assert len(mountain.standing()) in (0, 3), turn
        terminate(mountain.client, [row.id for row in list_ours(mountain.client, fleet="exp")])
        twin.ask("advance", seconds=60)
        assert mountain.standing() == [], turn
