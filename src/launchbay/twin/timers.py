"""What hosts have asked to be woken for, by their instance: held by the twin, since nothing runs in a host that nobody uses.

A timer is lost when its instance stops, reboots or ends, as there; a boot sets it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from launchbay.twin.world import World

__all__ = ["KIND", "drop_timers", "set_timer", "take_timer", "timers_of"]

KIND = "timer"
"""The kind of what is due."""

_RULE = "timers"
_MOST = 32
"""How many timers an instance may have."""


def timers_of(world: World, instance: str) -> Mapping[str, tuple[float, str]]:
    """Return an instance's timers by name: when, in seconds since 1970, and what: stop, reboot, or start:UNIT."""
    found: Mapping[str, tuple[float, str]] = world.truth.noted(_RULE).get(instance, {})
    return found


def set_timer(world: World, instance: str, name: str, at: float | None, what: str = "") -> bool:
    """Set a timer in place of one of that name, or drop it (None). What is overdue is due at once. False: there are too many."""
    timers: dict[str, Any] = {**timers_of(world, instance)}
    timers.pop(name, None)
    if at is not None and len(timers) >= _MOST:
        return False
    if at is not None:
        timers[name] = (at, what)
    world.truth.noted(_RULE)[instance] = timers
    world.clock.cancel(instance, KIND)
    now = world.now().timestamp()
    for key, (moment, _) in timers.items():
        world.clock.plan(KIND, instance, seconds=max(moment - now, 0.0), data={"name": key})
    return True


def take_timer(world: World, instance: str, name: str) -> str:
    """Return what a timer is for whose time has come, and forget it; empty where there is none."""
    timers = world.truth.noted(_RULE).get(instance, {})
    return str(timers.pop(name, (0.0, ""))[1])


def drop_timers(world: World, instance: str) -> None:
    """Drop an instance's timers."""
    world.truth.noted(_RULE).pop(instance, None)
    world.clock.cancel(instance, KIND)
