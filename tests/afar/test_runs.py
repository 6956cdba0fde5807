"""Training on another machine: a real one, as far as a second home and real processes make one."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from launchbay.afar.bring import sync_run
from launchbay.afar.machine import FarMachine
from launchbay.afar.prepare import Prepared
from launchbay.afar.runs import follow_afar, submit_afar, train_afar
from launchbay.api.curves import curves
from launchbay.errors import Conflict, LaunchbayError, NotFound, WillFail
from launchbay.jsonable import to_json
from launchbay.lifecycle.bay import Bay
from launchbay.runs.end import stop_run
from launchbay.runs.train import RunSpec
from launchbay.store.records import Run, find_run, list_runs
from launchbay.transport.local import LocalTransport
from tests.runs.running import make_instance, run_it
from tests.runs.writing import FIRST, event, record, simple

CURVE = FIRST + b"".join(record(event(step, simple("loss", 1 / (step + 1)))) for step in range(20))
SCRIPT = """\
import json, os, pathlib, sys
assert 'LAUNCHBAY_ERRORS' not in os.environ  # that is between two Launchbays
print('rows', open('data/rows.csv').read().strip(), flush=True)
pathlib.Path('logs').mkdir()
pathlib.Path('logs/events.out.tfevents.1.x').write_bytes(pathlib.Path('curve.bin').read_bytes())
pathlib.Path('model.onnx').write_bytes(b'made of ' + sys.argv[1].encode())
pathlib.Path(os.environ['LAUNCHBAY_CHECKPOINT_DIR'], '1.ckpt').write_text('c')
os.symlink('model.onnx', 'best')
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a script in a folder with what does not belong to it, and data beside it."""
    top = tmp_path / "project"
    for folder in (".venv", "__pycache__", ".git"):
        (top / folder).mkdir(parents=True)
        (top / folder / "big").write_text("no", encoding="utf-8")
    (top / "curve.bin").write_bytes(CURVE)
    (top / "train.py").write_text(SCRIPT, encoding="utf-8")
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "rows.csv").write_text("1,2,3\n", encoding="utf-8")
    return top / "train.py"


def spec(script: Path, **more: Any) -> RunSpec:
    return RunSpec(script=script, data=script.parent.parent / "rows", **more)


def comparable(run: Run) -> Any:
    """Return what `--json` shows of a run, less what no two executions share."""
    text = json.dumps(to_json(run)).replace(run.id, "RUN")
    value = json.loads(text)
    for name in ("seconds", "cpu_seconds", "peak_memory_bytes", "supervisor_cpu_seconds", "created_at"):
        assert isinstance(value.pop(name), int | float)
    return value


def test_a_run_elsewhere_is_as_one_of_here(
    bay: Bay, prepared: Prepared, project: Path, with_image: Callable[[str], Any]
) -> None:
    said = bytearray()
    far = train_afar(bay, prepared.machine, "exp-1", spec(project, args=("it",)), fleet="exp", write=said.extend)
    assert said.decode() == "rows 1,2,3\n"
    assert far.log.read_bytes() == bytes(said)
    near, _ = run_it(
        bay, make_instance(bay, with_image("tiny")), project, data=project.parent.parent / "rows", args=("it",)
    )
    here, there = comparable(near), comparable(far)
    assert (there.pop("instance"), there.pop("fleet")) == ("exp-1", "exp")
    del here["instance"], here["fleet"]
    assert there == here
    assert {path.relative_to(far.folder) for path in far.work.rglob("*")} == {
        path.relative_to(near.folder) for path in near.work.rglob("*")
    }
    assert far.artifacts[0].sha256 == near.artifacts[0].sha256
    for path in [*far.folder.glob("*.json"), *far.folder.glob("attempts/*/*.json")]:
        if path.name != "afar.json":
            assert prepared.machine.home not in path.read_text(encoding="utf-8"), path
    assert find_run(bay.home, "latest").id in (far.id, near.id)
    shown = curves(bay, [far.id, near.id]).runs
    assert shown[far.id].scalars == shown[near.id].scalars
    assert shown[far.id].scalars

    # the same again: the folder and the data are there
    began = sizes(prepared.machine)
    again = submit_afar(bay, began, "exp-1", spec(project, args=("it",)))
    assert sum(began.transport.sent) < 20_000  # type: ignore[attr-defined]
    assert follow_afar(bay, prepared.machine, again.id, said.extend).state == "done"


class Counting(LocalTransport):
    """Counts what goes over."""

    sent: list[int] = []  # noqa: RUF012 - one test, one list

    def run(self, argv: Any, *, data: bytes = b"", timeout: float | None = None) -> Any:
        self.sent.append(len(data))
        return LocalTransport.run(self, argv, data=data, timeout=timeout)


def sizes(machine: FarMachine) -> FarMachine:
    given = machine.transport
    assert isinstance(given, LocalTransport)
    return replace(machine, transport=Counting(environment=given.environment, folder=given.folder))


def test_what_goes_wrong_there_is_told_here(bay: Bay, prepared: Prepared, project: Path, tmp_path: Path) -> None:
    machine = prepared.machine
    with pytest.raises(NotFound, match="there is no script"):
        submit_afar(bay, machine, "exp-1", spec(tmp_path / "project" / "tarin.py"))
    with pytest.raises(NotFound, match="there is no data folder"):
        submit_afar(bay, machine, "exp-1", RunSpec(script=project, data=tmp_path / "none"))
    with pytest.raises(NotFound, match="nobody"):
        submit_afar(bay, machine, "nobody", spec(project))
    project.write_text("import tensorflow\n", encoding="utf-8")
    with pytest.raises(WillFail, match="tensorflow") as refused:
        submit_afar(bay, machine, "exp-1", spec(project))
    assert refused.value.problems
    assert list(list_runs(bay.home)) == []
    project.write_text("raise SystemExit(3)\n", encoding="utf-8")
    run = train_afar(bay, machine, "exp-1", spec(project))
    assert (run.state, run.exit_code) == ("failed", 3)


SLOW = """\
import pathlib, time
pathlib.Path('logs').mkdir()
pathlib.Path('logs/events.out.tfevents.1.x').write_bytes(pathlib.Path('curve.bin').read_bytes())
print('up', flush=True)
time.sleep(600)
"""


def test_it_is_followed_detached_from_and_stopped(bay: Bay, prepared: Prepared, project: Path) -> None:
    project.write_text(SLOW, encoding="utf-8")
    started = train_afar(bay, prepared.machine, "exp-1", spec(project), detach=True)
    assert (started.state, started.afar) == ("running", "far")
    said: list[tuple[float, bytes]] = []

    def hear(chunk: bytes) -> None:
        said.append((time.monotonic(), chunk))
        until = time.monotonic() + 20
        while not curves_here():
            assert time.monotonic() < until, "its curves never came"
            time.sleep(0.05)
        raise KeyboardInterrupt

    def curves_here() -> bool:
        return (started.work / "logs" / "events.out.tfevents.1.x").exists()

    left = follow_afar(bay, prepared.machine, started.id, hear, on_interrupt=lambda: "detach", sync_every_s=0.1)
    assert b"".join(chunk for _, chunk in said) == b"up\n"
    assert left.state == "running"
    assert curves(bay, [started.id]).runs[started.id].scalars
    with pytest.raises(Conflict, match="is on far"):
        stop_run(bay, left)

    rest = bytearray()

    def interrupt(chunk: bytes) -> None:
        rest.extend(chunk)
        raise KeyboardInterrupt

    prepared.machine.call(["stop", started.id])
    stopped = follow_afar(bay, prepared.machine, started.id, interrupt, skip=3)
    assert (bytes(rest), stopped.state) == (b"", "stopped")
    assert sync_run(bay, prepared.machine, started.id).state == "stopped"


def test_ctrl_c_stops_it_there(bay: Bay, prepared: Prepared, project: Path) -> None:
    project.write_text(SLOW, encoding="utf-8")

    def interrupt(_: bytes) -> None:
        raise KeyboardInterrupt

    run = train_afar(bay, prepared.machine, "exp-1", spec(project), write=interrupt)
    assert run.state == "stopped"
    assert (run.work / "train.py").read_text(encoding="utf-8") == SLOW


def test_a_line_that_breaks_is_told_and_taken_up_again(bay: Bay, prepared: Prepared, project: Path) -> None:
    run = submit_afar(bay, prepared.machine, "exp-1", spec(project, args=("it",)))

    class Broken(LocalTransport):
        def stream(self, *_: Any, **__: Any) -> int:
            raise LaunchbayError("the line is cut")

    given = prepared.machine.transport
    assert isinstance(given, LocalTransport)
    broken = replace(prepared.machine, transport=Broken(environment=given.environment, folder=given.folder))
    with pytest.raises(LaunchbayError, match="the line is cut"):
        follow_afar(bay, broken, run.id, lambda _: None)
    assert follow_afar(bay, prepared.machine, run.id, lambda _: None).state == "done"
