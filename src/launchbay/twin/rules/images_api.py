"""Images: who sees which, by what filters, page by page; and the hourly charge of those that somebody sells."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from launchbay.twin.backend import ec2, tags_of
from launchbay.twin.call import Answer, Call, Refused
from launchbay.twin.filters import keep
from launchbay.twin.images import write_time
from launchbay.twin.paging import cut_page
from launchbay.twin.rule import Rule
from launchbay.twin.world import World

__all__ = ["CHARGES", "RULE", "SNAPSHOTS", "describe_image"]

_ID = re.compile(r"ami-([0-9a-f]{8}|[0-9a-f]{17})")
_FIELDS = {
    "architecture": "Architecture",
    "creation-date": "CreationDate",
    "description": "Description",
    "ena-support": "EnaSupport",
    "free-tier-eligible": "FreeTierEligible",
    "hypervisor": "Hypervisor",
    "image-id": "ImageId",
    "image-type": "ImageType",
    "is-public": "Public",
    "kernel-id": "KernelId",
    "manifest-location": "ImageLocation",
    "name": "Name",
    "owner-alias": "ImageOwnerAlias",
    "owner-id": "OwnerId",
    "platform": "Platform",
    "root-device-name": "RootDeviceName",
    "root-device-type": "RootDeviceType",
    "source-image-id": "SourceImageId",
    "source-image-region": "SourceImageRegion",
    "source-instance-id": "SourceInstanceId",
    "sriov-net-support": "SriovNetSupport",
    "state": "State",
    "virtualization-type": "VirtualizationType",
}
_DISK_FIELDS = {
    "delete-on-termination": "DeleteOnTermination",
    "encrypted": "Encrypted",
    "snapshot-id": "SnapshotId",
    "volume-size": "VolumeSize",
    "volume-type": "VolumeType",
}


def describe_image(image: Any) -> dict[str, Any]:
    """Return an image of moto's, the twin's own or one that the account made, in boto3's names."""
    created = image.creation_date
    described = {
        "Architecture": image.architecture,
        "BlockDeviceMappings": image.block_device_mappings,
        "BootMode": image.boot_mode,
        "CreationDate": write_time(created) if isinstance(created, datetime) else created,
        "DeprecationTime": getattr(image, "deprecation_time", None),
        "Description": image.description,
        "EnaSupport": getattr(image, "ena_support", True),
        "Hypervisor": image.hypervisor or "xen",
        "ImageId": image.id,
        "ImageLocation": image.image_location or f"{image.owner_id}/{image.name}",
        "ImageOwnerAlias": image.owner_alias,
        "ImageType": image.image_type,
        "ImdsSupport": getattr(image, "imds_support", None),
        "KernelId": image.kernel_id,
        "Name": image.name,
        "OwnerId": image.owner_id,
        "Platform": image.platform,
        "PlatformDetails": getattr(image, "platform_details", "Linux/UNIX"),
        "ProductCodes": [
            {"ProductCodeId": code, "ProductCodeType": "marketplace"} for code in sorted(image.product_codes)
        ],
        "Public": image.is_public,
        "RootDeviceName": image.root_device_name,
        "RootDeviceType": getattr(image, "root_device_type", "ebs"),
        "SourceImageId": getattr(image, "source_image_id", None),
        "SourceImageRegion": getattr(image, "source_image_region", None),
        "SourceInstanceId": image.source_instance_id,
        "SriovNetSupport": image.sriov,
        "State": image.state,
        "Tags": [{"Key": key, "Value": value} for key, value in tags_of(image).items()],
        "UsageOperation": getattr(image, "usage_operation", "RunInstances"),
        "VirtualizationType": image.virtualization_type or "hvm",
    }
    return {name: value for name, value in described.items() if value not in (None, [])}


def _describe(call: Call, world: World) -> Mapping[str, Any]:
    account = world.truth.settings.account
    names, owners = call.get("ImageIds") or (), call.get("Owners") or ()
    images = _named(call, account, names) if names else list(ec2(call.region).amis.values())
    users = call.get("ExecutableUsers") or ()
    now = write_time(world.now())
    shown = [
        describe_image(image)
        for image in images
        if _may_launch(image, account)
        and (not owners or _is_of(image, owners, account))
        and (not users or _is_for(image, users, account))
        and (names or call.get("IncludeDeprecated") or image.owner_id == account or not _is_deprecated(image, now))
    ]
    kept = keep(shown, call.get("Filters") or (), _values)
    page, following = cut_page(kept, call.get("NextToken"), call.get("MaxResults"))
    return {"Images": page, "NextToken": following}


def _named(call: Call, account: str, names: Sequence[str]) -> list[Any]:
    """Return images by their ids; one that was deregistered is left out, one that never was is an error."""
    backend = ec2(call.region)
    for name in names:
        if not _ID.fullmatch(name):
            expected = "" if name.startswith("ami-") else ' (expecting "ami-...")'
            raise Refused("InvalidAMIID.Malformed", f'Invalid id: "{name}"{expected}')
    missing = [
        name
        for name in dict.fromkeys(names)
        if name not in backend.deleted_amis and not (name in backend.amis and _may_launch(backend.amis[name], account))
    ]
    if missing:
        what = "image id" if len(missing) == 1 else "image ids"
        does = "does" if len(missing) == 1 else "do"
        raise Refused("InvalidAMIID.NotFound", f"The {what} '[{', '.join(missing)}]' {does} not exist")
    return [backend.amis[name] for name in dict.fromkeys(names) if name in backend.amis]


