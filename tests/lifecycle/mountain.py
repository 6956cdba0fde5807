"""A place to climb: a twin, a way to it, and a journal that outlives whoever climbs; and ways to be killed on it."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from launchbay.lifecycle.climb import Ascent, Climb, climb, end_climb
from launchbay.planning.cloudwish import CloudImage, CloudWish, ImageDisk
from launchbay.planning.ladder import Rung
from launchbay.providers.ec2.client import Client, open_client
from launchbay.providers.ec2.groups import default_vpc, ensure_group
from launchbay.providers.ec2.instances import list_ours
from launchbay.store.journal import Journal, open_journal
from tests.providers.ec2.test_instances import TwinClock
from tests.twin_process import TwinProcess

ZONES = ("us-east-1a", "us-east-1b", "us-east-1c")


@functools.cache
def way_to(url: str) -> Client:
    return open_client("us-east-1", endpoint=url, keys=("twin", "twin"))


class Mountain:
    """A place to climb: the twin, a way to it, and a journal that outlives whoever climbs."""

    def __init__(self, twin: TwinProcess, folder: Path) -> None:
        self.twin = twin
        self.journal = folder / "state.db"
        self.clock = TwinClock(twin)
        self.client = way_to(twin.url)
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

    def end(self) -> tuple[str, ...]:
        """End what the operation that was cut off has launched."""
        with open_journal(self.journal, self.clock, lambda _: None) as journal:
            operation = journal.unfinished("launch", "exp")[-1]
            ended = end_climb(self.client, journal, operation, clock=self.clock)
            journal.end(operation, "failed")
            return ended

    def is_over(self) -> bool:
        with open_journal(self.journal, self.clock, lambda _: None) as journal:
            return journal.knows("launch", "exp") and not journal.unfinished("launch", "exp")

    def standing(self) -> list[str]:
        left: list[str] = self.twin.ask("left")["instances"]
        return left


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


def killed_at_the_call(mountain: Mountain, monkeypatch: pytest.MonkeyPatch, *, is_made: bool) -> list[str]:
    """Climb until the first call that launches: killed when it is carried out, or just before. Return what stands then."""
    real = Client.act

    def act(self: Client, operation: str, **named: Any) -> Any:
        if operation == "run_instances":
            if is_made:
                real(self, operation, **named)
            raise Killed
        return real(self, operation, **named)

    with monkeypatch.context() as patched:
        patched.setattr(Client, "act", act)
        with pytest.raises(Killed):
            mountain.go()
    assert len(mountain.standing()) == (3 if is_made else 0)
    return mountain.standing()


def lame(mountain: Mountain) -> None:
    """Let the first zone have no room, and one answer be lost: a climb with something to it."""
    mountain.twin.ask("capacity", type="g5.xlarge", zone="us-east-1a", count=0)
    mountain.twin.ask("fault", name="lost-answer", action="ec2:RunInstances", after=1)


def room(mountain: Mountain, zone: str, count: int) -> None:
    mountain.twin.ask("capacity", type="g5.xlarge", zone=zone, count=count)


def launches_once(mountain: Mountain, found: Climb) -> None:
    """Check that what was found runs, is of one token, and is all there is."""
    assert [row.state for row in found.rows] == ["running"] * 3
    assert sorted(mountain.standing()) == sorted(row.id for row in found.rows)
    assert len({row.token for row in list_ours(mountain.client, fleet="exp")}) == 1


def silent(twin: TwinProcess, *, after: int = 0) -> None:
    """Let launches be carried out and never be answered."""
    twin.ask("fault", name="lost-answer", action="ec2:RunInstances", after=after, count=99)
