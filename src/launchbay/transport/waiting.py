"""Wait until an instance lets us in."""

from __future__ import annotations

import time
from collections.abc import Callable

from launchbay.transport.connection import connect
from launchbay.transport.door import Door
from launchbay.transport.loop import shared_loop
from launchbay.transport.trouble import KeyRefused, Unreachable, WayRefused

__all__ = ["wait_for_ssh"]

_ATTEMPT_S, _PROXIED_S = 10.0, 20.0
"""How long one attempt takes; where a program leads there, its start is in that."""
_GRACE_S = 30.0
"""So long a key may be refused by a server that already answers: the image puts the key in place while it starts. So long, too,
a way may be refused: what was just made at AWS, as an endpoint or a tag that gives a right, is not known everywhere at once."""


def wait_for_ssh(
    door: Door,
    *,
    timeout_s: float,
    poll: float = 1.0,
    key_grace_s: float | None = None,
    check: Callable[[], None] | None = None,
) -> float:
    """Try every `poll` seconds until a login works; return how many seconds that took.

    `check` is called before each attempt and may raise, when the instance is known to have failed. Raises Unreachable with the
    last reason when the time is up, KeyRefused and WayRefused for a key and a way that are refused longer than `key_grace_s`
    (None: half a minute), and HostKeyRefused at once: a wrong host key does not become right by waiting.
    """
    key_grace_s = _GRACE_S if key_grace_s is None else key_grace_s
    began = time.monotonic()
    refused_since: float | None = None
    while True:
        if check is not None:
            check()
        left = timeout_s - (time.monotonic() - began)
        try:
            shared_loop().call(_knock(door, min(_PROXIED_S if door.proxy else _ATTEMPT_S, max(left, 0.1))))
        except (KeyRefused, WayRefused):
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
