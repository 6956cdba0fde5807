"""What types cost under a Savings Plan, as DescribeSavingsPlansOfferingRates answers it. Pure.

The same list holds dedicated hosts and capacity that was reserved and not used, at other rates; a usage type says which
is which. Only ``BoxUsage:TYPE`` is an instance that runs on shared tenancy.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from launchbay.catalog.live import LeftOut, SavingsRate
from launchbay.catalog.pricelist import read_usd

__all__ = ["PAYMENTS", "PLANS", "read_savings_rates", "savings_filters"]

SOURCE = "AWS Savings Plans offering rates"
PLANS = ("Compute", "EC2Instance")
PAYMENTS = ("No Upfront", "Partial Upfront", "All Upfront")
_YEARS = {"31536000": 1, "94608000": 3}
"""Of the seconds of a term, as text: botocore hands a JSON value on as whatever it is."""

_BOX = re.compile(r"([A-Z0-9]+-)?BoxUsage:(?P<type>[a-z0-9-]+\.[a-z0-9-]+)\Z")
_Key = tuple[str, str, str, int]


def savings_filters(region: str) -> list[dict[str, object]]:
    """Return what AWS is asked to leave out: other regions, tenancies and operating systems."""
    return [{"name": name, "values": [value]} for name, value in _wanted(region).items()]


def _wanted(region: str) -> dict[str, str]:
    return {"region": region, "tenancy": "shared", "productDescription": "Linux/UNIX"}


def read_savings_rates(
    rows: Iterable[Mapping[str, Any]], region: str, as_of: date
) -> tuple[list[SavingsRate], list[LeftOut]]:
    """Return the rates of running instances, each type, plan, payment and term once, and what cannot be used, with why."""
    found: dict[_Key, set[Decimal]] = {}
    faults: dict[_Key, str] = {}
    for row in rows:
        box = _BOX.match(str(row.get("usageType", "")))
        if box is not None and row.get("operation") == "RunInstances" and _is_asked_for(row, region):
            offering = row.get("savingsPlanOffering", {})
            key = (
                box["type"],
                str(offering.get("planType", "")),
                str(offering.get("paymentOption", "")),
                _YEARS.get(str(offering.get("durationSeconds")), 0),
            )
            usd, why = _read_rate(row, key)
            if usd is None:
                faults[key] = why
            else:
                found.setdefault(key, set()).add(usd)
    faults |= {key: f"{len(rates)} rates in place of one" for key, rates in found.items() if len(rates) > 1}
    rates = [
        SavingsRate(
            type=key[0],
            region=region,
            plan=key[1],
            payment=key[2],
            years=key[3],
            usd_per_hour=next(iter(rates)),
            as_of=as_of,
            source=SOURCE,
        )
        for key, rates in sorted(found.items())
        if key not in faults
    ]
    left_out = [
        LeftOut(kind="savings", what=f"{key[0]}: {key[1]}, {key[2]}, {key[3]} years", why=why)
        for key, why in sorted(faults.items())
    ]
    return rates, left_out


def _is_asked_for(row: Mapping[str, Any], region: str) -> bool:
    said = {str(item.get("name")): item.get("value") for item in row.get("properties", ())}
    return _wanted(region).items() <= said.items()


def _read_rate(row: Mapping[str, Any], key: _Key) -> tuple[Decimal | None, str]:
    _, plan, payment, years = key
    if plan not in PLANS or payment not in PAYMENTS or not years:
        return None, "it is for no plan, payment or term that we know"
    offering = row["savingsPlanOffering"]
    if offering.get("currency") != "USD" or row.get("unit") != "Hrs":
        return None, f"its rate is in {offering.get('currency')} for {row.get('unit')}, not in USD for Hrs"
    usd = read_usd(row.get("rate"))
    return usd, "" if usd else f"its rate is no amount above 0: {str(row.get('rate'))[:40]!r}"
