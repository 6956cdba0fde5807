"""Models where no image on this machine can load them: sent to an instance on EC2 that has one, and looked at there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from launchbay.afar.machine import FarMachine
from launchbay.afar.origin import as_here
from launchbay.afar.sending import Tree, send_tree
from launchbay.cloud.fleet import list_fleets
from launchbay.cloud.standing import FarInstance, name_of, observe_fleets, open_machine
from launchbay.errors import LaunchbayError, NotFound
from launchbay.files import sha256_file
from launchbay.lifecycle.bay import Bay
from launchbay.models.card import Evaluation, Finding, Layer, ModelCard, Optimizer, Predictions, Tensor
from launchbay.onboard.modelfiles import find_files
from launchbay.providers.ec2.tags import FLEET_TAG

__all__ = ["evaluate_far", "find_loader", "predict_far", "show_model_far"]

_T = TypeVar("_T")


def find_loader(bay: Bay, digest: str | None, names: Sequence[str]) -> FarInstance | None:
    """Return a running instance on EC2 of the image of that digest, else of one of those names; None where none is known."""
    known = list_fleets(bay.home)
    same = [fleet for fleet in known if fleet.digest == digest]
    candidates = [*same, *(fleet for fleet in known if fleet.image in names and fleet not in same)]
    if not candidates:
        return None
    try:
        rows = observe_fleets(bay, candidates)
    except LaunchbayError as error:
        bay.reporter.note(f"Whether an instance on EC2 could load it is not known: {error.what}")
        return None
    for fleet in candidates:
        for row in rows.values():
            if row.state == "running" and row.tags.get(FLEET_TAG) == fleet.name:
                return FarInstance(fleet=fleet, name=name_of(row))
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _There:
    """A model on another machine: how it is reached, and where its file lies there, and the data's."""

    machine: FarMachine
    model: str
    data: str = ""


@contextmanager
def _sent(bay: Bay, far: FarInstance, path: Path, kind: str | None, data: Path | None = None) -> Iterator[_There]:
    """Lend an instance with a model, and the data, on it; what is there already is not sent again."""
    if data is not None and not data.is_file():
        raise NotFound("there is no such CSV file", where=str(data), hint="--data data/test.csv")
    bay.reporter.note(f"No image here loads it: {far.name} does.")
    with open_machine(bay, far) as machine:
        files = find_files(str(path), kind)
        model = send_tree(
            machine, _tree(Path(files.folder), files.names), reporter=bay.reporter, task=f"send {path.name}"
        )
        places = {model.folder: files.folder}
        there = ""
        if data is not None:
            table = send_tree(machine, _tree(data.parent, [data.name]), reporter=bay.reporter, task=f"send {data.name}")
            places[table.folder] = str(data.absolute().parent)
            there = f"{table.folder}/{data.name}"
        with as_here(places):
            yield _There(
                machine=machine, model=f"{model.folder}/{files.main}" if files.main else model.folder, data=there
            )


def _tree(folder: Path, names: Sequence[str]) -> Tree:
    paths = {name: folder / name for name in names}
    return Tree(
        folder=folder,
        files={name: (path.stat().st_size, sha256_file(path), False) for name, path in paths.items()},
        links={},
    )


def evaluate_far(
    bay: Bay,
    far: FarInstance,
    path: Path,
    kind: str,
    *,
    sha256: str,
    data: Path,
    target: str,
    batch_size: int,
) -> Evaluation:
    """Measure a model on a CSV file on an instance on EC2; that it may be loaded is the caller's to prove."""
    with _sent(bay, far, path, kind, data) as there:
        words = ["--data", there.data, "--target", target, "--batch-size", str(batch_size), "--trust", sha256]
        value = there.machine.call(["evaluate", there.model, *words])
    return _made(Evaluation, value, notes=tuple)


def predict_far(
    bay: Bay,
    far: FarInstance,
    path: Path,
    kind: str,
    *,
    sha256: str,
    data: Path,
    target: str,
    rows: str | None,
) -> Predictions:
    """Return a model's predictions for rows of a CSV file, made on an instance on EC2."""
    with _sent(bay, far, path, kind, data) as there:
        words = ["--data", there.data, "--target", target, "--trust", sha256, *([f"--rows={rows}"] if rows else [])]
        value = there.machine.call(["predict", there.model, *words])
    return _made(Predictions, value, predictions=_numbers, targets=_tuple, notes=tuple)


def show_model_far(bay: Bay, far: FarInstance, path: Path, kind: str | None) -> ModelCard:
    """Say what a model is, read on an instance on EC2; none of it is loaded there either."""
    with _sent(bay, far, path, kind) as there:
        value = there.machine.call(["model", "show", there.model])
    return _made(
        ModelCard,
        value,
        layers=lambda items: tuple(_made(Layer, item, output_shape=_tuple) for item in items),
        tensors=_tensors,
        inputs=_tensors,
        outputs=_tensors,
        metrics=tuple,
        optimizer=lambda item: item and _made(Optimizer, item),
        findings=lambda items: tuple(_made(Finding, item) for item in items),
    )


def _tensors(items: Sequence[Mapping[str, Any]]) -> tuple[Tensor, ...]:
    return tuple(_made(Tensor, item, shape=_tuple) for item in items)


def _tuple(items: Sequence[Any] | None) -> tuple[Any, ...] | None:
    return None if items is None else tuple(items)


def _numbers(items: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(tuple(item) if isinstance(item, list) else item for item in items)


def _made(kind: type[_T], value: Mapping[str, Any], **parts: Any) -> _T:
    """Make a value of ours out of its JSON. Raises LaunchbayError where that is something else."""
    try:
        return kind(**{name: parts[name](item) if name in parts else item for name, item in value.items()})
    except (TypeError, KeyError, AttributeError) as error:
        raise LaunchbayError(f"the instance answered with something else than {kind.__name__}") from error
