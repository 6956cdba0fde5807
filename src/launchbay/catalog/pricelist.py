"""Products of AWS's Price List, as GetProducts answers them: JSON in strings, prices as text by term and tier. Pure.

The filters matter more than the reading. A list without them holds dedicated tenancy, reserved capacity at $0.00 and
installed software under the same type's name, and whoever takes the first row that comes is wrong for a quarter of all
types. So each attribute is asked for, and looked at again when the answer is here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from launchbay.catalog.live import LeftOut
from launchbay.catalog.price import Price
from launchbay.errors import UserError

__all__ = ["INSTANCES", "SOURCE", "Product", "Rate", "read_on_demand", "read_product", "read_usd"]

SOURCE = "AWS Price List"
INSTANCES: Mapping[str, str] = {
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "preInstalledSw": "NA",
    "capacitystatus": "Used",
    "licenseModel": "No License required",
    "operation": "RunInstances",
    "marketoption": "OnDemand",
}
"""What makes a product an hour of a plain Linux instance on shared tenancy, by attribute; the region comes with it."""

_AMOUNT = re.compile(r"[0-9]{1,12}(\.[0-9]{1,20})?\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """One price of a product: `prices` by currency, as text, for each `unit` from `begins` units a month on."""

    unit: str
    begins: str
    prices: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """A product: what it is, by attribute, and its on-demand rates."""

    attributes: Mapping[str, str]
    rates: Sequence[Rate]

    @property
    def usage(self) -> str:
        """Its usage type: what bills call it."""
        return self.attributes.get("usagetype", "")

    def unit(self, begins: str = "0") -> str:
        """Return what the price of a tier is for, as AWS writes it."""
        return next((rate.unit for rate in self.rates if rate.begins == begins), "")

    def usd(self, begins: str = "0") -> tuple[Decimal | None, str]:
        """Return what a unit costs in the tier that begins there, or None and why that cannot be said."""
        tier = [rate for rate in self.rates if rate.begins == begins]
        if len(tier) != 1:
            return None, f"it has {len(tier)} prices from {begins} on in place of one"
        prices = tier[0].prices
        if "USD" not in prices:
            return None, f"its price is in {' and '.join(prices) or 'no currency'}, not in USD"
        usd = read_usd(prices["USD"])
        return usd, "" if usd else f"its price is no amount above 0: {prices['USD'][:40]!r}"


def read_usd(text: object) -> Decimal | None:
    """Read an amount above 0 as AWS writes it (``0.0960000000``), without the zeros at its end; None for anything else."""
    if not isinstance(text, str) or not _AMOUNT.match(text):
        return None
    amount = Decimal(text.rstrip("0").rstrip(".") if "." in text else text)
    return amount if amount > 0 else None


def read_product(text: object) -> Product:
    """Read one product. Raises UserError for what is none: then nothing in that answer can be relied on."""
    try:
        entry = json.loads(text) if isinstance(text, str) else None
        product = _mapping(_mapping(entry)["product"])
        terms = _mapping(_mapping(_mapping(entry)["terms"]).get("OnDemand", {}))
        return Product(
            attributes={key: str(value) for key, value in _mapping(product["attributes"]).items()},
            rates=[
                Rate(
                    unit=str(rate.get("unit", "")),
                    begins=str(rate.get("beginRange", "0")),
                    prices={key: str(value) for key, value in _mapping(rate["pricePerUnit"]).items()},
                )
                for term in terms.values()
                for rate in map(_mapping, _mapping(_mapping(term)["priceDimensions"]).values())
            ],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"a product of the price list cannot be read: {str(text)[:60]!r}; nothing was changed",
            hint="the same command again; if it stays, launchbay or AWS's format has to change",
        ) from error


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise TypeError
    return value


def read_on_demand(products: Iterable[Product], region: str, as_of: date) -> tuple[list[Price], list[LeftOut]]:
    """Return the on-demand price of each type that has exactly one, and the types that do not, with the reason."""
    wanted = {**INSTANCES, "regionCode": region}
    found: dict[str, list[Product]] = {}
    for product in products:
        if wanted.items() <= product.attributes.items() and "instanceType" in product.attributes:
            found.setdefault(product.attributes["instanceType"], []).append(product)
    prices, left_out = [], []
    for name, items in sorted(found.items()):
        usd, why = _hourly(items)
        if usd is None:
            left_out.append(LeftOut(kind="prices", what=name, why=why))
        else:
            prices.append(_on_demand(name, region, usd, as_of))
    return prices, left_out


def _hourly(products: Sequence[Product]) -> tuple[Decimal | None, str]:
    if len(products) > 1:
        return None, f"{len(products)} products in place of one: {', '.join(sorted(item.usage for item in products))}"
    (product,) = products
    if len(product.rates) != 1:
        return None, f"it has {len(product.rates)} prices in place of one"
    if product.rates[0].unit != "Hrs":
        return None, f"its price is for a unit of {product.rates[0].unit[:20]!r}, not an hour"
    return product.usd()


def _on_demand(name: str, region: str, usd: Decimal, as_of: date) -> Price:
    return Price(
        type=name, region=region, market="on-demand", usd_per_hour=usd, as_of=as_of, source=SOURCE, method="live"
    )
