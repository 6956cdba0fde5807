"""What several rules read in the same way: the tags that a call gives to what it makes, and what a launch is still to get.

moto has no room for some of what a launch asks for. Between a rule's look at the call and its look at the new instances, both
within one call, that waits here.
"""

from __future__ import annotations

from typing import Any

from launchbay.twin.call import Call
from launchbay.twin.world import World

__all__ = ["put_by", "tags_asked", "take"]

_WAITS = "under way"


def put_by(world: World, rule: str, value: Any) -> None:
    """Keep what the launch that is under way shall get of a rule; what an earlier one never fetched is forgotten."""
    world.truth.noted(_WAITS)[rule] = value


def take(world: World, rule: str) -> Any:
    """Return what was put by, once; None where nothing was."""
    return world.truth.noted(_WAITS).pop(rule, None)


def tags_asked(call: Call, kind: str) -> dict[str, str]:
    """Return the tags that a call gives to resources of a kind, as ``volume``."""
    found: dict[str, str] = {}
    for item in call.get("TagSpecifications", default=[]):
        if item.get("ResourceType") == kind:
            found.update({str(tag["Key"]): str(tag.get("Value", "")) for tag in item.get("Tags", [])})
    return found
