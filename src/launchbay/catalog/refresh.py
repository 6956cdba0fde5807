"""Ask AWS what a region has and what it costs, today. Questions only; nothing is stored here.

Types, the zones that offer them, on-demand prices and prices of what stands beside them belong together: one of these
refused or cut off means that the region is as it was. Spot prices and Savings Plans take permissions of their own, which
many do not have: refused, they stay unknown, and the rest is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar

from launchbay.catalog.aws import Operation, ask, make_clients
from launchbay.catalog.described import read_type
from launchbay.catalog.live import LeftOut, Live, SavingsRate, SpotHistory
from launchbay.catalog.price import Price
from launchbay.catalog.pricelist import INSTANCES, Product, read_on_demand, read_product
from launchbay.catalog.savingsrate import PAYMENTS, PLANS, read_savings_rates, savings_filters
from launchbay.catalog.sideprice import QUERIES, read_side_prices
from launchbay.catalog.spothistory import LINUX, read_spot_history
from launchbay.catalog.type import InstanceType
from launchbay.errors import NotPermitted, UserError
from launchbay.ports import Event, Reporter
from launchbay.units import count_of

__all__ = ["ask_region"]

TYPES = Operation(
    service="ec2",
    name="describe_instance_types",
    rows="InstanceTypes",
    token="NextToken",  # noqa: S106 - the name of a field
    permission="ec2:DescribeInstanceTypes",
    page=100,
)
OFFERINGS = Operation(
    service="ec2",
    name="describe_instance_type_offerings",
    rows="InstanceTypeOfferings",
    token="NextToken",  # noqa: S106
    permission="ec2:DescribeInstanceTypeOfferings",
    page=1000,
)
PRODUCTS = Operation(
    service="pricing",
    name="get_products",
    rows="PriceList",
    token="NextToken",  # noqa: S106
    permission="pricing:GetProducts",
    page=100,
)
SPOT = Operation(
    service="ec2",
    name="describe_spot_price_history",
    rows="SpotPriceHistory",
    token="NextToken",  # noqa: S106
    permission="ec2:DescribeSpotPriceHistory",
    page=1000,
)
SAVINGS = Operation(
    service="savingsplans",
    name="describe_savings_plans_offering_rates",
    rows="searchResults",
    token="nextToken",  # noqa: S106
    permission="savingsplans:DescribeSavingsPlansOfferingRates",
    page=1000,
)
_Fact = TypeVar("_Fact")
_PRICES_IN = "us-east-1"
"""Where the Price List and Savings Plans are asked about every region."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asker:
    """Asks about one region, and tells how far it has come."""

    region: str
    reporter: Reporter
    clients: Mapping[str, Any]

    def rows(
        self, operation: Operation, kind: str, parameters: Mapping[str, object], *, is_last: bool = True
    ) -> Iterator[Mapping[str, Any]]:
        """Yield all rows of an answer. Several answers of one kind are one task, which ends with the last of them."""
        task, done = f"{self.region}: {kind}", 0
        for page in ask(self.clients[operation.service], operation, self.region, parameters):
            done += len(page)
            self.reporter.event(Event(task=task, done=done, unit="rows"))
            yield from page
        if is_last:
            self.reporter.event(Event(task=task, done=done, total=done, unit="rows", finished=True))

    def products(self, kind: str, service: str, filters: Mapping[str, str], *, is_last: bool = True) -> list[Product]:
        """Return all products of a service that have these attributes."""
        asked = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in filters.items()]
        return [
            read_product(row)
            for row in self.rows(PRODUCTS, kind, {"ServiceCode": service, "Filters": asked}, is_last=is_last)
        ]


def ask_region(region: str, *, days: int, now: float, reporter: Reporter) -> Live:
    """Ask AWS about one region; spot prices of the last `days`. `now` is the time, in seconds since 1970.

    Blocks for as long as AWS takes, a minute or more; changes nothing. Raises UserError when AWS cannot be asked or its
    answer is not whole, NotPermitted when it refuses what everything else hangs on.
    """
    clients = make_clients({"ec2": region, "pricing": _PRICES_IN, "savingsplans": _PRICES_IN})
    asker = _Asker(region=region, reporter=reporter, clients=clients)
    at = datetime.fromtimestamp(now, UTC)
    as_of = at.date()
    zones = _zones(asker)
    types, odd_types = _types(asker, zones)
    instances = asker.products("prices", "AmazonEC2", {**INSTANCES, "regionCode": region})
    prices, odd_prices = read_on_demand(instances, region, as_of)
    if not prices:
        raise _nothing("prices", region, odd_prices)
    odd_prices += _unpriced(zones, [*prices, *odd_prices])
    side, odd_side = read_side_prices(_beside(asker), region, as_of)
    unknown: dict[str, str] = {}
    spot, odd_spot = _apart("spot", unknown, lambda: _spot(asker, days, at))
    savings, odd_savings = _apart("savings", unknown, lambda: _savings(asker, as_of))
    return Live(
        region=region,
        as_of=as_of,
        types=tuple(types),
        zones=zones,
        prices=tuple(prices),
        side=tuple(side),
        spot=spot,
        savings=savings,
        unknown=unknown,
        left_out=(*odd_types, *odd_prices, *odd_side, *odd_spot, *odd_savings),
    )


