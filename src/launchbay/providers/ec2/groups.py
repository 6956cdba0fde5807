"""A fleet's own security group and key pair: made once, found by their tags, removed when nothing uses them any more.

All that our group lets in is ours to say: a rule that somebody added is taken back at the next launch of the fleet.
"""

from __future__ import annotations

import base64
import hashlib
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address, ip_network
from typing import Any

from launchbay.errors import Conflict, LaunchbayError, UserError
from launchbay.ports import Clock, SystemClock
from launchbay.providers.ec2.client import Client, CloudRefusal, is_loopback
from launchbay.providers.ec2.tags import check_launch, made_for, tags_of

__all__ = [
    "caller_network",
    "default_vpc",
    "ensure_group",
    "ensure_key",
    "find_groups",
    "list_made",
    "remove_group",
    "remove_key",
]

SSH_PORT = 22
_PATIENCE_S = 300.0
"""For how long a group may still be in use by interfaces of instances that are gone: about two minutes on EC2."""
_POLL_S = 5.0
_LOOKS, _LOOK_AGAIN_S = 6, 2.0
"""How often something that was just changed is looked at until EC2 shows it so: its reads come from copies."""

_Rule = tuple[str, int, int, str, str]
"""One rule of a group: protocol, ports (-1 where there are none), the kind of its peer as EC2's field has it, and the peer."""


def caller_network(client: Client) -> str:
    """Return the network of one address from which this machine is seen by the cloud. Raises UserError when nobody tells."""
    direct = [urllib.request.ProxyHandler({})] if is_loopback(client.address_url) else []
    try:
        with urllib.request.build_opener(*direct).open(client.address_url, timeout=10) as answer:
            text = answer.read(64).decode().strip()
        address = ip_address(text)
    except (OSError, urllib.error.URLError, ValueError, UnicodeDecodeError) as error:
        hint = "--allow-cidr YOUR-ADDRESS/32 says it"
        raise UserError(
            f"the address of this machine is not to be learned ({error})", where=client.address_url, hint=hint
        ) from error
    return f"{address}/{address.max_prefixlen}"


