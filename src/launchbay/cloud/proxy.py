"""``python -m launchbay.cloud.proxy HOME FLEET ID ADDRESS PORT``: the way to an instance's SSH server, as OpenSSH's ProxyCommand.

What it leads through is in the fleet's record: an EC2 Instance Connect Endpoint, or nothing but the address; a one-time key is
sent once the way stands, since it is good for a minute. Credentials are found as always, and are in no command line. One line on
stderr says why it failed: for now (exit code 1), or for good (2), where trying again brings nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial

from launchbay.cloud.fleet import CloudFleet, find_fleet, key_file
from launchbay.errors import LaunchbayError, NotFound, NotPermitted, UsageError, UserError
from launchbay.lifecycle.bay import Bay, open_bay
from launchbay.lifecycle.cloud import open_cloud, twin_keys
from launchbay.lifecycle.twin import find_twin
from launchbay.planning.refusal import is_passing
from launchbay.providers.ec2.client import CloudRefusal
from launchbay.providers.ec2.opentunnel import Target, TunnelRefused, asking_nobody, open_tunnel
from launchbay.relay import Stream, open_plain

__all__ = ["main"]

_FOR_NOW, _FOR_GOOD = 1, 2
_COMING = ("EC2InstanceNotFoundException", "EC2InstanceStateInvalidException", "EC2InstanceUnavailableException")
"""How Instance Connect refuses an instance that may be there in a moment."""
_DENIED = ("UnauthorizedOperation", "AccessDenied", "AccessDeniedException")
_UNANSWERED = "Unable to connect to target"
"""What an endpoint says where nothing lets it in, or nothing listens."""
_FULL = "LimitExceeded"
_BUSY_S, _AGAIN_S = 8.0, 1.0
"""So long a place in an endpoint is waited for, and between two attempts."""
_MOST_SAID = 400
"""How many letters of a line our own transport shows: AWS's words are cut for it, the hint is not."""


def main(argv: Sequence[str] | None = None, *, source: int = 0) -> int:
    """Lead there until either side ends it; return the exit code. `source` is the descriptor of what goes there."""
    try:
        home, name, identity, address, port = _read_words(sys.argv[1:] if argv is None else argv)
        bay = open_bay(environ={**os.environ, "LAUNCHBAY_HOME": home})
        fleet = find_fleet(bay.home, name)
        if fleet is None:
            raise NotFound(f"nothing is known here of a fleet {name!r}", where=home)
        asyncio.run(_lead(bay, fleet, identity, address, port, source=source))
    except (LaunchbayError, OSError) as error:
        sys.stderr.write(f"{_line(error)}\n")
        return _FOR_GOOD if _is_for_good(error) else _FOR_NOW
    except KeyboardInterrupt:
        return 130
    return 0


def _read_words(words: Sequence[str]) -> tuple[str, str, str, str, int]:
    try:
        home, name, identity, address, port = words
        return home, name, identity, address, int(port)
    except ValueError as error:
        raise UsageError("the words are HOME FLEET ID ADDRESS PORT") from error


async def _lead(bay: Bay, fleet: CloudFleet, identity: str, address: str, port: int, *, source: int) -> None:
    url, keys = "", None
    if fleet.provider == "twin":
        twin = find_twin(bay.home)
        if twin is None:  # who only wants to come in does not start it
            raise UserError("the twin does not run", hint="bay twin start")
        url, keys = twin.url, twin_keys(bay, twin)
    if fleet.endpoint is None:
        lead_to = partial(open_plain, address, port)
    else:
        target = Target(
            region=fleet.region,
            endpoint=fleet.endpoint.id,
            name=fleet.endpoint.name,
            address=address,
            port=port,
            url=url,
        )
        lead_to = partial(open_tunnel, target, keys=keys)
    again = f"`bay launch` of {fleet.name} again, as it was launched,"
    try:
        async with contextlib.AsyncExitStack() as opened:
            stream = await _open(opened, lead_to)
            if fleet.is_one_time:
                await asyncio.to_thread(_send_key, bay, fleet, identity)
            await stream.carry(source)
    except TunnelRefused as error:
        if "NotFound" in error.what:
            error.hint = f"{again} goes through what stands now"
        elif error.is_denied:
            error.hint = "ec2-instance-connect:OpenTunnel is the right for it; --reach address needs none"
        raise
    except CloudRefusal as error:
        if error.code in _DENIED:
            error.hint = (
                "ec2-instance-connect:SendSSHPublicKey is the right for it; a launch with --auth injected needs none"
            )
        raise
    except UserError as error:
        if fleet.endpoint is None and not error.hint:
            error.hint = f"has your own address changed? {again} lets it in, or your own groups have to"
        elif _UNANSWERED in error.what:
            error.hint = "do the security groups of the endpoint and of the instance let port 22 through?"
        elif _FULL in error.what:
            error.hint = "end a notebook or a board that is open, or what others have; or --reach address"
        raise


async def _open(
    opened: contextlib.AsyncExitStack, lead_to: Callable[[], AbstractAsyncContextManager[Stream]]
) -> Stream:
    """Open the way, waiting a moment where as many go through an endpoint as may: most of ours are short."""
    until = time.monotonic() + _BUSY_S
    while True:
        try:
            return await opened.enter_async_context(lead_to())
        except UserError as error:
            if _FULL not in error.what or time.monotonic() > until:
                raise
        await asyncio.sleep(_AGAIN_S)


def _send_key(bay: Bay, fleet: CloudFleet, identity: str) -> None:
    """Have the fleet's key let in for a minute. Raises CloudRefusal, and TunnelRefused for credentials that ask for a code."""
    path = key_file(bay.home, fleet)
    with asking_nobody():
        open_cloud(bay, fleet.provider, fleet.region).insist(
            "send_ssh_public_key",
            service="ec2-instance-connect",
            InstanceId=identity,
            InstanceOSUser=fleet.login,
            SSHPublicKey=path.with_name(f"{path.name}.pub").read_text(encoding="utf-8").strip(),
        )


def _line(error: LaunchbayError | OSError) -> str:
    """Return what went wrong, and what to do, on one line that is shown as a whole."""
    what, hint = (error.what, error.hint) if isinstance(error, LaunchbayError) else (str(error), "")
    what, hint = " ".join(what.split()), f" ({' '.join(hint.split())})" if hint else ""
    left = _MOST_SAID - len(hint)
    return f"{what if len(what) <= left else f'{what[: left - 3]}...'}{hint}"


def _is_for_good(error: BaseException) -> bool:
    if isinstance(error, CloudRefusal):
        return error.code not in _COMING and not is_passing(error.code)
    return isinstance(error, NotFound | NotPermitted | TunnelRefused | UsageError)


def _set_aside_stdin() -> int:
    """Return a descriptor of what stdin was, for ourselves alone; on stdin there is nothing from now on.

    Whatever else reads it, as a question for a code or a program that has the credentials, would take from the stream.
    """
    kept = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return kept


if __name__ == "__main__":
    sys.exit(main(source=_set_aside_stdin()))
