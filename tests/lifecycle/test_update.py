"""Another image under a standing fleet: all N or none, whatever happens meanwhile."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from launchbay.errors import Conflict, LaunchbayError, NotFound, UsageError, UserError
from launchbay.files import discard
from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay, connect, open_bay
from launchbay.lifecycle.end import change_power, terminate
from launchbay.lifecycle.images import remove_image
from launchbay.lifecycle.launch import launch_fleet
from launchbay.lifecycle.update import Update, update_fleet
from launchbay.lifecycle.verify import verify_instances
from launchbay.planning.fleet import Instance
from launchbay.providers.layer import OverlayLayer, PthLayer
from launchbay.providers.local import LocalProvider
from launchbay.store.journal import open_journal
from tests.lifecycle.killing import folders, kill_at, kill_copies, leftovers
from tests.providers.wheels import make_wheel

NAMES = ["exp-1", "exp-2", "exp-3"]
LAYERS = pytest.mark.parametrize("layer", ["layer", "overlay"])


@pytest.fixture
def fresh(bay: Bay, with_image: Callable[[str], Image]) -> Iterator[Callable[..., Bay]]:
    """Return a function that gives a bay on a new home with three instances on `tiny`, each with something of its own."""
    for name in ("tiny", "older", "pair"):
        with_image(name)
    number = itertools.count()
    made: list[Bay] = []

    def make(layer: str = "layer") -> Bay:
        root = bay.home.root.with_name(f"bay-{next(number)}")
        shutil.copytree(bay.home.images, root / "images", symlinks=True)
        fresh = open_bay(environ={**bay.environ, "LAUNCHBAY_HOME": str(root)})
        made.append(fresh)
        launch_fleet(fresh, recipe(bay, "tiny"), count=3, name="exp", layer=layer)
        for item in fresh.provider.observe():
            (item.root / "home" / "notes.txt").write_text(item.name)
            (item.root / "work" / "out").mkdir()
            (item.root / "work" / "out" / "results.csv").write_text(item.name)
        return fresh

    yield make
    for each in made:
        each.provider.delete(each.provider.observe())


def recipe(bay: Bay, name: str) -> str:
    return str(bay.home.root.parent / f"{name}.yaml")


def update(bay: Bay, name: str) -> Update:
    return update_fleet(bay, "exp", recipe(bay, name))


def flavours(bay: Bay) -> list[tuple[str, str]]:
    """Return what each instance's Python says it stands on."""
    code = "import os, six; print(six.__version__, os.environ.get('FLAVOUR', '-'))"
    found = []
    for item in bay.provider.observe():
        done = connect(bay, item).run(["python", "-c", code])
        assert done.code == 0, done.stderr.decode()
        version, flavour = done.stdout.decode().split()
        found.append((version, flavour))
    return found


TINY, OLDER = [("1.17.0", "-")] * 3, [("1.16.0", "older")] * 3


def check_whole(bay: Bay) -> None:
    """Everybody's own is there, everybody is alike, nothing is left over."""
    instances = bay.provider.observe()
    assert [item.name for item in instances] == NAMES
    for item in instances:
        assert (item.root / "home" / "notes.txt").read_text() == item.name
        assert (item.root / "work" / "out" / "results.csv").read_text() == item.name
        assert item.previous is None
        assert not (item.root / "next").exists()
        assert not (item.root / "previous").exists()
    assert verify_instances(bay, instances, full=False).identical
    assert leftovers(bay.home) == []
    with open_journal(bay.home.journal, bay.clock, bay.reporter.note) as journal:
        assert journal.unfinished("update") == []


@LAYERS
def test_all_stand_on_the_other_image_with_what_is_theirs(fresh: Callable[..., Bay], layer: str) -> None:
    bay = fresh(layer)
    before = [item.id for item in bay.provider.observe()]
    done = update(bay, "older")
    assert (list(done.updated), done.identical, done.replayed, done.kept) == (NAMES, True, [], [])
    assert [item.id for item in bay.provider.observe()] == before
    assert {(item.image, item.layer) for item in bay.provider.observe()} == {("older", layer)}
    assert flavours(bay) == OLDER
    check_whole(bay)


