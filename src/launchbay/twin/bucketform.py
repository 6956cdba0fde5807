"""A form by which somebody without credentials stores an object: what its policy says holds, and is not passed over.

After the documentation of S3's browser-based uploads (POST), which was not tried on S3 by us: each condition holds, each
field is named by one, the time is not over, and the signature is of the policy.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from werkzeug.formparser import parse_form_data

from launchbay.twin.call import Refused
from launchbay.twin.signing import secret_of, sign

__all__ = ["Form", "is_form", "read_form"]

_UNNAMED = ("file", "policy", "x-amz-signature")
"""Fields that no condition has to name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """An object that a form may store: its bucket, key and bytes; `credential` says who signed the form."""

    credential: str
    bucket: str
    key: str
    data: bytes


def is_form(environ: Mapping[str, Any]) -> bool:
    """Say whether a request stores an object by a form."""
    kind = str(environ.get("CONTENT_TYPE", ""))
    return environ.get("REQUEST_METHOD") == "POST" and kind.startswith("multipart/form-data")


def read_form(environ: Mapping[str, Any], body: bytes, now: Callable[[datetime], datetime]) -> Form:
    """Read a form, and hold it against its policy. `now` is the time for what was signed then. Raises Refused as S3 does."""
    given = {**environ, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
    _, texts, files = parse_form_data(given)
    fields = {name.lower(): value for name, value in texts.items()}
    file = files.get("file")
    if file is None:
        raise Refused("InvalidArgument", "POST requires exactly one file upload per request.")
    if "key" not in fields:
        raise Refused("InvalidArgument", "Bucket POST must contain a field named 'key'.")
    data = file.read()
    key = fields["key"].replace("${filename}", file.filename or "")
    bucket = str(environ.get("PATH_INFO", "/")).strip("/")
    policy = _policy(fields)
    _check_time(policy, fields, now)
    _check_signature(fields)
    _check_conditions(policy, {**fields, "bucket": bucket, "key": key}, len(data))
    return Form(credential=fields["x-amz-credential"], bucket=bucket, key=key, data=data)


def _policy(fields: Mapping[str, str]) -> Mapping[str, Any]:
    if not fields.get("policy"):
        raise Refused("AccessDenied", "Access Denied", status=403)
    try:
        policy: Mapping[str, Any] = json.loads(base64.b64decode(fields["policy"], validate=True))
        datetime.fromisoformat(str(policy["expiration"]))
        is_list = isinstance(policy["conditions"], list)
    except (binascii.Error, ValueError, KeyError, TypeError) as error:
        raise Refused("InvalidPolicyDocument", f"Invalid Policy: {error}") from None
    if not is_list:
        raise Refused("InvalidPolicyDocument", "Invalid Policy: Conditions are no list")
    return policy


def _check_time(policy: Mapping[str, Any], fields: Mapping[str, str], now: Callable[[datetime], datetime]) -> None:
    until = datetime.fromisoformat(str(policy["expiration"]))
    try:
        signed = datetime.strptime(fields.get("x-amz-date", ""), "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise Refused("AccessDenied", "Access Denied", status=403) from None
    if now(signed) > (until if until.tzinfo else until.replace(tzinfo=UTC)):
        raise _broken("Policy expired.")


def _broken(why: str) -> Refused:
    return Refused("AccessDenied", f"Invalid according to Policy: {why}", status=403)


def _check_signature(fields: Mapping[str, str]) -> None:
    key, _, scope = fields.get("x-amz-credential", "").partition("/")
    if not key or "x-amz-signature" not in fields:
        raise Refused("AccessDenied", "Access Denied", status=403)
    secret = secret_of(key)
    if secret is not None:
        made = sign(secret, scope.split("/")[:3], fields["policy"])
        if not hmac.compare_digest(made, fields["x-amz-signature"]):
            what = "The request signature we calculated does not match the signature you provided."
            raise Refused("SignatureDoesNotMatch", what, status=403)


def _check_conditions(policy: Mapping[str, Any], fields: Mapping[str, str], size: int) -> None:
    named = set()
    for condition in policy["conditions"]:
        said = (
            [["eq", f"${name}", value] for name, value in condition.items()]
            if isinstance(condition, dict)
            else [condition]
        )
        for how, what, value in said:
            if str(how).lower() == "content-length-range":
                if size < int(what):
                    raise Refused("EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size")
                if size > int(value):
                    raise Refused("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
                continue
            name = str(what).removeprefix("$").lower()
            named.add(name)
            is_met = fields.get(name, "").startswith(value) if how == "starts-with" else fields.get(name) == value
            if how not in ("eq", "starts-with") or not is_met:
                raise _broken(f'Policy Condition failed: ["{how}", "${name}", "{value}"]')
    extra = [name for name in fields if name not in named and name not in _UNNAMED and not name.startswith("x-ignore-")]
    if extra:
        raise _broken(f"Extra input fields: {extra[0]}")
