"""The page of bills worked by hand: its prices and workloads go in, its quantities, amounts and totals must come out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest

from tests.cost.prices import bill_of, make_catalogue

PAGE = Path(__file__).resolve().parents[2] / "docs" / "explanation" / "bills-by-hand.md"
ROW = re.compile(r"\| ([a-z0-9][\w. -]*) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|")


@dataclass(frozen=True)
class Worked:
    """A bill of the page: its workload, and item, quantity, price and amount of each line."""

    title: str
    workload: str
    rows: list[tuple[str, str, str, str]]
    total: str


def worked_bills() -> list[Worked]:
    found = []
    for section in re.split(r"^## (?=\d)", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        workload = re.search(r"```yaml\n(.*?)```", section, re.DOTALL)
        total = re.search(r"\*\*Total: ([\d.]+)\*\*", section)
        assert workload
        assert total
        found.append(Worked(section.splitlines()[0], workload[1], ROW.findall(section), total[1]))
    return found


def test_there_are_eight_of_them() -> None:
    assert len(worked_bills()) == 8
    assert all(bill.rows for bill in worked_bills())


@pytest.mark.parametrize("worked", worked_bills(), ids=lambda worked: worked.title)
def test_a_bill_is_what_it_is_by_hand(tmp_path: Path, worked: Worked) -> None:
    hourly = {item: price for item, _, price, _ in worked.rows if " " in item}
    side = {item: price for item, _, price, _ in worked.rows if " " not in item and item != "transfer-out-free"}
    bill = bill_of(tmp_path, worked.workload, make_catalogue(hourly, side))
    assert [line.item for line in bill.lines] == [item for item, *_ in worked.rows]
    for line, (_, quantity, price, amount) in zip(bill.lines, worked.rows, strict=True):
        assert line.quantity is not None
        assert line.amount is not None
        assert line.unit_usd == Decimal(price)
        assert round(line.quantity, 6) == Decimal(quantity)
        assert round(line.amount, 6) == Decimal(amount)
    assert (bill.monthly_usd, bill.complete) == (worked.total, True)