@LAYERS
def test_to_several_and_back(fresh: Callable[..., Bay], layer: str) -> None:
    bay = fresh(layer)
    update(bay, "pair")
    assert flavours(bay) == TINY
    first = bay.provider.observe()[0]
    assert (
        connect(bay, first, "older").run(["python", "-c", "import six; assert six.__version__ == '1.16.0'"]).code == 0
    )
    check_whole(bay)
    update(bay, "older")
    assert flavours(bay) == OLDER
    check_whole(bay)


def test_again_finds_nothing_to_do(fresh: Callable[..., Bay]) -> None:
    bay = fresh()
    update(bay, "older")
    done = update(bay, "older")
    assert (done.updated, done.identical) == ((), True)
    check_whole(bay)


def test_stopped_ones_move_too_and_stay_stopped(fresh: Callable[..., Bay]) -> None:
    bay = fresh("overlay")
    change_power(bay, "stop", "exp")
    update(bay, "older")
    assert {item.state for item in bay.provider.observe()} == {"stopped"}
    change_power(bay, "start", "exp")
    assert flavours(bay) == OLDER


# --- what people had installed ---


def install(bay: Bay, instance: Instance, wheels: Path, *packages: str) -> None:
    done = connect(bay, instance).run(["pip", "install", "--no-index", "--find-links", str(wheels), *packages])
    assert done.code == 0, done.stderr.decode()


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """Return a folder with packages, which is all that pip finds."""
    folder = tmp_path / "wheels"
    make_wheel(folder, "deep", "2.1", modules={"deep/__init__.py": ""})
    make_wheel(folder, "wide", "1.0", modules={"wide.py": ""})
    return folder


def with_index(bay: Bay, wheels: Path) -> Bay:
    return replace(bay, environ={**bay.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)})


@LAYERS
def test_what_somebody_installed_is_installed_again(fresh: Callable[..., Bay], wheels: Path, layer: str) -> None:
    bay = with_index(fresh(layer), wheels)
    install(bay, bay.provider.observe()[1], wheels, "deep", "wide")
    done = update(bay, "pair")
    ((name, packages, left),) = [(item.instance, list(item.packages), item.left) for item in done.replayed]
    assert (name, packages, left) == ("exp-2", ["deep 2.1", "wide 1.0"], {})
    assert done.identical
    second = bay.provider.observe()[1]
    assert connect(bay, second, "tiny").run(["python", "-c", "import deep, wide"]).code == 0  # where it was
    assert connect(bay, second, "older").run(["python", "-c", "import deep"]).code == 1


def test_what_cannot_be_is_named_and_the_rest_goes_on(fresh: Callable[..., Bay], wheels: Path) -> None:
    bay = with_index(fresh(), wheels)
    install(bay, bay.provider.observe()[0], wheels, "deep", "wide")
    next(wheels.glob("deep*")).unlink()
    (replayed,) = update(bay, "older").replayed
    assert list(replayed.packages) == ["wide 1.0"]
    assert list(replayed.left) == ["deep 2.1"]
    assert "No matching distribution found for deep==2.1" in replayed.left["deep 2.1"]


def test_a_package_that_the_new_image_has_itself_is_left_to_it(
    fresh: Callable[..., Bay], tmp_path: Path, bay: Bay
) -> None:
    mine = with_index(fresh(), tmp_path / "w")
    update(mine, "older")
    make_wheel(tmp_path / "w", "six", "1.99", modules={"six.py": "__version__ = '1.99'"})
    first = mine.provider.observe()[0]
    bare = {"PIP_CONSTRAINT": "", "PIP_CONFIG_FILE": os.devnull}
    command = ["env", *(f"{key}={value}" for key, value in bare.items())]
    command += ["python", "-m", "pip", "install", "--no-deps", "six==1.99"]
    (first.root / "env" / "pip.conf").write_text("")
    assert connect(mine, first).run(command).code == 0
    (replayed,) = update(mine, "tiny").replayed
    assert replayed.left == {"six 1.99": "tiny has 1.17.0"}
    assert flavours(mine) == TINY
    assert bay.home.root != mine.home.root


