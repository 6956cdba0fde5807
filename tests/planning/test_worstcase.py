from __future__ import annotations

import random
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from launchbay.catalog.items import GP3, GP3_IOPS, GP3_THROUGHPUT, PUBLIC_IPV4, VOLUME_INITIALIZATION
from launchbay.catalog.price import Price, SidePrice
from launchbay.catalog.snapshot import load_snapshot
from launchbay.errors import UsageError
from launchbay.jsonable import to_json
from launchbay.planning.cloudwish import ImageDisk, Volume
from launchbay.planning.worstcase import Disk, WorstCase, disks_of, worst_case
from tests.planning.wishes import IMAGE, wish_of

CATALOGUE = load_snapshot(["us-west-2"])
DAY = date(2026, 11, 1)


def price(name: str, usd: str, **changed: Any) -> Price:
    plain = Price(
        type=name,
        region="us-west-2",
        market="on-demand",
        usd_per_hour=Decimal(usd),
        as_of=DAY,
        source="s",
        method="live",
    )
    return replace(plain, **changed)


def side(**usd: str) -> dict[str, SidePrice]:
    names = {
        "gp3": GP3,
        "iops": GP3_IOPS,
        "throughput": GP3_THROUGHPUT,
        "address": PUBLIC_IPV4,
        "fill": VOLUME_INITIALIZATION,
        "t3": "cpu-surplus-t3",
    }
    return {
        names[key]: SidePrice(item=names[key], region="us-west-2", usd=Decimal(value), unit="", as_of=DAY, source="s")
        for key, value in usd.items()
    }


ALL = side(gp3="0.08", iops="0.005", throughput="0.04", address="0.005", fill="0.0036", t3="0.05")


def case(name: str = "p3.2xlarge", usd: str | None = "3.06", **asked: Any) -> WorstCase:
    plain: dict[str, Any] = {
        "region": "us-west-2", "count": 1, "ttl_s": 3600, "market": "on-demand", "disks": (),
        "public_address": False, "side": ALL, "price": price(name, usd) if usd else None,
    }  # fmt: skip
    return worst_case(CATALOGUE.types[name], **{**plain, **asked})


def shown(found: WorstCase) -> Any:
    return to_json(found)["usd"]


def test_a_launch_by_hand() -> None:
    found = case(
        count=20,
        ttl_s=8 * 3600,
        disks=(
            Disk(name="root", gib=100, iops=4000, throughput=225, filled_gib=60),
            Disk(name="/data", gib=500, is_kept=True),
        ),
        public_address=True,
        image_usd_per_hour=Decimal("0.10"),
    )
    # 160 instance-hours, which are 160/672 of the shortest month
    month = Decimal(160) / 672
    assert [line.amount for line in found.lines] == [
        160 * Decimal("3.06"),
        160 * Decimal("0.10"),
        100 * month * Decimal("0.08"),
        1000 * month * Decimal("0.005"),
        100 * month * Decimal("0.04"),
        20 * 60 * Decimal("0.0036"),
        500 * month * Decimal("0.08"),
        160 * Decimal("0.005"),
    ]
    assert found.usd is not None
    assert abs(found.usd - (Decimal("489.60") + 16 + month * 57 + Decimal("4.32") + Decimal("0.80"))) < Decimal("1e-9")
    assert shown(found) == "524.29"
    assert found.notes[0].startswith(
        "kept, and costs on after the lease until it is deleted: /data, 10000 GiB together"
    )


@pytest.mark.parametrize(("ttl_s", "usd"), [(1, "0.05"), (60, "0.05"), (61, "0.05"), (600, "0.51"), (3600, "3.06")])
def test_a_minute_is_the_least(ttl_s: int, usd: str) -> None:
    assert shown(case(ttl_s=ttl_s)) == usd
    assert case(ttl_s=ttl_s).usd == (Decimal("3.06") * max(ttl_s, 60) / 3600).quantize(Decimal("1e-12"))


def test_cents_are_rounded_once_half_up_at_the_end() -> None:
    assert shown(case(usd="0.005")) == "0.01"
    assert shown(case(usd="0.0049999")) == "0.00"
    halves = case(usd="0.0025", public_address=True, side=side(address="0.0025"))
    assert (shown(halves), halves.usd) == ("0.01", Decimal("0.005"))


