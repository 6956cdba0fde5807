"""Bills as text."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from launchbay.api.cost import Cost
from launchbay.cli.texts.cost import age_text, cost_text
from launchbay.cost.compare import compare_bills
from launchbay.cost.reconcile import reconcile
from launchbay.cost.report import read_report
from tests.cost.prices import bill_of, make_catalogue
from tests.cost.reports import row, write_report

NOW = datetime(2026, 1, 12, tzinfo=UTC).timestamp()
BOX = "instances: [{name: box, type: m6i.large, disk: 10GiB}]\n"


def shown(cost: Cost, *, width: int | None = None) -> list[str]:
    return cost_text(cost, now=NOW, width=width, block="#").splitlines()


@pytest.mark.parametrize(
    ("day", "text"),
    [
        (date(2026, 1, 12), "0 days"),
        (date(2026, 1, 11), "1 day"),
        (date(2025, 11, 14), "59 days"),
        (date(2025, 11, 1), "2 months"),
        (date(2024, 1, 12), "24 months"),
        (date(2022, 3, 24), "3.8 years"),
        (date(2026, 2, 1), "0 days"),  # a clock that is behind
    ],
)
def test_the_age_of_a_price(day: date, text: str) -> None:
    assert age_text(day, date(2026, 1, 12)) == text


def test_every_price_says_how_old_it_is_and_how_it_came_about(tmp_path: Path) -> None:
    stale = bill_of(tmp_path, BOX, make_catalogue(method="repaired", is_stale=True))
    lines = shown(Cost(bill=stale))
    assert lines[3].endswith("  10 days, repaired, stale  by hand")
    assert "  10 days   " in lines[4]


def test_a_narrow_terminal_loses_the_source_first_and_no_name(tmp_path: Path) -> None:
    bill = bill_of(tmp_path, BOX)
    for width in (60, 80, 100):
        lines = shown(Cost(bill=bill), width=width)
        assert max(map(len, lines[2:5])) <= width
        assert ("SOURCE" in lines[2], "AGE" in lines[2]) == (width == 100, True)
        assert [line.split()[0] for line in lines[3:5]] == ["box", "box"]


def test_one_category_alone_has_no_bar(tmp_path: Path) -> None:
    assert not any("#" in line for line in shown(Cost(bill=bill_of(tmp_path, BOX, compute_only=True))))
    nothing = bill_of(tmp_path, "disks: [{size: 8GiB}]\n", compute_only=True)
    assert shown(Cost(bill=nothing))[2:3] == ["total     0.00 USD a month"]
    unknown = bill_of(tmp_path, BOX, make_catalogue({}))
    lines = shown(Cost(bill=unknown))
    assert [line for line in lines if "#" in line] == ["disk         0.80  ##############################"]
    assert "compute   unknown" in lines


def test_a_category_of_which_something_is_unknown_is_a_lower_bound(tmp_path: Path) -> None:
    two = BOX + "disks: [{size: 10GiB, iops: 4000}]\n"
    lines = shown(Cost(bill=bill_of(tmp_path, two, make_catalogue(side={"gp3": "0.08"}))))
    assert [" ".join(line.split()[:-1]) for line in lines if "#" in line] == ["compute 69.12", "disk >= 1.60"]
    assert "total     at least 70.72 USD a month: 1 line unknown" in lines


def test_a_difference_that_is_not_known_says_why(tmp_path: Path) -> None:
    bill = bill_of(tmp_path, BOX)
    unknown = bill_of(tmp_path, BOX, make_catalogue({}))
    lines = shown(Cost(bill=bill, against=compare_bills(bill, unknown)))
    assert lines[-2].split() == ["total", "69.92", ">=", "0.80", "unknown"]
    assert lines[-1] == "note      what is unknown is no saving: without it there is no difference"
    nothing = replace(unknown, lines=unknown.lines[:1])
    lines = shown(Cost(bill=bill, against=compare_bills(bill, nothing)))
    assert lines[-2].split() == ["total", "69.92", "unknown", "unknown"]


def test_a_report_is_shown_with_what_was_not_forecast(tmp_path: Path) -> None:
    bill = bill_of(tmp_path, BOX)
    rows = [row("USW2-BoxUsage:m6i.large", "720", "69.12"), row("USW2-Odd", "1", "0.004")]
    rows = [{**item, "bill_billing_period_start_date": "", "bill_billing_period_end_date": ""} for item in rows]
    found = reconcile(bill, read_report(write_report(tmp_path / "cur.csv", rows)), report="cur.csv")
    lines = shown(Cost(bill=bill, reconciled=found))
    table = lines[lines.index("held against cur.csv:") + 2 :]
    assert table[1].split() == [
        "m6i.large",
        "on-demand",
        "compute",
        "us-west-2",
        "720",
        "720",
        "69.12",
        "69.12",
        "0.00",
    ]
    assert table[2].endswith("-0.80  did not occur")
    assert table[3].endswith("0.00  not forecast")  # less than half a cent has no sign
