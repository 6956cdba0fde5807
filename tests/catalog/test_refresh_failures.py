"""A refresh that goes wrong: what was refused, cut off, too busy or out of reach, and what is left then."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

import launchbay
from launchbay.catalog.aws import make_clients
from launchbay.catalog.cache import read_cache
from launchbay.errors import NotPermitted, UserError
from launchbay.lifecycle.bay import Bay
from launchbay.testing import VirtualClock
from tests.catalog.asking import kept, rows
from tests.catalog.aws_server import AwsServer, Fault, cut, refuse
from tests.catalog.world import NOW, REGION

CORE = {
    "DescribeInstanceTypes": "ec2:DescribeInstanceTypes",
    "DescribeInstanceTypeOfferings": "ec2:DescribeInstanceTypeOfferings",
    "GetProducts": "pricing:GetProducts",
}
APART = {
    "DescribeSpotPriceHistory": ("spot", "ec2:DescribeSpotPriceHistory"),
    "DescribeSavingsPlansOfferingRates": ("savings", "savingsplans:DescribeSavingsPlansOfferingRates"),
}


# --- refused ---


@pytest.mark.parametrize(("operation", "permission"), CORE.items())
@pytest.mark.parametrize("code", ["UnauthorizedOperation", "AccessDeniedException"])
def test_a_missing_permission_is_named_and_nothing_is_stored(
    aws: AwsServer, noon: Bay, operation: str, permission: str, code: str
) -> None:
    aws.lasting[operation] = refuse(code)
    with pytest.raises(NotPermitted, match=f"AWS refuses {permission}") as caught:
        launchbay.refresh_types(noon, [REGION])
    assert permission in caught.value.hint
    assert kept(noon) == b""


@pytest.mark.parametrize(("operation", "kind", "permission"), [(name, *what) for name, what in APART.items()])
def test_what_may_be_refused_apart_stays_unknown_and_the_rest_is_stored(
    aws: AwsServer, noon: Bay, operation: str, kind: str, permission: str
) -> None:
    aws.lasting[operation] = refuse("UnauthorizedOperation")
    (found,) = launchbay.refresh_types(noon, [REGION])
    assert {item.kind: (item.rows, item.as_of) for item in found.kinds if item.unknown} == {kind: (0, None)}
    (why,) = (item.unknown for item in found.kinds if item.unknown)
    assert permission in why
    (live,) = read_cache(noon.home.catalog, noon.reporter.note)
    assert getattr(live, kind) is None
    assert len(live.prices) == 3


def test_what_is_refused_today_stays_as_it_was_known_with_its_day(aws: AwsServer, noon: Bay) -> None:
    rows(noon)
    for operation in APART:
        aws.lasting[operation] = refuse("UnauthorizedOperation")
    tomorrow = replace(noon, clock=VirtualClock(NOW.timestamp() + 86_400))
    found = rows(tomorrow)
    assert found["spot"] == found["savings"] == (2, NOW.date().isoformat())
    assert found["prices"] == (3, (NOW.date() + timedelta(days=1)).isoformat())


@pytest.mark.parametrize(
    ("code", "says", "hint"),
    [
        ("ExpiredTokenException", "the credentials for AWS have expired", "aws sso login"),
        ("RequestExpired", "the credentials for AWS have expired", "aws sso login"),
        ("InvalidClientTokenId", "AWS does not take these credentials", "whether the account has this region"),
        ("AuthFailure", "AWS does not take these credentials", "the clock"),
        (
            "InternalFailure",
            r"AWS answers ec2:DescribeInstanceTypeOfferings with an error \(InternalFailure: no\)",
            "again",
        ),
    ],
)
def test_a_refusal_says_what_to_do(aws: AwsServer, noon: Bay, code: str, says: str, hint: str) -> None:
    aws.lasting["DescribeInstanceTypeOfferings"] = refuse(code, status=400)
    with pytest.raises(UserError, match=says) as caught:
        launchbay.refresh_types(noon, [REGION])
    assert not isinstance(caught.value, NotPermitted)
    assert hint in caught.value.hint
    assert caught.value.where == REGION


# --- no way to ask ---


def test_without_credentials_the_error_says_how_to_get_some(
    aws: AwsServer, noon: Bay, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(UserError, match="no credentials for AWS") as caught:
        launchbay.refresh_types(noon, [REGION])
    assert "aws configure" in caught.value.hint
    assert aws.asked == []


def test_a_profile_that_is_not_there_is_named(noon: Bay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(UserError, match=r"AWS's settings have no such profile: .*nobody") as caught:
        launchbay.refresh_types(noon, [REGION])
    assert "list-profiles" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("AWS_ENDPOINT_URL", "nonsense", "AWS's settings cannot be used: Invalid endpoint: nonsense"),
        ("AWS_MAX_ATTEMPTS", "often", "AWS's settings cannot be used: "),
        ("AWS_RETRY_MODE", "stubborn", "AWS cannot be asked: .*stubborn"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(
    noon: Bay, name: str, value: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=says):
        launchbay.refresh_types(noon, [REGION])


SSO = """
[default]
sso_start_url = http://127.0.0.1:9
sso_region = us-east-1
sso_account_id = 123456789012
sso_role_name = reader
"""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[default\nregion", "AWS cannot be asked: Unable to parse config file"),
        (SSO, "AWS cannot be asked: .*SSO"),
    ],
)
def test_a_login_that_is_missing_or_settings_that_cannot_be_read_are_one_error(
    noon: Bay, text: str, says: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text(text, encoding="utf-8")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(UserError, match=says) as caught:
        launchbay.refresh_types(noon, [REGION])
    assert "aws sso login" in caught.value.hint


def test_retries_are_ours_unless_the_person_set_them(
    aws: AwsServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert aws.url
    places = {"pricing": "us-east-1"}
    assert make_clients(places)["pricing"].meta.config.retries == {"mode": "standard", "total_max_attempts": 2}
    monkeypatch.delenv("AWS_MAX_ATTEMPTS")
    assert make_clients(places)["pricing"].meta.config.retries == {"mode": "standard", "total_max_attempts": 8}
    monkeypatch.delenv("AWS_RETRY_MODE")
    assert make_clients(places)["pricing"].meta.config.retries == {"mode": "adaptive", "total_max_attempts": 8}
    (tmp_path / "config").write_text("[default]\nmax_attempts = 3\nretry_mode = legacy\n", encoding="utf-8")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    assert make_clients(places)["pricing"].meta.config.retries == {"mode": "legacy", "total_max_attempts": 3}


def test_without_a_network_nothing_is_changed(noon: Bay, monkeypatch: pytest.MonkeyPatch) -> None:
    rows(noon)
    before = kept(noon)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free.getsockname()[1]}")
        with pytest.raises(UserError, match=r"AWS cannot be reached.*nothing was changed") as caught:
            launchbay.refresh_types(noon, [REGION])
        assert "HTTPS_PROXY" in caught.value.hint
        with pytest.raises(UserError, match="AWS cannot be reached") as caught:
            launchbay.refresh_types(noon, ["xx-nowhere-1"])
        assert "no region that this boto3 knows" in caught.value.hint
    assert kept(noon) == before


def test_without_boto3_the_extra_is_named(noon: Bay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(UserError, match="asking AWS needs boto3") as caught:
        launchbay.refresh_types(noon, [REGION])
    assert caught.value.hint == "pip install 'launchbay[aws]'"


# --- too busy, cut off, something else ---


@pytest.mark.parametrize("operation", [*CORE, *APART])
def test_an_answer_that_comes_at_the_second_try_is_an_answer(aws: AwsServer, noon: Bay, operation: str) -> None:
    code = "RequestLimitExceeded" if operation.startswith("Describe") else "ThrottlingException"
    aws.faults[operation] = [refuse(code, status=400)]
    assert {count for count, _ in rows(noon).values()} == {2, 3, 13}


@pytest.mark.parametrize("operation", [*CORE, *APART])
def test_an_aws_that_stays_too_busy_is_one_error_and_changes_nothing(
    aws: AwsServer, noon: Bay, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also for what may be refused apart: to be too busy is no answer."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    aws.lasting[operation] = refuse("ThrottlingException", status=400)
    with pytest.raises(UserError, match=r"AWS had no time for .*nothing was changed") as caught:
        launchbay.refresh_types(noon, [REGION])
    assert "AWS_MAX_ATTEMPTS" in caught.value.hint
    assert kept(noon) == b""


UNREADABLE: dict[str, Callable[[], Fault]] = {
    "cut off with the connection": cut,
    "cut off with its length": lambda: Fault(body=b'{"PriceList": ["{'),
    "empty": lambda: Fault(body=b""),
    "an empty object": lambda: Fault(body=b"{}"),
    "a list": lambda: Fault(body=b"[]"),
    "a web page": lambda: Fault(body=b"<html><body>Sign in</body></html>"),
    "not UTF-8": lambda: Fault(body=b'{"PriceList": ["\xff"], "searchResults": ["\xff"]}'),
    "null rows": lambda: Fault(body=b'{"PriceList": null, "searchResults": null}'),
}


@pytest.mark.parametrize("operation", [*CORE, *APART])
@pytest.mark.parametrize("kind", UNREADABLE)
def test_a_page_that_cannot_be_read_is_an_error_and_no_end(
    aws: AwsServer, noon: Bay, operation: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    aws.page = 1
    aws.faults[operation] = [None, UNREADABLE[kind]()]
    with pytest.raises(UserError, match="nothing was changed"):
        launchbay.refresh_types(noon, [REGION])
    assert kept(noon) == b""


def test_a_number_that_is_none_spoils_the_answer(aws: AwsServer, noon: Bay) -> None:
    aws.types = [{**row, "MemoryInfo": {"SizeInMiB": "much"}} for row in aws.types]
    with pytest.raises(UserError, match=r"cannot be read: .*'much'.*; nothing was changed"):
        launchbay.refresh_types(noon, [REGION])
    assert kept(noon) == b""


def test_pages_that_go_in_a_circle_end(aws: AwsServer, noon: Bay) -> None:
    page = b'{"FormatVersion": "aws_v1", "PriceList": [], "NextToken": "again"}'
    aws.lasting["GetProducts"] = Fault(body=page)
    with pytest.raises(UserError, match="its pages go in a circle"):
        launchbay.refresh_types(noon, [REGION])


def test_a_product_that_is_none_spoils_the_answer(aws: AwsServer, noon: Bay) -> None:
    aws.products["AmazonEC2"] = [*aws.products["AmazonEC2"], '{"product": {"attributes": {']
    with pytest.raises(UserError, match="a product of the price list cannot be read"):
        launchbay.refresh_types(noon, [REGION])
    assert kept(noon) == b""
