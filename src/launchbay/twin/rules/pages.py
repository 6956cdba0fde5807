"""DescribeInstances page by page: EC2 counts instances, where moto counts reservations."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from launchbay.twin.backend import ec2
from launchbay.twin.call import Answer, Call, Refused
from launchbay.twin.rule import Rule
from launchbay.twin.world import World

__all__ = ["RULE"]

_LEAST, _MOST = 5, 1000


def _before(call: Call, world: World) -> Call | Mapping[str, Any] | Answer | None:  # noqa: ARG001 - a rule's form
    asked, token = call.get("MaxResults"), str(call.get("NextToken", default=""))
    identities = call.get("InstanceIds", default=[])
    if identities and asked is not None:
        what = "The parameter instancesSet cannot be used with the parameter maxResults"
        raise Refused("InvalidParameterCombination", what)
    if asked is not None and not _LEAST <= asked <= _MOST:
        raise Refused(
            "InvalidParameterValue",
            f"Value ( {asked} ) for parameter maxResults is invalid. Expecting {_LEAST}-{_MOST}",
        )
    if identities:
        return None
    filters = {str(item["Name"]): list(item.get("Values", [])) for item in call.get("Filters", default=[])}
    found = ec2(call.region).describe_instances(filters=filters or None)
    total = sum(len(reservation.instances) for reservation in found)
    start = _start(token, total)
    end = min(start + (asked or total), total)
    return {
        "Reservations": list(_cut(found, start, end)),
        "NextToken": f"after-{end}" if end < total else None,
    }


def _start(token: str, total: int) -> int:
    if not token:
        return 0
    number = token.removeprefix("after-")
    if not number.isdecimal() or number == token:
        raise Refused("InvalidNextToken", f"Invalid value '{token}' for nextToken.")
    return min(int(number), total)


def _cut(reservations: list[Any], start: int, end: int) -> Iterator[Any]:
    """Yield reservations with those of their instances that lie on a page; the last may be cut in two."""
    place = 0
    for reservation in reservations:
        items = reservation.instances[max(start - place, 0) : max(end - place, 0)]
        place += len(reservation.instances)
        if items:
            part = copy.copy(reservation)
            part.instances = items
            yield part


RULE = Rule(
    name="pages",
    on=frozenset({"ec2:DescribeInstances"}),
    source="5 to 1,000 verified in botocore's documentation; that a page counts instances is remembered",
    before=_before,
)
