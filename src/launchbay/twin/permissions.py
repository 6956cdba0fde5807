"""Which permissions a call needs: each action on each resource, with what conditions may look at.

A launch needs `ec2:RunInstances` on everything that it uses and makes, whether the call says so or the launch template that it
names; tags on what is made need `ec2:CreateTags`, with the action that makes it as `ec2:CreateAction`; an instance profile needs
`iam:PassRole`. Reads of EC2 are on no resource.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from launchbay.twin.backend import ec2, find_instance
from launchbay.twin.call import Refused
from launchbay.twin.policy import Asked
from launchbay.twin.rules.placement import find_group
from launchbay.twin.rules.profiles import find_profile
from launchbay.twin.rules.templates import expand, find_version

if TYPE_CHECKING:
    from launchbay.twin.call import Call
    from launchbay.twin.world import World

__all__ = ["permissions_of"]

Context = Mapping[str, Sequence[str]]

_PREFIXES = {
    "ec2-instance-connect": "ec2-instance-connect",
    "resourcegroupstaggingapi": "tag",
    "service-quotas": "servicequotas",
}
"""How a service is called in policies, where that is not its name."""

_IDS = {
    "i-": "instance",
    "vol-": "volume",
    "snap-": "snapshot",
    "ami-": "image",
    "sg-": "security-group",
    "eni-": "network-interface",
    "lt-": "launch-template",
    "sir-": "spot-instances-request",
    "key-": "key-pair",
    "eipalloc-": "elastic-ip",
    "pg-": "placement-group",
    "eice-": "instance-connect-endpoint",
    "subnet-": "subnet",
    "vpc-": "vpc",
    "fleet-": "fleet",
}
_FOREIGN = ("image", "snapshot")
"""Kinds whose names carry no account: they may be somebody else's."""

_MAKES = {
    "AllocateAddress": ("elastic-ip",),
    "CopyImage": ("image",),
    "CopySnapshot": ("snapshot",),
    "CreateFleet": ("fleet",),
    "CreateImage": ("image", "snapshot"),
    "CreateInstanceConnectEndpoint": ("instance-connect-endpoint",),
    "CreateKeyPair": ("key-pair",),
    "CreateLaunchTemplate": ("launch-template",),
    "CreateNetworkInterface": ("network-interface",),
    "CreatePlacementGroup": ("placement-group",),
    "CreateSecurityGroup": ("security-group",),
    "CreateSnapshot": ("snapshot",),
    "CreateSubnet": ("subnet",),
    "CreateVolume": ("volume",),
    "CreateVpc": ("vpc",),
    "ImportKeyPair": ("key-pair",),
    "RegisterImage": ("image",),
}
"""What an action makes: it has to be allowed on each of these kinds, with the tags that are asked for it."""

_NAMES = {"KeyName": "key-pair", "LaunchTemplateName": "launch-template"}
"""Parameters that are names, and of what; what an action makes is not there yet under its name."""

_RESOLVE = "resolve:ssm:"


def permissions_of(call: Call, world: World) -> tuple[Asked, ...]:
    """Return every permission that a call needs, each once."""
    service = _PREFIXES.get(call.service, call.service)
    action = f"{service}:{call.action}"
    place = _Place(call, world, {"aws:RequestedRegion": [call.region]})
    if call.service != "ec2":
        return tuple(_elsewhere(place, action))
    place = _Place(call, world, {**place.common, "ec2:Region": [call.region]})
    if call.is_read:
        return (Asked(action=action, context=place.common),)
    if call.action == "RunInstances":
        return tuple(_launch(place))
    if call.action in ("CreateTags", "DeleteTags"):
        tags = _context_of_tags(call.get("Tags", default=[]))
        ids = call.get("Resources", default=[])
        return tuple(place.on(action, str(identity), more=tags) for identity in ids)
    made = [place.made(action, kind) for kind in _MAKES.get(call.action, ())]
    used = [place.on(action, name, kind) for kind, name in _named(call)]
    snapshots = _with_image(place) if call.action == "DeregisterImage" else ()
    asked = [*used, *made, *snapshots] or [Asked(action=action, context=place.common)]
    return (*asked, *place.tagging())


