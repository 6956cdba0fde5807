"""The images that the twin has, as values: the same in every region, under ids that follow from region and name.

They are kept as series (``data/images.json``, which says what of it is known and what is not): one name, several versions.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from importlib import resources
from typing import Any

__all__ = ["ImageVersion", "list_images", "named_parameters", "support_ends"]

_PUBLIC_YEARS = 2
"""After how many years a public image is deprecated by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageVersion:
    """One image, whatever the region. `charge` is what an hour of it costs beside the instance, in US dollars, as text."""

    name: str
    description: str
    owner: str
    alias: str
    architecture: str
    device: str
    gib: int
    volume: str
    created: datetime
    product_code: str
    charge: str

    @property
    def deprecated(self) -> datetime:
        """When it goes out of sight."""
        return self.created.replace(year=self.created.year + _PUBLIC_YEARS)

    def id(self, region: str) -> str:
        """Return its id in a region."""
        return f"ami-0{self._digest(region, 'image')}"

    def snapshot_id(self, region: str) -> str:
        """Return the id of the snapshot behind it."""
        return f"snap-0{self._digest(region, 'snapshot')}"

    def _digest(self, region: str, kind: str) -> str:
        return hashlib.sha256(f"{region} {kind} {self.owner} {self.name} {self.architecture}".encode()).hexdigest()[:16]


@functools.cache
def _data() -> Mapping[str, Any]:
    data: Mapping[str, Any] = json.loads((resources.files("launchbay.twin") / "data" / "images.json").read_bytes())
    return data


def _versions(series: Mapping[str, Any]) -> list[ImageVersion]:
    """Return the versions of a series, the oldest first."""
    owner, alias = _data()["publishers"][series["publisher"]]
    return [
        ImageVersion(
            name=series["name"].format(version=version),
            description=series["description"].format(version=version),
            owner=owner,
            alias=alias,
            architecture=series["architecture"],
            device=series["device"],
            gib=series["gib"],
            volume=series.get("volume", "gp3"),
            created=_created(series["name"], day),
            product_code=series.get("product_code", ""),
            charge=series.get("charge", ""),
        )
        for version, day in sorted(series["versions"], key=lambda item: item[1])
    ]


def _created(name: str, day: str) -> datetime:
    """Return when a version was made: somewhen in its day, always the same."""
    second = int.from_bytes(hashlib.sha256(f"{name} {day}".encode()).digest()[:4]) % 86400
    return datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC) + timedelta(seconds=second)


@functools.cache
def list_images() -> Sequence[ImageVersion]:
    """Return all images."""
    return tuple(version for series in _data()["series"] for version in _versions(series))


@functools.cache
def named_parameters() -> Mapping[str, Sequence[ImageVersion]]:
    """Return the versions of an image, the newest last, by the public parameter that names the newest."""
    return {
        parameter: tuple(_versions(series))
        for series in sorted(_data()["series"], key=lambda series: str(series["name"]))
        for parameter in series["parameters"]
    }


def support_ends(name: str) -> date | None:
    """Return the last day on which an image of that name is patched: the earliest end of its framework and its system.

    None where no end is known. An image can be launched after it.
    """
    ends = [date.fromisoformat(day) for part, day in _data()["support_ends"].items() if part in name]
    return min(ends, default=None)
