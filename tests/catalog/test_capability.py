from __future__ import annotations

import pytest

from launchbay.catalog.capability import capability_of, format_capability, parse_capability
from launchbay.catalog.type import Accelerator
from launchbay.errors import UsageError


def device(maker: str, name: str, kind: str = "gpu") -> Accelerator:
    return Accelerator(kind=kind, maker=maker, name=name, count=1, memory_mib=16384)


@pytest.mark.parametrize(
    ("name", "capability"),
    [
        ("K80", "3.7"), ("M60", "5.2"), ("V100", "7.0"), ("T4", "7.5"), ("A100", "8.0"), ("A10G", "8.6"), ("L4", "8.9"),
        ("H100", "9.0"), ("B200", "10.0"), ("B300", "10.3"), ("RTX PRO Server 6000", "12.0"),
    ],
)  # fmt: skip
def test_nvidias_table(name: str, capability: str) -> None:
    assert capability_of(device("NVIDIA", name)) == parse_capability(capability)


def test_who_has_none() -> None:
    assert capability_of(None) is None
    assert capability_of(device("AMD", "Radeon Pro V520")) is None
    assert capability_of(device("AMD", "A100")) is None  # whatever it is called
    assert capability_of(device("Habana", "Gaudi HL-205")) is None
    assert capability_of(device("AWS", "Trainium", "neuron")) is None
    assert capability_of(device("NVIDIA", "one of next year")) is None


def test_ten_is_more_than_nine() -> None:
    assert parse_capability("10.0") > parse_capability("9.0")
    assert parse_capability("9") == parse_capability("9.0+") == (9, 0)
    assert format_capability((10, 3)) == "10.3"


@pytest.mark.parametrize("text", ["", "8.", "sm_80", "8.0.0", "-8", "new"])
def test_what_is_no_capability_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"a compute capability must look like 8\.6"):
        parse_capability(text)
