"""Answer questions about instance types: find, find the like of one, put some side by side. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from launchbay.catalog.capability import ANY_CUDA, capability_of
from launchbay.catalog.column import COLUMNS, natural_order
from launchbay.catalog.match import check_known, tests_of
from launchbay.catalog.offer import Offer
from launchbay.catalog.price import Catalogue
from launchbay.catalog.question import Question, check_question
from launchbay.catalog.ranges import Range
from launchbay.catalog.type import InstanceType
from launchbay.errors import NotFound, UsageError
from launchbay.spec.names import nearest

__all__ = ["Found", "compare_types", "find_types", "like", "type_named"]

_LIKE_LOW, _LIKE_HIGH = 0.9, 1.2
"""How far vCPUs and memory may differ from those of the type to be like; amazon-ec2-instance-selector has the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The answer: the first `limit` offers in the order asked for, and what a reader has to know of the rest.

    `matched` counts all that match. `unpriced` of the offers that fulfil all but the ceiling have no known price, so that
    nobody knows whether they would pass it; of `unrated` more the compute capability is not known. `retired` more match that
    are offered no more. `elsewhere` types are offered in none of the regions that were asked for; whether they pass a
    ceiling there was not looked at.
    """

    offers: tuple[Offer, ...]
    matched: int
    unpriced: int
    unrated: int
    retired: int
    elsewhere: int


def find_types(catalogue: Catalogue, question: Question) -> Found:
    """Return the offers that answer a question. Unknown prices come last, and never pass a ceiling.

    Raises UsageError for a question that contradicts itself, NotFound with the nearest names for one about something that
    is not in the catalogue.
    """
    check_question(question)
    check_known(catalogue, question)
    fitting = _fitting(catalogue, question)
    offers = _offers(catalogue, fitting, question)
    passing = _affordable(offers, question)
    ordered = _sort(passing, question)
    retired = [] if question.is_retired_too else _retired(catalogue, fitting, question)
    return Found(
        offers=tuple(ordered[: question.limit]),
        matched=len(ordered),
        unpriced=sum(1 for offer in offers if offer.asked is None),
        unrated=_count_unrated(catalogue, question),
        retired=len(_affordable(retired, question)),
        elsewhere=sum(1 for item in fitting if item.regions and item.regions.isdisjoint(question.regions)),
    )


def _fitting(catalogue: Catalogue, question: Question) -> list[InstanceType]:
    found = list(catalogue.types.values())
    for test in tests_of(question):
        found = [item for item in found if test(item)]
    return found


def _offers(catalogue: Catalogue, types: Sequence[InstanceType], question: Question) -> list[Offer]:
    """Return each of some types in each region that has it, and those offered no more, if they are asked for."""
    offered = [
        _offer(catalogue, item, region, question.market)
        for region in question.regions
        for item in types
        if region in item.regions
    ]
    return [*offered, *_retired(catalogue, types, question)] if question.is_retired_too else offered


def _retired(catalogue: Catalogue, types: Sequence[InstanceType], question: Question) -> list[Offer]:
    """Return each of some types that are offered no more in each region where it had a price."""
    retired = [item for item in types if item.is_retired]
    return [
        _offer(catalogue, item, region, question.market)
        for region in question.regions
        for item in retired
        if catalogue.price(item.name, region) is not None
    ]


def _affordable(offers: Sequence[Offer], question: Question) -> list[Offer]:
    most = question.max_usd_per_hour
    return [offer for offer in offers if most is None or (offer.asked is not None and offer.asked.usd_per_hour <= most)]


def _count_unrated(catalogue: Catalogue, question: Question) -> int:
    """Count what would match if the compute capability of its GPU, which is not known, was what is asked for."""
    if question.capability is None or question.capability == ANY_CUDA:
        return 0
    fitting = _fitting(catalogue, replace(question, capability=ANY_CUDA))
    unrated = [item for item in fitting if capability_of(item.gpu) is None]
    return len(_affordable(_offers(catalogue, unrated, question), question))


def type_named(catalogue: Catalogue, name: str) -> InstanceType:
    """Return a type by its name, in any case. Raises NotFound with the nearest names, or with sizes of a family."""
    typed = name.strip().casefold()
    if typed in catalogue.types:
        return catalogue.types[typed]
    sizes = sorted((item.name for item in catalogue.types.values() if item.family == typed), key=natural_order)
    if sizes:
        hint = f"one of its sizes: {', '.join(sizes[:8])}{' ...' if sizes[8:] else ''}"
        raise NotFound(f"{name!r} is a family of instance types", hint=hint)
    raise nearest(typed, catalogue.types, kind="instance type", hint="`bay types` lists them")


def like(catalogue: Catalogue, name: str, question: Question) -> Question:
    """Return the question for types like one: as many GPUs, its architecture, vCPUs and memory from 0.9 to 1.2 of its.

    What the question asks itself stays as it is. Raises NotFound with the nearest names.
    """
    model = type_named(catalogue, name)
    gib = model.memory_mib / 1024
    return replace(
        question,
        vcpus=question.vcpus or Range(low=model.vcpus * _LIKE_LOW, high=model.vcpus * _LIKE_HIGH),
        memory_gib=question.memory_gib or Range(low=gib * _LIKE_LOW, high=gib * _LIKE_HIGH),
        gpus=question.gpus or Range(low=model.gpus, high=model.gpus),
        architectures=question.architectures or model.architectures[-1:],
        is_bare_metal=model.is_bare_metal if question.is_bare_metal is None else question.is_bare_metal,
    )


def compare_types(catalogue: Catalogue, names: Sequence[str], region: str) -> tuple[Offer, ...]:
    """Return types in the order named, each once, whether or not the region offers them. Raises NotFound, UsageError."""
    asked = {item.name: item for item in (type_named(catalogue, name) for name in names)}
    if not asked:
        raise UsageError("comparing needs a type", hint="bay types compare g5.xlarge g6.xlarge")
    return tuple(_offer(catalogue, item, region) for item in asked.values())


def _offer(catalogue: Catalogue, item: InstanceType, region: str, market: str = "on-demand") -> Offer:
    return Offer(
        type=item,
        region=region,
        price=catalogue.price(item.name, region),
        spot=catalogue.price(item.name, region, "spot"),
        market=market,
    )


def _sort(offers: Sequence[Offer], question: Question) -> list[Offer]:
    """Sort by a column, then by price and name; what is not known comes last in either direction."""
    name = "spot" if question.sort == "price" and question.market == "spot" else question.sort
    if name not in COLUMNS:
        raise nearest(name, COLUMNS, kind="column", hint=f"--sort takes one of {', '.join(COLUMNS)}")
    ordered = sorted(offers, key=_by_price)
    if name == "price" and not question.is_reversed:
        return ordered
    key = COLUMNS[name].key
    known: list[Offer] = []
    unknown: list[Offer] = []
    for offer in ordered:
        (unknown if key(offer) is None else known).append(offer)
    return [*sorted(known, key=key, reverse=question.is_reversed), *unknown]


def _by_price(offer: Offer) -> tuple[bool, Decimal, tuple[str, int, str], str]:
    usd = offer.price.usd_per_hour if offer.price else Decimal(0)
    return offer.price is None, usd, natural_order(offer.type.name), offer.region
