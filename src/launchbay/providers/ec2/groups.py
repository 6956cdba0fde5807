"""A fleet's own security group and key pair: made once, found by their tags, removed when nothing uses them any more."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from ipaddress import ip_address, ip_network
from typing import Any

from launchbay.errors import LaunchbayError, UserError
from launchbay.ports import Clock
from launchbay.providers.ec2.client import Client, CloudRefusal
from launchbay.providers.ec2.instances import OURS

__all__ = ["caller_network", "default_vpc", "ensure_group", "ensure_key", "find_groups", "remove_group", "remove_key"]

SSH_PORT = 22
_PATIENCE_S = 300.0
"""For how long a group may still be in use by interfaces of instances that are gone: about two minutes on EC2."""
_POLL_S = 5.0


def caller_network(client: Client) -> str:
    """Return the network of one address from which this machine is seen by the cloud. Raises UserError when nobody tells."""
    try:
        with urllib.request.urlopen(client.address_url, timeout=10) as answer:  # noqa: S310 - ours to say, http or https
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


def find_groups(client: Client, fleet: str) -> tuple[Mapping[str, Any], ...]:
    """Return the security groups that we made for a fleet, with their rules."""
    filters = [{"Name": f"tag:{OURS[0]}", "Values": [OURS[1]]}, {"Name": "tag:launchbay:fleet", "Values": [fleet]}]
    return tuple(client.pages("describe_security_groups", "SecurityGroups", Filters=filters))


def ensure_group(client: Client, fleet: str, vpc: str, networks: Sequence[str], *, is_clustered: bool = False) -> str:
    """Return the fleet's own group, which lets `networks` in on port 22 and nobody else; made if it is not there. Idempotent.

    A rule for a network that is not among them is taken back: a caller's address changes. With `is_clustered` its members may
    talk to each other, as EFA needs. Raises CloudRefusal.
    """
    name = f"launchbay-{fleet}"
    found = find_groups(client, fleet)
    if found:
        identity, rules = str(found[0]["GroupId"]), found[0].get("IpPermissions", ())
    else:
        tags = [
            {"Key": OURS[0], "Value": OURS[1]},
            {"Key": "launchbay:fleet", "Value": fleet},
            {"Key": "Name", "Value": name},
        ]
        made = client.act(
            "create_security_group",
            GroupName=name,
            Description=f"SSH to the Launchbay fleet {fleet}",
            VpcId=vpc,
            TagSpecifications=[{"ResourceType": "security-group", "Tags": tags}],
        )
        identity, rules = str(made["GroupId"]), ()
    there = {network for rule in rules if rule.get("FromPort") == SSH_PORT for network in _networks_of(rule)}
    wanted = {str(ip_network(network)) for network in networks}
    if there - wanted:
        client.act("revoke_security_group_ingress", GroupId=identity, IpPermissions=[_rule(sorted(there - wanted))])
    if wanted - there:
        _authorize(client, identity, _rule(sorted(wanted - there)))
    if is_clustered:
        _authorize(client, identity, {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": identity}]})
    return identity


def _authorize(client: Client, identity: str, rule: Mapping[str, Any]) -> None:
    try:
        client.act("authorize_security_group_ingress", GroupId=identity, IpPermissions=[rule])
    except CloudRefusal as refusal:
        if refusal.code != "InvalidPermission.Duplicate":
            raise


def _rule(networks: Sequence[str]) -> Mapping[str, Any]:
    said = "who may come in by SSH"
    found = [ip_network(network) for network in networks]
    return {
        "IpProtocol": "tcp",
        "FromPort": SSH_PORT,
        "ToPort": SSH_PORT,
        "IpRanges": [{"CidrIp": str(item), "Description": said} for item in found if item.version == 4],
        "Ipv6Ranges": [{"CidrIpv6": str(item), "Description": said} for item in found if item.version == 6],
    }


def _networks_of(rule: Mapping[str, Any]) -> list[str]:
    return [item["CidrIp"] for item in rule.get("IpRanges", ())] + [
        item["CidrIpv6"] for item in rule.get("Ipv6Ranges", ())
    ]


def remove_group(client: Client, fleet: str, *, clock: Clock) -> tuple[str, ...]:
    """Remove the fleet's own groups; return which. Waits for the interfaces of instances that are gone. Idempotent.

    Raises LaunchbayError when one is still in use after some minutes: somebody else put an instance into it.
    """
    removed, waited = list[str](), 0.0
    for group in find_groups(client, fleet):
        identity = str(group["GroupId"])
        while True:
            try:
                client.act("delete_security_group", GroupId=identity)
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


def ensure_key(client: Client, fleet: str, public_key: str) -> str:
    """Return the name of the fleet's key pair, imported if it is not there. The private half never leaves this machine."""
    name = f"launchbay-{fleet}"
    tags = [{"Key": OURS[0], "Value": OURS[1]}, {"Key": "launchbay:fleet", "Value": fleet}]
    try:
        client.act(
            "import_key_pair",
            KeyName=name,
            PublicKeyMaterial=public_key.encode(),
            TagSpecifications=[{"ResourceType": "key-pair", "Tags": tags}],
        )
    except CloudRefusal as refusal:
        if refusal.code != "InvalidKeyPair.Duplicate":
            raise
    return name


def remove_key(client: Client, fleet: str) -> None:
    """Remove the fleet's key pair, if it is ours. Idempotent."""
    filters = [{"Name": f"tag:{OURS[0]}", "Values": [OURS[1]]}, {"Name": "tag:launchbay:fleet", "Values": [fleet]}]
    for pair in client.ask("describe_key_pairs", Filters=filters).get("KeyPairs", ()):
        client.act("delete_key_pair", KeyPairId=pair["KeyPairId"])
