"""Which permissions a call needs: each action on each resource, with what conditions may look at. Pure but for looking up tags.

A launch needs `ec2:RunInstances` on everything that it uses and makes; tags on what is made need `ec2:CreateTags`, with the
action that makes it as `ec2:CreateAction`; an instance profile needs `iam:PassRole`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from launchbay.twin.backend import ec2
from launchbay.twin.policy import Asked

if TYPE_CHECKING:
    from launchbay.twin.call import Call
    from launchbay.twin.world import World

__all__ = ["permissions_of"]

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
}
_FOREIGN = ("image", "snapshot")
"""Kinds whose names carry no account: they may be somebody else's."""

_RESOLVE = "resolve:ssm:"
_READS = ("Describe", "Get", "List")


def permissions_of(call: Call, world: World) -> tuple[Asked, ...]:
    """Return every permission that a call needs, each once."""
    service = _PREFIXES.get(call.service, call.service)
    action = f"{service}:{call.action}"
    common = {"aws:RequestedRegion": [call.region]}
    if call.service != "ec2":
        return tuple(_elsewhere(call, world, action, common))
    common["ec2:Region"] = [call.region]
    if call.action.startswith(_READS):
        return (Asked(action=action, context=common),)
    if call.action == "RunInstances":
        return (*_launch(call, world, common), *_tagging(call, world, common), *_pass_role(call, world))
    if call.action in ("CreateTags", "DeleteTags"):
        tags = _context_of_tags(call.get("Tags", default=[]))
        ids = call.get("Resources", default=[])
        return tuple(_on(call, world, action, str(identity), {**common, **tags}) for identity in ids)
    named = list(_named_ids(call.params))
    used = [_on(call, world, action, identity, common) for identity in named]
    made = (
        []
        if used and not call.get("TagSpecifications")
        else [Asked(action=action, context=_made_context(call, common))]
    )
    if used and call.action.startswith("Create"):
        return (*used, *made, *_tagging(call, world, common))
    return (*(used or made), *_tagging(call, world, common))


def _arn(world: World, region: str, kind: str, name: str) -> str:
    account = "" if kind in _FOREIGN else world.truth.settings.account
    return f"arn:aws:ec2:{region}:{account}:{kind}/{name}"


def _on(call: Call, world: World, action: str, identity: str, common: Mapping[str, Sequence[str]]) -> Asked:
    kind = next((kind for prefix, kind in _IDS.items() if identity.startswith(prefix)), "resource")
    tags = ec2(call.region).tags.get(identity) or _tags_by_name(call, identity)
    context = {**common, **{f"aws:ResourceTag/{key}": [value] for key, value in tags.items()}}
    context |= {f"ec2:ResourceTag/{key}": [value] for key, value in tags.items()}
    return Asked(action=action, resource=_arn(world, call.region, kind, identity), context=context)


def _tags_by_name(call: Call, name: str) -> Mapping[str, str]:
    """Return the tags of what is called by its name: key pairs, groups, launch templates."""
    backend = ec2(call.region)
    pair = backend.key_pairs.get(name)
    template = next((item for item in backend.launch_templates.values() if item.name == name), None)
    found = pair or template
    return dict(backend.tags.get(found.id, {})) if found else {}


def _named_ids(params: Mapping[str, Any]) -> Iterator[str]:
    """Yield the ids, and the names, of what a call is about."""
    for key, value in params.items():
        if isinstance(value, str) and (value.startswith(tuple(_IDS)) or key in ("KeyName", "LaunchTemplateName")):
            yield value
        elif isinstance(value, list) and key.endswith("Ids"):
            yield from (str(item) for item in value)


def _context_of_tags(tags: Sequence[Mapping[str, Any]]) -> dict[str, Sequence[str]]:
    context: dict[str, Sequence[str]] = {f"aws:RequestTag/{tag['Key']}": [str(tag.get("Value", ""))] for tag in tags}
    if tags:
        context["aws:TagKeys"] = [str(tag["Key"]) for tag in tags]
    return context


def _made_context(call: Call, common: Mapping[str, Sequence[str]]) -> Mapping[str, Sequence[str]]:
    tags = [tag for item in call.get("TagSpecifications", default=[]) for tag in item.get("Tags", [])]
    return {**common, **_context_of_tags(tags)}