@dataclass(frozen=True, slots=True)
class _Place:
    """A call in its world, with what every permission that it needs can look at."""

    call: Call
    world: World
    common: Context

    def arn(self, kind: str, name: str) -> str:
        account = "" if kind in _FOREIGN else self.world.truth.settings.account
        return f"arn:aws:ec2:{self.call.region}:{account}:{kind}/{name}"

    def on(self, action: str, identity: str, kind: str = "", *, more: Context | None = None) -> Asked:
        """Return an action on what is there, by its id or name, with its tags."""
        region = self.call.region
        kind = kind or next((kind for prefix, kind in _IDS.items() if identity.startswith(prefix)), "resource")
        known, shown = _identity(self.world, region, kind, identity)
        tags = dict(ec2(region).tags.get(known, {}))
        context = {**self.common, **_facts(region, kind, known, self.arn), **(more or {})}
        context |= {f"aws:ResourceTag/{key}": [value] for key, value in tags.items()}
        context |= {f"ec2:ResourceTag/{key}": [value] for key, value in tags.items()}
        return Asked(action=action, resource=self.arn(kind, shown), context=context)

    def made(self, action: str, kind: str, *, more: Context | None = None) -> Asked:
        """Return an action on what it makes: there is no name of it yet, and the tags are those that are asked for."""
        tags = self.tags().get(kind, [])
        context = {**self.common, **(more or {}), **_context_of_tags(tags)}
        return Asked(action=action, resource=self.arn(kind, "*"), context=context)

    def tags(self) -> Mapping[str, list[Mapping[str, Any]]]:
        """Return the tags that are asked for, by the kind of what gets them."""
        found: dict[str, list[Mapping[str, Any]]] = {}
        for item in self.call.get("TagSpecifications", default=[]):
            found.setdefault(str(item.get("ResourceType", "resource")), []).extend(item.get("Tags", []))
        return found

    def tagging(self) -> Iterator[Asked]:
        """Yield the permission to tag what a call makes."""
        for kind, tags in self.tags().items():
            context = {**self.common, **_context_of_tags(tags), "ec2:CreateAction": [self.call.action]}
            yield Asked(action="ec2:CreateTags", resource=self.arn(kind, "*"), context=context)


def _identity(world: World, region: str, kind: str, identity: str) -> tuple[str, str]:
    """Return the id and what stands in the ARN of something that is called by either its name or its id."""
    backend = ec2(region)
    if kind == "key-pair":
        pairs = {str(name): str(pair.id) for name, pair in backend.key_pairs.items()}
        name = next((name for name, known in pairs.items() if identity in (name, known)), identity)
        return pairs.get(name, identity), name
    if kind == "launch-template":
        template = next(
            (item for item in backend.launch_templates.values() if identity in (item.id, item.name)),
            None,
        )
        return (template.id, template.id) if template else (identity, identity)
    if kind == "placement-group":
        group = find_group(world, region, identity)
        return (group["id"], group["name"]) if group else (identity, identity)
    return identity, identity


def _facts(region: str, kind: str, identity: str, arn: Any) -> dict[str, Sequence[str]]:
    """Return what conditions can look at of something that is there, as far as it is modelled."""
    backend = ec2(region)
    if kind == "instance" and (instance := find_instance(identity, region)) is not None:
        return {"ec2:InstanceID": [identity], "ec2:InstanceType": [str(instance.instance_type)]}
    if kind == "image" and (image := backend.amis.get(identity)) is not None:
        owner = getattr(image, "owner_alias", None) or image.owner_id
        return {"ec2:ImageID": [identity], "ec2:Owner": [str(owner)]}
    if kind == "security-group":
        group = next((item[identity] for item in backend.groups.values() if identity in item), None)
        return {"ec2:Vpc": [arn("vpc", group.vpc_id)]} if group is not None and group.vpc_id else {}
    if kind == "subnet":
        subnet = next((item[identity] for item in backend.subnets.values() if identity in item), None)
        if subnet is None:
            return {}
        return {
            "ec2:AvailabilityZone": [str(subnet.availability_zone)],
            "ec2:SubnetID": [identity],
            "ec2:Vpc": [arn("vpc", subnet.vpc_id)],
        }
    if kind == "volume" and (volume := backend.volumes.get(identity)) is not None:
        return {"ec2:VolumeID": [identity], **_disk(volume.encrypted, volume.size, volume.volume_type)}
    return {"ec2:KeyPairName": [identity]} if kind == "key-pair" else {}


def _disk(is_encrypted: object, size: object, kind: object) -> dict[str, Sequence[str]]:
    found: dict[str, Sequence[str]] = {"ec2:Encrypted": [str(bool(is_encrypted)).lower()]}
    found |= {"ec2:VolumeSize": [str(size)]} if size else {}
    return found | ({"ec2:VolumeType": [str(kind)]} if kind else {})


