"""What `bay types refresh` reads of the twin is what the catalogue holds: types, zones, prices, side prices, spot, plans."""

from __future__ import annotations

import time
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from launchbay.catalog.live import Live
from launchbay.catalog.price import Catalogue
from launchbay.catalog.refresh import ask_region
from launchbay.catalog.sideprice import LISTED
from launchbay.catalog.snapshot import load_snapshot
from launchbay.ports import SilentReporter
from launchbay.twin.billing import _SPOT_SHARE
from launchbay.twin.rules.savings import SHARES

REGION = "us-east-1"


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_snapshot()


@pytest.fixture
def live(twin: Any, monkeypatch: pytest.MonkeyPatch) -> Live:
    for name, value in {
        "AWS_ENDPOINT_URL": twin.url,
        "AWS_ACCESS_KEY_ID": "AKIATEST",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_CONFIG_FILE": "/dev/null",
    }.items():
        monkeypatch.setenv(name, value)
    return ask_region(REGION, days=7, now=time.time(), reporter=SilentReporter())


def test_refreshing_from_the_twin_reads_what_the_catalogue_holds(live: Live, catalogue: Catalogue) -> None:
    assert {item.name: replace(item, regions=frozenset(), source="") for item in live.types} == {
        name: replace(item, regions=frozenset(), source="", is_retired=False)
        for name, item in catalogue.types.items()
        if REGION in item.regions or (item.is_retired and catalogue.price(name, REGION))
    }
    assert {price.type: price.usd_per_hour for price in live.prices} == {
        price.type: price.usd_per_hour for price in catalogue.prices.values() if price.region == REGION
    }
    assert {price.item: (price.usd, price.unit) for price in live.side} == {
        item.item: (price.usd, price.unit) for item in LISTED if (price := catalogue.side_price(item.item, REGION))
    }
    assert live.zones["p3.2xlarge"]
    assert set(live.zones["g5.xlarge"]) < {f"use1-az{number}" for number in range(1, 7)}
    assert live.unknown == {}

    g5 = catalogue.price("g5.xlarge", REGION)
    assert g5 is not None
    assert live.spot is not None
    assert live.savings is not None
    spot = [item for item in live.spot if item.type == "g5.xlarge"]
    assert sorted(item.zone_id for item in spot) == list(live.zones["g5.xlarge"])
    assert {item.usd_per_hour for item in spot} == {(g5.usd_per_hour * _SPOT_SHARE).quantize(Decimal("0.0001"))}
    plans = {
        (item.plan, item.years, item.payment): item.usd_per_hour for item in live.savings if item.type == "g5.xlarge"
    }
    assert plans == {key: (g5.usd_per_hour * share).quantize(Decimal("0.00001")) for key, share in SHARES.items()}
    assert len(set(plans.values())) == len(plans)
    odd = [(item.kind, item.what, item.why) for item in live.left_out if item.kind != "prices"]
    assert odd == []
