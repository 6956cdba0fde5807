"""Volumes and snapshots page by page; moto gives all at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from moto.core.exceptions import ServiceException

from launchbay.twin.backend import ec2
from launchbay.twin.call import Answer, Call, Refused
from launchbay.twin.paging import cut_page
from launchbay.twin.rule import Rule
from launchbay.twin.world import World

__all__ = ["RULE"]

_LEAST, _MOST = 5, 1000
_NAMED = {"DescribeSnapshots": ("SnapshotIds", "snapshotSet"), "DescribeVolumes": ("VolumeIds", "volumeSet")}


def _before(call: Call, world: World) -> Call | Mapping[str, Any] | Answer | None:  # noqa: ARG001 - a rule's form
    size, token = call.get("MaxResults"), call.get("NextToken")
    if size is None and token is None:
        return None
    named, word = _NAMED[call.action]
    if call.get(named):
        what = f"The parameter {word} cannot be used with the parameter maxResults"
        raise Refused("InvalidParameterCombination", what)
    if size is not None and size < _LEAST:
        raise Refused(
            "InvalidParameterValue", f"Value ( {size} ) for parameter maxResults is invalid. Expecting {_LEAST}-{_MOST}"
        )
    filters = {str(item["Name"]): list(item.get("Values", [])) for item in call.get("Filters", default=[])}
    backend = ec2(call.region)
    find = backend.describe_volumes if call.action == "DescribeVolumes" else backend.describe_snapshots
    try:
        found = list(find(filters=filters))
    except ServiceException as refused:
        raise Refused(refused.code, refused.message) from refused
    items, following = cut_page(found, token, min(size, _MOST) if size else None)
    return {call.action.removeprefix("Describe"): items, "NextToken": following}


RULE = Rule(
    name="listed",
    on=frozenset({"ec2:DescribeSnapshots", "ec2:DescribeVolumes"}),
    source="MaxResults and NextToken verified in botocore's documentation",
    before=_before,
)
