"""An image as one file: out, in somewhere else, and what is refused on the way."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from launchbay.errors import BuildError, Conflict, LaunchbayError, NotFound, UsageError, UserError
from launchbay.home import Home
from launchbay.images.image import Image, list_images
from launchbay.lifecycle.archives import export_image, import_image
from launchbay.lifecycle.bay import Bay, open_bay
from launchbay.lifecycle.build import ensure_image
from launchbay.lifecycle.images import remove_image
from launchbay.lifecycle.launch import launch_fleet
from launchbay.lifecycle.verify import verify_image, verify_instances
from launchbay.testing import RecordingReporter
from tests.images.index import Index, make_wheel, run_index

CRASH = [sys.executable, "-W", "ignore::RuntimeWarning", "-m", "launchbay.testing.crash"]
Member = tuple[tarfile.TarInfo, bytes]
Change = Callable[[dict[str, Any], list[Member]], object]


@dataclass(frozen=True)
class Made:
    """A small image in a home of its own, and the archive of it."""

    bay: Bay
    image: Image
    archive: Path


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Make a small image once: packages with a command, an empty file, and a name that is not ASCII."""
    folder = tmp_path_factory.mktemp("made")
    files = {"tool.py": "def main():\n    print('hello')\n", "tool_data/größe": "x" * 3000, "tool_data/empty": ""}
    recipe = folder / "small.yaml"
    recipe.write_text("description: a small one\npackages: [alpha, beta, tool]\nenv: {WORDS: a b}\n", encoding="utf-8")
    bay = open_bay(environ={**os.environ, "LAUNCHBAY_HOME": str(folder / "bay")})
    with run_index(Index()) as index, pytest.MonkeyPatch.context() as patch:
        index.add(make_wheel("pip", "26.0"), make_wheel("uv", "0.13.0"), make_wheel("alpha"), make_wheel("beta"))
        index.add(make_wheel("tool", files=files, scripts={"tool": "tool:main"}))
        settings = {"UV_DEFAULT_INDEX": index.url, "UV_CACHE_DIR": str(folder / "cache"), "UV_NO_CONFIG": "1"}
        for name, value in {**settings, "NO_PROXY": "127.0.0.1"}.items():
            patch.setenv(name, value)
        image, _ = ensure_image(bay, str(recipe))
    return Made(bay, image, export_image(bay, image.digest, folder / "small.tar.gz").path)


@pytest.fixture
def archive(made: Made, tmp_path: Path) -> Path:
    """Return an archive that may be altered."""
    return Path(shutil.copy(made.archive, tmp_path / "small.tar.gz"))


@pytest.fixture
def other(tmp_path: Path) -> Bay:
    """Return another bay, as on another machine."""
    home = Home(tmp_path / "deeply" / "other-bay")
    return open_bay(reporter=RecordingReporter(), environ={**os.environ, "LAUNCHBAY_HOME": str(home.root)})


def left_in(bay: Bay) -> list[str]:
    """Return what lies in a home that could be of an image."""
    found = [*bay.home.root.glob("tmp/*"), *bay.home.root.glob("tmp/trash/*"), *bay.home.root.glob("images/*")]
    return sorted(os.path.relpath(path, bay.home.root) for path in found if path.name != "trash")


