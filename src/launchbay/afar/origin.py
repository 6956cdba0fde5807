"""What a run elsewhere is to the person here: whose script and data it was given, and how it stood when we last looked.

The note lies in the run's own folder here, as `afar.json`, from the moment the run is known until it is brought.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launchbay.errors import StateError
from launchbay.files import read_json, write_json
from launchbay.jsonable import fields_of
from launchbay.store.records import AFAR_NOTE

__all__ = ["Origin", "read_origin", "rewrite", "write_origin"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a run of ours goes on, and what its paths mean here.

    `machine` is the name of the machine, `home` its Launchbay home; `instance` and `fleet` are what they are called
    here. `script_there` and `data_there` are where `script` and `data` lie over there.
    """

    machine: str
    home: str
    instance: str
    fleet: str
    script: str
    script_there: str
    data: str | None = None
    data_there: str | None = None

    def places(self, run: str, folder: Path) -> Mapping[str, str]:
        """Return what stands for each path of that machine here, the longest first."""
        pairs = {
            f"{self.home}/runs/{run}": str(folder),
            self.script_there: self.script,
            str(Path(self.script_there).parent): str(Path(self.script).parent),
        }
        if self.data and self.data_there:
            pairs[self.data_there] = self.data
        return dict(sorted(pairs.items(), key=lambda pair: -len(pair[0])))


def rewrite(value: Any, places: Mapping[str, str]) -> Any:
    """Return a record's value with every path of the other machine replaced, wherever it stands in a text."""
    if isinstance(value, str):
        for there, here in places.items():
            value = value.replace(there, here)
        return value
    if isinstance(value, list):
        return [rewrite(item, places) for item in value]
    if isinstance(value, dict):
        return {name: rewrite(item, places) for name, item in value.items()}
    return value


def write_origin(folder: Path, origin: Origin, *, state: str, seen_at: float) -> None:
    """Write down how a run elsewhere stands, and when that was seen (seconds since 1970)."""
    write_json(
        folder / AFAR_NOTE, {"version": 1, **fields_of(origin), "state": state, "seen_at": seen_at}, durable=True
    )


def read_origin(folder: Path) -> Origin:
    """Read what a run of ours is. Raises FileNotFoundError for one that ran here, StateError when it is damaged."""
    value = read_json(folder / AFAR_NOTE)
    try:
        return Origin(**{name: value[name] for name in Origin.__dataclass_fields__})
    except (KeyError, TypeError) as error:
        raise StateError("record is damaged", where=str(folder / AFAR_NOTE), hint="bay doctor") from error
