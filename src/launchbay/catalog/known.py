"""Everything that is known of instance types and prices: what Launchbay came with, and over it what AWS was asked since."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

from launchbay.catalog.live import Live, SavingsRate, SpotHistory
from launchbay.catalog.merge import merge
from launchbay.catalog.price import Before, Catalogue, Price
from launchbay.catalog.snapshot import load_snapshot, read_date, read_regions

__all__ = ["known_regions", "load_catalogue", "load_savings_rates"]


def known_regions(cache: Path, note: Callable[[str], None]) -> frozenset[str]:
    """Return the regions that the package knows, or that AWS was asked about. Raises StateError as `load_catalogue` does."""
    return frozenset({*read_regions(), *(live.region for live in _read(cache, note, None, "side"))})


def load_catalogue(cache: Path, note: Callable[[str], None], *, regions: Collection[str] | None = None) -> Catalogue:
    """Return the packaged catalogue with what the cache holds in it, where that is as new or newer.

    `regions` limits the prices (default: all regions). A spot price is the lowest of the zones; which zone, it says. A
    damaged cache is put away, `note` is told, and the packaged catalogue is returned. Raises NotFound for a region that
    neither knows, StateError for a cache that cannot be read and for a package that is damaged.
    """
    asked = _read(cache, note, regions, "types", "offers", "prices", "side", "spot")
    if not asked:
        return load_snapshot(regions)
    beyond = {live.region for live in asked} - set(read_regions())
    known = load_snapshot(None if regions is None else [region for region in regions if region not in beyond])
    packed = read_date()
    # a cache that outlived an upgrade may be older than what the new version came with
    newer = [live for live in sorted(asked, key=lambda live: live.as_of) if live.as_of >= packed]
    return merge(
        known,
        types=[item for live in newer for item in live.types],
        offered={live.region: live.zones.keys() for live in newer},
        prices=_prices(asked),
        side=[item for live in asked for item in live.side],
    )


def load_savings_rates(
    cache: Path, note: Callable[[str], None], *, regions: Collection[str], plan: str, payment: str, years: int
) -> Mapping[tuple[str, str], SavingsRate]:
    """Return the rates of one Savings Plan by type and region; a type that is not in it has no known rate.

    `plan`, `payment` and `years` are as `SavingsRate` has them. Nothing is known before a refresh. Raises StateError for a
    cache that cannot be read.
    """
    return {
        (rate.type, rate.region): rate
        for live in _read(cache, note, regions, "savings")
        for rate in live.savings or ()
        if (rate.plan, rate.payment, rate.years) == (plan, payment, years)
    }


def _read(cache: Path, note: Callable[[str], None], regions: Collection[str] | None, *kinds: str) -> Sequence[Live]:
    if not cache.exists():
        return ()
    from launchbay.catalog.cache import read_cache  # and sqlite; only who has refreshed pays for it

    return read_cache(cache, note, regions=regions, kinds=kinds)


def _prices(asked: Sequence[Live]) -> Iterable[Price]:
    for live in asked:
        yield from live.prices
        yield from map(_spot_price, live.spot or ())


def _spot_price(history: SpotHistory) -> Price:
    return Price(
        type=history.type,
        region=history.region,
        market="spot",
        usd_per_hour=history.usd_per_hour,
        as_of=history.as_of,
        source=history.source,
        method="live",
        zone_id=history.zone_id,
        before=Before(days=history.days, mean_usd=history.mean_usd, low_usd=history.low_usd, high_usd=history.high_usd),
    )
