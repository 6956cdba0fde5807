"""`bay demo`: the whole experiment once, end to end, through the same API as everybody's own."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from launchbay.api import curves as curves_api
from launchbay.api import data as data_api
from launchbay.api import fleet, models, runs
from launchbay.errors import Conflict, LaunchbayError, NotFound, ScriptFailed, UsageError
from launchbay.files import locked, write_atomic
from launchbay.home import random_letters
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.launch import Launch
from launchbay.lifecycle.scratch import scratch
from launchbay.models.card import Evaluation
from launchbay.providers.processes import instance_processes
from launchbay.scaffold import find_splits, write_project
from launchbay.store.records import Run
from launchbay.units import format_bytes, format_duration, format_number

__all__ = ["Demo", "demo"]

COUNT = 3
IMAGE = "tensorflow"
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """What a demo did. `left` counts instances and processes that remain of it: 0, or it has failed."""

    test_mse: float
    evaluation: Evaluation
    identical: bool
    run: Run
    curves: Path
    seconds: Mapping[str, float]
    downloaded_bytes: int
    left: int


def demo(
    bay: Bay, *, data: str | Path | None = None, epochs: int = 500, write: Callable[[bytes], None], tell: Tell
) -> Demo:
    """Run the whole experiment: launch 3, verify, fetch, train, curves, evaluate, predict, terminate.

    `data` is a folder with one train*, val* and test* CSV each; without it a small dataset is made from a seed.
    Whatever happens, the instances are removed, those of an earlier demo that was killed too; the run, its model and
    its curves stay. Raises Conflict while another demo runs.
    """
    if epochs < 1:
        raise UsageError(f"epochs must be at least 1, got {epochs}", hint="bay demo --epochs 500")
    seconds: dict[str, float] = {}

    @contextmanager
    def stage(name: str, says: str) -> Iterator[None]:
        tell(f"\n== {says}")
        began = time.monotonic()
        yield
        seconds[name] = round(time.monotonic() - began, 2)

    with _alone(bay), scratch(bay) as folder:
        project = folder / "project"
        write_project(project, image=IMAGE)
        source = Path(data).expanduser() if data is not None else project / "data"
        splits = find_splits(source)
        _remove_left(bay)
        name = f"demo-{random_letters(4)}"  # nobody else calls a fleet so: a later demo may remove it by its name
        tell(f"\n== bay launch {IMAGE} -n {COUNT} --name {name}")
        with _launched(bay, name, seconds, tell) as launched:
            _tell_launch(launched, tell)
            with stage("verify", f"bay verify {name}"):
                proof = fleet.verify(bay, name)
                words = (
                    "identical; every file of the image is what its packages say"
                    if proof.identical
                    else "NOT identical"
                )
                tell(f"{len(proof.fingerprints)} instances: {words}")
            with stage("fetch", f"bay fetch {source}/*.csv"):
                fetched = folder / "data"
                for path in (splits.train, splits.validation, splits.test):
                    found = data_api.fetch(bay, str(path), into=fetched)
                    tell(
                        f"{found.path.name}: {found.rows} rows x {found.columns} columns, sha256 {found.sha256[:16]}..."
                    )
            with stage("train", f"bay train {name}-1 train.py --data data -- --epochs {epochs}"):
                run = runs.train(
                    bay,
                    f"{name}-1",
                    project / "train.py",
                    data=fetched,
                    args=["--epochs", str(epochs)],
                    write=write,
                    on_interrupt=_interrupt,
                    force=True,  # the script is ours, and was tried on this image
                )
                if run.state != "done":
                    why = runs.explain(run)
                    what = f"the training of the demo {run.state}" + (f": {why}" if why else "")
                    raise ScriptFailed(what, hint=f"bay logs {run.id}")
                tell(
                    f"{run.id}: {format_duration(run.seconds or 0)}, {format_duration(run.cpu_seconds or 0)} CPU, "
                    f"peak memory {format_bytes(run.peak_memory_bytes or 0)}"
                )
            picture = run.folder / "curves.html"
            with stage("curves", f"bay curves {run.id}"):
                loaded = curves_api.curves(bay, [run.id], output=picture)
                tell(curves_api.draw_curves(loaded, width=100, height=22, color=False))
                tell(f"as a page: {picture}")
            with stage("evaluate", f"bay model show, bay evaluate, bay predict {run.id}"):
                evaluation = _judge(bay, run, fetched / splits.test.name, tell)
    result = Demo(
        test_mse=evaluation.mse,
        evaluation=evaluation,
        identical=proof.identical,
        run=run,
        curves=picture,
        seconds=seconds,
        downloaded_bytes=launched.image.downloaded_bytes if launched.built_now else 0,
        left=_count_left(bay, launched),
    )
    _tell_summary(result, tell)
    return result


@contextmanager
def _alone(bay: Bay) -> Iterator[None]:
    """Keep a second demo away, which would take this one's instances for left over."""
    with locked(bay.home.lock("demo"), wait=False) as free:
        if not free:
            raise Conflict("another demo runs already", hint="wait for it; `bay ps` shows its instances")
        yield


