"""Security groups: what a rule may say, how many there may be, who is let in, and that a group in use stays.

Rules that name a prefix list are kept and shown, and let nobody in: the twin has no lists.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

from launchbay.twin.addresses import presented
from launchbay.twin.backend import ec2, find_instance, instances
from launchbay.twin.call import Answer, Call, Refused
from launchbay.twin.rule import Rule
from launchbay.twin.rules.asked import tags_asked
from launchbay.twin.rules.permissions import Entry, check, entries_of, read_permissions
from launchbay.twin.world import World

__all__ = ["RULE", "allows", "groups_of", "lets_through"]

_FLAT = ("CidrIp", "FromPort", "IpProtocol", "ToPort")


def groups_of(instance: Any) -> tuple[Any, ...]:
    """Return the security groups of an instance: those of its first network interface."""
    first = instance.nics.get(0)
    return tuple(first.group_set) if first else tuple(instance.security_groups)


def allows(world: World, instance_id: str, peer: str, port: int) -> bool:  # noqa: ARG001 - as the hosts ask
    """Say whether the groups of an instance let TCP from an address to a port.

    A loopback address counts as the one under which it is shown. An unknown instance lets nobody in.
    """
    instance = find_instance(instance_id)
    if instance is None:
        return False
    address = presented(peer)
    region = str(instance.region_name)
    return any(_lets(rule, address, port, region) for group in groups_of(instance) for rule in group.ingress_rules)


def lets_through(interface: Any, instance: Any, client: str, port: int, *, keeps_client: bool) -> bool:
    """Say whether the groups on both sides let an Instance Connect Endpoint, by its interface, through to a port.

    A rule of the instance's that refers to a group means the endpoint's own, whether or not `keeps_client`; with that, a rule
    about an address means the client's.
    """
    region, own, shown = str(instance.region_name), str(interface.private_ip_address), presented(client)
    out = [rule for group in interface.group_set for rule in group.egress_rules]
    if not any(_lets(rule, str(instance.private_ip), port, region) for rule in out):
        return False
    into = [rule for group in groups_of(instance) for rule in group.ingress_rules]
    return any(_lets(rule, shown if keeps_client and rule.ip_range else own, port, region) for rule in into)


def _lets(rule: Any, address: str, port: int, region: str) -> bool:
    if rule.ip_protocol not in ("-1", "tcp"):
        return False
    if rule.ip_protocol == "tcp" and not int(rule.from_port) <= port <= int(rule.to_port):
        return False
    cidr = rule.ip_range.get("CidrIp") or rule.ip_range.get("CidrIpv6")
    if cidr:
        return ip_address(address) in ip_network(cidr, strict=False)
    referred = rule.source_group.get("GroupId")
    return bool(referred) and address in _addresses_in(region, str(referred))


def _addresses_in(region: str, group: str) -> set[str]:
    """Return the addresses of the interfaces that a group has: a rule that refers to the group means them."""
    found: set[str] = set()
    for eni in ec2(region).enis.values():
        if any(item.id == group for item in eni.group_set):
            found.update(presented(str(one)) for one in (eni.private_ip_address, eni.public_ip) if one)
    return found


def _before(call: Call, world: World) -> Call | Mapping[str, Any] | Answer | None:  # noqa: ARG001 - a rule's form
    if call.action == "DeleteSecurityGroup":
        _check_free(call)
        return None
    if call.action in ("ModifyNetworkInterfaceAttribute", "RunInstances"):
        return None
    permissions = read_permissions(call)
    group = _named(call)
    if permissions is None or group is None:
        return None
    if call.action.startswith("Authorize"):
        check(entries_of(permissions), _standing(group, call.action))
        return {"Return": True, "SecurityGroupRules": _add(call, group, permissions)}
    params = {name: value for name, value in call.params.items() if name not in _FLAT}
    return replace(call, params={**params, "IpPermissions": permissions})


def _add(call: Call, group: Any, permissions: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Add all rules and return them. moto stops in the middle, shows the last, and counts IPv4 and IPv6 together."""
    backend, is_egress = ec2(call.region), call.action.endswith("Egress")
    tags, added = tags_asked(call, "security-group-rule"), []
    for item in permissions:
        added += backend._iterate_security_rules(  # noqa: SLF001 - moto has no door for it
            item.get("IpProtocol", "-1"),
            group.id,
            item.get("FromPort"),
            item.get("ToPort"),
            [dict(one) for one in (*item.get("IpRanges", []), *item.get("Ipv6Ranges", []))],
            [_referred(call, one) for one in item.get("UserIdGroupPairs", [])],
            [dict(one) for one in item.get("PrefixListIds", [])],
            is_egress=is_egress,
            tags=tags,
        )
    for rule in added:
        (group.add_egress_rule if is_egress else group.add_ingress_rule)(rule)
    return added


