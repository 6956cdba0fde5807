from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from launchbay.catalog import items
from launchbay.catalog.pricelist import read_product
from launchbay.catalog.sideprice import LISTED, read_side_prices
from tests.catalog.world import REGION, make_world, product

DAY = date(2026, 11, 26)


def side(products: Mapping[str, Sequence[Mapping[str, Any]]]) -> tuple[dict[str, tuple[str, str]], dict[str, str]]:
    """Return (amount, unit) of each item, and why others have none."""
    read = {service: [read_product(json.dumps(row)) for row in rows] for service, rows in products.items()}
    found, left_out = read_side_prices(read, REGION, DAY)
    return {item.item: (str(item.usd), item.unit) for item in found}, {item.what: item.why for item in left_out}


def only(item: str, *rows: Mapping[str, Any]) -> tuple[tuple[str, str] | None, str | None]:
    """Return what is found for an item, or why nothing is, if its service lists these products."""
    service = next(listed.service for listed in LISTED if listed.item == item)
    found, left_out = side({service: rows})
    return found.get(item), left_out.get(item)


def test_each_item_has_its_price_in_our_unit() -> None:
    assert side(make_world().products) == (
        {
            "gp3": ("0.08", "GiB-month"),
            "gp3-iops": ("0.005", "IOPS-month"),
            "gp3-throughput": ("0.04", "MiBps-month"),  # AWS lists a GiB/s at 40.96
            "snapshot": ("0.05", "GiB-month"),
            "public-ipv4": ("0.005", "hour"),
            "nat-gateway": ("0.045", "hour"),
            "nat-gateway-data": ("0.045", "GB"),
            "s3-standard": ("0.023", "GiB-month"),
            "transfer-cross-zone": ("0.01", "GB"),
            "transfer-out": ("0.09", "GB"),
            "transfer-out-from-10tb": ("0.085", "GB"),
            "transfer-out-from-50tb": ("0.07", "GB"),
            "transfer-out-from-150tb": ("0.05", "GB"),
        },
        {},
    )


def test_all_items_are_looked_for_but_those_that_the_list_has_in_several_ways() -> None:
    surplus = {item for item in items.ITEMS if item.startswith("cpu-surplus-")}
    assert {listed.item for listed in LISTED} == set(items.ITEMS) - {items.TRANSFER_INTER_REGION} - surplus


@pytest.mark.parametrize("usage", ["EBS:VolumeUsage.gp3", "EU-EBS:VolumeUsage.gp3", "APN1-EBS:VolumeUsage.gp3"])
def test_a_usage_type_may_begin_with_the_regions_letters(usage: str) -> None:
    assert only("gp3", product(usage, [("0", "GB-Mo", "0.08")])) == (("0.08", "GiB-month"), None)


@pytest.mark.parametrize(
    "usage",
    ["USW2-LAX1-EBS:VolumeUsage.gp3", "EBS:VolumeUsage.gp3x", "XEBS:VolumeUsage.gp3", "EBS:VolumeUsage-gp3", "EBS:x"],
)
def test_another_usage_type_is_another_thing(usage: str) -> None:
    nothing = (None, "the price list holds no such product")
    assert only("gp3", product(usage, [("0", "GB-Mo", "0.08")])) == nothing


def test_products_of_one_item_that_do_not_agree_are_no_price() -> None:
    rows = [product(f"{state}", [("0", "Hrs", usd)]) for state, usd in (("InUse", "0.005"), ("Idle", "0.010"))]
    for row in rows:
        attributes = row["product"]["attributes"]
        attributes["usagetype"] = f"PublicIPv4:{attributes['usagetype']}Address"
    assert only("public-ipv4", *rows) == (None, "its products do not agree: 0.005 USD; 0.01 USD")
    assert only("public-ipv4", rows[0], rows[0]) == (("0.005", "hour"), None)


@pytest.mark.parametrize(
    ("rates", "why"),
    [
        ([("0", "GB-Mo", "0")], "its price is no amount above 0: '0'"),
        ([("0", "TB-Mo", "80")], "its price is for a unit of 'TB-Mo', which is none of GB-Mo"),
        ([("0", "GB-Mo", "CNY 0.5")], "its price is in CNY, not in USD"),
        ([("0", "GB-Mo", "0.08"), ("0", "GB-Mo", "0.07")], "it has 2 prices from 0 on in place of one"),
    ],
)
def test_an_item_without_one_clear_price_is_left_out_and_named(rates: list[tuple[str, str, str]], why: str) -> None:
    assert only("gp3", product("EBS:VolumeUsage.gp3", rates)) == (None, why)


def test_a_tier_that_is_missing_is_named_and_the_others_stay() -> None:
    rows = [product("DataTransfer-Out-Bytes", [("0", "GB", "0.09"), ("51200", "GB", "0.07")])]
    assert only("transfer-out", *rows) == (("0.09", "GB"), None)
    assert only("transfer-out-from-50tb", *rows) == (("0.07", "GB"), None)
    assert only("transfer-out-from-10tb", *rows) == (None, "it has 0 prices from 10240 on in place of one")


def test_the_units_are_those_of_the_packaged_prices() -> None:
    assert {item: unit for item, (_, unit) in side(make_world().products)[0].items()} == {
        listed.item: items.ITEMS[listed.item][0] for listed in LISTED
    }
    assert Decimal("40.96") / 1024 == Decimal("0.04")
