"""Run records: what was run, by which instance, how it ended, what it made. They outlive their instances.

A run's folder holds `record.json` (written once, before the script starts), `process.json` (who watches over it) and
`result.json` (how it ended), the last two written by the supervisor. The state is observed from them, never stored.

The result is written twice: how the run ended as soon as it has, and again with what it made once that has been looked
at. In between it says ``taking_stock``, and the run still counts as running, as long as its supervisor lives.

A run that goes on, or went on, on another machine has a note `afar.json`: how it stood there when that was last seen.
It counts until its result is brought, which is the last that is.

A run that was resumed has a folder ``attempts/N`` for each attempt from the second on, with a record, a process and a
result of its own; nothing of an earlier attempt is written over. Work, log and checkpoints are the run's.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launchbay.errors import NotFound, StateError, UsageError
from launchbay.fields import FLAG, INTEGER, MAPPING, NUMBER, TEXT, Kind, check_fields, fields, list_of, optional
from launchbay.files import read_json, write_json
from launchbay.home import Home
from launchbay.jsonable import fields_of
from launchbay.onboard.process import process_alive

__all__ = [
    "AFAR_NOTE",
    "Artifact",
    "Attempt",
    "Run",
    "damaged_runs",
    "find_model_run",
    "find_run",
    "list_runs",
    "open_runs",
    "read_run",
    "write_run",
]

AFAR_NOTE = "afar.json"
"""What the note about a run on another machine is called, in the run's folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A file or folder that a run made: `format` says what its content is; `sha256` is None where it was too large."""

    path: Path
    format: str
    sha256: str | None
    bytes: int

    @property
    def is_model(self) -> bool:
        """Say whether its content is a model's."""
        return self.format != "file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One execution of a run's script that is over, because the run was resumed after it."""

    instance: str
    created_at: float
    state: str
    exit_code: int | None = None
    signal: str | None = None
    seconds: float | None = None
    cpu_seconds: float | None = None
    peak_memory_bytes: int | None = None
    timed_out: bool = False
    gpu: Mapping[str, Any] | None = None
    machine: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A person's script, executed once, or in several attempts. CPU and wall in seconds, memory in bytes; unknown is None.

    How it ended and what that took is of the last attempt; `earlier` says it of those before. `artifacts` and `logdirs`
    are what all of them made. `has_stock` says whether that was looked at; `notes` are for the person; `log_start` is
    where in the log the last attempt begins.
    """

    id: str
    folder: Path
    instance: str
    fleet: str
    image: str
    digest: str
    script: str
    args: Sequence[str]
    data: str | None
    data_files: Mapping[str, Mapping[str, Any]]
    created_at: float
    state: str
    supervisor: Mapping[str, Any] | None = None
    exit_code: int | None = None
    signal: str | None = None
    seconds: float | None = None
    cpu_seconds: float | None = None
    peak_memory_bytes: int | None = None
    supervisor_cpu_seconds: float | None = None
    gpu: Mapping[str, Any] | None = None
    machine: Mapping[str, Any] | None = None
    timed_out: bool = False
    artifacts: Sequence[Artifact] = ()
    logdirs: Sequence[Path] = ()
    notes: Sequence[str] = ()
    foreseen: Sequence[str] = ()
    """What was expected to fail before it started."""
    has_stock: bool = False
    instance_id: str = ""
    earlier: Sequence[Attempt] = ()
    log_start: int = 0
    afar: str | None = None
    """The machine that it goes on, or went on; None for this one."""

    @property
    def attempt(self) -> int:
        """The number of the last attempt, from 1 on."""
        return len(self.earlier) + 1

    @property
    def attempt_folder(self) -> Path:
        """Where the last attempt's supervisor writes."""
        return self.folder if not self.earlier else self.folder / "attempts" / str(self.attempt)

    @property
    def checkpoints(self) -> Path:
        """The folder that is offered to the script for its checkpoints; it is kept from attempt to attempt."""
        return self.folder / "checkpoints"

    @property
    def checkpoint_sizes(self) -> Sequence[int]:
        """The bytes of each file in the checkpoint folder, as it is now."""
        sizes = []
        for folder, _, names in os.walk(self.checkpoints):
            for name in names:
                with contextlib.suppress(OSError):  # gone meanwhile
                    sizes.append(os.lstat(f"{folder}/{name}").st_size)
        return sizes

    @property
    def work(self) -> Path:
        """The script's own copy of its folder, where it runs."""
        return self.folder / "work"

    @property
    def log(self) -> Path:
        """Everything the script printed."""
        return self.folder / "output.log"

    @property
    def is_over(self) -> bool:
        """Say whether nothing more will come of it."""
        return self.state not in ("starting", "running")

    def as_json(self) -> Mapping[str, Any]:
        """Return its fields; `artifacts` are absolute paths with the best model first, `models` says more of them."""
        hidden = ("id", "artifacts", "supervisor", "data_files", "has_stock", "instance_id", "log_start", "afar")
        sizes = self.checkpoint_sizes
        return {
            "run": self.id,
            **{name: value for name, value in fields_of(self).items() if name not in hidden},
            "artifacts": [item.path for item in self.artifacts],
            "models": [item for item in self.artifacts if item.is_model],
            "log": self.log,
            "work": self.work,
            "attempt": self.attempt,
            "checkpoints": {"folder": self.checkpoints, "files": len(sizes), "bytes": sum(sizes)},
        }


