"""The packaged catalogue as data: what must be in it, and what must not."""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from decimal import Decimal
from importlib import resources

import pytest

from launchbay.catalog.capability import capability_of
from launchbay.catalog.items import ITEMS, TRANSFER_OUT_TIERS
from launchbay.catalog.price import Catalogue
from launchbay.catalog.snapshot import load_snapshot
from tools.catalogue_prices import size_factor

NAMED = ("p2", "p3", "p4d", "p5", "g3", "g4ad", "g4dn", "g5", "g6", "dl1", "trn1", "inf2", "m6i")

# The facts about named types in us-west-2, written by hand from the sources: vCPU, MiB, device, how many, MiB each,
# dollars an hour, and whether AWS is known to have changed it since.
FACTS = """
p2.xlarge     4   62464   K80             1  12288  0.9
p2.8xlarge    32  499712  K80             8  12288  7.2
p3.2xlarge    8   62464   V100            1  16384  3.06
p3.16xlarge   64  499712  V100            8  16384  24.48
dl1.24xlarge  96  786432  Gaudi_HL-205    8  32768  13.10904
g3.4xlarge    16  124928  M60             1  8192   1.14
g4ad.8xlarge  32  131072  Radeon_Pro_V520 2  8192   1.734
g4dn.xlarge   4   16384   T4              1  16384  0.526
g5.xlarge     4   16384   A10G            1  22888  1.006
g6.xlarge     4   16384   L4              1  22888  0.8048
p4d.24xlarge  96  1179648 A100            8  40960  32.7726  stale
p5.48xlarge   192 2097152 H100            8  81920  98.32    stale
trn1.2xlarge  8   32768   Trainium        1  32768  1.34375
inf2.xlarge   4   16384   Inferentia2     1  32768  0.7582
m6i.large     2   8192    -               0  0      0.096
"""


@pytest.fixture(scope="module")
def everywhere() -> Catalogue:
    return load_snapshot()


def test_there_is_all_that_was_found(everywhere: Catalogue) -> None:
    assert len(everywhere.types) == 1422
    assert len(everywhere.regions) == 30
    assert len(everywhere.prices) > 13_000
    for region in ("us-east-1", "us-west-2"):
        assert sum(1 for key in everywhere.prices if key[1] == region) > 855
    assert {item.family for item in everywhere.types.values()} >= set(NAMED)


def test_it_is_small() -> None:
    folder = resources.files("launchbay.catalog") / "data"
    sizes = {item.name: len(item.read_bytes()) for item in folder.iterdir()}
    assert sizes.keys() == {"types.csv.gz", "prices.csv.gz", "side.csv", "manifest.json"}
    assert sum(sizes.values()) < 150_000


@pytest.mark.parametrize("fact", FACTS.split("\n")[1:-1], ids=lambda fact: fact.split()[0])
def test_the_facts(everywhere: Catalogue, fact: str) -> None:
    name, vcpus, mib, device, count, each, usd, *stale = fact.split()
    item = everywhere.types[name]
    assert (item.vcpus, item.memory_mib) == (int(vcpus), int(mib))
    if device == "-":
        assert item.accelerators == ()
    else:
        (found,) = item.accelerators
        assert (found.name, found.count, found.memory_mib) == (device.replace("_", " "), int(count), int(each))
    price = everywhere.price(name, "us-west-2")
    assert price is not None
    assert (price.usd_per_hour, price.is_stale) == (Decimal(usd), bool(stale))


def test_no_price_is_0_or_less_and_each_says_where_it_is_from(everywhere: Catalogue) -> None:
    for price in everywhere.prices.values():
        assert price.usd_per_hour > 0, price
        assert price.type in everywhere.types
        assert price.region in everywhere.regions
        assert price.method in ("scraped", "repaired", "assumed")
        assert price.source.startswith("apache-libcloud 3.")
        assert date(2020, 1, 1) < price.as_of < date(2026, 1, 1)


def test_within_a_family_a_unit_of_size_costs_the_same(everywhere: Catalogue) -> None:
    """Dedicated tenancy, which some sources mix in, costs mostly 6 to 10 % more; it would stand out here.

    Left out are those whose price is not for their size: with accelerators, and what AWS prices by memory.
    """
    in_steps = {"u-6tb1"}
    rates: dict[tuple[str, str], dict[str, Decimal]] = defaultdict(dict)
    for price in everywhere.prices.values():
        item = everywhere.types[price.type]
        factor = size_factor(price.type)
        if not item.accelerators and factor and price.usd_per_hour > Decimal("0.02"):
            rates[item.family, price.region][price.type] = price.usd_per_hour / factor
    odd = {}
    for place, found in rates.items():
        lowest = min(found.values())
        if place[0] not in in_steps and max(found.values()) > lowest * Decimal("1.03"):
            odd[place] = {name: f"{rate:.5f}" for name, rate in found.items()}
    assert odd == {}
    assert len(rates) > 1200


