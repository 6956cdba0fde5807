"""This machine as others reach it over SSH: its name, its port, the user, and the key by which it is known."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import socket
from dataclasses import dataclass
from pathlib import Path

from launchbay.errors import UsageError, UserError
from launchbay.spec.people import PublicKey, parse_key

__all__ = ["Place", "find_place", "greets"]

_HOST_KEYS = tuple(Path(f"/etc/ssh/ssh_host_{kind}_key.pub") for kind in ("ed25519", "ecdsa", "rsa"))
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:_-]*\Z")
_PATIENCE_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an SSH server of this machine answers, and as which user one comes in."""

    host: str
    port: int
    user: str
    host_key: PublicKey

    @property
    def known_as(self) -> str:
        """How `known_hosts` names it."""
        return self.host if self.port == 22 else f"[{self.host}]:{self.port}"

    @property
    def known_hosts_line(self) -> str:
        """The line for `known_hosts`."""
        return f"{self.known_as} {self.host_key}"


def find_place(*, host: str | None, port: int, host_key: str | None) -> Place:
    """Return this machine, under its own name unless `host` gives another.

    Raises UserError where the server's public key cannot be read: nobody should have to trust what answers.
    """
    if host is not None and not _HOST.match(host):
        raise UsageError(f"a host must be a name or an address, got {host[:40]!r}", hint="--host gpu.example.org")
    if not 1 <= port <= 65535:
        raise UsageError(f"a port must be 1 to 65535, got {port}", hint="--ssh-port 22")
    return Place(
        host=host or socket.getfqdn(),
        port=port,
        user=pwd.getpwuid(os.geteuid()).pw_name,
        host_key=_read_host_key((Path(host_key),) if host_key else _HOST_KEYS),
    )


def _read_host_key(paths: tuple[Path, ...]) -> PublicKey:
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            try:
                return parse_key(path.read_text(encoding="ascii").strip(), where=str(path))
            except UnicodeDecodeError as error:
                raise UserError("that is no public key of an SSH server", where=str(path)) from error
    raise UserError(
        "the public key of this machine's SSH server is not there",
        where=str(paths[0]),
        hint="install the server (apt-get install openssh-server), or name its key: --host-key FILE.pub",
    )


def greets(port: int) -> bool:
    """Say whether an SSH server answers on this machine."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE_S) as there:
        return there.recv(4) == b"SSH-"
    return False
