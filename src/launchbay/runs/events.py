"""Scalars of TensorBoard log folders: event files found, read and merged.

Several event files in one folder are one history: that of a training which was started again, from its beginning or
from a checkpoint. Where a later file begins, what an earlier one holds from that step on is void, as in TensorBoard.
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

    Several files in one folder (a restarted training) are one series: a file takes over from the step at which it
    begins, and of two values for a step the one with the later wall time stays. May be called while files are being
    written. Raises nothing for a damaged file.
    """
    series: list[Series] = []
    warnings: list[str] = []
    for folder in find_logdirs(logdir) if below else (logdir,):
        run = folder.relative_to(logdir).as_posix()
        series += _read_folder(folder, "" if run == "." else run, warnings)
    return EventLog(series=tuple(series), warnings=tuple(warnings))


def _read_folder(folder: Path, run: str, warnings: list[str]) -> Iterator[Series]:
    plugins: dict[str, str] = {}
    files: dict[str, list[list[Point]]] = {}  # by tag; a file's points are in the order in which they were written
    for path in sorted(path for path in folder.iterdir() if is_event_file(str(path))):
        mine: dict[str, list[Point]] = {}
        for point in read_event_file(path, plugins, warnings):
            mine.setdefault(point.tag, []).append(point)
        for tag, points in mine.items():
            files.setdefault(tag, []).append(points)
    for tag, histories in sorted(files.items()):
        steps = _merge(histories)
        ordered = [steps[step] for step in sorted(steps)]
        yield Series(
            run=run,
            tag=tag,
            steps=tuple(point.step for point in ordered),
            values=tuple(point.value for point in ordered),
            wall_times=tuple(point.wall_time for point in ordered),
        )


def _merge(histories: list[list[Point]]) -> dict[int, Point]:
    """Return one point a step: what a training that went on from a checkpoint writes again, or never, is not kept."""
    steps: dict[int, Point] = {}
    for points in sorted(histories, key=lambda points: points[0].wall_time):
        first = points[0]
        for point in [known for step, known in steps.items() if step >= first.step]:
            if point.wall_time <= first.wall_time:
                del steps[point.step]
        for point in points:
            known = steps.get(point.step)
            if known is None or known.wall_time <= point.wall_time:
                steps[point.step] = point
    return steps