def _may_launch(image: Any, account: str) -> bool:
    return bool(image.owner_id == account or image.is_public or {"UserId": account} in image.launch_permissions)


def _is_of(image: Any, owners: Sequence[str], account: str) -> bool:
    """Say whether an image is of one of some owners, who go by account, alias or ``self``."""
    return any(
        owner in (image.owner_id, image.owner_alias) or (owner == "self" and image.owner_id == account)
        for owner in owners
    )


def _is_for(image: Any, users: Sequence[str], account: str) -> bool:
    """Say whether an image may be launched by somebody by an express permission: ``all``, ``self`` or an account."""
    wanted = [{"Group": "all"} if user == "all" else {"UserId": account if user == "self" else user} for user in users]
    return any(permission in wanted for permission in image.launch_permissions)


def _is_deprecated(image: Any, now: str) -> bool:
    since = getattr(image, "deprecation_time", None)
    return since is not None and str(since) <= now


def _values(row: Mapping[str, Any], name: str) -> list[str] | None:
    tags = {tag["Key"]: tag["Value"] for tag in row.get("Tags", ())}
    codes = row.get("ProductCodes", ())
    special = {
        "tag-key": list(tags),
        "product-code": [code["ProductCodeId"] for code in codes],
        "product-code.type": [code["ProductCodeType"] for code in codes],
    }
    if name in special:
        return special[name]
    kind, _, rest = name.partition(":" if name.startswith("tag:") else ".")
    if kind == "tag":
        return [tags[rest]] if rest in tags else []
    if kind == "block-device-mapping" and rest == "device-name":
        return [disk["DeviceName"] for disk in row["BlockDeviceMappings"]]
    if kind == "block-device-mapping" and rest in _DISK_FIELDS:
        return _texts(disk.get("Ebs", {}).get(_DISK_FIELDS[rest]) for disk in row["BlockDeviceMappings"])
    return _texts([row.get(_FIELDS[name])]) if name in _FIELDS else None


def _texts(values: Sequence[Any] | Iterator[Any]) -> list[str]:
    return [str(value).lower() if isinstance(value, bool) else str(value) for value in values if value is not None]


def _before(call: Call, world: World) -> Mapping[str, Any] | Answer | None:
    """Answer about images; the attributes of the account's own are moto's to tell."""
    if call.action == "DescribeImages":
        return _describe(call, world)
    account = world.truth.settings.account
    (image,) = _named(call, account, [str(call.get("ImageId", default=""))]) or (None,)
    if image is None:
        raise Refused("InvalidAMIID.Unavailable", f"The image ID '{call.get('ImageId')}' is no longer available")
    if image.owner_id != account:
        raise Refused("AuthFailure", "Unauthorized attempt to access restricted resource", status=403)
    return None


def _snapshots(call: Call, world: World) -> Call | Mapping[str, Any] | Answer | None:
    """Show the account its own snapshots only: those behind public images are not public."""
    account = world.truth.settings.account
    owners, names = call.get("OwnerIds") or (), call.get("SnapshotIds") or ()
    if owners and not {"self", account} & set(owners):
        return {"Snapshots": []}
    held = ec2(call.region).snapshots
    for name in names:
        if name not in held or held[name].owner_id != account:
            raise Refused("InvalidSnapshot.NotFound", f"The snapshot '{name}' does not exist.")
    own = {"Name": "owner-id", "Values": [account]}
    params = {key: value for key, value in call.params.items() if key != "OwnerIds"}
    return replace(call, params={**params, "Filters": [*(call.get("Filters") or ()), own]})


def _made(call: Call, world: World, made: Sequence[Any]) -> None:
    """Keep what an hour of an image costs that was just launched, for the bill."""
    images = ec2(call.region).amis
    for instance in made:
        charge = getattr(images.get(instance.image_id), "charge", "")
        if charge and Decimal(charge) > 0:
            world.truth.noted("image charges")[instance.image_id] = charge


RULE = Rule(
    name="images",
    on=frozenset({"ec2:DescribeImages", "ec2:DescribeImageAttribute"}),
    source="parameters, filters and fields verified in botocore's model; that a deprecated image is shown when asked for by its "
    "id, that attributes of others' images are refused, and messages are remembered",
    before=_before,
)
SNAPSHOTS = Rule(
    name="snapshots of images",
    on=frozenset({"ec2:DescribeSnapshots"}),
    source="remembered: who may launch a public image does not see its snapshots",
    before=_snapshots,
)
CHARGES = Rule(
    name="image charges",
    on=frozenset({"ec2:RunInstances", "ec2:CreateFleet", "ec2:RequestSpotInstances", "ec2:RequestSpotFleet"}),
    source="that images of the marketplace have an hourly charge beside the instance is seen in their pages; the charges here "
    "are invented",
    made=_made,
)
