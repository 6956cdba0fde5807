"""Quotas: a launch that would take more vCPUs of a family and market than the account may have is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from launchbay.twin.backend import instances
from launchbay.twin.call import Answer, Call, Refused
from launchbay.twin.quotas import quota_code, quota_vcpus
from launchbay.twin.rule import Rule
from launchbay.twin.rules.capacity import market_asked, to_start
from launchbay.twin.world import World

__all__ = ["RULE", "used_vcpus"]

_COUNTS = ("pending", "running", "stopping")


def used_vcpus(world: World, region: str, code: str) -> int:
    """Return the vCPUs that count against a quota in a region now."""
    return sum(
        _vcpus(world, item.instance_type)
        for item in instances(region)
        if item.state in _COUNTS and quota_code(item.instance_type, item.lifecycle or "on-demand") == code
    )


def _vcpus(world: World, type_name: str) -> int:
    kind = world.catalogue.types.get(type_name)
    return kind.vcpus if kind else 0


def _before(call: Call, world: World) -> Call | Mapping[str, Any] | Answer | None:
    if call.action == "StartInstances":
        starting = [(str(item.instance_type), str(item.lifecycle or "on-demand")) for item in to_start(call)]
        wanted: Counter[tuple[str, str]] = Counter()
        for type_name, market in starting:
            wanted[quota_code(type_name, market), market] += _vcpus(world, type_name)
        for (code, market), vcpus in wanted.items():
            _check(world, call.region, code, market, vcpus=vcpus)
        return None
    most = max(int(call.get("MinCount", default=1)), int(call.get("MaxCount", default=1)))
    type_name, market = str(call.get("InstanceType", default="m1.small")), market_asked(call)
    _check(world, call.region, quota_code(type_name, market), market, vcpus=_vcpus(world, type_name) * most)
    return None


def _check(world: World, region: str, code: str, market: str, *, vcpus: int) -> None:
    """Raise Refused unless the quota allows for all that are asked for; EC2 does not launch a part of them for it."""
    if not code:
        return
    limit = quota_vcpus(world, region, code)
    if Decimal(used_vcpus(world, region, code) + vcpus) <= limit:
        return
    if market == "spot":
        raise Refused("MaxSpotInstanceCountExceeded", "Max spot instance count exceeded")
    raise Refused(
        "VcpuLimitExceeded",
        f"You have requested more vCPU capacity than your current vCPU limit of {limit:f} allows for the instance bucket that "
        "the specified instance type belongs to. Please visit http://aws.amazon.com/contact-us/ec2-request to request an "
        "adjustment to this limit.",
    )


RULE = Rule(
    name="quota",
    on=frozenset({"ec2:RunInstances", "ec2:StartInstances"}),
    source="codes seen in the quota pages of EC2, messages in issues of other tools; that nothing of a launch above the "
    "quota is carried out, MinCount or not, and of a start of several, is remembered",
    before=_before,
)
