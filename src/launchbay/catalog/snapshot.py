"""The packaged catalogue: two compressed tables and a short one, checked by hash whenever they are read."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

from launchbay.catalog.price import Catalogue, Price, SidePrice
from launchbay.catalog.type import Accelerator, InstanceType
from launchbay.errors import StateError
from launchbay.fields import DATE, FLAG, INTEGER, TEXT, fields, list_of, mapping_of
from launchbay.spec.names import nearest

__all__ = ["load_snapshot", "read_date", "read_regions"]

FORMAT = 1
_TYPES, _PRICES, _SIDE = "types.csv.gz", "prices.csv.gz", "side.csv"
_ORIGIN = fields({"as_of": DATE, "method": TEXT, "source": TEXT, "stale": FLAG})
_MANIFEST = fields(
    {
        "format": INTEGER,
        "described_on": DATE,
        "regions": list_of(TEXT),
        "origins": mapping_of(_ORIGIN),
        "files": fields({_TYPES: TEXT, _PRICES: TEXT, _SIDE: TEXT}),
    }
)


def load_snapshot(regions: Collection[str] | None = None, *, folder: Traversable | None = None) -> Catalogue:
    """Return all types, and the prices in some regions (None means in all); other prices are not even read.

    Raises NotFound, with the nearest names, for a region that the catalogue does not have, and StateError when a file is
    damaged or missing.
    """
    folder = folder or _packaged()
    manifest = _read_manifest(folder)
    known: list[str] = manifest["regions"]
    for region in regions or ():
        if region not in known:
            raise nearest(region, known, kind="region", hint=f"one of {', '.join(known)}")
    asked = [region for region in known if regions is None or region in regions]
    return Catalogue(
        types={item.name: item for item in _types(_rows(folder, manifest, _TYPES), known)},
        prices={
            (item.type, item.region, item.market): item
            for item in _prices(_rows(folder, manifest, _PRICES), asked, manifest["origins"])
        },
        side={(item.item, item.region): item for item in _side(_rows(folder, manifest, _SIDE)) if item.region in asked},
        regions=tuple(known),
    )


def read_regions(*, folder: Traversable | None = None) -> tuple[str, ...]:
    """Return the regions that the catalogue knows the offers of."""
    return tuple(_read_manifest(folder or _packaged())["regions"])


def read_date(*, folder: Traversable | None = None) -> date:
    """Return the day of which the packaged descriptions are."""
    return date.fromisoformat(_read_manifest(folder or _packaged())["described_on"])


def _packaged() -> Traversable:
    return resources.files("launchbay.catalog") / "data"


def _read_manifest(folder: Traversable) -> Mapping[str, Any]:
    path = folder / "manifest.json"
    try:
        manifest: Mapping[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise _damaged(path, "it cannot be read") from error
    if not _MANIFEST.holds(manifest) or manifest["format"] != FORMAT:
        raise _damaged(path, f"it is not of format {FORMAT}")
    return manifest


def _rows(folder: Traversable, manifest: Mapping[str, Any], name: str) -> Iterator[Sequence[str]]:
    """Yield a table's rows, its head first. Raises StateError unless the file is what the manifest says."""
    path = folder / name
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _damaged(path, "it cannot be read") from error
    if hashlib.sha256(data).hexdigest() != manifest["files"][name]:
        raise _damaged(path, "its sha256 is not what the manifest says")
    text = gzip.decompress(data) if name.endswith(".gz") else data
    return csv.reader(text.decode().splitlines())


def _damaged(path: Traversable, why: str) -> StateError:
    hint = "install launchbay again: its catalogue is part of the package"
    return StateError(f"the catalogue of instance types is damaged: {why}", where=str(path), hint=hint)


def _types(rows: Iterator[Sequence[str]], regions: Sequence[str]) -> Iterator[InstanceType]:
    next(rows)
    offered: dict[str, frozenset[str]] = {}
    for cells in rows:
        mask = cells[19]
        if mask not in offered:  # few families are offered in a combination of regions of their own
            bits = int(mask, 16)
            offered[mask] = frozenset(region for place, region in enumerate(regions) if bits >> place & 1)
        yield InstanceType(
            name=cells[0],
            vcpus=int(cells[1]),
            memory_mib=int(cells[2]),
            architectures=tuple(cells[3].split("|")),
            processor=cells[4],
            accelerators=tuple(map(_accelerator, cells[5].split("|"))) if cells[5] else (),
            is_burstable=cells[6] == "1",
            is_bare_metal=cells[7] == "1",
            is_current=cells[8] == "1",
            is_retired=cells[9] == "1",
            local_disk_gb=int(cells[10]),
            local_disk_kind=cells[11],
            ebs_baseline_mbps=int(cells[12]) if cells[12] else None,
            ebs_maximum_mbps=int(cells[13]) if cells[13] else None,
            network=cells[14],
            network_baseline_gbps=float(cells[15]) if cells[15] else None,
            network_peak_gbps=float(cells[16]) if cells[16] else None,
            efa_interfaces=int(cells[17]),
            usage_classes=tuple(cells[18].split("|")),
            regions=offered[mask],
            source=cells[20],
        )


def _accelerator(text: str) -> Accelerator:
    kind, maker, name, count, memory, share = text.split(":")
    return Accelerator(
        kind=kind, maker=maker, name=name, count=int(count), memory_mib=int(memory), share=Fraction(share)
    )


def _prices(
    rows: Iterator[Sequence[str]], regions: Sequence[str], origins: Mapping[str, Mapping[str, Any]]
) -> Iterator[Price]:
    """Yield the prices of some regions; a cell is an amount and the letter of where it comes from."""
    head = next(rows)
    columns = [(head.index(region), region) for region in regions]
    days = {letter: date.fromisoformat(origin["as_of"]) for letter, origin in origins.items()}
    for cells in rows:
        for place, region in columns:
            if cell := cells[place]:
                letter = cell[-1]
                origin = origins[letter]
                yield Price(
                    type=cells[0],
                    region=region,
                    market="on-demand",
                    usd_per_hour=Decimal(cell[:-1]),
                    as_of=days[letter],
                    source=origin["source"],
                    method=origin["method"],
                    is_stale=origin["stale"],
                )


def _side(rows: Iterator[Sequence[str]]) -> Iterator[SidePrice]:
    next(rows)
    for item, region, usd, unit, as_of, method, source in rows:
        yield SidePrice(
            item=item,
            region=region,
            usd=Decimal(usd),
            unit=unit,
            as_of=date.fromisoformat(as_of),
            source=source,
            method=method,
        )
