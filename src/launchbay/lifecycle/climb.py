"""Launch a fleet on EC2: up a ladder of zones, types and markets, one token a rung, written down before each call.

Killed, the same operation goes on: what its tags say stands is taken over if it is all of it, and ended if it is a part; then
the rungs are asked again in their order, each with the token that it had. That is not enough yet where EC2 does not show new
instances for a while and an earlier rung has got room meanwhile: the rung whose outcome nobody knows has to be asked first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from launchbay.errors import UserError
from launchbay.planning.cloudwish import CloudWish
from launchbay.planning.ladder import Rung
from launchbay.planning.refusal import Advice, Kind, advice
from launchbay.planning.request import build_request, digest_request, token_of, write_request
from launchbay.ports import Clock
from launchbay.providers.ec2.client import Client, CloudRefusal
from launchbay.providers.ec2.instances import Row, Watch, launch, list_ours, terminate, watch
from launchbay.store.journal import Journal, Operation

__all__ = ["LAUNCH_TAG", "Ascent", "Climb", "Tried", "climb"]

LAUNCH_TAG = "launchbay:launch"
"""The tag that says which operation of the journal launched an instance."""

_PATIENCE_S = 900.0
_POLL_S = 5.0
_ATTEMPTS = 3
"""How often one rung is begun anew after what it made ended before it ran."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ascent:
    """What is to be launched: a wish without a place, the rungs to try in their order, and how to say which is tried."""

    fleet: str
    wish: CloudWish
    rungs: tuple[Rung, ...]
    tell: Callable[[str], None] = lambda _: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A rung that was tried, and why it was left."""

    rung: Rung
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Climb:
    """Where a launch ended: the running instances, the rung that has them, and those before it with what was wrong."""

    rows: tuple[Row, ...]
    rung: Rung
    tried: tuple[Tried, ...] = ()


def climb(client: Client, journal: Journal, operation: Operation, ascent: Ascent, *, clock: Clock) -> Climb:
    """Launch all of a fleet on the first rung that takes it, up to ``running``. Idempotent for the operation.

    Raises UserError with what a person can do when no rung is left, or at once for what no rung would mend: a missing
    permission, an account that may not launch. Nothing of this operation stands then.
    """
    return _Climbing(client, journal, operation, ascent, clock).go()


@dataclass(slots=True)
class _Climbing:
    client: Client
    journal: Journal
    operation: Operation
    ascent: Ascent
    clock: Clock
    tried: list[Tried] = field(default_factory=list)

    def go(self) -> Climb:
        standing = self._standing()
        if len(standing) == self.ascent.wish.count:
            seen = self._watch(standing, "running")
            if not seen.lost:
                return Climb(rows=seen.rows, rung=self._rung_of(seen.rows[0]))
            standing = seen.rows
        if standing:  # a part of what was launched before this was cut off: all of them or none
            self._end(standing, why="some of them are gone")
        left = list(self.ascent.rungs)
        attempts = dict.fromkeys(left, 0)
        while left:
            rung = left.pop(0)
            self.ascent.tell(f"{rung.zone}: {self.ascent.wish.count} × {rung.type}, {rung.market}")
            try:
                seen = self._watch(self._launch_on(rung, attempts[rung]), "running")
            except CloudRefusal as refusal:
                advised = advice(refusal.code, rung, tuple(left), message=refusal.message)
                self._note(rung, advised)
                if advised.new_attempt and attempts[rung] + 1 < _ATTEMPTS:
                    attempts[rung] += 1
                    left.insert(0, rung)
                    continue
                if not advised.rungs or advised.kind is Kind.RETRY:
                    raise self._over(advised) from refusal
            else:
                if not seen.lost:
                    return Climb(rows=seen.rows, rung=rung, tried=tuple(self.tried))
                advised = advice(seen.lost[0].reason, rung, tuple(left))
                self._end(seen.rows, why=seen.lost[0].reason)
                self._note(rung, advised)
                if not advised.rungs:
                    raise self._over(advised)
            left = [item for item in advised.rungs if item != rung]
        what = f"no room for {self.ascent.wish.count} × {self.ascent.wish.type}"
        hint = "fewer, another --type or --region, or the same again in some minutes"
        raise UserError(f"{what}: {self._said()}", where=self.client.region, hint=hint)

    def _standing(self) -> tuple[Row, ...]:
        """Return what stands of what this operation launched before it was cut off."""
        return tuple(row for row in list_ours(self.client, fleet=self.ascent.fleet) if self._is_mine(row))

    def _is_mine(self, row: Row) -> bool:
        return row.tags.get(LAUNCH_TAG) == self.operation.id and row.state != "shutting-down"

    def _launch_on(self, rung: Rung, attempt: int) -> tuple[Row, ...]:
        """Freeze the request of a rung, write it down with its token, and only then ask."""
        tags = {**self.ascent.wish.tags, LAUNCH_TAG: self.operation.id}
        wish = replace(self.ascent.wish, zone=rung.zone, type=rung.type, market=rung.market, tags=tags)
        request = build_request(wish)
        token = token_of(
            self.operation.id,
            digest_request(request),
            region=wish.region,
            zone=rung.zone,
            type_name=rung.type,
            market=rung.market,
            attempt=attempt,
        )
        intent = {"zone": rung.zone, "type": rung.type, "market": rung.market, "attempt": attempt, "token": token}
        with self.journal.step(self.operation, "launch", **intent, request=write_request(request)) as result:
            rows = launch(self.client, request, token, clock=self.clock)
            result["ids"] = [row.id for row in rows]
        return rows

    def _watch(self, rows: Sequence[Row], state: str) -> Watch:
        names = [row.id for row in rows]
        return watch(self.client, names, state, clock=self.clock, poll_s=_POLL_S, timeout_s=_PATIENCE_S)

    def _end(self, rows: Sequence[Row], *, why: str) -> None:
        """End what stands of a rung of which some instances ended before they ran: the next is tried when it is gone."""
        names = [row.id for row in rows]
        with self.journal.step(self.operation, "undo", ids=names, why=why):
            terminate(self.client, names)
            self._watch(rows, "terminated")

    def _rung_of(self, row: Row) -> Rung:
        places = {(item.zone, item.type, item.market): item for item in self.ascent.rungs}
        taken = Rung(zone=row.zone, type=row.type, market=row.market, usd_per_hour=None, why="taken over")
        return places.get((row.zone, row.type, row.market), taken)

    def _note(self, rung: Rung, advised: Advice) -> None:
        self.tried.append(Tried(rung=rung, why=advised.what))
        self.ascent.tell(advised.what)

    def _said(self) -> str:
        return "; ".join(dict.fromkeys(item.why for item in self.tried))

    def _over(self, advised: Advice) -> UserError:
        return UserError(self._said(), where=self.client.region, hint=advised.hint)
