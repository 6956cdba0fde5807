"""The SSH server of a host: who may in, and with which key. Its sessions run in the box; nothing is served out here."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import asyncssh

from launchbay.twin.hosts.forward import Forward
from launchbay.twin.hosts.session import Session, Sessions

__all__ = [
    "Door",
    "Visitor",
    "accept_all",
    "new_host_key",
    "public_line",
    "read_host_key",
    "read_keys",
    "refuse",
    "serve",
]

_VERSION = "Launchbay_twin"
_LOGIN_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """What the SSH server needs to know of a host, asked anew at each login."""

    host: Sessions
    user: str
    accepts: Callable[[str], bool]
    """Whether a public key, as `type base64`, may log in now."""
    peer: str
    """From where somebody comes."""


class Visitor(asyncssh.SSHServer):
    """One client's connection."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def begin_auth(self, username: str) -> bool:
        """Demand authentication of everybody."""
        del username
        return True

    def public_key_auth_supported(self) -> bool:
        """Accept keys, and nothing else."""
        return True

    def password_auth_supported(self) -> bool:
        """Accept no passwords."""
        return False

    def kbdint_auth_supported(self) -> bool:
        """Accept no questions and answers."""
        return False

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Return whether a key is the user's now."""
        return username == self._door.user and self._door.accepts(public_line(key))

    def session_requested(self) -> Session:
        """Open a session in the box."""
        return Session(self._door.host, self._door.peer)

    def connection_requested(
        self, dest_host: str, dest_port: int, orig_host: str, orig_port: int
    ) -> Coroutine[Any, Any, Forward]:
        """Dial inside the box. The laptop's own servers cannot be reached through it."""
        del orig_host, orig_port
        return Forward(self._door.host).connect(dest_host, dest_port)


async def serve(connection: socket.socket, door: Door, host_key: asyncssh.SSHKey) -> asyncssh.SSHServerConnection:
    """Speak SSH on a connected socket and return when the client has logged in. Raises OSError or asyncssh.Error."""
    return await asyncssh.run_server(
        connection,
        server_factory=lambda: Visitor(door),
        server_host_keys=[host_key],
        server_version=_VERSION,
        encoding=None,
        line_editor=False,
        agent_forwarding=False,
        x11_forwarding=False,
        allow_scp=False,
        host_based_auth=False,
        gss_host=None,
        config=[],
        login_timeout=_LOGIN_SECONDS,
        connect_timeout=_LOGIN_SECONDS,
    )


def refuse(connection: socket.socket) -> None:
    """Close a connection with a reset, before anything was said."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def new_host_key() -> tuple[bytes, bytes]:
    """Return a new key for a host: private and public, as OpenSSH writes them."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    return key.export_private_key("openssh"), key.export_public_key("openssh")


def read_host_key(data: bytes) -> asyncssh.SSHKey | None:
    """Return a host key, None for what is no private key without a passphrase."""
    try:
        return asyncssh.import_private_key(data)
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError, UnicodeDecodeError):
        return None


def public_line(key: asyncssh.SSHKey) -> str:
    """Return a public key as `type base64`."""
    return " ".join(key.export_public_key("openssh").decode("ascii").split()[:2])


def read_keys(lines: list[str]) -> set[str]:
    """Return the public keys in lines of an authorized_keys file, each as `type base64`.

    Lines with options are left out: what they restrict is not modelled, and a key must not allow more than it says.
    """
    found = set()
    for line in lines:
        words = line.split()
        if len(words) >= 2 and words[0].startswith(("ssh-", "ecdsa-", "sk-")):
            found.add(" ".join(words[:2]))
    return found


async def accept_all(listener: socket.socket, admit: Callable[[socket.socket, str], None]) -> None:
    """Take in connections until cancelled. Those that were taken in go on then."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            connection, peer = await loop.sock_accept(listener)
        except OSError:  # it was reset in the queue, or there are no descriptors left: they come back
            await asyncio.sleep(0.05)
            continue
        admit(connection, str(peer[0]))