def test_what_somebody_had_uninstalled_is_there_again_and_named(fresh: Callable[..., Bay]) -> None:
    bay = fresh("overlay")
    assert connect(bay, bay.provider.observe()[1]).run(["pip", "uninstall", "-y", "six"]).code == 0
    done = update(bay, "older")
    assert [(item.instance, list(item.packages), item.left) for item in done.replayed] == [
        ("exp-2", [], {"six 1.17.0": "it had been uninstalled, and older has 1.16.0"})
    ]
    assert done.identical
    assert flavours(bay) == OLDER


def test_an_instance_between_two_renames_says_what_is_going_on(fresh: Callable[..., Bay]) -> None:
    bay = fresh()
    first = bay.provider.observe()[0]
    (first.root / "next").mkdir()
    (first.root / "env").rename(first.root / "elsewhere")
    with pytest.raises(Conflict, match="exp-1 is being moved to another image") as caught:
        connect(bay, first)
    assert "bay update exp" in caught.value.hint
    (first.root / "elsewhere").rename(first.root / "env")


def test_what_came_from_a_place_is_not_looked_for_in_an_index(fresh: Callable[..., Bay], wheels: Path) -> None:
    """Under its name an index may hold a stranger's package."""
    bay = with_index(fresh(), wheels)
    wheel = next(wheels.glob("deep*"))
    install(bay, bay.provider.observe()[0], wheels, str(wheel))
    (replayed,) = update(bay, "older").replayed
    assert (list(replayed.packages), replayed.left) == ([], {"deep": f"it came from {wheel.as_uri()}"})


@LAYERS
def test_a_file_that_no_package_owns_is_kept_in_the_home(fresh: Callable[..., Bay], wheels: Path, layer: str) -> None:
    bay = with_index(fresh(layer), wheels)
    second = bay.provider.observe()[1]
    install(bay, second, wheels, "deep")
    place = second.root / "env/lib/python3.11/site-packages/stray.py"
    assert connect(bay, second).run(["sh", "-c", f"echo 'x = 1' > {place}"]).code == 0
    done = update(bay, "older")
    (kept,) = done.kept
    assert kept.read_text() == "x = 1\n"
    assert kept.is_relative_to(second.root / "home")
    assert connect(bay, bay.provider.observe()[1]).run(["python", "-c", "import stray"]).code == 1


# --- refused ---


def test_nothing_is_exchanged_under_something_that_runs(fresh: Callable[..., Bay]) -> None:
    bay = fresh()
    transport = connect(bay, bay.provider.observe()[1])
    transport.start(["sh", "-c", "echo up; exec sleep 60"], data=b"", errors=os.devnull, variables={})
    with pytest.raises(Conflict, match="something runs in exp-2") as caught:
        update(bay, "older")
    assert "bay stop exp" in caught.value.hint
    assert flavours(bay) == TINY


def test_one_of_a_fleet_does_not_move_alone(fresh: Callable[..., Bay]) -> None:
    bay = fresh()
    with pytest.raises(UsageError, match="'exp-2' is one instance of 'exp'"):
        update_fleet(bay, "exp-2", recipe(bay, "older"))


def test_a_fleet_that_is_not_there(bay: Bay) -> None:
    with pytest.raises(NotFound, match="no instance or fleet named 'nobody'"):
        update_fleet(bay, "nobody", "tensorflow")


def test_the_old_image_stays_as_long_as_somebody_may_have_to_go_back(fresh: Callable[..., Bay]) -> None:
    bay = fresh()
    old = {item.digest for item in bay.provider.observe()}
    instances = bay.provider.observe()
    image = bay.home.images
    other = next(item for item in _images(bay) if item.name == "older")
    bay.provider.stage(instances, other)  # type: ignore[attr-defined]
    bay.provider.switch(instances, other)  # type: ignore[attr-defined]
    with pytest.raises(Conflict, match="tiny is in use by 3 instances"):
        remove_image(bay, "tiny")
    assert old <= {path.name for path in image.iterdir()}


