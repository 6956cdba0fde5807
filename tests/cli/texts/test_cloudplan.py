"""A launch on EC2 as it is shown before anybody agrees to it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

import pytest

from launchbay.afar.prepare import Cargo
from launchbay.catalog.snapshot import load_snapshot
from launchbay.cli.texts.cloudplan import plan_text
from launchbay.cloud.asked import CloudAsked
from launchbay.cloud.plan import CloudPlan
from launchbay.planning.cloudimage import ListedImage
from launchbay.planning.cloudwish import CloudImage, ImageDisk, Volume
from launchbay.planning.controls import Finding
from launchbay.planning.ladder import Rung
from launchbay.planning.quota import QuotaRoom, quota_of
from launchbay.planning.way import Endpoint, Way
from launchbay.planning.worstcase import disks_of, worst_case
from tests.planning.wishes import wish_of

CATALOGUE = load_snapshot(["us-east-1"])
TYPE = CATALOGUE.types["p3.2xlarge"]
ROOT = ImageDisk(device="/dev/sda1", snapshot_gib=75)
IMAGE = ListedImage(
    id="ami-0123456789abcdef0",
    name="Deep Learning Base Proprietary Nvidia Driver GPU AMI (Ubuntu 22.04) 20260101",
    kind="quick start",
    owner="amazon",
    architecture="x86_64",
    support_ends=date(2027, 4, 30),
    ends_by=date(2027, 4, 30),
    disks=(ROOT,),
    root_device="/dev/sda1",
    login="ubuntu",
    usd_per_hour=Decimal(0),
)


THROUGH = Way(
    networks=(),
    endpoint=Endpoint(id="eice-1", name="eice-1.example", subnet="subnet-1", groups=("sg-1",), addresses=("10.0.0.9",)),
    is_one_time=True,
)


def plan_of(*, price: str | None = "3.06", image: ListedImage = IMAGE, **changed: Any) -> CloudPlan:
    """Return a plan of 20 x p3.2xlarge. What is changed is the wish's, the request's or the plan's, by its name."""
    asked = CloudAsked(image="tensorflow", fleet="exp", provider="ec2", region="us-east-1", type="p3.2xlarge", count=20)
    wish = wish_of(
        region="us-east-1",
        zone="us-east-1a",
        image=CloudImage(id=IMAGE.id, root=ROOT, architecture="x86_64"),
        type="p3.2xlarge",
        groups=("sg-00000000",),
        count=20,
        root_gib=100,
        volumes=(Volume(gib=35, mount="/data"),),
        public_address=True,
        tags={},
    )
    for name in [name for name in changed if hasattr(wish, name) and name not in ("image", "groups_of_asked")]:
        wish = replace(wish, **{name: changed.pop(name)})
    for name in [name for name in changed if hasattr(asked, name)]:
        asked = replace(asked, **{name: changed.pop(name)})
    quota = quota_of("p3.2xlarge", "on-demand")
    assert quota is not None
    usd = None if price is None else Decimal(price)
    plain = CloudPlan(
        asked=asked,
        type=TYPE,
        cargo=cast("Cargo", SimpleNamespace(name="tensorflow", digest="0123456789abcdef" * 4)),
        image=image,
        role="proprietary",
        wish=wish,
        rungs=(
            Rung(zone="us-east-1a", type="p3.2xlarge", market=wish.market, usd_per_hour=usd, why="as asked"),
            Rung(zone="us-east-1b", type="p3.2xlarge", market=wish.market, usd_per_hour=usd, why="as asked"),
        ),
        way=Way(networks=("203.0.113.1/32",)),
        vpc="vpc-0123456789abcdef0",
        worst=worst_case(
            TYPE,
            region="us-east-1",
            count=20,
            ttl_s=wish.ttl_s,
            market=wish.market,
            price=CATALOGUE.price("p3.2xlarge", "us-east-1") if price else None,
            disks=disks_of(wish),
            public_address=True,
            side={item: found for (item, _), found in CATALOGUE.side.items()},
            image_usd_per_hour=image.usd_per_hour,
        ),
        quota=QuotaRoom(quota=quota, region="us-east-1", needed=160, limit=200, used=8),
        seen_at=datetime(2026, 11, 27, 12, 0, tzinfo=UTC),
        findings=(
            Finding(control="EC2.8", severity="high", outcome="passed", sentence="fine"),
            Finding(control="EC2.9", severity="high", outcome="accepted", sentence="a public address, as asked"),
        ),
    )
    return replace(plain, **changed)


def shown(**changed: Any) -> list[str]:
    return plan_text(plan_of(**changed)).splitlines()


def _joined(text: str) -> str:
    """Return a text with its blanks and the ends of its lines as one blank each."""
    return " ".join(text.split())


def line_with(start: str, lines: list[str]) -> str:
    return next(line for line in lines if line.strip().startswith(start))


