"""What a launch names has to be there: its type, in its zone; its image; and both of one architecture."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from launchbay.twin.backend import ec2
from launchbay.twin.call import Answer, Call, Refused
from launchbay.twin.offers import known_type, offered, zones_of
from launchbay.twin.rule import Rule
from launchbay.twin.rules.idempotency import zone_asked
from launchbay.twin.rules.parameters import resolve_image
from launchbay.twin.world import World

__all__ = ["RULE"]

_IMAGE_ID = re.compile(r"ami-([0-9a-f]{8}|[0-9a-f]{17})")


def _before(call: Call, world: World) -> Call | Mapping[str, Any] | Answer | None:
    type_name = str(call.get("InstanceType", default="m1.small"))
    kind = known_type(world, type_name)
    if kind is None:
        raise Refused("InvalidParameterValue", f"Invalid value '{type_name}' for InstanceType.")
    zones = zones_of(call.region)
    fitting = [zone for zone in zones if offered(world, type_name, zone)]
    asked = zone_asked(call)
    if asked and asked not in zones:
        raise Refused("InvalidParameterValue", f"Invalid availability zone: [{asked}]")
    if not fitting:
        what = f"The requested configuration is currently not supported. {type_name} is not offered in {call.region}."
        raise Refused("Unsupported", what)
    if asked and asked not in fitting:
        raise Refused(
            "Unsupported",
            f"Your requested instance type ({type_name}) is not supported in your requested Availability Zone ({asked}). Please "
            f"retry your request by not specifying an Availability Zone or choosing {', '.join(fitting)}.",
        )
    image = _image(call, world)
    if image.architecture not in kind.architectures:
        raise Refused(
            "InvalidParameterValue",
            f"The architecture '{kind.architectures[0]}' of the specified instance type does not match the architecture "
            f"'{image.architecture}' of the specified AMI. Specify an instance type and an AMI that have matching architectures.",
        )
    return None if image.id == call.get("ImageId") else replace(call, params={**call.params, "ImageId": image.id})


def _image(call: Call, world: World) -> Any:
    identity = resolve_image(world, call.region, str(call.get("ImageId", default="")))
    if not identity:
        raise Refused("MissingParameter", "The request must contain the parameter ImageId")
    if not _IMAGE_ID.fullmatch(identity):
        raise Refused("InvalidAMIID.Malformed", f'Invalid id: "{identity}"')
    image = ec2(call.region).amis.get(identity)
    if image is None:
        raise Refused("InvalidAMIID.NotFound", f"The image id '[{identity}]' does not exist")
    if image.state != "available":
        raise Refused("InvalidAMIID.Unavailable", f"The image ID '[{identity}]' is not available")
    return image


RULE = Rule(
    name="names",
    on=frozenset({"ec2:RunInstances"}),
    source="codes seen in EC2's list of error codes, their messages in issues of other tools",
    before=_before,
)
