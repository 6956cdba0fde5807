from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from launchbay.catalog.pricelist import INSTANCES, read_on_demand, read_product, read_usd
from launchbay.errors import UserError
from tests.catalog.world import REGION, make_world, plain, product

DAY = date(2026, 11, 26)


def prices(*products: dict[str, Any]) -> tuple[dict[str, Decimal], dict[str, str]]:
    """Return the price of each type, and why others have none."""
    found, left_out = read_on_demand([read_product(json.dumps(item)) for item in products], REGION, DAY)
    return {item.type: item.usd_per_hour for item in found}, {item.what: item.why for item in left_out}


@pytest.mark.parametrize(
    ("text", "usd"),
    [
        ("0.0960000000", "0.096"),
        ("32.7726000000", "32.7726"),
        ("10.0000000000", "10"),
        ("100", "100"),
        ("0.0000000001", "1E-10"),
        ("0.0000000000", None),
        ("0", None),
        ("-0.096", None),
        ("", None),
        ("NaN", None),
        ("Infinity", None),
        ("1e5", None),
        ("0,096", None),
        (" 0.096", None),
        ("0.096\n", None),
        ("1_000", None),
        ("٠.٩", None),
        ("N/A", None),
        (0.096, None),
        (None, None),
    ],
)
def test_an_amount_is_above_0_and_exactly_as_written_or_none(text: object, usd: str | None) -> None:
    amount = read_usd(text)
    assert (None if amount is None else str(amount)) == usd


def test_of_everything_that_is_sold_under_a_types_name_only_the_plain_instance_counts() -> None:
    found, left_out = prices(*(row for row in make_world().products["AmazonEC2"] if isinstance(row, dict)))
    assert found == {"g5.xlarge": Decimal("1.006"), "m6i.large": Decimal("0.096"), "t3.micro": Decimal("0.0104")}
    assert left_out == {}


@pytest.mark.parametrize("attribute", [*INSTANCES, "regionCode"])
def test_a_product_that_lacks_or_changes_one_attribute_is_another_product(attribute: str) -> None:
    changed, lacking = plain("g5.xlarge", "9.9", **{attribute: "else"}), plain("g5.xlarge", "9.9")
    del lacking["product"]["attributes"][attribute]
    assert prices(plain("g5.xlarge", "1.006"), changed, lacking)[0] == {"g5.xlarge": Decimal("1.006")}


def test_a_price_says_where_it_is_from_and_of_which_day() -> None:
    ((price,), _) = read_on_demand([read_product(json.dumps(plain("g5.xlarge", "1.0060000000")))], REGION, DAY)
    assert (price.market, price.region, price.as_of, price.method) == ("on-demand", REGION, DAY, "live")
    assert price.source == "AWS Price List"


@pytest.mark.parametrize(
    ("rates", "why"),
    [
        ([("0", "Hrs", "0.0000000000")], "its price is no amount above 0: '0.0000000000'"),
        ([("0", "Hrs", "soon")], "its price is no amount above 0: 'soon'"),
        ([("0", "Hrs", "CNY 7.2")], "its price is in CNY, not in USD"),
        ([("0", "Quantity", "1.0")], "its price is for a unit of 'Quantity', not an hour"),
        ([], "it has 0 prices in place of one"),
        ([("0", "Hrs", "1.0"), ("100", "Hrs", "0.9")], "it has 2 prices in place of one"),
        ([("100", "Hrs", "1.0")], "it has 0 prices from 0 on in place of one"),
    ],
)
def test_a_type_without_one_clear_price_is_left_out_and_named(rates: list[tuple[str, str, str]], why: str) -> None:
    odd = product("USW2-BoxUsage:g5.xlarge", rates, instanceType="g5.xlarge", **INSTANCES)
    assert prices(odd, plain("m6i.large", "0.096")) == ({"m6i.large": Decimal("0.096")}, {"g5.xlarge": why})


def test_two_products_for_a_type_are_no_price_even_at_the_same_amount() -> None:
    found, left_out = prices(plain("g5.xlarge", "1.006"), plain("g5.xlarge", "1.006", usagetype="USW2-BoxUsage:g5.x"))
    assert found == {}
    assert left_out == {"g5.xlarge": "2 products in place of one: USW2-BoxUsage:g5.x, USW2-BoxUsage:g5.xlarge"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"product": {}}',
        '{"product": {"attributes": {}}}',
        '{"product": {"attributes": []}, "terms": {}}',
        '{"product": {"attributes": {}}, "terms": {"OnDemand": {"T": {}}}}',
        '{"product": {"attributes": {}}, "terms": {"OnDemand": {"T": {"priceDimensions": {"R": {}}}}}}',
        '{"product": {"attributes": {}}, "terms": {"OnDemand": {"T": {"priceDimensions": [1]}}}}',
        {"product": {"attributes": {}}, "terms": {}},
        None,
    ],
)
def test_what_is_no_product_spoils_the_whole_answer(text: object) -> None:
    with pytest.raises(UserError, match="a product of the price list cannot be read"):
        read_product(text)


def test_a_product_without_on_demand_terms_has_no_price() -> None:
    reserved = plain("g5.xlarge", "1.0")
    reserved["terms"] = {"Reserved": reserved["terms"]["OnDemand"]}
    assert prices(reserved) == ({}, {"g5.xlarge": "it has 0 prices in place of one"})
