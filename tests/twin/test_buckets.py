"""Signed addresses expire, and names of buckets are the whole world's."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from launchbay.twin.buckets import refuse_bucket_call
from tests.twin.conftest import TwinProcess

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
    assert status(path="/data/key", method="PUT") is None
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