def default_vpc(client: Client) -> str:
    """Return the region's default network. Raises UserError where there is none."""
    found = client.ask("describe_vpcs", Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    if not found:
        hint = "--subnet subnet-... names one of yours, or `aws ec2 create-default-vpc` makes one"
        raise UserError("the region has no default network (VPC)", where=client.region, hint=hint)
    return str(found[0]["VpcId"])


def find_groups(client: Client, fleet: str, *, launch: str = "") -> tuple[Mapping[str, Any], ...]:
    """Return the security groups that we made for a fleet, with their rules; with `launch`, those that this launch made."""
    return tuple(client.pages("describe_security_groups", "SecurityGroups", Filters=made_for(fleet, launch)))


def list_made(client: Client, fleet: str) -> tuple[str, ...]:
    """Return in words what was made for a fleet beside its instances: security groups, key pairs, placement groups."""
    groups = find_groups(client, fleet)
    pairs = client.ask("describe_key_pairs", Filters=made_for(fleet)).get("KeyPairs", ())
    placements = client.ask("describe_placement_groups", Filters=made_for(fleet)).get("PlacementGroups", ())
    return (
        *(f"security group {group['GroupId']}" for group in groups),
        *(f"key pair {pair['KeyName']}" for pair in pairs),
        *(f"placement group {placement['GroupName']}" for placement in placements),
    )


def ensure_group(
    client: Client,
    fleet: str,
    vpc: str,
    networks: Sequence[str],
    *,
    launch: str = "",
    is_clustered: bool = False,
    clock: Clock | None = None,
) -> str:
    """Return the id of the fleet's group in a network (VPC), which lets in SSH from `networks` and nothing else. Idempotent.

    Made if it is not there. Whatever else it lets in is taken back, for it is ours: networks that are not wished any more (a
    caller's address changes), other ports, other groups, prefix lists. With `is_clustered` its members may talk to each other,
    as EFA needs. `launch` is the operation of the journal that it is made by. Raises Conflict where a group of its name is not
    ours, is another launch's, or goes on letting in more; CloudRefusal.
    """
    clock = clock or SystemClock()
    group = _own_group(client, fleet, vpc) or _make_group(client, fleet, vpc, launch, clock=clock)
    check_launch(group, launch, f"the security group {group['GroupId']} of {fleet}", region=client.region)
    identity = str(group["GroupId"])
    wanted: set[_Rule] = {_ssh_from(network) for network in networks}
    if is_clustered:
        wanted.add(("-1", -1, -1, "UserIdGroupPairs", identity))
    for look in range(_LOOKS):
        there = set(_rules(group))
        if there == wanted:
            return identity
        _change(client, "revoke", identity, there - wanted, "InvalidPermission.NotFound", clock=clock)
        _change(client, "authorize", identity, wanted - there, "InvalidPermission.Duplicate", clock=clock)
        if look:
            clock.sleep(_LOOK_AGAIN_S)
        group = _own_group(client, fleet, vpc) or group
    more = sorted({f"{rule[0]} {rule[1]}-{rule[2]} from {rule[4]}" for rule in set(_rules(group)) ^ wanted})
    what = f"the security group {identity} of {fleet} does not stay as it was set: {', '.join(more)}"
    hint = "somebody or something else changes it; see who, or another --name"
    raise Conflict(what, where=client.region, hint=hint)


def _own_group(client: Client, fleet: str, vpc: str) -> Mapping[str, Any] | None:
    return next((group for group in find_groups(client, fleet) if group.get("VpcId") == vpc), None)


def _make_group(client: Client, fleet: str, vpc: str, launch: str, *, clock: Clock) -> Mapping[str, Any]:
    name = f"launchbay-{fleet}"
    tags = [*tags_of(fleet, launch), {"Key": "Name", "Value": name}]
    try:
        made = client.insist(
            "create_security_group",
            clock=clock,
            GroupName=name,
            Description=f"SSH to the Launchbay fleet {fleet}",
            VpcId=vpc,
            TagSpecifications=[{"ResourceType": "security-group", "Tags": tags}],
        )
    except CloudRefusal as refusal:
        if refusal.code != "InvalidGroup.Duplicate":
            raise
        return _duplicate(client, fleet, vpc, clock=clock)
    return {"GroupId": made["GroupId"], "VpcId": vpc}


def _duplicate(client: Client, fleet: str, vpc: str, *, clock: Clock) -> Mapping[str, Any]:
    """Return the group whose name is taken, if it is ours: made by a call that had no answer, and not shown yet."""
    for _ in range(_LOOKS):
        if found := _own_group(client, fleet, vpc):
            return found
        clock.sleep(_LOOK_AGAIN_S)
    what = f"{vpc} has a security group named launchbay-{fleet} that Launchbay did not make"
    raise Conflict(what, where=client.region, hint="another --name; it is left as it is")


def _change(client: Client, verb: str, identity: str, rules: set[_Rule], is_so: str, *, clock: Clock) -> None:
    """Add or take back rules, one by one: one that is so already keeps none of the others."""
    for protocol, first, last, kind, peer in sorted(rules):
        named = {"IpRanges": "CidrIp", "Ipv6Ranges": "CidrIpv6", "PrefixListIds": "PrefixListId"}
        one: dict[str, Any] = {named.get(kind, "GroupId"): peer}
        if verb == "authorize" and kind in ("IpRanges", "Ipv6Ranges"):
            one["Description"] = "who may come in by SSH"
        rule: dict[str, Any] = {"IpProtocol": protocol, kind: [one]}
        if protocol != "-1":
            rule |= {"FromPort": first, "ToPort": last}
        try:
            client.insist(f"{verb}_security_group_ingress", clock=clock, GroupId=identity, IpPermissions=[rule])
        except CloudRefusal as refusal:
            if refusal.code != is_so:
                raise


def _ssh_from(network: str) -> _Rule:
    found = ip_network(network)
    return "tcp", SSH_PORT, SSH_PORT, "IpRanges" if found.version == 4 else "Ipv6Ranges", str(found)


def _rules(group: Mapping[str, Any]) -> Iterator[_Rule]:
    """Yield every rule that lets something in, each peer apart."""
    peers = (
        ("IpRanges", "CidrIp"),
        ("Ipv6Ranges", "CidrIpv6"),
        ("PrefixListIds", "PrefixListId"),
        ("UserIdGroupPairs", "GroupId"),
    )
    for permission in group.get("IpPermissions", ()):
        ports = int(permission.get("FromPort", -1)), int(permission.get("ToPort", -1))
        for kind, field in peers:
            for item in permission.get(kind, ()):
                yield str(permission["IpProtocol"]), *ports, kind, str(item[field])


def remove_group(client: Client, fleet: str, *, launch: str = "", clock: Clock) -> tuple[str, ...]:
    """Remove the fleet's own groups; return which. Waits for the interfaces of instances that are gone. Idempotent.

    With `launch` only what that launch made.

    Raises LaunchbayError when one is still in use after some minutes: somebody else put an instance into it.
    """
    removed, waited = list[str](), 0.0
    for group in find_groups(client, fleet, launch=launch):
        identity = str(group["GroupId"])
        while True:
            try:
                client.insist("delete_security_group", clock=clock, GroupId=identity)
                break
            except CloudRefusal as refusal:
                if refusal.code == "InvalidGroup.NotFound":
                    break
                if refusal.code != "DependencyViolation":
                    raise
                if waited >= _PATIENCE_S:
                    what = f"the security group {identity} of {fleet} is still in use"
                    raise LaunchbayError(
                        what, where=client.region, hint="see what is in it, then the same again"
                    ) from refusal
            clock.sleep(_POLL_S)
            waited += _POLL_S
        removed.append(identity)
    return tuple(removed)


def ensure_key(client: Client, fleet: str, public_key: str, *, launch: str = "", clock: Clock | None = None) -> str:
    """Return the name of the fleet's key pair, imported if it is not there. The private half never leaves this machine.

    Raises Conflict where a pair of that name has another public key: whoever has its private half would be let in, and not we.
    """
    name = f"launchbay-{fleet}"
    try:
        client.insist(
            "import_key_pair",
            clock=clock,
            KeyName=name,
            PublicKeyMaterial=public_key.encode(),
            TagSpecifications=[{"ResourceType": "key-pair", "Tags": tags_of(fleet, launch)}],
        )
    except CloudRefusal as refusal:
        if refusal.code != "InvalidKeyPair.Duplicate":
            raise
        pairs = client.ask("describe_key_pairs", KeyNames=[name], IncludePublicKey=True)["KeyPairs"]
        if not any(_is_of(pair, public_key) for pair in pairs):
            what = f"the region has a key pair {name} with a public key that is not this fleet's"
            hint = f"another --name; or, where it is what is left of a launch, `bay terminate {fleet} --provider ...` ends that"
            raise Conflict(what, where=client.region, hint=hint) from refusal
    return name


def _is_of(pair: Mapping[str, Any], public_key: str) -> bool:
    """Say whether a pair is that of a public key: by the key itself, or by its fingerprint where EC2 does not show the key."""
    shown, blob = str(pair.get("PublicKey", "")).split(), public_key.split()[1]
    if len(shown) > 1:
        return shown[1] == blob
    # EC2 shows Ed25519 as OpenSSH does: sha256 in base64, with or without what fills it up
    print_ = base64.b64encode(hashlib.sha256(base64.b64decode(blob)).digest()).decode().rstrip("=")
    return str(pair.get("KeyFingerprint", "")).removeprefix("SHA256:").rstrip("=") == print_


def remove_key(client: Client, fleet: str, *, launch: str = "", clock: Clock | None = None) -> None:
    """Remove the fleet's key pair, if it is ours; with `launch` only one that this launch made. Idempotent."""
    for pair in client.ask("describe_key_pairs", Filters=made_for(fleet, launch)).get("KeyPairs", ()):
        try:
            client.insist("delete_key_pair", clock=clock, KeyPairId=pair["KeyPairId"])
        except CloudRefusal as refusal:
            if refusal.code != "InvalidKeyPair.NotFound":
                raise
