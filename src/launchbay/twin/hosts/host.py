"""What a host is, as values: what it is asked to be, where it listens, and who knocked."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path

from launchbay.errors import UsageError

__all__ = ["BAKED", "GROUP", "USER", "USERS", "Gpu", "Host", "Knock", "Limits", "Listening"]

USERS = ("ubuntu", "ec2-user")
USER = GROUP = 1000
"""The only ids in a box: its user's. Whatever belongs to the laptop is shown as nobody's."""

BAKED = re.compile(r"snap-[0-9a-f]{8,17}")
"""How the folders of baked files are called."""
_INSTANCE = re.compile(r"i-[0-9a-f]{8,17}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """A GPU that a host says it has; there is none behind it."""

    name: str
    memory_mib: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one box may use: processes and threads at a time, and bytes in one file.

    Memory, CPU time, network and the sum of all files are not limited.
    """

    processes: int = 4096
    file_bytes: int = 1 << 38


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What stands behind one instance.

    `instance` is its id, the hostname that it shows, and what its host key is known by. SSH listens at `address` and
    `port` (0: a free one, the same again after a stop where it is still free). `user_data` runs once, at the first start.
    `public_keys` are lines in OpenSSH's form, put into the user's authorized_keys at the first start. `binds` are folders
    or files of the laptop, shown read-only at a path of the host. `baked` names files that `Hosts.bake` has kept, with which it
    begins; empty for a fresh one. Raises UsageError for what could not be.
    """

    instance: str
    user: str
    address: str
    port: int
    private_ip: str
    user_data: bytes
    public_keys: tuple[str, ...]
    gpus: tuple[Gpu, ...] = ()
    binds: tuple[tuple[Path, str], ...] = ()
    baked: str = ""

    def __post_init__(self) -> None:
        # The instance's id names a folder that is removed one day: it must never be a path.
        if not _INSTANCE.fullmatch(self.instance):
            raise UsageError(
                f"an instance is called i- and 8 to 17 hex digits, got {self.instance!r}", where="instance"
            )
        if self.baked and not BAKED.fullmatch(self.baked):
            raise UsageError(
                f"what is kept of a host is called as its snapshot, got {self.baked!r}", where=self.instance
            )
        if self.user not in USERS:
            raise UsageError(f"user must be {' or '.join(USERS)}, got {self.user!r}", where=self.instance)
        for field in ("address", "private_ip"):
            try:
                ipaddress.IPv4Address(getattr(self, field))
            except ValueError as error:
                raise UsageError(f"{field}: {error}", where=self.instance) from None
        if not 0 <= self.port <= 65535:
            raise UsageError(f"port must be 0 to 65535, got {self.port}", where=self.instance)
        for _, at in self.binds:
            if not at.startswith("/") or ".." in at.split("/") or at.strip("/") in ("", *_TAKEN):
                raise UsageError(f"nothing can be shown at {at!r}", where=self.instance, hint="a path like /image")


_TAKEN = ("bin", "dev", "etc", "home", "lib", "lib64", "proc", "run", "sbin", "sys", "tmp", "usr", "var")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """Where a host's SSH listens; `host_key` is its public key, `ssh-ed25519 AAAA...`, for a known_hosts file."""

    address: str
    port: int
    host_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Knock:
    """One attempt to connect: who came, when (on the clock given to Hosts), and what the security groups said.

    `banner` is whether the SSH server's first line was sent; without it nobody has reached the host.
    """

    instance: str
    peer: str
    at: float
    is_allowed: bool
    banner: bool
