"""Whether what is signed was signed by who knows the secret, after AWS's Signature Version 4; unseen where nobody here does.

The twin takes any key that it did not give out for the account's own, whose secret it cannot know: such signatures are not
looked at. It knows the secrets of keys that its IAM made, and of the pair with which it tells others to come.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, quote

from moto.core import DEFAULT_ACCOUNT_ID
from moto.iam.models import iam_backends

__all__ = ["A_SECOND", "EMPTY", "has_expired", "is_signed", "secret_of", "sign"]

EMPTY = hashlib.sha256(b"").hexdigest()
"""What is signed of a body that is not there, by services that sign one."""

A_SECOND = timedelta(seconds=1)
"""A signature is dated to the second: what the clock was set forward by within that one may have been before it."""

_OWN = {"twin": "twin"}
"""The pair that `bay twin start` shows."""

_SIGNATURE = "X-Amz-Signature"
_STAMP = re.compile(r"\d{8}T\d{6}Z")


def secret_of(key: str) -> str | None:
    """Return the secret of an access key, None where it is not known here."""
    for user in iam_backends[DEFAULT_ACCOUNT_ID]["aws"].list_users("/", None, None):
        for access in user.access_keys:
            if access.access_key_id == key:
                return str(access.secret_access_key)
    return _OWN.get(key)


def sign(secret: str, scope: Sequence[str], text: str) -> str:
    """Sign a text for a scope (day, region, service)."""
    made = f"AWS4{secret}".encode()
    for part in (*scope, "aws4_request"):
        made = hmac.digest(made, part.encode(), hashlib.sha256)
    return hmac.digest(made, text.encode(), hashlib.sha256).hex()


def has_expired(
    stamp: str, seconds: str, now: datetime, set_forward_since: Callable[[datetime], timedelta] = lambda _: timedelta()
) -> bool:
    """Say whether the time is over for which an address was signed, or cannot be read.

    `now` is the real time, by which the client signs: it gets older by that, and by what the twin was set forward since.
    """
    if not _STAMP.fullmatch(stamp) or not seconds.isdecimal():
        return True
    signed = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return now + set_forward_since(signed + A_SECOND) > signed + timedelta(seconds=int(seconds))


def is_signed(environ: Mapping[str, Any], *, body: str = "UNSIGNED-PAYLOAD") -> bool:
    """Say whether an address was signed by who knows the secret of its key; True where nobody here knows it either.

    `body` is what the service signs of a request's body, unless the address says it.
    """
    pairs = parse_qsl(str(environ.get("QUERY_STRING", "")), keep_blank_values=True)
    asked = dict(pairs)
    key, _, scope = asked.get("X-Amz-Credential", "").partition("/")
    secret = secret_of(key)
    if secret is None or _SIGNATURE not in asked:
        return True
    names = asked.get("X-Amz-SignedHeaders", "").split(";")
    headers = "".join(f"{name}:{_header(environ, name)}\n" for name in names)
    query = "&".join(
        f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in sorted(pairs) if name != _SIGNATURE
    )
    path = quote(str(environ.get("PATH_INFO", "/")).encode("latin-1"), safe="/-_.~")
    body = asked.get("X-Amz-Content-Sha256", body)
    request = "\n".join([str(environ["REQUEST_METHOD"]), path, query, headers, ";".join(names), body])
    parts = scope.split("/")
    text = "\n".join(
        ["AWS4-HMAC-SHA256", asked.get("X-Amz-Date", ""), scope, hashlib.sha256(request.encode()).hexdigest()]
    )
    return hmac.compare_digest(sign(secret, parts[:3], text), asked[_SIGNATURE])


def _header(environ: Mapping[str, Any], name: str) -> str:
    plain = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}
    return " ".join(str(environ.get(plain.get(name) or f"HTTP_{name.upper().replace('-', '_')}", "")).split())
