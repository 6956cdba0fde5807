"""What a refresh brought, as text for people. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from launchbay.cli.table import table
from launchbay.units import count_of

if TYPE_CHECKING:
    from launchbay.api.refresh import RefreshedKind, RefreshedRegion
    from launchbay.catalog.live import LeftOut

__all__ = ["refreshed_text"]

_NAMES = {
    "types": "instance types",
    "prices": "on-demand prices",
    "side": "disks, addresses, traffic",
    "spot": "spot prices, by zone",
    "savings": "Savings Plans rates",
}
_NAMED = 5
"""How many of each kind that was left out are named; --json has them all."""


def refreshed_text(regions: Sequence[RefreshedRegion]) -> str:
    """Say of each region how much is known now and of which day, what stayed unknown and was left out, and which ones failed."""
    failed: dict[str, list[str]] = {}
    for found in regions:
        if found.failed:
            failed.setdefault(found.failed, []).append(found.region)
    return "\n\n".join(
        [
            *(_region_text(found) for found in regions if not found.failed),
            *(f"NOT refreshed: {', '.join(names)}\n  {why}" for why, names in failed.items()),
        ]
    )


def _region_text(found: RefreshedRegion) -> str:
    rows = [
        (_NAMES[item.kind], str(item.rows) if item.rows else "unknown", item.as_of or "-", item.source or "-")
        for item in found.kinds
    ]
    lines = [table((found.region.upper(), "ROWS", "OF", "SOURCE"), rows, right=(1,))]
    lines += [line for item in found.kinds if item.unknown for line in _unknown(item)]
    for kind, name in _NAMES.items():
        lines += _left_out(name, [item for item in found.left_out if item.kind == kind])
    return "\n".join(lines)


def _unknown(item: RefreshedKind) -> list[str]:
    kept = f"; those of {item.as_of} stay" if item.as_of else "; they stay unknown and count for nothing"
    return [f"  {_NAMES[item.kind]}: {item.unknown}{kept}"]


def _left_out(name: str, items: Sequence[LeftOut]) -> list[str]:
    if not items:
        return []
    more = f"    and {len(items) - _NAMED} more; --json names all" if len(items) > _NAMED else ""
    named = [f"    {item.what}: {item.why}" for item in items[:_NAMED]]
    return [f"  {name}: {count_of(len(items), 'answer')} left out", *named, *([more] if more else [])]