def _named(call: Call) -> Iterator[tuple[str, str]]:
    """Yield kind and id, or name, of what a call is about; the kind is empty where the id says it."""
    makes = _MAKES.get(call.action, ())
    for key, value in call.params.items():
        if isinstance(value, str) and value.startswith(tuple(_IDS)) and key not in ("Name", "GroupName", *_NAMES):
            yield "", value
        elif isinstance(value, str) and key in _NAMES and _NAMES[key] not in makes:
            yield _NAMES[key], value
        elif key == "GroupName" and call.action == "DeletePlacementGroup":
            yield "placement-group", str(value)
        elif isinstance(value, list) and key.endswith("Ids"):
            yield from (("", str(item)) for item in value)


def _context_of_tags(tags: Sequence[Mapping[str, Any]]) -> dict[str, Sequence[str]]:
    context: dict[str, Sequence[str]] = {f"aws:RequestTag/{tag['Key']}": [str(tag.get("Value", ""))] for tag in tags}
    if tags:
        context["aws:TagKeys"] = [str(tag["Key"]) for tag in tags]
    return context


def _with_image(place: _Place) -> Iterator[Asked]:
    """Yield the permission to delete the snapshots that go with an image, where they shall."""
    image = ec2(place.call.region).amis.get(place.call.get("ImageId"))
    if image is not None and place.call.get("DeleteAssociatedSnapshots"):
        for item in image.block_device_mappings:
            if snapshot := item.get("Ebs", {}).get("SnapshotId"):
                yield place.on("ec2:DeleteSnapshot", str(snapshot))


def _launch(place: _Place) -> Iterator[Asked]:
    """Yield what a launch needs; what its template says and the call does not counts as asked for."""
    action, typed, template = "ec2:RunInstances", place.call, None
    common = dict(place.common)
    if typed.get("LaunchTemplate"):
        with contextlib.suppress(
            Refused
        ):  # a template that is not there gives nothing, and the launch is refused later
            template = find_version(typed.region, typed.get("LaunchTemplate")).template
            common["ec2:LaunchTemplate"] = [place.arn("launch-template", str(template.id))]
            place = _Place(expand(typed), place.world, common)
        asked = typed.get("LaunchTemplate")
        name = asked.get("LaunchTemplateId") or asked.get("LaunchTemplateName")
        yield place.on(action, str(name), "launch-template")
    call = place.call

    def by(*names: str) -> Context:
        """Say whether the template names it, and the call nothing else."""
        is_templates = not any(name in typed.params for name in names)
        return {"ec2:IsLaunchTemplateResource": [str(is_templates).lower()]} if template is not None else {}

    zone = call.get("Placement", "AvailabilityZone")
    where: Context = {"ec2:AvailabilityZone": [str(zone)]} if zone else {}
    yield place.made(action, "instance", more={**_machine(call), **where, **by("InstanceType")})
    interfaces = call.get("NetworkInterfaces", default=[])
    for interface in interfaces or [{}]:
        is_public = interface.get("AssociatePublicIpAddress")
        address = {} if is_public is None else {"ec2:AssociatePublicIpAddress": [str(is_public).lower()]}
        yield place.made(action, "network-interface", more={**address, **where})
    for device in call.get("BlockDeviceMappings") or [{}]:
        disk = device.get("Ebs", {})
        facts = _disk(disk.get("Encrypted"), disk.get("VolumeSize"), disk.get("VolumeType"))
        yield place.made(action, "volume", more={**facts, **where, **by("BlockDeviceMappings")})
        if disk.get("SnapshotId"):
            yield place.on(action, str(disk["SnapshotId"]))
    if call.get("InstanceMarketOptions", "MarketType") == "spot":
        yield place.made(action, "spot-instances-request")
    image = str(call.get("ImageId", default=""))
    if image.startswith(_RESOLVE):
        parameter = _parameter(call.region, image.removeprefix(_RESOLVE))
        yield Asked(action="ssm:GetParameters", resource=parameter, context=place.common)
        yield Asked(action=action, resource=place.arn("image", "*"), context={**place.common, **by("ImageId")})
    elif image:
        yield place.on(action, image, more=by("ImageId"))
    groups = [str(item) for item in call.get("SecurityGroupIds", default=[])]
    groups += [str(group) for item in interfaces for group in item.get("Groups", [])]
    subnets = [str(item["SubnetId"]) for item in interfaces if item.get("SubnetId")]
    subnets += [str(item["NetworkInterfaceId"]) for item in interfaces if item.get("NetworkInterfaceId")]
    subnets += [str(call.get("SubnetId"))] if call.get("SubnetId") else []
    # without any EC2 takes the default ones of the network, which have to be allowed as well
    yield from _each(place, action, "security-group", groups, by("SecurityGroupIds", "NetworkInterfaces"))
    yield from _each(place, action, "subnet", subnets, by("SubnetId", "NetworkInterfaces"))
    if call.get("KeyName"):
        yield place.on(action, str(call.get("KeyName")), "key-pair", more=by("KeyName"))
    if call.get("Placement", "GroupName"):
        yield place.on(action, str(call.get("Placement", "GroupName")), "placement-group", more=by("Placement"))
    yield from place.tagging()
    yield from _pass_role(place)


