"""A fleet's own placement group, in which EFA works: made once, found by its tags, removed when nothing is in it any more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from launchbay.errors import Conflict, LaunchbayError
from launchbay.ports import Clock
from launchbay.providers.ec2.client import Client, CloudRefusal
from launchbay.providers.ec2.tags import check_launch, made_for, tags_of

__all__ = ["ensure_placement", "remove_placement"]

_PATIENCE_S = 300.0
_POLL_S = 5.0


def ensure_placement(client: Client, fleet: str, name: str, *, launch: str = "") -> str:
    """Return the name of a fleet's own placement group, a cluster; made if it is not there. Idempotent.

    Raises Conflict where somebody else's has the name, or another launch's; CloudRefusal.
    """
    tags = [*tags_of(fleet, launch), {"Key": "Name", "Value": name}]
    try:
        client.act(
            "create_placement_group",
            GroupName=name,
            Strategy="cluster",
            TagSpecifications=[{"ResourceType": "placement-group", "Tags": tags}],
        )
    except CloudRefusal as refusal:
        if refusal.code != "InvalidPlacementGroup.Duplicate":
            raise
        there = next((group for group in _groups(client, fleet) if group["GroupName"] == name), None)
        what = f"the placement group {name}"
        if there is None:
            raise Conflict(
                f"{what} is not of this fleet", where=client.region, hint="another --name for the fleet"
            ) from refusal
        check_launch(there, launch, what, region=client.region)
    return name


def remove_placement(client: Client, fleet: str, *, launch: str = "", clock: Clock) -> tuple[str, ...]:
    """Remove the fleet's own placement groups; return which. Waits while instances that end are still in one. Idempotent.

    With `launch` only what that launch made.

    Raises LaunchbayError when one is in use after some minutes: somebody else put an instance into it.
    """
    names, waited = tuple(str(group["GroupName"]) for group in _groups(client, fleet, launch)), 0.0
    for name in names:
        while True:
            try:
                client.act("delete_placement_group", GroupName=name)
                break
            except CloudRefusal as refusal:
                if refusal.code == "InvalidPlacementGroup.Unknown":
                    break
                if refusal.code != "InvalidPlacementGroup.InUse":
                    raise
                if waited >= _PATIENCE_S:
                    what, hint = (
                        f"the placement group {name} of {fleet} is still in use",
                        "see what is in it, then the same again",
                    )
                    raise LaunchbayError(what, where=client.region, hint=hint) from refusal
            clock.sleep(_POLL_S)
            waited += _POLL_S
    return names


def _groups(client: Client, fleet: str, launch: str = "") -> Sequence[Mapping[str, Any]]:
    found: Sequence[Mapping[str, Any]] = client.ask("describe_placement_groups", Filters=made_for(fleet, launch)).get(
        "PlacementGroups", ()
    )
    return found
