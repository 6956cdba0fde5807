"""Launch templates: what a company's says, under what is asked for and over our own defaults; and one that says a wish. Pure.

What is launched is written out in full: a template that changes between the check and the call changes nothing.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from typing import Any

from launchbay.errors import UsageError
from launchbay.planning.cloudwish import CloudImage

__all__ = [
    "TemplateSaid",
    "join_user_data",
    "merge_extra",
    "read_disks",
    "read_said",
    "split_reference",
    "template_data",
]

_ID = re.compile(r"lt-[0-9a-f]{8,17}\Z")
_NAME = re.compile(r"[a-zA-Z0-9().\-/_]{3,128}\Z")
_VERSION = re.compile(r"([1-9][0-9]*|\$Latest|\$Default)\Z")

_KEPT = (
    "CapacityReservationSpecification",
    "CpuOptions",
    "CreditSpecification",
    "EnclaveOptions",
    "LicenseSpecifications",
    "MaintenanceOptions",
    "MetadataOptions",
    "Monitoring",
    "NetworkPerformanceOptions",
    "PrivateDnsNameOptions",
)
"""What is taken over as it stands, for no field of a wish is about it."""
_READ = (
    "BlockDeviceMappings",
    "EbsOptimized",
    "IamInstanceProfile",
    "ImageId",
    "InstanceMarketOptions",
    "InstanceType",
    "KeyName",
    "NetworkInterfaces",
    "Placement",
    "SecurityGroupIds",
    "TagSpecifications",
    "UserData",
)
_PLACES = ("AvailabilityZone", "GroupName")
_INTERFACE: tuple[str, ...] = (
    "AssociatePublicIpAddress",
    "DeleteOnTermination",
    "Description",
    "DeviceIndex",
    "Groups",
    "InterfaceType",
)
_INTERFACE += ("NetworkCardIndex", "SubnetId")
_ENCRYPTION = ("Encrypted", "KmsKeyId")
_DISK = (*_ENCRYPTION, "DeleteOnTermination")
_ROOT = (*_DISK, "Iops", "Throughput", "VolumeSize")
_ONLY_IN_A_CALL = ("ClientToken", "MaxCount", "MinCount")


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateSaid:
    """What a version of a launch template says; empty, None or 0 where it says nothing. `id` and `version` are those read.

    `disks` are its block devices by name, `extra` all that no field of a wish stands for.
    """

    id: str
    version: int
    name: str = ""
    type: str = ""
    machine_image: str = ""
    zone: str = ""
    subnet: str = ""
    groups: tuple[str, ...] = ()
    key_name: str = ""
    profile: str = ""
    placement_group: str = ""
    is_spot: bool = False
    public_address: bool | None = None
    disks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    user_data: bytes = b""
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def shown(self) -> str:
        """What it is called: ``gpu-box (lt-0123456789abcdef0) version 3``."""
        return f"{self.name} ({self.id}) version {self.version}" if self.name else f"{self.id} version {self.version}"


def split_reference(text: str) -> Mapping[str, str]:
    """Return what names a template in a call of EC2: ``lt-0123456789abcdef0``, ``gpu-box`` or ``gpu-box:3``.

    The version is the template's default one where none is said. Raises UsageError for what is no name.
    """
    name, colon, version = text.partition(":")
    if not (_ID.match(name) or _NAME.match(name)) or (colon and not _VERSION.match(version)):
        what = f"a launch template must look like lt-0123456789abcdef0, NAME or NAME:VERSION, got {text[:60]!r}"
        raise UsageError(what, hint="--template gpu-box:3; versions are numbers, $Latest or $Default")
    key = "LaunchTemplateId" if _ID.match(name) else "LaunchTemplateName"
    return {key: name, "Version": version or "$Default"}


def read_said(data: Mapping[str, Any], *, id: str, version: int, name: str = "") -> TemplateSaid:  # noqa: A002 - EC2's word
    """Read what a template's version says, as DescribeLaunchTemplateVersions shows it.

    Raises UsageError for what a launch of ours cannot keep to: what would be left out in silence is refused, and so is what
    would keep an instance alive after its lease.
    """
    where = f"{name or id}:{version}"
    if wrong := next(_impossible(data), ""):
        raise UsageError(f"the launch template {wrong}", where=where, hint="another version of it without that")
    interface: Mapping[str, Any] = next(iter(data.get("NetworkInterfaces") or ()), {})
    profile, placement = data.get("IamInstanceProfile") or {}, data.get("Placement") or {}
    return TemplateSaid(
        id=id,
        version=version,
        name=name,
        type=data.get("InstanceType", ""),
        machine_image=data.get("ImageId", ""),
        zone=placement.get("AvailabilityZone", ""),
        subnet=interface.get("SubnetId", ""),
        groups=tuple(interface.get("Groups") or data.get("SecurityGroupIds") or ()),
        key_name=data.get("KeyName", ""),
        profile=profile.get("Arn") or profile.get("Name") or "",
        placement_group=placement.get("GroupName", ""),
        is_spot=(data.get("InstanceMarketOptions") or {}).get("MarketType") == "spot",
        public_address=interface.get("AssociatePublicIpAddress"),
        disks={item["DeviceName"]: item.get("Ebs", {}) for item in data.get("BlockDeviceMappings") or ()},
        tags=_tags(data.get("TagSpecifications") or ()),
        user_data=_user_data(data.get("UserData", ""), where),
        extra={key: data[key] for key in _KEPT if data.get(key)},
    )


def _impossible(data: Mapping[str, Any]) -> Iterator[str]:
    unknown = sorted(key for key, value in data.items() if key not in (*_KEPT, *_READ, *_JUDGED) and value)
    if data.get("InstanceInitiatedShutdownBehavior") == "stop":
        yield "lets an instance that shuts itself down only stop, so that its lease could not end it"
    for key in ("DisableApiTermination", "DisableApiStop"):
        if data.get(key):
            yield f"protects instances ({key}), so that neither a lease nor `bay terminate` could end them"
    if data.get("SecurityGroups"):
        yield "names security groups by name, which EC2 takes in a default network only: SecurityGroupIds names them by id"
    if unknown:
        yield f"says {', '.join(unknown)}, which a launch of Launchbay does not carry"
    if len(data.get("NetworkInterfaces") or ()) > 1:
        yield "has more than one network interface"
    for item in data.get("NetworkInterfaces") or ():
        if beyond := sorted(key for key, value in item.items() if key not in _INTERFACE and value):
            yield f"says {', '.join(beyond)} of its network interface, which cannot be shared by several instances here"
    if beyond := sorted(
        key
        for key, value in (data.get("Placement") or {}).items()
        if key not in _PLACES and value not in (None, "", "default")
    ):
        yield f"says {', '.join(beyond)} of the placement"
    options = (data.get("InstanceMarketOptions") or {}).get("SpotOptions") or {}
    if options.get("SpotInstanceType") == "persistent" or options.get("InstanceInterruptionBehavior") in (
        "stop",
        "hibernate",
    ):
        yield "asks for spot instances that come back, which would go on after their lease"
    for item in data.get("BlockDeviceMappings") or ():
        if (item.get("Ebs") or {}).get("DeleteOnTermination") is False:
            yield f"keeps the disk {item['DeviceName']} when its instance ends, which goes on costing"


_JUDGED = ("DisableApiStop", "DisableApiTermination", "InstanceInitiatedShutdownBehavior", "SecurityGroups")


def _tags(specifications: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the tags that it gives to instances; those of volumes alone come under them."""
    found: dict[str, str] = {}
    for item in sorted(specifications, key=lambda item: item.get("ResourceType") == "instance"):
        if item.get("ResourceType") in ("instance", "volume", "network-interface", "spot-instances-request"):
            found |= {tag["Key"]: tag.get("Value", "") for tag in item.get("Tags", ())}
    return found