def test_everything_that_one_agrees_to_is_there() -> None:
    lines = shown()
    text = _joined("\n".join(lines))
    assert lines[0] == "exp: 20 × p3.2xlarge, on-demand, in us-east-1"
    assert line_with("image", lines).split() == ["image", "tensorflow", "0123456789ab"]
    assert "8 vCPUs, 61 GiB of memory, 1 × V100 16 GiB" in line_with("type", lines)
    assert "ami-0123456789abcdef0  Deep Learning Base" in line_with("machine", lines)
    assert "quick start of amazon, patched until 2027-04-30, no charge of its own" in text
    assert "root 100 GiB, read from its snapshot as needed" in text
    assert "/data 35 GiB, ends with its instance" in text
    assert line_with("reach", lines).endswith("your address 203.0.113.1/32, port 22, and nobody else")
    assert "by a key made for this fleet alone" in line_with("login", lines)
    assert line_with("lease", lines).endswith("after 8h 00m: 2026-11-27 20:00 UTC, if launched now")
    assert "L-417A185B (Running On-Demand P instances): 8 of 200 vCPUs in use, 160 more needed" in text
    assert "1 of AWS's controls kept; EC2.9: a public address, as asked" in text
    assert line_with("us-east-1b", lines).split()[1:4] == ["p3.2xlarge", "on-demand", "3.06"]
    assert line_with("WORST CASE", lines).split()[2:4] == ["492.97", "USD,"]
    assert "61.20 USD for all 20" in line_with("an hour", lines)
    assert "REFUSED" not in text


def test_the_parts_of_the_worst_case_have_their_price_and_its_day() -> None:
    lines = shown()
    price = CATALOGUE.price("p3.2xlarge", "us-east-1")
    assert price is not None
    compute = line_with("20 × p3.2xlarge for 8h 00m", lines).split()
    assert compute[-5:] == ["160", "hour", "3.06", "489.60", f"{price.as_of}"]
    assert " 0.08 " in line_with("gp3 /data, 20 × 35 GiB", lines)
    assert "0.80" in line_with("public IPv4, 20 instances", lines)


def test_it_is_at_most_100_columns_wide_and_aligned() -> None:
    lines = shown(notes=("x" * 30 + " y" * 90,), rate=300, profile="lab", market="spot")
    assert max(map(len, lines)) <= 100
    labels = [line[:12] for line in lines[2 : lines.index("")] if line[:1] != " "]
    assert all(label[10:] in ("  ", " ") or label.endswith(" ") for label in labels)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"price": None}, "unknown"),
        ({"price": None}, "WORST CASE unknown, and more than 3.37 USD: not all prices are known"),
        ({"price": None}, "the price of p3.2xlarge on-demand in us-east-1 is not known"),
        ({"rate": 300}, "the price of volume-initialization in us-east-1 is not known"),
        ({"rate": 300}, "root 100 GiB, filled at 300 MiB/s"),
        ({"image": replace(IMAGE, usd_per_hour=None)}, "what its maker takes is unknown"),
        ({"image": replace(IMAGE, usd_per_hour=Decimal("0.5"))}, "its maker takes 0.5 USD an hour"),
        ({"image": replace(IMAGE, support_ends=None, ends_by=None)}, "how long it is patched is unknown"),
        ({"image": replace(IMAGE, ends_by=date(2025, 5, 31))}, "not patched any more since 2025-05-31"),
        ({"provider": "twin", "is_declared": True}, "in the twin's us-east-1: nothing of this costs money"),
        ({"provider": "twin", "is_declared": True}, "declared by the twin"),
        ({"networks": ("0.0.0.0/0",), "is_open_to_anyone": True}, "port 22: FORCED, whoever is in there"),
        ({"key_name": "ada", "identity_file": "~/ada.pem"}, "by your key pair ada (~/ada.pem)"),
        (
            {},
            "reach your address 203.0.113.1/32, port 22, and nobody else costs the public addresses (0.80 USD at most)",
        ),
        ({}, "as long as the instances live"),
        (
            {"way": THROUGH},
            "reach through eice-1 (10.0.0.9), an Instance Connect Endpoint of vpc-0123456789abcdef0, and from nowhere else",
        ),
        (
            {"way": THROUGH},
            "costs nothing; 20 connections at a time, each for an hour at most, with your rights on AWS",
        ),
        ({"way": THROUGH}, "which EC2 Instance Connect lets in for 60 seconds at each connection"),
        ({"way": THROUGH}, "costs nothing; each connection asks AWS, and needs your right to send keys there"),
        (
            {"way": replace(THROUGH, networks=("198.51.100.0/24",))},
            "and from your address 198.51.100.0/24, port 22, and nobody else",
        ),
        (
            {"volumes": (Volume(gib=5, mount="/keep", is_kept=True),)},
            "STAYS when its instance ends, and goes on costing",
        ),
        ({"market": "spot"}, "spot costs at most what it does on demand"),
        ({"placement_group": "launchbay-exp", "efa_cards": (0,)}, "1 EFA each, in a placement group of its own"),
        ({"role": "baked"}, "baked into the machine image"),
    ],
)
def test_what_is_not_plain_is_said(changed: dict[str, Any], says: str) -> None:
    assert says in _joined(plan_text(plan_of(**changed)))


def test_a_quota_that_is_too_small_is_refused_with_the_command_in_one_piece() -> None:
    quota = replace(plan_of().quota, limit=100)
    text = plan_text(plan_of(quota=quota))
    assert "REFUSED" in text
    command = next(line for line in text.splitlines() if "request-service-quota-increase" in line)
    assert command.strip() == quota.command
    assert "--desired-value 168" in command
    unknown = _joined(plan_text(plan_of(quota=replace(quota, limit=None))))
    assert "160 vCPUs needed, and what there is is unknown" in unknown
    assert "REFUSED" not in unknown
