"""AWS's Price List: products by their attributes, each as JSON in a string, from the packaged catalogue."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from launchbay.twin.call import Answer, Call, Refused
from launchbay.twin.paging import cut_page
from launchbay.twin.pricelist import SERVICES, Offer, list_offers, write_offer
from launchbay.twin.regions import location_of
from launchbay.twin.rule import Rule
from launchbay.twin.world import World

__all__ = ["RULE"]

_ASKED_IN = ("ap-south-1", "eu-central-1", "us-east-1")
"""The regions with an endpoint of the Price List; each of them answers about all."""

_TOKEN = "InvalidNextTokenException"  # noqa: S105 - a code of an error
_PLACES: Mapping[str, Callable[[str], str]] = {
    "fromLocation": location_of,
    "fromRegionCode": str,
    "location": location_of,
    "regionCode": str,
}
"""Attributes that name the region, and how."""

_FORMAT = "aws_v1"


def _words(value: str) -> list[str]:
    return [word.strip() for word in value.split(",")]


_TESTS: Mapping[str, Callable[[str, str], bool]] = {
    "TERM_MATCH": lambda found, value: found == value,
    "EQUALS": lambda found, value: found == value,
    "CONTAINS": lambda found, value: value in found,
    "ANY_OF": lambda found, value: found in _words(value),
    "NONE_OF": lambda found, value: found not in _words(value),
}


def _products(call: Call, world: World) -> Mapping[str, Any]:
    service = _service(call)
    filters = call.get("Filters") or ()
    found = [offer for offer in _offers(world, service, filters) if all(_passes(offer, item) for item in filters)]
    page, following = cut_page(found, call.get("NextToken"), call.get("MaxResults") or 100, refusal=_TOKEN)
    return {
        "FormatVersion": _FORMAT,
        "PriceList": [write_offer(offer) for offer in page],
        "NextToken": following,
    }


def _service(call: Call) -> str:
    service = str(call.get("ServiceCode", default=""))
    if service not in SERVICES:
        raise Refused("NotFoundException", f"The requested resource can't be found: {service}")
    return service


def _offers(world: World, service: str, filters: Sequence[Mapping[str, str]]) -> Iterator[Offer]:
    """Yield the products in the regions that the filters leave; going through all of them takes a second."""
    regions = [
        region
        for region in world.catalogue.regions
        if all(
            _TESTS[item["Type"]](_PLACES[item["Field"]](region), item["Value"])
            for item in filters
            if item["Field"] in _PLACES
        )
    ]
    for region in regions:
        yield from list_offers(world.catalogue, service, region)


def _passes(offer: Offer, item: Mapping[str, str]) -> bool:
    """Say whether a product passes a filter; one without the attribute passes only where it should not have the value."""
    if item["Field"] == "ServiceCode":
        return _TESTS[item["Type"]](offer.service, item["Value"])
    found = offer.attributes.get(item["Field"])
    return item["Type"] == "NONE_OF" if found is None else _TESTS[item["Type"]](found, item["Value"])


def _services(call: Call, world: World) -> Mapping[str, Any]:
    asked = call.get("ServiceCode")
    names = [_service(call)] if asked else sorted(SERVICES)
    page, following = cut_page(names, call.get("NextToken"), call.get("MaxResults") or 100, refusal=_TOKEN)
    services = [{"ServiceCode": name, "AttributeNames": sorted(_attributes(world, name))} for name in page]
    return {"FormatVersion": _FORMAT, "Services": services, "NextToken": following}


def _attributes(world: World, service: str) -> set[str]:
    """Return the names of the attributes of a service's products, which are the same in every region."""
    return {name for offer in list_offers(world.catalogue, service, "us-east-1") for name in offer.attributes}


def _values(call: Call, world: World) -> Mapping[str, Any]:
    service, name = _service(call), str(call.get("AttributeName", default=""))
    values = sorted({offer.attributes[name] for offer in _offers(world, service, ()) if name in offer.attributes})
    if not values:
        raise Refused("InvalidParameterException", f"{service} has no attribute {name}")
    page, following = cut_page(values, call.get("NextToken"), call.get("MaxResults") or 100, refusal=_TOKEN)
    return {"AttributeValues": [{"Value": value} for value in page], "NextToken": following}


_ACTIONS = {"DescribeServices": _services, "GetAttributeValues": _values, "GetProducts": _products}


def _before(call: Call, world: World) -> Mapping[str, Any] | Answer | None:
    if call.region not in _ASKED_IN:
        what = f"the Price List has no endpoint in {call.region}: it is asked in {', '.join(_ASKED_IN)}"
        raise Refused("AccessDeniedException", what)
    return _ACTIONS[call.action](call, world)


RULE = Rule(
    name="pricing",
    on=frozenset(f"pricing:{action}" for action in _ACTIONS),
    source="form of a product and usage types seen in public code and in AWS's examples, kinds of filters verified in botocore's "
    "model; how values of ANY_OF are separated, and an attribute's absence, are remembered; refusing other regions is the "
    "twin's way to say that there is no endpoint",
    before=_before,
)
