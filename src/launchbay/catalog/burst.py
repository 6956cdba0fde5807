"""Burstable types: what part of its processors each may use for nothing, and what the rest costs. Pure.

From EC2's user guide, "Key concepts for burstable performance instances": a type earns credits for a part of its vCPUs, its
baseline. What it uses above that in the long run costs a fixed price for each vCPU-hour, where it may go on at all ("unlimited",
which is the default of all but T2).
"""

from __future__ import annotations

from decimal import Decimal

from launchbay.catalog.type import InstanceType

__all__ = ["surplus_item", "surplus_vcpus"]

_T3 = {"nano": 5, "micro": 10, "small": 20, "medium": 20, "large": 30, "xlarge": 40, "2xlarge": 40}
_BASELINES: dict[str, dict[str, int | float]] = {
    "t2": {"nano": 5, "micro": 10, "small": 20, "medium": 20, "large": 30, "xlarge": 22.5, "2xlarge": 16.875},
    "t3": {**_T3},
    "t3a": {**_T3},
    "t4g": {**_T3},
}
"""Percent of each vCPU, by family and size."""


def surplus_item(kind: InstanceType) -> str:
    """Return the side price that a vCPU-hour above the baseline has; "" for a type that is not burstable, or not known."""
    return f"cpu-surplus-{kind.family}" if kind.is_burstable and kind.family in _BASELINES else ""


def surplus_vcpus(kind: InstanceType) -> Decimal | None:
    """Return how many vCPUs of a burstable type are above its baseline at full load; None where that is not known."""
    percent = _BASELINES.get(kind.family, {}).get(kind.name.partition(".")[2])
    return None if percent is None else kind.vcpus * (1 - Decimal(str(percent)) / 100)
