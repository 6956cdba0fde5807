"""What instances cost since they were launched, those included that are gone: a line for each, in a file of its fleet.

A fleet's life lasts from a launch until the last of it is terminated. What is launched under its name after that begins anew;
what is launched in the place of something that is gone goes on, and costs what both did.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from launchbay.errors import StateError
from launchbay.fields import FLAG, NUMBER, TEXT, check_fields, fields, optional
from launchbay.files import read_json, write_atomic, write_json
from launchbay.home import Home
from launchbay.jsonable import fields_of
from launchbay.planning.fleet import Instance
from launchbay.units import format_usd

__all__ = ["Elsewhere", "Spent", "add_up", "find_elsewhere", "note_spent", "read_spent", "spent_now", "write_elsewhere"]

_NAME = "elsewhere.json"
_LEAST_SECONDS = 60.0
"""What a start of an EC2 instance costs at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """The cheapest EC2 type that has what an instance may use of this machine; its price in a region, as of a launch."""

    type: str
    region: str
    usd_per_hour: str
    as_of: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What an instance cost, at the price of its launch, and would have cost elsewhere; None is unknown. `up_s` in seconds."""

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
        seconds = Decimal(str(round(max(self.up_s, _LEAST_SECONDS), 3)))
        return Decimal(usd_per_hour) * seconds / 3600


def add_up(amounts: Iterable[Decimal | None]) -> str | None:
    """Return the sum with two decimals, once rounded; None where any is unknown, or there is none."""
    found = list(amounts)
    known = [amount for amount in found if amount is not None]
    return format_usd(sum(known, Decimal(0))) if known and len(known) == len(found) else None


# --- what the same would cost -----------------------------------------------------------------------------------------

_ELSEWHERE = dict.fromkeys(("type", "region", "usd_per_hour", "as_of", "source"), TEXT)


def write_elsewhere(root: Path, elsewhere: Elsewhere) -> None:
    """Write it down with an instance: the price is that of the launch from then on."""
    write_json(root / _NAME, fields_of(elsewhere))


def find_elsewhere(root: Path) -> Elsewhere | None:
    """Return what was written down with an instance; None where that is nothing, or damaged: it is only ever shown."""
    with contextlib.suppress(OSError, StateError):
        record = read_json(root / _NAME)
        check_fields(record, _ELSEWHERE, where=root / _NAME)
        return Elsewhere(**{name: record[name] for name in _ELSEWHERE})
    return None


# --- what is gone -----------------------------------------------------------------------------------------------------

_LINE = {"id": TEXT, "name": TEXT, "up_s": optional(NUMBER), "usd_per_hour": optional(TEXT), "last": FLAG}
_LINE |= {"elsewhere": optional(fields(_ELSEWHERE))}


def spent_now(instance: Instance, now: float) -> Spent:
    """Return what a standing instance cost by itself until now."""
    return Spent(
        id=instance.id,
        name=instance.name,
        up_s=instance.up_s(now),
        usd_per_hour=instance.usd_per_hour,
        elsewhere=find_elsewhere(instance.root),
    )


def note_spent(home: Home, fleet: str, ending: Sequence[Instance], *, staying: bool, now: float) -> Sequence[Spent]:
    """Write down what instances of a fleet cost that are about to end; return all that was spent, that of earlier ones too.

    `staying` says whether anything else of the fleet stands. Called again after a kill, it writes the same once more. Where
    there is no room to write, nothing is written: nobody is kept from ending what costs.
    """
    found = [spent_now(instance, now) for instance in ending]
    ids = {item.id for item in found}
    before = [line for line in _lines(home, fleet) if line["id"] not in ids]
    kept = _of_this_life(before)
    lines = [*kept, *({**fields_of(item), "last": not staying} for item in found)]
    text = "".join(json.dumps(line, default=fields_of) + "\n" for line in lines)
    with contextlib.suppress(OSError):
        write_atomic(_path(home, fleet), text.encode())
    return [*map(_spent, kept), *found]


def read_spent(home: Home, fleet: str, standing: Sequence[Instance]) -> Sequence[Spent]:
    """Return what instances cost that are gone, of the life that a fleet has now. `standing` are those that are there."""
    ids = {instance.id for instance in standing}
    return [_spent(line) for line in _of_this_life([line for line in _lines(home, fleet) if line["id"] not in ids])]


def _of_this_life(lines: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """Leave out everything up to the last that was terminated with nothing of its fleet left."""
    ends = [place for place, line in enumerate(lines) if line["last"]]
    return lines[ends[-1] + 1 :] if ends else lines


def _path(home: Home, fleet: str) -> Path:
    return home.spent / f"{fleet}.jsonl"


def _lines(home: Home, fleet: str) -> list[dict[str, Any]]:
    """Read the file of a fleet; a line that is damaged is left out, because nothing but what is shown depends on it."""
    path, found = _path(home, fleet), []
    try:
        texts = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    for text in texts:
        with contextlib.suppress(ValueError, StateError):
            line = json.loads(text)
            check_fields(line, _LINE, where=path)
            found.append(line)
    return found


def _spent(line: Mapping[str, Any]) -> Spent:
    elsewhere = line["elsewhere"]
    return Spent(
        id=line["id"],
        name=line["name"],
        up_s=line["up_s"],
        usd_per_hour=line["usd_per_hour"],
        elsewhere=None if elsewhere is None else Elsewhere(**{name: elsewhere[name] for name in _ELSEWHERE}),
    )
