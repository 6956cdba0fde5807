"""The EC2 Instance Connect Endpoints of a network: by whom they were made is nobody's concern here, and none is made."""

from __future__ import annotations

from launchbay.planning.way import Endpoint
from launchbay.providers.ec2.client import Client

__all__ = ["list_endpoints"]

_STANDING = ("create-complete", "update-complete", "update-failed", "update-in-progress")
"""The states in which one can be gone through, as the AWS CLI has them."""


def list_endpoints(client: Client, vpc: str) -> tuple[Endpoint, ...]:
    """Return those of a network that stand, in order of their ids. One question. Raises CloudRefusal."""
    filters = [{"Name": "vpc-id", "Values": [vpc]}, {"Name": "state", "Values": list(_STANDING)}]
    rows = client.pages("describe_instance_connect_endpoints", "InstanceConnectEndpoints", Filters=filters)
    found = [
        Endpoint(
            id=str(row["InstanceConnectEndpointId"]),
            name=str(row["DnsName"]),
            subnet=str(row.get("SubnetId", "")),
            groups=tuple(map(str, row.get("SecurityGroupIds", ()))),
            keeps_client=bool(row.get("PreserveClientIp", False)),
        )
        for row in rows
    ]
    return tuple(sorted(found, key=lambda item: item.id))
