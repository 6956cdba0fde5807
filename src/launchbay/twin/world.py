"""The twin as its rules see it: what is known, what time it is, what things cost, and the hosts behind the instances."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from launchbay.twin.backend import instances
from launchbay.twin.billing import list_billables
from launchbay.twin.truth import Truth

if TYPE_CHECKING:
    from datetime import datetime

    from launchbay.catalog.price import Catalogue
    from launchbay.twin.call import Call
    from launchbay.twin.clock import TwinClock
    from launchbay.twin.rule import Rule

__all__ = ["NoHosts", "Ports", "World"]


class Ports(Protocol):
    """**Protocol:** the hosts behind instances, as far as the rules need them. Called under the twin's lock."""

    def follow(self, world: World) -> None:
        """Let hosts stand for what runs now, and end the others. Idempotent."""

    def authorize(self, instance: str, user: str, public_key: str, *, seconds: float) -> None:
        """Let a key in for so long."""


class NoHosts:
    """A twin whose instances are answers only."""

    def follow(self, world: World) -> None:
        """Do nothing."""

    def authorize(self, instance: str, user: str, public_key: str, *, seconds: float) -> None:
        """Do nothing."""


class World:
    """One twin. `rules` are in the order in which they look at a call, `fresh` the instances that the present call made."""

    def __init__(
        self, truth: Truth, catalogue: Catalogue, rules: Sequence[Rule], *, hosts: Ports | None = None
    ) -> None:
        self.truth = truth
        self.catalogue = catalogue
        self.rules = tuple(rules)
        self.hosts = hosts or NoHosts()
        self.current: Call | None = None
        self.fresh: list[str] = []
        self._happens = {kind: happens for rule in self.rules for kind, happens in rule.happens.items()}

    @property
    def clock(self) -> TwinClock:
        """The twin's clock."""
        return self.truth.clock

    @property
    def chance(self) -> random.Random:
        """The twin's chance, seeded once and kept with its state."""
        return self.truth.chance

    def now(self) -> datetime:
        """Return the twin's time."""
        return self.clock.now()

    def made(self, made: Sequence[Any]) -> None:
        """Let the rules of the present call look at instances that it has just made."""
        if self.current is None:
            return
        self.fresh = [item.id for item in made]
        for rule in self.rules:
            if rule.made and rule.is_about(self.current.name):
                rule.made(self.current, self, made)

    def catch_up(self) -> None:
        """Let all happen that is due by now, each thing at its moment, and tell the meter and the hosts after each."""
        while (due := self.clock.pop()) is not None:
            try:
                self._happens[due.kind](self, due)
                self.settle()
            finally:
                self.clock.release()

    def settle(self) -> None:
        """Tell the meter and the hosts what stands now."""
        self.truth.ledger.observe(list_billables(self), self.now())
        self.hosts.follow(self)

    def poll(self) -> None:
        """Let a virtual clock go on by what a client sleeps between two looks, if something is under way."""
        if self.clock.is_virtual and any(
            item.state in ("pending", "stopping", "shutting-down") for item in instances()
        ):
            self.clock.advance(self.truth.settings.poll_s)
