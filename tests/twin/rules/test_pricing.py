"""The Price List."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from botocore.exceptions import ClientError

from launchbay.catalog.pricelist import INSTANCES


@pytest.fixture
def pricing(twin: Any) -> Any:
    return twin.client("pricing")


def products(pricing: Any, *filters: tuple[str, str, str], service: str = "AmazonEC2") -> list[Mapping[str, Any]]:
    asked = [{"Field": field, "Type": kind, "Value": value} for field, kind, value in filters]
    pages = pricing.get_paginator("get_products").paginate(ServiceCode=service, Filters=asked)
    return [json.loads(text) for page in pages for text in page["PriceList"]]


def usd(product: Mapping[str, Any]) -> Decimal:
    (term,) = product["terms"]["OnDemand"].values()
    (rate,) = term["priceDimensions"].values()
    return Decimal(rate["pricePerUnit"]["USD"])


PLAIN = [(field, "TERM_MATCH", value) for field, value in INSTANCES.items()]
EAST = ("regionCode", "TERM_MATCH", "us-east-1")


def test_one_product_has_the_price_of_an_hour(pricing: Any) -> None:
    (product,) = products(pricing, *PLAIN, EAST, ("instanceType", "TERM_MATCH", "g5.xlarge"))
    assert usd(product) == Decimal("1.006")
    attributes = product["product"]["attributes"]
    assert (attributes["usagetype"], attributes["location"]) == ("BoxUsage:g5.xlarge", "US East (N. Virginia)")
    (elsewhere,) = products(
        pricing, *PLAIN, ("location", "EQUALS", "EU (Ireland)"), ("instanceType", "TERM_MATCH", "g5.xlarge")
    )
    assert elsewhere["product"]["attributes"]["usagetype"] == "EU-BoxUsage:g5.xlarge"
    assert elsewhere["product"]["sku"] != product["product"]["sku"]


def test_who_does_not_filter_finds_reserved_capacity_at_nothing(pricing: Any) -> None:
    found = products(pricing, EAST, ("instanceType", "TERM_MATCH", "g5.xlarge"))
    by_status = {item["product"]["attributes"]["capacitystatus"]: usd(item) for item in found}
    assert by_status == {
        "Used": Decimal("1.006"),
        "UnusedCapacityReservation": Decimal("1.006"),
        "AllocatedCapacityReservation": 0,
    }


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("EQUALS", "g5.xlarge", {"g5.xlarge"}),
        ("ANY_OF", "g5.xlarge, g6.xlarge,zz9.large", {"g5.xlarge", "g6.xlarge"}),
        ("CONTAINS", "p4d", {"p4d.24xlarge", "p4de.24xlarge"}),
        ("TERM_MATCH", "g5.", set()),
    ],
)
def test_kinds_of_filters(pricing: Any, kind: str, value: str, expected: set[str]) -> None:
    found = products(pricing, *PLAIN, EAST, ("instanceType", kind, value))
    assert {item["product"]["attributes"]["instanceType"] for item in found} == expected


def test_none_of_leaves_the_others_and_pages_hold_everything_once(pricing: Any) -> None:
    every = products(pricing, *PLAIN, EAST)
    names = [item["product"]["attributes"]["instanceType"] for item in every]
    assert len(names) == len(set(names)) > 500
    rest = products(pricing, *PLAIN, EAST, ("instanceType", "NONE_OF", "g5.xlarge,g6.xlarge"))
    left = {item["product"]["attributes"]["instanceType"] for item in rest}
    assert left == set(names) - {"g5.xlarge", "g6.xlarge"}


def test_what_stands_beside_instances(pricing: Any) -> None:
    (address, _) = products(pricing, EAST, service="AmazonVPC")
    assert usd(address) == Decimal("0.005")
    assert address["product"]["attributes"]["usagetype"].startswith("USE1-PublicIPv4:")
    (outbound,) = products(
        pricing,
        ("fromRegionCode", "TERM_MATCH", "us-east-1"),
        ("transferType", "TERM_MATCH", "AWS Outbound"),
        service="AWSDataTransfer",
    )
    (term,) = outbound["terms"]["OnDemand"].values()
    tiers = {rate["beginRange"]: rate["endRange"] for rate in term["priceDimensions"].values()}
    assert tiers == {"0": "10240", "10240": "51200", "51200": "153600", "153600": "Inf"}


def test_services_attributes_and_values(pricing: Any) -> None:
    (ec2,) = pricing.describe_services(ServiceCode="AmazonEC2")["Services"]
    assert {"instanceType", "usagetype", "regionCode"} <= set(ec2["AttributeNames"])
    assert len(pricing.describe_services()["Services"]) == 4
    values = pricing.get_attribute_values(ServiceCode="AmazonEC2", AttributeName="tenancy")["AttributeValues"]
    assert values == [{"Value": "Shared"}]
    with pytest.raises(ClientError) as caught:
        pricing.get_attribute_values(ServiceCode="AmazonEC2", AttributeName="colour")
    assert caught.value.response["Error"]["Code"] == "InvalidParameterException"


def test_services_that_are_none_tokens_that_are_none_and_regions_without_an_endpoint(twin: Any, pricing: Any) -> None:
    for asked, code in (
        ({"ServiceCode": "AmazonNothing"}, "NotFoundException"),
        ({"ServiceCode": "AmazonVPC", "NextToken": "x"}, "InvalidNextTokenException"),
    ):
        with pytest.raises(ClientError) as caught:
            pricing.get_products(**asked)
        assert caught.value.response["Error"]["Code"] == code
    with pytest.raises(ClientError, match="no endpoint in eu-west-1"):
        twin.client("pricing", "eu-west-1").get_products(ServiceCode="AmazonEC2")


def test_savings_plans_by_family_and_offering(twin: Any) -> None:
    client = twin.client("savingsplans")
    asked = [{"name": "region", "values": ["us-east-1"]}, {"name": "instanceFamily", "values": ["g5"]}]
    rows = client.describe_savings_plans_offering_rates(
        savingsPlanTypes=["EC2Instance"], savingsPlanPaymentOptions=["No Upfront"], filters=asked
    )["searchResults"]
    assert len(rows) == 8 * 2 * 2  # sizes, terms, running and reserved
    assert {row["usageType"].split(":")[0] for row in rows} == {"BoxUsage", "UnusedBox"}
    assert all("Assumed" in row["savingsPlanOffering"]["planDescription"] for row in rows)
    offering = rows[0]["savingsPlanOffering"]["offeringId"]
    same = client.describe_savings_plans_offering_rates(savingsPlanOfferingIds=[offering], filters=asked)[
        "searchResults"
    ]
    assert {row["savingsPlanOffering"]["offeringId"] for row in same} == {offering}
    assert client.describe_savings_plans_offering_rates(products=["Lambda"])["searchResults"] == []
