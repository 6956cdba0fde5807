"""Scalars of TensorBoard log folders: event files found, read and merged.

Several event files in one folder are one history: that of a training which was started again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from launchbay.onboard.eventfiles import is_event_file
from launchbay.runs.eventfile import Point, read_event_file

__all__ = ["EventLog", "Scalar", "Series", "find_logdirs", "read_events", "read_scalars"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalar:
    """A number over the steps of a training: `steps` ascend, `values` may be NaN or infinite."""

    steps: tuple[int, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One scalar of one log folder.

    `run` is the folder that holds its event files, relative to the log folder ("" for the log folder itself).
    `steps` ascend and are unique; `wall_times` are seconds since 1970.
    """

    run: str
    tag: str
    steps: tuple[int, ...]
    values: tuple[float, ...]
    wall_times: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLog:
    """What a log folder holds: its scalars, and a warning for each damaged place (file and byte offset)."""

    series: tuple[Series, ...]
    warnings: tuple[str, ...]


def find_logdirs(root: Path) -> tuple[Path, ...]:
    """List the folders in and under `root` that directly hold event files, sorted.

    No folder, no answer: an empty tuple.
    """
    walk = os.walk(root)
    return tuple(sorted(Path(top) for top, _, names in walk if any(is_event_file(f"{top}/{name}") for name in names)))


def read_scalars(logdir: Path) -> tuple[Series, ...]:
    """Read every scalar in and under a log folder; damaged places are left out (`read_events` names them)."""
    return read_events(logdir).series


def read_events(logdir: Path, *, below: bool = True) -> EventLog:
    """Read every scalar in (and, with `below`, under) a log folder, and say what was damaged.

    Several files in one folder (a restarted training) are one series: of two values for a step, the one with
    the later wall time stays. May be called while files are being written. Raises nothing for a damaged file.
    """
    series: list[Series] = []
    warnings: list[str] = []
    for folder in find_logdirs(logdir) if below else (logdir,):
        run = folder.relative_to(logdir).as_posix()
        series += _read_folder(folder, "" if run == "." else run, warnings)
    return EventLog(series=tuple(series), warnings=tuple(warnings))


def _read_folder(folder: Path, run: str, warnings: list[str]) -> Iterator[Series]:
    plugins: dict[str, str] = {}
    points: dict[str, dict[int, Point]] = {}
    for path in sorted(path for path in folder.iterdir() if is_event_file(str(path))):
        for point in read_event_file(path, plugins, warnings):
            steps = points.setdefault(point.tag, {})
            known = steps.get(point.step)
            if known is None or known.wall_time <= point.wall_time:
                steps[point.step] = point
    for tag, steps in sorted(points.items()):
        ordered = [steps[step] for step in sorted(steps)]
        yield Series(
            run=run,
            tag=tag,
            steps=tuple(point.step for point in ordered),
            values=tuple(point.value for point in ordered),
            wall_times=tuple(point.wall_time for point in ordered),
        )
