"""An image as DescribeImages shows it, read as what a person compares. Pure.

Only what EC2 says is taken for true, and for Amazon's own images what Amazon has written about them. A name is what its
publisher chose: from a stranger's image nothing is read but the words of it, and one named like Amazon's says whose it is.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from launchbay.errors import UsageError
from launchbay.planning.cloudimage import (
    COMMUNITY,
    DIGEST_TAG,
    MANAGED_TAG,
    MARKETPLACE,
    OURS,
    OWN,
    QUICK_START,
    ListedImage,
)
from launchbay.planning.cloudwish import ImageDisk
from launchbay.planning.fit import read_families
from launchbay.planning.imagefacts import cuda_of, find_note, support_end

__all__ = ["read_image"]

_PUBLISHERS = {"898082745236": "Amazon", "137112412989": "Amazon", "099720109477": "Canonical"}
"""The accounts of Deep Learning AMIs, of Amazon Linux and of Ubuntu, as public answers of DescribeImages show them."""

_LOOKS: tuple[tuple[str, str], ...] = (
    (r"(aws )?deep learning\b", "Amazon"),
    (r"(al20\d\d-ami|amzn2?-ami)", "Amazon"),
    (r"(ubuntu/images|ubuntu-(pro|minimal)/)", "Canonical"),
)
_FRAMEWORK = re.compile(r"\b(PyTorch|TensorFlow|JAX|MXNet)[ -](\d+(?:\.\d+)+)", re.IGNORECASE)
_SYSTEMS: tuple[tuple[str, str], ...] = (
    (r"\(Ubuntu (\d\d\.\d\d)\)", "Ubuntu {}"),
    (r"\(Amazon Linux 2023\)|\Aal2023-ami", "Amazon Linux 2023"),
    (r"\(Amazon Linux 2\)|\Aamzn2-ami", "Amazon Linux 2"),
    (r"\Aubuntu/images/.*-(\d\d\.\d\d)-", "Ubuntu {}"),
)
_PLAIN = re.compile(r"al2023-ami-2023\.|ubuntu/images/hvm-ssd[^/]*/ubuntu-[a-z]+-\d\d\.\d\d-(amd64|arm64)-server-")
"""The names of systems without any driver; others of Amazon's have one or not, and their names do not say."""


def read_image(
    row: Mapping[str, Any], parameter: str | None = None, charge: Decimal | None = None, *, is_own: bool = False
) -> ListedImage:
    """Return an image as DescribeImages shows it. `is_own` says that the account that asked owns it.

    `parameter` is the SSM parameter that names it, `charge` what an hour of its product costs where somebody knows that:
    EC2 does not say. Raises UsageError for a row that is no image.
    """
    if not isinstance(row.get("ImageId"), str) or not row["ImageId"]:
        raise UsageError(f"an image of EC2 must have an ImageId, got {sorted(row)[:8]}")
    name, owner = str(row.get("Name", "")), str(row.get("OwnerId", ""))
    description, created = str(row.get("Description") or ""), _time(row.get("CreationDate"))
    tags = {str(tag["Key"]): str(tag["Value"]) for tag in row.get("Tags") or ()}
    kind = _kind(row, owner, tags, is_own=is_own)
    codes = tuple(sorted(str(code["ProductCodeId"]) for code in row.get("ProductCodes") or ()))
    return ListedImage(
        id=row["ImageId"],
        name=name,
        kind=kind,
        owner=owner,
        architecture=str(row.get("Architecture", "")),
        state=str(row.get("State", "")),
        description=description,
        created=created,
        deprecated=_time(row.get("DeprecationTime")),
        disks=_disks(row),
        root_device=row.get("RootDeviceName") or None,
        parameter=parameter,
        product_codes=codes,
        usd_per_hour=_charge(row, codes, charge),
        digest=tags.get(DIGEST_TAG) if kind == OURS else None,
        lookalike_of=_lookalike(name, kind, owner),
        tags=tags,
        source_instance=row.get("SourceInstanceId") or None,
        snapshots=tuple(disk["Ebs"]["SnapshotId"] for disk in _ebs(row) if disk["Ebs"].get("SnapshotId")),
        **_contents(name, description, kind, tags=tags, made=created.date() if created else None),
    )


def _kind(row: Mapping[str, Any], owner: str, tags: Mapping[str, str], *, is_own: bool) -> str:
    """Return whose an image is: by its owner alone. EC2 sets the alias, and nobody can choose it for himself."""
    if is_own:
        return OURS if tags.get(MANAGED_TAG) == "launchbay" and tags.get(DIGEST_TAG) else OWN
    alias = row.get("ImageOwnerAlias")
    if alias == "aws-marketplace":
        return MARKETPLACE
    return QUICK_START if alias == "amazon" or owner in _PUBLISHERS else COMMUNITY


