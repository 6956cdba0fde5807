"""The wheels that the catalogue is built from: which they must be, and what lies where in them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from tools.catalogue_prices import Shape, Table
from tools.catalogue_types import Described, is_accelerated, merge_described

__all__ = [
    "LIBCLOUD_CLEAN",
    "LIBCLOUD_DOUBTFUL",
    "MOTO",
    "MOTO_DATE",
    "PINS",
    "Pin",
    "Sources",
    "download",
    "open_wheels",
    "read_sources",
]

MOTO = ("5.2.5", "5.2.0", "5.1.18", "5.1.0", "5.0.0", "4.0.13")
"""Newest first. The older ones still describe what EC2 has retired."""
MOTO_DATE = date(2026, 10, 27)
"""When 5.2.5 was published."""
LIBCLOUD_CLEAN = ("3.3.1", "3.4.1", "3.5.1")
LIBCLOUD_DOUBTFUL = ("3.6.1", "3.7.0", "3.8.0", "3.9.1")
"""Oldest first. 3.9.0 has the same table as 3.9.1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """A wheel, and what it must be."""

    package: str
    version: str
    sha256: str
    licence: str = "Apache-2.0"


PINS = tuple(
    Pin(package=package, version=version, sha256=sha256)
    for package, version, sha256 in (
        ("moto", "5.2.5", "eef62cdcf3bfe73e0863743511ba042dfaba04ba3d5ecdcb896a196c693ad528"),
        ("moto", "5.2.0", "d728d5c9c431e0f1043d907bebd663b09a9105c62380991068598a3799373a85"),
        ("moto", "5.1.18", "b65aa8fc9032c5c574415451e14fd7da4e43fd50b8bdcb5f10289ad382c25bcf"),
        ("moto", "5.1.0", "4fada00cedfba661aa58fe0b33b3ba9a0ef96d0e9937c9bed5163053898b4a27"),
        ("moto", "5.0.0", "1d01de681da1453335ec09ba43db521e577cbd58d25ddfb61e5965534b8be539"),
        ("moto", "4.0.13", "e73400c6d3fe06028aa7f07bb6f276f14260d289b70f38928a98e3d3d968352d"),
        ("apache-libcloud", "3.3.1", "c3722c4dd58b0ee4beaf4e615e0ba82505d9a915e55319dc84383687166a3eed"),
        ("apache-libcloud", "3.4.1", "af1a5b3cda7bc3220093726ff67dbb70928521e2ec19d0e33a31b1e22fde1850"),
        ("apache-libcloud", "3.5.1", "d71dcc5bdb7d795d4d1f64ff5e2e1badbbcd274700e4a2cf451defd04a2de565"),
        ("apache-libcloud", "3.6.1", "d01eee601b6367e711788c47a275ee717f23854f5267d9ba3b3e8ed3bb400e56"),
        ("apache-libcloud", "3.7.0", "027a9aff2c01db9c8e6f9f94b6eb44b3153d82702c42bfbe7af5624dabf1f950"),
        ("apache-libcloud", "3.8.0", "de65a8bd946f6532830f20a83f2eae2fa056f05a674fad30afe877cb78df6050"),
        ("apache-libcloud", "3.9.1", "362806efe3602a781afa0b0c8ad2e8963a708c8d5957fb999735c1cc1e0762d2"),
    )
)


def open_wheels(folder: Path, pins: Sequence[Pin] = PINS) -> dict[tuple[str, str], zipfile.ZipFile]:
    """Open the pinned wheels of a folder; one that is missing or is not what it must be ends the program."""
    opened = {}
    for pin in pins:
        pattern = f"{pin.package.replace('-', '_')}-{pin.version}-*.whl"
        paths = [path for path in sorted(folder.iterdir()) if fnmatch(path.name, pattern)]
        if not paths:
            sys.exit(f"there is no {pattern} in {folder}")
        data = paths[0].read_bytes()
        found = hashlib.sha256(data).hexdigest()
        if found != pin.sha256:
            sys.exit(f"{paths[0].name} must have sha256 {pin.sha256}, and has {found}")
        opened[pin.package, pin.version] = zipfile.ZipFile(io.BytesIO(data))
    return opened


def download(folder: Path, pins: Sequence[Pin] = PINS) -> None:
    """Let pip fetch the wheels; it takes no others than those with the pinned hashes."""
    for pin in pins:
        wanted = folder / "wanted.txt"
        wanted.write_text(f"{pin.package}=={pin.version} --hash=sha256:{pin.sha256}\n", encoding="utf-8")
        options = ["--no-deps", "--only-binary=:all:", "--require-hashes", "--quiet", "--dest", str(folder)]
        subprocess.run([sys.executable, "-m", "pip", "download", *options, "-r", str(wanted)], check=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What the wheels say: types with the release that describes each, offers by region, prices and their dates."""

    described: Mapping[str, tuple[str, Described]]
    offered: Mapping[str, set[str]]
    clean: Mapping[str, Table]
    doubtful: Mapping[str, Table]
    days: Mapping[str, date]

    @property
    def shapes(self) -> dict[str, Shape]:
        """What the repair rule has to know of each type."""
        return {
            name: Shape(name=name, vcpus=what["VCpuInfo"]["DefaultVCpus"], is_accelerated=is_accelerated(what))
            for name, (_, what) in self.described.items()
        }


def read_sources(wheels: Mapping[tuple[str, str], zipfile.ZipFile]) -> Sources:
    """Read all that the catalogue is made of."""
    described = merge_described({version: _read_types(wheels["moto", version]) for version in MOTO})
    offered = _read_offered(wheels["moto", MOTO[0]])
    tables, days = {}, {}
    for version in (*LIBCLOUD_CLEAN, *LIBCLOUD_DOUBTFUL):
        tables[version], days[version] = _read_prices(wheels["apache-libcloud", version], set(described), set(offered))
    return Sources(
        described=described,
        offered=offered,
        clean={version: tables[version] for version in LIBCLOUD_CLEAN},
        doubtful={version: tables[version] for version in LIBCLOUD_DOUBTFUL},
        days=days,
    )


def _load(wheel: zipfile.ZipFile, name: str) -> Any:
    data = wheel.read(name)
    return json.loads(gzip.decompress(data) if name.endswith(".gz") else data, parse_float=Decimal)


def _read_types(wheel: zipfile.ZipFile) -> dict[str, Any]:
    (name,) = [item for item in wheel.namelist() if "/ec2/resources/instance_types.json" in item]
    found: dict[str, Any] = _load(wheel, name)
    return found


def _read_offered(wheel: zipfile.ZipFile) -> dict[str, set[str]]:
    """Return which types each region offers."""
    folder = "/instance_type_offerings/region/"
    names = [item for item in wheel.namelist() if folder in item and ".json" in item]
    return {
        name.rpartition("/")[2].partition(".")[0]: {item["InstanceType"] for item in _load(wheel, name)}
        for name in names
    }


def _read_prices(
    wheel: zipfile.ZipFile, types: set[str], regions: set[str]
) -> tuple[dict[tuple[str, str], Decimal], date]:
    """Return the prices of types that EC2 has (some keys are families) in its regions (some are local zones)."""
    content = _load(wheel, "libcloud/data/pricing.json")
    prices = {
        (name, region): Decimal(usd or 0)
        for name, by_region in content["compute"]["ec2_linux"].items()
        for region, usd in by_region.items()
        if name in types and region in regions
    }
    return prices, datetime.fromtimestamp(content["updated"], tz=UTC).date()
