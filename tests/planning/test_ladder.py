from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from launchbay.catalog.snapshot import load_snapshot
from launchbay.errors import UsageError
from launchbay.planning.fit import Ami, ImageNeeds
from launchbay.planning.ladder import RECENT_S, Rung, Shortage, ZoneOffer, is_sister, list_rungs

CATALOGUE = load_snapshot(["us-west-2"])
TYPES = CATALOGUE.types
V100 = ImageNeeds(accelerator="cuda12", capability=(6, 0), driver="525")
TURING = ImageNeeds(accelerator="cuda13", capability=(7, 5), driver="580")
AMI = Ami(id="ami-1", architecture="x86_64", driver="580.126.09")


def offer(zone: str, name: str, usd: str | None, market: str = "on-demand") -> ZoneOffer:
    return ZoneOffer(zone=zone, type=TYPES[name], market=market, usd_per_hour=Decimal(usd) if usd else None)


P3 = [
    offer("a", "p3.2xlarge", "3.06"),
    offer("b", "p3.2xlarge", "3.06"),
    offer("c", "p3.2xlarge", "3.06"),
    offer("a", "p3.8xlarge", "12.24"),
    offer("b", "p3.8xlarge", "12.24"),
    offer("b", "p3.16xlarge", "24.48"),
    offer("b", "p3dn.24xlarge", "31.212"),
    offer("b", "g5.2xlarge", "1.212"),
    offer("a", "p3.2xlarge", "0.90", "spot"),
    offer("b", "p3.2xlarge", "0.80", "spot"),
    offer("c", "p3.2xlarge", None, "spot"),
    offer("b", "p3.8xlarge", "4.00", "spot"),
]


def places(rungs: Sequence[Rung]) -> list[str]:
    return [f"{rung.zone} {rung.type} {rung.market}" for rung in rungs]


def ladder(name: str = "p3.2xlarge", offers: Sequence[ZoneOffer] = P3, **asked: Any) -> tuple[Rung, ...]:
    return list_rungs(TYPES[name], offers, **{"needs": V100, "ami": AMI, **asked})


def test_only_what_was_asked_for_unless_more_is_allowed() -> None:
    rungs = ladder()
    assert places(rungs) == ["a p3.2xlarge on-demand", "b p3.2xlarge on-demand", "c p3.2xlarge on-demand"]
    assert {rung.why for rung in rungs} == {"as asked"}
    assert {rung.usd_per_hour for rung in rungs} == {Decimal("3.06")}


def test_another_p3_is_one_with_the_same_gpu_the_nearest_price_first() -> None:
    rungs = ladder(with_sisters=True)
    assert places(rungs)[3:] == [
        "a p3.8xlarge on-demand",
        "b p3.8xlarge on-demand",
        "b p3.16xlarge on-demand",
        "b p3dn.24xlarge on-demand",
    ]
    assert rungs[3].why == "another with 4 × V100, 32 vCPUs, 244 GiB"


def test_another_market_comes_after_everything_of_the_one_asked_for() -> None:
    rungs = ladder(markets=("spot", "on-demand"), with_sisters=True)
    assert places(rungs)[:5] == [
        "b p3.2xlarge spot",
        "a p3.2xlarge spot",
        "c p3.2xlarge spot",
        "b p3.8xlarge spot",
        "a p3.2xlarge on-demand",
    ]
    assert rungs[2].why == "as asked, price not known"
    assert rungs[4].why == "as asked, on-demand instead of spot"
    assert "spot" not in {rung.market for rung in ladder(with_sisters=True)}


def test_a_zone_that_had_no_room_comes_last_of_its_type() -> None:
    shortages = [
        Shortage(zone="a", type="p3.2xlarge", market="on-demand", age_s=60),
        Shortage(zone="b", type="p3.2xlarge", market="on-demand", age_s=600),
        Shortage(zone="c", type="p3.2xlarge", market="spot", age_s=5),
        Shortage(zone="c", type="p3.8xlarge", market="on-demand", age_s=5),
        Shortage(zone="c", type="p3.2xlarge", market="on-demand", age_s=RECENT_S),
    ]
    rungs = ladder(shortages=shortages, with_sisters=True)
    assert places(rungs)[:4] == [
        "c p3.2xlarge on-demand",
        "b p3.2xlarge on-demand",
        "a p3.2xlarge on-demand",
        "a p3.8xlarge on-demand",
    ]
    assert [rung.why for rung in rungs[:2]] == ["as asked", "as asked, had no room 10m 00s ago"]
    again = [*shortages, Shortage(zone="b", type="p3.2xlarge", market="on-demand", age_s=1)]
    assert places(ladder(shortages=again))[1:] == ["a p3.2xlarge on-demand", "b p3.2xlarge on-demand"]
    assert places(ladder(shortages=again[::-1]))[1:] == ["a p3.2xlarge on-demand", "b p3.2xlarge on-demand"]


def test_a_type_that_the_image_does_not_run_on_is_on_no_rung() -> None:
    with pytest.raises(UsageError, match=r"needs compute capability 7\.5, and p3\.2xlarge's V100 has 7\.0"):
        ladder(needs=TURING)
    arm = replace(TYPES["g4dn.2xlarge"], name="g4dg.2xlarge", architectures=("arm64", "x86_64"))
    offers = [
        offer("a", "g4dn.xlarge", "0.526"),
        offer("a", "g4dn.2xlarge", "0.752"),
        ZoneOffer(zone="a", type=arm, market="on-demand", usd_per_hour=None),
    ]
    assert len(ladder("g4dn.xlarge", offers, needs=TURING, with_sisters=True)) == 3
    listed = replace(AMI, families=("g4dn",))
    assert places(ladder("g4dn.xlarge", offers, needs=TURING, ami=listed, with_sisters=True)) == [
        "a g4dn.xlarge on-demand", "a g4dn.2xlarge on-demand",
    ]  # fmt: skip


