"""Where a launch is put: its subnet and zone, what its interfaces may ask for, and whether there are addresses left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

from launchbay.twin.backend import ec2
from launchbay.twin.call import Answer, Call, Refused
from launchbay.twin.rule import Rule
from launchbay.twin.rules.interfaces import subnet_of
from launchbay.twin.world import World

__all__ = ["ADDRESSES", "RULE"]

_EFA = ("efa", "efa-only")


def _before(call: Call, world: World) -> Call | Mapping[str, Any] | Answer | None:
    interfaces: Sequence[Mapping[str, Any]] = call.get("NetworkInterfaces", default=[])
    if interfaces:
        _check_interfaces(call, interfaces)
        _check_efa(call, world, interfaces)
    subnets = _subnets(call)
    zone = str(call.get("Placement", "AvailabilityZone", default=""))
    if subnets:
        found = subnet_of(call.region, subnets[0])
        if zone and zone != found.availability_zone:
            what = f"The Availability Zone '{zone}' does not match that of the subnet '{found.id}', '{found.availability_zone}'"
            raise Refused("InvalidParameterCombination", what)
        return None
    if interfaces and interfaces[0].get("NetworkInterfaceId"):
        return None
    return _in_default(call, zone, interfaces)


def _in_default(call: Call, zone: str, interfaces: Sequence[Mapping[str, Any]]) -> Call | None:
    """Put a launch that names a zone at most into a default subnet; which zone is left to who knows where there is room."""
    vpc = ec2(call.region).get_default_vpc()
    if vpc is None:
        raise Refused("VPCIdNotSpecified", "No default VPC for this user")
    defaults = {
        name: subnet for name, subnet in ec2(call.region).get_default_subnets().items() if subnet.vpc_id == vpc.id
    }
    if not defaults:
        what = f"No subnets found for the default VPC '{vpc.id}'. Please specify a subnet."
        raise Refused("MissingInput", what)
    if not zone:
        return None
    if zone not in defaults:
        raise Refused("InvalidInput", f"No default subnet for availability zone: '{zone}'.")
    subnet = defaults[zone].id
    put = (
        {"NetworkInterfaces": [{**item, "SubnetId": subnet} for item in interfaces]}
        if interfaces
        else {"SubnetId": subnet}
    )
    return replace(call, params={**call.params, **put})


def _check_interfaces(call: Call, interfaces: Sequence[Mapping[str, Any]]) -> None:
    for names, what in (
        (("SubnetId",), "subnet ID"),
        (("SecurityGroupIds", "SecurityGroups"), "security groups"),
        (("PrivateIpAddress",), "private IP address"),
    ):
        if any(call.get(name) for name in names):
            text = f"Network interfaces and an instance-level {what} may not be specified on the same request"
            raise Refused("InvalidParameterCombination", text)
    if len(interfaces) > 1 and any("AssociatePublicIpAddress" in item for item in interfaces):
        text = "The associatePublicIPAddress parameter cannot be specified when launching with multiple network interfaces."
        raise Refused("InvalidParameterCombination", text)
    if any("DeviceIndex" not in item for item in interfaces):
        raise Refused("MissingParameter", "The request must contain the parameter deviceIndex")
    places = [(item.get("NetworkCardIndex", 0), item.get("DeviceIndex", 0)) for item in interfaces]
    if len(set(places)) < len(places):
        raise Refused("InvalidParameterValue", "Each network interface requires a unique device index.")
    if (0, 0) not in places:
        raise Refused("InvalidParameterCombination", "The primary network interface must have device index 0.")


def _check_efa(call: Call, world: World, interfaces: Sequence[Mapping[str, Any]]) -> None:
    count = sum(item.get("InterfaceType") in _EFA for item in interfaces)
    name = str(call.get("InstanceType", default="m1.small"))
    known = world.catalogue.types.get(name)
    if not count or known is None or count <= known.efa_interfaces:
        return
    if not known.efa_interfaces:
        what = f"{name} instances do not support Elastic Fabric Adapters."
        raise Refused("InvalidParameterCombination", what)
    what = f"{name} instances support {known.efa_interfaces} Elastic Fabric Adapters, got {count}."
    raise Refused("AttachmentLimitExceeded", what)


def _subnets(call: Call) -> list[str]:
    """Return the subnet of each interface that a launch will make, as far as they are named."""
    interfaces = call.get("NetworkInterfaces", default=[])
    named = [item.get("SubnetId") for item in interfaces] if interfaces else [call.get("SubnetId")]
    return [str(name) for name in named if name]


def _check_addresses(call: Call, world: World) -> Call | Mapping[str, Any] | Answer | None:  # noqa: ARG001 - a rule's form
    count = int(call.get("MinCount", default=1))
    for identity, each in Counter(_subnets(call)).items():
        subnet = subnet_of(call.region, identity)
        if subnet.available_ip_address_count < each * count:
            what = f"There are not enough free addresses in subnet '{identity}' to satisfy the requested number of instances."
            raise Refused("InsufficientFreeAddressesInSubnet", what)
        asked = call.get("PrivateIpAddress")
        if asked and ip_address(asked) not in subnet.cidr:
            what = f"Address {asked} does not fall within the subnet's address range"
            raise Refused("InvalidParameterValue", what)
        if asked and any(
            eni.private_ip_address == asked for eni in ec2(call.region).enis.values() if eni.subnet is subnet
        ):
            raise Refused("InvalidIPAddress.InUse", f"Address {asked} is in use.")
    return None


RULE = Rule(
    name="network",
    on=frozenset({"ec2:RunInstances"}),
    source="combinations that are refused, VPCIdNotSpecified and MissingInput seen in issues of other tools (aws-cli 518, "
    "erlcloud 284); the codes for EFA and for a zone that is not the subnet's are remembered",
    before=_before,
)
"""Judges where a launch goes; stands before the rule that looks for room."""

ADDRESSES = Rule(
    name="addresses",
    on=frozenset({"ec2:RunInstances"}),
    source="InsufficientFreeAddressesInSubnet seen in EC2's list of error codes, its message remembered",
    before=_check_addresses,
)
"""Judges whether a subnet has addresses left; stands behind the rule that chooses zone and count."""