def files_of(folder: Path) -> dict[str, str]:
    """Return the files that come from packages, by hash."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink() and path.suffix != ".pyc"
    }


# --- out and in ---


def test_an_image_comes_in_elsewhere_as_it_went_out(made: Made, other: Bay, archive: Path) -> None:
    small, imported = made.image, import_image(other, archive)
    image = imported.image
    assert imported.is_new
    assert image.folder.is_relative_to(other.home.root)
    same = ("name", "kind", "digest", "content", "packages", "env", "description", "accelerator", "platform", "files")
    assert {key: getattr(image, key) for key in same} == {key: getattr(small, key) for key in same}
    assert verify_image(image).problems == []
    was, now = files_of(small.environment), files_of(image.environment)
    assert now == was
    modes = [(small.environment / name).stat().st_mode == (image.environment / name).stat().st_mode for name in was]
    assert all(modes)
    assert left_in(other) == [f"images/{image.digest}"]


def test_nothing_of_it_remembers_where_it_came_from(made: Made, other: Bay, archive: Path) -> None:
    image = import_image(other, archive).image
    there = str(made.bay.home.root).encode()
    assert [path for path in image.folder.rglob("*") if path.is_file() and there in path.read_bytes()] == []
    assert b"".join(path.read_bytes() for path in image.folder.rglob("*.pyc")).count(str(image.folder).encode()) > 3


def test_instances_are_launched_from_it_and_proven(other: Bay, archive: Path) -> None:
    image = import_image(other, archive).image
    launched = launch_fleet(other, "small", count=2)
    assert launched.image.digest == image.digest
    proof = verify_instances(other, launched.instances, full=True)
    assert (proof.identical, list(proof.image_problems)) == (True, [])
    tool = launched.instances[0].root / "env" / "bin" / "tool"
    done = subprocess.run([str(tool)], capture_output=True, text=True, check=True)
    assert done.stdout == "hello\n"


def test_an_image_that_is_there_is_not_taken_in_again(made: Made, archive: Path) -> None:
    imported = import_image(made.bay, archive)
    assert (imported.is_new, imported.image) == (False, made.image)


def test_the_same_image_is_the_same_file(made: Made, archive: Path, tmp_path: Path) -> None:
    again = export_image(made.bay, "small", tmp_path / "again.tar.gz")
    assert again.path.read_bytes() == archive.read_bytes()
    assert again.sha256 == hashlib.sha256(archive.read_bytes()).hexdigest()
    assert again.bytes == archive.stat().st_size


def test_other_tools_read_it(archive: Path, tmp_path: Path) -> None:
    subprocess.run(["tar", "xzf", str(archive), "-C", str(tmp_path)], check=True)
    assert (tmp_path / "env/lib/python3.11/site-packages/tool_data/größe").read_text() == "x" * 3000
    assert json.loads((tmp_path / "manifest.json").read_text())["record"]["name"] == "small"


def test_progress_is_shown(other: Bay, archive: Path) -> None:
    import_image(other, archive)
    assert isinstance(other.reporter, RecordingReporter)
    last = {event.task: event for event in other.reporter.events}
    assert {"check small.tar.gz", "unpack small", "compile small"} <= last.keys()
    assert last["unpack small"].finished
    assert (last["unpack small"].total or 0) > 3000
    assert last["unpack small"].done == last["unpack small"].total


# --- what cannot go out ---


def test_an_image_that_was_changed_does_not_go_out(bay: Bay, made: Made, tmp_path: Path) -> None:
    shutil.copytree(made.image.folder, bay.home.images / made.image.digest, symlinks=True)
    module = bay.home.images / made.image.digest / made.image.site_packages.relative_to(made.image.folder) / "alpha.py"
    module.chmod(0o644)
    module.write_text("evil = True\n")
    with pytest.raises(Conflict, match=r"small was changed since it was built, first alpha\.py of alpha-1\.0"):
        export_image(bay, "small", tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_a_recipe_that_is_not_built_does_not_go_out(bay: Bay) -> None:
    with pytest.raises(Conflict, match="jax is not built") as caught:
        export_image(bay, "jax")
    assert caught.value.hint == "bay image build jax"


def test_no_other_file_is_written_over(made: Made, archive: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    with pytest.raises(Conflict, match="there is another file"):
        export_image(made.bay, "small", mine)
    assert mine.read_text() == "mine"
    with pytest.raises(UsageError, match="there is a folder"):
        export_image(made.bay, "small", tmp_path)
    assert export_image(made.bay, "small", archive).path == archive, "an archive of an image is"


def test_a_folder_that_is_not_there(made: Made, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file or directory while exporting small"):
        export_image(made.bay, "small", tmp_path / "nowhere" / "x.tar.gz")


# --- altered on its way ---


def refused(bay: Bay, path: Path, match: str = "") -> BuildError:
    """Take an archive in, which must not work, nor leave anything."""
    with pytest.raises(BuildError, match=match) as caught:
        import_image(bay, path)
    assert left_in(bay) == []
    assert str(path) in caught.value.where or caught.value.hint.startswith("`bay image export` it anew")
    return caught.value


def test_every_byte_counts(other: Bay, archive: Path, tmp_path: Path) -> None:
    data, draw, altered = archive.read_bytes(), random.Random(3), tmp_path / "altered.tar.gz"
    places = [*range(60), *range(len(data) - 120, len(data)), *draw.sample(range(len(data)), 400)]
    for place in places:
        flipped = bytearray(data)
        flipped[place] ^= 1 << draw.randrange(8)
        altered.write_bytes(flipped)
        refused(other, altered, r"cut off or altered|no image that|of a later version")


def test_a_file_that_was_cut_off_is_refused(other: Bay, archive: Path, tmp_path: Path) -> None:
    data, draw, cut = archive.read_bytes(), random.Random(4), tmp_path / "cut.tar.gz"
    for length in (0, 1, 30, 60, len(data) - 1, *draw.sample(range(len(data)), 60)):
        cut.write_bytes(data[:length])
        refused(other, cut, r"cut off or altered|no image that|of a later version")
    cut.write_bytes(data + b"\0")
    refused(other, cut, "cut off or altered")


def test_another_file_than_the_one_meant(other: Bay, archive: Path) -> None:
    with pytest.raises(BuildError, match="not the one that was meant: its sha256 is"):
        import_image(other, archive, sha256="0" * 64)
    assert left_in(other) == []
    assert import_image(other, archive, sha256=hashlib.sha256(archive.read_bytes()).hexdigest().upper()).is_new


@pytest.mark.parametrize("content", [b"", b"hello", b"\x1f\x8b\x08\x00", bytes(5000)])
def test_what_is_no_archive(other: Bay, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.tar.gz").write_bytes(content)
    refused(other, tmp_path / "x.tar.gz", "this is no image that `bay image export` wrote")


def test_a_file_that_is_not_there(other: Bay, tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(NotFound, match="there is no such file"):
            import_image(other, path)


# --- made to do harm: whole, and not what it says ---


def forge(archive: Path, change: Change) -> None:
    """Write an archive anew after a change of its manifest and members, with all hashes of the whole as they must be."""
    data = archive.read_bytes()
    head, tail = data[: data.index(b"\x1f\x8b", 2)], data[data.rindex(b"sha256 ") - 10 :]
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as tar:
        members = [(info, file.read()) for info in tar if (file := tar.extractfile(info))]
    manifest = json.loads(members[0][1])
    change(manifest, members)
    manifest["files"] = dict(sorted(manifest["files"].items()))
    text = json.dumps(manifest, separators=(",", ":"), sort_keys=True).encode()
    members[0][0].size = len(text)
    members[0] = (members[0][0], text)
    raw = b"".join(
        info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape") + content + bytes(-len(content) % 512)
        for info, content in members
    )
    body = head + gzip.compress(raw + bytes(1024))
    archive.write_bytes(body + tail.replace(tail[17:81], hashlib.sha256(body).hexdigest().encode()))


def add(path: str, content: bytes = b"evil", **fields: Any) -> Change:
    """Return a change that adds a member, and a row for it where the manifest sorts it."""

    def change(manifest: dict[str, Any], members: list[Member]) -> None:
        info = tarfile.TarInfo(path)
        info.mode, info.size = 0o644, len(content)
        for name, value in fields.items():
            setattr(info, name, value)
        manifest["files"][path] = [len(content), False, hashlib.sha256(content).hexdigest()]
        place = sorted(manifest["files"]).index(path) + 1
        members.insert(place, (info, content))

    return change


def swap_content(_: dict[str, Any], members: list[Member]) -> None:
    info, content = members[-1]
    members[-1] = (info, bytes([content[0] ^ 1]) + content[1:])


def rewrite_module(manifest: dict[str, Any], members: list[Member]) -> None:
    """Alter a module and its row, so that only its package's own record speaks against it."""
    place = next(number for number, (info, _) in enumerate(members) if info.name.endswith("/alpha.py"))
    content = b"#" + members[place][1][1:]
    members[place] = (members[place][0], content)
    manifest["files"][members[place][0].name][2] = hashlib.sha256(content).hexdigest()


