"""The real TensorBoard, over runs."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import launchbay
from launchbay.errors import Conflict, NotFound
from launchbay.home import new_id
from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay
from launchbay.planning.fleet import Instance
from launchbay.store.records import write_run
from launchbay.store.service import Service
from launchbay.testing import RecordingReporter
from tests.runs.running import Project, make_instance, run_it
from tests.services.asking import ask
from tests.services.conftest import holds, left_running
from tests.sockets import listening

LOGS = Path(__file__).parents[1] / "runs" / "data" / "keras"
SCRIPT = f"import shutil; shutil.copytree({str(LOGS)!r}, 'logs')\n"


def make_run(bay: Bay, digest: str = "", **record: object) -> str:
    """Write down a run that is over, of an instance that is gone."""
    name = new_id("run", time.time())
    folder = bay.home.runs / name
    fields = {"instance": "old-1", "instance_id": "i-0", "fleet": "old", "image": "x", "script": "train.py", "args": []}
    write_run(
        folder,
        {**fields, "digest": digest, "data": None, "data_files": {}, "created_at": time.time(), **record},
    )
    shutil.copytree(LOGS, folder / "work" / "logs")
    (folder / "process.json").write_text('{"pid": 1, "start": -1, "boot": "gone"}', encoding="utf-8")
    (folder / "result.json").write_text('{"state": "done", "logdirs": ["logs/train"]}', encoding="utf-8")
    return name


def runs_shown(service: Service, *, until: Callable[[set[str]], bool] = bool) -> set[str]:
    """Return the runs that TensorBoard shows, by the names that their ids begin; waits until it has read them."""
    end = time.monotonic() + 30
    while True:
        answer = ask(service, "/data/runs", Authorization=f"Bearer {service.token}")
        found = {name.partition("/")[0] for name in answer.value}
        if until(found):
            return found
        assert time.monotonic() < end, found
        time.sleep(0.1)


@pytest.fixture
def tensorflow(with_image: Callable[[str], Image]) -> Image:
    return with_image("tensorflow")


def test_runs_of_terminated_instances_behind_a_token(bay: Bay, tensorflow: Image) -> None:
    names = {make_run(bay, tensorflow.digest), make_run(bay, tensorflow.digest)}
    service = launchbay.board(bay)
    assert service.pid is not None
    assert listening(service.pid) == {("127.0.0.1", service.port)}  # no second port of a faster loader either
    for path in ("/", "/data/runs", "/data/logdir", "/data/plugins_listing", "/index.js", "/no-such"):
        refused = ask(service, path)
        assert refused.status == 401, path
        assert not any(name.encode() in refused.body for name in names)
        assert ask(service, path, Host="evil.example", Authorization=f"Bearer {service.token}").status == 403
    assert runs_shown(service, until=names.issubset) == names
    tags = ask(service, "/data/plugin/scalars/tags", Authorization=f"Bearer {service.token}")
    assert all("epoch_loss" in found for found in tags.value.values())


@pytest.mark.usefixtures("tensorflow")
def test_signing_in_with_the_page_that_a_browser_is_given(bay: Bay) -> None:
    service = launchbay.board(bay)
    page = service.door.read_text(encoding="utf-8")
    action = re.search(r'action="http://127\.0\.0\.1:(\d+)(/[^"]*)"', page)
    token = re.search(r'name="token" value="([^"]+)"', page)
    assert action is not None
    assert token is not None
    assert int(action[1]) == service.port
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    assert ask(service, action[2], method="POST", body="token=wrong", **form).status == 401
    signed_in = ask(service, action[2], method="POST", body=f"token={token[1]}", **form)
    assert ask(service, "/data/runs", Cookie=signed_in.headers["Set-Cookie"].partition(";")[0]).value == []
    assert service.door.stat().st_mode & 0o077 == 0


def test_the_token_is_in_its_file_and_its_page_alone(bay: Bay, tensorflow: Image) -> None:
    make_run(bay, tensorflow.digest)
    service = launchbay.board(bay)
    runs_shown(service)
    ask(service, f"/?token={service.token}")
    assert holds(service.folder, service.token) == ["open.html", "token"]
    assert service.pid is not None
    for pid in Path("/proc").glob("[0-9]*"):
        if pid.joinpath("cmdline").exists():
            assert service.token.encode() not in pid.joinpath("cmdline").read_bytes()
    assert service.token not in service.log.read_text(encoding="utf-8")


def test_a_standing_board_shows_what_is_asked_for_and_what_comes_later(bay: Bay, tensorflow: Image) -> None:
    first, second = make_run(bay, tensorflow.digest), make_run(bay, tensorflow.digest, args=["--rate", "0.1"])
    service = launchbay.board(bay, [first])
    assert runs_shown(service) == {first}
    again = launchbay.board(bay)
    assert again.pid == service.pid
    named = f"{second} --rate 0.1"
    assert runs_shown(service, until=lambda found: len(found) == 2) == {first, named}
    later = make_run(bay, tensorflow.digest)
    assert runs_shown(service, until=lambda found: len(found) == 3) == {first, named, later}
    launchbay.board(bay, [second[-5:]])
    assert runs_shown(service, until=lambda found: len(found) == 1) == {named}


def test_a_fleet_that_is_gone(bay: Bay, tensorflow: Image) -> None:
    mine = make_run(bay, tensorflow.digest, fleet="mine", instance="mine-2")
    make_run(bay, tensorflow.digest)
    service = launchbay.board(bay, ["mine"])
    assert runs_shown(service) == {mine}
    assert launchbay.board(bay, ["mine-2"]).pid == service.pid
    with pytest.raises(NotFound, match="no run, instance or fleet 'mime'"):
        launchbay.board(bay, ["mime"])


@pytest.mark.usefixtures("tensorflow")
def test_an_instance_has_a_board_of_its_own_that_ends_with_it(
    bay: Bay, with_image: Callable[[str], Image], project: Project
) -> None:
    instance = make_instance(bay, with_image("tiny"))
    make_run(bay)
    script = project({"train.py": SCRIPT})
    common, own = launchbay.board(bay), launchbay.board(bay, [instance.name])
    assert (own.instance, common.instance) == (instance.name, None)
    assert own.port != common.port
    assert own.token != common.token
    assert ask(own, "/data/runs", Authorization=f"Bearer {common.token}").status == 401
    run, _ = run_it(bay, instance, script)
    assert run.state == "done", run
    assert runs_shown(own) == {run.id}
    launchbay.stop(bay, instance.name)
    assert not left_running(instance)
    assert launchbay.end_board(bay).is_running is False


def test_ending_it(bay: Bay, tensorflow: Image) -> None:
    with pytest.raises(NotFound, match="no board"):
        launchbay.end_board(bay)
    service = launchbay.board(bay)
    with pytest.raises(Conflict, match="board"):
        launchbay.remove_image(bay, tensorflow.digest)
    ended = launchbay.end_board(bay)
    assert (ended.is_running, ended.port) == (False, service.port)
    assert holds(service.folder, service.token) == ["token"]
    assert launchbay.board(bay).token == service.token


@pytest.mark.usefixtures("tensorflow")
def test_ps_says_that_it_stands(bay: Bay, reporter: RecordingReporter) -> None:
    service = launchbay.board(bay)
    launchbay.ps(bay)
    assert any(service.url in note and "MB" in note for note in reporter.notes)


def test_without_an_image_that_has_tensorboard(bay: Bay, with_image: Callable[[str], Image]) -> None:
    with_image("tiny")
    with pytest.raises(Conflict, match="TensorBoard comes with an image") as caught:
        launchbay.board(bay)
    assert caught.value.hint == "bay image build tensorflow"


def break_record(path: Path, number: int) -> None:
    """Make a record of an event file one that nobody can read; its length stays right."""
    data, at = bytearray(path.read_bytes()), 0
    for _ in range(number):
        at += 16 + int.from_bytes(data[at : at + 8], "little")
    size = int.from_bytes(data[at : at + 8], "little")
    data[at + 12 : at + 12 + size] = b"\xff" * size
    path.write_bytes(data)


def test_a_damaged_record_hides_what_is_behind_it_and_nothing_else(bay: Bay, tensorflow: Image) -> None:
    broken, whole = make_run(bay, tensorflow.digest), make_run(bay, tensorflow.digest)
    (events,) = (bay.home.runs / broken / "work" / "logs" / "train").iterdir()
    break_record(events, 30)
    service = launchbay.board(bay)
    runs_shown(service, until={broken, whole}.issubset)
    known = {"Authorization": f"Bearer {service.token}"}
    counts = {}
    for name in (broken, whole):
        path = f"/data/plugin/scalars/scalars?run={name}/logs/train&tag=epoch_loss"
        counts[name] = len(ask(service, path, **known).value)
    assert 0 < counts[broken] < counts[whole]
    later = make_run(bay, tensorflow.digest)
    runs_shown(service, until=lambda found: later in found)


def test_the_image_of_the_run_comes_first(bay: Bay, tensorflow: Image, instance: Instance) -> None:
    """An image without TensorBoard is passed over."""
    make_run(bay, tensorflow.digest)
    make_run(bay, instance.digest)
    service = launchbay.board(bay)
    assert service.pid is not None
    assert tensorflow.digest.encode() in Path(f"/proc/{service.pid}/cmdline").read_bytes()
