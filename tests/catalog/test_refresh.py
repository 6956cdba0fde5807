"""A refresh against an AWS on loopback: what is asked, what is stored, and what is left out by name."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

import launchbay
from launchbay.catalog.cache import read_cache
from launchbay.catalog.known import known_regions, load_catalogue, load_savings_rates
from launchbay.catalog.pricelist import INSTANCES
from launchbay.errors import StateError, UsageError, UserError
from launchbay.home import Home
from launchbay.lifecycle.bay import Bay
from launchbay.testing import RecordingReporter, VirtualClock
from tests.catalog.asking import kept, rows
from tests.catalog.aws_server import AwsServer
from tests.catalog.world import NOW, REGION, plain, product, savings_rate, spot_row


def test_all_that_a_region_has_is_stored_with_the_day(noon: Bay) -> None:
    today = NOW.date().isoformat()
    assert rows(noon) == {
        "types": (3, today),
        "prices": (3, today),
        "side": (13, today),
        "spot": (2, today),
        "savings": (2, today),
    }
    (live,) = read_cache(noon.home.catalog, noon.reporter.note)
    assert {item.type: str(item.usd_per_hour) for item in live.prices} == {
        "g5.xlarge": "1.006",
        "m6i.large": "0.096",
        "t3.micro": "0.0104",
    }
    assert live.zones["g5.xlarge"] == ("usw2-az1", "usw2-az2", "usw2-az3")
    assert {(item.zone_id, str(item.usd_per_hour)) for item in live.spot or ()} == {
        ("usw2-az1", "0.4"),
        ("usw2-az2", "0.45"),
    }


def test_every_filter_is_asked_for(aws: AwsServer, noon: Bay) -> None:
    rows(noon, days=30)
    asked = {
        (item["ServiceCode"], frozenset((part["Field"], part["Value"]) for part in item["Filters"]))
        for item in aws.calls("GetProducts")
    }
    assert ("AmazonEC2", frozenset({**INSTANCES, "regionCode": REGION}.items())) in asked
    assert ("AWSDataTransfer", frozenset({("fromRegionCode", REGION), ("transferType", "AWS Outbound")})) in asked
    assert {part["Type"] for item in aws.calls("GetProducts") for part in item["Filters"]} == {"TERM_MATCH"}
    (spot,) = aws.calls("DescribeSpotPriceHistory")
    assert (spot["ProductDescription.1"], spot["StartTime"][:10]) == ("Linux/UNIX", "2026-10-27")
    (savings,) = aws.calls("DescribeSavingsPlansOfferingRates")
    assert {item["name"]: item["values"] for item in savings["filters"]} == {
        "region": [REGION],
        "tenancy": ["shared"],
        "productDescription": ["Linux/UNIX"],
    }
    assert savings["savingsPlanTypes"] == ["Compute", "EC2Instance"]
    assert savings["savingsPlanPaymentOptions"] == ["No Upfront", "Partial Upfront", "All Upfront"]


def test_an_aws_that_overlooks_filters_brings_no_wrong_price(aws: AwsServer, noon: Bay) -> None:
    aws.filters = False
    rows(noon)
    (live,) = read_cache(noon.home.catalog, noon.reporter.note)
    assert {item.type: str(item.usd_per_hour) for item in live.prices}["g5.xlarge"] == "1.006"
    assert len(live.side) == 13


def test_every_page_is_read(aws: AwsServer, noon: Bay) -> None:
    aws.page = 1
    assert {kind: count for kind, (count, _) in rows(noon).items()} == {
        "types": 3,
        "prices": 3,
        "side": 13,
        "spot": 2,
        "savings": 2,
    }
    assert len(aws.calls("DescribeSavingsPlansOfferingRates")) == len(aws.savings)


def test_a_type_that_is_described_and_not_offered_is_not_one_of_the_region(aws: AwsServer, noon: Bay) -> None:
    rows(noon)
    (live,) = read_cache(noon.home.catalog, noon.reporter.note)
    assert {item["InstanceType"] for item in aws.types} - {item.name for item in live.types} == {"p2.xlarge"}


def test_the_catalogue_says_what_was_asked_last(aws: AwsServer, noon: Bay) -> None:
    before = load_catalogue(noon.home.catalog, noon.reporter.note, regions=[REGION])
    packed = before.price("g5.xlarge", REGION)
    assert packed is not None
    assert packed.method != "live"
    assert before.price("g5.xlarge", REGION, "spot") is None
    beside = [item for item in aws.products["AmazonEC2"] if "instanceType" not in item["product"]["attributes"]]
    aws.products["AmazonEC2"] = [plain("g5.xlarge", "0.9990000000"), *beside]
    rows(noon)
    after = load_catalogue(noon.home.catalog, noon.reporter.note, regions=[REGION])
    live, spot, other = (
        after.price("g5.xlarge", REGION),
        after.price("g5.xlarge", REGION, "spot"),
        after.price("m6i.large", REGION),
    )
    assert live is not None
    assert (str(live.usd_per_hour), live.method, live.as_of) == ("0.999", "live", NOW.date())
    assert spot is not None
    assert (str(spot.usd_per_hour), spot.zone_id) == ("0.4", "usw2-az1")
    assert spot.before is not None
    assert (spot.before.days, str(spot.before.low_usd), str(spot.before.high_usd)) == (7, "0.3", "0.4")
    assert other == before.price("m6i.large", REGION)  # AWS had no price for it: the packaged one stays, with its date
    assert (REGION in before.types["g4dn.xlarge"].regions, REGION in after.types["g4dn.xlarge"].regions) == (
        True,
        False,
    )
    assert before.types["g4dn.xlarge"].regions - {REGION} == after.types["g4dn.xlarge"].regions
    gp3 = after.side_price("gp3", REGION)
    assert gp3 is not None
    assert gp3.method == "live"


def test_savings_rates_are_known_after_a_refresh_and_not_before(noon: Bay) -> None:
    def rates(years: int, payment: str) -> dict[tuple[str, str], str]:
        found = load_savings_rates(
            noon.home.catalog, noon.reporter.note, regions=[REGION], plan="Compute", payment=payment, years=years
        )
        return {key: str(rate.usd_per_hour) for key, rate in found.items()}

    assert rates(1, "No Upfront") == {}
    rows(noon)
    assert rates(1, "No Upfront") == {("g5.xlarge", REGION): "0.723"}
    assert rates(3, "All Upfront") == {("g5.xlarge", REGION): "0.434"}
    assert rates(3, "No Upfront") == {}


def test_prices_that_are_older_than_the_packaged_ones_do_not_win(aws: AwsServer, noon: Bay) -> None:
    packed = load_catalogue(noon.home.catalog, noon.reporter.note, regions=[REGION])
    aws.products["AmazonEC2"] = [plain("g5.xlarge", "7.7770000000")]
    long_ago = replace(noon, clock=VirtualClock(1_500_000_000.0))
    rows(long_ago)
    assert (
        load_catalogue(noon.home.catalog, noon.reporter.note, regions=[REGION]).prices.items() >= packed.prices.items()
    )
    assert load_catalogue(noon.home.catalog, noon.reporter.note, regions=[REGION]).types == packed.types


def test_a_region_that_the_package_does_not_know_is_known_after_a_refresh(aws: AwsServer, noon: Bay) -> None:
    for name in ("regionCode", "fromRegionCode"):
        for item in (item for listed in aws.products.values() for item in listed):
            if item["product"]["attributes"].get(name) == REGION:
                item["product"]["attributes"][name] = "ap-southeast-9"
    launchbay.refresh_types(noon, ["ap-southeast-9"])
    found = load_catalogue(noon.home.catalog, noon.reporter.note, regions=["ap-southeast-9"])
    assert found.price("g5.xlarge", "ap-southeast-9") is not None
    assert "ap-southeast-9" in found.types["g5.xlarge"].regions
    assert "ap-southeast-9" in known_regions(noon.home.catalog, noon.reporter.note)
    assert "ap-southeast-9" in launchbay.find_types(noon, regions=["all"]).question.regions


# --- what AWS says and nobody can use ---


def test_what_is_offered_and_cannot_be_read_stays_offered_as_it_was_described(aws: AwsServer, noon: Bay) -> None:
    before = load_catalogue(noon.home.catalog, noon.reporter.note, regions=[REGION]).types["g5.xlarge"]
    aws.types = [row if row["InstanceType"] != "g5.xlarge" else {**row, "VCpuInfo": {}} for row in aws.types]
    (found,) = launchbay.refresh_types(noon, [REGION])
    assert [item.what for item in found.left_out if item.kind == "types"] == ["g5.xlarge"]
    after = load_catalogue(noon.home.catalog, noon.reporter.note, regions=[REGION])
    assert after.types["g5.xlarge"] == before
    assert after.price("g5.xlarge", REGION, "spot") is not None
    assert REGION not in after.types["g4dn.xlarge"].regions


def test_a_price_list_that_holds_a_part_of_what_is_offered_says_so(aws: AwsServer, noon: Bay) -> None:
    aws.products["AmazonEC2"] = [plain("g5.xlarge", "1.0060000000"), plain("t3.micro", "0.0000000000")]
    (found,) = launchbay.refresh_types(noon, [REGION])
    assert {item.what: item.why for item in found.left_out if item.kind == "prices"} == {
        "m6i.large": "the price list holds no such product",
        "t3.micro": "its price is no amount above 0: '0.0000000000'",
    }


def test_what_cannot_be_used_is_named_and_the_rest_is_stored(aws: AwsServer, noon: Bay) -> None:
    aws.products["AmazonEC2"] = [
        plain("m6i.large", "0.0960000000"),
        plain("g5.xlarge", "1.0060000000"),
        plain("g5.xlarge", "1.0070000000"),
        plain("t3.micro", "0.0000000000"),
        plain("t3.nano", "CNY 0.05"),
    ]
    aws.products["AmazonVPC"] = [product("USW2-PublicIPv4:IdleAddress", [("0", "Hrs", "free")])]
    aws.spot = [*aws.spot, spot_row("m6i.large", "usw2-az1", "2026-11-25T00:00:00", "0")]
    aws.savings = [*aws.savings, savings_rate("USW2-BoxUsage:m6i.large", "0")]
    aws.types = [*aws.types, {"InstanceType": "g9.xlarge", "BareMetal": False}]
    aws.offers = [
        *aws.offers,
        {**aws.offers[0], "InstanceType": "g9.xlarge"},
        {**aws.offers[0], "InstanceType": "z9.big"},
    ]
    (found,) = launchbay.refresh_types(noon, [REGION])
    named = {(item.kind, item.what): item.why for item in found.left_out}
    assert named.pop(("types", "g9.xlarge")).startswith("its description cannot be read: KeyError")
    beside = {what: why for (kind, what), why in named.items() if kind == "side"}
    assert beside["public-ipv4"] == "its price is no amount above 0: 'free'"
    assert beside["gp3"] == "the price list holds no such product"
    assert {key: why for key, why in named.items() if key[0] != "side"} == {
        ("types", "z9.big"): "it is offered and not described",
        ("prices", "g5.xlarge"): "2 products in place of one: USW2-BoxUsage:g5.xlarge, USW2-BoxUsage:g5.xlarge",
        ("prices", "t3.micro"): "its price is no amount above 0: '0.0000000000'",
        ("prices", "t3.nano"): "its price is in CNY, not in USD",
        ("prices", "g9.xlarge"): "the price list holds no such product",
        ("prices", "z9.big"): "the price list holds no such product",
        ("spot", "m6i.large in usw2-az1"): "its price is no amount above 0: '0'",
        ("savings", "m6i.large: Compute, No Upfront, 1 years"): "its rate is no amount above 0: '0'",
    }
    (live,) = read_cache(noon.home.catalog, noon.reporter.note)
    assert [item.type for item in live.prices] == ["m6i.large"]


def test_a_spot_answer_without_zone_ids_is_unknown_and_not_nothing(aws: AwsServer, noon: Bay) -> None:
    aws.spot = [spot_row("g5.xlarge", "usw2-az1", "2026-11-25T00:00:00", "0.4", AvailabilityZoneId=None)]
    (found,) = launchbay.refresh_types(noon, [REGION])
    spot = next(item for item in found.kinds if item.kind == "spot")
    assert (spot.rows, spot.as_of, spot.unknown) == (0, None, "AWS answered nothing that can be used")


@pytest.mark.parametrize(("kind", "field"), [("spot", "spot"), ("savings", "savings")])
def test_no_rows_are_unknown_and_not_nothing(aws: AwsServer, noon: Bay, kind: str, field: str) -> None:
    setattr(aws, field, [])
    (found,) = launchbay.refresh_types(noon, [REGION])
    assert {item.kind: item.unknown for item in found.kinds if item.unknown} == {
        kind: "AWS answered nothing that can be used"
    }


@pytest.mark.parametrize("nothing", ["types", "offers", "products"])
def test_a_region_without_types_offers_or_prices_is_an_error_and_changes_nothing(
    aws: AwsServer, noon: Bay, nothing: str
) -> None:
    rows(noon)
    before = kept(noon)
    setattr(aws, nothing, {} if nothing == "products" else [])
    with pytest.raises(UserError, match=r"answered no .* that can be used; nothing was changed"):
        launchbay.refresh_types(noon, [REGION])
    assert kept(noon) == before


# --- several regions, wrong ones ---


def test_of_several_regions_one_that_fails_leaves_the_others_refreshed(noon: Bay) -> None:
    found = launchbay.refresh_types(noon, ["eu-west-3", REGION, REGION, "af-south-1"])
    assert [(item.region, bool(item.failed), len(item.kinds)) for item in found] == [
        ("eu-west-3", True, 0),
        (REGION, False, 5),
        ("af-south-1", True, 0),
    ]
    assert found[0].failed.startswith("AWS answered no prices that can be used; nothing was changed; look whether")
    assert [live.region for live in read_cache(noon.home.catalog, noon.reporter.note)] == [REGION]


def test_a_place_that_takes_nothing_ends_it_for_all_regions(aws: AwsServer, noon: Bay) -> None:
    noon.home.catalog.mkdir(parents=True)
    with pytest.raises(StateError, match="the cache of prices cannot be"):
        launchbay.refresh_types(noon, [REGION, "eu-west-3"])
    assert aws.asked == []


@pytest.mark.parametrize("region", ["us-west-2a", "US-WEST-2", " ", "us west 2", "../x", "all-1", "us-west-2\nx", ""])
def test_what_is_no_region_is_never_asked_about(aws: AwsServer, noon: Bay, region: str) -> None:
    with pytest.raises(UsageError, match="a region must be such as us-west-2"):
        launchbay.refresh_types(noon, [REGION, region])
    assert aws.asked == []


@pytest.mark.parametrize("region", ["cn-north-1", "us-gov-west-1", "us-iso-east-1"])
def test_a_region_with_a_price_list_of_its_own_is_not_asked(aws: AwsServer, noon: Bay, region: str) -> None:
    with pytest.raises(UsageError, match="is of another AWS"):
        launchbay.refresh_types(noon, [region])
    assert aws.asked == []


def test_without_a_region_the_persons_own_is_asked(noon: Bay) -> None:
    theirs = replace(noon, environ={**noon.environ, "AWS_REGION": REGION})
    assert [item.region for item in launchbay.refresh_types(theirs)] == [REGION]


@pytest.mark.parametrize("days", [0, -1, 91])
def test_spot_prices_reach_back_90_days_at_most(aws: AwsServer, noon: Bay, days: int) -> None:
    with pytest.raises(UsageError, match="days must be 1 to 90"):
        launchbay.refresh_types(noon, [REGION], days=days)
    assert aws.asked == []


def test_a_cache_of_a_newer_version_is_refused_before_anything_is_asked(aws: AwsServer, noon: Bay) -> None:
    noon.home.catalog.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(noon.home.catalog)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(StateError, match="newer Launchbay"):
        launchbay.refresh_types(noon, [REGION])
    assert aws.asked == []


def test_a_home_that_cannot_be_is_refused_before_anything_is_asked(aws: AwsServer, noon: Bay) -> None:
    with pytest.raises(UserError, match="the folder cannot be made"):
        launchbay.refresh_types(replace(noon, home=Home(Path("/proc/nowhere"))), [REGION])
    assert aws.asked == []


def test_how_far_it_has_come_is_told(noon: Bay, reporter: RecordingReporter) -> None:
    rows(noon)
    ended = [event.task for event in reporter.events if event.finished]
    kinds = ("offers", "types", "prices", "disks, addresses, traffic", "spot", "Savings Plans")
    assert ended == [f"{REGION}: {kind}" for kind in kinds]
    assert [event.done for event in reporter.events if event.task == f"{REGION}: offers"] == [8, 8]
