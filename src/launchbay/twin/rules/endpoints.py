"""Instance Connect Endpoints: made, described, deleted, each in its time. `launchbay.twin.tunnels` lets through what they let."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from launchbay.twin.backend import ec2
from launchbay.twin.call import Answer, Call, Refused
from launchbay.twin.clock import Due
from launchbay.twin.filters import keep
from launchbay.twin.paging import cut_page
from launchbay.twin.rule import Rule
from launchbay.twin.rules.asked import tags_asked
from launchbay.twin.rules.interfaces import NetworkInterface, subnet_of
from launchbay.twin.rules.passing import let_pass
from launchbay.twin.world import World

__all__ = ["CREATE_S", "DELETE_S", "ENDPOINTS", "RULE"]

ENDPOINTS = "instance connect endpoints"
"""Where they are noted, by id."""

CREATE_S, DELETE_S = 120.0, 60.0
"""How long making and deleting one takes, in seconds of the twin's clock."""

_CREATED, _DELETED = "endpoint created", "endpoint deleted"
_MOST = 5
_FIELDS = {
    "instance-connect-endpoint-id": "InstanceConnectEndpointId",
    "state": "State",
    "subnet-id": "SubnetId",
    "vpc-id": "VpcId",
}


def _create(call: Call, world: World) -> Mapping[str, Any]:
    subnet = subnet_of(call.region, str(call.get("SubnetId", default="")))
    known = [item for item in world.truth.noted(ENDPOINTS).values() if item["region"] == call.region]
    if any(item["VpcId"] == subnet.vpc_id for item in known):
        what = f"An EC2 Instance Connect Endpoint already exists in VPC {subnet.vpc_id}"
        raise Refused("InstanceConnectEndpointAlreadyExists", what)
    if len(known) >= _MOST:
        what = f"You have reached the limit of {_MOST} EC2 Instance Connect Endpoints in this region"
        raise Refused("InstanceConnectEndpointLimitExceeded", what)
    identity = f"eice-{world.chance.getrandbits(68):017x}"
    eni = _interface(call, subnet, identity)
    world.truth.noted(ENDPOINTS)[identity] = {
        "region": call.region,
        "OwnerId": world.truth.settings.account,
        "InstanceConnectEndpointId": identity,
        "InstanceConnectEndpointArn": f"arn:aws:ec2:{call.region}:{world.truth.settings.account}:"
        f"instance-connect-endpoint/{identity}",
        "State": "create-in-progress",
        "DnsName": f"{identity}.{world.chance.getrandbits(32):08x}.ec2-instance-connect-endpoint.{call.region}.amazonaws.com",
        "NetworkInterfaceIds": [eni.id],
        "VpcId": subnet.vpc_id,
        "SubnetId": subnet.id,
        "AvailabilityZone": subnet.availability_zone,
        "CreatedAt": world.now(),
        "PreserveClientIp": bool(call.get("PreserveClientIp", default=False)),
        "SecurityGroupIds": [group.id for group in eni.group_set],
    }
    ec2(call.region).tags[identity].update(tags_asked(call, "instance-connect-endpoint"))
    world.clock.plan(_CREATED, identity, seconds=CREATE_S)
    return {"InstanceConnectEndpoint": _shown(world, identity), "ClientToken": call.get("ClientToken")}


def _interface(call: Call, subnet: Any, identity: str) -> Any:
    """Make the interface by which an endpoint stands in its subnet: its groups are in use by it."""
    backend = ec2(call.region)
    for group in call.get("SecurityGroupIds", default=[]):
        if backend.get_security_group_from_id(group) is None:
            raise Refused("InvalidGroup.NotFound", f"The security group '{group}' does not exist")
    eni = backend.create_network_interface(
        subnet,
        subnet.get_available_subnet_ip(None),
        group_ids=list(call.get("SecurityGroupIds", default=[])),
        description=f"EC2 Instance Connect Endpoint - {identity}",
    )
    eni.__class__ = NetworkInterface
    eni.requester_managed, eni.interface_type, eni.status = True, "ec2_instance_connect_endpoint", "in-use"
    return eni


def _shown(world: World, identity: str) -> dict[str, Any]:
    found = dict(world.truth.noted(ENDPOINTS)[identity])
    tags = ec2(found.pop("region")).tags.get(identity, {})
    return {**found, "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}


def _describe(call: Call, world: World) -> Mapping[str, Any]:
    let_pass(world, _CREATED, _DELETED)
    asked = call.get("InstanceConnectEndpointIds", default=[])
    known = world.truth.noted(ENDPOINTS)
    for identity in asked:
        _find(call, world, identity)
    ids = [name for name, item in known.items() if item["region"] == call.region and (not asked or name in asked)]
    kept = keep([_shown(world, name) for name in ids], call.get("Filters", default=[]), _values)
    items, following = cut_page(kept, call.get("NextToken"), call.get("MaxResults"))
    return {"InstanceConnectEndpoints": items, "NextToken": following}


def _values(item: Mapping[str, Any], name: str) -> Iterable[str] | None:
    if name in _FIELDS:
        return [str(item[_FIELDS[name]])]
    if name.startswith("tag:"):
        return [tag["Value"] for tag in item["Tags"] if tag["Key"] == name[4:]]
    return [tag["Key"] for tag in item["Tags"]] if name == "tag-key" else None


def _find(call: Call, world: World, identity: str) -> dict[str, Any]:
    found: dict[str, Any] | None = world.truth.noted(ENDPOINTS).get(identity)
    if found is None or found["region"] != call.region:
        what = f"The EC2 Instance Connect Endpoint ID '{identity}' does not exist"
        raise Refused("InvalidInstanceConnectEndpointId.NotFound", what)
    return found


def _delete(call: Call, world: World) -> Mapping[str, Any]:
    identity = str(call.get("InstanceConnectEndpointId", default=""))
    found = _find(call, world, identity)
    if found["State"] != "delete-in-progress":
        found["State"] = "delete-in-progress"
        world.clock.cancel(identity)
        world.clock.plan(_DELETED, identity, seconds=DELETE_S)
    return {"InstanceConnectEndpoint": _shown(world, identity)}


def _created(world: World, due: Due) -> None:
    found = world.truth.noted(ENDPOINTS).get(due.resource)
    if found is not None:
        found["State"] = "create-complete"


def _gone(world: World, due: Due) -> None:
    found = world.truth.noted(ENDPOINTS).pop(due.resource, None)
    if found is None:
        return
    backend = ec2(found["region"])
    backend.tags.pop(due.resource, None)
    for identity in found["NetworkInterfaceIds"]:
        eni = backend.enis.get(identity)
        if eni is not None:
            eni.delete()


def _before(call: Call, world: World) -> Call | Mapping[str, Any] | Answer | None:
    act = {
        "CreateInstanceConnectEndpoint": _create,
        "DeleteInstanceConnectEndpoint": _delete,
        "DescribeInstanceConnectEndpoints": _describe,
    }
    return act[call.action](call, world)


RULE = Rule(
    name="endpoints",
    on=frozenset(
        {
            "ec2:CreateInstanceConnectEndpoint",
            "ec2:DeleteInstanceConnectEndpoint",
            "ec2:DescribeInstanceConnectEndpoints",
        }
    ),
    source="parameters and states verified in botocore's model; one a VPC, five a region, the codes, and how long it takes are "
    "remembered",
    before=_before,
    happens={_CREATED: _created, _DELETED: _gone},
)
