"""The store as values."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal

import pytest

from launchbay.catalog.items import S3_STANDARD
from launchbay.catalog.price import SidePrice
from launchbay.errors import UsageError
from launchbay.planning.store import (
    CLOSED,
    PUT_REQUESTS,
    Pile,
    bucket_names,
    bucket_tags,
    lifecycle_of,
    policy_of,
    run_prefix,
    settings_mark,
    stay_of,
    store_costs,
    store_note,
    upkeep_usd,
)

S3 = SidePrice(
    item=S3_STANDARD, region="us-east-1", usd=Decimal("0.023"), unit="GiB-month", as_of=date(2026, 1, 1), source="s"
)
PUT = SidePrice(
    item=PUT_REQUESTS, region="us-east-1", usd=Decimal("0.005"), unit="1000", as_of=date(2026, 1, 1), source="s"
)


def test_a_bucket_is_found_again_by_its_name_which_tells_no_account() -> None:
    names = bucket_names("123456789012", "us-east-1")
    assert names == bucket_names("123456789012", "us-east-1")
    assert names[0] != bucket_names("123456789012", "eu-west-1")[0]
    assert names[0] != bucket_names("123456789013", "us-east-1")[0]
    assert len(set(names)) == 5
    for name in names:
        assert 3 <= len(name) <= 63
        assert name.startswith("launchbay-")
        assert "123456789012" not in name


def test_a_bucket_is_closed_and_speaks_in_no_clear_text() -> None:
    assert all(CLOSED.values())
    assert len(CLOSED) == 4
    policy = json.loads(policy_of("b"))
    (statement,) = policy["Statement"]
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert statement["Resource"] == ["arn:aws:s3:::b", "arn:aws:s3:::b/*"]
    assert bucket_tags()["managed-by"] == "launchbay"
    assert bucket_tags()["launchbay:store"] == settings_mark()


def test_nothing_of_the_persons_goes_by_itself() -> None:
    rules = {rule["ID"]: rule for rule in lifecycle_of()["Rules"]}
    assert rules["launchbay-unfinished"]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}
    assert [rule["Filter"]["Prefix"] for rule in rules.values() if "Expiration" in rule] == ["tmp/"]


def test_a_prefix_is_of_one_run() -> None:
    assert run_prefix("exp") == "runs/exp/"
    assert run_prefix("exp", "run-1") == "runs/exp/run-1/"
    for fleet, run in (("", ""), ("", "run-1"), ("a/b", ""), ("exp", "../x"), ("exp", "a b"), ("é", "")):
        with pytest.raises(UsageError):
            run_prefix(fleet, run)


def test_what_stays_costs_what_its_bytes_do() -> None:
    side = {S3_STANDARD: S3}
    runs, data = Pile(prefix="r", objects=2, bytes=1 << 29), Pile(prefix="d", objects=3, bytes=3 << 29)
    stay = stay_of("b", runs, data, "us-east-1", side)
    assert (stay.objects, stay.bytes, stay.usd_per_month) == (5, 1 << 31, Decimal("0.046"))
    assert stay_of("b", runs, data, "us-east-1", {}).usd_per_month is None  # unknown is not nothing
    assert upkeep_usd(0, "us-east-1", {}).usd_per_month == 0
    with pytest.raises(UsageError):
        upkeep_usd(1, "eu-west-1", side)


def test_a_launch_pays_for_its_data_until_the_lease_ends() -> None:
    side = {S3_STANDARD: S3, PUT_REQUESTS: PUT}
    kept, asked = store_costs(region="us-east-1", data_bytes=28 << 30, ttl_s=86_400, count=20, side=side)
    assert kept.quantity == 1  # 28 GiB for a day of the shortest month
    assert kept.amount == Decimal("0.023")
    assert asked.quantity == Decimal(20 * 4 * 86_400 // 15) / 1000
    assert asked.amount == asked.quantity * Decimal("0.005")
    unknown = store_costs(region="us-east-1", data_bytes=28 << 30, ttl_s=86_400, count=20, side={})
    assert [line.amount for line in unknown] == [None, None]
    assert [line.category for line in unknown] == ["bucket", "bucket"]
    (only,) = store_costs(region="us-east-1", data_bytes=0, ttl_s=60, count=1, side=side)
    assert only.item == PUT_REQUESTS


def test_a_plan_says_what_the_store_may_add_and_what_of_it_has_no_price() -> None:
    said = store_note(region="us-east-1", ttl_s=86_400, count=20, side={S3_STANDARD: S3})
    assert "0.023 USD a GiB and month until `bay store remove`" in said
    assert "and up to 460,800 requests in this lease at a price that is not known; that is not in" in said
    short = store_note(region="us-east-1", ttl_s=60, count=1, side={PUT_REQUESTS: PUT})
    assert "and up to 16 requests in this lease at 0.005 USD a thousand;" in short
