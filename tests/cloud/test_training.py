"""Runs on instances on EC2, on the twin's real hosts: followed, brought home, stopped, resumed, and lost."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from launchbay.afar.origin import read_origin, write_origin
from launchbay.afar.runs import follow_afar
from launchbay.api.curves import curves
from launchbay.api.fleet import copy, execute, stop
from launchbay.api.models import evaluate, show_model_card
from launchbay.api.runs import list_runs, logs, resume, train
from launchbay.api.wish import complete_training
from launchbay.cloud import training
from launchbay.cloud.fleet import find_fleet, forget_fleet
from launchbay.cloud.models import show_model_far
from launchbay.cloud.training import bring_runs, running_runs
from launchbay.errors import Conflict, LaunchbayError, NotFound, UserError, WillFail
from launchbay.home import new_id
from launchbay.images.image import Image, find_image
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.cloud import open_cloud
from launchbay.lifecycle.twin import ask_twin
from launchbay.models.inspect import show_model
from launchbay.store.records import Run, find_run
from launchbay.transport.trouble import ConnectionBroken
from tests.cloud.fleets import far_of, notes_of, row_of, standing_fleet, stop_all
from tests.onboard.handmade import onnx
from tests.providers.specs import make_specs
from tests.runs.writing import FIRST, event, record, simple

pytestmark = pytest.mark.skipif(shutil.which("bwrap") is None, reason="hosts need bubblewrap")

CURVE = FIRST + b"".join(record(event(step, simple("loss", 1 / (step + 1)))) for step in range(20))
SCRIPT = """\
import os, pathlib, sys, time
kept = pathlib.Path(os.environ['LAUNCHBAY_CHECKPOINT_DIR'])
done = sorted(path.name for path in kept.iterdir())
print('rows', open('data/rows.csv').read().strip(), 'after', done, flush=True)
(kept / f'{len(done)}.ckpt').write_text('c')
pathlib.Path('logs').mkdir(exist_ok=True)
pathlib.Path(f'logs/events.out.tfevents.{len(done)}.x').write_bytes(pathlib.Path('curve.bin').read_bytes())
pathlib.Path('model.onnx').write_bytes(b'made of ' + sys.argv[1].encode())
if len(done) < int(sys.argv[2]):
    print('waiting', flush=True)
    time.sleep(600)
print('whole', flush=True)
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, image_store: Callable[[str], Image]) -> Iterator[Bay]:
    """Return a bay with a fleet of two on the spot market that stands."""
    with standing_fleet(tmp_path_factory.mktemp("training"), image_store("tiny"), is_spot=True) as bay:
        yield bay


@pytest.fixture
def bay(place: Bay) -> Iterator[Bay]:
    """Return the bay; what still runs afterwards is stopped."""
    notes_of(place)
    yield place
    if find_fleet(place.home, "exp") is not None:
        stop_all(place)


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """Return a script in a folder of its own; its data lies beside that."""
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "curve.bin").write_bytes(CURVE)
    (tmp_path / "project" / "train.py").write_text(SCRIPT, encoding="utf-8")
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "rows.csv").write_text("1,2,3\n", encoding="utf-8")
    return tmp_path / "project" / "train.py"


def started(bay: Bay, script: Path, *, waits: int = 0, instance: str = "exp-1") -> Run:
    """Train; in as many attempts the script waits until it is ended."""
    given: dict[str, Any] = {"data": script.parent.parent / "rows", "args": ["it", str(waits)]}
    return train(bay, instance, script, **given, detach=True)


def waiting(bay: Bay, run: Run) -> Run:
    """Wait until the script waits."""
    end = time.monotonic() + 60
    while b"waiting" not in said(bay, run)[said_before(run) :]:
        assert time.monotonic() < end
    return find_run(bay.home, run.id)


def said_before(run: Run) -> int:
    return run.log_start


def said(bay: Bay, run: Run) -> bytes:
    """Return what `bay logs` shows."""
    shown = bytearray()
    logs(bay, run.id, write=shown.extend)
    return bytes(shown)


