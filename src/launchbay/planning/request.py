"""What is asked of EC2 for a wish: the parameters of RunInstances, frozen before the first call, and their token. Pure."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from launchbay.planning.cloudwish import TTL_TAG, CloudWish, check_wish, devices_of
from launchbay.planning.template import merge_extra

__all__ = ["build_request", "digest_request", "read_request", "token_of", "write_request"]

Request = dict[str, Any]

_BYTES = "$base64"
"""How bytes stand in JSON; no parameter of RunInstances has such a name."""


def build_request(wish: CloudWish) -> Request:
    """Return the parameters of RunInstances that a wish means, less the ClientToken, as boto3 takes them.

    All or none: MinCount and MaxCount are the same. Raises UsageError for what EC2 would refuse. UserData is bytes, which
    boto3 encodes itself; `write_request` and `read_request` carry a request through JSON.
    """
    check_wish(wish)
    request: Request = {
        "ImageId": wish.image.id,
        "InstanceType": wish.type,
        "MinCount": wish.count,
        "MaxCount": wish.count,
        "BlockDeviceMappings": _mappings(wish),
        "NetworkInterfaces": _interfaces(wish),
        "MetadataOptions": {
            "HttpTokens": "required",
            "HttpPutResponseHopLimit": 1,
            "HttpEndpoint": "enabled",
            "InstanceMetadataTags": "disabled",
        },
        "InstanceInitiatedShutdownBehavior": "terminate",
        "TagSpecifications": _tags(wish),
    }
    placement = {"AvailabilityZone": "" if wish.subnet else wish.zone, "GroupName": wish.placement_group}
    if placement := {name: value for name, value in placement.items() if value}:
        request["Placement"] = placement
    if wish.is_ebs_optimized:
        request["EbsOptimized"] = True
    if wish.market == "spot":
        # without MaxPrice: one ends instances earlier, and the price is never above that on demand
        options = {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"}
        request["InstanceMarketOptions"] = {"MarketType": "spot", "SpotOptions": options}
    if wish.profile:
        request["IamInstanceProfile"] = {"Arn" if wish.profile.startswith("arn:") else "Name": wish.profile}
    if wish.key_name:
        request["KeyName"] = wish.key_name
    if wish.user_data:
        request["UserData"] = wish.user_data
    return merge_extra(request, wish.extra)


def _mappings(wish: CloudWish) -> list[Request]:
    """Return every disk: those that the image maps, under its own names, lest EC2 add one beside them, then the wish's."""
    root = wish.image.root
    size = max(wish.root_gib or 0, root.snapshot_gib)
    speed = {"Iops": wish.root_iops, "Throughput": wish.root_throughput}
    found = [_disk(root.device, size, speed, rate=wish.rate)]
    found += [_disk(disk.device, disk.snapshot_gib, {}, rate=wish.rate) for disk in wish.image.others]
    for device, volume in devices_of(wish):
        speed = {"Iops": volume.iops, "Throughput": volume.throughput}
        found.append(_disk(device, volume.gib, speed, is_kept=volume.is_kept))
    return found


def _disk(
    device: str, gib: int, speed: Mapping[str, int | None], *, rate: int | None = None, is_kept: bool = False
) -> Request:
    """Return the mapping of a gp3 disk; EC2 takes a rate only for one that is made from a snapshot."""
    ebs = {"VolumeType": "gp3", "VolumeSize": gib, "Encrypted": True, "DeleteOnTermination": not is_kept}
    more = {**speed, "VolumeInitializationRate": rate}
    return {"DeviceName": device, "Ebs": ebs | {name: value for name, value in more.items() if value is not None}}


def _interfaces(wish: CloudWish) -> list[Request]:
    """Return the primary interface, and one more for each further card with an EFA; those have no address of their own."""
    shared: Request = {"Groups": list(wish.groups), "DeleteOnTermination": True}
    if wish.subnet:
        shared["SubnetId"] = wish.subnet
    first: Request = {"DeviceIndex": 0, **shared}
    if 0 in wish.efa_cards:
        first["InterfaceType"] = "efa"
    others = sorted({*wish.efa_cards} - {0})
    if not others:
        first["AssociatePublicIpAddress"] = wish.public_address  # said either way: a subnet may give one unasked
        return [first]
    first["NetworkCardIndex"] = 0
    return [
        first,
        *({"DeviceIndex": 1, "NetworkCardIndex": card, "InterfaceType": "efa-only", **shared} for card in others),
    ]


def _tags(wish: CloudWish) -> list[Request]:
    """Return the tags of everything that the call makes, in the call: what is made and not tagged is found by nobody."""
    kinds = ["instance", "volume", "network-interface"]
    kinds += ["spot-instances-request"] if wish.market == "spot" else []
    tags = sorted({**wish.tags, TTL_TAG: str(wish.ttl_s)}.items())
    return [{"ResourceType": kind, "Tags": [{"Key": key, "Value": value} for key, value in tags]} for kind in kinds]


def write_request(request: Mapping[str, Any]) -> str:
    """Write a request as JSON, always the same for the same request; for the journal, and to be digested."""
    return json.dumps(
        request, default=_encode, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )


def _encode(value: object) -> Mapping[str, str]:
    if isinstance(value, bytes):
        return {_BYTES: base64.b64encode(value).decode("ascii")}
    raise TypeError(f"a request holds texts, numbers and bytes, got {type(value).__name__}")


def read_request(text: str) -> Request:
    """Read what `write_request` wrote."""
    found: Request = json.loads(text, object_hook=_decode)
    return found


def _decode(value: dict[str, Any]) -> Any:
    return base64.b64decode(value[_BYTES]) if set(value) == {_BYTES} else value


def digest_request(request: Mapping[str, Any]) -> str:
    """Return the sha256 of a request in its one written form, in hex; a ClientToken is no part of what is meant."""
    meant = {name: value for name, value in request.items() if name != "ClientToken"}
    return hashlib.sha256(write_request(meant).encode("ascii")).hexdigest()


def token_of(
    operation_id: str, request_digest: str, *, region: str, zone: str, type_name: str, market: str, attempt: int
) -> str:
    """Return the ClientToken of one attempt at one rung: 64 letters of ASCII, as many as EC2 takes.

    The same for every retry of the call. `attempt` goes up only after what the last one made is proven to be gone: EC2
    answers a token that it knows with the dead instance, and takes it in another zone for a launch of its own.
    """
    parts = [operation_id, request_digest, region, zone, type_name, market, attempt]
    return hashlib.sha256(json.dumps(parts, ensure_ascii=True).encode("ascii")).hexdigest()
