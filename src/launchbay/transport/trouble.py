"""What goes wrong between us and an instance, each told apart by its class, and what to look at next."""

from __future__ import annotations

from launchbay.errors import NotFound, UserError
from launchbay.transport.door import Door

__all__ = [
    "ConnectionBroken",
    "HostKeyRefused",
    "KeyRefused",
    "Unreachable",
    "WayRefused",
    "check_library",
    "explain_failure",
]

_FOR_GOOD = 2
"""A proxy's exit code where waiting is of no use."""


class Unreachable(UserError):
    """No SSH server answers there."""


class WayRefused(UserError):
    """The door's proxy says that there is no way to the instance, and that waiting brings none."""


class HostKeyRefused(UserError):
    """What answers does not have the host key that was pinned; nothing was sent to it."""


class KeyRefused(UserError):
    """The instance does not let the key in."""


class ConnectionBroken(UserError):
    """The connection was lost while something was under way; how that ended is not known."""


def check_library() -> None:
    """Raise UserError if the package that speaks SSH is not installed."""
    try:
        import asyncssh as _  # noqa: F401
    except ImportError as error:
        raise UserError("SSH needs the package asyncssh", hint="pip install 'launchbay[aws]'") from error


def explain_failure(error: BaseException, door: Door, *, said: str = "", code: int | None = None) -> UserError | None:
    """Say why an instance could not be reached or logged in to; None for an error that is none of the network's.

    `said` is the last that the door's proxy said, and `code` the exit code with which it ended.
    """
    import asyncssh

    look = (
        "has your own address changed since the launch? the same `bay launch` again lets it in; else: does its security group "
        "let you in on this port, and has the instance another address now, after a stop?"
    )
    if isinstance(error, asyncssh.HostKeyNotVerifiable):
        return HostKeyRefused(
            f"refused: what answers at {door.address} is not {door.alias}, its host key is not the pinned one",
            where=str(door.known_hosts),
            hint="another machine has this address now, or somebody is in between; ask for the instance's address anew",
        )
    if isinstance(error, asyncssh.PermissionDenied):
        keys = ", ".join(str(path) for path in door.keys)
        return KeyRefused(
            f"{door.alias} lets nobody in as {door.user} with this key",
            where=keys,
            hint="is it the key that the instance was launched with, and the user of its image (ubuntu, ec2-user)?",
        )
    if isinstance(error, ConnectionError) and door.proxy:
        why = "it hung up before the login"
    elif isinstance(error, ConnectionRefusedError):
        why = "nothing listens there (it may still be starting)"
    elif isinstance(error, TimeoutError):
        why = "it does not answer"
    elif isinstance(error, FileNotFoundError) and error.filename:
        return NotFound(f"there is no file {error.filename}", where=door.alias)
    elif isinstance(error, asyncssh.KeyImportError | asyncssh.KeyEncryptionError):
        return UserError(f"the private key cannot be used: {error}", where=", ".join(str(path) for path in door.keys))
    elif isinstance(error, asyncssh.Error):
        why = f"it hung up before the login ({error.reason})"
    elif isinstance(error, OSError):
        why = error.strerror or str(error)
    else:
        return None
    if not door.proxy:
        return Unreachable(f"{door.alias} cannot be reached: {why}", where=door.place, hint=look)
    # the proxy knows better than who only sees that nothing comes from it
    why = said or (f"{door.proxy[0]} ended with code {code}" if code else why)
    kind = WayRefused if code == _FOR_GOOD else Unreachable
    return kind(f"{door.alias} cannot be reached: {why}", where=door.place)
