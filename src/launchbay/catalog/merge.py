"""Put what was asked of AWS later over a catalogue: a price wins by its date, a description by being later. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from launchbay.catalog.price import Catalogue, Price, SidePrice
from launchbay.catalog.type import InstanceType

__all__ = ["merge"]


def merge(
    base: Catalogue,
    *,
    types: Iterable[InstanceType] = (),
    offered: Mapping[str, Collection[str]] | None = None,
    prices: Iterable[Price] = (),
    side: Iterable[SidePrice] = (),
) -> Catalogue:
    """Return a catalogue with later rows in it; `base` stays as it is.

    `types` replace those of the same name, but for the regions that they are offered in: `offered` says for a region
    which types it offers, all others it does not; one of them that `types` does not describe stays described as it was. A
    price counts if it is as new as the one that is there, or newer. Of
    several for one type, region and market (spot prices of zones) the newest count, and of these the lowest.
    """
    described = {**base.types}
    for item in types:
        known = described.get(item.name)
        described[item.name] = replace(item, regions=item.regions | known.regions) if known else item
    for region, names in (offered or {}).items():
        described = {name: _offer(item, region, name in names) for name, item in described.items()}
    return Catalogue(
        types=described,
        prices={**base.prices, **_newer(base, prices)},
        side={
            **base.side,
            **{
                (item.item, item.region): item
                for item in sorted(side, key=lambda item: item.as_of)
                if not (known_side := base.side.get((item.item, item.region))) or item.as_of >= known_side.as_of
            },
        },
        regions=tuple(sorted({*base.regions, *(offered or {})})),
    )


def _offer(item: InstanceType, region: str, is_offered: bool) -> InstanceType:  # noqa: FBT001 - said by its name
    if is_offered == (region in item.regions):
        return item
    if is_offered:
        return replace(item, regions=item.regions | {region}, is_retired=False)
    return replace(item, regions=item.regions - {region})


def _newer(base: Catalogue, prices: Iterable[Price]) -> dict[tuple[str, str, str], Price]:
    best: dict[tuple[str, str, str], Price] = {}
    for item in prices:
        key = (item.type, item.region, item.market)
        known = best.get(key)
        if known is None or (item.as_of, -item.usd_per_hour) > (known.as_of, -known.usd_per_hour):
            best[key] = item
    return {key: item for key, item in best.items() if key not in base.prices or item.as_of >= base.prices[key].as_of}
