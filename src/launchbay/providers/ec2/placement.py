"""A fleet's own placement group, in which EFA works: made once, found by its tags, removed when nothing is in it any more."""

from __future__ import annotations

from launchbay.errors import Conflict, LaunchbayError
from launchbay.ports import Clock
from launchbay.providers.ec2.client import Client, CloudRefusal
from launchbay.providers.ec2.instances import OURS

__all__ = ["ensure_placement", "remove_placement"]

_PATIENCE_S = 300.0
_POLL_S = 5.0


def ensure_placement(client: Client, fleet: str, name: str) -> str:
    """Return the name of a fleet's own placement group, a cluster; made if it is not there. Idempotent.

    Raises Conflict where somebody else's has the name, CloudRefusal.
    """
    tags = [
        {"Key": OURS[0], "Value": OURS[1]},
        {"Key": "launchbay:fleet", "Value": fleet},
        {"Key": "Name", "Value": name},
    ]
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
        if name not in _names(client, fleet):
            what = f"the placement group {name} is not of this fleet"
            raise Conflict(what, where=client.region, hint="another --name for the fleet") from refusal
    return name


def remove_placement(client: Client, fleet: str, *, clock: Clock) -> tuple[str, ...]:
    """Remove the fleet's own placement groups; return which. Waits while instances that end are still in one. Idempotent.

    Raises LaunchbayError when one is in use after some minutes: somebody else put an instance into it.
    """
    names, waited = _names(client, fleet), 0.0
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


def _names(client: Client, fleet: str) -> tuple[str, ...]:
    filters = [{"Name": f"tag:{OURS[0]}", "Values": [OURS[1]]}, {"Name": "tag:launchbay:fleet", "Values": [fleet]}]
    found = client.ask("describe_placement_groups", Filters=filters).get("PlacementGroups", ())
    return tuple(str(group["GroupName"]) for group in found)