def test_a_ceiling_lets_no_unknown_price_pass() -> None:
    rungs = ladder(markets=("spot", "on-demand"), with_sisters=True, most_usd_per_hour=Decimal("3.06"))
    assert places(rungs) == [
        "b p3.2xlarge spot",
        "a p3.2xlarge spot",
        "a p3.2xlarge on-demand",
        "b p3.2xlarge on-demand",
        "c p3.2xlarge on-demand",
    ]


def test_enough_network_for_efa() -> None:
    offers = [offer("a", "g5.8xlarge", "2.448"), offer("a", "g5.16xlarge", "4.096"), offer("a", "g5.xlarge", "1.006")]
    assert places(ladder("g5.8xlarge", offers, least_efa=1, with_sisters=True)) == [
        "a g5.8xlarge on-demand", "a g5.16xlarge on-demand",
    ]  # fmt: skip
    assert ladder("g5.xlarge", offers, least_efa=1) == ()


def test_a_price_that_is_not_known_comes_last_among_its_like() -> None:
    offers = [
        offer("a", "p3.2xlarge", None),
        offer("b", "p3.2xlarge", "3.06"),
        offer("a", "p3.8xlarge", None),
        offer("a", "p3.16xlarge", "24.48"),
    ]
    assert places(ladder(offers=offers, with_sisters=True)) == [
        "b p3.2xlarge on-demand",
        "a p3.2xlarge on-demand",
        "a p3.16xlarge on-demand",
        "a p3.8xlarge on-demand",
    ]


def test_the_type_asked_for_comes_first_whatever_is_known_of_its_price() -> None:
    offers = [offer("a", "p3.8xlarge", "12.24"), offer("a", "p3.2xlarge", None), offer("a", "p3.16xlarge", "24.48")]
    assert [rung.type for rung in ladder(offers=offers, with_sisters=True)] == [
        "p3.2xlarge",
        "p3.8xlarge",
        "p3.16xlarge",
    ]


@pytest.mark.parametrize("seed", range(15))
def test_the_order_of_what_is_known_changes_nothing(seed: int) -> None:
    chance = random.Random(seed)
    shortages = [
        Shortage(zone=zone, type="p3.2xlarge", market="on-demand", age_s=chance.choice((5, 60, 600, 5000)))
        for zone in chance.choices("abc", k=4)
    ]
    asked: dict[str, Any] = {"with_sisters": True, "markets": ("on-demand", "spot")}
    expected = ladder(shortages=shortages, **asked)
    turned = [*P3, *chance.sample(P3, 4)]
    chance.shuffle(turned)
    chance.shuffle(shortages)
    assert ladder(offers=turned, shortages=shortages, **asked) == expected
    assert len(set(places(expected))) == len(expected)
    kinds = [(rung.market != "on-demand", rung.type != "p3.2xlarge") for rung in expected]
    assert kinds == sorted(kinds)


def test_of_a_place_that_is_named_twice_the_lower_price_stays() -> None:
    offers = [offer("a", "p3.2xlarge", usd) for usd in ("3.06", None, "2.00", "9")]
    assert [rung.usd_per_hour for rung in ladder(offers=offers)] == [Decimal("2.00")]


# --- sisters ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "other", "yes"),
    [
        ("p3.2xlarge", "p3.8xlarge", True),
        ("p3.2xlarge", "p3.2xlarge", False),
        ("p3.8xlarge", "p3.2xlarge", False),  # fewer GPUs
        ("p3.2xlarge", "g5.2xlarge", False),  # another GPU
        ("p4d.24xlarge", "p4de.24xlarge", True),  # an A100 with more memory
        ("p4de.24xlarge", "p4d.24xlarge", False),
        ("g4dn.xlarge", "g4dn.2xlarge", True),
        ("g4dn.2xlarge", "g4dn.xlarge", False),  # fewer vCPUs
        ("g4dn.metal", "g4dn.16xlarge", False),
        ("g4dn.12xlarge", "g4dn.metal", False),  # on bare metal
        ("g6.xlarge", "g6f.2xlarge", False),  # a part of the same GPU
        ("gr6f.4xlarge", "gr6.4xlarge", False),
        ("c5.large", "m5.large", True),
        ("m5.large", "c5.large", False),  # less memory
        ("c5.large", "t3.large", False),  # burstable
        ("c5.large", "g4dn.xlarge", False),  # pays for a GPU that nobody asked for
        ("c5.large", "c6g.large", False),  # another architecture
        ("c5d.large", "c5.large", False),  # no disk of its own
        ("trn1.2xlarge", "trn1.32xlarge", True),
    ],
)
def test_who_is_a_sister(asked: str, other: str, *, yes: bool) -> None:
    assert is_sister(TYPES[asked], TYPES[other]) is yes


def test_every_sister_has_what_was_asked_for() -> None:
    for name in ("p3.2xlarge", "g4dn.xlarge", "g5.xlarge", "g6.xlarge", "p4d.24xlarge", "m5.xlarge"):
        asked = TYPES[name]
        sisters = [item for item in TYPES.values() if is_sister(asked, item)]
        assert sisters
        for item in sisters:
            assert item.gpus >= asked.gpus
            assert (item.gpu.name if item.gpu else "") == (asked.gpu.name if asked.gpu else "")
            assert item.vcpus >= asked.vcpus
            assert item.memory_mib >= asked.memory_mib
