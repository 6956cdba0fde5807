"""What a fleet on EC2 costs: the prices of its launch, and for how long each of its instances ran and had its disks.

EC2 says when an instance was started last and when it was stopped or terminated, and nothing of what was before that; so what
was seen is written down beside the fleet. EC2 bills from ``running`` on and tells nobody when that was: seconds count here from
the launch, so that this is never less than the bill.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from launchbay.catalog.items import GP3, GP3_IOPS, GP3_THROUGHPUT
from launchbay.cloud.fleet import CloudFleet, fleet_folder
from launchbay.cost.instances import LEAST_SECONDS
from launchbay.files import read_json, write_json
from launchbay.home import Home
from launchbay.jsonable import fields_of
from launchbay.planning.worstcase import SHORTEST_MONTH_HOURS, WorstCase
from launchbay.providers.ec2.instances import Row

__all__ = ["MONTH_HOURS", "Life", "cost_of", "disk_rate", "note_lives", "running_rate"]

MONTH_HOURS = Decimal(720)
"""A month of a disk's price, as in the bill of a workload."""
_RECORD = "lives.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """An instance from its launch to its end, in seconds since 1970: `spans` are from when until when it ran, None for now."""

    id: str
    name: str
    begun: float
    spans: tuple[tuple[float, float | None], ...]
    ended: float | None = None

    def ran_s(self, now: float) -> Decimal:
        """Return the seconds that are billed until now: a minute at least for every start."""
        return sum((_seconds(begin, end, now) for begin, end in self.spans), Decimal(0))

    def stood_s(self, now: float) -> Decimal:
        """Return for how many seconds its disks were there until now, a minute at least."""
        return _seconds(self.begun, self.ended, now)


def _seconds(begin: float, end: float | None, now: float) -> Decimal:
    return max(Decimal(str(round((now if end is None else end) - begin, 3))), Decimal(LEAST_SECONDS))


def running_rate(worst: WorstCase, hours: Decimal, compute_usd: Decimal | None) -> Decimal | None:
    """Return what an hour of one instance costs while it runs, in US dollars: itself at `compute_usd`, image, address.

    `hours` are the instance-hours that the worst case is of. None where a part is unknown.
    """
    parts = [compute_usd]
    parts += [_rate_of(line, hours) for line in worst.lines if line.category in ("software", "address")]
    return _sum(parts)


def disk_rate(worst: WorstCase, hours: Decimal) -> Decimal | None:
    """Return what an hour of one instance's disks costs, whether it runs or is stopped; None where a price is unknown."""
    lines = [line for line in worst.lines if line.item in (GP3, GP3_IOPS, GP3_THROUGHPUT)]
    found = _sum(_rate_of(line, hours) for line in lines)
    return None if found is None else found * SHORTEST_MONTH_HOURS / MONTH_HOURS


def _rate_of(line: Any, hours: Decimal) -> Decimal | None:
    return None if line.amount is None else Decimal(line.amount) / hours


def _sum(parts: Iterable[Decimal | None]) -> Decimal | None:
    found = list(parts)
    return None if None in found else sum((part for part in found if part is not None), Decimal(0))


def cost_of(fleet: CloudFleet, life: Life, now: float) -> Decimal | None:
    """Return what an instance has cost until now at the prices of its launch, exactly; None where one is unknown."""
    if fleet.usd_per_hour is None or fleet.disk_usd_per_hour is None:
        return None
    running = Decimal(fleet.usd_per_hour) * life.ran_s(now)
    return (running + Decimal(fleet.disk_usd_per_hour) * life.stood_s(now)) / 3600


def note_lives(home: Home, fleet: CloudFleet, rows: Mapping[str, Row], now: float) -> Sequence[Life]:
    """Write down what is seen of a fleet's instances, by name; return all that it has had, those that are gone too. Idempotent.

    `rows` hold what stands and, if EC2 still has it, what has ended. One that is not among them is gone since `now` at most.
    """
    path = fleet_folder(home, fleet.name) / _RECORD
    try:
        known = {item["id"]: _read(item) for item in read_json(path)["lives"]}
    except FileNotFoundError:
        known = {}
    seen = {row.id: _follow(known.get(row.id), name, row, now) for name, row in rows.items()}
    gone = {key: _end(life, now) for key, life in known.items() if key not in seen}
    lives = {**known, **gone, **seen}
    if lives != known:
        write_json(path, {"v": 1, "lives": [fields_of(life) for life in lives.values()]}, durable=True)
    return tuple(lives.values())


def _read(item: Mapping[str, Any]) -> Life:
    spans = tuple((begin, end) for begin, end in item["spans"])
    return Life(id=item["id"], name=item["name"], begun=item["begun"], spans=spans, ended=item["ended"])


def _follow(life: Life | None, name: str, row: Row, now: float) -> Life:
    started = row.started.timestamp()
    life = life or Life(id=row.id, name=name, begun=started, spans=((started, None),))
    last_begin, last_end = life.spans[-1]
    if row.state in ("pending", "running"):
        if last_end is not None and started > last_begin:
            life = replace(life, spans=(*life.spans, (started, None)))
        return life
    ended = row.ended.timestamp() if row.ended is not None else now
    return _end(life, ended) if row.state in ("shutting-down", "terminated") else _halt(life, ended)


def _halt(life: Life, at: float) -> Life:
    begin, end = life.spans[-1]
    return life if end is not None else replace(life, spans=(*life.spans[:-1], (begin, max(at, begin))))


def _end(life: Life, at: float) -> Life:
    life = _halt(life, at)
    return life if life.ended is not None else replace(life, ended=at)
