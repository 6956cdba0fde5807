"""The pools of a fleet: what it may launch, in which order, towards how much. Decided without launching anything."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from launchbay.twin.billing import spot_usd
from launchbay.twin.call import Call, Refused
from launchbay.twin.rules.interfaces import subnet_of
from launchbay.twin.rules.templates import find_version
from launchbay.twin.world import World

__all__ = ["Goal", "Pool", "by_group", "in_order", "launch_of", "read_goals", "read_pools"]

_BY_PRIORITY = ("prioritized", "capacity-optimized-prioritized")
_PASSED_ON = ("BlockDeviceMappings", "IamInstanceProfile", "ImageId", "KeyName", "MetadataOptions")
_DEAREST = Decimal("Infinity")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """One template with one override. `zone` is empty where EC2 chooses; `weight` is how many units an instance counts for."""

    template: Mapping[str, Any]
    override: Mapping[str, Any]
    type: str
    zone: str
    weight: float
    interfaces: Sequence[Mapping[str, Any]]

    def count_for(self, units: float) -> int:
        """Return how many instances make up so many units, one at least."""
        return max(math.ceil(units / self.weight), 1)

    def shown(self) -> dict[str, Any]:
        """Return the pool in the form of the API."""
        found: dict[str, Any] = {"LaunchTemplateSpecification": dict(self.template)}
        if self.override:
            found["Overrides"] = dict(self.override)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """How much of a market a fleet wants, in units: `units`, and `least` or nothing; all of a type or in a zone if so asked."""

    market: str
    units: float
    least: float
    strategy: str
    is_one_type: bool
    is_one_zone: bool
    options: Mapping[str, Any]


def read_pools(call: Call) -> list[Pool]:
    """Return the pools of a fleet, in the order of the call. Raises Refused for a template or subnet that is not there."""
    found = []
    for config in call.get("LaunchTemplateConfigs", default=[]):
        asked = config.get("LaunchTemplateSpecification", {})
        if not asked.get("Version"):
            raise Refused("InvalidParameterValue", "A launch template of a fleet must be given with its version")
        version = find_version(call.region, asked)
        template = {"LaunchTemplateId": version.template.id, "Version": str(version.number)}
        for override in config.get("Overrides") or [{}]:
            kind = override.get("InstanceType") or version.data.get("InstanceType")
            if not kind:
                raise Refused(
                    "InvalidParameterValue", "Neither the launch template nor the override names an instance type"
                )
            zone = str(override.get("AvailabilityZone") or "")
            if override.get("SubnetId"):
                zone = str(subnet_of(call.region, override["SubnetId"]).availability_zone)
            pool = Pool(
                template=template,
                override=dict(override),
                type=str(kind),
                zone=zone,
                weight=float(override.get("WeightedCapacity") or 1),
                interfaces=tuple(version.data.get("NetworkInterfaces") or ()),
            )
            found.append(pool)
    if not found:
        raise Refused("MissingParameter", "The request must contain the parameter LaunchTemplateConfigs")
    return found


def read_goals(call: Call) -> list[Goal]:
    """Return what a fleet wants of each market. Raises Refused for what contradicts itself."""
    target = call.get("TargetCapacitySpecification", default={})
    total = float(target.get("TotalTargetCapacity", 0))
    usual = target.get("DefaultTargetCapacityType", "on-demand")
    units = {
        "on-demand": float(target.get("OnDemandTargetCapacity") or 0),
        "spot": float(target.get("SpotTargetCapacity") or 0),
    }
    if usual not in units:
        raise Refused("UnsupportedOperation", f"The twin models no capacity of type {usual}")
    rest = total - sum(units.values())
    if total < 1 or rest < 0:
        raise Refused("InvalidTargetCapacitySpecification", "The target capacities do not add up to the total")
    units[usual] += rest
    return [_goal(call, market, wanted) for market, wanted in units.items() if wanted]


def _goal(call: Call, market: str, units: float) -> Goal:
    options = call.get("SpotOptions" if market == "spot" else "OnDemandOptions", default={})
    goal = Goal(
        market=market,
        units=units,
        least=float(options.get("MinTargetCapacity") or 0),
        strategy=str(options.get("AllocationStrategy") or "lowest-price"),
        is_one_type=bool(options.get("SingleInstanceType")),
        is_one_zone=bool(options.get("SingleAvailabilityZone")),
        options=dict(options),
    )
    if goal.least and not (goal.is_one_type or goal.is_one_zone):
        what = "MinTargetCapacity requires SingleInstanceType or SingleAvailabilityZone"
        raise Refused("InvalidParameterCombination", what)
    return goal


def in_order(world: World, region: str, pools: Sequence[Pool], goal: Goal) -> list[Pool]:
    """Return pools in the order in which they are tried; among equals, that of the call."""
    if goal.strategy in _BY_PRIORITY:
        return sorted(pools, key=lambda pool: float(pool.override.get("Priority", math.inf)))

    def price(pool: Pool) -> Decimal:
        if goal.market == "spot":
            usd = spot_usd(world, pool.type, pool.zone or f"{region}a")
        else:
            known = world.catalogue.price(pool.type, region)
            usd = known.usd_per_hour if known else None
        return _DEAREST if usd is None else usd / Decimal(str(pool.weight))

    return sorted(pools, key=price)


def by_group(pools: Sequence[Pool], goal: Goal) -> Iterator[list[Pool]]:
    """Yield the pools that may be used together: all of them, or those alike in what the goal wants alike."""
    if not (goal.is_one_type or goal.is_one_zone):
        yield list(pools)
        return
    groups: dict[tuple[str, str], list[Pool]] = {}
    for pool in pools:
        key = (pool.type if goal.is_one_type else "", pool.zone if goal.is_one_zone else "")
        groups.setdefault(key, []).append(pool)
    yield from groups.values()


def launch_of(call: Call, pool: Pool, goal: Goal, *, least: int, most: int, token: str) -> dict[str, Any]:
    """Return the parameters of the launch that a pool stands for."""
    override = pool.override
    params: dict[str, Any] = {
        "LaunchTemplate": dict(pool.template),
        "InstanceType": pool.type,
        "MinCount": least,
        "MaxCount": most,
        "ClientToken": token,
        **{name: override[name] for name in _PASSED_ON if name in override},
    }
    placement = {**override.get("Placement", {})}
    if override.get("AvailabilityZone"):
        placement["AvailabilityZone"] = override["AvailabilityZone"]
    if placement:
        params["Placement"] = placement
    if override.get("SubnetId"):
        subnet = override["SubnetId"]
        if pool.interfaces:
            params["NetworkInterfaces"] = [{**item, "SubnetId": subnet} for item in pool.interfaces]
        else:
            params["SubnetId"] = subnet
    if goal.market == "spot":
        spot = {"SpotInstanceType": "one-time"}
        if override.get("MaxPrice"):
            spot["MaxPrice"] = override["MaxPrice"]
        params["InstanceMarketOptions"] = {"MarketType": "spot", "SpotOptions": spot}
    tags = [item for item in call.get("TagSpecifications", default=[]) if item.get("ResourceType") == "instance"]
    if tags:
        params["TagSpecifications"] = tags
    return params
