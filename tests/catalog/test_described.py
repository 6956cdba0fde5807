from __future__ import annotations

import copy
from dataclasses import replace
from fractions import Fraction

import pytest

from launchbay.catalog.described import read_type
from launchbay.catalog.snapshot import load_snapshot
from launchbay.catalog.type import InstanceType
from tests.catalog.world import DESCRIBED

ROWS = {row["InstanceType"]: row for row in DESCRIBED}


def read(name: str) -> InstanceType:
    return read_type(ROWS[name], regions={"us-west-2"}, is_retired=False, source="here")


@pytest.mark.parametrize("name", ROWS)
def test_a_type_reads_as_the_packaged_catalogue_has_it(name: str) -> None:
    """The one straight from the row, the other through the table that the package holds."""
    packed = load_snapshot([]).types[name]
    assert replace(packed, regions=frozenset({"us-west-2"}), is_retired=False, source="here") == read(name)


@pytest.mark.parametrize(
    ("name", "devices"),
    [
        ("g6f.large", [("gpu", "NVIDIA", "L4", 1, 2861, Fraction(1, 8))]),
        ("g4ad.4xlarge", [("gpu", "AMD", "Radeon Pro V520", 1, 8192, Fraction(1))]),
        ("dl1.24xlarge", [("gpu", "Habana", "Gaudi HL-205", 8, 32768, Fraction(1))]),
        ("inf2.xlarge", [("neuron", "AWS", "Inferentia2", 1, 32768, Fraction(1))]),
        ("trn2.48xlarge", [("neuron", "AWS", "Trainium2", 16, 98304, Fraction(1))]),
        ("f1.2xlarge", [("fpga", "Xilinx", "Virtex UltraScale (VU9P)", 1, 65536, Fraction(1))]),
        ("m6i.large", []),
    ],
)
def test_devices_are_counted_as_the_system_shows_them_and_never_twice(
    name: str, devices: list[tuple[object, ...]]
) -> None:
    found = [(x.kind, x.maker, x.name, x.count, x.memory_mib, x.share) for x in read(name).accelerators]
    assert found == devices


@pytest.mark.parametrize("lacking", ["VCpuInfo", "MemoryInfo", "ProcessorInfo", "NetworkInfo", "SupportedUsageClasses"])
def test_a_row_that_lacks_what_every_type_has_is_refused(lacking: str) -> None:
    row = {key: value for key, value in ROWS["g5.xlarge"].items() if key != lacking}
    with pytest.raises(KeyError, match=lacking):
        read_type(row, regions=(), is_retired=False, source="here")


def test_a_device_whose_memory_is_not_said_has_none_of_0() -> None:
    row = copy.deepcopy(dict(ROWS["g5.xlarge"]))
    del row["GpuInfo"]["Gpus"][0]["MemoryInfo"]
    with pytest.raises(KeyError, match="MemoryInfo"):
        read_type(row, regions=(), is_retired=False, source="here")


def test_a_bandwidth_that_one_card_does_not_say_is_unknown() -> None:
    row = copy.deepcopy(dict(ROWS["p4d.24xlarge"]))
    assert read("p4d.24xlarge").network_baseline_gbps == 400
    del row["NetworkInfo"]["NetworkCards"][1]["BaselineBandwidthInGbps"]
    assert read_type(row, regions=(), is_retired=False, source="here").network_baseline_gbps is None
