"""The people that instances are shared with: a name and an OpenSSH public key each."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from launchbay.errors import UsageError
from launchbay.spec.document import Document

__all__ = ["PERSON_FIELDS", "Person", "PublicKey", "check_person_name", "parse_key", "read_people"]

PERSON_FIELDS: dict[str, str] = {
    "name": "what the person is called here, in file names and in `bay ps`: letters, digits, '.', '_' and '-'",
    "key": "their OpenSSH public key: the line itself, or the path of a .pub file",
}
"""Every field of an entry of `people`, with its meaning."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}\Z")
_KINDS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)
_FIELDS = {"ssh-rsa": 2, "ssh-ed25519": 1, "sk-ssh-ed25519@openssh.com": 2, "sk-ecdsa-sha2-nistp256@openssh.com": 3}
_LEAST_RSA_BITS = 2048  # fewer are refused by today's OpenSSH and by anybody who can rent a computer
_MAKE = "ssh-keygen -t ed25519 makes one; its public half is ~/.ssh/id_ed25519.pub"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """An OpenSSH public key, without its comment."""

    kind: str
    data: str

    def __str__(self) -> str:
        return f"{self.kind} {self.data}"

    @property
    def fingerprint(self) -> str:
        """Return what `ssh-keygen -l` shows of it."""
        digest = hashlib.sha256(base64.b64decode(self.data)).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody whom an instance can belong to. `where` says in which line of which file they stand."""

    name: str
    key: PublicKey
    where: str = ""


def check_person_name(name: str, *, where: str = "") -> str:
    """Return `name`, or raise UsageError unless it can stand in file names and in authorized_keys."""
    if not _NAME.match(name):
        raise UsageError(
            "a person's name must be 1 to 32 letters, digits, '.', '_' or '-', starting with a letter or digit, "
            f"got {name[:40]!r}",
            where=where,
            hint=f"name: {re.sub(r'[^A-Za-z0-9._-]+', '-', name).strip('._-')[:32] or 'ada'}",
        )
    return name


def read_people(entries: Sequence[Document], folder: Path) -> tuple[Person, ...]:
    """Read the entries of `people`; paths of keys start in `folder`. Raises UsageError naming file and line."""
    people: list[Person] = []
    for entry in entries:
        people.append(_read_person(entry, folder))
        entry.finish()
        _refuse_double(people)
    return tuple(people)


def _read_person(entry: Document, folder: Path) -> Person:
    name, key = entry.text("name"), entry.text("key")
    if not name:
        raise UsageError("an entry of people must have a name", where=entry.where("key"), hint="name: ada")
    where = entry.where("key")
    if not key:
        entry.finish()  # a field that was mistyped is why
        raise UsageError(f"{name} must have a key", where=entry.where("name"), hint=_MAKE)
    text = key.strip()
    if text.endswith(".pub") and not text.startswith(_KINDS):
        text = _read_file((folder / Path(text).expanduser()), where)
    return Person(
        name=check_person_name(name, where=entry.where("name")), key=parse_key(text, where=where), where=where
    )


def _read_file(path: Path, where: str) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError:
        raise UsageError(f"{path} is no public key: it is not text", where=where, hint=_MAKE) from None
    except OSError as error:
        what = f"the key {path} cannot be read: {(error.strerror or str(error)).lower()}"
        raise UsageError(what, where=where, hint="a path that starts beside bay.yaml, or the line itself") from error


def _refuse_double(people: Sequence[Person]) -> None:
    *others, last = people
    for other in others:
        if other.name.casefold() == last.name.casefold():  # two files that some systems take for one
            raise UsageError(f"the name {last.name!r} stands twice, first in {other.where}", where=last.where)
        if other.key == last.key:
            what = f"{last.name} has the key of {other.name} ({other.where}), and could not be told from them"
            raise UsageError(what, where=last.where, hint="a key of their own for each person")


def parse_key(text: str, *, where: str = "") -> PublicKey:
    """Read a line of an OpenSSH public key file. Raises UsageError for anything else, a private key above all."""
    if "PRIVATE KEY" in text:
        what = "that is a private key, which nobody else must have"
        raise UsageError(
            what, where=where, hint="the line of the .pub file beside it; and a new key pair for its owner"
        )
    words = text.split()
    if "\n" in text.strip() or len(words) < 2 or words[0] not in _KINDS:
        shown = words[0][:40] if words else ""
        what = f"a key must be one line that starts with one of {', '.join(_KINDS[:2])}, ssh-rsa, ...; got {shown!r}"
        raise UsageError(what, where=where, hint=f"the line of a .pub file, or the path of one; {_MAKE}")
    kind, data = words[0], words[1]
    try:
        parts = _parts(base64.b64decode(data, validate=True))
    except (binascii.Error, ValueError):
        parts = []
    if not parts or parts[0] != kind.encode() or len(parts) != 1 + _FIELDS.get(kind, 2):
        raise UsageError(
            f"the {kind} key is cut off or mistyped", where=where, hint="copy the whole line of the .pub file"
        )
    bits = int.from_bytes(parts[2], "big").bit_length() if kind == "ssh-rsa" else _LEAST_RSA_BITS
    if bits < _LEAST_RSA_BITS:
        raise UsageError(
            f"an ssh-rsa key must have {_LEAST_RSA_BITS} bits or more, got {bits}", where=where, hint=_MAKE
        )
    return PublicKey(kind, data)


def _parts(blob: bytes) -> list[bytes]:
    """Split a key into its parts, each after its length. Raises ValueError where one is cut off."""
    parts, rest = [], blob
    while rest:
        size = int.from_bytes(rest[:4], "big")
        part, rest = rest[4 : 4 + size], rest[4 + size :]
        if len(part) != size or size == 0:
            raise ValueError
        parts.append(part)
    return parts
