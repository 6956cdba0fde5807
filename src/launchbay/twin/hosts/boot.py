"""What user data asks of a boot: the parts that it has, read as cloud-init reads them, and ready to be carried out in the box.

Known are scripts (``#!``), ``#cloud-config``, both packed with gzip, and several of them as a MIME message; anything else is
named in the log. Documents are read here and not in the box, whose Python may lack a reader of YAML.
"""

from __future__ import annotations

import base64
import email
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

__all__ = ["Boot", "read_user_data"]

_LARGEST = 16 << 20
_GZIP = b"\x1f\x8b"
_MIME = (b"content-type:", b"mime-version:")
_FIRST_ONLY = ("ssh_authorized_keys", "ssh_keys", "write_files")


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    """The keys of a cloud-config, scripts, and what is said of it in the log: notes, and errors, with which the boot fails."""

    config: Mapping[str, Any] = field(default_factory=dict)
    scripts: tuple[bytes, ...] = ()
    notes: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()

    def has_work(self, *, is_first: bool) -> bool:
        """Say whether something is to be done at a boot: all of it at the first one, bootcmd at every."""
        anything = self.config or self.scripts or self.notes or self.errors
        return bool(anything if is_first else self.config.get("bootcmd"))

    def comes_before_ssh(self, *, is_first: bool) -> bool:
        """Say whether something is to be done before anybody is let in."""
        return bool(self.config.get("bootcmd") or (is_first and any(self.config.get(key) for key in _FIRST_ONLY)))

    @property
    def host_key(self) -> tuple[bytes, bytes] | None:
        """The Ed25519 host key that is given, private and public; other kinds are not modelled."""
        keys = self.config.get("ssh_keys")
        if not isinstance(keys, Mapping) or not isinstance(keys.get("ed25519_private"), str):
            return None
        return keys["ed25519_private"].encode(), str(keys.get("ed25519_public", "")).encode()

    def told(self, *, instance: str, user: str, is_first: bool) -> bytes:
        """Return what the box's cloud-init reads, see `inside.cloud_init`."""
        return json.dumps(
            {
                "instance": instance,
                "user": user,
                "first": is_first,
                "config": {key: value for key, value in self.config.items() if key != "ssh_keys"},
                "scripts": [base64.b64encode(script).decode() for script in self.scripts],
                "notes": self.notes if is_first else (),
                "errors": self.errors if is_first else (),
            }
        ).encode()


def read_user_data(user_data: bytes) -> Boot:
    """Return what user data asks for. What cannot be read is among the errors."""
    config: dict[str, Any] = {}
    scripts, notes, errors = list[bytes](), list[str](), list[str]()
    try:
        for part in _parts(_unpacked(user_data)):
            if part.startswith(b"#!"):
                scripts.append(part)
            elif part.startswith(b"#cloud-config"):
                config |= _config(part)  # where two parts say the same, the later one counts
            elif part.strip():
                first = part.split(b"\n", 1)[0][:60].decode("ascii", "replace")
                errors.append(
                    f"twin: only scripts (#!) and #cloud-config are modelled, not user data that begins: {first}"
                )
    except _Unread as error:
        errors.append(f"twin: {error}")
    given = config.get("ssh_keys")
    other = set(given if isinstance(given, Mapping) else ()) - {"ed25519_private", "ed25519_public"}
    notes += [f"twin: {key} of ssh_keys is not modelled, and left out" for key in sorted(map(str, other))]
    return Boot(config=config, scripts=tuple(scripts), notes=tuple(notes), errors=tuple(errors))


class _Unread(Exception):
    """The user data cannot be read; its text says why."""


def _unpacked(data: bytes) -> bytes:
    if not data.startswith(_GZIP):
        return data
    unpacker = zlib.decompressobj(wbits=31)
    try:
        data = unpacker.decompress(data, _LARGEST)
    except zlib.error as error:
        raise _Unread(f"the user data is damaged: {error}") from None
    if unpacker.unconsumed_tail:
        raise _Unread(f"the user data is more than {_LARGEST} bytes when unpacked")
    return data


def _parts(data: bytes) -> Iterator[bytes]:
    """Yield the parts of a MIME message, unpacked; data that is none is one part."""
    if not data.lstrip().lower().startswith(_MIME):
        yield data
        return
    for part in email.message_from_bytes(data.lstrip()).walk():
        body = part.get_payload(decode=True)
        if not part.is_multipart() and isinstance(body, bytes):
            body = _unpacked(body)
            is_config = part.get_content_type() == "text/cloud-config" and not body.startswith(b"#cloud-config")
            yield b"#cloud-config\n" + body if is_config else body


class _Loader(yaml.SafeLoader):
    """Reads no aliases: a few lines of them can be written so that they come to gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise _Unread("aliases in a cloud-config are not modelled")
        return super().compose_node(parent, index)


def _config(part: bytes) -> dict[str, Any]:
    try:
        found = yaml.load(part, _Loader)  # noqa: S506 - a safe one
        plain = json.loads(json.dumps(found, default=str))  # dates and such, as text
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise _Unread(f"the cloud-config cannot be read: {' '.join(str(error).split())}") from None
    if plain is None:
        return {}
    if not isinstance(plain, dict):
        raise _Unread("the cloud-config is no mapping of keys")
    return plain
