"""``python -m launchbay.cloud.proxy HOME FLEET ID ADDRESS PORT``: the way to an instance's SSH server, as OpenSSH's ProxyCommand.

What it leads through is in the fleet's record: an EC2 Instance Connect Endpoint, or nothing but the address; a one-time key is
sent once the way stands, since it is good for a minute. Credentials are found as always, and are in no command line. One line on
stderr says why it failed: for now (exit code 1), or for good (2), where trying again brings nothing.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence

from launchbay.cloud.fleet import CloudFleet, find_fleet, key_file
from launchbay.errors import LaunchbayError, NotFound, NotPermitted, UsageError, UserError
from launchbay.lifecycle.bay import Bay, open_bay
from launchbay.lifecycle.cloud import open_cloud, twin_keys
from launchbay.lifecycle.twin import find_twin
from launchbay.providers.ec2.client import CloudRefusal
from launchbay.providers.ec2.opentunnel import Target, TunnelRefused, open_tunnel
from launchbay.relay import open_plain

__all__ = ["main"]

_FOR_NOW, _FOR_GOOD = 1, 2
_COMING = ("EC2InstanceNotFoundException", "EC2InstanceStateInvalidException", "EC2InstanceUnavailableException")
"""How Instance Connect refuses an instance that may be there in a moment."""


def main(argv: Sequence[str] | None = None) -> int:
    """Lead there until either side ends it; return the exit code."""
    home, name, identity, address, port = sys.argv[1:] if argv is None else argv
    bay = open_bay(environ={**os.environ, "LAUNCHBAY_HOME": home})
    try:
        fleet = find_fleet(bay.home, name)
        if fleet is None:
            raise NotFound(f"nothing is known here of a fleet {name!r}", where=home)
        asyncio.run(_lead(bay, fleet, identity, address, int(port)))
    except (LaunchbayError, OSError) as error:
        sys.stderr.write(f"{' '.join(_words(error).split())}\n")
        return _FOR_GOOD if _is_for_good(error) else _FOR_NOW
    except KeyboardInterrupt:
        return 130
    return 0


async def _lead(bay: Bay, fleet: CloudFleet, identity: str, address: str, port: int) -> None:
    url, keys = "", None
    if fleet.provider == "twin":
        twin = find_twin(bay.home)
        if twin is None:  # who only wants to come in does not start it
            raise UserError("the twin does not run", hint="bay twin start")
        url, keys = twin.url, twin_keys(bay, twin)
    if fleet.endpoint is None:
        way = open_plain(address, port)
    else:
        target = Target(
            region=fleet.region,
            endpoint=fleet.endpoint.id,
            name=fleet.endpoint.name,
            address=address,
            port=port,
            url=url,
        )
        way = open_tunnel(target, keys=keys)
    again = f"`bay launch` of {fleet.name} again, as it was launched,"
    try:
        async with way as stream:
            if fleet.is_one_time:
                await asyncio.to_thread(_send_key, bay, fleet, identity)
            await stream.carry()
    except TunnelRefused as error:
        if "NotFound" in error.what:
            error.hint = f"{again} goes through what stands now"
        raise
    except UserError as error:
        if fleet.endpoint is None and not error.hint:
            error.hint = f"has your own address changed? {again} lets it in"
        raise


def _send_key(bay: Bay, fleet: CloudFleet, identity: str) -> None:
    """Have the fleet's key let in for a minute. Raises CloudRefusal."""
    path = key_file(bay.home, fleet)
    open_cloud(bay, fleet.provider, fleet.region).insist(
        "send_ssh_public_key",
        service="ec2-instance-connect",
        InstanceId=identity,
        InstanceOSUser=fleet.login,
        SSHPublicKey=path.with_name(f"{path.name}.pub").read_text(encoding="utf-8").strip(),
    )


def _words(error: LaunchbayError | OSError) -> str:
    if isinstance(error, LaunchbayError):
        return f"{error.what} ({error.hint})" if error.hint else error.what
    return str(error)


def _is_for_good(error: BaseException) -> bool:
    if isinstance(error, CloudRefusal):
        return error.code not in _COMING
    return isinstance(error, NotFound | NotPermitted | TunnelRefused | UsageError)


if __name__ == "__main__":
    sys.exit(main())
