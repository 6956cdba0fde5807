"""What S3 does and moto does not: addresses that were signed for a time expire, and names of buckets are the whole world's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from launchbay.twin.call import Answer
from launchbay.twin.wire import new_request_id

__all__ = ["TAKEN", "refuse_bucket_call"]

TAKEN = frozenset(
    {"backup", "checkpoints", "data", "dataset", "datasets", "logs", "models", "my-bucket", "test", "training"}
)
"""Names that somebody else has, as every short word is taken in the world."""

_STAMP = re.compile(r"\d{8}T\d{6}Z")


def refuse_bucket_call(environ: Mapping[str, Any], *, now: datetime | None = None) -> Answer | None:
    """Return the refusal that a request to S3 gets before it is looked at, None where it may go on.

    `now` is the real time: the client signs with its own clock, whatever time it is in the twin.
    """
    if _has_expired(parse_qs(str(environ.get("QUERY_STRING", ""))), now or datetime.now(UTC)):
        return _error(403, "AccessDenied", "Request has expired")
    path = str(environ.get("PATH_INFO", "/"))
    name, _, key = path.lstrip("/").partition("/")
    if environ.get("REQUEST_METHOD") == "PUT" and not key and not environ.get("QUERY_STRING") and name in TAKEN:
        what = "The requested bucket name is not available. The bucket namespace is shared by all users of the system."
        return _error(409, "BucketAlreadyExists", f"{what} Please select a different name and try again.")
    return None


def _has_expired(query: Mapping[str, list[str]], now: datetime) -> bool:
    """Say whether the time is over for which an address was signed, by either version of signing."""
    if "X-Amz-Expires" in query and "X-Amz-Date" in query:
        stamp, seconds = query["X-Amz-Date"][0], query["X-Amz-Expires"][0]
        if not _STAMP.fullmatch(stamp) or not seconds.isdecimal():
            return True
        signed = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        return now > signed + timedelta(seconds=int(seconds))
    if "Expires" in query and "Signature" in query:
        until = query["Expires"][0]
        return not until.isdecimal() or now.timestamp() > int(until)
    return False


def _error(status: int, code: str, message: str) -> Answer:
    text = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message>'
        f"<RequestId>{new_request_id()}</RequestId></Error>"
    )
    return Answer(status=status, headers=(("Content-Type", "application/xml"),), body=text.encode())
