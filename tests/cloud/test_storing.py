"""What a user gets of the store: data goes there once, and nothing is lost with an instance, on the twin's real hosts."""

from __future__ import annotations

import functools
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from launchbay.afar.origin import keep_until, read_origin
from launchbay.api.runs import list_runs, logs, resume, train
from launchbay.api.store import restore, show_store
from launchbay.api.wish import complete_training
from launchbay.cloud import storing
from launchbay.cloud.courier import start_courier
from launchbay.cloud.data import STORE_FROM_BYTES
from launchbay.cloud.end import end_cloud, plan_end_cloud
from launchbay.cloud.fleet import find_fleet
from launchbay.errors import NotFound, NotPermitted, UsageError
from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.cloud import open_cloud
from launchbay.lifecycle.twin import ask_twin
from launchbay.planning.store import CLOSED
from launchbay.store.records import Run
from tests.cloud.fleets import notes_of, row_of, standing_fleet, stop_all

pytestmark = pytest.mark.skipif(shutil.which("bwrap") is None, reason="hosts need bubblewrap")

SCRIPT = """\
import os, pathlib, sys, time
kept = pathlib.Path(os.environ['LAUNCHBAY_CHECKPOINT_DIR'])
print(sorted(path.name for path in pathlib.Path('data').iterdir()), flush=True)
began = len(list(kept.glob('*.ckpt')))
print('from step', began, flush=True)
for step in range(began, began + 3 if began else int(sys.argv[1])):  # a further attempt is short
    (kept / f'{step}.half').write_text(f'weights {step}')
    (kept / f'{step}.half').rename(kept / f'{step}.ckpt')
    print('step', step, flush=True)
    time.sleep(0.3)
pathlib.Path('model.onnx').write_bytes(b'made')
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, image_store: Callable[[str], Image]) -> Iterator[Bay]:
    with standing_fleet(tmp_path_factory.mktemp("storing"), image_store("tiny"), count=3) as bay:
        yield bay


@pytest.fixture
def bay(place: Bay, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bay]:
    """Return the bay, with couriers that look often; what still runs afterwards is stopped."""
    monkeypatch.setattr(storing, "start_courier", functools.partial(start_courier, every_s=0.5))
    notes_of(place)
    yield place
    if find_fleet(place.home, "exp") is not None:
        stop_all(place)


@pytest.fixture
def script(tmp_path: Path) -> Path:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "train.py").write_text(SCRIPT, encoding="utf-8")
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "rows.csv").write_text("1,2,3\n", encoding="utf-8")
    return tmp_path / "project" / "train.py"


def calls(bay: Bay, name: str) -> int:
    return int(ask_twin(bay.home, "calls").get(name, 0))


def wait_for(condition: Callable[[], object], *, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it does not come true"
        time.sleep(0.2)


def stored(bay: Bay, run: Run) -> int:
    """Count the objects that a run has in the store."""
    shelves = show_store(bay, "twin").shelves
    return sum(shelf.objects for shelf in shelves if shelf.prefix == f"runs/exp/{run.id}/")


def said(bay: Bay, run: Run) -> str:
    shown = bytearray()
    logs(bay, run.id, write=shown.extend)
    return shown.decode()


def test_large_data_goes_to_the_store_once_for_two_instances(bay: Bay, script: Path) -> None:
    rows = script.parent.parent / "rows"
    (rows / "large.bin").write_bytes(os.urandom(STORE_FROM_BYTES))
    before = calls(bay, "s3:PutObject")
    for name in ("exp-1", "exp-2"):
        run = train(bay, name, script, data=rows, args=["1"])
        assert run.state == "done"
        assert run.log.read_text().splitlines()[0] == "['large.bin', 'rows.csv']"
        assert (run.data, (run.work / "data").readlink()) == (str(rows), rows)
    data = [shelf for shelf in show_store(bay, "twin").shelves if shelf.prefix.startswith("data/")]
    assert [(shelf.objects, shelf.bytes > STORE_FROM_BYTES) for shelf in data] == [(2, True)]
    assert calls(bay, "s3:PutObject") - before == 2  # one piece and its index; the rest came by forms


def test_a_bucket_of_ones_own_has_all_of_a_training(bay: Bay, script: Path) -> None:
    client = open_cloud(bay, "twin", "us-east-1")
    client.raw("s3").create_bucket(Bucket="mine-own")
    client.raw("s3").put_public_access_block(Bucket="mine-own", PublicAccessBlockConfiguration=dict(CLOSED))
    own = replace(bay, environ={**bay.environ, "LAUNCHBAY_BUCKET": "mine-own"})
    rows = script.parent.parent / "rows"
    (rows / "own.bin").write_bytes(os.urandom(STORE_FROM_BYTES))
    run = train(own, "exp-1", script, data=rows, args=["1"])
    assert run.state == "done"
    view = show_store(own, "twin")
    assert (view.bucket, view.is_theirs) == ("mine-own", True)
    assert {shelf.prefix.split("/")[0] for shelf in view.shelves} == {"data", "runs"}
    assert stored(own, run) > 0
    assert stored(bay, run) == 0
    assert restore(own, "twin", "exp", run=run.id)


def test_data_on_s3_is_had_there_and_refused_here(bay: Bay, script: Path) -> None:
    s3 = open_cloud(bay, "twin", "us-east-1").raw("s3")
    s3.create_bucket(Bucket="someones-own")
    s3.put_object(Bucket="someones-own", Key="day/a.csv", Body=b"1,2\n")
    wish = complete_training(bay, ["exp-1", str(script)], data="s3://someones-own/day", args=["400"])
    assert wish.data == "s3://someones-own/day"
    run = train(bay, "exp-1", script, data=wish.data, args=["400"], detach=True)
    assert run.data == "s3://someones-own/day"
    wait_for(lambda: "step 1" in said(bay, run))
    stop_all(bay)
    run = resume(bay, run.id, instance="exp-2", detach=True)  # whose own copy comes from there too
    assert (run.attempt, run.data) == (2, "s3://someones-own/day")
    wait_for(lambda: said(bay, run).count("from step ") == 2)
    assert said(bay, run).count("['a.csv']\n") == 2
    assert not os.path.lexists(run.work / "data")
    assert any("work/data is left out" in note for note in notes_of(bay))
    with pytest.raises(NotFound, match="no bucket"):
        train(bay, "exp-1", script, data="s3://nobodys-own/day")
    with pytest.raises(UsageError, match="on this machine cannot read s3") as refused:
        train(bay, "near-1", script, data="s3://someones-own/day")
    assert "aws s3 cp --recursive s3://someones-own/day" in refused.value.hint


def test_a_run_goes_on_from_its_checkpoint_when_its_instance_was_ended_hard(bay: Bay, script: Path) -> None:
    run = train(bay, "exp-3", script, data=script.parent.parent / "rows", args=["2000"], detach=True)
    assert read_origin(run.folder).stored_until > 0
    wait_for(lambda: stored(bay, run) >= 8)
    ec2 = open_cloud(bay, "twin", "us-east-1").raw("ec2")
    ec2.terminate_instances(InstanceIds=[row_of(bay, "exp-3").id])
    ask_twin(bay.home, "advance", seconds=60)
    found = next(item for item in list_runs(bay) if item.id == run.id)
    notes = notes_of(bay)
    assert found.state == "lost"
    assert any("sent to the store is here" in note and f"--resume {run.id}" in note for note in notes)
    kept = len(list(found.checkpoints.glob("*.ckpt")))
    assert kept >= 3
    assert found.log.read_text().count("\nstep ") >= kept - 1
    done = resume(bay, run.id, instance="exp-2")
    assert (done.state, done.attempt, done.instance) == ("done", 2, "exp-2")
    assert f"from step {kept}\n" in done.log.read_text()
    assert len(list(done.checkpoints.glob("*.ckpt"))) == kept + 3
    assert (done.checkpoints / "0.ckpt").read_text() == "weights 0"
    assert (done.work / "model.onnx").read_bytes() == b"made"


def test_a_store_that_cannot_be_had_is_a_note(bay: Bay, script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise NotPermitted("s3:CreateBucket is not allowed")

    monkeypatch.setattr("launchbay.cloud.storing.open_store", refused)
    monkeypatch.setattr("launchbay.cloud.placing.open_store", refused)
    rows = script.parent.parent / "rows"
    (rows / "more.bin").write_bytes(os.urandom(STORE_FROM_BYTES))
    run = train(bay, "exp-1", script, data=rows, args=["1"])
    assert run.state == "done"
    assert [note.split(":")[0] for note in notes_of(bay) if "cannot be had" in note] == [
        "Data goes to each instance by SSH, for the store cannot be had",
        f"what {run.id} makes is on exp-1 alone until it is over",
    ]


def test_a_form_that_is_about_to_end_is_given_anew(bay: Bay, script: Path) -> None:
    run = train(bay, "exp-1", script, data=script.parent.parent / "rows", args=["400"], detach=True)
    origin = read_origin(run.folder)
    whole = origin.stored_until
    keep_until(run.folder, origin.provider, origin.region, bay.clock.now() + 60)
    assert next(item for item in list_runs(bay) if item.id == run.id).state == "running"
    assert read_origin(run.folder).stored_until == pytest.approx(whole, abs=60)


def test_an_end_says_what_stays_and_runs_can_be_got_back(bay: Bay) -> None:
    plan = plan_end_cloud(bay, "exp")
    assert plan is not None
    ended = end_cloud(bay, plan)
    assert ended.store is not None
    assert ended.store.runs.objects > 0
    assert ended.store.usd_per_month is not None
    assert restore(bay, "twin", "exp")
