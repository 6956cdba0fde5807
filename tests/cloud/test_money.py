"""What a fleet costs: every start and its minute, stops, what is gone, and what is unknown."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from launchbay.catalog.items import GP3, PUBLIC_IPV4
from launchbay.cloud.fleet import CloudFleet
from launchbay.cloud.money import Life, cost_of, disk_rate, note_lives, running_rate
from launchbay.cost.line import Line
from launchbay.home import Home
from launchbay.planning.worstcase import WorstCase
from launchbay.providers.ec2.instances import Row

START = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
FLEET = CloudFleet(
    name="exp",
    provider="twin",
    region="us-east-1",
    type="p3.2xlarge",
    market="on-demand",
    count=1,
    image="tensorflow",
    digest="0" * 64,
    machine_image="ami-1",
    login="ubuntu",
    created_at=START.timestamp(),
    ends_at=START.timestamp() + 3600,
    launch="op-1",
    asked="",
    usd_per_hour="3.6",
    disk_usd_per_hour="0.36",
)


def row(state: str, *, started: int = 0, ended: int | None = None) -> Row:
    return Row(
        id="i-1",
        state=state,
        type="p3.2xlarge",
        zone="us-east-1a",
        image="ami-1",
        index=0,
        token="",
        market="on-demand",
        public_address="",
        private_address="",
        started=START + timedelta(seconds=started),
        reason="",
        tags={},
        disks=(),
        ended=None if ended is None else START + timedelta(seconds=ended),
    )


def at(seconds: float) -> float:
    return START.timestamp() + seconds


def test_a_life_with_a_stop_in_it(tmp_path: Path) -> None:
    home = Home(tmp_path)
    (life,) = note_lives(home, FLEET, {"exp-1": row("running")}, at(10))
    assert cost_of(FLEET, life, at(10)) == Decimal("0.066")  # a minute at least, running and of its disks
    assert note_lives(home, FLEET, {"exp-1": row("running")}, at(50)) == (life,)
    (life,) = note_lives(home, FLEET, {"exp-1": row("stopped", ended=1000)}, at(1100))
    assert (life.ran_s(at(5000)), life.stood_s(at(5000))) == (Decimal(1000), Decimal(5000))
    (life,) = note_lives(home, FLEET, {"exp-1": row("running", started=6000)}, at(6010))
    assert life.ran_s(at(6010)) == 1060  # every start is billed for a minute
    (life,) = note_lives(home, FLEET, {"exp-1": row("terminated", started=6000, ended=7000)}, at(7100))
    assert cost_of(FLEET, life, at(99_999)) == Decimal("2.7")


def test_what_is_gone_goes_on_counting_in_its_fleet_and_no_further(tmp_path: Path) -> None:
    home = Home(tmp_path)
    note_lives(home, FLEET, {"exp-1": row("running")}, at(0))
    (life,) = note_lives(home, FLEET, {}, at(500))
    assert (life.ended, life.ran_s(at(9000))) == (at(500), Decimal(500))
    assert note_lives(home, FLEET, {}, at(900)) == (life,)


def test_a_price_that_is_unknown_is_not_nothing() -> None:
    life = Life(id="i-1", name="exp-1", begun=at(0), spans=((at(0), None),))
    assert cost_of(replace(FLEET, usd_per_hour=None), life, at(100)) is None
    assert cost_of(replace(FLEET, disk_usd_per_hour=None), life, at(100)) is None


@pytest.mark.parametrize(("address", "total"), [(Decimal("0.005"), Decimal("0.925")), (None, None)])
def test_the_rates_of_one_instance_are_those_of_the_plan(address: Decimal | None, total: Decimal | None) -> None:
    hours = Decimal(16)  # two instances, eight hours
    plain = Line(
        name="",
        category="compute",
        item="p2.xlarge on-demand",
        region="us-east-1",
        what="",
        quantity=hours,
        unit="hour",
    )
    lines = (
        replace(plain, unit_usd=Decimal("0.90")),
        replace(plain, category="software", item="image", unit_usd=Decimal("0.02")),
        replace(plain, category="address", item=PUBLIC_IPV4, unit_usd=address),
        replace(
            plain, category="disk", item=GP3, quantity=100 * hours / 672, unit="GiB-month", unit_usd=Decimal("0.08")
        ),
    )
    worst = WorstCase(lines=lines)
    assert running_rate(worst, hours, Decimal("0.90")) == total
    assert running_rate(worst, hours, None) is None
    disks = disk_rate(worst, hours)
    assert disks is not None
    assert disks.quantize(Decimal("1e-12")) == (100 * Decimal("0.08") / 720).quantize(Decimal("1e-12"))
