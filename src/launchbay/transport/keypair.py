"""A pair of SSH keys, made here: the private half is written for its owner alone and goes nowhere."""

from __future__ import annotations

from dataclasses import dataclass, field

from launchbay.transport.trouble import check_library

__all__ = ["KeyPair", "make_key_pair"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """A private key as OpenSSH writes it, and its public half as one line."""

    private: str = field(repr=False)
    public: str


def make_key_pair(comment: str = "") -> KeyPair:
    """Return a new pair of Ed25519 keys. Raises UserError without the library that makes them."""
    check_library()
    import asyncssh

    key = asyncssh.generate_private_key("ssh-ed25519", comment=comment or None)
    return KeyPair(private=key.export_private_key().decode(), public=key.export_public_key().decode().strip())