def _referred(call: Call, pair: Mapping[str, Any]) -> dict[str, Any]:
    backend = ec2(call.region)
    name = pair.get("GroupId") or pair.get("GroupName")
    group = backend.get_security_group_by_name_or_id(name)
    if group is None:
        raise Refused("InvalidGroup.NotFound", f"The security group '{name}' does not exist")
    kept = {key: value for key, value in pair.items() if key != "GroupName"}
    return {"UserId": backend.account_id, "OwnerId": backend.account_id, **kept, "GroupId": group.id}


def _named(call: Call) -> Any | None:
    name = call.get("GroupId") or call.get("GroupName")
    return ec2(call.region).get_security_group_by_name_or_id(name) if name else None


def _standing(group: Any, action: str) -> Iterator[Entry]:
    for rule in group.ingress_rules if action.endswith("Ingress") else group.egress_rules:
        peer = (
            rule.ip_range.get("CidrIp")
            or rule.ip_range.get("CidrIpv6")
            or rule.source_group.get("GroupId")
            or rule.prefix_list_id
        )
        is_all = rule.ip_protocol == "-1"
        yield Entry(
            protocol=str(rule.ip_protocol),
            first=-1 if is_all else int(rule.from_port),
            last=-1 if is_all else int(rule.to_port),
            peer=str(peer),
        )


def _check_free(call: Call) -> None:
    group = _named(call)
    if group is None:
        return
    if group.is_default:
        what = f'the specified group: "{group.id}" name: "{group.name}" cannot be deleted by a user'
        raise Refused("CannotDelete", what)
    if _is_used(group, call.region):
        raise Refused("DependencyViolation", f"resource {group.id} has a dependent object")


def _is_used(group: Any, region: str) -> bool:
    backend = ec2(region)
    held = (item for item in instances(region) if item.state != "terminated")
    if any(other.id == group.id for item in held for other in groups_of(item)):
        return True
    for eni in backend.enis.values():
        is_left = eni.instance is not None and eni.instance.state == "terminated" and eni.delete_on_termination
        if not is_left and any(other.id == group.id for other in eni.group_set):
            return True
    return any(
        rule.source_group.get("GroupId") == group.id
        for others in backend.groups.values()
        for other in others.values()
        if other.id != group.id
        for rule in (*other.ingress_rules, *other.egress_rules)
    )


def _made(call: Call, world: World, made: Sequence[Any]) -> None:  # noqa: ARG001 - a rule's form
    """Show an instance's groups as those of its interface, the default group too; moto shows what the call named."""
    for instance in made:
        instance.security_groups = list(groups_of(instance))


def _after(call: Call, world: World, answer: Answer) -> Answer | None:  # noqa: ARG001 - a rule's form
    """Show the groups of a changed first interface as its instance's."""
    if call.action == "ModifyNetworkInterfaceAttribute" and not answer.is_error:
        eni = ec2(call.region).enis.get(call.get("NetworkInterfaceId"))
        if eni is not None and eni.instance is not None and eni.instance.nics.get(0) is eni:
            eni.instance.security_groups = list(eni.group_set)
    return None


RULE = Rule(
    name="security groups",
    on=frozenset(
        {
            "ec2:AuthorizeSecurityGroupEgress",
            "ec2:AuthorizeSecurityGroupIngress",
            "ec2:DeleteSecurityGroup",
            "ec2:ModifyNetworkInterfaceAttribute",
            "ec2:RevokeSecurityGroupEgress",
            "ec2:RevokeSecurityGroupIngress",
            "ec2:RunInstances",
        }
    ),
    source="DependencyViolation, InvalidPermission.Duplicate and the limit of 60 seen in EC2's reference, messages in issues of "
    "other tools (SSSG-Ninja 3, terraform-provider-aws 2587); CannotDelete, and that IPv4 and IPv6 count apart, are remembered",
    before=_before,
    after=_after,
    made=_made,
)