def _images(bay: Bay) -> Sequence[Image]:
    from launchbay.images.image import list_images

    return list(list_images(bay.home))


# --- what goes wrong ---


def test_a_failure_gives_all_of_them_back(fresh: Callable[..., Bay], monkeypatch: pytest.MonkeyPatch) -> None:
    bay = fresh()

    def refuse(*_: object, **__: object) -> None:
        raise LaunchbayError("not today")

    with monkeypatch.context() as patch:
        patch.setattr("launchbay.lifecycle.update.verify_instances", refuse)
        with pytest.raises(LaunchbayError, match="not today"):
            update(bay, "older")
    assert flavours(bay) == TINY
    check_whole(bay)
    update(bay, "older")
    assert flavours(bay) == OLDER


def test_a_full_disk_gives_all_of_them_back(fresh: Callable[..., Bay]) -> None:
    class Third(PthLayer):
        left = 3

        def create(self, root: Path, image: Image) -> None:
            self.left -= 1
            if not self.left:
                raise OSError(28, "No space left on device", str(root))
            super().create(root, image)

    bay = fresh()
    full = replace(bay, provider=LocalProvider(bay.home, bay.clock, layers={"layer": Third()}.__getitem__))
    with pytest.raises(UserError, match="the disk is full while updating exp-3"):
        update(full, "older")
    assert flavours(bay) == TINY
    check_whole(bay)


def test_an_instance_that_does_not_come_out_as_the_others_gives_all_back(fresh: Callable[..., Bay]) -> None:
    class Odd(PthLayer):
        def create(self, root: Path, image: Image) -> None:
            super().create(root, image)
            if image.name == "older":
                (root / "env" / "pyvenv.cfg").write_text("home = /nowhere\n")

    bay = fresh()
    odd = replace(bay, provider=LocalProvider(bay.home, bay.clock, layers={"layer": Odd()}.__getitem__))
    with pytest.raises(LaunchbayError, match="the updated instances are not as they should be: exp-1"):
        update(odd, "older")
    assert flavours(bay) == TINY
    check_whole(bay)


def test_who_goes_in_in_the_midst_does_not_hold_the_old_image(fresh: Callable[..., Bay]) -> None:
    class Entered(OverlayLayer):
        """An overlay that somebody enters as soon as it was shut: `bay verify`, say, asks for no lock."""

        def shut(self, instances: Sequence[Instance]) -> None:
            super().shut(instances)
            for item in instances:
                if item.image == "tiny":
                    self.open([item], next(image for image in _images(bay) if image.digest == item.digest))

    bay = fresh("overlay")
    entered = replace(bay, provider=LocalProvider(bay.home, bay.clock, layers={"overlay": Entered()}.__getitem__))
    update(entered, "older")
    assert flavours(bay) == OLDER
    check_whole(bay)


@LAYERS
def test_killed_at_every_step_the_same_again_converges(fresh: Callable[..., Bay], layer: str) -> None:
    for bay in kill_copies(fresh(layer), lambda bay: update(bay, "pair")):
        update(bay, "pair")
        assert {item.image for item in bay.provider.observe()} == {"pair"}
        check_whole(bay)
        assert len(folders(bay.home)) == 3


