"""A provider whose instances are only values; it can be told to fail at the k-th create."""

# ruff: noqa: ARG002 - a fake takes what the real one takes

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from launchbay.errors import UserError
from launchbay.images.image import Image
from launchbay.planning.fleet import Instance, InstanceSpec, made_from
from launchbay.ports import Clock
from launchbay.testing.clock import VirtualClock

__all__ = ["FakeProvider"]


@dataclass(slots=True)
class FakeProvider:
    """Keeps instances in memory. Passes the conformance suite of providers."""

    clock: Clock = field(default_factory=VirtualClock)
    fail_at: int | None = None
    name: str = "fake"
    instances: dict[str, Instance] = field(default_factory=dict)

    def observe(self) -> Sequence[Instance]:
        """Return the instances there are."""
        return list(self.instances.values())

    def unread(self, observed: Sequence[Instance]) -> int:
        """Return 0: a value can be read."""
        return 0

    def create(self, specs: Sequence[InstanceSpec], image: Image, *, made: Callable[[Instance], None]) -> None:
        """Make those that are missing, up to the one that shall fail."""
        for number, spec in enumerate(specs, start=1):
            if spec.id in self.instances:
                continue
            if number == self.fail_at:
                raise UserError(f"no capacity for {spec.name}", hint="another zone")
            root = Path("/nowhere") / spec.id
            instance = made_from(spec, provider=self.name, created_at=self.clock.now(), root=root)
            self.instances[spec.id] = instance
            made(instance)

    def delete(self, instances: Sequence[Instance]) -> None:
        """Forget them."""
        for instance in instances:
            self.instances.pop(instance.id, None)

    def sweep(self) -> Sequence[str]:
        """Return nothing: there is never anything half-made."""
        return ()

    def stop(self, instances: Sequence[Instance]) -> int:
        """Mark them stopped."""
        self._mark(instances, "stopped")
        return 0

    def start(self, instances: Sequence[Instance]) -> None:
        """Mark them running."""
        self._mark(instances, "running")

    def _mark(self, instances: Sequence[Instance], state: str) -> None:
        for instance in instances:
            if instance.id in self.instances:
                self.instances[instance.id] = self.instances[instance.id].in_state(state, self.clock.now())