def _lookalike(name: str, kind: str, owner: str) -> str | None:
    """Return who publishes under such a name, where this one is not theirs; letters that only look alike do not help."""
    plain = " ".join(unicodedata.normalize("NFKC", name).casefold().replace("_", " ").split())
    who = next((publisher for pattern, publisher in _LOOKS if re.match(pattern, plain)), None)
    is_theirs = kind in (QUICK_START, OURS, OWN) or _PUBLISHERS.get(owner) == who
    return None if is_theirs else who


def _charge(row: Mapping[str, Any], codes: Sequence[str], charge: Decimal | None) -> Decimal | None:
    """Return what an hour costs beside the instance: none for plain Linux of which nobody sells anything."""
    if charge is not None or codes:
        return charge
    return Decimal(0) if row.get("PlatformDetails") == "Linux/UNIX" else None


def _ebs(row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [disk for disk in row.get("BlockDeviceMappings") or () if disk.get("Ebs")]


def _disks(row: Mapping[str, Any]) -> tuple[ImageDisk, ...]:
    return tuple(
        ImageDisk(device=disk["DeviceName"], snapshot_gib=int(disk["Ebs"]["VolumeSize"]))
        for disk in _ebs(row)
        if disk["Ebs"].get("VolumeSize")
    )


def _time(text: object) -> datetime | None:
    """Return a time as EC2 writes those of images, ``2026-10-09T07:12:33.000Z``; None for none, or for another form."""
    if not isinstance(text, str) or not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _contents(name: str, description: str, kind: str, *, tags: Mapping[str, str], made: date | None) -> dict[str, Any]:
    """Return what is in an image, as far as whoever made it can be believed."""
    named = {found[1].casefold(): found[2] for found in _FRAMEWORK.finditer(name)}
    if kind == OURS:
        return _baked(tags, named)
    if kind != QUICK_START:
        return {"frameworks": named}
    frameworks = named or {found[1].casefold(): found[2] for found in _FRAMEWORK.finditer(description)}
    system = _system(name)
    is_deep = name.startswith("Deep Learning")
    is_neuron = is_deep and "Neuron" in name
    note = find_note(name, made) if is_deep else None
    minors = {key: ".".join(value.split(".")[:2]) for key, value in frameworks.items()}
    ends_by, is_whole = support_end(system, minors, has_more=is_neuron)
    may_have_driver = not is_neuron and not _PLAIN.match(name)
    return {
        "frameworks": frameworks,
        "system": system,
        "python": note.python if note else None,
        "cuda": (note.cuda if note else None) or (cuda_of(minors) if may_have_driver else None),
        "driver": (note.driver if note and not note.is_floor else None) if may_have_driver else "",
        "driver_floor": note.driver if note and may_have_driver else None,
        "facts_from": note.source if note else None,
        "families": read_families(description),
        "is_neuron": is_neuron,
        "support_ends": ends_by if is_whole else None,
        "ends_by": ends_by,
        "login": _login(system),
    }


def _system(name: str) -> str | None:
    for pattern, system in _SYSTEMS:
        if found := re.search(pattern, name):
            return system.format(*found.groups())
    return None


def _login(system: str | None) -> str | None:
    """Return who logs in: what AWS's guides give for their systems; remembered."""
    if system is None:
        return None
    return "ubuntu" if system.startswith("Ubuntu") else "ec2-user"


def _baked(tags: Mapping[str, str], named: Mapping[str, str]) -> dict[str, Any]:
    """Return what the tags of a baked image say: what was known of the image below it when it was baked."""
    said = {key.removeprefix("launchbay:"): value for key, value in tags.items() if key.startswith("launchbay:")}
    frameworks = dict(item.split("=", 1) for item in said.get("frameworks", "").split() if "=" in item)
    system = said.get("system")
    ends_by, is_whole = support_end(system, {})
    return {
        "frameworks": frameworks or named,
        "system": system,
        "python": said.get("python"),
        "cuda": said.get("cuda"),
        "driver": said.get("driver", "") if said.get("has-driver") == "no" else said.get("driver"),
        "driver_floor": said.get("driver-floor"),
        "families": tuple(said.get("families", "").split()),
        "is_neuron": said.get("neuron") == "yes",
        "support_ends": ends_by if is_whole else None,
        "ends_by": ends_by,
        "login": _login(system),
        "facts_from": said.get("base"),
    }
