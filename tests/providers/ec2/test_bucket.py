"""The store's bucket: made once, closed, found again, and never somebody else's."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from launchbay.errors import Conflict, NotFound, UserError
from launchbay.onboard.parcel import _post  # what an instance sends with a form
from launchbay.planning.store import CLOSED, bucket_names
from launchbay.providers.ec2.bucket import (
    account_of,
    ensure_bucket,
    find_bucket,
    list_kept,
    pass_seconds,
    pile_of,
    presign_get,
    presign_post,
    read_kept,
    remove_bucket,
    remove_kept,
    write_kept,
)
from launchbay.providers.ec2.client import Client, open_client
from tests.twin.conftest import TwinProcess


@pytest.fixture
def client(twin: TwinProcess) -> Client:
    return open_client("us-east-1", endpoint=twin.url, keys=("twin", "twin"))


@pytest.fixture
def s3(twin: TwinProcess) -> Any:
    return twin.client("s3")


def test_a_bucket_is_made_closed_and_made_once(client: Client, s3: Any, twin: TwinProcess) -> None:
    bucket = ensure_bucket(client)
    assert bucket.name == bucket_names(account_of(client), "us-east-1")[0]
    shut = s3.get_public_access_block(Bucket=bucket.name)["PublicAccessBlockConfiguration"]
    assert shut == dict(CLOSED)
    (rule,) = s3.get_bucket_encryption(Bucket=bucket.name)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    (owner,) = s3.get_bucket_ownership_controls(Bucket=bucket.name)["OwnershipControls"]["Rules"]
    assert owner == {"ObjectOwnership": "BucketOwnerEnforced"}
    policy = json.loads(s3.get_bucket_policy(Bucket=bucket.name)["Policy"])
    assert policy["Statement"][0]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    rules = s3.get_bucket_lifecycle_configuration(Bucket=bucket.name)["Rules"]
    assert {rule["ID"] for rule in rules} == {"launchbay-tmp", "launchbay-unfinished"}
    before = Counter(twin.ask("calls"))
    assert ensure_bucket(client) == bucket
    asked = Counter(twin.ask("calls")) - before
    assert sum(asked.values()) == 3  # who we are, its tags, and whether it is still shut
    assert not [name for name in asked if ":Put" in name or ":Create" in name]


def test_in_another_region_it_is_another(twin: TwinProcess, client: Client) -> None:
    elsewhere = open_client("eu-west-1", endpoint=twin.url, keys=("twin", "twin"))
    assert ensure_bucket(elsewhere).name != ensure_bucket(client).name
    said = twin.client("s3").get_bucket_location(Bucket=ensure_bucket(elsewhere).name)["LocationConstraint"]
    assert said == "eu-west-1"


def test_what_was_begun_is_finished(client: Client, s3: Any) -> None:
    name = bucket_names(account_of(client), "us-east-1")[0]
    s3.create_bucket(Bucket=name)  # and killed
    assert find_bucket(client) is None  # not ours before its tags say so
    assert ensure_bucket(client).name == name
    assert s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"] == dict(CLOSED)
    found = find_bucket(client)
    assert found is not None
    assert found.name == name


def test_a_name_of_others_is_passed_over_or_refused(client: Client) -> None:
    assert ensure_bucket(client, names=("data", "launchbay-other")).name == "launchbay-other"
    with pytest.raises(Conflict, match="none of the names data to models can be used: they are others'"):
        ensure_bucket(client, names=("data", "models"))
    with pytest.raises(Conflict, match="'data' is somebody else's"):
        ensure_bucket(client, named="data")
    with pytest.raises(UserError, match="no name for a bucket"):
        ensure_bucket(client, named="My_Bucket!")


def test_a_bucket_of_the_persons_is_used_as_it_is(client: Client, s3: Any) -> None:
    s3.create_bucket(Bucket="mine-own")
    with pytest.raises(UserError, match="could be opened to the public"):
        ensure_bucket(client, named="mine-own")
    s3.put_public_access_block(Bucket="mine-own", PublicAccessBlockConfiguration=dict(CLOSED))
    bucket = ensure_bucket(client, named="mine-own")
    assert bucket.is_theirs
    with pytest.raises(s3.exceptions.ClientError, match="NoSuchTagSet"):
        s3.get_bucket_tagging(Bucket="mine-own")
    write_kept(client, "mine-own", "theirs", b"x")
    with pytest.raises(Conflict, match="is not removed"):
        remove_bucket(client, bucket)
    assert read_kept(client, "mine-own", "theirs") == b"x"


def test_one_that_was_opened_since_is_refused(client: Client, s3: Any) -> None:
    name = ensure_bucket(client).name
    s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration={**CLOSED, "BlockPublicPolicy": False})
    with pytest.raises(UserError, match="could be opened to the public"):
        ensure_bucket(client)


def test_what_is_in_it_is_listed_page_by_page_and_removed(client: Client) -> None:
    name = ensure_bucket(client).name
    for number in range(12):
        write_kept(client, name, f"runs/exp/{number:02d}", b"x" * number)
    write_kept(client, name, "runs/exp-2/a", b"y")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("launchbay.providers.ec2.bucket._AT_ONCE", 5)
        pile = pile_of(client, name, "runs/exp/")
        assert (pile.objects, pile.bytes) == (12, 66)
        assert remove_kept(client, name, "runs/exp/") == pile
    assert [kept.key for kept in list_kept(client, name)] == ["runs/exp-2/a"]
    assert remove_kept(client, name, "runs/exp/").objects == 0
    with pytest.raises(NotFound):
        read_kept(client, name, "runs/exp/01")
    bucket = find_bucket(client)
    assert bucket is not None
    assert remove_bucket(client, bucket).objects == 1
    assert remove_bucket(client, bucket).objects == 0
    assert find_bucket(client) is None
    with pytest.raises(NotFound):
        [*list_kept(client, name)]


def test_a_form_stores_below_its_prefix_and_no_more(twin: TwinProcess, client: Client) -> None:
    name = ensure_bucket(client).name
    form = presign_post(client, name, "runs/exp/run-1/", seconds=60, most_bytes=100)
    _post(form, "runs/exp/run-1/files/x y", b"\0" * 100)
    assert read_kept(client, name, "runs/exp/run-1/files/x y") == b"\0" * 100
    _post(form, "runs/exp/run-1/files/x y", b"")  # again, and empty
    assert read_kept(client, name, "runs/exp/run-1/files/x y", offset=0) == b""

    def refused(form: Any, key: str, data: bytes) -> str:
        with pytest.raises(urllib.error.HTTPError) as caught:
            _post(form, key, data)
        return f"{caught.value.code} {caught.value.read().decode()}"

    assert "starts-with" in refused(form, "runs/exp/run-2/x", b"1")
    assert "EntityTooLarge" in refused(form, "runs/exp/run-1/x", b"1" * 101)
    more = {**form, "fields": {**form["fields"], "acl": "public-read"}}
    assert "Extra input fields: acl" in refused(more, "runs/exp/run-1/x", b"1")
    other = {**form, "url": form["url"].replace(name, "another-bucket")}
    assert "Policy Condition failed" in refused(other, "runs/exp/run-1/x", b"1")
    forged = presign_post(client, name, "", seconds=60, most_bytes=100)
    forged = {**form, "fields": {**form["fields"], "policy": forged["fields"]["policy"]}}
    assert "SignatureDoesNotMatch" in refused(forged, "runs/exp/run-1/x", b"1")
    time.sleep(1.1)  # signatures are dated to the second
    twin.ask("advance", seconds=61)
    assert "Policy expired" in refused(form, "runs/exp/run-1/x", b"1")
    assert [kept.key for kept in list_kept(client, name)] == ["runs/exp/run-1/files/x y"]


def test_an_address_reads_one_object_for_so_long(twin: TwinProcess, client: Client) -> None:
    name = ensure_bucket(client).name
    write_kept(client, name, "data/a b+ü", b"hello")
    write_kept(client, name, "data/b", b"other")
    url = presign_get(client, name, "data/a b+ü", seconds=60)

    def ask(url: str) -> str:
        try:
            with urllib.request.urlopen(url) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            return str(error.read().decode())

    assert ask(url) == "hello"
    assert "SignatureDoesNotMatch" in ask(presign_get(client, name, "data/x", seconds=60).replace("data/x", "data/b"))
    assert "SignatureDoesNotMatch" in ask(url.replace("X-Amz-Expires=60", "X-Amz-Expires=600"))
    time.sleep(1.1)  # signatures are dated to the second
    twin.ask("advance", seconds=61)
    assert "Request has expired" in ask(url)
    assert ask(presign_get(client, name, "data/b", seconds=60)) == "other"  # signed after it was set forward


def test_a_form_is_good_for_as_long_as_aws_lets_it(client: Client) -> None:
    assert pass_seconds(client, 3600.0) == 3600
    assert pass_seconds(client, 30 * 86_400) == 7 * 86_400
    with pytest.raises(UserError, match="expired"):
        pass_seconds(client, 0)


def test_a_form_ends_with_the_credentials_that_signed_it(client: Client) -> None:
    credentials = client.raw("s3")._request_signer._credentials  # noqa: SLF001 - as `pass_seconds` has it
    credentials.token = "session"
    assert pass_seconds(client, 3600.0) == 3600  # when it ends is not known
    credentials._expiry_time = datetime.now(UTC) + timedelta(seconds=100)  # noqa: SLF001
    assert 90 <= pass_seconds(client, 3600.0) <= 100
    assert pass_seconds(client, 50.0) == 50
    credentials._expiry_time = datetime.now(UTC) - timedelta(seconds=1)  # noqa: SLF001
    with pytest.raises(UserError, match="expired"):
        pass_seconds(client, 3600.0)


def test_one_that_was_named_and_is_not_the_persons_is_an_error(client: Client) -> None:
    assert find_bucket(client, named="nosuch-bucket") is None
    with pytest.raises(Conflict, match="'data' is somebody else's"):
        find_bucket(client, named="data")
    with pytest.raises(UserError, match="no name for a bucket"):
        find_bucket(client, named="BAD_name")
