"""The host keys that we know instances by, in a file of our own that OpenSSH reads too."""

from __future__ import annotations

import re
from pathlib import Path

from launchbay.errors import Conflict, UsageError
from launchbay.files import locked, write_atomic

__all__ = ["forget_host_key", "pin_host_key", "read_host_keys", "replace_host_key"]

_ALIAS = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]*")
_KEY = re.compile(r"(ssh|ecdsa|sk)-[0-9A-Za-z@.-]+ [0-9A-Za-z+/]+={0,2}")


def pin_host_key(path: Path, alias: str, public_key_line: str) -> None:
    """Write down the host key by which an instance is known from now on; the same key again changes nothing.

    Safe with several processes; a reader finds the file before or after. Raises Conflict if the instance is known by
    another key, UsageError for what is no public key.
    """
    key = _read_key(public_key_line)
    _edit(path, alias, key, is_new=True)


def replace_host_key(path: Path, alias: str, public_key_line: str) -> None:
    """Know an instance by another host key from now on. Whoever calls this has proof that the new one is its own."""
    _edit(path, alias, _read_key(public_key_line), is_new=False)


def forget_host_key(path: Path, alias: str) -> None:
    """Remove an instance's host keys; one that is not known is fine."""
    _edit(path, alias, "", is_new=False)


def read_host_keys(path: Path, alias: str) -> tuple[str, ...]:
    """Return the keys by which an instance is known, each as ``type base64``; none for one that is not."""
    return tuple(key for name, key in _read(path) if name == alias)


def _read_key(line: str) -> str:
    key = " ".join(line.split()[:2])
    if "\n" in line.strip() or not _KEY.fullmatch(key):
        raise UsageError(f"{line[:60]!r} is no public host key", hint="one line: ssh-ed25519 AAAA...")
    return key


def _read(path: Path) -> list[tuple[str, str]]:
    try:
        text = path.read_text(encoding="ascii")
    except FileNotFoundError:
        return []
    split = (line.split(maxsplit=1) for line in text.splitlines())
    return [(words[0], words[1]) for words in split if len(words) == 2]


def _edit(path: Path, alias: str, key: str, *, is_new: bool) -> None:
    if not _ALIAS.fullmatch(alias):  # a comma, a star or a bang would make a pattern of it, that fits others too
        raise UsageError(f"{alias!r} is no name that a host key can be known by", where=str(path))
    with locked(path.with_name(f"{path.name}.lock")):
        before = _read(path)
        known = [kept for name, kept in before if name == alias]
        if known == ([key] if key else []):
            return
        if is_new and known:
            what = f"{alias} is known by another host key"
            raise Conflict(what, where=str(path), hint="an instance has one key; replace it only with proof")
        after = [(name, kept) for name, kept in before if name != alias] + ([(alias, key)] if key else [])
        text = "".join(f"{name} {kept}\n" for name, kept in after)
        write_atomic(path, text.encode("ascii"), private=True, durable=True)
