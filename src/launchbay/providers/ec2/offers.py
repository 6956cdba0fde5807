"""What a region has before anything is launched: zones that offer a type, quotas and what of them is used, subnets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from launchbay.catalog.price import Catalogue
from launchbay.catalog.type import InstanceType
from launchbay.errors import NotFound, UserError
from launchbay.planning.ladder import ZoneOffer
from launchbay.planning.quota import quota_of
from launchbay.providers.ec2.client import Client, CloudRefusal

__all__ = ["Network", "list_offers", "quota_limit", "read_network", "used_vcpus"]

_PER_FILTER = 200
"""Values in one filter."""
_COUNTED = ("pending", "running", "stopping")


def list_offers(
    client: Client, types: Iterable[InstanceType], catalogue: Catalogue, *, markets: Iterable[str]
) -> tuple[ZoneOffer, ...]:
    """Return each zone of the region that offers one of some types, once for each market, with the catalogue's price there.

    An offer says nothing of room. A price that is not known is None. Raises CloudRefusal.
    """
    known = {item.name: item for item in types}
    names, found = sorted(known), []
    for start in range(0, len(names), _PER_FILTER):
        filters = [{"Name": "instance-type", "Values": names[start : start + _PER_FILTER]}]
        rows = client.pages(
            "describe_instance_type_offerings",
            "InstanceTypeOfferings",
            LocationType="availability-zone",
            Filters=filters,
        )
        found += [(str(row["Location"]), str(row["InstanceType"])) for row in rows]
    return tuple(
        ZoneOffer(
            zone=zone, type=known[name], market=market, usd_per_hour=_price(catalogue, name, client.region, market)
        )
        for market in markets
        for zone, name in sorted(found)
        if name in known
    )


def _price(catalogue: Catalogue, name: str, region: str, market: str) -> Decimal | None:
    price = catalogue.price(name, region, market)
    return None if price is None else price.usd_per_hour


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Where instances can be put: a network, and its subnet by zone. `gives_address` says that a subnet gives public ones.

    `blocks` are the addresses of those subnets, as CIDRs.
    """

    vpc: str
    subnets: Mapping[str, str]
    blocks: tuple[str, ...]
    gives_address: bool


def read_network(client: Client, subnet: str = "") -> Network:
    """Return the region's default network with its default subnets, or the one of a person's own subnet. One question.

    Raises NotFound for a subnet that is not there, UserError for a region that has no default network.
    """
    by_name = {"SubnetIds": [subnet]} if subnet else {"Filters": [{"Name": "default-for-az", "Values": ["true"]}]}
    try:
        rows = list(client.pages("describe_subnets", "Subnets", **by_name))
    except CloudRefusal as refusal:
        if not refusal.code.startswith("InvalidSubnet"):
            raise
        hint = "`aws ec2 describe-subnets` shows those of the region; another --region has others"
        raise NotFound(f"there is no subnet {subnet}", where=client.region, hint=hint) from refusal
    if not rows:
        what = "the region has no default network (VPC), or none with a subnet in it"
        hint = "--subnet subnet-... names one of yours, or `aws ec2 create-default-vpc` makes one"
        raise UserError(what, where=client.region, hint=hint)
    return Network(
        vpc=str(rows[0]["VpcId"]),
        subnets={str(row["AvailabilityZone"]): str(row["SubnetId"]) for row in rows},
        blocks=tuple(str(row["CidrBlock"]) for row in rows if row.get("CidrBlock")),
        gives_address=all(row.get("MapPublicIpOnLaunch", False) for row in rows),
    )


def quota_limit(client: Client, code: str) -> float | None:
    """Return the vCPUs that the account's quota allows; None where it may not be asked.

    A quota that was never changed has no value of its own, and then AWS's default holds.
    """
    for operation in ("get_service_quota", "get_aws_default_service_quota"):
        try:
            answer = client.ask(operation, service="service-quotas", ServiceCode="ec2", QuotaCode=code)
        except CloudRefusal as refusal:
            if refusal.code == "NoSuchResourceException":
                continue
            return None
        return float(answer["Quota"]["Value"])
    return None


def used_vcpus(client: Client, catalogue: Catalogue, code: str) -> int | None:
    """Return the vCPUs of the region's instances that count against a quota, everybody's; None where a type is not known."""
    filters = [{"Name": "instance-state-name", "Values": list(_COUNTED)}]
    total = 0
    for group in client.pages("describe_instances", "Reservations", Filters=filters, MaxResults=1000):
        for item in group["Instances"]:
            market = "spot" if item.get("InstanceLifecycle") == "spot" else "on-demand"
            quota = quota_of(item["InstanceType"], market)
            if quota is None or quota.code != code:
                continue
            kind = catalogue.types.get(item["InstanceType"])
            if kind is None:
                return None
            total += kind.vcpus
    return total
