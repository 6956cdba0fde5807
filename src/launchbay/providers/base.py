"""The seam between a fleet and the world that makes its instances."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from launchbay.images.image import Image
from launchbay.planning.fleet import Instance, InstanceSpec

__all__ = ["CanStop", "CanUpdate", "Provider"]


class Provider(Protocol):
    """**Protocol:** makes and removes instances. Called by `lifecycle` alone, under the fleet's lock."""

    @property
    def name(self) -> str:
        """The provider's name in records and on the command line."""

    def observe(self) -> Sequence[Instance]:
        """Return every instance there is, as the world (not our memory) tells it. Never cached."""

    def unread(self, observed: Sequence[Instance]) -> int:
        """Return how many more stand than were observed, because their records cannot be read. Costs next to nothing."""

    def create(self, specs: Sequence[InstanceSpec], image: Image, *, made: Callable[[Instance], None]) -> None:
        """Make the instances that do not exist yet, calling `made` after each. Idempotent by id.

        Raises UserError when one cannot be made; those made before stand, and the caller removes them.
        """

    def delete(self, instances: Sequence[Instance]) -> None:
        """Remove instances with all that runs in them. Idempotent: one that is gone is fine.

        Raises LaunchbayError when something in one would not end; then all of them stand.
        """

    def sweep(self) -> Sequence[str]:
        """Remove what killed commands left half-made; return what it was. Safe at any time."""


@runtime_checkable
class CanStop(Protocol):
    """**Protocol:** a provider whose instances can stand still and go on."""

    def stop(self, instances: Sequence[Instance]) -> int:
        """End all that runs in them, keep their files; return how many processes ended. Idempotent; one that is gone is fine.

        Raises LaunchbayError when something in one would not end.
        """

    def start(self, instances: Sequence[Instance]) -> None:
        """Let them run again. Idempotent; one that is gone stays gone."""


@runtime_checkable
class CanUpdate(Protocol):
    """**Protocol:** a provider whose instances can be given another image. Idempotent, each of them."""

    def stage(self, instances: Sequence[Instance], image: Image) -> None:
        """Make what they need to stand on `image`, beside what they have. Nothing of theirs changes."""

    def switch(self, instances: Sequence[Instance], image: Image) -> None:
        """Let them stand on `image`, homes and working folders as they are, and keep what they stood on.

        Nothing may run in them.
        """

    def revert(self, instances: Sequence[Instance], image: Image) -> None:
        """Let them stand again on `image`, which they stood on before `switch`; what was installed since is lost."""

    def settle(self, instances: Sequence[Instance]) -> None:
        """Let go of what was kept."""
