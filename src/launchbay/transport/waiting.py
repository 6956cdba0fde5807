"""Wait until an instance lets us in."""

from __future__ import annotations

import time
from collections.abc import Callable

from launchbay.transport.connection import connect
from launchbay.transport.door import Door
from launchbay.transport.loop import shared_loop
from launchbay.transport.trouble import KeyRefused, Unreachable

__all__ = ["wait_for_ssh"]

_ATTEMPT_S = 10.0
_GRACE_S = 30.0
"""So long a key may be refused by a server that already answers: the image puts the key in place while it starts."""


def wait_for_ssh(
    door: Door,
    *,
    timeout_s: float,
    poll: float = 1.0,
    key_grace_s: float = _GRACE_S,
    check: Callable[[], None] | None = None,
) -> float:
    """Try every `poll` seconds until a login works; return how many seconds that took.

    `check` is called before each attempt and may raise, when the instance is known to have failed. Raises Unreachable with the
    last reason when the time is up, KeyRefused for a key that is refused longer than `key_grace_s`, and HostKeyRefused at
    once: a wrong host key does not become right by waiting.
    """
    began = time.monotonic()
    refused_since: float | None = None
    while True:
        if check is not None:
            check()
        left = timeout_s - (time.monotonic() - began)
        try:
            shared_loop().call(_knock(door, min(_ATTEMPT_S, max(left, 0.1))))
        except KeyRefused:
            refused_since = refused_since or time.monotonic()
            if time.monotonic() - refused_since >= key_grace_s or left <= poll:
                raise
        except Unreachable as error:
            refused_since = None
            if left <= poll:
                what = f"{error.what}, for {time.monotonic() - began:.0f} s now"
                raise Unreachable(what, where=error.where, hint=error.hint) from error
        else:
            return time.monotonic() - began
        time.sleep(poll)


async def _knock(door: Door, within: float) -> None:
    connection = await connect(door, within=within, alive_s=within)
    connection.close()
    await connection.wait_closed()
