"""The disks of a launch, decided: what the image maps, what the call adds, changes or leaves out, and whether EC2 would take it.

Pure: snapshots come in as sizes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from launchbay.twin.call import Refused

__all__ = ["Disk", "Snapshots", "check_volume", "decide", "disk_of"]

Snapshots = Mapping[str, tuple[int, bool]]
"""Size in GiB of each snapshot, and whether it is encrypted."""

_SIZES = {
    "gp2": (1, 16_384),
    "gp3": (1, 65_536),
    "io1": (4, 16_384),
    "io2": (4, 65_536),
    "sc1": (125, 16_384),
    "st1": (125, 16_384),
    "standard": (1, 1024),
}
_IOPS = {"gp3": (3000, 80_000, 500), "io1": (100, 64_000, 50), "io2": (100, 256_000, 1000)}
"""Least and most of the types that can be asked for so many operations a second, and how many a GiB may have."""

_THROUGHPUT = (125, 2000)
_INITIALIZATION = (100, 300)
_FREE_IOPS = 3000


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """A volume as it will be: `size` in GiB, `iops` a second, `throughput` and `initialization` in MiB/s; None for not set."""

    device: str
    size: int
    type: str
    snapshot: str | None
    is_encrypted: bool
    ends_with_instance: bool
    key: str | None = None
    iops: int | None = None
    throughput: int | None = None
    initialization: int | None = None


def decide(
    image: Sequence[Mapping[str, Any]],
    asked: Sequence[Mapping[str, Any]],
    snapshots: Snapshots,
    *,
    is_encrypted: bool = False,
) -> tuple[Disk, ...]:
    """Return the disks of a launch, the root first: the image's mappings with what the call changes of them, then its own.

    `is_encrypted` is the account's default. Raises Refused for what cannot be.
    """
    merged: dict[str, dict[str, Any]] = {
        str(item["DeviceName"]): {"DeleteOnTermination": True, **item["Ebs"]} for item in image if item.get("Ebs")
    }
    for item in asked:
        device = str(item.get("DeviceName", ""))
        if not device:
            raise Refused("MissingParameter", "The request must contain the parameter deviceName")
        if "NoDevice" in item:
            merged.pop(device, None)
        elif "Ebs" in item:
            merged[device] = _merge(merged.get(device, {"DeleteOnTermination": True}), item["Ebs"])
    return tuple(disk_of(device, ebs, snapshots, is_encrypted=is_encrypted) for device, ebs in merged.items())


def _merge(base: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return a mapping with what a call changes of it; operations belong to a type, and go with it."""
    kept = dict(base)
    if asked.get("VolumeType", kept.get("VolumeType")) != kept.get("VolumeType"):
        kept.pop("Iops", None)
        kept.pop("Throughput", None)
    if asked.get("SnapshotId", kept.get("SnapshotId")) != kept.get("SnapshotId"):
        kept.pop("VolumeSize", None)
    return {**kept, **asked}


def disk_of(device: str, ebs: Mapping[str, Any], snapshots: Snapshots, *, is_encrypted: bool = False) -> Disk:
    """Return the disk that a mapping stands for, with EC2's defaults. Raises Refused for what cannot be."""
    snapshot = ebs.get("SnapshotId") or None
    if snapshot and snapshot not in snapshots:
        raise Refused("InvalidSnapshot.NotFound", f"The snapshot '{snapshot}' does not exist.")
    least, is_from_encrypted = snapshots[snapshot] if snapshot else (0, False)
    size = int(ebs.get("VolumeSize") or least)
    if not size:
        raise Refused("MissingParameter", "The request must contain the parameter size or snapshotId")
    if size < least:
        what = f"Volume of size {size}GB is smaller than snapshot '{snapshot}', expect size >= {least}GB"
        raise Refused("InvalidBlockDeviceMapping", what)
    kind = str(ebs.get("VolumeType") or "gp2")
    iops, throughput = ebs.get("Iops"), ebs.get("Throughput")
    check_volume(kind, size=size, iops=iops, throughput=throughput, initialization=ebs.get("VolumeInitializationRate"))
    return Disk(
        device=device,
        size=size,
        type=kind,
        snapshot=snapshot,
        is_encrypted=bool(ebs.get("Encrypted")) or is_from_encrypted or is_encrypted,
        ends_with_instance=bool(ebs.get("DeleteOnTermination", False)),
        key=ebs.get("KmsKeyId"),
        iops=iops or _usual_iops(kind, size),
        throughput=(throughput or _THROUGHPUT[0]) if kind == "gp3" else None,
        initialization=ebs.get("VolumeInitializationRate"),
    )


def _usual_iops(kind: str, size: int) -> int | None:
    if kind == "gp3":
        return _FREE_IOPS
    return min(max(100, 3 * size), 16_000) if kind == "gp2" else None


def check_volume(
    kind: str, *, size: int, iops: int | None = None, throughput: int | None = None, initialization: int | None = None
) -> None:
    """Judge what a volume of a type is asked to have. Raises Refused."""
    if kind not in _SIZES:
        raise Refused("UnknownVolumeType", f"Unsupported volume type '{kind}' for volume creation.")
    low, high = _SIZES[kind]
    if not low <= size <= high:
        bound, word = (low, "small") if size < low else (high, "large")
        end = "minimum" if size < low else "maximum"
        raise Refused(
            "InvalidParameterValue", f"Volume of {size}GiB is too {word} for volume type {kind}; {end} is {bound}GiB."
        )
    if iops is not None:
        _check_iops(kind, size, iops)
    elif kind in ("io1", "io2"):
        raise Refused("MissingParameter", "The request must contain the parameter iops")
    if throughput is not None:
        _check_throughput(kind, throughput, iops or _FREE_IOPS)
    low, high = _INITIALIZATION
    if initialization is not None and not low <= initialization <= high:
        what = f"VolumeInitializationRate must be between {low} and {high} MiB/s, got {initialization}."
        raise Refused("InvalidParameterValue", what)


def _check_iops(kind: str, size: int, iops: int) -> None:
    if kind not in _IOPS:
        raise Refused("InvalidParameterCombination", f"The parameter iops is not supported for {kind} volumes.")
    low, high, per_gib = _IOPS[kind]
    if not low <= iops <= high:
        word, end, bound = ("low", "minimum", low) if iops < low else ("high", "maximum", high)
        raise Refused("InvalidParameterValue", f"Volume iops of {iops} is too {word}; {end} is {bound}.")
    if iops > max(per_gib * size, low):
        what = f"Iops to volume size ratio of {iops / size:.6f} is too high; maximum is {per_gib}"
        raise Refused("InvalidParameterValue", what)


def _check_throughput(kind: str, throughput: int, iops: int) -> None:
    if kind != "gp3":
        raise Refused("InvalidParameterCombination", "throughput can only be specified for volumeType gp3.")
    low, high = _THROUGHPUT
    if not low <= throughput <= high:
        word, end, bound = ("low", "minimum", low) if throughput < low else ("high", "maximum", high)
        raise Refused("InvalidParameterValue", f"Throughput of {throughput} MiB/s is too {word}; {end} is {bound}.")
    if throughput > iops / 4:
        what = f"Throughput (MiBps) to iops ratio of {throughput / iops:.6f} is too high; maximum is 0.250000 MiBps per iops"
        raise Refused("InvalidParameterValue", what)
