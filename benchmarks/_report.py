"""What a benchmark shows and keeps: a table, verdicts against the targets, and a JSON file with every measurement."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks._figures import Spread
from launchbay.files import write_atomic

__all__ = ["Verdict", "conclude", "describe_machine", "format_table", "read_totals", "save", "spread_cells"]

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A figure held against its target, both in the words that are printed."""

    what: str
    got: str
    target: str
    ok: bool


def format_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return aligned columns, the first to the left and the others to the right."""
    lines = [list(head), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]

    def align(line: Sequence[str]) -> str:
        first, *others = (
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        return "  ".join([first, *others]).rstrip()

    return "\n".join([align(lines[0]), "  ".join("-" * width for width in widths), *map(align, lines[1:])])


def spread_cells(values: Spread, digits: int) -> list[str]:
    """Return count, minimum, median and maximum as cells."""
    return [str(values.count), *(f"{value:.{digits}f}" for value in (values.low, values.median, values.high))]


def describe_machine() -> dict[str, Any]:
    """Return what the figures depend on; nothing that names this very machine."""
    model = platform.processor()
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        model = next((line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line), model)
    except OSError:
        pass
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_average": [round(value, 2) for value in os.getloadavg()],
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def totals_path(name: str, *, quick: bool) -> Path:
    """Return where a benchmark's totals lie; a quick look never overwrites a real measurement."""
    folder = Path(os.environ.get("LAUNCHBAY_PROVE") or ROOT / "build" / "prove")
    return folder / (f"{name}.quick.json" if quick else f"{name}.json")


def read_totals(name: str, *, quick: bool) -> dict[str, Any]:
    """Return what an earlier call kept, empty when there is nothing."""
    try:
        found = json.loads(totals_path(name, quick=quick).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def save(name: str, totals: Mapping[str, Any], *, quick: bool) -> Path:
    """Write a benchmark's totals in one step; return where."""
    path = totals_path(name, quick=quick)
    text = json.dumps({"benchmark": name, "quick": quick, **totals}, indent=1, default=_plain)
    write_atomic(path, text.encode() + b"\n")
    return path


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    raise TypeError(f"{type(value).__name__} does not belong into a report")


def conclude(name: str, totals: Mapping[str, Any], verdicts: Sequence[Verdict], *, quick: bool) -> int:
    """Print the verdicts, keep the totals; return the exit code: 1 if a target was missed, 0 for a quick look."""
    print()
    for verdict in verdicts:
        word = "quick look, not judged" if quick else "ok" if verdict.ok else "MISSED"
        print(f"{verdict.what}: {verdict.got} (target: {verdict.target}) {word}")
    path = save(name, {**totals, "verdicts": list(verdicts)}, quick=quick)
    print(f"every measurement: {path}")
    return 0 if quick or all(verdict.ok for verdict in verdicts) else 1
