"""Learning curves: read, diagnose, draw."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from launchbay.cloud.training import refresh_runs
from launchbay.errors import UserError
from launchbay.lifecycle.bay import Bay
from launchbay.runs.arguments import tell_apart
from launchbay.runs.curves import Curves, load_curves
from launchbay.runs.events import find_logdirs
from launchbay.runs.plots import kind_of_plot, write_plot
from launchbay.runs.terminal import draw_terminal
from launchbay.store.records import Run, find_run, list_runs

__all__ = ["curves", "draw_curves"]


def curves(bay: Bay, run: Sequence[str], *, output: str | Path | None = None) -> Curves:
    """Read the learning curves of runs (or of log folders), with a diagnosis each; write a picture if asked.

    Without a name it is the newest run that has any; the reporter is told if newer ones were passed over.
    """
    if output is not None:
        kind_of_plot(Path(output))  # refused before minutes of reading, not after
    sources: dict[str, Sequence[Path]] = {}
    commands: dict[str, Sequence[str]] = {}
    for reference in run or [_find_newest(bay)]:
        path = Path(reference)
        if reference and path.is_dir():
            sources[reference] = [_check_folder(path)]
        else:
            (found,) = refresh_runs(bay, [find_run(bay.home, reference)])
            sources[found.id] = _places(found)
            commands[found.id] = [found.script, *found.args]
    loaded = load_curves(sources, tell_apart(commands))
    if output is not None:
        write_plot(loaded, Path(output))
    return loaded


def _places(run: Run) -> Sequence[Path]:
    """List where a run's event files lie; while it goes on, or where it was lost, anywhere in its working folder."""
    return run.logdirs if run.has_stock else [run.work]


def _check_folder(folder: Path) -> Path:
    if not find_logdirs(folder):
        raise UserError(
            "there is no TensorBoard event file in this folder",
            where=str(folder),
            hint="name the folder that `tensorboard --logdir` would be given, or a run: bay runs",
        )
    return folder


def _find_newest(bay: Bay) -> str:
    """Find the newest run that has curves; the newest of all where none has, for the error that names it."""
    newest = find_run(bay.home, "latest")
    if _has_curves(newest) or _has_curves(*refresh_runs(bay, [newest])):
        return newest.id
    for found in reversed(list(list_runs(bay.home))):
        if _has_curves(found):
            bay.reporter.note(f"{newest.id} has no curves; these are of {found.id}, the newest run that has")
            return found.id
    return newest.id


def _has_curves(run: Run) -> bool:
    return any(find_logdirs(place) for place in _places(run))


def draw_curves(loaded: Curves, *, width: int, height: int, color: bool, unicode: bool = True) -> str:
    """Draw curves as text for a terminal of `width` columns; without `unicode`, with nothing but ASCII."""
    return draw_terminal(loaded, width, height, color=color, unicode=unicode)