def test_a_spot_price_bounds_nothing() -> None:
    assert case(market="spot").usd == case().usd
    assert "spot, which costs at most what it does on demand" in case(market="spot").lines[0].what
    with pytest.raises(UsageError, match=r"got that of p3\.2xlarge in us-west-2, spot"):
        case(market="spot", price=price("p3.2xlarge", "0.90", market="spot"))


@pytest.mark.parametrize("other", [{"type": "p3.8xlarge"}, {"region": "us-east-1"}])
def test_a_price_of_something_else_is_refused(other: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="needs its price on demand"):
        case(price=price("p3.2xlarge", "1", **other))


@pytest.mark.parametrize(
    ("changed", "item"),
    [
        ({"price": None}, "p3.2xlarge on-demand"),
        ({"disks": (Disk(name="root", gib=1),), "side": {}}, "gp3"),
        ({"disks": (Disk(name="root", gib=1, iops=3001),), "side": side(gp3="0.08")}, "gp3-iops"),
        ({"disks": (Disk(name="root", gib=1, throughput=126),), "side": side(gp3="0.08")}, "gp3-throughput"),
        ({"disks": (Disk(name="root", gib=1, filled_gib=1),), "side": side(gp3="0.08")}, VOLUME_INITIALIZATION),
        ({"public_address": True, "side": {}}, "public-ipv4"),
        ({"image_usd_per_hour": None}, "image"),
    ],
)
def test_what_is_unknown_makes_the_sum_unknown_and_is_named(changed: dict[str, Any], item: str) -> None:
    found = case(**changed)
    assert found.usd is None
    assert shown(found) is None
    [why] = found.unknown
    assert f"the price of {item} in us-west-2 is not known" in why
    known = [line.amount for line in found.lines if line.amount is not None]
    assert found.at_least_usd == sum(known, Decimal(0))


def test_what_is_not_asked_for_needs_no_price() -> None:
    assert case(side={}).usd == Decimal("3.06")
    assert [line.item for line in case(side={}, image_usd_per_hour=Decimal(0)).lines] == ["p3.2xlarge on-demand"]


def test_a_burstable_type_may_be_used_in_full() -> None:
    found = case("t3.large", "0.0832")
    # two vCPUs with a baseline of 30 % each
    assert found.usd == Decimal("0.0832") + 2 * Decimal("0.7") * Decimal("0.05")
    assert found.lines[1].unit == "vCPU-hour"
    assert case("t3.large", "0.0832", side={}).usd is None


def test_disks_of_a_wish_are_those_of_its_request() -> None:
    image = replace(IMAGE, others=(ImageDisk(device="/dev/sdh", snapshot_gib=9),))
    wish = wish_of(
        image=image,
        rate=300,
        root_gib=200,
        root_iops=6000,
        root_throughput=500,
        volumes=(
            Volume(gib=500, mount="/data", is_kept=True, iops=4000, throughput=250),
            Volume(gib=5, mount="/tmp-2"),
        ),
    )
    assert disks_of(wish) == (
        Disk(name="root", gib=200, iops=6000, throughput=500, filled_gib=60),
        Disk(name="/dev/sdh", gib=9, filled_gib=9),
        Disk(name="/data", gib=500, iops=4000, throughput=250, is_kept=True),
        Disk(name="/tmp-2", gib=5),
    )
    assert [disk.filled_gib for disk in disks_of(replace(wish, rate=None))] == [0, 0, 0, 0]
    assert disks_of(wish_of())[0].gib == 60


@pytest.mark.parametrize("seed", range(10))
def test_whatever_happens_before_the_end_costs_no_more(seed: int) -> None:
    """A bill of instances that end at any time before, in a month of any length, at any spot price below on demand."""
    chance = random.Random(seed)
    for _ in range(50):
        count, ttl_s, gib = chance.randint(1, 50), chance.randint(60, 500_000), chance.randint(1, 2000)
        bound = case(count=count, ttl_s=ttl_s, disks=(Disk(name="root", gib=gib),), public_address=True).usd
        assert bound is not None
        bill = Decimal(0)
        for _ in range(count):
            hours = Decimal(max(60, chance.randint(1, ttl_s))) / 3600
            paid = Decimal("3.06") * chance.choice((Decimal(1), Decimal("0.3"), Decimal("0.99")))
            month = chance.choice((672, 696, 720, 730, 744))
            bill += hours * (paid + Decimal("0.005") + gib * Decimal("0.08") / month)
        assert bill <= bound + Decimal("1e-9")
