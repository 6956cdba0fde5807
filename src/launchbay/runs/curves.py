"""Learning curves of one or several runs: read, named, paired, judged.

Training and validation loss are found whatever the convention: folders ``train/`` and ``validation/`` with
the tag ``epoch_loss`` (Keras), tags ``Loss/train`` and ``Loss/val``, ``train/loss`` and ``eval/loss``,
``train_loss_epoch`` and ``val_loss``, ``loss`` and ``val_loss`` in one folder (the scaffold of `bay init`).
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from launchbay.errors import UserError
from launchbay.runs.diagnosis import Diagnosis, diagnose
from launchbay.runs.events import Scalar, find_logdirs, read_events
from launchbay.runs.pairs import Group, Name, Pair, group_scalars, is_role

__all__ = ["Curves", "RunCurves", "load_curves"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCurves:
    """The curves of one run.

    `scalars` by their TensorBoard names (``train/epoch_loss``). `pairs` holds every metric; the loss, if
    there is one, comes first and is `loss`. `warnings` names damaged places of the event files, which were
    left out. `note` says what sets the run apart from the others beside it, where that is known.
    """

    scalars: Mapping[str, Scalar]
    pairs: tuple[Pair, ...]
    loss: Pair | None
    diagnosis: Diagnosis
    warnings: tuple[str, ...]
    note: str = ""

    def find(self, name: str | None) -> Scalar | None:
        """Look a scalar up; None for None, so that a missing half of a pair needs no special case."""
        return None if name is None else self.scalars.get(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """The curves of several runs, by name, in the order asked for.

    A run whose log folder holds several experiments (sub-folders with a loss each) has one entry for each:
    ``RUN/FOLDER``.
    """

    runs: Mapping[str, RunCurves]

    def as_json(self) -> Mapping[str, Any]:
        """Return the curves by run; NaN and infinities, which JSON lacks, become null."""
        return {"runs": {name: _run_json(run) for name, run in self.runs.items()}}


def load_curves(sources: Mapping[str, Sequence[Path]], notes: Mapping[str, str] | None = None) -> Curves:
    """Read the curves of runs: for each run's name, the folders that it logged to, with all in them.

    `notes` are words that stand beside the names of runs, so that it is seen what sets them apart.
    Raises UserError where a run has no event file or no scalar. A training that still goes on can be read.
    """
    runs: dict[str, RunCurves] = {}
    for name, logdirs in sources.items():
        note = (notes or {}).get(name, "")
        runs |= {title: replace(run, note=note) for title, run in _load_run(name, logdirs).items()}
    return Curves(runs=runs)


def _run_json(run: RunCurves) -> dict[str, Any]:
    scalars = {
        name: {
            "steps": scalar.steps,
            "values": [value if math.isfinite(value) else None for value in scalar.values],
        }
        for name, scalar in run.scalars.items()
    }
    return {
        "scalars": scalars,
        "loss": run.loss,
        "pairs": run.pairs,
        "diagnosis": run.diagnosis,
        "warnings": run.warnings,
    }


# --- reading --------------------------------------------------------------------------------------

_HINT = (
    "pass keras.callbacks.TensorBoard('logs') to model.fit, or write scalars as the train.py of `bay init` "
    "does, then train again"
)


def _load_run(name: str, logdirs: Sequence[Path]) -> dict[str, RunCurves]:
    folders = sorted({leaf.resolve() for logdir in logdirs for leaf in find_logdirs(logdir)})
    where = ", ".join(str(logdir) for logdir in logdirs)
    if not folders:
        raise UserError(f"{name} wrote no TensorBoard event file", where=where, hint=_HINT)
    scalars: dict[Name, Scalar] = {}
    warnings: list[str] = []
    for run, folder in _name_folders(folders):
        log = read_events(folder, below=False)
        warnings += log.warnings
        for series in log.series:
            scalars[Name(run, series.tag)] = Scalar(steps=series.steps, values=series.values)
    if not scalars:
        damage = f": {warnings[0]}" if warnings else ""
        raise UserError(f"the event files of {name} hold no scalar{damage}", where=where, hint=_HINT)
    groups = group_scalars({key: len(scalar.steps) for key, scalar in scalars.items()})
    judged = {title: _judge(group, scalars, tuple(warnings)) for title, group in groups.items()}
    return {f"{name}/{title}" if title and len(judged) > 1 else name: run for title, run in judged.items()}


def _name_folders(folders: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    """Name folders by their way from the folder they share; a lone one only by a name such as ``train``."""
    base = Path(os.path.commonpath(folders))
    if len(folders) == 1:
        base = base.parent if is_role(base.name) else base
    for folder in folders:
        name = folder.relative_to(base).as_posix()
        yield ("" if name == "." else name), folder


def _judge(group: Group, scalars: Mapping[Name, Scalar], warnings: tuple[str, ...]) -> RunCurves:
    named = {str(name): scalars[name] for name in group.names}
    loss = group.loss
    return RunCurves(
        scalars=named,
        pairs=group.pairs,
        loss=loss,
        diagnosis=diagnose(
            training=named[loss.training] if loss and loss.training else None,
            validation=named[loss.validation] if loss and loss.validation else None,
        ),
        warnings=warnings,
    )
