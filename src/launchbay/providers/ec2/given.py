"""What a company has already, and a launch is to use: a subnet, security groups, a profile, a key pair. Changes nothing.

Looked at before anything is launched, so that what is not there, or lies elsewhere, or is open to everybody, is said in words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from launchbay.errors import NotFound, UsageError, UserError
from launchbay.planning.ingress import OpenPorts, list_open
from launchbay.providers.ec2.client import Client, CloudRefusal
from launchbay.spec.cidr import FORCING, FORCING_MEANS

__all__ = ["GivenKey", "OpenTo", "Profile", "Subnet", "check_groups", "check_key_pair", "check_profile", "check_subnet"]

GUARDED = (22, 6006, 8888)
"""SSH, TensorBoard and JupyterLab: what Launchbay reaches through a tunnel only, and nobody else is to reach at all."""

_ALL = (0, 65_535)
_NO_PORTS = (-1, -1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subnet:
    """A subnet: its network (VPC), its zone, whether instances in it get a public address unasked, and how many are free."""

    id: str
    vpc: str
    zone: str
    gives_public: bool
    free: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenTo:
    """What one rule of a security group lets in: ports `low` to `high` of a protocol (``all`` for any), and whom.

    `who` is a network, a group or a prefix list. Protocols without ports have -1.
    """

    group: str
    protocol: str
    low: int
    high: int
    who: str

    def __str__(self) -> str:
        """Say it plainly: ``sg-1 lets 203.0.113.0/24 in at tcp 22``."""
        ports = f" {self.low}" if self.low == self.high else f" {self.low}-{self.high}"
        everything = self.protocol == "all" or (self.low, self.high) == _ALL
        where = f"{self.protocol}{'' if (self.low, self.high) == _NO_PORTS else ports}"
        return f"{self.group} lets {self.who} in at {f'every port ({self.protocol})' if everything else where}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """An instance profile. `roles` are what instances may do with it; None where these credentials may not ask IAM."""

    name: str
    arn: str
    roles: tuple[str, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenKey:
    """A key pair of the person's: ``ed25519`` or ``rsa``, and its fingerprint as EC2 shows it."""

    name: str
    type: str
    fingerprint: str


def check_subnet(client: Client, identity: str) -> Subnet:
    """Return a subnet. Raises UsageError for what is no id of one, NotFound where there is none such, UserError if pending."""
    _check_id("subnet", identity)
    asked = {"SubnetIds": [identity]}
    found = _found(client, "describe_subnets", "Subnets", asked, said=f"the subnet {identity}")[0]
    if found.get("State", "available") != "available":
        raise UserError(
            f"the subnet {identity} is {found['State']}", where=client.region, hint="wait until it is there"
        )
    return Subnet(
        id=identity,
        vpc=str(found["VpcId"]),
        zone=str(found["AvailabilityZone"]),
        gives_public=bool(found.get("MapPublicIpOnLaunch", False)),
        free=int(found.get("AvailableIpAddressCount", 0)),
    )


def check_groups(client: Client, identities: Sequence[str], vpc: str, *, is_forced: bool = False) -> tuple[OpenTo, ...]:
    """Return what security groups let in, rule by rule. All have to be of one network (VPC), the subnet's.

    Rules count together: two halves of the internet are the internet. Raises UsageError for what is no id, NotFound where one is
    not in the region, UserError where one is of another network, or where together they open port 22, 6006 or 8888, or every
    port, to everybody and that is not forced.
    """
    for identity in identities:
        _check_id("sg", identity)
    if not identities:
        return ()
    asked = {"GroupIds": list(dict.fromkeys(identities))}
    said = f"one of {', '.join(identities)}"
    groups = _found(client, "describe_security_groups", "SecurityGroups", asked, said=said)
    for group in groups:
        if group.get("VpcId") != vpc:
            what = f"the security group {group['GroupId']} is of {group.get('VpcId')}, and the subnet of {vpc}"
            hint = f"--security-group with one of {vpc}; aws ec2 describe-security-groups --filters Name=vpc-id,Values={vpc}"
            raise UserError(what, where=client.region, hint=hint)
    wide = [item for item in list_open(groups) if _is_guarded(item)]
    if wide and not is_forced:
        what = f"{' and '.join(dict.fromkeys(identities))} let everybody in at {', '.join(map(_ports, wide))}"
        hint = f"take that rule back, or name other groups; {FORCING} forces it: {FORCING_MEANS}"
        raise UserError(what, where=client.region, hint=hint)
    return tuple(item for group in groups for item in _open_to(group))


