"""Launching: all or none, nothing twice, one name one fleet."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from launchbay.errors import Conflict, LaunchbayError, NotFound, UsageError, UserError
from launchbay.files import locked
from launchbay.home import Home
from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay, connect
from launchbay.lifecycle.build import image_lock_path
from launchbay.lifecycle.end import terminate
from launchbay.lifecycle.images import remove_image
from launchbay.lifecycle.launch import launch_fleet
from launchbay.planning.fleet import Instance, InstanceSpec
from launchbay.providers.layer import PthLayer
from launchbay.providers.local import LocalProvider
from launchbay.store.journal import open_journal
from launchbay.testing import RecordingReporter
from tests.lifecycle.killing import folders, kill_at, leftovers


@dataclass
class FailingLayer(PthLayer):
    """Raises at the k-th instance, when its files are written."""

    error: Exception
    at: int

    def create(self, root: Path, image: Image) -> None:
        super().create(root, image)
        self.at -= 1
        if self.at == 0:
            raise self.error


@dataclass
class Witness:
    """A local provider that lets somebody look, at every observation and before it makes the first instance."""

    inner: LocalProvider
    observed: Callable[[], object] = lambda: None
    creating: Callable[[], object] = lambda: None
    name: str = "local"

    def observe(self) -> Sequence[Instance]:
        found = self.inner.observe()
        self.observed()
        return found

    def unread(self, observed: Sequence[Instance]) -> int:
        return self.inner.unread(observed)

    def create(self, specs: Sequence[InstanceSpec], image: Image, *, made: Callable[[Instance], None]) -> None:
        self.creating()
        self.inner.create(specs, image, made=made)

    def delete(self, instances: Sequence[Instance]) -> None:
        self.inner.delete(instances)

    def sweep(self) -> Sequence[str]:
        return self.inner.sweep()


def with_layer(bay: Bay, layer: PthLayer) -> Bay:
    return replace(bay, provider=LocalProvider(bay.home, bay.clock, layers=lambda _: layer))


def witness(bay: Bay) -> Witness:
    return Witness(LocalProvider(bay.home, bay.clock))


def names(bay: Bay) -> list[str]:
    return [item.name for item in bay.provider.observe()]


def unfinished(bay: Bay) -> list[str]:
    with open_journal(bay.home.journal, bay.clock, bay.reporter.note) as journal:
        return [f"{item.verb} {item.subject}" for verb in ("launch", "terminate") for item in journal.unfinished(verb)]


def assert_nothing_left(bay: Bay) -> None:
    assert names(bay) == []
    assert folders(bay.home) == []
    assert leftovers(bay.home) == []
    assert unfinished(bay) == []


# --- what a launch brings -------------------------------------------------------------------------------------------


def test_a_launch_brings_n_identical_ones_with_its_clock(bay: Bay, tiny: str, reporter: RecordingReporter) -> None:
    launched = launch_fleet(bay, tiny, count=3, name="exp")
    assert [item.name for item in launched.instances] == list(launched.created) == ["exp-1", "exp-2", "exp-3"]
    assert len({item.id for item in launched.instances}) == 3
    assert launched.identical
    assert not launched.built_now
    assert list(launched.clock) == ["plan", "create", "verify", "first_import"]
    assert all((launched.clock[name] or 0) >= 0 for name in ("plan", "create", "verify"))
    assert launched.clock["first_import"] is None  # no framework in it: unknown, not zero
    progress = [event for event in reporter.events if event.task == "launch exp"]
    assert [event.done for event in progress] == [1, 2, 3]
    assert [event.finished for event in progress] == [False, False, True]
    for item in launched.instances:
        assert connect(bay, item).run(["python", "-c", "import six"]).code == 0


def test_the_same_command_again_does_nothing(bay: Bay, tiny: str) -> None:
    first = launch_fleet(bay, tiny, count=3, name="exp")
    before = {path: path.stat().st_mtime_ns for path in bay.home.instances.rglob("*")}
    again = launch_fleet(bay, tiny, count=3, name="exp")
    assert (list(again.instances), list(again.created)) == (list(first.instances), [])
    assert again.identical
    assert {path: path.stat().st_mtime_ns for path in bay.home.instances.rglob("*")} == before


def test_only_the_missing_one_is_made_again(bay: Bay, tiny: str) -> None:
    first = launch_fleet(bay, tiny, count=3, name="exp")
    (first.instances[0].root / "work" / "notes.txt").write_text("mine", encoding="utf-8")
    terminate(bay, "exp-2")
    again = launch_fleet(bay, tiny, count=3, name="exp")
    assert list(again.created) == ["exp-2"]
    assert [item.id for item in again.instances][::2] == [item.id for item in first.instances][::2]
    assert again.instances[1].id != first.instances[1].id
    assert (first.instances[0].root / "work" / "notes.txt").read_text(encoding="utf-8") == "mine"


def test_a_neighbour_that_was_changed_does_not_stop_the_missing_one(bay: Bay, tiny: str) -> None:
    first = launch_fleet(bay, tiny, count=2, name="exp")
    stray = next((first.instances[0].root / "env" / "lib").glob("*/site-packages")) / "mine.py"
    stray.write_text("", encoding="utf-8")
    terminate(bay, "exp-2")
    again = launch_fleet(bay, tiny, count=2, name="exp")
    assert list(again.created) == ["exp-2"]
    assert not again.identical
    assert stray.exists()


def test_twenty_stand_in_order(bay: Bay, tiny: str) -> None:
    launched = launch_fleet(bay, tiny, count=20, name="exp")
    assert [item.name for item in launched.instances] == [f"exp-{number}" for number in range(1, 21)]
    assert launched.identical


# --- all or none ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_failure_at_the_kth_leaves_nothing(bay: Bay, tiny: str, at: int) -> None:
    broken = with_layer(bay, FailingLayer(UserError("no capacity"), at))
    with pytest.raises(UserError, match="no capacity"):
        launch_fleet(broken, tiny, count=3, name="exp")
    assert_nothing_left(bay)
    assert launch_fleet(bay, tiny, count=3, name="exp").identical


def test_a_full_disk_is_one_clear_error_and_leaves_nothing(bay: Bay, tiny: str) -> None:
    error = OSError(errno.ENOSPC, "No space left on device", "/somewhere/pyvenv.cfg")
    with pytest.raises(UserError, match="the disk is full while creating exp-2") as caught:
        launch_fleet(with_layer(bay, FailingLayer(error, 2)), tiny, count=3, name="exp")
    assert "free some space" in caught.value.hint
    assert_nothing_left(bay)


def test_a_bug_leaves_nothing_either(bay: Bay, tiny: str) -> None:
    with pytest.raises(ZeroDivisionError):
        launch_fleet(with_layer(bay, FailingLayer(ZeroDivisionError(), 3)), tiny, count=3, name="exp")
    assert_nothing_left(bay)


def test_ctrl_c_leaves_nothing_and_says_so(bay: Bay, tiny: str, reporter: RecordingReporter) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    outside = witness(bay)
    outside.creating = interrupt
    with pytest.raises(KeyboardInterrupt):
        launch_fleet(replace(bay, provider=outside), tiny, count=2, name="exp")
    assert reporter.notes == ["Interrupted: nothing of exp was left."]
    assert_nothing_left(bay)


def test_one_that_comes_out_different_fails_the_launch(bay: Bay, tiny: str) -> None:
    class Third(PthLayer):
        made = 0

        def create(self, root: Path, image: Image) -> None:
            super().create(root, image)
            Third.made += 1
            if Third.made == 3:
                (root / "env" / "extra").write_text("", encoding="utf-8")

    with pytest.raises(LaunchbayError, match="not identical: exp-3: extra was added to its layer"):
        launch_fleet(with_layer(bay, Third()), tiny, count=3, name="exp")
    assert_nothing_left(bay)


# --- the journal comes first ----------------------------------------------------------------------------------------


def test_the_intent_is_on_disk_before_the_first_instance(bay: Bay, tiny: str) -> None:
    written: list[tuple[str, str, dict[str, object]]] = []

    def look() -> None:
        assert folders(bay.home) == []
        with sqlite3.connect(bay.home.journal) as connection:
            rows = connection.execute("SELECT kind, step, detail FROM journal ORDER BY seq").fetchall()
        written.extend((kind, step, json.loads(detail)) for kind, step, detail in rows)
        connection.close()

    outside = witness(bay)
    outside.creating = look
    launched = launch_fleet(replace(bay, provider=outside), tiny, count=2, name="exp")
    (begin, _, wish), (intent, step, detail) = written
    assert (begin, intent, step) == ("begin", "intent", "create")
    assert wish["ids"] == {item.name: item.id for item in launched.instances}
    assert detail["names"] == ["exp-1", "exp-2"]
    assert {detail["token"]} == {item.token for item in launched.instances}


def test_a_killed_launch_goes_on_with_the_ids_it_wrote_down(bay: Bay, tiny: str) -> None:
    def die() -> None:
        os.kill(os.getpid(), 9)

    outside = witness(bay)
    outside.creating = die
    assert kill_at(0, lambda: launch_fleet(replace(bay, provider=outside), tiny, count=2, name="exp"))
    with open_journal(bay.home.journal, bay.clock, bay.reporter.note) as journal:
        (operation,) = journal.unfinished("launch", "exp")
    launched = launch_fleet(bay, tiny, count=2, name="exp")
    assert {item.name: item.id for item in launched.instances} == operation.wish["ids"]
    assert unfinished(bay) == []


def test_a_launch_that_was_cut_off_is_not_continued_as_another(bay: Bay, tiny: str) -> None:
    kill_in_the_middle(bay, tiny, count=3, name="exp")
    standing = names(bay)
    with pytest.raises(Conflict, match="a launch of 'exp' as 3 x tiny was cut off") as caught:
        launch_fleet(bay, tiny, count=2, name="exp")
    assert "bay terminate exp" in caught.value.hint
    assert names(bay) == standing
    terminate(bay, "exp")
    assert [item.name for item in launch_fleet(bay, tiny, count=2, name="exp").instances] == ["exp-1", "exp-2"]


def kill_in_the_middle(bay: Bay, tiny: str, *, count: int, name: str | None) -> None:
    """Kill a launch when its second instance is made."""

    class Deadly(PthLayer):
        made = 0

        def create(self, root: Path, image: Image) -> None:
            Deadly.made += 1
            if Deadly.made == 2:
                os.kill(os.getpid(), 9)
            super().create(root, image)

    assert kill_at(0, lambda: launch_fleet(with_layer(bay, Deadly()), tiny, count=count, name=name))
    assert len(names(bay)) == 1


def test_an_unnamed_launch_goes_on_where_it_was_killed(bay: Bay, tiny: str) -> None:
    kill_in_the_middle(bay, tiny, count=3, name=None)
    resumed = launch_fleet(bay, tiny, count=3)
    assert (resumed.fleet, list(resumed.created)) == ("tiny", ["tiny-2", "tiny-3"])
    another = launch_fleet(bay, tiny, count=3)
    assert another.fleet.startswith("tiny-")
    assert len(another.created) == 3
    assert len(names(bay)) == 6


# --- names ----------------------------------------------------------------------------------------------------------


def test_a_name_is_taken_by_another_count_or_image(bay: Bay, tiny: str, with_image: Callable[[str], Image]) -> None:
    first = launch_fleet(bay, tiny, count=2, name="exp")
    with pytest.raises(Conflict, match="the name 'exp' is taken by a fleet of 2 x tiny") as caught:
        launch_fleet(bay, tiny, count=3, name="exp")
    assert "another --name" in caught.value.hint
    other = other_image(bay, with_image("tiny"))
    with pytest.raises(Conflict, match="the name 'exp' is taken"):
        launch_fleet(bay, other, count=2, name="exp")
    assert list(bay.provider.observe()) == list(first.instances)
    assert unfinished(bay) == []


def other_image(bay: Bay, image: Image) -> str:
    """Put the same image into the home under another digest and name."""
    digest = "f" * 64
    folder = bay.home.images / digest
    folder.mkdir()
    for path in image.folder.iterdir():
        (folder / path.name).symlink_to(path)
    (folder / "record.json").unlink()
    record = json.loads((image.folder / "record.json").read_text(encoding="utf-8"))
    (folder / "record.json").write_text(json.dumps({**record, "digest": digest, "name": "other"}), encoding="utf-8")
    return "other"


@pytest.mark.parametrize(
    ("first", "second"),
    [(("exp", 3), ("exp-2", 1)), (("exp-2", 1), ("exp", 3)), (("exp-1", 2), ("exp", 1)), (("a-1", 1), ("a-1-1", 1))],
)
def test_a_name_that_could_mean_another_fleets_instance_is_refused(
    bay: Bay, tiny: str, first: tuple[str, int], second: tuple[str, int]
) -> None:
    launch_fleet(bay, tiny, count=first[1], name=first[0])
    before = names(bay)
    with pytest.raises(Conflict, match="is taken by fleet"):
        launch_fleet(bay, tiny, count=second[1], name=second[0])
    assert names(bay) == before
    assert unfinished(bay) == []


def test_such_a_name_is_refused_while_the_other_is_only_being_launched(bay: Bay, tiny: str) -> None:
    outside, refused = witness(bay), []

    def launch_the_other() -> None:
        for name, count in (("exp-2", 1), ("other", 1)):
            try:
                launch_fleet(bay, tiny, count=count, name=name)
            except Conflict as error:
                refused.append(error.what)

    outside.creating = launch_the_other
    launch_fleet(replace(bay, provider=outside), tiny, count=2, name="exp")
    assert refused == ["a launch of 'exp' that is under way, or was cut off, means the same names"]
    assert sorted(names(bay)) == ["exp-1", "exp-2", "other-1"]


def test_names_that_only_look_alike_live_side_by_side(bay: Bay, tiny: str) -> None:
    for name in ("exp", "exp-4", "EXP", "x" * 61):
        launch_fleet(bay, tiny, count=2, name=name)
    assert len(names(bay)) == 8


@pytest.mark.parametrize("name", ["", "-a", "a_b", "a b", "a/b", "../a", "ä", "x" * 64, "a\n", "a.b"])
def test_a_bad_name_is_refused_before_anything_happens(bay: Bay, tiny: str, name: str) -> None:
    with pytest.raises(UsageError, match="a fleet name must be 1 to 63 letters, digits or '-'"):
        launch_fleet(bay, tiny, name=name)
    assert not bay.home.journal.exists()
    assert not bay.home.instances.exists()


@pytest.mark.parametrize("count", [0, -1, 1001, 100_000])
def test_a_bad_count_is_refused_before_anything_happens(bay: Bay, tiny: str, count: int) -> None:
    with pytest.raises(UsageError, match=f"count must be 1 to 1000, got {count}"):
        launch_fleet(bay, tiny, count=count, name="exp")
    assert not bay.home.journal.exists()


def test_an_unknown_image_offers_what_was_meant(bay: Bay) -> None:
    with pytest.raises(NotFound, match="there is no image named 'tensorflw'; did you mean tensorflow"):
        launch_fleet(bay, "tensorflw", name="exp")
    assert not bay.home.instances.exists()


# --- others at the same time ----------------------------------------------------------------------------------------


def test_a_fleet_that_is_being_changed_is_left_alone(bay: Bay, tiny: str) -> None:
    with (
        locked(bay.home.lock("fleet-exp")),
        pytest.raises(Conflict, match="another command is launching or changing 'exp'"),
    ):
        launch_fleet(bay, tiny, count=2, name="exp")
    assert names(bay) == []
    assert launch_fleet(bay, tiny, count=2, name="exp").identical


def start_launch(bay_command: list[str], tiny: str) -> subprocess.Popen[str]:
    command = [*bay_command, "launch", tiny, "-n", "3", "--name", "exp", "--json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_launches_of_one_name_at_once_make_one_fleet(bay: Bay, tiny: str, bay_command: list[str]) -> None:
    for _ in range(2):
        processes = [start_launch(bay_command, tiny) for _ in range(4)]
        outcomes = [(*process.communicate(timeout=60), process.returncode) for process in processes]
        assert names(bay) == ["exp-1", "exp-2", "exp-3"]
        assert leftovers(bay.home) == []
        ids = {item.id for item in bay.provider.observe()}
        won = [json.loads(stdout) for stdout, _, code in outcomes if code == 0]
        assert won
        assert all({item["id"] for item in value["instances"]} == ids for value in won)
        assert sum(len(value["created"]) for value in won) == 3
        for stdout, stderr, code in outcomes:
            if code != 0:
                assert (code, stdout) == (1, "")
                assert "another command is launching or changing 'exp' right now" in stderr
        terminate(bay, "exp")


def test_a_world_that_moved_while_it_was_planned_is_refused(bay: Bay, tiny: str) -> None:
    """Somebody who holds no lock of ours, on another machine say, made or removed one in between."""
    launch_fleet(bay, tiny, count=2, name="exp")
    terminate(bay, "exp-2")
    outside, looks = witness(bay), iter(range(100))

    def remove_at_first_look() -> None:
        if next(looks) == 0:
            bay.provider.delete(bay.provider.observe())

    outside.observed = remove_at_first_look
    with pytest.raises(Conflict, match="'exp' changed while it was being planned"):
        launch_fleet(replace(bay, provider=outside), tiny, count=2, name="exp")
    assert names(bay) == []


def test_an_image_removed_before_its_instances_are_made_fails_the_launch(
    bay: Bay, tiny: str, with_image: Callable[[str], Image]
) -> None:
    digest, outside, looks = with_image("tiny").digest, witness(bay), iter(range(100))

    def remove_at_first_look() -> None:
        if next(looks) == 0:
            remove_image(bay, digest)

    outside.observed = remove_at_first_look
    with pytest.raises(Conflict, match="the image tiny was removed meanwhile"):
        launch_fleet(replace(bay, provider=outside), tiny, count=2, name="exp")
    assert_nothing_left(bay)


def test_a_launch_waits_while_its_image_is_being_removed(
    bay: Bay, tiny: str, bay_command: list[str], with_image: Callable[[str], Image]
) -> None:
    image = with_image("tiny")
    with locked(image_lock_path(bay.home, image.digest)):
        process = start_launch(bay_command, tiny)
        until = time.monotonic() + 20
        while not (bay.home.journal.exists() and unfinished(bay)) and time.monotonic() < until:
            time.sleep(0.02)
        assert unfinished(bay) == ["launch exp"]
        assert process.poll() is None
        assert folders(bay.home) == []
        (bay.home.images / image.digest).unlink()
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "the image tiny was removed meanwhile" in stderr
    assert_nothing_left(bay)


def test_an_image_with_instances_is_not_removed(bay: Bay, tiny: str, with_image: Callable[[str], Image]) -> None:
    digest = with_image("tiny").digest
    launch_fleet(bay, tiny, count=2, name="exp")
    with pytest.raises(Conflict, match="tiny is in use by 2 instances: exp"):
        remove_image(bay, digest)
    assert (bay.home.images / digest).exists()
    terminate(bay, "exp")
    assert remove_image(bay, digest).name == "tiny"
    assert not (bay.home.images / digest).exists()


# --- disk full, for real --------------------------------------------------------------------------------------------


@pytest.mark.all
@pytest.mark.parametrize("free_kb", [0, 60, 150, 300])
def test_a_disk_that_is_really_full(
    bay: Bay, tiny: str, tmp_path: Path, with_image: Callable[[str], Image], free_kb: int
) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk takes root")
    image, disk = with_image("tiny"), tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1200k", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if done.returncode != 0:
        pytest.skip(f"mounting is not allowed here: {done.stderr.decode().strip()}")
    try:
        small = Home(disk / "bay")
        small.images.mkdir(parents=True)
        (small.images / image.digest).symlink_to(image.folder.resolve())
        outside = replace(bay, home=small, provider=LocalProvider(small, bay.clock))
        free = shutil.disk_usage(disk).free - free_kb * 1024
        (disk / "ballast").write_bytes(bytes(free))
        with pytest.raises(LaunchbayError, match=r"disk is full|journal cannot be"):
            launch_fleet(outside, tiny, count=20, name="exp")
        assert list(outside.provider.observe()) == []
        assert folders(small) == []
        (disk / "ballast").unlink()
        assert len(launch_fleet(outside, tiny, count=20, name="exp").instances) == 20
    finally:
        subprocess.run(["umount", str(disk)], check=True)
