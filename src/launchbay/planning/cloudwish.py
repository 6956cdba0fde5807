"""What a launch on EC2 means, as values, and whether it can be. Pure."""

from __future__ import annotations

import math
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from launchbay.errors import UsageError
from launchbay.spec.names import check_count
from launchbay.units import parse_duration

__all__ = ["TTL_TAG", "CloudImage", "CloudWish", "ImageDisk", "Volume", "check_wish", "devices_of", "parse_lease"]

TTL_TAG = "launchbay:ttl-s"
"""The tag that says for how many seconds an instance may live; with its launch time, anybody can see what is overdue."""

MOST_TAGS, LONGEST_KEY, LONGEST_VALUE = 50, 128, 256  # EC2's limits for each resource
LEAST_TTL_S, MOST_TTL_S = 60, 365 * 86_400
MOST_USER_DATA = 16 * 1024
"""Bytes of user data, before they are encoded. From EC2's user guide."""

_GP3_GIB = (1, 65_536)
_GP3_IOPS = (3000, 80_000)
_GP3_MIB_S = (125, 2000)
_IOPS_A_GIB, _IOPS_A_MIB_S = 500, 4
_RATE = (100, 300)
"""Bounds of gp3 and of the initialisation rate, as botocore's model of EC2 has them; the ratios from the EBS user guide."""

_DEVICES = tuple(f"/dev/sd{letter}" for letter in "fghijklmnop")
"""The names that EC2 recommends for volumes of one's own."""
_HIDING = {
    "/bin",
    "/boot",
    "/etc",
    "/home",
    "/home/ec2-user",
    "/home/ubuntu",
    "/lib",
    "/lib64",
    "/opt",
    "/root",
    "/sbin",
}
_HIDING |= {"/usr", "/var", "/var/lib"}
_KERNELS = ("/dev/", "/proc/", "/run/", "/sys/")
"""Where a volume would hide what is there: the system, its users' keys, a Deep Learning AMI's own environments."""

