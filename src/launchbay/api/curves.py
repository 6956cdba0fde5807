"""Learning curves: read, diagnose, draw."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from launchbay.lifecycle.bay import Bay
from launchbay.runs.curves import Curves, load_curves
from launchbay.runs.plots import write_plot
from launchbay.runs.terminal import draw_terminal
from launchbay.store.records import find_run

__all__ = ["curves", "draw_curves"]


def curves(bay: Bay, run: Sequence[str], *, output: str | Path | None = None) -> Curves:
    """Read the learning curves of runs (or of log folders), with a diagnosis each; write a picture if asked."""
    sources: dict[str, Sequence[Path]] = {}
    for reference in run or ["latest"]:
        path = Path(reference)
        if reference and path.is_dir():
            sources[reference] = [path]
        else:
            found = find_run(bay.home, reference)
            sources[found.id] = found.logdirs if found.is_over else [found.work]
    loaded = load_curves(sources)
    if output is not None:
        write_plot(loaded, Path(output))
    return loaded


def draw_curves(loaded: Curves, *, width: int, height: int, color: bool, unicode: bool = True) -> str:
    """Draw curves as text for a terminal of `width` columns; without `unicode`, with nothing but ASCII."""
    return draw_terminal(loaded, width, height, color=color, unicode=unicode)