def test_a_run_there_is_followed_and_comes_home(bay: Bay, script: Path) -> None:
    shown, begun = bytearray(), list[Run]()
    given: dict[str, Any] = {"data": script.parent.parent / "rows", "args": ["it", "0"]}
    run = train(bay, "exp-1", script, **given, write=shown.extend, on_start=begun.append)
    assert bytes(shown) == b"rows 1,2,3 after []\nwhole\n"
    assert [(item.id, item.state) for item in begun] == [(run.id, "running")]
    assert (run.state, run.instance, run.fleet, run.afar) == ("done", "exp-1", "exp", "exp-1")
    assert (run.script, run.data) == (str(script), str(script.parent.parent / "rows"))
    assert (run.work / "model.onnx").read_bytes() == b"made of it"
    assert curves(bay, [run.id]).runs[run.id].scalars
    assert said(bay, run) == bytes(shown)
    calls = sum(ask_twin(bay.home, "calls").values())
    assert list_runs(bay)[-1].state == "done"
    assert not stop(bay, run.id).changed
    assert sum(ask_twin(bay.home, "calls").values()) == calls  # EC2 is not asked about what is home
    assert notes_of(bay) == []


def test_one_that_was_detached_comes_home_when_runs_are_listed(bay: Bay, script: Path) -> None:
    run = started(bay, script, instance="exp-2")
    end = time.monotonic() + 60
    while not (run := list_runs(bay)[-1]).is_over:
        assert time.monotonic() < end
    assert (run.state, (run.work / "model.onnx").exists()) == ("done", True)


def test_ctrl_c_detaches_or_stops_and_logs_follow_again(bay: Bay, script: Path) -> None:
    def interrupted(part: bytes) -> None:
        if b"waiting" in part:
            raise KeyboardInterrupt

    given: dict[str, Any] = {"data": script.parent.parent / "rows", "args": ["it", "1"]}
    run = train(bay, "exp-1", script, **given, write=interrupted, on_interrupt=lambda: "detach")
    assert run.state == "running"
    assert curves(bay, [run.id]).runs[run.id].scalars  # while it goes on
    with pytest.raises(NotFound, match="goes on"):
        show_model_card(bay, run.id)
    shown = bytearray()

    def leaving(part: bytes) -> None:
        shown.extend(part)
        interrupted(part)

    assert logs(bay, run.id, write=leaving, follow=True).state == "running"
    assert shown.startswith(b"rows 1,2,3 after []\n")
    ended = stop(bay, run.id)
    assert (ended.state, ended.names, ended.changed) == ("stopped", [run.id], True)
    assert find_run(bay.home, run.id).is_over
    run = train(bay, "exp-1", script, **given, write=interrupted, on_interrupt=lambda: "stop")
    assert run.state == "stopped"