def test_what_ec2_offers_no_more_is_marked(everywhere: Catalogue) -> None:
    retired = {item.name for item in everywhere.types.values() if item.is_retired}
    assert len(retired) == 27
    assert {"p2.xlarge", "p3.2xlarge", "g3.4xlarge", "g4ad.xlarge", "dl1.24xlarge", "f1.2xlarge"} <= retired
    for item in everywhere.types.values():
        assert item.is_retired == (item.source != "moto 5.2.5")
        assert bool(item.regions) != item.is_retired


def test_a_price_that_is_of_another_region_is_an_assumption(everywhere: Catalogue) -> None:
    taken = [price for price in everywhere.prices.values() if price.source.endswith(", for a region with equal prices")]
    assert {price.method for price in taken} == {"assumed"}
    assert len(taken) == 157


def test_what_is_known_to_be_cheaper_by_now_is_marked(everywhere: Catalogue) -> None:
    stale = {price.type.partition(".")[0] for price in everywhere.prices.values() if price.is_stale}
    assert stale >= {"p4d", "p4de", "p5", "u7i-12tb"}
    assert not stale & {"p2", "p3", "g5", "m6i"}
    assert all(price.is_stale for price in everywhere.prices.values() if price.type == "p5.48xlarge")


def test_a_share_of_a_gpu_counts_as_one_that_the_system_shows(everywhere: Catalogue) -> None:
    gpu = everywhere.types["g6f.large"].gpu
    assert gpu is not None
    assert (gpu.count, str(gpu.share), gpu.memory_mib) == (1, "1/8", 2861)


def test_inferentia_is_not_counted_twice(everywhere: Catalogue) -> None:
    assert [(item.kind, item.count) for item in everywhere.types["inf2.48xlarge"].accelerators] == [("neuron", 12)]
    assert [item.kind for item in everywhere.types["dl2q.24xlarge"].accelerators] == ["inference"]


def test_trainium2_has_the_memory_that_aws_publishes(everywhere: Catalogue) -> None:
    (device,) = everywhere.types["trn2.48xlarge"].accelerators
    assert device.count * device.memory_mib == 1_572_864  # 1.5 TB


def test_gpus_with_one_name_are_told_apart_by_their_memory(everywhere: Catalogue) -> None:
    memory = {name: gpu.memory_mib for name, item in everywhere.types.items() if (gpu := item.gpu)}
    assert (memory["p3.2xlarge"], memory["p3dn.24xlarge"]) == (16384, 32768)
    assert (memory["p4d.24xlarge"], memory["p4de.24xlarge"]) == (40960, 81920)


def test_every_gpu_of_nvidia_has_a_capability_and_no_other_has(everywhere: Catalogue) -> None:
    for item in everywhere.types.values():
        if item.gpu:
            assert (capability_of(item.gpu) is not None) == (item.gpu.maker == "NVIDIA"), item.name


def test_the_regions_with_equal_prices_have_equal_prices(everywhere: Catalogue) -> None:
    different = [
        price.type
        for price in everywhere.prices.values()
        if price.region == "us-east-1"
        and (other := everywhere.price(price.type, "us-west-2"))
        and other.usd_per_hour != price.usd_per_hour
    ]
    assert different == []


def test_what_is_billed_beside_instances(everywhere: Catalogue) -> None:
    assert {item for item, _ in everywhere.side} == ITEMS.keys()
    for price in everywhere.side.values():
        assert price.usd > 0
        assert price.unit == ITEMS[price.item][0]
        assert price.region in everywhere.regions
        assert price.method in ("cited", "recalled")
        assert price.source
        assert price.as_of > date(2024, 1, 1)
    for region in ("us-east-1", "us-east-2", "us-west-2", "eu-west-1", "eu-central-1"):
        assert {item for item, place in everywhere.side if place == region} == ITEMS.keys()
    gp3 = everywhere.side_price("gp3", "us-west-2")
    address = everywhere.side_price("public-ipv4", "us-west-2")
    assert gp3 is not None
    assert address is not None
    assert (gp3.usd, address.usd) == (Decimal("0.08"), Decimal("0.005"))


def test_the_tiers_of_traffic_begin_free_and_get_cheaper(everywhere: Catalogue) -> None:
    begins = [begin for begin, _ in TRANSFER_OUT_TIERS]
    assert begins == sorted(begins)
    assert TRANSFER_OUT_TIERS[0] == (0, "")
    amounts = [everywhere.side[item, "us-east-1"].usd for _, item in TRANSFER_OUT_TIERS[1:]]
    assert amounts == sorted(amounts, reverse=True)
