"""What the notebook that lies ready asks for: the newest model of this instance or fleet, its data and its curves."""

from __future__ import annotations

import contextlib
import json
import os

from .eventfiles import is_event_file
from .modelfiles import find_files, hash_model
from .refused import Refused
from .table import Table, read_table

TYPE_CHECKING = False  # `typing` would cost a tenth of what a supervisor does
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Model", "newest_model", "read_curves", "read_data"]


class Model:
    """A model that a run made. `path` is absolute; `format` says what it is; `work` is the run's folder."""

    def __init__(self, run: str, work: str, path: str, kind: str) -> None:
        self.run, self.work, self.path, self.format = run, work, path, kind

    def __repr__(self) -> str:
        """Name the run and the file."""
        return "{}: {} ({})".format(self.run, os.path.relpath(self.path, self.work), self.format)


def newest_model() -> Model | None:
    """Return the best model of the newest run that has one, in this instance or its fleet; None when there is none.

    Only a file that is still what the run wrote, by its sha256: loading a model can run the code in it.
    """
    runs = os.environ["LAUNCHBAY_RUNS"]
    for name in sorted(os.listdir(runs) if os.path.isdir(runs) else [], reverse=True):
        work = os.path.join(runs, name, "work")
        with contextlib.suppress(OSError, ValueError, KeyError):
            record = _read(os.path.join(runs, name, "record.json"))
            artifacts = _read(_last_result(os.path.join(runs, name))).get("artifacts") or []
            if _is_ours(record):
                found = _best(work, artifacts)
                if found:
                    return Model(name, work, *found)
    return None


def _last_result(run: str) -> str:
    """Return where the last attempt of a run that was resumed says what there is; of others, the only one."""
    attempts = os.path.join(run, "attempts")
    numbers = [int(name) for name in os.listdir(attempts) if name.isdigit()] if os.path.isdir(attempts) else []
    places = [run, *(os.path.join(attempts, str(number)) for number in sorted(numbers))]
    results = [os.path.join(place, "result.json") for place in places]
    return ([path for path in results if os.path.exists(path)] or results)[-1]


def _is_ours(record: dict[str, Any]) -> bool:
    is_own = record.get("instance_id") == os.environ.get("LAUNCHBAY_INSTANCE")
    return is_own or record.get("fleet") == os.environ.get("LAUNCHBAY_FLEET")


def _best(work: str, artifacts: list[dict[str, Any]]) -> tuple[str, str] | None:
    """Return the first model that is there and unchanged: a run's list begins with the best."""
    for item in artifacts:
        path, kind = os.path.join(work, item["path"]), item["format"]
        if kind != "file" and os.path.exists(path) and item["sha256"] == hash_model(find_files(path, kind)):
            return path, kind
    return None


def read_data(model: Model) -> Table | None:
    """Return the table that the model's run was given to be tested on; None when there is no CSV file of numbers."""
    folder = os.path.join(model.work, "data")
    names = sorted(name for name in (os.listdir(folder) if os.path.isdir(folder) else []) if name.endswith(".csv"))
    for word in ("test", "val", ""):
        for name in names:
            if word in name.lower():
                with contextlib.suppress(Refused):
                    return read_table(os.path.join(folder, name))
    return None


def read_curves(model: Model) -> dict[str, tuple[list[int], list[float]]]:
    """Return the losses that the model's run logged, or its other scalars where it has none: steps and values."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    found: dict[str, tuple[list[int], list[float]]] = {}
    for parent, _, files in os.walk(model.work):
        if not any(is_event_file(os.path.join(parent, name)) for name in files):
            continue
        log = EventAccumulator(parent, size_guidance={"tensors": 1000, "scalars": 1000}).Reload()
        where = os.path.relpath(parent, model.work)
        for tag in log.Tags()["scalars"]:
            points = log.Scalars(tag)
            found["{} {}".format(where, tag)] = [item.step for item in points], [item.value for item in points]
        for tag in log.Tags()["tensors"]:
            arrays = [(item.step, make_ndarray(item.tensor_proto)) for item in log.Tensors(tag)]
            if arrays and all(array.shape == () and array.dtype.kind in "fi" for _, array in arrays):
                found["{} {}".format(where, tag)] = [s for s, _ in arrays], [float(array) for _, array in arrays]
    losses = {name: points for name, points in found.items() if "loss" in name.lower()}
    per_epoch = {name: points for name, points in losses.items() if "epoch" in name}
    return per_epoch or losses or found


def _read(path: str) -> dict[str, Any]:
    with open(path, encoding="utf-8") as file:
        found: dict[str, Any] = json.load(file)
    return found
