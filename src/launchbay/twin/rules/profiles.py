"""Instance profiles that a launch names: they exist, have a role, and EC2 has heard of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import Any

from moto.core import DEFAULT_ACCOUNT_ID
from moto.iam.models import iam_backends

from launchbay.twin.call import Answer, Call, Refused
from launchbay.twin.rule import Rule
from launchbay.twin.world import World

__all__ = ["RULE", "VISIBLE_AFTER_S", "find_profile"]

VISIBLE_AFTER_S = 8.0
"""How long EC2 has not heard of a new profile, in seconds of the twin's clock.

On a virtual clock only where the twin's ids take time to be seen: nobody who tries again lets that clock go on.
"""


def find_profile(name: str = "", arn: str = "") -> Any | None:
    """Return an instance profile by its name or its ARN, None where there is none."""
    known = iam_backends[DEFAULT_ACCOUNT_ID]["aws"].instance_profiles.values()
    return next((item for item in known if (name and item.name == name) or (arn and item.arn == arn)), None)


def _before(call: Call, world: World) -> Call | Mapping[str, Any] | Answer | None:
    asked = call.get("IamInstanceProfile", default={})
    name, arn = str(asked.get("Name", "")), str(asked.get("Arn", ""))
    if not name and not arn:
        return None
    if name and arn:
        what = "The parameter 'iamInstanceProfile.name' may not be used in combination with 'iamInstanceProfile.arn'"
        raise Refused("InvalidParameterCombination", what)
    profile = find_profile(name, arn)
    if profile is None or not _is_seen(profile, world):
        field, word = ("name", "name") if name else ("arn", "ARN")
        what = f"Value ({name or arn}) for parameter iamInstanceProfile.{field} is invalid. Invalid IAM Instance Profile {word}"
        raise Refused("InvalidParameterValue", what)
    if not profile.roles:
        raise Refused("InvalidParameterValue", f'IAM Instance Profile "{profile.arn}" has no associated IAM Roles')
    return None


def _is_seen(profile: Any, world: World) -> bool:
    settings = world.truth.settings
    if settings.is_virtual and not settings.visible_after_s:
        return True
    age = world.now() - profile.create_date.replace(tzinfo=UTC)
    return bool(age.total_seconds() >= VISIBLE_AFTER_S)


def _made(call: Call, world: World, made: Sequence[Any]) -> None:  # noqa: ARG001 - a rule's form
    """Give the profile to all instances of a launch. moto gives it to the first, after this."""
    asked = call.get("IamInstanceProfile", default={})
    if not asked:
        return
    for instance in made[1:]:
        instance.ec2_backend.associate_iam_instance_profile(
            instance.id, iam_instance_profile_name=asked.get("Name"), iam_instance_profile_arn=asked.get("Arn")
        )


RULE = Rule(
    name="profiles",
    on=frozenset({"ec2:RunInstances"}),
    source="messages seen in issues of other tools (nextflow 617, ec2gaming 17); for how long a profile is unknown is remembered",
    before=_before,
    made=_made,
)