def _zones(asker: _Asker) -> Mapping[str, tuple[str, ...]]:
    """Return the zones of each type that the region offers."""
    found: dict[str, list[str]] = {}
    for row in asker.rows(OFFERINGS, "offers", {"LocationType": "availability-zone-id"}):
        if row.get("LocationType") == "availability-zone-id":
            found.setdefault(str(row.get("InstanceType", "")), []).append(str(row.get("Location", "")))
    if not found:
        raise _nothing("offers", asker.region, ())
    return {name: tuple(sorted(zones)) for name, zones in sorted(found.items())}


def _types(asker: _Asker, zones: Mapping[str, object]) -> tuple[list[InstanceType], list[LeftOut]]:
    """Return the types that the region offers, and those whose description cannot be read."""
    types: dict[str, InstanceType] = {}
    odd: dict[str, str] = {}
    for row in asker.rows(TYPES, "types", {}):
        name = str(row.get("InstanceType", ""))
        if name in zones:
            try:
                types[name] = read_type(
                    row, regions=frozenset({asker.region}), is_retired=False, source="AWS DescribeInstanceTypes"
                )
            except (KeyError, TypeError, ValueError) as error:
                odd[name] = f"its description cannot be read: {error!r:.80}"
    odd |= {name: "it is offered and not described" for name in zones if name not in types and name not in odd}
    left_out = [LeftOut(kind="types", what=name, why=why) for name, why in sorted(odd.items())]
    if not types:
        raise _nothing("types", asker.region, left_out)
    return [types[name] for name in sorted(types)], left_out


def _unpriced(zones: Mapping[str, object], known: Sequence[Price | LeftOut]) -> list[LeftOut]:
    """Return the types that are offered and of whose price the answer says nothing: it may not be all of the list."""
    named = {item.type if isinstance(item, Price) else item.what for item in known}
    return [
        LeftOut(kind="prices", what=name, why="the price list holds no such product")
        for name in zones
        if name not in named
    ]


def _beside(asker: _Asker) -> Mapping[str, list[Product]]:
    """Return what each service lists of what stands beside instances."""
    found: dict[str, list[Product]] = {}
    for query in QUERIES:
        service, region, filters = query
        asked = {region: asker.region, **filters}
        products = asker.products("disks, addresses, traffic", service, asked, is_last=query is QUERIES[-1])
        found.setdefault(service, []).extend(products)
    return found


def _spot(asker: _Asker, days: int, now: datetime) -> tuple[list[SpotHistory], list[LeftOut]]:
    asked = {"ProductDescriptions": [LINUX], "StartTime": now - timedelta(days=days), "EndTime": now}
    return read_spot_history(asker.rows(SPOT, "spot", asked), asker.region, days=days, now=now)


def _savings(asker: _Asker, as_of: date) -> tuple[list[SavingsRate], list[LeftOut]]:
    asked = {
        "savingsPlanPaymentOptions": list(PAYMENTS),
        "savingsPlanTypes": list(PLANS),
        "products": ["EC2"],
        "serviceCodes": ["AmazonEC2"],
        "filters": savings_filters(asker.region),
    }
    return read_savings_rates(asker.rows(SAVINGS, "Savings Plans", asked), asker.region, as_of)


def _apart(
    kind: str, unknown: dict[str, str], read: Callable[[], tuple[list[_Fact], list[LeftOut]]]
) -> tuple[tuple[_Fact, ...] | None, list[LeftOut]]:
    """Return what may be refused apart, or None, with the reason in `unknown`: no answer is not an answer of nothing."""
    try:
        found, left_out = read()
    except NotPermitted as error:
        unknown[kind] = error.what
        return None, []
    if not found:
        unknown[kind] = "AWS answered nothing that can be used"
    return tuple(found) or None, left_out


def _nothing(kind: str, region: str, left_out: Sequence[LeftOut]) -> UserError:
    hint = "look whether this is a region of AWS, and of this account"
    if left_out:
        hint = f"{count_of(len(left_out), 'answer')} left out, such as {left_out[0].what}: {left_out[0].why}"
    return UserError(f"AWS answered no {kind} that can be used; nothing was changed", where=region, hint=hint)
