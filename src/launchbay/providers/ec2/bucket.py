"""The store's bucket on S3: one for each account and region, private and encrypted, found again by its name and its tags."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from launchbay.errors import Conflict, NotFound, NotPermitted, UsageError, UserError
from launchbay.planning.store import (
    CLOSED,
    LONGEST_PASS_S,
    Pile,
    bucket_names,
    bucket_tags,
    lifecycle_of,
    policy_of,
)
from launchbay.providers.ec2.client import Client, CloudRefusal

__all__ = [
    "Bucket",
    "Kept",
    "account_of",
    "ensure_bucket",
    "find_bucket",
    "list_kept",
    "pass_seconds",
    "pile_of",
    "presign_get",
    "presign_post",
    "read_kept",
    "remove_bucket",
    "remove_kept",
    "write_kept",
]

_S3 = "s3"
_AT_ONCE = 1000
"""How many objects one question can remove."""

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_NOT_OURS = ("AccessDenied", "AllAccessDisabled", "PermanentRedirect", "Forbidden")
_NONE = ("NoSuchBucket", "NoSuchKey", "NotFound")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """A bucket that the store is in. One that `is_theirs` is the person's own: its settings stay as they are."""

    name: str
    region: str
    account: str
    is_theirs: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An object: its key, bytes, what S3 calls its content (`tag`, an MD5 for most), and when it was stored."""

    key: str
    bytes: int
    tag: str
    at: float


def account_of(client: Client) -> str:
    """Return the number of the account that asks. Raises UserError without credentials."""
    return str(client.ask("get_caller_identity", service="sts")["Account"])


def ensure_bucket(client: Client, *, named: str = "", names: Sequence[str] = ()) -> Bucket:
    """Return the bucket of the account in the client's region, made and closed if it is not there. Idempotent.

    `named` is one that the person chose: one without our tags is used as it stands, if it is theirs and closed to the public.
    `names` are what ours may be called, best first. Killed at any instant, the next call finishes what was begun. Raises
    Conflict for a name that somebody else has, UserError for a bucket that is open to the public.
    """
    account = account_of(client)
    if named:
        _check_name(named, client)
        found = _look(client, named, account)
        if found is None:
            _make(client, named)
        elif not _is_ours(found):
            _check_closed(client, named)
            return Bucket(name=named, region=client.region, account=account, is_theirs=True)
        return _finish(client, named, account, found or {})
    tried = names or bucket_names(account, client.region)
    for name in tried:
        try:
            found = _look(client, name, account)
            if found is None:
                _make(client, name)
        except Conflict:
            continue  # somebody else has it: the next name
        return _finish(client, name, account, found or {})
    hint = "LAUNCHBAY_BUCKET=NAME says another"
    what = f"none of the names {tried[0]} to {tried[-1]} can be used: they are others', or not yours to look at"
    raise Conflict(what, where=client.region, hint=f"`bay doctor --iam` prints what it takes; or {hint}")


def find_bucket(client: Client, *, named: str = "", names: Sequence[str] = ()) -> Bucket | None:
    """Return the bucket if it is there, None where it is not; nothing is made.

    Raises UsageError for a `named` one that is no name, Conflict where it is somebody else's.
    """
    if named:
        _check_name(named, client)
    account = account_of(client)
    for name in (named,) if named else names or bucket_names(account, client.region):
        try:
            found = _look(client, name, account)
        except Conflict:
            if named:
                raise
            continue
        if found is not None and (named or _is_ours(found)):
            return Bucket(name=name, region=client.region, account=account, is_theirs=not _is_ours(found))
    return None


def _check_name(name: str, client: Client) -> None:
    if not _NAME.fullmatch(name):
        hint = "3 to 63 lower-case letters, digits, '-' and '.'"
        raise UsageError(f"{name!r} is no name for a bucket", where=client.region, hint=hint)


def _look(client: Client, name: str, account: str) -> Mapping[str, str] | None:
    """Return the tags of a bucket of the account, None where there is none of that name. Raises Conflict for another's."""
    try:
        answer = client.ask("get_bucket_tagging", service=_S3, Bucket=name, ExpectedBucketOwner=account)
    except CloudRefusal as refusal:
        if refusal.code == "NoSuchTagSet":
            return {}
        if refusal.code == "NoSuchBucket":
            return None
        if refusal.code in _NOT_OURS:
            raise _taken(name, client) from refusal
        raise
    return {str(item["Key"]): str(item["Value"]) for item in answer.get("TagSet", ())}


def _taken(name: str, client: Client) -> Conflict:
    hint = "LAUNCHBAY_BUCKET or --bucket says another; names are shared by the whole world"
    return Conflict(f"the bucket {name!r} is somebody else's, or not yours to use", where=client.region, hint=hint)