def write_run(folder: Path, record: Mapping[str, Any]) -> None:
    """Write the record of a run, or of a further attempt, before anything runs."""
    write_json(folder / "record.json", record, durable=True)


_PROCESS = {"pid": INTEGER, "start": optional(INTEGER), "boot": optional(TEXT)}
_RECORD = {
    **dict.fromkeys(("instance", "fleet", "image", "digest", "script"), TEXT),
    "args": list_of(TEXT),
    "data": optional(TEXT),
    "data_files": MAPPING,
    "created_at": NUMBER,
}
_CLIENT = {"client": optional(fields(_PROCESS)), "instance_id": optional(TEXT)}
_ATTEMPT = {**dict.fromkeys(("instance", "fleet"), TEXT), "created_at": NUMBER, "log_start": INTEGER, **_CLIENT}
_OUTCOME = {
    "exit_code": optional(INTEGER),
    "signal": optional(TEXT),
    "seconds": optional(NUMBER),
    "cpu_seconds": optional(NUMBER),
    "peak_memory_bytes": optional(INTEGER),
    "supervisor_cpu_seconds": optional(NUMBER),
    "gpu": optional(MAPPING),
    "machine": optional(MAPPING),
}
_AFAR = {"machine": TEXT, "state": TEXT}
_ARTIFACT = {"path": TEXT, "format": TEXT, "sha256": optional(TEXT), "bytes": INTEGER}
_RESULT = {
    **_OUTCOME,
    "state": TEXT,
    "timed_out": optional(FLAG),
    "taking_stock": optional(FLAG),
    "artifacts": optional(list_of(fields(_ARTIFACT))),
    "logdirs": optional(list_of(TEXT)),
    "notes": optional(list_of(TEXT)),
}


def read_run(folder: Path) -> Run:
    """Read a run as it stands now. Raises FileNotFoundError when there is none, StateError when damaged."""
    record = _read(folder / "record.json", _RECORD | _CLIENT | {"foreseen": optional(list_of(TEXT))})
    places = [folder, *(folder / "attempts" / str(number) for number in range(2, _last_attempt(folder) + 1))]
    last = places[-1]
    attempts = [record, *(_read(place / "record.json", _ATTEMPT) for place in places[1:])]
    process = _read_if_there(last / "process.json", _PROCESS)
    is_starting = process is None and process_alive(attempts[-1].get("client"))
    if process is None and not is_starting:
        process = _read_if_there(last / "process.json", _PROCESS)  # its client may just have started it, and left
    note = _read_if_there(folder / AFAR_NOTE, _AFAR)  # before the result, which then is not missed
    # Looked for once, and before the result is: all that a dead supervisor had to say is there by then.
    is_alive = process_alive(process)
    result = _read_if_there(last / "result.json", _RESULT)
    has_stock = result is not None and not result.get("taking_stock")
    if is_alive and not has_stock:
        result = None  # its supervisor is still at it
    outcome = result or {}
    work = folder / "work"
    known: dict[str, Any] = {key: record.get(key) for key in _RECORD} | {key: outcome.get(key) for key in _OUTCOME}
    return Run(
        id=folder.name,
        folder=folder,
        state=note["state"] if note and not result else _state(result, is_alive=is_alive, is_starting=is_starting),
        afar=note["machine"] if note else None,
        supervisor=process,
        artifacts=tuple(
            Artifact(path=work / item["path"], format=item["format"], sha256=item.get("sha256"), bytes=item["bytes"])
            for item in outcome.get("artifacts") or ()
        ),
        logdirs=tuple(work / item for item in outcome.get("logdirs") or ()),
        notes=tuple(outcome.get("notes") or ()),
        foreseen=tuple(record.get("foreseen") or ()),
        timed_out=bool(outcome.get("timed_out")),
        has_stock=has_stock,
        earlier=tuple(_read_attempt(*item) for item in zip(places[:-1], attempts[:-1], strict=True)),
        instance_id=attempts[-1].get("instance_id") or "",
        log_start=attempts[-1].get("log_start") or 0,
        **known | {name: attempts[-1][name] for name in ("instance", "fleet")},
    )


