"""Run records: what was run, by which instance, how it ended, what it made. They outlive their instances.

A run's folder holds `record.json` (written once, before the script starts), `process.json` (who watches over it) and
`result.json` (how it ended), the last two written by the supervisor. The state is observed from them, never stored.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launchbay.errors import NotFound, StateError, UsageError
from launchbay.files import read_json, sha256_file, write_json
from launchbay.home import Home
from launchbay.jsonable import fields_of

__all__ = [
    "Artifact",
    "Run",
    "damaged_runs",
    "find_model_run",
    "find_run",
    "list_runs",
    "process_alive",
    "read_run",
    "write_run",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A file or folder that a run made: `format` says what its content is."""

    path: Path
    format: str
    sha256: str
    bytes: int

    @property
    def is_model(self) -> bool:
        """Say whether its content is a model's."""
        return self.format != "file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One execution of a person's script. CPU and wall in seconds, memory in bytes; unknown is None."""

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
    timed_out: bool = False
    artifacts: Sequence[Artifact] = ()
    logdirs: Sequence[Path] = ()

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
        hidden = ("id", "artifacts", "supervisor", "data_files")
        return {
            "run": self.id,
            **{name: value for name, value in fields_of(self).items() if name not in hidden},
            "artifacts": [item.path for item in self.artifacts],
            "models": [item for item in self.artifacts if item.is_model],
            "log": self.log,
            "work": self.work,
        }


def process_alive(process: Mapping[str, Any] | None) -> bool:
    """Say whether the recorded process (pid, start time, boot id) still runs; a reused pid is not taken for it."""
    if process is None:
        return False
    try:
        text = Path(f"/proc/{process['pid']}/stat").read_text(encoding="utf-8", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (FileNotFoundError, ProcessLookupError):  # the latter when it ends between opening and reading
        return False if os.path.isdir("/proc/self") else _signalable(int(process["pid"]))
    fields = text.rpartition(")")[2].split()
    return fields[0] not in "ZX" and fields[19] == str(process["start"]) and boot == process["boot"]


def _signalable(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def write_run(folder: Path, record: Mapping[str, Any]) -> None:
    """Write a run's record, before anything runs."""
    write_json(folder / "record.json", record, durable=True)


def read_run(folder: Path) -> Run:
    """Read a run as it stands now. Raises FileNotFoundError when there is none, StateError when damaged."""
    record = read_json(folder / "record.json")
    if lacking := [key for key in _RECORD if key not in record]:
        where = str(folder / "record.json")
        raise StateError(f"record is damaged: it lacks {', '.join(lacking)}", where=where, hint="bay doctor")
    try:
        return _read_parts(folder, record)
    except (AttributeError, KeyError, OSError, TypeError) as error:
        why = f"result or process record is damaged ({type(error).__name__}: {error})"
        raise StateError(why, where=str(folder), hint="bay doctor") from error


def _read_parts(folder: Path, record: Mapping[str, Any]) -> Run:
    process = _read_if_there(folder / "process.json")
    result = _read_if_there(folder / "result.json")
    if result is None and process is not None and not process_alive(process):
        result = _read_if_there(folder / "result.json")  # it may have ended between the two looks
    state = _state(process, result, record)
    work = folder / "work"
    outcome = result or {}
    known: dict[str, Any] = {key: record[key] for key in _RECORD} | {key: outcome.get(key) for key in _OUTCOME}
    return Run(
        id=folder.name,
        folder=folder,
        state=state,
        supervisor=process,
        artifacts=tuple(
            Artifact(path=work / item["path"], format=item["format"], sha256=item["sha256"], bytes=item["bytes"])
            for item in outcome.get("artifacts", ())
        ),
        logdirs=tuple(work / item for item in outcome.get("logdirs", ())),
        timed_out=bool(outcome.get("timed_out")),
        **known,
    )


_RECORD = ("instance", "fleet", "image", "digest", "script", "args", "data", "data_files", "created_at")
_OUTCOME = (
    "exit_code",
    "signal",
    "seconds",
    "cpu_seconds",
    "peak_memory_bytes",
    "supervisor_cpu_seconds",
    "gpu",
)


def _state(process: Mapping[str, Any] | None, result: Mapping[str, Any] | None, record: Mapping[str, Any]) -> str:
    if result is not None:
        return str(result["state"])
    if process_alive(process):
        return "running"
    if process is None and process_alive(record.get("client")):
        return "starting"
    return "lost"


def _read_if_there(path: Path) -> dict[str, Any] | None:
    try:
        return read_json(path)
    except FileNotFoundError:
        return None


def list_runs(home: Home) -> Iterator[Run]:
    """Yield all runs, oldest first; a folder without a readable record is skipped (`bay doctor` names it)."""
    yield from _readable(home, _names(home))


def _names(home: Home) -> list[str]:
    return sorted(os.listdir(home.runs)) if home.runs.is_dir() else []


def _readable(home: Home, names: Iterable[str]) -> Iterator[Run]:
    for name in names:
        try:
            yield read_run(home.runs / name)
        except (FileNotFoundError, NotADirectoryError, StateError, KeyError):
            continue


def damaged_runs(home: Home) -> Sequence[Path]:
    """Return the folders of runs that cannot be read, and what else lies among them."""
    readable = {run.id for run in list_runs(home)}
    return [home.runs / name for name in _names(home) if name not in readable]


def find_run(home: Home, reference: str) -> Run:
    """Return the run of that id, of a unique beginning or ending of it, or the newest one for ``latest``."""
    names = _names(home) if reference else []
    if reference == "latest" and (newest := next(_readable(home, reversed(names)), None)):
        return newest
    found = [name for name in names if name == reference] or [
        name for name in names if name.startswith(reference) or name.endswith(reference)
    ]
    if len(found) == 1:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):  # not a run, or one that was never begun
            return read_run(home.runs / found[0])
    if len(found) > 1:
        raise UsageError(f"{reference!r} could be {len(found)} runs: {', '.join(found[:5])}", hint="bay runs")
    raise NotFound(f"there is no run {reference!r}", hint="`bay runs` lists them; `latest` is the newest")


def find_model_run(home: Home, path: Path) -> tuple[Run, str] | None:
    """Return the run that made this very file (by sha256) and the hash, or None when no run of ours did."""
    digest = sha256_file(path)
    for run in reversed(list(list_runs(home))):
        if any(artifact.sha256 == digest for artifact in run.artifacts):
            return run, digest
    return None
