from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from launchbay.catalog.savingsrate import read_savings_rates, savings_filters
from tests.catalog.world import REGION, make_world, savings_rate

DAY = date(2026, 11, 26)


def rates(*rows: dict[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """Return each rate by what it is for, and why others are none."""
    found, left_out = read_savings_rates(rows, REGION, DAY)
    return (
        {f"{item.type} {item.plan} {item.payment} {item.years}": str(item.usd_per_hour) for item in found},
        {item.what: item.why for item in left_out},
    )


def test_of_all_rates_only_those_of_running_linux_instances_on_shared_tenancy_count() -> None:
    assert rates(*(dict(row) for row in make_world().savings)) == (
        {"g5.xlarge Compute All Upfront 3": "0.434", "g5.xlarge Compute No Upfront 1": "0.723"},
        {},
    )


@pytest.mark.parametrize(
    "usage",
    [
        "UnusedBox:g5.xlarge",
        "DedicatedUsage:g5.xlarge",
        "HostBoxUsage:g5.xlarge",
        "UnusedDed:g5.xlarge",
        "BoxUsage",
        "Fargate",
    ],
)
def test_other_usage_is_no_rate_of_an_instance(usage: str) -> None:
    assert rates(savings_rate(f"USW2-{usage}", "0.5")) == ({}, {})


@pytest.mark.parametrize(
    "changed",
    [{"tenancy": "dedicated"}, {"system": "SUSE Linux"}, {"region": "eu-west-1"}, {"operation": "RunInstances:0002"}],
)
def test_a_rate_for_something_else_is_not_read(changed: dict[str, str]) -> None:
    assert rates(savings_rate("BoxUsage:g5.xlarge", "0.5", **changed)) == ({}, {})


@pytest.mark.parametrize(
    ("usd", "changed", "why"),
    [
        ("0.0", {}, "its rate is no amount above 0: '0.0'"),
        ("n/a", {}, "its rate is no amount above 0: 'n/a'"),
        ("0.5", {"currency": "CNY"}, "its rate is in CNY for Hrs, not in USD for Hrs"),
        ("0.5", {"unit": "Request"}, "its rate is in USD for Request, not in USD for Hrs"),
    ],
)
def test_a_rate_that_is_none_is_named(usd: str, changed: dict[str, Any], why: str) -> None:
    found, left_out = rates(
        savings_rate("BoxUsage:g5.xlarge", usd, **changed), savings_rate("BoxUsage:m6i.large", "0.06")
    )
    assert found == {"m6i.large Compute No Upfront 1": "0.06"}
    assert left_out == {"g5.xlarge: Compute, No Upfront, 1 years": why}


@pytest.mark.parametrize("changed", [{"plan": "SageMaker"}, {"payment": "Later"}, {"seconds": 86_400}])
def test_a_rate_for_an_unknown_plan_payment_or_term_is_named(changed: dict[str, Any]) -> None:
    found, left_out = rates(savings_rate("BoxUsage:g5.xlarge", "0.5", **changed))
    assert found == {}
    assert list(left_out.values()) == ["it is for no plan, payment or term that we know"]


@pytest.mark.parametrize(
    ("field", "value"), [("usageType", ["x"]), ("operation", {}), ("rate", 0.5), ("unit", []), ("rate", None)]
)
def test_a_value_of_another_kind_is_no_rate(field: str, value: object) -> None:
    assert rates({**savings_rate("BoxUsage:g5.xlarge", "0.5"), field: value})[0] == {}


@pytest.mark.parametrize("field", ["planType", "paymentOption", "durationSeconds", "currency"])
def test_an_offering_of_another_kind_is_no_rate(field: str) -> None:
    row = savings_rate("BoxUsage:g5.xlarge", "0.5")
    row["savingsPlanOffering"][field] = ["x"]
    assert rates(row)[0] == {}


@pytest.mark.parametrize("name", [["tenancy"], None, 1])
def test_a_property_of_another_kind_is_no_rate(name: object) -> None:
    row = savings_rate("BoxUsage:g5.xlarge", "0.5")
    row["properties"][-1]["name"] = name
    assert rates(row) == ({}, {})


def test_two_rates_for_one_thing_are_no_rate_and_the_same_twice_is_one() -> None:
    twice = savings_rate("BoxUsage:g5.xlarge", "0.5")
    assert rates(twice, twice)[0] == {"g5.xlarge Compute No Upfront 1": "0.5"}
    found, left_out = rates(twice, savings_rate("BoxUsage:g5.xlarge", "0.6"))
    assert found == {}
    assert left_out == {"g5.xlarge: Compute, No Upfront, 1 years": "2 rates in place of one"}


def test_the_filters_name_region_tenancy_and_system() -> None:
    assert {item["name"]: item["values"] for item in savings_filters(REGION)} == {
        "region": [REGION],
        "tenancy": ["shared"],
        "productDescription": ["Linux/UNIX"],
    }


def test_a_rate_keeps_its_date_and_source() -> None:
    ((item,), _) = read_savings_rates([savings_rate("BoxUsage:g5.xlarge", "0.5")], REGION, DAY)
    assert (item.as_of, item.region, item.usd_per_hour) == (DAY, REGION, Decimal("0.5"))
    assert item.source == "AWS Savings Plans offering rates"
