"""Which quota a type counts against, and what that allows."""

from __future__ import annotations

from decimal import Decimal

import pytest

from launchbay.catalog.snapshot import load_snapshot
from launchbay.twin.quotas import QUOTAS, quota_code, quota_named, quota_vcpus
from launchbay.twin.truth import Settings, new_truth
from launchbay.twin.world import World


@pytest.mark.parametrize(
    ("name", "on_demand", "spot"),
    [
        ("m5.large", "L-1216C47A", "L-34B43A08"),
        ("im4gn.large", "L-1216C47A", "L-34B43A08"),
        ("cc2.8xlarge", "L-1216C47A", "L-34B43A08"),
        ("g5.xlarge", "L-DB2E81BA", "L-3819A6DF"),
        ("gr6.4xlarge", "L-DB2E81BA", "L-3819A6DF"),
        ("vt1.3xlarge", "L-DB2E81BA", "L-3819A6DF"),
        ("p3dn.24xlarge", "L-417A185B", "L-7212CCBC"),
        ("p4de.24xlarge", "L-417A185B", "L-7212CCBC"),
        ("p5en.48xlarge", "L-417A185B", "L-C4BD4855"),
        ("p6-b200.48xlarge", "L-417A185B", "L-C4BD4855"),
        ("inf2.xlarge", "L-1945791B", "L-B5D1601B"),
        ("trn1.2xlarge", "L-2C3B7624", "L-6B0D517C"),
        ("dl1.24xlarge", "L-6E869C2A", "L-85EED4F7"),
        ("f2.6xlarge", "L-74FC7D96", "L-88CF9481"),
        ("x1.16xlarge", "L-7295265B", "L-E3A00192"),
        ("u7in-16tb.224xlarge", "L-43DA4232", ""),
        ("u-6tb1.56xlarge", "L-43DA4232", ""),
        ("hpc7a.96xlarge", "L-F7808C92", ""),
        ("mac2-m2.metal", "", ""),
    ],
)
def test_types_count_against_the_quota_of_their_kind(name: str, on_demand: str, spot: str) -> None:
    assert (quota_code(name, "on-demand"), quota_code(name, "spot")) == (on_demand, spot)


def test_every_type_that_can_be_launched_has_a_quota() -> None:
    for item in load_snapshot().types.values():
        for market in {"on-demand", "spot"} & set(item.usage_classes):
            code = quota_code(item.name, market)
            assert code in QUOTAS or (code == "" and (item.name.startswith(("mac", "u", "hpc")))), item.name


def test_what_was_said_counts_and_else_the_twins_own() -> None:
    world = World(new_truth(Settings()), load_snapshot(()), [])
    assert quota_vcpus(world, "us-east-1", "L-417A185B") == 2000
    assert quota_vcpus(world, "us-east-1", "L-1216C47A") == 10_000
    world.truth.quotas["us-east-1", "L-417A185B"] = Decimal(0)
    assert quota_vcpus(world, "us-east-1", "L-417A185B") == 0
    assert quota_vcpus(world, "us-west-2", "L-417A185B") == 2000
    assert quota_vcpus(world, "us-east-1", "") == 0
    assert quota_named("L-1") is None
    assert {quota.code for quota in QUOTAS.values() if quota.new} == {"L-1216C47A", "L-34B43A08", "L-0263D0A3"}
