"""The tags of everything that we make on EC2, by which it is found again. Nothing without them is ever changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from launchbay.errors import Conflict

__all__ = ["FLEET_TAG", "LAUNCH_TAG", "OURS", "check_launch", "made_for", "tags_of"]

OURS = ("managed-by", "launchbay")
FLEET_TAG = "launchbay:fleet"
LAUNCH_TAG = "launchbay:launch"
"""Which operation of the journal made it: two machines may launch the same name, and neither undoes what is the other's."""


def tags_of(fleet: str, launch: str = "") -> list[Mapping[str, str]]:
    """Return the tags of what a launch makes for a fleet, as EC2 takes them."""
    tags = [{"Key": OURS[0], "Value": OURS[1]}, {"Key": FLEET_TAG, "Value": fleet}]
    return [*tags, {"Key": LAUNCH_TAG, "Value": launch}] if launch else [*tags]


def made_for(fleet: str = "", launch: str = "") -> list[Mapping[str, str | Sequence[str]]]:
    """Return the filters, as EC2 takes them, for what is ours: all of it, a fleet's, or what one launch made."""
    found = {OURS[0]: OURS[1], FLEET_TAG: fleet, LAUNCH_TAG: launch}
    return [{"Name": f"tag:{name}", "Values": [value]} for name, value in found.items() if value]


def check_launch(made: Mapping[str, Any], launch: str, said: str, *, region: str) -> None:
    """Raise Conflict where something that EC2 describes was made by another launch of the fleet than this one."""
    other = next((str(tag["Value"]) for tag in made.get("Tags") or () if tag["Key"] == LAUNCH_TAG), "")
    if launch and other not in ("", launch):
        hint = "another --name; or, where it is what is left of a launch, `bay terminate NAME --provider ...` ends that"
        raise Conflict(f"{said} is of another launch", where=region, hint=hint)
