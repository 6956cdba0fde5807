"""What types cost under a Savings Plan, derived from on-demand prices by one assumption for all types and regions.

The assumption is a share for each plan, term and payment. Real shares differ between types. Every offering says so in
its description.
"""

from __future__ import annotations

import functools
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeAlias

from launchbay.catalog.type import InstanceType
from launchbay.twin.call import Answer, Call
from launchbay.twin.paging import cut_page
from launchbay.twin.regions import usage_prefix
from launchbay.twin.rule import Rule
from launchbay.twin.wire import new_request_id
from launchbay.twin.world import World

__all__ = ["RULE", "SHARES"]

_Offering: TypeAlias = tuple[str, int, str]
SHARES: Mapping[_Offering, Decimal] = {
    (plan, years, payment): (share * part).quantize(Decimal("0.001"))
    for (plan, years), share in {
        ("Compute", 1): Decimal("0.73"),
        ("Compute", 3): Decimal("0.50"),
        ("EC2Instance", 1): Decimal("0.63"),
        ("EC2Instance", 3): Decimal("0.43"),
    }.items()
    for payment, part in {
        "No Upfront": Decimal("1.00"),
        "Partial Upfront": Decimal("0.95"),
        "All Upfront": Decimal("0.93"),
    }.items()
}
"""What an hour costs of the on-demand price, by plan, years and payment: assumed, of the size that AWS advertises."""

_YEAR_S = 31_536_000
_PLACES = Decimal("0.00001")
_NOTE = "Assumed by the twin - one share of on-demand for all types"
_PAGE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rate:
    """A rate before it is written: a list without filters has hundreds of thousands."""

    item: InstanceType
    region: str
    usd: Decimal
    offering: _Offering
    usage: str


def _rates(call: Call, world: World) -> Iterator[_Rate]:
    """Yield a type's rates while it runs, and beside each that of capacity which was reserved and does not."""
    if not (_lets(call, "products", "EC2") and _lets(call, "serviceCodes", "AmazonEC2")):
        return
    if not _lets(call, "operations", "RunInstances"):
        return
    filters: Sequence[Mapping[str, Any]] = call.get("filters") or ()
    offerings = [
        offering
        for offering in SHARES
        if _lets(call, "savingsPlanTypes", offering[0]) and _lets(call, "savingsPlanPaymentOptions", offering[2])
    ]
    regions = {value for wish in filters if wish["name"] == "region" for value in wish["values"]}
    for (name, region, market), price in sorted(world.catalogue.prices.items()):
        item = world.catalogue.types.get(name)
        if market != "on-demand" or item is None or item.is_retired or (regions and region not in regions):
            continue
        properties = _properties(item, region)
        if not all(properties.get(str(wish["name"])) in wish["values"] for wish in filters):
            continue
        for offering in offerings:
            if not _lets(call, "savingsPlanOfferingIds", _identity(offering, item.family)):
                continue
            for kind in ("BoxUsage", "UnusedBox"):
                usage = f"{usage_prefix(region)}{kind}:{name}"
                if _lets(call, "usageTypes", usage):
                    yield _Rate(item=item, region=region, usd=price.usd_per_hour, offering=offering, usage=usage)


def _lets(call: Call, field: str, value: str) -> bool:
    """Say whether a list of what is asked for holds a value; an empty one asks for all."""
    return not call.get(field) or value in call.get(field)


def _properties(item: InstanceType, region: str) -> dict[str, str]:
    return {
        "region": region,
        "instanceType": item.name,
        "instanceFamily": item.family,
        "productDescription": "Linux/UNIX",
        "tenancy": "shared",
    }


@functools.cache
def _identity(offering: _Offering, family: str) -> str:
    """Return the id of an offering; one of EC2 Instance plans is of a family."""
    plan, years, payment = offering
    name = f"{plan} {years} {payment} {family if plan == 'EC2Instance' else ''}"
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name))


def _written(rate: _Rate) -> Mapping[str, Any]:
    plan, years, payment = rate.offering
    properties = _properties(rate.item, rate.region)
    return {
        "savingsPlanOffering": {
            "offeringId": _identity(rate.offering, rate.item.family),
            "paymentOption": payment,
            "planType": plan,
            "durationSeconds": years * _YEAR_S,
            "currency": "USD",
            "planDescription": _NOTE,
        },
        "rate": f"{(rate.usd * SHARES[rate.offering]).quantize(_PLACES):f}",
        "unit": "Hrs",
        "productType": "EC2",
        "serviceCode": "AmazonEC2",
        "usageType": rate.usage,
        "operation": "RunInstances",
        "properties": [{"name": key, "value": value} for key, value in properties.items()],
    }


def _before(call: Call, world: World) -> Mapping[str, Any] | Answer | None:
    size = min(int(call.get("maxResults") or _PAGE), _PAGE)
    page, following = cut_page(list(_rates(call, world)), call.get("nextToken"), size, refusal="ValidationException")
    body = {"searchResults": [_written(rate) for rate in page], "nextToken": following or ""}
    headers = (("Content-Type", "application/json"), ("x-amzn-RequestId", new_request_id()))
    return Answer(
        status=200, headers=headers, body=json.dumps(body).encode()
    )  # moto writes a page in a third of a second


RULE = Rule(
    name="savings",
    on=frozenset({"savingsplans:DescribeSavingsPlansOfferingRates"}),
    source="parameters and fields verified in botocore's model, usage types seen in public code; all rates are assumed: "
    "shares of the catalogue's on-demand price that are the same for every type and region",
    before=_before,
)
