"""The EC2 Instance Connect Endpoints of a network: by whom they were made is nobody's concern here, and none is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from launchbay.planning.way import Endpoint
from launchbay.providers.ec2.client import Client

__all__ = ["list_endpoints"]

_STANDING = ("create-complete", "update-complete", "update-failed", "update-in-progress")
"""The states in which one can be gone through, as the AWS CLI has them."""


def list_endpoints(client: Client, vpc: str) -> tuple[tuple[Endpoint, ...], Mapping[str, str]]:
    """Return those of a network that stand, in order of their ids, and the state of each that does not.

    One without an IPv4 address is none of the former. One question, and one more where there is any. Raises CloudRefusal.
    """
    filters = [{"Name": "vpc-id", "Values": [vpc]}]
    rows = list(client.pages("describe_instance_connect_endpoints", "InstanceConnectEndpoints", Filters=filters))
    others = {str(row["InstanceConnectEndpointId"]): str(row["State"]) for row in rows if row["State"] not in _STANDING}
    rows = [row for row in rows if row["State"] in _STANDING]
    addresses = _addresses(client, rows)
    found = [
        Endpoint(
            id=str(row["InstanceConnectEndpointId"]),
            name=str(row["DnsName"]),
            subnet=str(row.get("SubnetId", "")),
            groups=tuple(map(str, row.get("SecurityGroupIds", ()))),
            addresses=tuple(addresses[name] for name in row.get("NetworkInterfaceIds", ()) if name in addresses),
            keeps_client=bool(row.get("PreserveClientIp", False)),
        )
        for row in rows
    ]
    others |= {item.id: "without an IPv4 address" for item in found if not item.addresses}
    return tuple(sorted((item for item in found if item.addresses), key=lambda item: item.id)), others


def _addresses(client: Client, rows: Sequence[Mapping[str, Any]]) -> Mapping[str, str]:
    """Return the private address of each interface of endpoints, by its id."""
    names = [name for row in rows for name in row.get("NetworkInterfaceIds", ())]
    if not names:
        return {}
    filters = [{"Name": "network-interface-id", "Values": names}]
    found = client.pages("describe_network_interfaces", "NetworkInterfaces", Filters=filters)
    return {
        str(item["NetworkInterfaceId"]): str(item["PrivateIpAddress"]) for item in found if item.get("PrivateIpAddress")
    }
