"""What is asked of S3 needs the permission that AWS calls it by, and a user without it is refused."""

from __future__ import annotations

import io
import json
import urllib.error
import urllib.request
from typing import Any

import pytest
from botocore.exceptions import ClientError

from launchbay.twin.bucketpermissions import permissions_of_bucket_call
from tests.twin_process import TwinProcess

BUCKET, OBJECTS = "arn:aws:s3:::launchbay-a", "arn:aws:s3:::launchbay-a/*"


@pytest.mark.parametrize(
    ("method", "path", "query", "expected"),
    [
        ("GET", "/", "", ["s3:ListAllMyBuckets *"]),
        ("GET", "/b", "list-type=2&prefix=runs%2F", ["s3:ListBucket arn:aws:s3:::b"]),
        ("HEAD", "/b", "", ["s3:ListBucket arn:aws:s3:::b"]),
        ("PUT", "/b", "", ["s3:CreateBucket arn:aws:s3:::b"]),
        ("DELETE", "/b", "", ["s3:DeleteBucket arn:aws:s3:::b"]),
        ("PUT", "/b", "policy", ["s3:PutBucketPolicy arn:aws:s3:::b"]),
        ("DELETE", "/b", "policy", ["s3:DeleteBucketPolicy arn:aws:s3:::b"]),
        ("DELETE", "/b", "tagging", ["s3:PutBucketTagging arn:aws:s3:::b"]),
        ("PUT", "/b", "encryption", ["s3:PutEncryptionConfiguration arn:aws:s3:::b"]),
        ("PUT", "/b", "lifecycle", ["s3:PutLifecycleConfiguration arn:aws:s3:::b"]),
        ("GET", "/b", "publicAccessBlock", ["s3:GetBucketPublicAccessBlock arn:aws:s3:::b"]),
        ("POST", "/b", "delete", ["s3:DeleteObject arn:aws:s3:::b/*"]),
        ("GET", "/b/runs/1/log", "", ["s3:GetObject arn:aws:s3:::b/runs/1/log"]),
        ("HEAD", "/b/k", "versionId=1", ["s3:GetObjectVersion arn:aws:s3:::b/k"]),
        ("PUT", "/b/k", "partNumber=1&uploadId=2", ["s3:PutObject arn:aws:s3:::b/k"]),
        ("POST", "/b/k", "uploads", ["s3:PutObject arn:aws:s3:::b/k"]),
        ("DELETE", "/b/k", "uploadId=2", ["s3:AbortMultipartUpload arn:aws:s3:::b/k"]),
        ("DELETE", "/b/k", "", ["s3:DeleteObject arn:aws:s3:::b/k"]),
        ("GET", "/b/k", "tagging", ["s3:GetObjectTagging arn:aws:s3:::b/k"]),
    ],
)
def test_what_a_request_needs(method: str, path: str, query: str, expected: list[str]) -> None:
    environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query}
    assert [f"{item.action} {item.resource}" for item in permissions_of_bucket_call(environ)] == expected


def test_a_copy_reads_its_source() -> None:
    environ = {"REQUEST_METHOD": "PUT", "PATH_INFO": "/b/k", "HTTP_X_AMZ_COPY_SOURCE": "/other/a%20b?versionId=1"}
    found = [f"{item.action} {item.resource}" for item in permissions_of_bucket_call(environ)]
    assert found == ["s3:PutObject arn:aws:s3:::b/k", "s3:GetObject arn:aws:s3:::other/a b"]


def user(twin: TwinProcess, *statements: dict[str, Any]) -> str:
    iam = twin.client("iam")
    iam.create_user(UserName="engineer")
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **item} for item in statements]}
    iam.put_user_policy(UserName="engineer", PolicyName="least", PolicyDocument=json.dumps(document))
    return str(iam.create_access_key(UserName="engineer")["AccessKey"]["AccessKeyId"])


def refused(call: Any, **asked: Any) -> bool:
    with pytest.raises(ClientError) as caught:
        call(**asked)
    # an answer to HEAD has no body, and so no code but its status
    return caught.value.response["Error"]["Code"] in ("AccessDenied", "403")


def test_a_user_reaches_what_the_policy_names_and_nothing_else(twin: TwinProcess) -> None:
    whole = twin.client("s3")
    for bucket in ("launchbay-a", "private"):
        whole.create_bucket(Bucket=bucket)
        whole.put_object(Bucket=bucket, Key="runs/1", Body=b"log")
    key = user(
        twin,
        {"Action": "s3:ListBucket", "Resource": BUCKET, "Condition": {"StringLike": {"s3:prefix": "runs/*"}}},
        {"Action": ["s3:GetObject", "s3:PutObject"], "Resource": OBJECTS},
    )
    s3 = twin.client("s3", key=key)
    assert s3.get_object(Bucket="launchbay-a", Key="runs/1")["Body"].read() == b"log"
    s3.put_object(Bucket="launchbay-a", Key="runs/2", Body=b"more")
    assert s3.list_objects_v2(Bucket="launchbay-a", Prefix="runs/")["KeyCount"] == 2
    assert refused(s3.list_objects_v2, Bucket="launchbay-a")
    assert refused(s3.get_object, Bucket="private", Key="runs/1")
    assert refused(s3.head_object, Bucket="private", Key="runs/1")
    assert refused(s3.delete_object, Bucket="launchbay-a", Key="runs/1")
    assert refused(s3.create_bucket, Bucket="launchbay-b")
    assert refused(s3.put_bucket_policy, Bucket="launchbay-a", Policy="{}")
    assert whole.get_object(Bucket="launchbay-a", Key="runs/1")["Body"].read() == b"log"


def test_a_signed_address_opens_what_its_signer_may(twin: TwinProcess) -> None:
    whole = twin.client("s3")
    whole.create_bucket(Bucket="launchbay-a")
    whole.put_object(Bucket="launchbay-a", Key="in", Body=b"open")
    key = user(twin, {"Action": "s3:GetObject", "Resource": f"{BUCKET}/in"})
    s3 = twin.client("s3", key=key)

    def status(name: str) -> int:
        address = s3.generate_presigned_url("get_object", Params={"Bucket": "launchbay-a", "Key": name})
        try:
            with urllib.request.urlopen(address) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    assert (status("in"), status("out")) == (200, 403)
    twin.client("iam").delete_access_key(UserName="engineer", AccessKeyId=key)
    assert status("in") == 403


def test_a_large_object_is_put_in_parts_by_the_same_right(twin: TwinProcess) -> None:
    twin.client("s3").create_bucket(Bucket="launchbay-a")
    key = user(twin, {"Action": "s3:PutObject", "Resource": OBJECTS})
    twin.client("s3", key=key).upload_fileobj(io.BytesIO(b"x" * (9 << 20)), "launchbay-a", "large")
    assert twin.client("s3").head_object(Bucket="launchbay-a", Key="large")["ContentLength"] == 9 << 20