def drop_a_package(manifest: dict[str, Any], members: list[Member]) -> None:
    gone = [info.name for info, _ in members if "/beta" in info.name]
    members[:] = [(info, content) for info, content in members if info.name not in gone]
    for name in gone:
        del manifest["files"][name]


SITE = "env/lib/python3.11/site-packages"
HOSTILE: dict[str, tuple[Change, str]] = {
    "a path outside": (add("env/../../../escaped"), "it may not hold 'env/../../../escaped'"),
    "a path from the root": (add("/launchbay-escaped"), "it may not hold '/launchbay-escaped'"),
    "a path beside the environment": (add("command.sh"), "it may not hold 'command.sh'"),
    "a path with a dot": (add("env/./x"), "it may not hold"),
    "a path with a nothing": (add("env//x"), "it may not hold"),
    "a link": (add(f"{SITE}/x", b"", type=tarfile.SYMTYPE, linkname="/etc"), "something else stands where"),
    "a hard link": (add(f"{SITE}/x", b"", type=tarfile.LNKTYPE, linkname="/etc/passwd"), "something else stands where"),
    "a device": (add(f"{SITE}/x", b"", type=tarfile.CHRTYPE, devmajor=1, devminor=5), "something else stands where"),
    "a pipe": (add(f"{SITE}/x", b"", type=tarfile.FIFOTYPE), "something else stands where"),
    "a folder": (add(f"{SITE}/x", b"", type=tarfile.DIRTYPE), "something else stands where"),
    "set-user-id": (add(f"{SITE}/x", mode=0o4755), "something else stands where"),
    "everybody may write": (add(f"{SITE}/x", mode=0o666), "something else stands where"),
    "somebody's file": (add(f"{SITE}/x", uid=1000, uname="somebody"), "something else stands where"),
    "another Python": (add("env/bin/python"), "python is there already"),
    "a file below a link": (add("env/bin/python/x"), "env/bin/python is no folder here"),
    "a file through a link": (add("env/lib64/x"), "env/lib64 is no folder here"),
    "a file that is a folder": (add(f"{SITE}/alpha.py/x"), f"{SITE}/alpha.py is no folder here"),
    "a row without a file": (
        lambda manifest, _: manifest["files"].update({"env/x": [1, False, "0" * 64]}),
        "something",
    ),
    "a file without a row": (
        lambda _, members: members.append((tarfile.TarInfo("env/zzz"), b"")),
        "more follows than the manifest names",
    ),
    "a file of another size": (
        lambda manifest, _: manifest["files"][f"{SITE}/alpha.py"].__setitem__(0, 10**6),
        "something else stands where",
    ),
    "files that are not those of the rows": (swap_content, "does not have the hash that the manifest names"),
    "a module that its package does not know": (rewrite_module, r"first alpha.py of alpha-1.0: changed in place"),
    "a package that is missing": (drop_a_package, "are not those that its record names"),
    "another lock": (
        lambda manifest, _: manifest.update(lock=manifest["lock"].replace("alpha==1.0", "alpha==1.1")),
        "its lock is not that of its record",
    ),
    "a lock that is none": (lambda manifest, _: manifest.update(lock="# nothing"), "lock is damaged"),
    "a record that is none": (lambda manifest, _: manifest["record"].pop("content"), "the archive is refused"),
    "a name that is a path": (lambda manifest, _: manifest["record"].update(name="../x"), "is not that of its record"),
    "a manifest that is none": (lambda manifest, _: manifest.pop("lock"), "does not begin with a manifest"),
    "a manifest of another version": (lambda manifest, _: manifest.update(version=2), "does not begin with a manifest"),
    "a row that is none": (
        lambda manifest, _: manifest["files"].update({"env/x": [1]}),
        "does not begin with a manifest",
    ),
    "a size that is none": (
        lambda manifest, _: manifest["files"].update({"env/x": [-1, False, "0" * 64]}),
        "it may not hold 'env/x'",
    ),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_is_made_to_do_harm_is_refused(other: Bay, archive: Path, kind: str) -> None:
    change, match = HOSTILE[kind]
    forge(archive, change)
    refused(other, archive, match)
    assert not (archive.parent / "escaped").exists()
    assert not Path("/launchbay-escaped").exists()


def test_a_forgery_that_changes_nothing_is_an_archive(other: Bay, archive: Path) -> None:
    """Else the cases above would prove nothing."""
    forge(archive, lambda *_: None)
    assert import_image(other, archive).is_new


# --- another kind of machine ---


def lock_for(manifest: dict[str, Any], before: str, after: str) -> None:
    manifest["lock"] = manifest["lock"].replace(before, after)


def test_an_image_of_another_platform(other: Bay, archive: Path) -> None:
    forge(archive, lambda manifest, _: lock_for(manifest, "# platform: linux", "# platform: macos"))
    error = refused(other, archive, "the image is for macos-.*, and this machine is linux-")
    assert error.hint == "build it here: bay image build small"


def test_a_python_that_is_not_here(other: Bay, archive: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
    monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(tmp_path / "none"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BuildError, match=r"Python 3\.11 is not on this machine") as caught:
        import_image(other, archive)
    assert "install it" in caught.value.hint
    assert left_in(other) == []


def test_no_room(other: Bay, archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(archive)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=100))
    with pytest.raises(BuildError, match=r"the image needs .* and 100 B are free") as caught:
        import_image(other, archive)
    assert "free some space" in caught.value.hint
    assert left_in(other) == []


@pytest.mark.all
@pytest.mark.parametrize("size_kib", [300, 8_000, 40_000, 49_000, 51_000])
def test_a_disk_that_fills_up(
    bay: Bay, tiny: str, other: Bay, mount: Callable[[Path, int], None], size_kib: int
) -> None:
    path = export_image(bay, tiny, Path(tiny).with_name("tiny.tar.gz")).path
    mount(other.home.root, size_kib)
    with pytest.raises(LaunchbayError, match=r"the disk is full|are free"):
        import_image(other, path)
    assert left_in(other) == []
    assert list(list_images(other.home)) == []


def test_a_disk_that_is_too_small_to_write_to(made: Made, mount: Callable[[Path, int], None], tmp_path: Path) -> None:
    mount(tmp_path / "stick", 4)
    with pytest.raises(UserError, match="the disk is full while exporting small"):
        export_image(made.bay, "small", tmp_path / "stick" / "small.tar.gz")
    assert list((tmp_path / "stick").iterdir()) == []


# --- killed ---


def count_crossings(command: list[str], folder: Path) -> list[str]:
    names = folder / "crossings"
    environ = {**os.environ, "LAUNCHBAY_HOME": str(folder / "counted"), "LAUNCHBAY_CROSSINGS": str(names)}
    subprocess.run([*CRASH, "COUNT", *command], env=environ, check=True, capture_output=True)
    return names.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("part", [0, 1, 2])
def test_taking_in_can_be_killed_at_any_step(other: Bay, archive: Path, tmp_path: Path, part: int) -> None:
    command = ["image", "import", str(archive)]
    environ = {**os.environ, "LAUNCHBAY_HOME": str(other.home.root)}
    crossings = count_crossings(command, tmp_path)
    renamed = crossings.index("before os.rename") + 1
    sample = sorted({*range(1, len(crossings) + 1, 9), renamed, renamed + 1, len(crossings)})[part::3]
    for instant in sample:
        at = f"{instant}: {crossings[instant - 1]}"
        killed = subprocess.run([*CRASH, str(instant), *command], env=environ, capture_output=True, check=False)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        for image in list_images(other.home):
            assert verify_image(image).problems == [], f"half an image is shown, {at}"
        image = import_image(other, archive).image
        assert verify_image(image).problems == []
        other.provider.sweep()
        assert left_in(other) == [f"images/{image.digest}"], at
        remove_image(other, "small")
        assert left_in(other) == [], at


def test_writing_out_can_be_killed(made: Made, tmp_path: Path) -> None:
    path = tmp_path / "out" / "small.tar.gz"
    path.parent.mkdir()
    environ = {**os.environ, "LAUNCHBAY_HOME": str(made.bay.home.root), "LAUNCHBAY_CROSSINGS": str(tmp_path / "names")}
    command = ["image", "export", "small", "-o", str(path)]
    subprocess.run([*CRASH, "COUNT", *command], env=environ, check=True, capture_output=True)
    instants = len((tmp_path / "names").read_text(encoding="utf-8").splitlines())
    assert instants > 3
    for instant in range(1, instants + 1):
        path.unlink()
        killed = subprocess.run([*CRASH, str(instant), *command], env=environ, capture_output=True, check=False)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        assert not path.exists() or path.read_bytes() == made.archive.read_bytes()
        assert export_image(made.bay, "small", path).path == path
        assert [item.name for item in path.parent.iterdir()] == ["small.tar.gz"]


def test_an_archive_may_be_read_only(other: Bay, archive: Path) -> None:
    archive.chmod(stat.S_IRUSR)
    assert import_image(other, archive).is_new


@pytest.fixture
def tensorflow_elsewhere(with_image: Callable[[str], Image], bay: Bay, other: Bay, tmp_path: Path) -> Iterator[Image]:
    """Return the image of TensorFlow, exported and imported; it is large, and removed again."""
    image = with_image("tensorflow")
    exported = export_image(bay, image.digest, tmp_path / "tensorflow.tar.gz")
    yield import_image(other, exported.path).image
    exported.path.unlink()


@pytest.mark.all
def test_tensorflow_moves(tensorflow_elsewhere: Image, with_image: Callable[[str], Image]) -> None:
    image = tensorflow_elsewhere
    assert verify_image(image).problems == []
    assert (image.content, image.frameworks) == (with_image("tensorflow").content, with_image("tensorflow").frameworks)
    assert image.first_import_s is not None