def _user_data(text: str, where: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise UsageError("the launch template's user data is not in base64", where=where) from error


def join_user_data(ours: bytes, theirs: bytes) -> bytes:
    """Return user data that does both, in this order: each is a part of a MIME archive, as cloud-init takes it.

    Always the same for the same input. Raises UsageError for one that is no text that cloud-init would know.
    """
    if not theirs:
        return ours
    if theirs[:2] == b"\x1f\x8b" or theirs.lstrip()[:13].lower().startswith((b"content-type:", b"mime-version:")):
        what = (
            "the launch template's user data is an archive of several parts or packed, and cannot be joined with ours"
        )
        raise UsageError(what, hint="a plain script (#!...) or #cloud-config in the template")
    joined = MIMEMultipart(boundary="==launchbay==")
    for data, name in ((ours, "launchbay"), (theirs, "template")):
        kind = "cloud-config" if data.startswith(b"#cloud-config") else "x-shellscript"
        if not data.startswith((b"#!", b"#cloud-config")):
            what = f"the launch template's user data begins with {data[:20]!r}, which is neither a script nor #cloud-config"
            raise UsageError(what, hint="#! in its first line")
        part = MIMEText(data.decode(), kind, "utf-8")
        part.replace_header("Content-Transfer-Encoding", "8bit")
        part.set_payload(data.decode())
        part.add_header("Content-Disposition", "attachment", filename=name)
        joined.attach(part)
    return joined.as_bytes()


def merge_extra(request: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of RunInstances with what a template says beyond a wish, over the defaults in them.

    Of options with several parts only those parts change that it says. ``disks`` says something of block devices by name.
    """
    merged = dict(request)
    for key, value in extra.items():
        if key == "disks":
            merged["BlockDeviceMappings"] = [
                {**item, "Ebs": {**item["Ebs"], **value.get(item["DeviceName"], {})}}
                for item in request["BlockDeviceMappings"]
            ]
        elif isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = {**merged[key], **value}
        else:
            merged[key] = value
    return merged


def read_disks(
    said: TemplateSaid, image: CloudImage, *, has_volumes: bool
) -> tuple[Mapping[str, Any], Mapping[str, Mapping[str, Any]]]:
    """Return what a template says of the root disk, and how disks are encrypted by their names in the image.

    Raises UsageError for a disk that it adds, unless the person has said which volumes there are (`has_volumes`), and for what
    nobody here can price.
    """
    known = {image.root.device: image.root, **{disk.device: disk for disk in image.others}}
    beyond = sorted(set(said.disks) - set(known))
    if beyond and not has_volumes:
        what = f"the launch template adds the disk {', '.join(beyond)}, and does not say where it is mounted"
        raise UsageError(what, where=said.shown, hint="--volume GIB:MOUNT says all added disks anew")
    for device, disk in said.disks.items():
        allowed = _ROOT if device == image.root.device else _DISK
        kind = disk.get("VolumeType", "gp3")
        strange = sorted(
            key for key, value in disk.items() if key not in (*allowed, "VolumeType") and value is not None
        )
        if device in known and (strange or kind != "gp3"):
            what = (
                f"the launch template says {', '.join(strange)} of"
                if strange
                else f"the launch template wants {kind} for"
            )
            raise UsageError(f"{what} the disk {device}; Launchbay launches gp3 disks", where=said.shown)
    encryption = {
        device: {key: disk[key] for key in _ENCRYPTION if disk.get(key) is not None}
        for device, disk in said.disks.items()
        if device in known
    }
    root = said.disks.get(image.root.device, {})
    return root, {device: more for device, more in encryption.items() if more}


def template_data(request: Mapping[str, Any], *, groups: Sequence[str], key_name: str) -> dict[str, Any]:
    """Return the data of a launch template that launches as a request does, one instance at a time.

    `groups` and `key_name` are the person's own; a fleet's own are gone with it, and are left out. So is its boot script,
    which holds a key, and the tags with which Launchbay knows what it made.
    """
    data = {key: value for key, value in request.items() if key not in (*_ONLY_IN_A_CALL, "KeyName", "UserData")}
    interfaces = [dict(item) for item in data.get("NetworkInterfaces", ())]
    for item in interfaces:
        item["Groups"] = list(groups)
        if not groups:
            del item["Groups"]
    data["NetworkInterfaces"] = interfaces
    if key_name:
        data["KeyName"] = key_name
    specifications = [
        {**item, "Tags": kept}
        for item in data.pop("TagSpecifications", ())
        if (kept := [tag for tag in item["Tags"] if not _is_ours(tag["Key"])])
    ]
    if specifications:
        data["TagSpecifications"] = specifications
    return data


def _is_ours(key: str) -> bool:
    return key.startswith("launchbay:") or key == "managed-by"
