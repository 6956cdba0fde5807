"""Secrets in what others can read: user data, which anything on an instance can ask for, and tags. Pure.

A scanner: it knows the forms of common keys, and words that a password is assigned to. What it finds is there; that it finds
nothing proves nothing.
"""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Secret", "find_secrets", "unpack"]

_FORMS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("a private key", re.compile(r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----|PuTTY-User-Key-File-\d")),
    ("an AWS access key", re.compile(r"(?<![A-Z0-9])(?:AKIA|ASIA)[A-Z2-7]{16}(?![A-Z0-9])")),
    (
        "an AWS secret key",
        re.compile(r"(?i:secret_?access_?key)[\"']?\s*[:=]\s*[\"']?[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+])"),
    ),
    ("a token of Hugging Face", re.compile(r"(?<![A-Za-z0-9])(?:hf|api_org)_[A-Za-z0-9]{30,}")),
    ("a token of GitHub", re.compile(r"(?<![A-Za-z0-9])(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{40,})")),
    ("a token of GitLab", re.compile(r"(?<![A-Za-z0-9])glpat-[A-Za-z0-9_-]{20,}")),
    ("a token of Slack", re.compile(r"(?<![A-Za-z0-9])xox[abeprs]-[A-Za-z0-9-]{10,}")),
    ("an API key", re.compile(r"(?<![A-Za-z0-9])sk-(?:[A-Za-z0-9]+-)?[A-Za-z0-9_-]{20,}")),
    (
        "a password in an address",
        re.compile(r"[a-z][a-z0-9+.-]{1,20}://[^\s/:@'\"]{1,100}:(?!\$|\{\{|<)[^\s/@'\"]{3,200}@"),
    ),
)
"""What common keys look like, as their makers document it."""

_ASSIGNED = re.compile(
    r"""(?ix)
    (?:^|[^a-z0-9])
    ((?:[a-z0-9]+[_-]){0,5}
     (?:password|passwd|passphrase|pwd|secret|token|api_?key|apikey|access_?key|credential)s?)
    ["']? \s* (?:=|:(?!/)) \s*
    ( "[^"\n]*" | '[^'\n]*' | [^\s"'`;,&|]+ )
    """
)
_POINTS_ELSEWHERE = re.compile(
    r"""(?x)
    \$ | `| \{\{ | < | %\( | \* | / | ~ | \. | x{3,} | @
    | (?i: true | false | yes | no | on | off | null | none | required | optional | disabled | enabled | auto | file | stdin
       | changeme | arn:.* | ssm:.* | https?:.* | env | never | always | lock | len | int | str | text | string )\Z
    """
)
"""How a value begins that says where the secret is, or that there is none: a variable, a path, a blank to fill in."""

_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{20,}(?:\s*\n\s*[A-Za-z0-9+/_-]{4,})*={0,2}")
_PERCENT = re.compile(r"%([0-9A-Fa-f]{2})")
_MOST_UNPACKED = 1 << 20
_DEEPEST = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """Something that looks like a secret: what kind, and in which line. What it is, is said nowhere."""

    kind: str
    line: int


def find_secrets(text: str) -> tuple[Secret, ...]:
    """Return what looks like a secret, each kind and line once: as it stands, percent-encoded, or in base64."""
    return tuple(sorted(set(_look(text, 0)), key=lambda found: (found.line, found.kind)))


def _look(text: str, depth: int) -> Iterator[Secret]:
    for kind, form in _FORMS:
        yield from (Secret(kind=kind, line=_line(text, found.start())) for found in form.finditer(text))
    for found in _ASSIGNED.finditer(text):
        value = found[2].strip("\"'")
        if len(value) >= 4 and not _POINTS_ELSEWHERE.match(value):
            yield Secret(kind=f"a value assigned to {found[1].casefold()}", line=_line(text, found.start(1)))
    if depth < _DEEPEST:
        plain = _PERCENT.sub(lambda found: chr(int(found[1], 16)), text)
        if plain != text:
            yield from _look(plain, depth + 1)
        for found in _BASE64.finditer(text):
            inside = _decode(found[0])
            at = _line(text, found.start())
            yield from (Secret(kind=secret.kind, line=at) for secret in _look(inside, depth + 1))


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _decode(text: str) -> str:
    """Return the text that is in base64, unpacked where it is packed; nothing where it is none."""
    plain = re.sub(r"[\s=]", "", text).replace("-", "+").replace("_", "/")
    try:
        data = base64.b64decode(plain[: len(plain) - (len(plain) % 4 == 1)] + "==", validate=False)
        return unpack(data).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return ""


def unpack(data: bytes) -> bytes:
    """Return what is packed with gzip, at most a MiB of it; anything else as it is."""
    if not data.startswith(b"\x1f\x8b"):
        return data
    try:
        return zlib.decompressobj(wbits=31).decompress(data, _MOST_UNPACKED)
    except zlib.error:
        return data
