from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal

from launchbay.catalog.merge import merge
from launchbay.catalog.price import Catalogue, Price, SidePrice
from launchbay.catalog.type import InstanceType

MakeType = Callable[..., InstanceType]
MakePrice = Callable[..., Price]
Make = Callable[..., Catalogue]

OLD, SAME, NEW = date(2024, 1, 1), date(2025, 3, 2), date(2026, 11, 1)


def usd(catalogue: Catalogue, name: str, market: str = "on-demand") -> Decimal | None:
    price = catalogue.price(name, "us-east-1", market)
    return price.usd_per_hour if price else None


def test_a_newer_price_wins_and_an_older_one_does_not(
    make_catalogue: Make, make_type: MakeType, make_price: MakePrice
) -> None:
    base = make_catalogue([make_type("m1.large")], [make_price("m1.large", "0.10")])
    for as_of, expected in ((OLD, "0.10"), (SAME, "0.09"), (NEW, "0.09")):
        merged = merge(base, prices=[make_price("m1.large", "0.09", as_of=as_of)])
        assert usd(merged, "m1.large") == Decimal(expected)
    assert usd(base, "m1.large") == Decimal("0.10")  # it is a value


def test_a_newer_price_is_not_stale_any_more(make_catalogue: Make, make_type: MakeType, make_price: MakePrice) -> None:
    base = make_catalogue([make_type("m1.large")], [make_price("m1.large", "0.10", is_stale=True)])
    price = merge(base, prices=[make_price("m1.large", "0.09", as_of=NEW)]).price("m1.large", "us-east-1")
    assert price is not None
    assert not price.is_stale


def test_of_several_zones_the_newest_count_and_of_these_the_lowest(make_catalogue: Make, make_price: MakePrice) -> None:
    def spot(amount: str, as_of: date, zone: str) -> Price:
        return make_price("m1.large", amount, market="spot", as_of=as_of, zone_id=zone)

    rows = [spot("0.03", SAME, "use1-az1"), spot("0.05", NEW, "use1-az2"), spot("0.04", NEW, "use1-az3")]
    for order in (rows, rows[::-1]):
        merged = merge(make_catalogue([]), prices=order)
        assert usd(merged, "m1.large", "spot") == Decimal("0.04")
        assert usd(merged, "m1.large") is None


def test_a_later_description_replaces_but_for_regions(make_catalogue: Make, make_type: MakeType) -> None:
    base = make_catalogue([make_type("m1.large", is_retired=True)])
    later = make_type("m1.large", memory_mib=16384, regions=frozenset({"eu-west-1"}))
    merged = merge(base, types=[later, make_type("m9.large")])
    assert merged.types["m1.large"].memory_mib == 16384
    assert not merged.types["m1.large"].is_retired
    assert merged.types["m1.large"].regions == {"us-east-1", "eu-west-1"}
    assert "m9.large" in merged.types


def test_what_a_region_offers_now_is_all_that_it_offers(make_catalogue: Make, make_type: MakeType) -> None:
    base = make_catalogue([make_type("m1.large"), make_type("m2.large")])
    gone = make_type("m0.large", is_retired=True, regions=frozenset())
    base = replace(base, types={**base.types, "m0.large": gone})
    merged = merge(base, offered={"us-east-1": ["m2.large", "m0.large", "new"], "mx-central-1": ["m1.large"]})
    assert merged.types["m0.large"] == replace(gone, is_retired=False, regions=frozenset({"us-east-1"}))
    assert "new" not in merged.types  # nobody has described it
    assert merged.types["m1.large"].regions == {"mx-central-1"}
    assert merged.types["m2.large"].regions == {"us-east-1"}
    assert merged.regions == ("eu-west-1", "mx-central-1", "us-east-1")


def test_side_prices_win_by_date_too(make_catalogue: Make) -> None:
    def gp3(amount: str, as_of: date) -> SidePrice:
        return SidePrice(
            item="gp3", region="us-east-1", usd=Decimal(amount), unit="GiB-month", as_of=as_of, source="somebody"
        )

    base = merge(make_catalogue([]), side=[gp3("0.08", SAME)])
    assert merge(base, side=[gp3("0.07", OLD)]).side["gp3", "us-east-1"].usd == Decimal("0.08")
    assert merge(base, side=[gp3("0.07", NEW), gp3("0.06", SAME)]).side["gp3", "us-east-1"].usd == Decimal("0.07")


def test_nothing_later_changes_nothing(make_catalogue: Make, make_type: MakeType, make_price: MakePrice) -> None:
    base = make_catalogue([make_type("m1.large")], [make_price("m1.large", "0.10")])
    assert merge(base) == base
