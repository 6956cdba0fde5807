"""What a run elsewhere is to the person here: whose script and data it was given, and how it stood when we last looked.

The note lies in the run's own folder here, as `afar.json`, from the moment the run is known until it is brought.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from launchbay.errors import LaunchbayError, StateError, WillFail
from launchbay.files import read_json, write_json
from launchbay.jsonable import fields_of
from launchbay.store.records import AFAR_NOTE

__all__ = ["Origin", "as_here", "forget_origin", "keep_until", "read_origin", "rewrite", "seen_at", "write_origin"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a run of ours goes on, and what its paths mean here.

    `machine` is the name of the machine, `home` its Launchbay home; `instance` and `fleet` are what they are called
    here. `script_there` and `data_there` are where `script` and `data` lie over there. `machine_id` tells the machine from
    another that has its name later; empty where nobody gives machines out.

    What the run makes is sent to the store of `provider` and `region` until `stored_until`, seconds since 1970; 0 for never.
    """

    machine: str
    home: str
    instance: str
    fleet: str
    script: str
    script_there: str
    data: str | None = None
    data_there: str | None = None
    machine_id: str = ""
    provider: str = ""
    region: str = ""
    stored_until: float = 0.0

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


_LATER = ("machine_id", "provider", "region", "stored_until")
"""What notes of earlier versions do not have."""


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
        return Origin(
            **{name: value[name] for name in Origin.__dataclass_fields__ if name in value or name not in _LATER}
        )
    except (KeyError, TypeError) as error:
        raise StateError("record is damaged", where=str(folder / AFAR_NOTE), hint="bay doctor") from error


def keep_until(folder: Path, provider: str, region: str, at: float) -> None:
    """Write down in which store what a run makes is kept, and until when it is sent there. Raises as `read_origin` does."""
    note = read_json(folder / AFAR_NOTE)
    origin = replace(read_origin(folder), provider=provider, region=region, stored_until=at)
    write_origin(folder, origin, state=str(note["state"]), seen_at=seen_at(folder))


def seen_at(folder: Path) -> float:
    """Return when a run elsewhere was last seen, seconds since 1970. Raises as `read_origin` does."""
    try:
        return float(read_json(folder / AFAR_NOTE)["seen_at"])
    except (KeyError, TypeError, ValueError) as error:
        raise StateError("record is damaged", where=str(folder / AFAR_NOTE), hint="bay doctor") from error


def forget_origin(folder: Path) -> None:
    """Let a run that was brought home be one of this machine from now on. Idempotent."""
    (folder / AFAR_NOTE).unlink(missing_ok=True)


@contextlib.contextmanager
def as_here(places: Mapping[str, str]) -> Iterator[None]:
    """Write paths of the other machine as those that they are here, in whatever error comes from there."""
    try:
        yield
    except LaunchbayError as error:
        error.what, error.where, error.hint = (rewrite(text, places) for text in (error.what, error.where, error.hint))
        error.args = (error.what,)
        if isinstance(error, WillFail):
            error.problems = rewrite(list(error.problems), places)
        raise
