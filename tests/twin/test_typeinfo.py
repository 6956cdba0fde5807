"""Every type of the catalogue is described as EC2 would, and read back as it was."""

from __future__ import annotations

import pytest
from botocore.session import Session

from launchbay.catalog.described import read_type
from launchbay.catalog.snapshot import load_snapshot
from launchbay.twin.typeinfo import describe_type

TYPES = load_snapshot().types


def test_every_type_is_read_back_as_it_was() -> None:
    assert len(TYPES) > 1400
    for item in TYPES.values():
        row = describe_type(item)
        assert read_type(row, regions=item.regions, is_retired=item.is_retired, source=item.source) == item


def test_only_fields_of_the_real_answer_are_used() -> None:
    shape = Session().get_service_model("ec2").shape_for("InstanceTypeInfo")

    def check(value: object, shape: object) -> None:
        kind = getattr(shape, "type_name")  # noqa: B009 - botocore has no types
        if kind == "structure":
            assert isinstance(value, dict)
            for name, inner in value.items():
                check(inner, getattr(shape, "members")[name])  # noqa: B009
        elif kind == "list":
            assert isinstance(value, list)
            for inner in value:
                check(inner, getattr(shape, "member"))  # noqa: B009
        else:
            names = {"boolean": bool, "integer": int, "long": int, "double": float, "string": str}
            assert type(value) is names[kind]

    for item in TYPES.values():
        check(describe_type(item), shape)


@pytest.mark.parametrize(
    ("name", "count", "logical", "share", "total"),
    [("g5.xlarge", 1, 1, 1.0, 22888), ("g6f.large", 0, 1, 0.125, 2861), ("p4d.24xlarge", 8, 8, 1.0, 8 * 40960)],
)
def test_a_share_of_a_gpu_counts_as_none_and_is_shown_as_one(
    name: str, count: int, logical: int, share: float, total: int
) -> None:
    info = describe_type(TYPES[name])["GpuInfo"]
    (gpu,) = info["Gpus"]
    assert (gpu["Count"], gpu["LogicalGpuCount"], gpu["GpuPartitionSize"]) == (count, logical, share)
    assert info["TotalGpuMemoryInMiB"] == total


def test_inferentia_is_in_both_lists_and_trainium_in_one() -> None:
    inf, trn = describe_type(TYPES["inf2.48xlarge"]), describe_type(TYPES["trn2.48xlarge"])
    assert inf["NeuronInfo"]["NeuronDevices"][0]["Count"] == 12
    assert inf["InferenceAcceleratorInfo"]["Accelerators"][0]["Count"] == 12
    assert "InferenceAcceleratorInfo" not in trn
    assert trn["NeuronInfo"]["NeuronDevices"][0]["MemoryInfo"]["SizeInMiB"] == 524_288


def test_network_cards_and_efa() -> None:
    network = describe_type(TYPES["p5.48xlarge"])["NetworkInfo"]
    assert (network["MaximumNetworkCards"], network["EfaInfo"]["MaximumEfaInterfaces"]) == (32, 32)
    assert sum(card["BaselineBandwidthInGbps"] for card in network["NetworkCards"]) == 3200
    assert describe_type(TYPES["g5.xlarge"])["NetworkInfo"]["EfaSupported"] is False


def test_hypervisors_and_placement() -> None:
    assert describe_type(TYPES["p3.2xlarge"])["Hypervisor"] == "xen"
    assert describe_type(TYPES["g5.xlarge"])["Hypervisor"] == "nitro"
    assert "Hypervisor" not in describe_type(TYPES["i3.metal"])
    assert "cluster" not in describe_type(TYPES["t3.micro"])["PlacementGroupInfo"]["SupportedStrategies"]
