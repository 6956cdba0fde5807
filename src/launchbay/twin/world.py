"""The twin as its rules see it: what is known, what time it is, what things cost, and the hosts behind the instances."""

from __future__ import annotations

import random
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from launchbay.twin.backend import instances
from launchbay.twin.billing import list_billables
from launchbay.twin.truth import Truth

if TYPE_CHECKING:
    import socket
    from datetime import datetime

    from launchbay.catalog.price import Catalogue
    from launchbay.twin.call import Answer, Call
    from launchbay.twin.clock import Due, TwinClock
    from launchbay.twin.rule import Rule

__all__ = ["NoHosts", "Ports", "World"]

_COPYING = ("image", "snapshot")
"""What is due of disks that are copied: whoever looks waits for that."""


class Ports(Protocol):
    """**Protocol:** the hosts behind instances, as far as the rules need them. Called under the twin's lock."""

    def follow(self, world: World) -> None:
        """Let hosts stand for what runs now, and end the others. Idempotent."""

    def authorize(self, instance: str, user: str, public_key: str, *, seconds: float) -> None:
        """Let a key in for so long."""

    def reach(self, instance: str, peer: str) -> socket.socket | None:
        """Return a connection to a host's SSH server, as if from an address that may come in; None where none stands."""

    def reboot(self, instance: str) -> None:
        """End all that runs in a host, and let it come up again."""

    def bake(self, instance: str, name: str, *, is_whole: bool) -> bool:
        """Keep a host's files under the id of a snapshot, the host being down meanwhile if they shall be whole."""

    def start_unit(self, instance: str, unit: str) -> None:
        """Start a unit of systemd's in a host, and do not wait for it."""

    def wait_for_boots(self) -> None:
        """Let hosts come up that are about to, while the twin's lock is let go; for some time."""

    def shown(self) -> Mapping[str, Any]:
        """Return where each host listens and who knocked, for who runs the twin."""

    def close(self) -> None:
        """End everything that runs in hosts."""


def _nobody(call: Call) -> Answer:
    raise LookupError(f"nobody answers {call.name} here")


class NoHosts:
    """A twin whose instances are answers only."""

    def follow(self, world: World) -> None:
        """Do nothing."""

    def authorize(self, instance: str, user: str, public_key: str, *, seconds: float) -> None:
        """Do nothing."""

    def reach(self, instance: str, peer: str) -> socket.socket | None:  # noqa: ARG002 - a twin's ports have this form
        """Reach nobody."""
        return None

    def reboot(self, instance: str) -> None:
        """Do nothing."""

    def bake(self, instance: str, name: str, *, is_whole: bool) -> bool:  # noqa: ARG002 - a twin's ports have this form
        """Keep nothing."""
        return False

    def start_unit(self, instance: str, unit: str) -> None:
        """Do nothing."""

    def wait_for_boots(self) -> None:
        """Do nothing."""

    def shown(self) -> Mapping[str, Any]:
        """Return nothing."""
        return {"hosts": {}, "knocks": []}

    def close(self) -> None:
        """Do nothing."""


class World:
    """One twin.

    `rules` are in the order in which they look at a call, `fresh` the instances that the present call made, `carries_out` what
    lets another call happen within it, `problems` what the twin itself could not do, in words, by what it was.
    """

    def __init__(
        self, truth: Truth, catalogue: Catalogue, rules: Sequence[Rule], *, hosts: Ports | None = None
    ) -> None:
        self.truth = truth
        self.catalogue = catalogue
        self.rules = tuple(rules)
        self.hosts = hosts or NoHosts()
        self.current: Call | None = None
        self.carries_out: Callable[[Call], Answer] = _nobody
        self.fresh: list[str] = []
        self.problems: dict[str, str] = {}
        self.bucket_calls: Counter[str] = Counter()
        self._is_catching_up = False
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

    def inner(self, call: Call) -> Answer:
        """Carry out another call within the present one, through all rules; its errors come back as answers."""
        return self.carries_out(call)

    def made(self, made: Sequence[Any]) -> None:
        """Let the rules of the present call look at instances that it has just made."""
        if self.current is None:
            return
        self.fresh = [item.id for item in made]
        for rule in self.rules:
            if rule.made and rule.is_about(self.current.name):
                rule.made(self.current, self, made)

    def catch_up(self) -> bool:
        """Let all happen that is due by now, each thing at its moment, and tell the meter and the hosts after each moment.

        Says whether there was anything. What cannot happen, because of a mistake of ours, is kept and tried again the next
        time; `problems` has it. Nothing is done within another call of this: hosts that are told of one moment ask things.
        """
        if self._is_catching_up:
            return False
        self._is_catching_up, has_happened = True, False
        try:
            self.clock.try_again()
            while (due := self.clock.pop()) is not None:
                has_happened = True
                try:
                    while due is not None:  # all that is due at one moment, and then one look at what stands
                        self._let_happen(due)
                        due = self.clock.pop(at=due.at)
                    self.settle()
                finally:
                    self.clock.release()
        finally:
            self._is_catching_up = False
        return has_happened

    def _let_happen(self, due: Due) -> None:
        key = f"due {due.number}"
        try:
            self._happens[due.kind](self, due)
        except Exception as error:  # noqa: BLE001 - whatever it is, what is due must not be lost by it
            self.clock.set_aside(due)
            if key not in self.problems:
                traceback.print_exc(file=sys.stderr)
            what = f"{due.kind!r} of {due.resource}, due at {due.at:%Y-%m-%dT%H:%M:%SZ}, cannot happen"
            self.problems[key] = f"{what}: {type(error).__name__}: {error}"
        else:
            self.problems.pop(key, None)

    def settle(self) -> None:
        """Tell the meter and the hosts what stands now."""
        # EC2 tells times in whole seconds and bills by them: what is counted by its times comes to the same
        self.truth.ledger.observe(list_billables(self), self.now().replace(microsecond=0))
        self.hosts.follow(self)

    def poll(self) -> None:
        """Let a virtual clock go on by what a client sleeps between two looks, if something is under way."""
        if self.clock.is_virtual and (
            any(item.state in ("pending", "stopping", "shutting-down") for item in instances())
            or any(due.kind in _COPYING for due in self.clock.waiting)
        ):
            self.clock.advance(self.truth.settings.poll_s)