def _last_attempt(folder: Path | str) -> int:
    """Return the number of a run's last attempt. A folder has its name once its record is in it."""
    try:
        names = os.listdir(f"{folder}/attempts")
    except (FileNotFoundError, NotADirectoryError):
        return 1
    return max([1, *(int(name) for name in names if name.isdigit())])


def _read_attempt(place: Path, record: Mapping[str, Any]) -> Attempt:
    """Read an attempt that another one followed."""
    outcome = _read_if_there(place / "result.json", _RESULT) or {}
    names = ("exit_code", "signal", "seconds", "cpu_seconds", "peak_memory_bytes", "gpu", "machine")
    return Attempt(
        instance=record["instance"],
        created_at=record["created_at"],
        state=outcome.get("state", "lost"),
        timed_out=bool(outcome.get("timed_out")),
        **{name: outcome.get(name) for name in names},
    )


def _state(result: Mapping[str, Any] | None, *, is_alive: bool, is_starting: bool) -> str:
    if result is not None:
        return str(result["state"])
    if is_alive:
        return "running"
    return "starting" if is_starting else "lost"


def _read(path: Path, wanted: Mapping[str, Kind]) -> dict[str, Any]:
    try:
        value = read_json(path)
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise StateError(f"record cannot be read: {error.strerror}", where=str(path), hint="bay doctor") from error
    check_fields(value, wanted, where=path)
    return value


def _read_if_there(path: Path, wanted: Mapping[str, Kind]) -> dict[str, Any] | None:
    try:
        return _read(path, wanted)
    except FileNotFoundError:
        return None


def list_runs(home: Home) -> Iterator[Run]:
    """Yield all runs, oldest first; a folder without a readable record is skipped (`bay doctor` names it)."""
    yield from _readable(home, _names(home))


def open_runs(home: Home) -> Iterator[Run]:
    """Yield the runs that are not over, oldest first. Most are, and those are not even read: `bay ps` must not grow."""
    names = [name for name in _names(home) if _may_be_open(f"{home.runs}/{name}")]
    yield from (run for run in _readable(home, names) if not run.is_over)


def _may_be_open(folder: str) -> bool:
    """Say whether a run has no result, or one that its supervisor will add to: it keeps room for that until the end.

    A guess that costs three looks and no reading. On a full disk that room is used for the first result, and the run is
    then missing from those that are open for as long as what it made is looked at.
    """
    last = _last_attempt(folder)
    place = folder if last == 1 else f"{folder}/attempts/{last}"
    return not os.path.exists(f"{place}/result.json") or os.path.exists(f"{place}/result.reserve")


def _names(home: Home) -> list[str]:
    return sorted(os.listdir(home.runs)) if home.runs.is_dir() else []


def _readable(home: Home, names: Iterable[str]) -> Iterator[Run]:
    for name in names:
        try:
            yield read_run(home.runs / name)
        except (FileNotFoundError, NotADirectoryError, StateError):
            continue


def damaged_runs(home: Home) -> Sequence[Path]:
    """Return the folders of runs that cannot be read, and what else lies among them."""
    readable = {run.id for run in list_runs(home)}
    return [home.runs / name for name in _names(home) if name not in readable]


def find_run(home: Home, reference: str) -> Run:
    """Return the run of that id, of a unique beginning or ending of it, or the newest one for ``latest``.

    Raises StateError when it is damaged, also for ``latest``: an older run is not what was asked for.
    """
    names = _names(home) if reference else []
    for name in reversed(names if reference == "latest" else []):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):  # not a run, or one that was never begun
            return read_run(home.runs / name)
    found = [name for name in names if name == reference] or [
        name for name in names if name.startswith(reference) or name.endswith(reference)
    ]
    if len(found) == 1:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):  # again
            return read_run(home.runs / found[0])
    if len(found) > 1:
        raise UsageError(f"{reference!r} could be {len(found)} runs: {', '.join(found[:5])}", hint="bay runs")
    raise NotFound(f"there is no run {reference!r}", hint="`bay runs` lists them; `latest` is the newest")


def find_model_run(home: Home, sha256: str) -> Run | None:
    """Return the newest run that made a model of that sha256, or None when no run of ours did."""
    runs = reversed(list(list_runs(home)))
    return next((run for run in runs if any(artifact.sha256 == sha256 for artifact in run.artifacts)), None)