def _note(bay: Bay) -> Path:
    """Return the file that holds the name of the demo's fleet from before its launch until it is gone."""
    return bay.home.root / "demo"


def _remove_left(bay: Bay) -> None:
    """Remove what a demo that was killed has left, however far it had come; no living one holds the lock."""
    with contextlib.suppress(FileNotFoundError, NotFound):
        name = _note(bay).read_text(encoding="utf-8")
        if fleet.terminate(bay, name).names:
            bay.reporter.note(f"Removed {name}, which an earlier demo had left.")


@contextmanager
def _launched(bay: Bay, name: str, seconds: dict[str, float], tell: Tell) -> Iterator[Launch]:
    """Launch the demo's fleet and remove it again, before anything is told that nobody may be left to hear."""
    began = time.monotonic()
    write_atomic(_note(bay), name.encode(), durable=True)
    launched = fleet.launch(bay, IMAGE, count=COUNT, name=name)
    try:
        seconds["launch"] = round(time.monotonic() - began, 2)
        yield launched
    finally:
        began = time.monotonic()
        fleet.terminate(bay, name)
        _note(bay).unlink(missing_ok=True)
        seconds["terminate"] = round(time.monotonic() - began, 2)
        tell(f"\n== bay terminate {name}\nleft of it: {_count_left(bay, launched)} instances and processes")


def _interrupt() -> str:
    """Let Ctrl-C during the training end the whole demo, and the run with its instance."""
    raise KeyboardInterrupt


def _tell_launch(launched: Launch, tell: Tell) -> None:
    image = launched.image
    got = ""
    if launched.built_now:
        loaded = image.downloaded_bytes
        got = f"downloaded {format_bytes(loaded)}, " if loaded else "nothing to download (uv's cache had it all), "
    tell(
        f"image {image.name} {image.digest[:12]}: {got}{len(image.packages)} packages, {format_bytes(image.size_bytes)}"
    )
    tell(", ".join(f"{name} {format_duration(took)}" for name, took in launched.clock.items() if took is not None))


def _judge(bay: Bay, run: Run, test: Path, tell: Tell) -> Evaluation:
    card = models.show_model_card(bay, run.id)
    tell(
        f"model: {card.parameters:,} parameters in {len(card.layers)} layers, loss {card.loss}"
        if card.parameters
        else "model: unknown size"
    )
    evaluation = models.evaluate(bay, run.id, test)
    r2 = "unknown" if evaluation.r2 is None else format_number(evaluation.r2)
    tell(
        f"test MSE {format_number(evaluation.mse)}, RMSE {format_number(evaluation.rmse)}, "
        f"MAE {format_number(evaluation.mae)}, R2 {r2}"
    )
    predicted = models.predict(bay, run.id, test, rows="0:5")
    tell(f"first predictions: {_numbers(predicted.predictions)}; truth: {_numbers(predicted.targets or [])}")
    return evaluation


def _numbers(values: Sequence[object]) -> str:
    flat = [item[0] if isinstance(item, Sequence) else item for item in values]
    return ", ".join(f"{float(str(item)):.2f}" for item in flat)


def _count_left(bay: Bay, launched: Launch) -> int:
    """Count what remains of the demo's instances, as the provider and the system's process table tell it."""
    ids = {item.id for item in launched.instances}
    return sum(item.id in ids for item in bay.provider.observe()) + len(instance_processes(ids))


def _tell_summary(result: Demo, tell: Tell) -> None:
    tell("\n== done")
    for name, seconds in result.seconds.items():
        tell(f"  {name:10} {format_duration(seconds)}")
    tell(f"  {'in all':10} {format_duration(sum(result.seconds.values()))}")
    tell(
        f"test MSE {format_number(result.test_mse)}; {COUNT} instances {'identical' if result.identical else 'NOT identical'}; "
        f"left: {result.left} instances and processes"
    )
    if result.left:
        raise LaunchbayError(f"{result.left} instances or processes are left of the demo", hint="bay ps")
