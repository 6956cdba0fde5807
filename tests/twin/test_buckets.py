"""Signed addresses expire, and names of buckets are the whole world's."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from launchbay.twin.buckets import refuse_bucket_call
from tests.twin_process import TwinProcess

NOW = datetime(2026, 11, 27, 12, 0, 0, tzinfo=UTC)


def status(query: str = "", *, path: str = "/b/k", method: str = "GET", now: datetime = NOW) -> int | None:
    environ: dict[str, Any] = {"QUERY_STRING": query, "PATH_INFO": path, "REQUEST_METHOD": method}
    answer = refuse_bucket_call(environ, now=now)
    return None if answer is None else answer.status


def test_a_signed_address_holds_for_its_time() -> None:
    query = "X-Amz-Date=20261127T120000Z&X-Amz-Expires=60&X-Amz-Signature=x"
    assert status(query, now=NOW + timedelta(seconds=60)) is None
    assert status(query, now=NOW + timedelta(seconds=61)) == 403
    assert status("X-Amz-Date=yesterday&X-Amz-Expires=60") == 403
    old = f"Expires={int(NOW.timestamp())}&Signature=x"
    assert status(old) is None
    assert status(old, now=NOW + timedelta(seconds=1)) == 403


def test_a_name_that_somebody_has_is_taken(twin: TwinProcess) -> None:
    assert status(path="/data", method="PUT") == 409
    assert status(path="/data/key", method="PUT") == 403  # its owner lets nobody in
    assert status(path="/mine/key", method="PUT") is None
    s3 = twin.client("s3")
    with pytest.raises(ClientError) as caught:
        s3.create_bucket(Bucket="datasets")
    assert caught.value.response["Error"]["Code"] == "BucketAlreadyExists"
    s3.create_bucket(Bucket="launchbay-3f9x")
    s3.put_object(Bucket="launchbay-3f9x", Key="a/b", Body=b"x" * 3_000_000)
    assert s3.get_object(Bucket="launchbay-3f9x", Key="a/b")["Body"].read() == b"x" * 3_000_000


def test_buckets_survive_a_stop_and_mostly_a_kill(tmp_path: Path) -> None:
    twin = TwinProcess(tmp_path, is_virtual=True)
    try:
        s3 = twin.client("s3")
        s3.create_bucket(Bucket="launchbay-kept")
        s3.put_object(Bucket="launchbay-kept", Key="early", Body=b"1")
        twin.end()
        twin.start()
        s3 = twin.client("s3")
        s3.put_object(Bucket="launchbay-kept", Key="late", Body=b"2")
        time.sleep(2.5)  # a second, and what writing takes
        twin.kill()
        twin.start()
        s3 = twin.client("s3")
        found = s3.list_objects_v2(Bucket="launchbay-kept")["Contents"]
        assert [item["Key"] for item in found] == ["early", "late"]
        assert s3.get_object(Bucket="launchbay-kept", Key="late")["Body"].read() == b"2"
    finally:
        twin.end()


def test_what_was_signed_gets_older_as_the_twin_is_set_forward() -> None:
    query = "X-Amz-Date=20261127T120000Z&X-Amz-Expires=60&X-Amz-Signature=x"
    environ: dict[str, Any] = {"QUERY_STRING": query, "PATH_INFO": "/b/k", "REQUEST_METHOD": "GET"}
    asked: list[datetime] = []

    def by(seconds: int) -> int | None:
        def set_forward_since(moment: datetime) -> timedelta:
            asked.append(moment)
            return timedelta(seconds=seconds)

        answer = refuse_bucket_call(environ, now=NOW, set_forward_since=set_forward_since)
        return None if answer is None else answer.status

    assert (by(60), by(61)) == (None, 403)
    assert set(asked) == {NOW + timedelta(seconds=1)}


def test_a_policy_with_a_condition_shuts_nobody_out(twin: TwinProcess) -> None:
    s3 = twin.client("s3")
    s3.create_bucket(Bucket="launchbay-closed")
    condition = {"Bool": {"aws:SecureTransport": "false"}}
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::launchbay-closed/*"}
    policy = {"Version": "2012-10-17", "Statement": [{**deny, "Condition": condition}]}
    s3.put_bucket_policy(Bucket="launchbay-closed", Policy=json.dumps(policy))
    s3.put_object(Bucket="launchbay-closed", Key="a", Body=b"1")
    s3.put_bucket_policy(Bucket="launchbay-closed", Policy=json.dumps({**policy, "Statement": [deny]}))
    with pytest.raises(ClientError):
        s3.put_object(Bucket="launchbay-closed", Key="a", Body=b"2")


def test_what_is_asked_is_counted_by_its_name(twin: TwinProcess) -> None:
    s3 = twin.client("s3")
    s3.create_bucket(Bucket="launchbay-counted")
    s3.put_object(Bucket="launchbay-counted", Key="a/b", Body=b"1")
    s3.get_object(Bucket="launchbay-counted", Key="a/b")
    s3.list_objects_v2(Bucket="launchbay-counted")
    s3.put_bucket_tagging(Bucket="launchbay-counted", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    s3.delete_objects(Bucket="launchbay-counted", Delete={"Objects": [{"Key": "a/b"}]})
    found = {name: count for name, count in twin.ask("calls").items() if name.startswith("s3:")}
    names = ("CreateBucket", "PutObject", "GetObject", "ListObjectsV2", "PutBucketTagging", "DeleteObjects")
    assert found == {f"s3:{name}": 1 for name in names}
    twin.ask("reset")
    assert not [name for name in twin.ask("calls") if name.startswith("s3:")]
