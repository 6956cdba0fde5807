"""Quotas: a launch that would take more vCPUs of a family and market than the account may have is refused."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from launchbay.twin.backend import find_instance, instances
from launchbay.twin.call import Answer, Call, Refused
from launchbay.twin.quotas import quota_code, quota_vcpus
from launchbay.twin.rule import Rule
from launchbay.twin.rules.capacity import market_asked
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
        for identity in call.get("InstanceIds", default=[]):
            item = find_instance(identity, call.region)
            if item is not None and item.state == "stopped":
                _check(world, call.region, item.instance_type, item.lifecycle or "on-demand", count=1)
        return None
    most = max(int(call.get("MinCount", default=1)), int(call.get("MaxCount", default=1)))
    _check(world, call.region, str(call.get("InstanceType", default="m1.small")), market_asked(call), count=most)
    return None


def _check(world: World, region: str, type_name: str, market: str, *, count: int) -> None:
    """Raise Refused unless the quota allows for all that are asked for; EC2 does not launch a part of them for it."""
    code = quota_code(type_name, market)
    if not code:
        return
    limit = quota_vcpus(world, region, code)
    wanted = Decimal(used_vcpus(world, region, code) + _vcpus(world, type_name) * count)
    if wanted <= limit:
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
    "quota is carried out, MinCount or not, is remembered",
    before=_before,
)
