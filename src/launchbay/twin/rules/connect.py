"""EC2 Instance Connect: a public key that opens an instance for 60 seconds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from launchbay.twin.backend import find_instance
from launchbay.twin.call import Answer, Call, Refused
from launchbay.twin.rule import Rule
from launchbay.twin.world import World

__all__ = ["RULE", "VALID_S"]

VALID_S = 60.0
"""How long a pushed key opens the instance."""

_KINDS = ("ssh-rsa ", "ssh-ed25519 ")


def _before(call: Call, world: World) -> Call | Mapping[str, Any] | Answer | None:
    identity, key = str(call.get("InstanceId")), str(call.get("SSHPublicKey", default=""))
    instance = find_instance(identity, call.region)
    if instance is None or instance.state == "terminated":
        raise Refused("EC2InstanceNotFoundException", f"Instance not found: {identity}", status=404)
    if instance.state != "running":
        raise Refused("EC2InstanceStateInvalidException", f"Instance {identity} is {instance.state}, not running")
    zone = call.get("AvailabilityZone")
    if zone and zone != instance.availability_zone:
        raise Refused("EC2InstanceNotFoundException", f"Instance not found in {zone}: {identity}", status=404)
    if not key.startswith(_KINDS):
        raise Refused("InvalidArgsException", "SSHPublicKey must be an RSA or ED25519 public key in OpenSSH format")
    world.hosts.authorize(identity, str(call.get("InstanceOSUser")), key, seconds=VALID_S)
    return {"RequestId": "", "Success": True}


RULE = Rule(
    name="instance connect",
    on=frozenset({"ec2-instance-connect:SendSSHPublicKey"}),
    source="60 seconds, key kinds and errors verified in botocore's model",
    before=_before,
)
