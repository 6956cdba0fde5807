"""What instances cost since they were launched, those included that are gone: a line for each, in a file of its fleet.

A fleet's life lasts from a launch until the last of it is terminated. What is launched under its name after that begins anew;
what is launched in the place of something that is gone goes on, and costs what both did.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from launchbay.errors import StateError
from launchbay.fields import AMOUNT, FLAG, INTEGER, NUMBER, TEXT, check_fields, fields, list_of, optional
from launchbay.files import read_json, write_atomic, write_json
from launchbay.home import Home
from launchbay.jsonable import fields_of
from launchbay.planning.fleet import Instance
from launchbay.units import format_usd

__all__ = ["Elsewhere", "Spent", "add_up", "find_elsewhere", "note_spent", "read_spent", "spent_now", "write_elsewhere"]

_NAME = "elsewhere.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """The cheapest EC2 type that has what an instance may use of this machine; its price in a region, as of a launch.

    `is_stale` marks a price known to have changed since `as_of`. `gpus` are those of the type, `gpus_here` those of the instance.
    """

    type: str
    region: str
    usd_per_hour: str
    as_of: str
    source: str
    is_stale: bool = False
    gpus: int = 0
    gpus_here: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What an instance cost at the price of its launch, and would have elsewhere; None is unknown. `up_s` are billed seconds."""

    id: str
    name: str
    up_s: float | None
    usd_per_hour: str | None
    elsewhere: Elsewhere | None

    @property
    def usd(self) -> Decimal | None:
        """What it cost, in US dollars, exactly."""
        return self._times(self.usd_per_hour)

    @property
    def usd_elsewhere(self) -> Decimal | None:
        """What it would have cost, in US dollars, exactly."""
        return None if self.elsewhere is None else self._times(self.elsewhere.usd_per_hour)

    def _times(self, usd_per_hour: str | None) -> Decimal | None:
        if usd_per_hour is None:
            return None
        if not Decimal(usd_per_hour):
            return Decimal(0)  # however long it was up
        if self.up_s is None:
            return None
        return Decimal(usd_per_hour) * Decimal(str(round(self.up_s, 3))) / 3600


def add_up(amounts: Iterable[Decimal | None]) -> str | None:
    """Return the sum with two decimals, once rounded; None where any is unknown, or there is none."""
    found = list(amounts)
    known = [amount for amount in found if amount is not None]
    return format_usd(sum(known, Decimal(0))) if known and len(known) == len(found) else None


# --- what the same would cost -----------------------------------------------------------------------------------------

_ELSEWHERE = {**dict.fromkeys(("type", "region", "as_of", "source"), TEXT), "usd_per_hour": AMOUNT}
_ELSEWHERE |= {"is_stale": optional(FLAG), "gpus": optional(INTEGER), "gpus_here": optional(INTEGER)}
"""The last three are not in what was written before they were."""


def write_elsewhere(root: Path, elsewhere: Elsewhere) -> None:
    """Write it down with an instance: the price is that of the launch from then on."""
    write_json(root / _NAME, fields_of(elsewhere))


def find_elsewhere(root: Path) -> Elsewhere | None:
    """Return what was written down with an instance; None where that is nothing, or damaged: it is only ever shown."""
    with contextlib.suppress(OSError, StateError):
        record = read_json(root / _NAME)
        check_fields(record, _ELSEWHERE, where=root / _NAME)
        return _elsewhere(record)
    return None


def _elsewhere(record: Mapping[str, Any]) -> Elsewhere:
    return Elsewhere(**{name: record[name] for name in _ELSEWHERE if record.get(name) is not None})


# --- what is gone -----------------------------------------------------------------------------------------------------

_LINE = {"id": TEXT, "name": TEXT, "up_s": optional(NUMBER), "usd_per_hour": optional(AMOUNT)}
_LINE |= {"elsewhere": optional(fields(_ELSEWHERE)), "ends": list_of(TEXT)}
_UNKNOWN = Spent(id="", name="", up_s=None, usd_per_hour=None, elsewhere=None)
"""What a line that is damaged says: that there was something, and not what it cost."""


def spent_now(instance: Instance, now: float) -> Spent:
    """Return what a standing instance cost by itself until now."""
    return Spent(
        id=instance.id,
        name=instance.name,
        up_s=instance.up_s(now),
        usd_per_hour=instance.usd_per_hour,
        elsewhere=find_elsewhere(instance.root),
    )


def note_spent(
    home: Home, fleet: str, ending: Sequence[Instance], *, staying: Sequence[Instance], now: float
) -> Sequence[Spent]:
    """Write down what instances of a fleet cost that are about to end; return all that was spent, that of earlier ones too.

    `staying` are those of the fleet that stand and are not to end. Called again after a kill, it writes the same once more, and
    those that went before the kill still count. Raises OSError where it cannot be written; nothing was, then.
    """
    found = [spent_now(instance, now) for instance in ending]
    kept = _of_this_life(home, fleet, {item.id for item in (*ending, *staying)})
    together = [] if staying else [item.id for item in found]
    lines = [
        *(text if line is None else json.dumps({**line, "ends": []}) for text, line in kept),
        *(json.dumps({**fields_of(item), "ends": together}, default=fields_of) for item in found),
    ]
    write_atomic(_path(home, fleet), "".join(f"{line}\n" for line in lines).encode())
    return [*(_spent(line) for _, line in kept), *found]


def read_spent(home: Home, fleet: str, standing: Sequence[Instance]) -> Sequence[Spent]:
    """Return what instances cost that are gone, of the life that a fleet has now. `standing` are those that are there."""
    return [_spent(line) for _, line in _of_this_life(home, fleet, {instance.id for instance in standing})]


def _of_this_life(home: Home, fleet: str, standing: Collection[str]) -> Sequence[tuple[str, Mapping[str, Any] | None]]:
    """Return the lines of what is gone, as texts and values, from the last time on that nothing of the fleet was left.

    A line `ends` a life together with others: it did so if none of them stands, for a kill may have come between. A line of
    something that stands is none. A value of None is a line that is damaged.
    """
    found = [(text, line) for text, line in _lines(home, fleet) if line is None or line["id"] not in standing]
    begin = 0
    for place, (_, line) in enumerate(found):
        if line is not None and line["ends"] and not any(name in standing for name in line["ends"]):
            begin = place + 1
    return found[begin:]


def _path(home: Home, fleet: str) -> Path:
    return home.spent / f"{fleet}.jsonl"


def _lines(home: Home, fleet: str) -> list[tuple[str, dict[str, Any] | None]]:
    path = _path(home, fleet)
    try:
        texts = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    except OSError:
        return [("", None)]
    return [(text, _read_line(text, path)) for text in texts if text]


def _read_line(text: str, path: Path) -> dict[str, Any] | None:
    with contextlib.suppress(ValueError, StateError):
        line = json.loads(text)
        if isinstance(line, dict):
            check_fields(line, _LINE, where=path)
            return line
    return None


def _spent(line: Mapping[str, Any] | None) -> Spent:
    if line is None:
        return _UNKNOWN
    elsewhere = line.get("elsewhere")
    return Spent(
        id=line["id"],
        name=line["name"],
        up_s=line.get("up_s"),
        usd_per_hour=line.get("usd_per_hour"),
        elsewhere=None if elsewhere is None else _elsewhere(elsewhere),
    )
