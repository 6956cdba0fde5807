"""The store as text."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from launchbay.cli.texts.store import removed_text, stay_text, store_text
from launchbay.cloud.store import Removed, Shelf, StoreView
from launchbay.planning.store import Pile, Stay

TREE = "ab" * 32


def view(usd: str | None = "0.023", **more: Any) -> StoreView:
    shelves = (
        Shelf(prefix=f"data/{TREE}/", objects=32, bytes=1 << 30, first_at=0.0, last_at=60.0),
        Shelf(prefix="runs/exp/run-1/", objects=3, bytes=2000, first_at=3600.0, last_at=7200.0),
    )
    known: dict[str, Any] = {"bucket": "launchbay-1", "region": "us-east-1", "is_theirs": False, "shelves": shelves}
    return StoreView(**{**known, "usd_per_month": None if usd is None else Decimal(usd), **more})


def stay(usd: str | None, *, runs: int = 3, data: int = 32) -> Stay:
    return Stay(
        bucket="launchbay-1",
        runs=Pile(prefix="runs/exp/", objects=runs, bytes=2000 if runs else 0),
        data=Pile(prefix="data/", objects=data, bytes=1 << 30 if data else 0),
        usd_per_month=None if usd is None else Decimal(usd),
    )


def test_a_store_shows_what_is_in_it_and_what_that_costs() -> None:
    shown = store_text(view())
    assert shown.startswith("s3://launchbay-1 in us-east-1\n")
    rows = [line.split() for line in shown.splitlines()]
    assert ["runs/exp/run-1/", "3", "2.0", "kB", "1970-01-01", "01:00", "1970-01-01", "02:00"] in rows
    assert f"data/{TREE[:12]} " in shown  # as it is typed to remove it
    assert TREE not in shown
    assert "35 objects" in shown
    assert "0.02 USD a month" in shown
    assert "less than 0.01 USD a month" in store_text(view("0.0001"))
    assert "at a price that is not known" in store_text(view(None))
    assert "your own bucket" in store_text(view(is_theirs=True))
    assert "nothing is in it" in store_text(view(shelves=()))
    assert "There is no store in us-east-1" in store_text(view(bucket=None, shelves=()))


def test_what_stays_is_said_with_its_cost() -> None:
    said = stay_text(stay("0.023"))
    assert "2.0 kB of its runs and 1.1 GB of data, which other fleets may use too: 0.02 USD a month." in said
    assert "`bay store remove runs/exp/`" in said
    assert "at a price that is not known" in stay_text(stay(None))
    assert "`bay store remove data/`" in stay_text(stay("0.023", runs=0))
    assert stay_text(stay("0", runs=0, data=0)) == ""


def test_what_was_removed_is_said() -> None:
    removed = Removed(bucket="launchbay-1", prefix="runs/exp/", objects=3, bytes=2000, is_bucket_gone=False)
    assert removed_text(removed) == "Removed 3 objects, 2.0 kB from s3://launchbay-1/runs/exp/."
    gone = Removed(bucket="launchbay-1", prefix="", objects=1, bytes=0, is_bucket_gone=True)
    assert "1 object, 0 B and the bucket itself" in removed_text(gone)
