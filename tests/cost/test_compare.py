from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from launchbay.cost.compare import compare_bills
from launchbay.jsonable import to_json
from tests.cost.prices import bill_of, make_catalogue

ONE = "instances: [{name: gpu, type: p2.xlarge, disk: 100GiB}]\ndisks: [{name: data, size: 50GiB, iops: 4000}]\n"
TWO = """\
instances:
  - {name: api, type: m6i.large, disk: 30GiB}
  - {name: gpu, type: p2.xlarge, disk: 100GiB, hours: 24h a month}
disks: [{name: data, size: 50GiB}]
"""


def test_bills_are_joined_by_name_and_category(tmp_path: Path) -> None:
    found = compare_bills(bill_of(tmp_path, TWO), bill_of(tmp_path, ONE))
    assert {(item.name, item.category): item.difference for item in found.differences} == {
        ("api", "compute"): Decimal("69.12"),
        ("gpu", "compute"): Decimal("-626.4"),
        ("api", "disk"): Decimal("2.40"),
        ("gpu", "disk"): 0,
        ("data", "disk"): -5,
    }
    assert (found.difference, found.notes) == (Decimal("-559.88"), ())
    value = to_json(found)
    assert (value["difference_usd"], value["monthly_usd"], value["complete"]) == ("-559.88", "665.00", True)
    assert value["differences"][0] == {
        "name": "api",
        "category": "compute",
        "usd": "69.12",
        "other_usd": "0.00",
        "difference_usd": "69.12",
    }


def test_what_is_unknown_is_no_saving(tmp_path: Path) -> None:
    spot = "instances: [{name: gpu, type: p2.xlarge, disk: 100GiB, market: spot}]\n"
    for one, other in ((spot, ONE), (ONE, spot)):
        found = compare_bills(bill_of(tmp_path, one), bill_of(tmp_path, other))
        rows = {(item.name, item.category): item for item in found.differences}
        assert (found.difference, rows["gpu", "compute"].difference) == (None, None)
        assert rows["gpu", "disk"].difference == 0
    assert to_json(found)["difference_usd"] is None
    partly = compare_bills(
        bill_of(tmp_path, "disks: [{name: data, size: 50GiB, iops: 4000}]\n", make_catalogue(side={"gp3": "0.08"})),
        bill_of(tmp_path, "disks: [{name: data, size: 50GiB}]\n"),
    )
    assert (partly.differences[0].usd, partly.differences[0].difference) == (None, None)
    unsaid = "instances: [{name: gpu, type: p2.xlarge}]\n"
    disk = compare_bills(bill_of(tmp_path, unsaid), bill_of(tmp_path, ONE)).differences[1]
    assert (disk.name, disk.category, disk.usd, disk.difference) == ("gpu", "disk", None, None)


def test_months_of_different_length_are_told(tmp_path: Path) -> None:
    longer = "region: us-west-2\nmonth: 744h\n" + ONE
    assert compare_bills(bill_of(tmp_path, ONE), bill_of(tmp_path, longer)).notes == (
        "the months differ: 720 hours here, 744 hours in workload",
    )