_PATTERNS = {
    "region": r"[a-z]{2,4}(-[a-z]+){1,3}-[0-9]{1,2}",
    "type": r"[a-z][a-z0-9-]*\.[a-z0-9-]+",
    "subnet": r"(subnet-[0-9a-f]{8,17})?",
    "key_name": r"[ -~]{0,255}",
    "placement_group": r"[ -~]{0,255}",
    "profile": r"(arn:[ -~]{1,2000}|[A-Za-z0-9+=,.@_-]{1,128})?",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageDisk:
    """A disk that an AMI maps: the device that it is under, and the size in GiB of the snapshot that it is made from."""

    device: str
    snapshot_gib: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudImage:
    """An AMI as DescribeImages shows it: its root under RootDeviceName, what else it maps, and ``x86_64`` or ``arm64``."""

    id: str
    root: ImageDisk
    architecture: str
    others: tuple[ImageDisk, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A disk more, empty, of `gib` GiB, and where it is mounted. One that `is_kept` outlives its instance, and goes on costing.

    `iops` a second and `throughput` in MiB/s: None for what every gp3 disk has (3000 and 125).
    """

    gib: int
    mount: str
    is_kept: bool = False
    iops: int | None = None
    throughput: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudWish:
    """Everything that a launch on EC2 means, decided before the first call: the same wish is always the same request.

    `zone` says where; a `subnet` has to lie in it. `market` is ``on-demand`` or ``spot``. `root_gib` is None for what the
    image needs, `rate` at how many MiB/s disks are filled from their snapshots, which costs extra (None: whenever they are
    read). `efa_cards` are the network cards that get an EFA. `profile` is an instance profile's name or ARN. A lease ends
    after `ttl_s` seconds. `extra` are parameters of a launch template that no field stands for: over our own defaults, and
    under all that the fields say.
    """

    region: str
    zone: str
    image: CloudImage
    type: str
    groups: tuple[str, ...]
    ttl_s: int
    count: int = 1
    market: str = "on-demand"
    subnet: str = ""
    root_gib: int | None = None
    root_iops: int | None = None
    root_throughput: int | None = None
    rate: int | None = None
    volumes: tuple[Volume, ...] = ()
    public_address: bool = False
    profile: str = ""
    key_name: str = ""
    user_data: bytes = b""
    placement_group: str = ""
    efa_cards: tuple[int, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    is_ebs_optimized: bool = True
    extra: Mapping[str, Any] = field(default_factory=dict)


def parse_lease(text: str, *, hint: str) -> int:
    """Read for how long something may live as whole seconds, rounded up. Raises UsageError, with what was typed and the hint."""
    try:
        seconds = math.ceil(parse_duration(text))
    except UsageError as error:
        raise UsageError(error.what, hint=hint) from error
    if not LEAST_TTL_S <= seconds <= MOST_TTL_S:
        raise UsageError(f"a lease must be 60 seconds to 365 days, got {text!r}", hint=hint)
    return seconds


def check_wish(wish: CloudWish) -> CloudWish:
    """Return a wish that EC2 could take. Raises UsageError for what cannot be, naming the field and what to do."""
    check_count(wish.count)
    _check_place(wish)
    if not LEAST_TTL_S <= wish.ttl_s <= MOST_TTL_S:
        raise UsageError(f"a lease must be 60 seconds to 365 days, got {wish.ttl_s} seconds", hint="--ttl 8h")
    if wish.market not in ("on-demand", "spot"):
        raise UsageError(f"market must be on-demand or spot, got {wish.market!r}", hint="--market spot")
    if wish.rate is not None and not _RATE[0] <= wish.rate <= _RATE[1]:
        what = f"disks are filled at {_RATE[0]} to {_RATE[1]} MiB/s, got {wish.rate}"
        raise UsageError(what, hint="300, or none: each block when it is first read")
    if len(wish.user_data) > MOST_USER_DATA:
        what = f"user data must be at most {MOST_USER_DATA} bytes, got {len(wish.user_data)}"
        raise UsageError(what, hint="gzip it, or fetch what is large from the store")
    _check_network(wish)
    _check_root(wish)
    _check_volumes(wish)
    _check_tags(wish)
    return wish


def _check_place(wish: CloudWish) -> None:
    for name, pattern in _PATTERNS.items():
        value = getattr(wish, name)
        if not re.fullmatch(pattern, value, re.ASCII):
            raise UsageError(f"{name.replace('_', ' ')} {value!r} is none of EC2's")
    if not re.fullmatch(r"ami-[0-9a-f]{8,17}", wish.image.id, re.ASCII):
        raise UsageError(f"an image of EC2 must look like ami-0123456789abcdef0, got {wish.image.id!r}")
    if not re.fullmatch(rf"{wish.region}([a-z]|-[a-z0-9-]+)", wish.zone, re.ASCII):
        raise UsageError(f"zone {wish.zone!r} is not in {wish.region}", hint=f"--zone {wish.region}a")


def _check_network(wish: CloudWish) -> None:
    if not wish.groups:
        what = "a launch without a security group gets the default one of the network, whose rules are not ours"
        raise UsageError(what, hint="name a group; `bay launch` makes one of its own")
    for group in wish.groups:
        if not re.fullmatch(r"sg-[0-9a-f]{8,17}", group, re.ASCII):
            raise UsageError(f"a security group must look like sg-0123456789abcdef0, got {group!r}")
    if len(set(wish.efa_cards)) < len(wish.efa_cards) or any(card < 0 for card in wish.efa_cards):
        raise UsageError(f"network cards count from 0 and take one EFA each, got {', '.join(map(str, wish.efa_cards))}")
    if wish.public_address and set(wish.efa_cards) - {0}:
        what = f"EC2 gives no public address to an instance with {len({0, *wish.efa_cards})} network interfaces"
        raise UsageError(what, hint="leave it out, and reach it by Instance Connect Endpoint or Session Manager")


def _check_root(wish: CloudWish) -> None:
    root, asked = wish.image.root, wish.root_gib
    if not root.device:
        raise UsageError(f"image {wish.image.id} has no root device, so no disk can be sized")
    if asked is not None and asked < root.snapshot_gib:
        what = f"a disk of {asked} GiB is smaller than the image's snapshot of {root.snapshot_gib} GiB"
        raise UsageError(what, where=wish.image.id, hint=f"--disk {root.snapshot_gib}GiB or more")
    if asked is not None:
        _check_size("the root disk", asked)
    _check_speed("the root disk", max(asked or 0, root.snapshot_gib), wish.root_iops, wish.root_throughput)


def _check_volumes(wish: CloudWish) -> None:
    seen: dict[str, str] = {}
    for volume in wish.volumes:
        plain = posixpath.normpath(volume.mount)
        if not volume.mount.startswith("/") or plain in ("/", "//") or not volume.mount.isprintable():
            raise UsageError(f"a volume must be mounted at a path such as /data, got {volume.mount!r}")
        plain = "/" + plain.lstrip("/")
        if plain in _HIDING or f"{plain}/".startswith(_KERNELS):
            raise UsageError(f"a volume at {volume.mount} would hide what the system has there", hint="/data")
        if plain in seen:
            raise UsageError(f"two volumes are mounted at {plain}", hint=f"{plain}-2 for one of them")
        seen[plain] = volume.mount
        _check_size(f"the volume at {plain}", volume.gib)
        _check_speed(f"the volume at {plain}", volume.gib, volume.iops, volume.throughput)
    free = list(_free_devices(wish.image))
    if len(wish.volumes) > len(free):
        raise UsageError(f"an instance has room for {len(free)} more volumes, got {len(wish.volumes)}")


def _check_size(what: str, gib: int) -> None:
    low, high = _GP3_GIB
    if not low <= gib <= high:
        raise UsageError(f"{what} must be {low} to {high} GiB, got {gib}", hint="--disk 200GiB")


def _check_speed(what: str, gib: int, iops: int | None, throughput: int | None) -> None:
    if iops is not None and not _GP3_IOPS[0] <= iops <= min(_GP3_IOPS[1], max(_GP3_IOPS[0], gib * _IOPS_A_GIB)):
        most = min(_GP3_IOPS[1], max(_GP3_IOPS[0], gib * _IOPS_A_GIB))
        raise UsageError(f"{what} of {gib} GiB can have {_GP3_IOPS[0]} to {most} operations a second, got {iops}")
    most = min(_GP3_MIB_S[1], (iops or _GP3_IOPS[0]) // _IOPS_A_MIB_S)
    if throughput is not None and not _GP3_MIB_S[0] <= throughput <= most:
        operations = iops or _GP3_IOPS[0]
        had = f"{what} with {operations} operations a second can have {_GP3_MIB_S[0]} to {most} MiB/s"
        raise UsageError(f"{had}, got {throughput}", hint=f"{throughput * _IOPS_A_MIB_S} operations a second for that")


def _check_tags(wish: CloudWish) -> None:
    count = len({*wish.tags, TTL_TAG})
    if count > MOST_TAGS:
        raise UsageError(f"a resource can have {MOST_TAGS} tags, got {count} with Launchbay's own")
    if TTL_TAG in wish.tags and wish.tags[TTL_TAG] != str(wish.ttl_s):
        raise UsageError(f"the tag {TTL_TAG} is Launchbay's own, got {wish.tags[TTL_TAG]!r}", hint="--ttl 8h")
    for key, value in wish.tags.items():
        if not 1 <= len(key) <= LONGEST_KEY or not key.isprintable():
            what = f"a tag's key must be 1 to {LONGEST_KEY} printable letters, got {len(key)}: {key[:40]!r}"
            raise UsageError(what)
        if key.casefold().startswith("aws:"):
            raise UsageError(f"tags beginning with aws: are AWS's own, got {key!r}", hint="another key")
        if len(value) > LONGEST_VALUE or not value.isprintable():
            what = f"a tag's value must be at most {LONGEST_VALUE} printable letters, got {len(value)} in {key!r}"
            raise UsageError(what)


def devices_of(wish: CloudWish) -> Sequence[tuple[str, Volume]]:
    """Return the device name that each volume is mapped under, in the order of the wish; the image's own are left alone."""
    return tuple(zip(_free_devices(wish.image), wish.volumes, strict=False))


def _free_devices(image: CloudImage) -> Iterator[str]:
    taken = {disk.device.replace("/dev/xvd", "/dev/sd") for disk in (image.root, *image.others)}
    return (device for device in _DEVICES if device not in taken)
