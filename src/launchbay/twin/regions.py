"""What bills and the Price List call a region."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import botocore.session

__all__ = ["location_of", "usage_prefix"]

_LETTERS = {
    "af-south-1": "AFS1",
    "ap-east-1": "APE1",
    "ap-northeast-1": "APN1",
    "ap-northeast-2": "APN2",
    "ap-northeast-3": "APN3",
    "ap-south-1": "APS3",
    "ap-south-2": "APS5",
    "ap-southeast-1": "APS1",
    "ap-southeast-2": "APS2",
    "ap-southeast-3": "APS4",
    "ap-southeast-4": "APS6",
    "ap-southeast-5": "APS7",
    "ca-central-1": "CAN1",
    "ca-west-1": "CAN2",
    "eu-central-1": "EUC1",
    "eu-central-2": "EUC2",
    "eu-north-1": "EUN1",
    "eu-south-1": "EUS1",
    "eu-south-2": "EUS2",
    "eu-west-1": "EU",
    "eu-west-2": "EUW2",
    "eu-west-3": "EUW3",
    "il-central-1": "ILC1",
    "me-central-1": "MEC1",
    "me-south-1": "MES1",
    "sa-east-1": "SAE1",
    "us-east-1": "USE1",
    "us-east-2": "USE2",
    "us-west-1": "USW1",
    "us-west-2": "USW2",
}


def usage_prefix(region: str, *, always: bool = False) -> str:
    """Return what a usage type of a region begins with: ``USW2-``.

    In us-east-1 that is nothing, but for the services that write it `always`.
    """
    return "" if region == "us-east-1" and not always else f"{_LETTERS[region]}-"


def location_of(region: str) -> str:
    """Return a region's name as the Price List has it, ``EU (Ireland)``; the region itself where it has none."""
    described = _names().get(region, {}).get("description", region)
    return str(described).replace("Europe (", "EU (")


@functools.cache
def _names() -> Mapping[str, Any]:
    data = botocore.session.Session().get_component("data_loader").load_data("endpoints")
    regions: Mapping[str, Any] = data["partitions"][0]["regions"]
    return regions
