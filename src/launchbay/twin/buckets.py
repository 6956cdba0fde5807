"""What S3 does and moto does not: what was signed for a time expires, forms are held to their policy, names are the world's."""

from __future__ import annotations

import io
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode
from xml.sax.saxutils import escape

from launchbay.twin.bucketform import is_form, read_form
from launchbay.twin.call import Answer, Refused
from launchbay.twin.signing import A_SECOND, has_expired, is_signed
from launchbay.twin.wire import new_request_id

if TYPE_CHECKING:
    from launchbay.twin.world import World

__all__ = ["TAKEN", "Buckets", "action_of", "bucket_error", "refuse_bucket_call", "refuse_closed"]

TAKEN = frozenset(
    {"backup", "checkpoints", "data", "dataset", "datasets", "logs", "models", "my-bucket", "test", "training"}
)
"""Names that somebody else has, as every short word is taken in the world."""

_READS = ("GET", "HEAD")
_OF_BUCKET = {"GET": "ListObjects", "HEAD": "HeadBucket", "PUT": "CreateBucket", "DELETE": "DeleteBucket"}
_OF_KEY = {"GET": "GetObject", "HEAD": "HeadObject", "PUT": "PutObject", "DELETE": "DeleteObject"}
_OF_QUERY = {
    "accelerate": "BucketAccelerateConfiguration",
    "acl": "BucketAcl",
    "encryption": "BucketEncryption",
    "lifecycle": "BucketLifecycleConfiguration",
    "location": "BucketLocation",
    "ownershipControls": "BucketOwnershipControls",
    "policy": "BucketPolicy",
    "publicAccessBlock": "PublicAccessBlock",
    "tagging": "BucketTagging",
    "versioning": "BucketVersioning",
}
_VERBS = {"GET": "Get", "HEAD": "Get", "PUT": "Put", "DELETE": "Delete", "POST": "Post"}
_KEY_ONLY = ("acl", "tagging")