def test_a_connection_that_breaks_is_opened_again_and_nothing_is_shown_twice(
    bay: Bay, script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = started(bay, script, waits=0)
    follow, times = follow_afar, list[int]()

    def breaking(bay: Bay, machine: Any, identity: str, write: Callable[[bytes], None], **options: Any) -> Run:
        times.append(options["skip"])
        if len(times) > 1:
            return follow(bay, machine, identity, write, **options)

        def cut(part: bytes) -> None:
            write(part)
            loop, connection = machine.transport._made  # noqa: SLF001 - as if the network went away
            loop.soon(connection._open.abort)  # noqa: SLF001
            raise ConnectionBroken("the connection was lost")

        return follow(bay, machine, identity, cut, **options)

    monkeypatch.setattr(training, "follow_afar", breaking)
    shown = bytearray()
    ended = training.follow_far(bay, run, shown.extend)
    assert bytes(shown) == b"rows 1,2,3 after []\nwhole\n"
    assert ended.state == "done"
    assert any("is tried again" in note for note in notes_of(bay))
    assert times[1] > 0


def test_it_is_resumed_where_it_was_and_on_another_instance(bay: Bay, script: Path) -> None:
    run = waiting(bay, started(bay, script, waits=4))
    with pytest.raises(Conflict, match="still goes on"):
        resume(bay, run.id)
    stop(bay, run.id)
    run = waiting(bay, resume(bay, run.id, detach=True))
    assert (run.attempt, run.instance) == (2, "exp-1")
    stop(bay, run.id)
    run = waiting(bay, resume(bay, run.id, instance="exp-2", detach=True))
    assert (run.attempt, run.instance) == (3, "exp-2")
    assert b"after ['0.ckpt', '1.ckpt']" in said(bay, run)
    stop(bay, run.id)
    run = waiting(bay, resume(bay, run.id, detach=True))  # where it was last
    assert (run.attempt, run.instance) == (4, "exp-2")
    stop(bay, run.id)
    run = resume(bay, run.id, instance="exp-1")  # where what it left is by now another
    assert (run.attempt, run.instance, run.state) == (5, "exp-1", "done")
    assert said(bay, run).endswith(b"after ['0.ckpt', '1.ckpt', '2.ckpt', '3.ckpt']\nwhole\n")
    assert [item.instance for item in run.earlier] == ["exp-1", "exp-1", "exp-2", "exp-2"]
    assert {item.path.name for item in run.artifacts} >= {"model.onnx"}
    with pytest.raises(Conflict, match="is done"):
        resume(bay, run.id, instance="exp-2")


def test_it_goes_on_here_and_one_of_here_goes_on_there(
    bay: Bay, script: Path, image_store: Callable[[str], Image]
) -> None:
    mine = find_image(bay.home, image_store("tiny").digest)
    assert mine is not None
    specs = [replace(spec, id=new_id("i", time.time()), name="near-1", fleet="near") for spec in make_specs(mine, 1)]
    bay.provider.create(specs, mine, made=lambda _: None)
    (here,) = bay.provider.observe()
    moved = waiting(bay, started(bay, script, waits=1))
    stop(bay, moved.id)
    moved = resume(bay, moved.id, instance=here.name)
    assert (moved.attempt, moved.state, moved.instance, moved.afar) == (2, "done", here.name, None)
    near = waiting(bay, started(bay, script, waits=1, instance=here.name))
    stop(bay, near.id)
    near = resume(bay, near.id, instance="exp-2")
    assert (near.attempt, near.state, near.instance, near.afar) == (2, "done", "exp-2", "exp-2")
    bay.provider.delete([here])


def test_what_cannot_be_trained_is_one_error_and_leaves_no_run(bay: Bay, script: Path, tmp_path: Path) -> None:
    before = len(list_runs(bay))
    with pytest.raises(NotFound, match=r"there is no script .*tarin\.py"):
        train(bay, "exp-1", script.parent / "tarin.py")
    with pytest.raises(NotFound, match="there is no data folder"):
        train(bay, "exp-1", script, data=tmp_path / "none")
    with pytest.raises(UserError, match="time limit"):
        train(bay, "exp-1", script, timeout_s=-1)
    with pytest.raises(NotFound, match="no environment"):
        train(bay, "exp-1", script, env="nosuch")
    script.write_text("import tensorflow\n", encoding="utf-8")
    with pytest.raises(WillFail, match="tensorflow") as refused:
        train(bay, "exp-1", script)
    assert "/home/ubuntu" not in str(refused.value)
    assert len(list_runs(bay)) == before


def test_no_room_there_is_said(bay: Bay, script: Path) -> None:
    home = "/home/ubuntu/.launchbay"
    execute(bay, "exp-2", ["sh", "-c", f"mv {home}/afar {home}/kept; ln -s /dev/full {home}/afar"], capture=True)
    (script.parent / "new.txt").write_text(str(time.time()), encoding="utf-8")
    with pytest.raises(LaunchbayError) as refused:
        started(bay, script, instance="exp-2")
    assert "bug" not in str(refused.value)
    execute(bay, "exp-2", ["sh", "-c", f"rm {home}/afar; mv {home}/kept {home}/afar"], capture=True)
    assert started(bay, script, instance="exp-2").state == "running"


def test_bay_yaml_alone_finds_the_fleet(bay: Bay, script: Path) -> None:
    (script.parent / "bay.yaml").write_text("name: exp\nimage: tiny\nscript: train.py\n", encoding="utf-8")
    assert complete_training(bay, [], data=None, args=None, folder=script.parent).instance == "exp-1"


def test_a_model_is_read_there_as_here(bay: Bay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.onnx").write_bytes(onnx())
    here = show_model(tmp_path / "model.onnx", ask=lambda command, request: _ask(bay, command, request))
    assert show_model_far(bay, far_of(bay, "exp-1"), tmp_path / "model.onnx", "onnx") == here
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n", encoding="utf-8")

    def none(*_: object) -> Image:
        raise Conflict("no image loads it", hint="bay image build pytorch")

    monkeypatch.setattr("launchbay.api.models.choose_image", none)
    trust = here.sha256
    with pytest.raises(Conflict, match="no image loads it") as refused:
        evaluate(bay, str(tmp_path / "model.onnx"), tmp_path / "rows.csv", trust=trust)
    assert "bay launch pytorch --provider ec2" in refused.value.hint
    monkeypatch.setattr("launchbay.api.models.recipe_for", lambda _: "tiny")
    with pytest.raises(Conflict, match="an image with onnxruntime"):  # asked there, of an image that has none either
        evaluate(bay, str(tmp_path / "model.onnx"), tmp_path / "rows.csv", trust=trust)
    assert any("exp-1 does" in note for note in notes_of(bay))


def _ask(bay: Bay, command: str, request: Any) -> Any:
    from launchbay.lifecycle.scratch import ask_here

    return ask_here(bay, command, request)


def test_a_silent_instance_is_told_of_and_what_is_known_is_shown(bay: Bay, script: Path) -> None:
    run = waiting(bay, started(bay, script, waits=1))
    client = open_cloud(bay, "twin", "us-east-1")
    (group,) = client.ask("describe_security_groups", Filters=[{"Name": "group-name", "Values": ["*exp*"]}])[
        "SecurityGroups"
    ]
    client.act("revoke_security_group_ingress", GroupId=group["GroupId"], IpPermissions=group["IpPermissions"])
    try:
        notes_of(bay)
        assert said(bay, run).endswith(b"waiting\n")
        assert any(f"{run.id} is shown as it was" in note and "(running)" in note for note in notes_of(bay))
        assert list_runs(bay)[-1].state == "running"
    finally:
        client.act("authorize_security_group_ingress", GroupId=group["GroupId"], IpPermissions=group["IpPermissions"])
    notes_of(bay)
    assert said(bay, run).endswith(b"waiting\n")
    assert notes_of(bay) == []


def test_other_credentials_make_no_run_lost(bay: Bay, script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = waiting(bay, started(bay, script, waits=1))
    fleet = find_fleet(bay.home, "exp")
    assert fleet is not None
    origin = read_origin(run.folder)
    assert running_runs(bay, fleet)[-1].id == run.id
    with monkeypatch.context() as others:  # to whom EC2 shows nothing of ours
        others.setattr("launchbay.cloud.training.observe_fleets", lambda *_: {})
        others.setattr("launchbay.cloud.standing.observe_fleets", lambda *_: {})
        others.setattr("launchbay.cloud.standing.list_ended", lambda *_: ())
        assert list_runs(bay)[-1].state == "running"
    assert any("or does not show it to these credentials" in note for note in notes_of(bay))
    # another instance of that name stands where it was: that is proof
    write_origin(run.folder, replace(origin, machine_id="i-0000"), state="running", seen_at=time.time())
    assert list_runs(bay)[-1].state == "lost"
    write_origin(run.folder, origin, state="running", seen_at=time.time())
    assert list_runs(bay)[-1].state == "running"


def test_a_spot_interruption_loses_no_more_than_it_must(bay: Bay, script: Path) -> None:
    going = waiting(bay, started(bay, script, waits=1, instance="exp-2"))
    other = waiting(bay, started(bay, script, waits=1))
    fleet = find_fleet(bay.home, "exp")
    assert fleet is not None
    assert [run.id for run in bring_runs(bay, fleet)] == [going.id, other.id]
    ask_twin(bay.home, "interrupt", instance=row_of(bay, "exp-2").id, notice_s=0)
    ask_twin(bay.home, "advance", seconds=60)
    brought = bring_runs(bay, fleet)
    assert [(run.id, run.state) for run in brought] == [(going.id, "lost"), (other.id, "running")]
    assert any("spot interruption" in note for note in notes_of(bay))
    assert [run.id for run in running_runs(bay, fleet)] == [other.id]
    assert curves(bay, [going.id]).runs[going.id].scalars
    with pytest.raises(NotFound, match=r"exp-2 is gone: EC2 took it back \(a spot interruption\)"):
        resume(bay, going.id)
    with pytest.raises(NotFound, match="spot interruption"):
        started(bay, script, instance="exp-2")
    assert stop_all(bay) == ["stopped"]
    resumed = resume(bay, going.id, instance="exp-1", detach=True)
    assert (resumed.attempt, resumed.instance) == (2, "exp-1")
    stop_all(bay)
    copy(bay, str(script), "exp-1:")

    left = waiting(bay, started(bay, script, waits=1))
    forget_fleet(bay.home, "exp")
    assert find_run(bay.home, left.id).state == "running"
    assert list_runs(bay)[-1].state == "lost"  # its fleet was ended from here
