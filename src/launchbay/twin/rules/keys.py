"""Key pairs: what is taken for a public key, and that a launch names one that is there."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from launchbay.twin.backend import ec2
from launchbay.twin.call import Answer, Call, Refused
from launchbay.twin.rule import Rule
from launchbay.twin.world import World

__all__ = ["RULE", "is_public_key"]

_RSA_BITS = (1024, 2048, 4096)
_ED25519_BYTES = 32


def is_public_key(material: bytes) -> bool:
    """Say whether EC2 takes it for a public key: Ed25519, or RSA of 1024, 2048 or 4096 bits, in the form of OpenSSH."""
    words = material.split()
    if len(words) < 2:
        return False
    try:
        parts = _parts(base64.b64decode(words[1], validate=True))
    except binascii.Error:
        return False
    if not parts or parts[0] != words[0]:
        return False
    if parts[0] == b"ssh-ed25519":
        return [len(part) for part in parts[1:]] == [_ED25519_BYTES]
    # an RSA key is its exponent and its modulus, as whole numbers
    return parts[0] == b"ssh-rsa" and len(parts) == 3 and int.from_bytes(parts[2], "big").bit_length() in _RSA_BITS


def _parts(blob: bytes) -> list[bytes]:
    """Return the fields of a key in the form of RFC 4253, each with its length before it; none where the lengths do not fit."""
    found, place = [], 0
    while place < len(blob):
        start = place + 4
        end = start + int.from_bytes(blob[place:start], "big")
        if end > len(blob):
            return []
        found.append(blob[start:end])
        place = end
    return found


def _material(call: Call) -> bytes:
    given = call.get("PublicKeyMaterial", default=b"")
    text = given if isinstance(given, bytes) else str(given).encode()
    if text.lstrip().startswith((b"ssh-", b"ecdsa-")):
        return text
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return text


def _before(call: Call, world: World) -> Call | Mapping[str, Any] | Answer | None:  # noqa: ARG001 - a rule's form
    known = ec2(call.region).key_pairs
    if call.action == "RunInstances":
        name = call.get("KeyName")
        if name and name not in known:
            raise Refused("InvalidKeyPair.NotFound", f"The key pair '{name}' does not exist")
        return None
    if call.action == "ImportKeyPair":
        if call.get("KeyName") in known:
            raise Refused("InvalidKeyPair.Duplicate", f"The keypair '{call.get('KeyName')}' already exists.")
        if not is_public_key(_material(call)):
            raise Refused("InvalidKey.Format", "Key is not in valid OpenSSH public key format")
        return None
    return _by_name(call, known)


def _by_name(call: Call, known: Mapping[str, Any]) -> Call | None:
    """Name the pairs that a call means by their ids: moto knows them by name."""
    ids = call.get("KeyPairIds", default=[]) or [call.get("KeyPairId")]
    wanted = [identity for identity in ids if identity]
    if not wanted:
        return None
    names = {pair.id: name for name, pair in known.items()}
    if call.action == "DeleteKeyPair":
        found = names.get(wanted[0], wanted[0])
        return replace(call, params={"KeyName": found})
    for identity in wanted:
        if identity not in names:
            raise Refused("InvalidKeyPair.NotFound", f"The key pair ID '{identity}' does not exist")
    params = {name: value for name, value in call.params.items() if name != "KeyPairIds"}
    return replace(call, params={**params, "KeyNames": [names[identity] for identity in wanted]})


RULE = Rule(
    name="keys",
    on=frozenset({"ec2:DeleteKeyPair", "ec2:DescribeKeyPairs", "ec2:ImportKeyPair", "ec2:RunInstances"}),
    source="codes seen in EC2's list of error codes; the kinds and lengths of keys seen in its user guide",
    before=_before,
)
