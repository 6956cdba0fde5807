"""Time that passes while a client polls what is under way and is no instance: an image, a snapshot, an endpoint."""

from __future__ import annotations

from launchbay.twin.world import World

__all__ = ["let_pass"]


def let_pass(world: World, *kinds: str) -> None:
    """Let a virtual clock go on by what a client sleeps between two looks, if something of these kinds is due."""
    if world.clock.is_virtual and any(due.kind in kinds for due in world.clock.waiting):
        world.clock.advance(world.truth.settings.poll_s)
        world.catch_up()