def test_killed_while_going_back_the_same_again_converges(
    fresh: Callable[..., Bay], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise LaunchbayError("not today")

    def fail(bay: Bay) -> None:
        with monkeypatch.context() as patch:
            patch.setattr("launchbay.lifecycle.update.verify_instances", refuse)
            with pytest.raises(LaunchbayError, match="not today"):
                update(bay, "older")

    for bay in kill_copies(fresh(), fail):
        update(bay, "older")
        assert {item.image for item in bay.provider.observe()} == {"older"}
        check_whole(bay)


@pytest.mark.image("multi")
@pytest.mark.image("tensorflow")
@pytest.mark.parametrize(
    "choose",
    [
        pytest.param(lambda instants: sorted(random.Random(3).sample(instants, 8)), id="some steps"),
        *(
            pytest.param(
                lambda instants, part=part: instants[len(instants) * part // 8 : len(instants) * (part + 1) // 8],
                marks=(pytest.mark.prove, pytest.mark.timeout(3600)),  # ten minutes where nothing else runs
                id=f"every step, part {part + 1} of 8",
            )
            for part in range(8)
        ),
    ],
)
def test_twenty_move_from_one_framework_to_five_whenever_killed(
    bay: Bay, with_image: Callable[[str], Image], choose: Callable[[list[int]], list[int]]
) -> None:
    for name in ("tensorflow", "multi"):
        with_image(name)
    launch_fleet(bay, "tensorflow", count=20, name="exp")
    for item in bay.provider.observe():
        (item.root / "home" / "notes.txt").write_text(item.name)
    for killed in kill_copies(bay, lambda each: update_fleet(each, "exp", "multi"), choose=choose):
        done = update_fleet(killed, "exp", "multi")
        assert done.identical
        instances = killed.provider.observe()
        assert [(item.name, item.image, item.previous) for item in instances] == [
            (f"exp-{number}", "multi", None) for number in range(1, 21)
        ]
        assert all((item.root / "home" / "notes.txt").read_text() == item.name for item in instances)
        assert leftovers(killed.home) == []


def test_one_that_was_cut_off_is_finished_before_another_begins(fresh: Callable[..., Bay]) -> None:
    bay = fresh()
    assert kill_at(25, lambda: update(bay, "older"))
    with pytest.raises(Conflict, match="an update of 'exp' to older was cut off") as caught:
        update(bay, "pair")
    older = next(item for item in _images(bay) if item.name == "older")
    assert f"bay update exp {older.digest[:12]}," in caught.value.hint  # its recipe may say something else by now
    update_fleet(bay, "exp", older.digest[:12])
    check_whole(bay)


def test_one_that_was_cut_off_binds_nobody_where_its_image_is_gone(fresh: Callable[..., Bay]) -> None:
    bay = fresh()
    assert kill_at(25, lambda: update(bay, "older"))
    for name in ("pair", "older"):
        remove_image(bay, next(item.digest for item in _images(bay) if item.name == name))
    assert list(update(bay, "tiny").updated) == []
    assert flavours(bay) == TINY
    with open_journal(bay.home.journal, bay.clock, bay.reporter.note) as journal:
        assert journal.unfinished("update") == []


def test_one_that_was_cut_off_can_be_terminated(fresh: Callable[..., Bay]) -> None:
    bay = fresh()
    assert kill_at(25, lambda: update(bay, "older"))
    terminate(bay, "exp")
    assert folders(bay.home) == []
    with open_journal(bay.home.journal, bay.clock, bay.reporter.note) as journal:
        assert journal.unfinished("update") == []


@LAYERS
@pytest.mark.parametrize("is_written", [True, False])
def test_what_was_let_go_of_cannot_come_back_so_there_is_only_one_way_on(
    fresh: Callable[..., Bay], monkeypatch: pytest.MonkeyPatch, layer: str, *, is_written: bool
) -> None:
    """A failure after that must not give half of them back."""
    settle = LocalProvider.settle

    def cut_off(self: LocalProvider, instances: Sequence[Instance]) -> None:
        discard(instances[0].root / "previous", self.home.trash)
        settle(self, instances[:is_written])
        raise KeyboardInterrupt

    def refuse(*_: object, **__: object) -> None:
        raise LaunchbayError("not today")

    bay = fresh(layer)
    with monkeypatch.context() as patch:
        patch.setattr(LocalProvider, "settle", cut_off)
        with pytest.raises(KeyboardInterrupt):
            update(bay, "older")
    with monkeypatch.context() as patch, contextlib.suppress(LaunchbayError):
        patch.setattr("launchbay.lifecycle.update.verify_instances", refuse)
        update(bay, "older")
    assert flavours(bay) == OLDER
    update(bay, "older")
    assert {item.image for item in bay.provider.observe()} == {"older"}
    check_whole(bay)
