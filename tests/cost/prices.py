"""A catalogue made by hand: what the tests of bills need of it, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path

from launchbay.catalog.items import ITEMS
from launchbay.catalog.price import Catalogue, Price, SidePrice
from launchbay.catalog.type import Accelerator, InstanceType
from launchbay.cost.bill import make_bill
from launchbay.cost.line import Bill
from launchbay.spec.workload import read_workload

DAY = date(2026, 1, 2)
REGIONS = ("us-east-1", "us-east-2", "us-west-2", "eu-central-1", "eu-west-2")

HOURLY = {
    "p2.xlarge on-demand": "0.9",
    "p2.8xlarge on-demand": "7.2",
    "m6i.large on-demand": "0.096",
    "p3.2xlarge on-demand": "3.06",
}
SIDE = {
    "gp3": "0.08",
    "gp3-iops": "0.005",
    "gp3-throughput": "0.04",
    "snapshot": "0.05",
    "public-ipv4": "0.005",
    "nat-gateway": "0.045",
    "nat-gateway-data": "0.045",
    "transfer-out": "0.09",
    "transfer-out-from-10tb": "0.085",
    "transfer-cross-zone": "0.01",
    "transfer-inter-region": "0.02",
    "s3-standard": "0.023",
}
K80 = Accelerator(kind="gpu", maker="NVIDIA", name="K80", count=1, memory_mib=12288)


def make_type(
    name: str, *, gpu: Accelerator | None = None, market: tuple[str, ...] = ("on-demand", "spot")
) -> InstanceType:
    return InstanceType(
        name=name,
        vcpus=4,
        memory_mib=62464,
        architectures=("x86_64",),
        processor="Intel",
        accelerators=() if gpu is None else (gpu,),
        is_burstable=False,
        is_bare_metal=False,
        is_current=True,
        is_retired=False,
        local_disk_gb=0,
        local_disk_kind="",
        ebs_baseline_mbps=None,
        ebs_maximum_mbps=None,
        network="",
        network_baseline_gbps=None,
        network_peak_gbps=None,
        efa_interfaces=0,
        usage_classes=market,
        regions=frozenset(REGIONS),
        source="by hand",
    )


TYPES = {
    item.name: item
    for item in (
        make_type("p2.xlarge", gpu=K80),
        make_type("p2.8xlarge", gpu=K80),
        make_type("m6i.large"),
        make_type("p3.2xlarge", gpu=K80),
        make_type("t3.medium"),
        make_type("unpriced.large"),
        make_type("mac1.metal", market=("on-demand",)),
    )
}


def make_catalogue(
    hourly: Mapping[str, str] = HOURLY,
    side: Mapping[str, str] = SIDE,
    *,
    method: str = "scraped",
    is_stale: bool = False,
    scale: Decimal = Decimal(1),
) -> Catalogue:
    """Return a catalogue with these prices (`TYPE MARKET` and items) in every region."""
    prices = {}
    for name, usd in hourly.items():
        kind, market = name.split()
        for region in REGIONS:
            prices[kind, region, market] = Price(
                type=kind,
                region=region,
                market=market,
                usd_per_hour=Decimal(usd) * scale,
                as_of=DAY,
                source="by hand",
                method=method,
                is_stale=is_stale,
            )
    return Catalogue(
        types=TYPES,
        prices=prices,
        side={
            (item, region): SidePrice(
                item=item, region=region, usd=Decimal(usd) * scale, unit=ITEMS[item][0], as_of=DAY, source="by hand"
            )
            for item, usd in side.items()
            for region in REGIONS
        },
        regions=REGIONS,
    )


def bill_of(folder: Path, text: str, catalogue: Catalogue | None = None, *, compute_only: bool = False) -> Bill:
    """Return the bill of a workload in us-west-2 with a month of 720 hours, unless the text says otherwise."""
    path = folder / "workload.yaml"
    path.write_text(text if text.startswith("region") else f"region: us-west-2\nmonth: 720h\n{text}", encoding="utf-8")
    return make_bill(read_workload(path), catalogue or make_catalogue(), compute_only=compute_only)