class Buckets:
    """Answers S3, each request as it comes. `calls` counts what was asked, by name: what carries its own permission too."""

    def __init__(
        self,
        world: World,
        s3: Callable[..., Iterable[bytes]],
        changed: Callable[[], None],
        judge: Callable[[Mapping[str, Any], World], Answer | None],
    ) -> None:
        self.calls: Counter[str] = Counter()
        self._judge = judge
        self._world = world
        self._s3 = s3
        self._changed = changed
        self._counting = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        with self._counting:
            self.calls[f"s3:{action_of(environ)}"] += 1
        refusal = refuse_bucket_call(environ, set_forward_since=self._world.clock.set_forward_since)
        if refusal is None and is_form(environ):
            return self._store(environ, start_response)
        refusal = refusal or self._judge(environ, self._world)
        if refusal is not None:
            return _send(refusal, start_response)
        if environ.get("REQUEST_METHOD") not in _READS:
            self._changed()
        return self._s3(environ, start_response)

    def _store(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Store what a form brings, as moto stores what is put; moto itself looks at no policy."""
        said = str(environ.get("CONTENT_LENGTH") or "0")
        body = environ["wsgi.input"].read(int(said) if said.isdecimal() else 0)
        try:
            form = read_form(environ, body, lambda signed: _now(signed, self._world.clock.set_forward_since))
        except Refused as refused:
            return _send(bucket_error(refused.status, refused.code, refused.message), start_response)
        asked = {name: value for name, value in environ.items() if name not in ("CONTENT_TYPE", "HTTP_CONTENT_TYPE")}
        path = f"/{form.bucket}/{form.key}".encode().decode("latin-1")
        asked |= {"REQUEST_METHOD": "PUT", "PATH_INFO": path, "QUERY_STRING": "", "wsgi.input": io.BytesIO(form.data)}
        asked |= {"CONTENT_LENGTH": str(len(form.data)), "RAW_URI": "", "REQUEST_URI": ""}
        asked["HTTP_AUTHORIZATION"] = (
            f"AWS4-HMAC-SHA256 Credential={form.credential}"  # moto asks for one, and reads no more
        )
        signer = urlencode({"X-Amz-Credential": form.credential})  # who signed the form must be allowed what it does
        refusal = self._judge({**asked, "QUERY_STRING": signer}, self._world)
        if refusal is not None:
            return _send(refusal, start_response)
        self._changed()

        def without_body(status: str, headers: list[tuple[str, str]], _: object = None) -> Any:
            return start_response("204 No Content" if status.startswith("200") else status, headers)

        return self._s3(asked, without_body)


def action_of(environ: Mapping[str, Any]) -> str:
    """Return how S3 calls what a request asks for; what stores something in parts is named by its part."""
    method = str(environ.get("REQUEST_METHOD", "GET"))
    key = str(environ.get("PATH_INFO", "/")).lstrip("/").partition("/")[2]
    query = parse_qs(str(environ.get("QUERY_STRING", "")), keep_blank_values=True)
    if is_form(environ):
        return "PostObject"
    if method == "POST":
        return "DeleteObjects" if "delete" in query else "CreateMultipartUpload" if "uploads" in query else "PostObject"
    for name, what in _OF_QUERY.items():
        if name in query:
            said = what.replace("Bucket", "Object") if key and name in _KEY_ONLY else what
            return f"{_VERBS.get(method, method)}{said}"
    if "uploadId" in query and key:
        return {"PUT": "UploadPart", "GET": "ListParts", "DELETE": "AbortMultipartUpload"}.get(method, method)
    if key:
        return _OF_KEY.get(method, method)
    if not str(environ.get("PATH_INFO", "/")).strip("/"):
        return "ListBuckets"
    return "ListObjectsV2" if "list-type" in query else _OF_BUCKET.get(method, method)


def refuse_bucket_call(
    environ: Mapping[str, Any],
    *,
    now: datetime | None = None,
    set_forward_since: Callable[[datetime], timedelta] = lambda _: timedelta(),
) -> Answer | None:
    """Return the refusal that a request to S3 gets before it is looked at, None where it may go on.

    `now` is the real time: the client signs with its own clock, whatever time it is in the twin. What was signed gets older
    by what passes really, and by what the twin was set forward since.
    """
    query = parse_qs(str(environ.get("QUERY_STRING", "")))
    if _has_expired(query, now or datetime.now(UTC), set_forward_since):
        return bucket_error(403, "AccessDenied", "Request has expired")
    if not is_signed(environ):
        what = "The request signature we calculated does not match the signature you provided."
        return bucket_error(403, "SignatureDoesNotMatch", f"{what} Check your key and signing method.")
    path = str(environ.get("PATH_INFO", "/"))
    name, _, key = path.lstrip("/").partition("/")
    if name not in TAKEN:
        return None
    if environ.get("REQUEST_METHOD") == "PUT" and not key and not environ.get("QUERY_STRING"):
        what = "The requested bucket name is not available. The bucket namespace is shared by all users of the system."
        return bucket_error(409, "BucketAlreadyExists", f"{what} Please select a different name and try again.")
    return refuse_closed()  # its owner lets nobody in


def refuse_closed() -> Answer:
    """Return what somebody is told who has no permission at all."""
    return bucket_error(403, "AccessDenied", "Access Denied")


def _now(signed: datetime, set_forward_since: Callable[[datetime], timedelta]) -> datetime:
    """Return what time it is for something that was signed at a moment of the client's own clock."""
    return datetime.now(UTC) + set_forward_since(signed + A_SECOND)


def _has_expired(
    query: Mapping[str, list[str]], now: datetime, set_forward_since: Callable[[datetime], timedelta]
) -> bool:
    """Say whether the time is over for which an address was signed, by either version of signing."""
    if "X-Amz-Expires" in query and "X-Amz-Date" in query:
        return has_expired(query["X-Amz-Date"][0], query["X-Amz-Expires"][0], now, set_forward_since)
    if "Expires" in query and "Signature" in query:
        until = query["Expires"][0]
        return not until.isdecimal() or now.timestamp() > int(until)
    return False


def bucket_error(status: int, code: str, message: str) -> Answer:
    """Return an error as S3 writes it."""
    text = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message>'
        f"<RequestId>{new_request_id()}</RequestId></Error>"
    )
    return Answer(status=status, headers=(("Content-Type", "application/xml"),), body=text.encode())


def _send(answer: Answer, start_response: Callable[..., Any]) -> Iterable[bytes]:
    headers = [*answer.headers, ("Content-Length", str(len(answer.body)))]
    start_response(f"{answer.status} Refused", headers)
    return [answer.body]
