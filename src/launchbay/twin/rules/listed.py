"""Volumes, snapshots and images page by page; moto gives all at once, and everybody's snapshots to who asks for his own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from moto.core.exceptions import ServiceException

from launchbay.twin.backend import ec2
from launchbay.twin.call import Answer, Call, Refused
from launchbay.twin.paging import cut_page
from launchbay.twin.rule import Rule
from launchbay.twin.world import World

__all__ = ["RULE"]

_LEAST, _MOST = 5, 1000


def _before(call: Call, world: World) -> Call | Mapping[str, Any] | Answer | None:
    if call.action == "DescribeSnapshots" and call.get("OwnerIds"):
        call = _of_owners(call, world)
    size, token = call.get("MaxResults"), call.get("NextToken")
    if size is None and token is None:
        return call
    named = {"DescribeVolumes": "VolumeIds", "DescribeSnapshots": "SnapshotIds", "DescribeImages": "ImageIds"}[
        call.action
    ]
    if call.get(named):
        word = named[0].lower() + named[1:-3]
        what = f"The parameter {word}Set cannot be used with the parameter maxResults"
        raise Refused("InvalidParameterCombination", what)
    if size is not None and size < (1 if call.action == "DescribeImages" else _LEAST):
        raise Refused(
            "InvalidParameterValue", f"Value ( {size} ) for parameter maxResults is invalid. Expecting {_LEAST}-{_MOST}"
        )
    try:
        found = _find(call)
    except ServiceException as refused:
        raise Refused(refused.code, refused.message) from refused
    items, following = cut_page(found, token, min(size, _MOST) if size else None)
    return {call.action.removeprefix("Describe"): items, "NextToken": following}


def _find(call: Call) -> list[Any]:
    backend = ec2(call.region)
    filters = {str(item["Name"]): list(item.get("Values", [])) for item in call.get("Filters", default=[])}
    if call.action == "DescribeVolumes":
        return list(backend.describe_volumes(filters=filters))
    if call.action == "DescribeSnapshots":
        return list(backend.describe_snapshots(filters=filters))
    owners, users = call.get("Owners", default=[]), call.get("ExecutableUsers", default=[])
    return list(backend.describe_images(filters=filters, owners=owners, exec_users=users))


def _of_owners(call: Call, world: World) -> Call:
    """Say by a filter whose snapshots are meant."""
    backend = ec2(call.region)
    owners: set[str] = set()
    for name in call.get("OwnerIds"):
        if name == "self":
            owners.add(world.truth.settings.account)
        elif name == "amazon":
            owners.update(str(image.owner_id) for image in backend.amis.values() if image.owner_alias == "amazon")
        else:
            owners.add(str(name))
    params = {key: value for key, value in call.params.items() if key != "OwnerIds"}
    mine = [item for item in call.get("Filters", default=[]) if item.get("Name") == "owner-id"]
    others = [item for item in call.get("Filters", default=[]) if item.get("Name") != "owner-id"]
    for item in mine:
        owners &= set(item.get("Values", []))
    wanted = {"Name": "owner-id", "Values": sorted(owners) or ["nobody"]}
    return replace(call, params={**params, "Filters": [*others, wanted]})


RULE = Rule(
    name="listed",
    on=frozenset({"ec2:DescribeImages", "ec2:DescribeSnapshots", "ec2:DescribeVolumes"}),
    source="MaxResults, NextToken and OwnerIds verified in botocore's documentation",
    before=_before,
)
