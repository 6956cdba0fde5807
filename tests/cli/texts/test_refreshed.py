"""What a refresh brought as text: what is known now, what stays, and what is unknown."""

from __future__ import annotations

from pathlib import Path

from launchbay.api.refresh import RefreshedKind, RefreshedRegion
from launchbay.catalog.live import LeftOut
from launchbay.cli.texts.refreshed import refreshed_text


def test_what_is_known_what_stays_and_what_is_not() -> None:
    odd = [LeftOut(kind="prices", what=f"m5.{size}", why="two prices in place of one") for size in range(7)]
    found = RefreshedRegion(
        region="us-west-2",
        kinds=[
            RefreshedKind(kind="types", rows=812, as_of="2026-11-26", source="EC2"),
            RefreshedKind(kind="spot", rows=90, as_of="2026-11-20", source="EC2", unknown="not allowed"),
            RefreshedKind(kind="savings", rows=0, as_of=None, source=None, unknown="not allowed"),
        ],
        left_out=odd,
        cache=Path("catalog.db"),
    )
    lines = refreshed_text([found]).splitlines()
    assert lines[0].split() == ["US-WEST-2", "ROWS", "OF", "SOURCE"]
    assert lines[3].split()[-3:] == ["unknown", "-", "-"]
    assert "  spot prices, by zone: not allowed; those of 2026-11-20 stay" in lines
    assert "  Savings Plans rates: not allowed; they stay unknown and count for nothing" in lines
    assert "  on-demand prices: 7 answers left out" in lines
    assert "    m5.4: two prices in place of one" in lines
    assert lines[-1] == "    and 2 more; --json names all"
