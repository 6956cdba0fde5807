"""Machines from the catalogue: what an instance pays beside itself, and what is unknown stays so."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction

from launchbay.catalog.price import Catalogue, Price, SidePrice
from launchbay.catalog.type import Accelerator, InstanceType
from launchbay.cost.optimum.machine import Machine
from launchbay.cost.optimum.rentals import list_machines

MONTH = Decimal(720)
HERE = "us-west-2"


def kind(name: str, *, gpu: Accelerator | None = None, burstable: bool = False, current: bool = True) -> InstanceType:
    return InstanceType(
        name=name,
        vcpus=4,
        memory_mib=15_616,
        architectures=("x86_64",),
        processor="Intel",
        accelerators=(gpu,) if gpu else (),
        is_burstable=burstable,
        is_bare_metal=False,
        is_current=current,
        is_retired=not current,
        local_disk_gb=0,
        local_disk_kind="",
        ebs_baseline_mbps=None,
        ebs_maximum_mbps=None,
        network="",
        network_baseline_gbps=None,
        network_peak_gbps=None,
        efa_interfaces=0,
        usage_classes=("on-demand", "spot"),
        regions=frozenset({HERE}),
        source="a test",
    )


def gpu(maker: str = "NVIDIA", share: Fraction = Fraction(1)) -> Accelerator:
    return Accelerator(kind="gpu", maker=maker, name="K80", count=1, memory_mib=12_288, share=share)


def catalogue(*kinds: InstanceType, spot: str = "", side: bool = True) -> Catalogue:
    prices = {}
    for market, usd in (("on-demand", "0.90"), *((("spot", spot),) if spot else ())):
        for item in kinds:
            prices[item.name, HERE, market] = Price(
                type=item.name,
                region=HERE,
                market=market,
                usd_per_hour=Decimal(usd),
                as_of=date(2022, 3, 1),
                source="a test",
                method="scraped",
            )
    beside = (("gp3", "0.08", "GiB-month"), ("public-ipv4", "0.005", "hour"))
    return Catalogue(
        types={item.name: item for item in kinds},
        prices=prices,
        side={
            (item, HERE): SidePrice(
                item=item, region=HERE, usd=Decimal(usd), unit=unit, as_of=date(2025, 1, 1), source="a test"
            )
            for item, usd, unit in beside
        }
        if side
        else {},
        regions=(HERE,),
    )


def only(known: Catalogue, **how: object) -> Machine:
    (found,) = list_machines(known, [HERE], month_hours=MONTH, **how)  # type: ignore[arg-type]
    return found


def test_an_hour_holds_its_share_of_the_disk_and_the_address() -> None:
    found = only(catalogue(kind("p2.xlarge", gpu=gpu())), disk_gib=90, with_address=True)
    assert found.hourly_usd == Decimal("0.90") + Decimal("0.01") + Decimal("0.005")
    assert found.always_on_usd == Decimal("658.80")
    assert (found.vcpus, found.memory_gib, found.gpus, found.gpu_memory_gib) == (4, 15.25, 1, 12.0)
    assert found.traits == {"x86_64", "steady", "current", "K80", "cuda"}
    assert only(catalogue(kind("p2.xlarge"))).always_on_usd == Decimal(648)


def test_what_is_unknown_beside_an_instance_makes_its_price_unknown() -> None:
    bare = catalogue(kind("p2.xlarge"), spot="0.36", side=False)
    assert only(bare).hourly_usd == Decimal("0.90")
    for how in ({"disk_gib": 1}, {"with_address": True}):
        found = only(bare, **how)
        assert (found.hourly_usd, found.always_on_usd, found.spot_usd) == (None, None, None)


def test_a_type_without_a_price_has_none() -> None:
    known = catalogue(kind("p2.xlarge"))
    found = only(Catalogue(types=known.types, prices={}, side=known.side, regions=known.regions))
    assert (found.hourly_usd, found.always_on_usd) == (None, None)
    assert list_machines(known, ["us-east-1"], month_hours=MONTH) == []


def test_spot_needs_a_price_and_how_often_it_is_interrupted() -> None:
    found = only(catalogue(kind("p2.xlarge"), spot="0.36"), spot_mean_hours={("p2.xlarge", HERE): 9.0})
    assert (found.spot_usd, found.spot_mean_hours) == (Decimal("0.36"), 9.0)
    assert only(catalogue(kind("p2.xlarge"), spot="0.36")).spot_mean_hours is None


def test_a_burstable_type_has_no_price_for_jobs_until_its_surplus_is_known() -> None:
    known = catalogue(kind("t3.xlarge", burstable=True), spot="0.36")
    found = only(known)
    assert (found.hourly_usd, found.spot_usd, found.always_on_usd) == (None, None, Decimal(648))
    assert "steady" not in found.traits
    there = only(known, counts_surplus=False)
    assert (there.hourly_usd, there.surplus_usd) == (Decimal("0.90"), Decimal(0))
    price = SidePrice(
        item="cpu-surplus-t3",
        region=HERE,
        usd=Decimal("0.05"),
        unit="vCPU-hour",
        as_of=date(2025, 1, 1),
        source="a test",
    )
    charged = only(replace(known, side={**known.side, (price.item, HERE): price}))
    assert (charged.hourly_usd, charged.surplus_usd) == (
        Decimal("0.90"),
        Decimal("0.12"),
    )  # 4 vCPUs, of which 40 % are free


def test_a_part_of_a_gpu_is_none_and_another_maker_is_not_cuda() -> None:
    assert only(catalogue(kind("g6f.large", gpu=gpu(share=Fraction(1, 8))))).gpus == 0
    assert "cuda" not in only(catalogue(kind("g4ad.xlarge", gpu=gpu("AMD")))).traits


def test_a_retired_type_is_not_current() -> None:
    assert "current" not in only(catalogue(kind("m1.small", current=False))).traits
