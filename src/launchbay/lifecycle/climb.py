"""Launch a fleet on EC2: up a ladder of zones, types and markets, one token a rung, written down before each call.

Killed, the same operation goes on: the request of which nobody knows what it made is asked first, as it was written, with its
own token, whatever was wished since; EC2 answers that with what it made. Only when that is proven to be nothing, or is gone,
are other rungs asked. So what is not shown yet, or a rung that has got room again, launches nothing twice.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from launchbay.errors import Conflict, UserError
from launchbay.lifecycle.attempts import Attempt, Outcome, begin_attempt, read_attempts, restore_request
from launchbay.planning.cloudwish import CloudWish
from launchbay.planning.ladder import Rung
from launchbay.planning.refusal import Advice, Kind, advice
from launchbay.planning.request import build_request
from launchbay.ports import Clock
from launchbay.providers.ec2.client import Client, CloudRefusal
from launchbay.providers.ec2.instances import (
    Row,
    Watch,
    find_by_token,
    launch,
    list_ours,
    remove_volumes,
    terminate,
    watch,
)
from launchbay.providers.ec2.tags import LAUNCH_TAG
from launchbay.store.journal import Journal, Operation

__all__ = ["Ascent", "Climb", "Tried", "climb", "end_climb"]

_PATIENCE_S = 900.0
_POLL_S = 5.0
_LAG_S = 300.0
"""For how long EC2 may not show what was just made: AWS says to go on asking for about five minutes."""
_ZONES_SAID = 3
"""How many zones with the same reason are named each; of more, how many they are."""
_ATTEMPTS = 3
"""How often one rung is begun anew after what it made ended before it ran."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ascent:
    """What is to be launched: a wish without a place, the rungs to try in their order, and how to say which is tried.

    The user data of `wish` is what a request that was cut off is asked again with; it has to be the same bytes each time.
    """

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

    Exactly the instances that are returned stand of the operation then. What an earlier command asked for is gone on with as it
    was asked, even where the wish or the rungs are others by now.

    Raises UserError with what a person can do when no rung is left, or at once for what no rung would mend (a missing
    permission, an account that may not launch); Conflict where what was cut off cannot be gone on with. Where nobody knows what
    a call made, the error says so: the same again finds out, and `end_climb` ends it.
    """
    return _Climbing(client, journal, operation, ascent, clock).go()


def end_climb(client: Client, journal: Journal, operation: Operation, *, clock: Clock) -> tuple[str, ...]:
    """End all that an operation launched, up to ``terminated``; return the ids. Idempotent.

    What a call made of which nobody knows may not be shown yet: it is waited for, up to five minutes from that call on. Raises
    CloudRefusal, as for an instance that is protected.
    """
    attempts = [item for item in read_attempts(journal, operation) if not item.is_settled]
    shown: dict[str, set[str]] = {item.token: set() for item in attempts}
    ended: dict[str, None] = {}
    while True:
        rows = {row.id: row for row in list_ours(client, launch=operation.id)}
        for item in attempts:
            rows |= {row.id: row for row in find_by_token(client, item.token, is_ending_too=True)}
        for row in rows.values():
            shown.get(row.token, set()).add(row.id)
        ending = [row.id for row in rows.values() if row.state != "terminated"]
        if ending:
            with journal.step(operation, "undo", ids=ending, why="the launch is ended") as result:
                terminate(client, ending, clock=clock)
                watch(client, ending, "terminated", clock=clock, poll_s=_POLL_S, timeout_s=_PATIENCE_S)
                result["tokens"] = []
            ended |= dict.fromkeys(ending)
        # all of what a call made, or five minutes in which no more was shown
        waiting = [item for item in attempts if len(shown[item.token]) < item.count]
        if all(clock.now() >= item.at + _LAG_S for item in waiting):
            break
        clock.sleep(_POLL_S)
    if attempts:
        with journal.step(operation, "undo", ids=list(ended), why="the launch is ended") as result:
            result["volumes"] = list(remove_volumes(client, operation.id, clock=clock))
            result["tokens"] = [item.token for item in attempts]
    return tuple(ended)


@dataclass(slots=True)
class _Climbing:
    client: Client
    journal: Journal
    operation: Operation
    ascent: Ascent
    clock: Clock
    tried: list[Tried] = field(default_factory=list)

    def go(self) -> Climb:
        left = list(self.ascent.rungs)
        for attempt in (item for item in read_attempts(self.journal, self.operation) if not item.is_settled):
            taken, left = self._go_on(attempt, left)
            if taken is not None:
                self._end_others(taken.rows)
                return taken
        self._end_others(())
        return self._go_up(left)

    def _begun(self) -> dict[tuple[str, str, str], int]:
        """Return the number of the attempt that is due at each place: one more than of any whose instances are gone."""
        found: dict[tuple[str, str, str], int] = {}
        for item in read_attempts(self.journal, self.operation):
            place = (item.zone, item.type, item.market)
            if item.outcome is Outcome.GONE:
                found[place] = max(found.get(place, 0), item.attempt + 1)
        return found

    def _go_on(self, attempt: Attempt, left: list[Rung]) -> tuple[Climb | None, list[Rung]]:
        """Find out what an attempt made that was cut off, and take it over if it is all of what is wished, else end it.

        Returns the rungs that are still worth asking, too.
        """
        rung = self._rung_of(attempt)
        try:
            rows = self._made_by(attempt)
        except CloudRefusal as refusal:
            advised = self._advised(refusal, rung, left)
            if not advised.rungs:
                raise self._over(advised) from refusal
            return None, left if advised.new_attempt else list(advised.rungs)
        seen = self._watch(rows, "running")
        if not seen.lost and len(seen.rows) == self.ascent.wish.count:
            return Climb(rows=seen.rows, rung=rung), left
        why = seen.lost[0].reason if seen.lost else f"it made {len(seen.rows)}"
        self._end([*seen.rows, *seen.lost], tokens=[attempt.token], why=why)
        return None, left

    def _made_by(self, attempt: Attempt) -> tuple[Row, ...]:
        """Return all that an attempt made, or makes now: EC2 answers its request and token with the same instances.

        Raises CloudRefusal when that is proven to be nothing, or is gone; UserError while it is not known.
        """
        if attempt.region != self.client.region:
            what = f"a launch of {self.ascent.fleet} was cut off in {attempt.region}"
            hint = f"--region {attempt.region}; or `bay terminate {self.ascent.fleet}` first"
            raise Conflict(what, where=self.client.region, hint=hint)
        shown = find_by_token(self.client, attempt.token)
        if len(shown) == attempt.count:
            return shown
        request = restore_request(self.operation, attempt, self.ascent.wish.user_data)
        self.ascent.tell(f"{attempt.zone}: looking for what was asked for before")
        return self._ask(attempt, request, asked_before=True)

    def _go_up(self, left: list[Rung]) -> Climb:
        begun = self._begun()
        anew = dict.fromkeys(left, 0)
        while left:
            rung = left.pop(0)
            place = (rung.zone, rung.type, rung.market)
            self.ascent.tell(f"{rung.zone}: {self.ascent.wish.count} × {rung.type}, {rung.market}")
            try:
                attempt, request = self._begin(rung, begun.get(place, 0))
                rows = self._ask(attempt, request, asked_before=False)
            except CloudRefusal as refusal:
                advised = self._advised(refusal, rung, left)
                if advised.new_attempt and anew[rung] + 1 < _ATTEMPTS:
                    anew[rung] += 1
                    begun[place] = begun.get(place, 0) + 1
                    left.insert(0, rung)
                    continue
                if not advised.rungs or advised.kind is Kind.RETRY:
                    raise self._over(advised) from refusal
            else:
                seen = self._watch(rows, "running")
                if not seen.lost:
                    return Climb(rows=seen.rows, rung=rung, tried=tuple(self.tried))
                reason = seen.lost[0].reason
                advised = advice(reason, rung, tuple(left))
                self._end([*seen.rows, *seen.lost], tokens=[attempt.token], why=reason)
                self._note(rung, advised)
                if not advised.rungs:
                    raise self._over(advised)
            left = [item for item in advised.rungs if item != rung]
        what = f"no room for {self.ascent.wish.count} × {self.ascent.wish.type}"
        hint = "fewer, another --type or --region, or the same again in some minutes"
        raise UserError(f"{what}: {self._said()}", where=self.client.region, hint=hint)

    def _begin(self, rung: Rung, number: int) -> tuple[Attempt, Mapping[str, Any]]:
        tags = {**self.ascent.wish.tags, LAUNCH_TAG: self.operation.id}
        wish = replace(self.ascent.wish, zone=rung.zone, type=rung.type, market=rung.market, tags=tags)
        request = build_request(wish)
        return begin_attempt(self.operation, rung, request, region=wish.region, attempt=number), request

    def _ask(self, attempt: Attempt, request: Mapping[str, Any], *, asked_before: bool) -> tuple[Row, ...]:
        """Write a request down with its token, and only then ask. Raises CloudRefusal where it is proven to have made nothing."""
        refused: CloudRefusal | None = None
        with self.journal.step(self.operation, "launch", **attempt.intent) as result:
            try:
                rows = launch(self.client, request, attempt.token, clock=self.clock, asked_before=asked_before)
                result["ids"] = [row.id for row in rows]
            except CloudRefusal as refusal:
                if refusal.in_doubt:
                    advised = advice(refusal.code, self._rung_of(attempt), (), message=refusal.message)
                    what = f"{advised.what}; whether anything was launched is not known"
                    hint = f"{advised.hint}; then the same command again, which looks first, or `bay terminate`"
                    raise UserError(what, where=self.client.region, hint=hint) from refusal
                refused, result["refused"] = refusal, refusal.code
        if refused is not None:
            raise refused
        return rows

    def _watch(self, rows: Collection[Row], state: str) -> Watch:
        names = [row.id for row in rows]
        return watch(self.client, names, state, clock=self.clock, poll_s=_POLL_S, timeout_s=_PATIENCE_S)

    def _end(self, rows: Sequence[Row], *, tokens: Sequence[str], why: str) -> None:
        """End what stands of attempts that did not make all: another is begun when it is gone."""
        names = [row.id for row in rows]
        with self.journal.step(self.operation, "undo", ids=names, why=why) as result:
            terminate(self.client, names, clock=self.clock)
            self._watch(rows, "terminated")
            result["volumes"] = list(remove_volumes(self.client, self.operation.id, clock=self.clock))
            result["tokens"] = list(tokens)

    def _end_others(self, kept: Sequence[Row]) -> None:
        """End what else carries the operation's tag, and wait for what is ending already: it takes up room and quota."""
        others = {row.id: row for row in list_ours(self.client, launch=self.operation.id)}
        for row in kept:
            others.pop(row.id, None)
        if others:
            self._end(list(others.values()), tokens=[], why="it is no part of the launch any more")

    def _rung_of(self, attempt: Attempt) -> Rung:
        place = (attempt.zone, attempt.type, attempt.market)
        known = {(item.zone, item.type, item.market): item for item in self.ascent.rungs}
        taken = Rung(zone=attempt.zone, type=attempt.type, market=attempt.market, usd_per_hour=None, why="taken over")
        return known.get(place, taken)

    def _advised(self, refusal: CloudRefusal, rung: Rung, left: Sequence[Rung]) -> Advice:
        advised = advice(refusal.code, rung, tuple(left), message=refusal.message)
        self._note(rung, advised)
        return advised

    def _note(self, rung: Rung, advised: Advice) -> None:
        self.tried.append(Tried(rung=rung, why=advised.what))
        self.ascent.tell(advised.what)

    def _said(self) -> str:
        """Say why each place was left; of many with the same reason, once for all."""
        zones: dict[str, dict[str, None]] = {}
        for item in self.tried:
            text = item.why.removeprefix(f"{item.rung.zone} ")
            zones.setdefault(text, {})[item.rung.zone if text != item.why else ""] = None
        said = []
        for text, names in zones.items():
            if len(names) > _ZONES_SAID:
                tried = f"{len(names)} zones tried for {self.ascent.wish.count} at once"
                said.append(f"{self.client.region} {text}: {tried}")
            else:
                said += [f"{name} {text}".lstrip() for name in names]
        return "; ".join(said)

    def _over(self, advised: Advice) -> UserError:
        return UserError(self._said(), where=self.client.region, hint=advised.hint)
