from __future__ import annotations

import gzip
from decimal import Decimal
from pathlib import Path

import pytest

from launchbay.cost.report import ReportRow, read_report
from launchbay.errors import UsageError
from tests.cost.reports import CUR2, LEGACY, row, write_report

ROWS = [
    row("USW2-BoxUsage:p2.xlarge", "24.0000000000", "21.6000000000"),
    row("USW2-DataTransfer-Out-Bytes", "1.2E-7", "0.0000000108", region=""),
    row("", "", "-5.25", kind="Credit"),
]


@pytest.mark.parametrize("head", [LEGACY, CUR2], ids=["legacy", "2.0"])
@pytest.mark.parametrize("name", ["cur.csv", "cur.csv.gz"])
def test_both_versions_can_be_read_gzipped_or_not(tmp_path: Path, head: tuple[str, ...], name: str) -> None:
    month = ("2026-11-01", "2026-12-01")
    assert list(read_report(write_report(tmp_path / name, ROWS, head=head))) == [
        ReportRow(
            kind="Usage",
            usage_type="USW2-BoxUsage:p2.xlarge",
            region="us-west-2",
            quantity=Decimal(24),
            usd=Decimal("21.6"),
            period=month,
        ),
        ReportRow(
            kind="Usage",
            usage_type="USW2-DataTransfer-Out-Bytes",
            region="",
            quantity=Decimal("0.00000012"),
            usd=Decimal("0.0000000108"),
            period=month,
        ),
        ReportRow(
            kind="Credit", usage_type="", region="us-west-2", quantity=Decimal(0), usd=Decimal("-5.25"), period=month
        ),
    ]


def test_the_mark_that_spreadsheets_put_first_is_no_part_of_a_name(tmp_path: Path) -> None:
    path = write_report(tmp_path / "cur.csv", ROWS, head=LEGACY[4:])
    marked = b"\xef\xbb\xbf" + path.read_bytes()
    for data in (marked, gzip.compress(marked)):
        path.write_bytes(data)
        assert len(list(read_report(path))) == 3


@pytest.mark.parametrize("column", [4, 6, 9, 10, 12])
def test_a_report_without_a_column_is_none(tmp_path: Path, column: int) -> None:
    head = tuple(f"{name}X" if place == column else name for place, name in enumerate(LEGACY))
    with pytest.raises(UsageError, match=f"not a Cost and Usage Report: it lacks {CUR2[column]}") as caught:
        list(read_report(write_report(tmp_path / "cur.csv", ROWS, head=head)))
    assert caught.value.where == f"{tmp_path / 'cur.csv'}:1"


@pytest.mark.parametrize(
    ("bad", "what"),
    [
        (row("BoxUsage:m5.large", "many", "1"), "lineItem/UsageAmount must be a number, got 'many'"),
        (row("BoxUsage:m5.large", "1", "free"), "lineItem/UnblendedCost must be a number, got 'free'"),
        (row("BoxUsage:m5.large", "1", "NaN"), "lineItem/UnblendedCost must be a number, got 'NaN'"),
        (row("BoxUsage:m5.large", "1", "1E999"), "lineItem/UnblendedCost must be a number, got '1E999'"),
        (row("BoxUsage:m5.large", "Infinity", "1"), "lineItem/UsageAmount must be a number"),
        (row("BoxUsage:m5.large", "", "1"), "lineItem/UsageAmount must be a number, got ''"),
        (row("BoxUsage:m5.large", "1", ""), "lineItem/UnblendedCost must be a number, got ''"),
        (row("", "1", "", kind="Tax"), "lineItem/UnblendedCost must be a number, got ''"),
        (
            row("BoxUsage:m5.large", "1", "1", line_item_currency_code="EUR"),
            "lineItem/CurrencyCode must be USD, got 'EUR'",
        ),
        (row("BoxUsage:m5.large", "1", "1", line_item_currency_code=""), "lineItem/CurrencyCode must be USD, got ''"),
    ],
)
def test_a_line_that_cannot_be_is_named(tmp_path: Path, bad: dict[str, str], what: str) -> None:
    plain = {**bad, "line_item_line_item_description": ""}
    path = write_report(tmp_path / "cur.csv", [{**ROWS[0], "line_item_line_item_description": "a\nb"}, plain])
    with pytest.raises(UsageError, match=what) as caught:
        list(read_report(path))
    assert caught.value.where == f"{path}:4"  # the first line of the report is two lines of the file


def test_an_empty_line_is_none(tmp_path: Path) -> None:
    path = write_report(tmp_path / "cur.csv", ROWS)
    path.write_text(path.read_text() + "\n\n")
    assert len(list(read_report(path))) == 3


def test_a_line_of_another_length_is_named(tmp_path: Path) -> None:
    path = write_report(tmp_path / "cur.csv", ROWS[:1])
    path.write_text(path.read_text() + "a,b,c\n")
    with pytest.raises(UsageError, match="the line has 3 columns, and the head has 18"):
        list(read_report(path))


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (None, "there is no such file"),
        (b"", "it lacks line_item_line_item_type"),
        (b"PAR1\x15\x04\x15\xff\xfe", "not a report as CSV"),
        (b"a,b,c\n1,2,3\n", "not a Cost and Usage Report"),
        (gzip.compress(b"x" * 100_000)[:60], "the gzip file is damaged or cut off"),
        (b"\x1f\x8bnothing of it", "the gzip file is damaged"),
    ],
)
def test_a_file_that_is_no_report_is_refused(tmp_path: Path, data: bytes | None, what: str) -> None:
    path = tmp_path / "cur.csv"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(UsageError, match=what) as caught:
        list(read_report(path))
    assert caught.value.where.startswith(str(path))


def test_a_folder_is_no_report(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: is a directory"):
        list(read_report(tmp_path))
