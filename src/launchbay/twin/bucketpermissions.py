"""What is asked of S3, judged by policies: S3 streams, so no rule reads its calls; the address says what is meant.

Not judged are forms that a browser sends (they carry a policy of their own), and of a request to delete several objects the
single keys: it has to be allowed on all of the bucket. Policies of buckets themselves are not modelled.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote

from launchbay.twin.buckets import bucket_error
from launchbay.twin.call import Answer, Call, Refused
from launchbay.twin.policy import Asked
from launchbay.twin.rules.iam import check_permission
from launchbay.twin.wire import read_scope

if TYPE_CHECKING:
    from launchbay.twin.world import World

__all__ = ["judge_bucket_call", "permissions_of_bucket_call"]

_NAMED = {
    "accelerate": "AccelerateConfiguration",
    "analytics": "AnalyticsConfiguration",
    "cors": "BucketCORS",
    "encryption": "EncryptionConfiguration",
    "inventory": "InventoryConfiguration",
    "lifecycle": "LifecycleConfiguration",
    "metrics": "MetricsConfiguration",
    "object-lock": "BucketObjectLockConfiguration",
    "ownershipControls": "BucketOwnershipControls",
    "publicAccessBlock": "BucketPublicAccessBlock",
    "replication": "ReplicationConfiguration",
    "requestPayment": "BucketRequestPayment",
}
"""What a permission calls a setting of a bucket, where that is not ``Bucket`` and its name."""

_SETTINGS = ("acl", "location", "logging", "notification", "policy", "policyStatus", "tagging", "versioning", "website")
_DELETED_AS_SUCH = ("policy", "website")
"""Settings that a permission of their own deletes; the others are put, and so taken away."""

_OF_OBJECTS = {"acl": "Acl", "tagging": "Tagging", "retention": "Retention", "legal-hold": "LegalHold"}
_METHODS = {"GET": "Get", "HEAD": "Get", "PUT": "Put", "DELETE": "Delete"}


def judge_bucket_call(environ: Mapping[str, Any], world: World) -> Answer | None:
    """Return the refusal that a request gets by the policies of who signed it, None where it may go on."""
    key, region = _signer(environ)
    call = Call(service="s3", action="Request", region=region, key=key, peer=str(environ.get("REMOTE_ADDR", "")))
    try:
        for asked in permissions_of_bucket_call(environ, region):
            check_permission(call, world, asked)
    except Refused as refused:
        return bucket_error(refused.status, refused.code, refused.message)
    return None


def _signer(environ: Mapping[str, Any]) -> tuple[str, str]:
    """Return access key and region of a request, be it signed in its header or in its address."""
    key, region, _ = read_scope(environ)
    if key:
        return key, region
    query = parse_qs(str(environ.get("QUERY_STRING", "")))
    scope = query.get("X-Amz-Credential", [""])[0].split("/")
    if len(scope) == len(("key", "date", "region", "service", "aws4_request")):
        return scope[0], scope[2]
    return query.get("AWSAccessKeyId", [""])[0], ""


def permissions_of_bucket_call(environ: Mapping[str, Any], region: str = "") -> Iterator[Asked]:
    """Yield what a request to S3 has to be allowed, by its method and its address."""
    method = str(environ.get("REQUEST_METHOD", "GET"))
    query = parse_qs(str(environ.get("QUERY_STRING", "")), keep_blank_values=True)
    bucket, _, key = str(environ.get("PATH_INFO", "/")).lstrip("/").partition("/")
    context = {"aws:RequestedRegion": [region]} if region else {}
    if not bucket:
        yield Asked(action="s3:ListAllMyBuckets", context=context)
        return
    arn = f"arn:aws:s3:::{bucket}"
    if key:
        yield Asked(action=_on_object(method, query), resource=f"{arn}/{key}", context=context)
        source = unquote(str(environ.get("HTTP_X_AMZ_COPY_SOURCE", ""))).lstrip("/").partition("?")[0]
        if source and method == "PUT":
            yield Asked(action="s3:GetObject", resource=f"arn:aws:s3:::{source}", context=context)
        return
    if method == "POST":
        if "delete" in query:
            yield Asked(action="s3:DeleteObject", resource=f"{arn}/*", context=context)
        return
    limits = {f"s3:{name}": query[name] for name in ("prefix", "delimiter", "max-keys") if name in query}
    action = _on_bucket(method, query)
    yield Asked(action=action, resource=arn, context={**context, **limits})
    if action == "s3:CreateBucket" and environ.get("HTTP_X_AMZ_OBJECT_OWNERSHIP"):
        yield Asked(action="s3:PutBucketOwnershipControls", resource=arn, context=context)


def _on_object(method: str, query: Mapping[str, object]) -> str:
    part = next((word for name, word in _OF_OBJECTS.items() if name in query), "")
    if "uploadId" in query and method in ("GET", "DELETE"):
        return "s3:ListMultipartUploadParts" if method == "GET" else "s3:AbortMultipartUpload"
    version = "Version" if "versionId" in query else ""
    return f"s3:{_METHODS.get(method, 'Put')}Object{version}{part}"


def _on_bucket(method: str, query: Mapping[str, object]) -> str:
    name = next((item for item in (*_NAMED, *_SETTINGS) if item in query), "")
    if name:
        word = _NAMED.get(name, f"Bucket{name[0].upper()}{name[1:]}")
        verb = _METHODS[method] if method != "DELETE" or name in _DELETED_AS_SUCH else "Put"
        return f"s3:{verb}{word}"
    if "uploads" in query:
        return "s3:ListBucketMultipartUploads"
    if "versions" in query:
        return "s3:ListBucketVersions"
    return {"PUT": "s3:CreateBucket", "DELETE": "s3:DeleteBucket"}.get(method, "s3:ListBucket")