def _is_ours(tags: Mapping[str, str]) -> bool:
    name, value = next(iter(bucket_tags().items()))
    return tags.get(name) == value


def _make(client: Client, name: str) -> None:
    more: dict[str, Any] = {}
    if client.region != "us-east-1":  # where naming it is an error
        more["CreateBucketConfiguration"] = {"LocationConstraint": client.region}
    try:
        client.act("create_bucket", service=_S3, Bucket=name, ObjectOwnership="BucketOwnerEnforced", **more)
    except CloudRefusal as refusal:
        if refusal.code == "BucketAlreadyExists":
            raise _taken(name, client) from refusal
        if refusal.code != "BucketAlreadyOwnedByYou":  # another command of ours was quicker, or this one was killed
            raise


def _finish(client: Client, name: str, account: str, tags: Mapping[str, str]) -> Bucket:
    """Close and set up a bucket of ours; its tags come last, so that one which has them has all."""
    bucket = Bucket(name=name, region=client.region, account=account)
    wanted = bucket_tags()
    if {key: tags.get(key) for key in wanted} == dict(wanted):
        _check_closed(client, name)
        return bucket
    partition = "aws-cn" if client.region.startswith("cn-") else "aws-us-gov" if "-gov-" in client.region else "aws"
    set_up: Sequence[tuple[str, Mapping[str, Any]]] = (
        ("put_public_access_block", {"PublicAccessBlockConfiguration": dict(CLOSED)}),
        (
            "put_bucket_ownership_controls",
            {"OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}},
        ),
        (
            "put_bucket_encryption",
            {
                "ServerSideEncryptionConfiguration": {
                    "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
                }
            },
        ),
        ("put_bucket_policy", {"Policy": policy_of(name, partition)}),
        ("put_bucket_lifecycle_configuration", {"LifecycleConfiguration": lifecycle_of()}),
        (
            "put_bucket_tagging",
            {"Tagging": {"TagSet": [{"Key": key, "Value": text} for key, text in {**tags, **wanted}.items()]}},
        ),
    )
    for operation, params in set_up:
        client.ask(operation, service=_S3, Bucket=name, **params)  # set to what they are, however often
    return bucket


def _check_closed(client: Client, name: str) -> None:
    """Raise UserError unless nobody else can be let into a bucket: it may have been opened since."""
    try:
        answer = client.ask("get_public_access_block", service=_S3, Bucket=name)
        shut = answer["PublicAccessBlockConfiguration"]
    except CloudRefusal as refusal:
        if refusal.code != "NoSuchPublicAccessBlockConfiguration":
            raise
        shut = {}
    if not all(shut.get(door) for door in CLOSED):
        what = f"the bucket {name} could be opened to the public"
        hint = f"aws s3api put-public-access-block --bucket {name}, all four true; or another LAUNCHBAY_BUCKET"
        raise UserError(what, where=client.region, hint=hint)


# --- what is in it ---------------------------------------------------------------------------------------------------


def list_kept(client: Client, bucket: str, prefix: str = "") -> Iterator[Kept]:
    """Yield the objects below a prefix, in the order of their keys. Raises NotFound without the bucket, NotPermitted."""
    more: dict[str, Any] = {}
    while True:
        try:
            page = client.ask("list_objects_v2", service=_S3, Bucket=bucket, Prefix=prefix, **more)
        except CloudRefusal as refusal:
            raise _explained(refusal, client, bucket, prefix) from refusal
        for item in page.get("Contents", ()):
            at = item.get("LastModified") or datetime.fromtimestamp(0, UTC)
            yield Kept(
                key=str(item["Key"]),
                bytes=int(item["Size"]),
                tag=str(item.get("ETag", "")).strip('"'),
                at=at.timestamp(),
            )
        if not page.get("IsTruncated"):
            return
        more = {"ContinuationToken": page["NextContinuationToken"]}


def _explained(refusal: CloudRefusal, client: Client, bucket: str, key: str) -> Exception:
    where = f"s3://{bucket}/{key}"
    if refusal.code in _NONE:
        return NotFound(
            "there is no such bucket or object", where=where, hint=f"`{show_command(client)}` lists what is"
        )
    if refusal.code in _NOT_OURS:
        return NotPermitted("S3 does not let you see it", where=where, hint="s3:ListBucket and s3:GetObject are needed")
    return refusal


def show_command(client: Client, *, region: str = "", bucket: str = "") -> str:
    """Return the command that shows the store a client asks, of its region unless another is said; `bucket` is a person's own."""
    place = " --provider twin" if client.provider == "twin" else ""
    own = f" --bucket {bucket}" if bucket else ""
    return f"bay store show{place} --region {region or client.region}{own}"


def pile_of(client: Client, bucket: str, prefix: str) -> Pile:
    """Count what is below a prefix."""
    objects, size = 0, 0
    for kept in list_kept(client, bucket, prefix):
        objects, size = objects + 1, size + kept.bytes
    return Pile(prefix=prefix, objects=objects, bytes=size)


def read_kept(client: Client, bucket: str, key: str, *, offset: int = 0, count: int | None = None) -> bytes:
    """Return an object's bytes, or a piece of them. Raises NotFound."""
    more = {} if count is None else {"Range": f"bytes={offset}-{offset + count - 1}"}
    if count == 0:
        return b""
    try:
        data: bytes = client.ask("get_object", service=_S3, Bucket=bucket, Key=key, **more)["Body"].read()
    except CloudRefusal as refusal:
        raise _explained(refusal, client, bucket, key) from refusal
    return data


def write_kept(client: Client, bucket: str, key: str, data: bytes) -> None:
    """Store an object, whole or not at all; the same again changes nothing, so it may be asked more than once."""
    client.ask("put_object", service=_S3, Bucket=bucket, Key=key, Body=data)


def remove_kept(client: Client, bucket: str, prefix: str) -> Pile:
    """Remove what is below a prefix, for good; return what that was. Idempotent. Raises UserError for what S3 keeps."""
    objects, size = 0, 0
    pack: list[Kept] = []
    for kept in [*list_kept(client, bucket, prefix)]:
        pack.append(kept)
        if len(pack) == _AT_ONCE:
            _remove(client, bucket, pack)
            pack = []
        objects, size = objects + 1, size + kept.bytes
    if pack:
        _remove(client, bucket, pack)
    return Pile(prefix=prefix, objects=objects, bytes=size)


def _remove(client: Client, bucket: str, pack: Sequence[Kept]) -> None:
    asked = {"Objects": [{"Key": kept.key} for kept in pack], "Quiet": True}
    answer = client.ask("delete_objects", service=_S3, Bucket=bucket, Delete=asked)
    for error in answer.get("Errors", ()):
        what = f"{error.get('Key')} was not removed: {error.get('Code')}"
        raise UserError(what, where=f"s3://{bucket}", hint="s3:DeleteObject is needed")


def remove_bucket(client: Client, bucket: Bucket) -> Pile:
    """Remove all that is in a bucket of ours, and then itself; of one that is the person's own, nothing. Idempotent."""
    if bucket.is_theirs:
        hint = "bay store remove data/ and bay store remove runs/ empty what is ours in it"
        raise Conflict(f"the bucket {bucket.name} is your own and is not removed", where=bucket.region, hint=hint)
    try:
        removed = remove_kept(client, bucket.name, "")
        client.act("delete_bucket", service=_S3, Bucket=bucket.name)
    except NotFound:
        return Pile(prefix="", objects=0, bytes=0)
    except CloudRefusal as refusal:
        if refusal.code not in _NONE:
            raise
        return Pile(prefix="", objects=0, bytes=0)
    return removed


# --- for those who hold no credentials -------------------------------------------------------------------------------


def pass_seconds(client: Client, wanted_s: float) -> int:
    """Return for how long what is signed now is good: as wanted, 7 days at most, and not beyond temporary credentials.

    Raises UserError when the credentials are about to end.
    """
    seconds = min(int(wanted_s), LONGEST_PASS_S)
    credentials = client.raw(_S3)._request_signer._credentials  # noqa: SLF001 - botocore says it nowhere else
    if getattr(credentials, "token", None):
        ends = getattr(credentials, "_expiry_time", None)
        if isinstance(ends, datetime):
            seconds = min(seconds, int((ends - datetime.now(UTC)).total_seconds()))
    if seconds < 1:
        hint = "sign in anew (aws sso login), then the same command again"
        raise UserError("the AWS credentials have expired, or are about to", where=client.region, hint=hint)
    return seconds


def presign_get(client: Client, bucket: str, key: str, *, seconds: int) -> str:
    """Return an address at which anybody who knows it can read an object for so long. Nothing is asked of S3."""
    url: str = client.raw(_S3).generate_presigned_url(
        "get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=seconds
    )
    return url


def presign_post(client: Client, bucket: str, prefix: str, *, seconds: int, most_bytes: int) -> dict[str, Any]:
    """Return a form with which anybody who has it can store objects below a prefix for so long, each of so many bytes.

    It reads nothing, removes nothing, and reaches no other prefix. `url` is where it is sent, `fields` are its fields, to
    which a ``key`` is added. Nothing is asked of S3.
    """
    form = client.raw(_S3).generate_presigned_post(
        bucket,
        f"{prefix}${{filename}}",  # any key that begins so
        Conditions=[["content-length-range", 0, most_bytes]],
        ExpiresIn=seconds,
    )
    fields = {name: value for name, value in form["fields"].items() if name != "key"}
    return {"url": form["url"], "fields": fields, "prefix": prefix}