def _tagging(call: Call, world: World, common: Mapping[str, Sequence[str]]) -> Iterator[Asked]:
    """Yield the permission to tag what a call makes."""
    for item in call.get("TagSpecifications", default=[]):
        context = {**common, **_context_of_tags(item.get("Tags", [])), "ec2:CreateAction": [call.action]}
        yield Asked(
            action="ec2:CreateTags",
            resource=_arn(world, call.region, str(item.get("ResourceType", "resource")), "*"),
            context=context,
        )


def _launch(call: Call, world: World, common: Mapping[str, Sequence[str]]) -> Iterator[Asked]:
    action, region = "ec2:RunInstances", call.region
    options = call.get("MetadataOptions", default={})
    about = {**common, "ec2:InstanceType": [str(call.get("InstanceType", default="m1.small"))]}
    if "HttpTokens" in options:
        about["ec2:MetadataHttpTokens"] = [str(options["HttpTokens"])]
    if "HttpPutResponseHopLimit" in options:
        about["ec2:MetadataHttpPutResponseHopLimit"] = [str(options["HttpPutResponseHopLimit"])]
    tags = {str(item.get("ResourceType")): item.get("Tags", []) for item in call.get("TagSpecifications", default=[])}
    yield _made(world, region, action, "instance", {**about, **_context_of_tags(tags.get("instance", []))})
    yield _made(
        world, region, action, "network-interface", {**common, **_context_of_tags(tags.get("network-interface", []))}
    )
    for device in call.get("BlockDeviceMappings") or [{}]:
        disk = device.get("Ebs", {})
        context = {**common, **_context_of_tags(tags.get("volume", []))}
        context["ec2:Encrypted"] = [str(bool(disk.get("Encrypted", False))).lower()]
        if "VolumeSize" in disk:
            context["ec2:VolumeSize"] = [str(disk["VolumeSize"])]
        if "VolumeType" in disk:
            context["ec2:VolumeType"] = [str(disk["VolumeType"])]
        yield _made(world, region, action, "volume", context)
    if call.get("InstanceMarketOptions", "MarketType") == "spot":
        context = {**common, **_context_of_tags(tags.get("spot-instances-request", []))}
        yield _made(world, region, action, "spot-instances-request", context)
    interfaces = call.get("NetworkInterfaces", default=[])
    image = str(call.get("ImageId", default=""))
    if image.startswith(_RESOLVE):
        yield Asked(
            action="ssm:GetParameters", resource=_parameter(region, image.removeprefix(_RESOLVE)), context=common
        )
        yield _made(world, region, action, "image", common)
    used = [] if image.startswith(_RESOLVE) else [image]
    used += [str(item) for item in call.get("SecurityGroupIds", default=[])]
    used += [str(group) for item in interfaces for group in item.get("Groups", [])]
    used += [str(item["SubnetId"]) for item in interfaces if item.get("SubnetId")]
    used += [str(call.get("SubnetId") or "")]
    for identity in dict.fromkeys(item for item in used if item):
        yield _on(call, world, action, identity, common)
    if call.get("KeyName"):
        yield _made(world, region, action, "key-pair", common)
    if call.get("Placement", "GroupName"):
        yield _made(world, region, action, "placement-group", common)


def _made(world: World, region: str, action: str, kind: str, context: Mapping[str, Sequence[str]]) -> Asked:
    return Asked(action=action, resource=_arn(world, region, kind, "*"), context=context)


def _pass_role(call: Call, world: World) -> Iterator[Asked]:
    profile = call.get("IamInstanceProfile", default={})
    name = str(profile.get("Name") or str(profile.get("Arn", "")).rpartition("/")[2])
    if name:
        arn = f"arn:aws:iam::{world.truth.settings.account}:role/{name}"
        yield Asked(action="iam:PassRole", resource=arn, context={"iam:PassedToService": ["ec2.amazonaws.com"]})


def _elsewhere(call: Call, world: World, action: str, common: Mapping[str, Sequence[str]]) -> Iterator[Asked]:
    if call.service == "ec2-instance-connect":
        yield _on(
            call, world, action, str(call.get("InstanceId", default="")), {**common, "ec2:osuser": [_os_user(call)]}
        )
    elif call.service == "ssm" and str(call.get("Name", default="")).startswith("/"):
        yield Asked(action=action, resource=_parameter(call.region, str(call.get("Name"))), context=common)
    elif call.service == "sts" and call.action == "GetCallerIdentity":
        return  # everybody may ask who he is
    else:
        yield Asked(action=action, context=common)


def _parameter(region: str, name: str) -> str:
    return f"arn:aws:ssm:{region}::parameter{name}"


def _os_user(call: Call) -> str:
    return str(call.get("InstanceOSUser", default=""))