def _machine(call: Call) -> dict[str, Sequence[str]]:
    options = call.get("MetadataOptions", default={})
    found: dict[str, Sequence[str]] = {
        "ec2:InstanceType": [str(call.get("InstanceType", default="m1.small"))],
        "ec2:InstanceMarketType": [str(call.get("InstanceMarketOptions", "MarketType") or "on-demand")],
    }
    keys = {
        "HttpEndpoint": "ec2:MetadataHttpEndpoint",
        "HttpPutResponseHopLimit": "ec2:MetadataHttpPutResponseHopLimit",
        "HttpTokens": "ec2:MetadataHttpTokens",
        "InstanceMetadataTags": "ec2:InstanceMetadataTags",
    }
    return found | {key: [str(options[name])] for name, key in keys.items() if name in options}


def _each(place: _Place, action: str, kind: str, names: Sequence[str], more: Context) -> Iterator[Asked]:
    for name in dict.fromkeys(names):
        yield place.on(action, name, more=more)
    if not names:
        yield Asked(action=action, resource=place.arn(kind, "*"), context={**place.common, **more})


def _pass_role(place: _Place) -> Iterator[Asked]:
    asked = place.call.get("IamInstanceProfile", default={})
    name, arn = str(asked.get("Name", "")), str(asked.get("Arn", ""))
    if not name and not arn:
        return
    profile = find_profile(name, arn)
    roles = [str(role.arn) for role in profile.roles] if profile is not None else []
    unknown = f"arn:aws:iam::{place.world.truth.settings.account}:role/{name or arn.rpartition('/')[2]}"
    for role in roles or [unknown]:
        yield Asked(action="iam:PassRole", resource=role, context={"iam:PassedToService": ["ec2.amazonaws.com"]})


def _elsewhere(place: _Place, action: str) -> Iterator[Asked]:
    call = place.call
    if call.name == "ec2-instance-connect:OpenTunnel":
        keys = {
            "remotePort": "RemotePort",
            "privateIpAddress": "PrivateIpAddress",
            "maxTunnelDuration": "MaxTunnelDuration",
        }
        asked = {f"ec2-instance-connect:{key}": [str(call.get(name))] for key, name in keys.items() if call.get(name)}
        endpoint = str(call.get("InstanceConnectEndpointId"))
        yield place.on(action, endpoint, "instance-connect-endpoint", more=asked)
    elif call.service == "ec2-instance-connect":
        user = str(call.get("InstanceOSUser", default=""))
        yield place.on(action, str(call.get("InstanceId", default="")), more={"ec2:osuser": [user]})
    elif call.service == "ssm" and (names := _parameters(call)):
        for name in names:
            yield Asked(action=action, resource=_parameter(call.region, name), context=place.common)
    elif call.service == "sts" and call.action == "GetCallerIdentity":
        return  # everybody may ask who he is
    elif call.service == "sts" and call.get("RoleArn"):
        yield Asked(action=action, resource=str(call.get("RoleArn")), context=place.common)
    elif call.service == "iam":
        yield Asked(action=action, resource=_iam_resource(place), context=place.common)
    else:
        yield Asked(action=action, context=place.common)


def _iam_resource(place: _Place) -> str:
    account = place.world.truth.settings.account
    kinds = {"InstanceProfileName": "instance-profile", "RoleName": "role", "UserName": "user", "GroupName": "group"}
    for key, kind in kinds.items():
        if place.call.get(key):
            return f"arn:aws:iam::{account}:{kind}/{place.call.get(key)}"
    return str(place.call.get("PolicyArn", default="*"))


def _parameters(call: Call) -> Sequence[str]:
    """Return the parameters, or the path, that a call to SSM names."""
    names = [call.get("Name"), call.get("Path"), *call.get("Names", default=[])]
    return [str(name) for name in names if str(name or "").startswith("/")]


def _parameter(region: str, name: str) -> str:
    return f"arn:aws:ssm:{region}::parameter{name}"