def check_profile(client: Client, profile: str) -> Profile:
    """Return an instance profile, by its name or ARN. Raises UsageError for the ARN of something else, NotFound for none."""
    name = profile
    if profile.startswith("arn:"):
        kind, slash, path = profile.rpartition(":")[2].partition("/")
        name = path.rpartition("/")[2]
        if kind != "instance-profile" or not slash:
            hint = "an instance profile, such as arn:aws:iam::123456789012:instance-profile/NAME, or its name"
            raise UsageError(f"{profile} is no instance profile", hint=hint)
    try:
        found = client.ask("get_instance_profile", service="iam", InstanceProfileName=name)["InstanceProfile"]
    except CloudRefusal as refusal:
        if refusal.code in ("AccessDenied", "AccessDeniedException"):
            return Profile(name=name, arn=profile if name != profile else "", roles=None)
        if refusal.code == "NoSuchEntity":
            hint = "aws iam list-instance-profiles; a role is not one by itself: aws iam create-instance-profile"
            raise NotFound(f"there is no instance profile {name!r} in the account", hint=hint) from refusal
        raise
    if name != profile and found["Arn"] != profile:
        raise NotFound(f"{profile} is not in this account, whose {name!r} is {found['Arn']}", hint="its name alone")
    return Profile(name=name, arn=str(found["Arn"]), roles=tuple(str(role["RoleName"]) for role in found["Roles"]))


def check_key_pair(client: Client, name: str) -> GivenKey:
    """Return a key pair by its name. Raises NotFound where the region has none: they are of one region each."""
    found = _found(client, "describe_key_pairs", "KeyPairs", {"KeyNames": [name]}, said=f"the key pair {name!r}")[0]
    return GivenKey(name=name, type=str(found.get("KeyType", "rsa")), fingerprint=str(found.get("KeyFingerprint", "")))


def _check_id(prefix: str, identity: str) -> None:
    if not re.fullmatch(rf"{prefix}-[0-9a-f]{{8,17}}", identity, re.ASCII):
        raise UsageError(f"an id must look like {prefix}-0123456789abcdef0, got {identity!r}")


def _found(
    client: Client, operation: str, rows: str, asked: Mapping[str, Any], *, said: str
) -> Sequence[Mapping[str, Any]]:
    """Return what EC2 shows of what a person named. Raises NotFound, in words for the different codes that it has."""
    try:
        found: Sequence[Mapping[str, Any]] = client.ask(operation, **asked)[rows]
    except CloudRefusal as refusal:
        if not refusal.code.endswith((".NotFound", ".Malformed")):
            raise
        hint = f"it may be in another region; aws ec2 {operation.replace('_', '-')} --region {client.region} lists them"
        raise NotFound(f"{said} is not there: {refusal.message}", where=client.region, hint=hint) from refusal
    return found


def _is_guarded(item: OpenPorts) -> bool:
    return (item.low, item.high) == _ALL or (item.protocol == "tcp" and any(item.holds(port) for port in GUARDED))


def _ports(item: OpenPorts) -> str:
    return f"every port ({item.protocol}, IPv{item.version})" if (item.low, item.high) == _ALL else str(item)


def _open_to(group: Mapping[str, Any]) -> Iterator[OpenTo]:
    for permission in group.get("IpPermissions") or ():
        protocol = str(permission["IpProtocol"])
        low, high = int(permission.get("FromPort", -1)), int(permission.get("ToPort", -1))
        if protocol == "-1":
            protocol, low, high = "all", *_ALL
        peers = [
            *(str(item["CidrIp"]) for item in permission.get("IpRanges") or ()),
            *(str(item["CidrIpv6"]) for item in permission.get("Ipv6Ranges") or ()),
            *(f"what {item['PrefixListId']} lists" for item in permission.get("PrefixListIds") or ()),
            *(f"members of {item['GroupId']}" for item in permission.get("UserIdGroupPairs") or ()),
        ]
        for who in peers:
            yield OpenTo(group=str(group["GroupId"]), protocol=protocol, low=low, high=high, who=who)
