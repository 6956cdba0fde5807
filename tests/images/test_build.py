"""Images built for real: what is in them, and what of a change in them is noticed."""

from __future__ import annotations

import json
import marshal
import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from launchbay.errors import BuildError, StateError
from launchbay.images.build import Stage, compile_bytecode, install_packages, publish, seal, verify_records
from launchbay.images.commands import list_commands
from launchbay.images.image import Image, find_image, list_images
from launchbay.images.lock import Lock, lock_recipe, parse_lock
from launchbay.images.recipe import find_recipe
from launchbay.images.uv import Uv, find_uv
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.build import ensure_image
from launchbay.lifecycle.verify import verify_image
from launchbay.ports import SilentReporter
from launchbay.store.journal import open_journal
from launchbay.testing import RecordingReporter
from launchbay.testing.crash import crash_points
from tests.images.index import Index, make_wheel

Recipe = Callable[..., str]
WRITE_BITS = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


def paths(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        yield from (Path(parent) / name for name in (*folders, *files))


@pytest.fixture
def tiny_image(image_store: Callable[[str], Image]) -> Image:
    """Return the tiny image, which every test shares: look, and touch nothing."""
    return image_store("tiny")


# --- the tiny image, from the person's own index and cache ---


def test_nothing_in_an_image_can_be_written(tiny_image: Image) -> None:
    everything = [tiny_image.folder, *paths(tiny_image.folder)]
    modes = {path: stat.S_IMODE(path.lstat().st_mode) for path in everything if not path.is_symlink()}
    assert len(modes) > 500
    assert {path: oct(mode) for path, mode in modes.items() if mode & WRITE_BITS} == {}


def test_no_file_of_an_image_is_a_file_of_something_else(tiny_image: Image) -> None:
    """An inode shared with uv's cache would let an edit in one change every other."""
    shared = [path for path in paths(tiny_image.folder) if path.is_file() and path.lstat().st_nlink != 1]
    assert shared == []


def test_no_link_of_an_image_leads_back_to_where_it_was_made(tiny_image: Image) -> None:
    targets = {os.readlink(path) for path in paths(tiny_image.folder) if path.is_symlink()}
    assert not any("tmp/build-" in target for target in targets)


def test_every_module_is_compiled_with_the_paths_of_the_image(tiny_image: Image) -> None:
    modules = [path for path in tiny_image.site_packages.rglob("*.py") if "__pycache__" not in path.parts]
    assert len(modules) > 100
    for module in modules:
        compiled = module.parent / "__pycache__" / f"{module.stem}.cpython-311.pyc"
        data = compiled.read_bytes()
        assert marshal.loads(data[16:]).co_filename == str(module)
        assert int.from_bytes(data[8:12], "little") == int(module.stat().st_mtime), "Python would compile it again"


def test_an_image_says_what_it_is(tiny_image: Image) -> None:
    lock = parse_lock((tiny_image.folder / "lock.txt").read_text(), where="lock.txt")
    assert (tiny_image.digest, tiny_image.folder.name) == (lock.digest, lock.digest)
    assert {**tiny_image.packages} == {pin.name: pin.version for pin in lock.pins}
    assert (tiny_image.folder / "constraints.txt").read_text() == lock.constraints()
    assert not (tiny_image.folder / "requirements.txt").exists()
    assert tiny_image.python_version.startswith(f"{tiny_image.python}.")
    assert (tiny_image.kind, tiny_image.frameworks, tiny_image.first_import_s) == ("custom", {}, None)
    sizes = [path.lstat().st_size for path in paths(tiny_image.folder) if path.is_file()]
    assert tiny_image.size_bytes == pytest.approx(sum(sizes), rel=0.02)
    assert set(tiny_image.build_seconds) >= {"install", "compile", "verify"}


def test_the_images_own_python_runs_what_is_in_it(tiny_image: Image) -> None:
    code = "import six, sys; print(six.__version__, sys.prefix)"
    done = subprocess.run([tiny_image.python_path, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1.17.0", str(tiny_image.environment)]


def test_an_image_has_pip_and_uv_as_commands(tiny_image: Image) -> None:
    assert {"pip", "uv"} <= set(list_commands(tiny_image.folder))
    assert (tiny_image.folder / "command.sh").stat().st_mode & stat.S_IXUSR
    assert "tmp/build-" not in (tiny_image.folder / "command.sh").read_text()


def test_an_untouched_image_verifies(tiny_image: Image) -> None:
    found = verify_image(tiny_image)
    assert found.problems == []
    assert found.content == tiny_image.content
    assert found.files > 400
    assert verify_image(tiny_image) == found


# --- a change in it, of every kind ---


@pytest.fixture
def copy(tiny_image: Image, tmp_path: Path) -> Iterator[Image]:
    """Return a copy of the tiny image that can be written."""
    folder = tmp_path / "copy"
    shutil.copytree(tiny_image.folder, folder, symlinks=True)
    for path in (folder, *paths(folder)):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | stat.S_IWUSR)
    yield replace(tiny_image, folder=folder)
    shutil.rmtree(folder)


def edit_in_place(path: Path) -> None:
    """Change one byte and leave size and times as they were."""
    before = path.stat()
    data = path.read_bytes()
    path.write_bytes(data[:-2] + bytes([data[-2] ^ 1]) + data[-1:])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def edit_own_record(image: Image) -> None:
    """Change a module, and its package's record so that the two agree."""
    record = next(image.site_packages.glob("six-*.dist-info/RECORD"))
    row = next(line for line in record.read_text().splitlines() if line.startswith("six.py,"))
    (image.site_packages / "six.py").write_text("evil = True\n")
    code = (
        "import hashlib, base64; data = open('six.py', 'rb').read();"
        "print(base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode())"
    )
    done = subprocess.run(
        [image.python_path, "-c", code], cwd=image.site_packages, capture_output=True, text=True, check=True
    )
    record.write_text(record.read_text().replace(row, f"six.py,sha256={done.stdout.strip()},12"))


def replace_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/bin/sh")


CHANGES: dict[str, tuple[Callable[[Image], object], str]] = {
    "a module edited in place": (
        lambda image: edit_in_place(image.site_packages / "six.py"),
        "six.py of six-1.17.0: changed in place",
    ),
    "a module removed": (lambda image: (image.site_packages / "six.py").unlink(), "six.py of six-1.17.0: missing"),
    "a module added": (
        lambda image: (image.site_packages / "sitecustomize.py").write_text("evil = True\n"),
        "lib/python3.11/site-packages/sitecustomize.py: added to the image",
    ),
    "a link added": (
        lambda image: (image.site_packages / "other").symlink_to("/etc"),
        "lib/python3.11/site-packages/other: added to the image",
    ),
    "compiled code edited": (
        lambda image: edit_in_place(image.site_packages / "__pycache__" / "six.cpython-311.pyc"),
        "lib/python3.11/site-packages/__pycache__/six.cpython-311.pyc: changed in place",
    ),
    "compiled code removed": (
        lambda image: (image.site_packages / "__pycache__" / "six.cpython-311.pyc").unlink(),
        "lib/python3.11/site-packages/__pycache__/six.cpython-311.pyc: missing",
    ),
    "the link to Python turned elsewhere": (
        lambda image: replace_link(image.environment / "bin" / "python"),
        "bin/python: changed in place",
    ),
    "the settings of the environment edited": (
        lambda image: edit_in_place(image.environment / "pyvenv.cfg"),
        "pyvenv.cfg: changed in place",
    ),
    "a module and its record edited alike": (
        edit_own_record,
        "the packages' own records are not those of the day it was",
    ),
    "the commands edited": (lambda image: edit_in_place(image.folder / "command.sh"), "command.sh: changed in place"),
    "the constraints removed": (lambda image: (image.folder / "constraints.txt").unlink(), "constraints.txt: missing"),
    "the image's record edited": (
        lambda image: edit_in_place(image.folder / "record.json"),
        "record.json: changed in place",
    ),
    "a file put beside": (lambda image: (image.folder / "more.sh").touch(), "more.sh: added to the image"),
}


def test_a_copy_is_as_good_as_the_image(copy: Image) -> None:
    assert verify_image(copy).problems == []


@pytest.mark.parametrize("kind", CHANGES)
def test_a_change_is_named(copy: Image, kind: str) -> None:
    change, expected = CHANGES[kind]
    change(copy)
    problems = verify_image(copy).problems
    assert [problem for problem in problems if problem.startswith(expected)], problems
    assert len(problems) <= 3, "and what did not change is not"


def test_an_image_without_its_seal_cannot_be_verified(copy: Image) -> None:
    (copy.folder / "seal.json").unlink()
    with pytest.raises(StateError, match="the image has lost its seal") as caught:
        verify_image(copy)
    assert "bay image build tiny" in caught.value.hint


# --- step by step, from an index of our own ---


def lock_of(reference: str) -> Lock:
    return lock_recipe(find_recipe(reference), folder=Path(reference).parent, uv=Uv(find_uv()))


@pytest.fixture
def stage(index: Index, recipe: Recipe, tmp_path: Path) -> Callable[..., Stage]:
    """Return a function that installs packages into a stage."""
    assert index.url

    def make(*packages: str) -> Stage:
        lock = lock_of(recipe(*packages))
        made = Stage(lock=lock, folder=tmp_path / "home" / "stage", final=tmp_path / "home" / "images" / lock.digest)
        install_packages(made, uv=Uv(find_uv()), reporter=SilentReporter())
        return made

    return make


def test_modules_are_compiled_in_whatever_shell(
    stage: Callable[..., Stage], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("UV_COMPILE_BYTECODE", "1")
    made = stage("alpha")
    compile_bytecode(made)
    compiled = made.site_packages / "__pycache__" / "alpha.cpython-311.pyc"
    final = made.final / compiled.relative_to(made.folder).parent.parent / "alpha.py"
    assert marshal.loads(compiled.read_bytes()[16:]).co_filename == str(final)
    assert not (tmp_path / "elsewhere").exists()


def test_what_is_no_python_3_does_not_stop_a_build(index: Index, stage: Callable[..., Stage]) -> None:
    files = {"old/__init__.py": "", "old/two.py": "print 'hello'\n", "old/template.py": "{{ name }} = 1\n"}
    index.add(make_wheel("old", files=files))
    made = stage("old")
    compile_bytecode(made)
    assert [path.name for path in (made.site_packages / "old" / "__pycache__").iterdir()] == [
        "__init__.cpython-311.pyc"
    ]


def test_a_refusal_of_the_system_while_compiling_is_not_swallowed(stage: Callable[..., Stage]) -> None:
    # compileall goes on after an error, and an image with some modules compiled must not come of it
    made = stage("alpha", "beta")
    more = made.site_packages / "more"
    more.mkdir()
    (more / "module.py").touch()
    (more / "__pycache__").write_text("a file where the folder has to be")
    with pytest.raises(OSError, match=r"Not a directory|File exists"):
        compile_bytecode(made)
    assert (made.site_packages / "__pycache__" / "alpha.cpython-311.pyc").exists()


def test_a_package_that_is_not_what_it_says_is_refused(
    bay: Bay, index: Index, recipe: Recipe, left_behind: Callable[[], list[str]], tmp_path: Path
) -> None:
    # uv checks what it downloads, and not what lies unpacked in its cache
    index.add(make_wheel("gamma", files={"gamma.py": "x = 1\n"}))
    reference = recipe("gamma")
    image, _ = ensure_image(bay, reference)
    [cached] = (tmp_path / "uv-cache").rglob("gamma.py")
    edit_in_place(cached)
    other = replace(lock_of(reference), env=(("A", "1"),))  # another image of the same packages
    recipe("gamma", more="env: {A: 1}\n")
    with pytest.raises(
        BuildError, match=r"1 installed file.* first gamma\.py of gamma-1\.0: changed in place"
    ) as caught:
        ensure_image(bay, reference)
    assert "uv cache clean" in caught.value.hint
    assert other.digest != image.digest
    assert left_behind() == [f"images/{image.digest}"]


def test_a_fresh_image_is_sealed_and_shares_no_file_with_the_cache(
    bay: Bay, index: Index, recipe: Recipe, tmp_path: Path
) -> None:
    assert index.url
    image, _ = ensure_image(bay, recipe("alpha"))
    everything = [image.folder, *paths(image.folder)]
    assert not any(path.stat().st_mode & WRITE_BITS for path in everything if not path.is_symlink())
    inodes = {path.stat().st_ino for path in paths(tmp_path / "uv-cache") if path.is_file()}
    assert len(inodes) > 4
    assert [path for path in paths(image.folder) if path.is_file() and path.stat().st_ino in inodes] == []


def test_publishing_is_one_step(stage: Callable[..., Stage], monkeypatch: pytest.MonkeyPatch) -> None:
    made = stage("alpha")
    seal(made, {"name": "small"})
    inode = made.folder.stat().st_ino
    monkeypatch.setattr(os, "chmod", lambda *_: None)  # the last of it may be missing, and it is an image
    publish(made)
    assert made.final.stat().st_ino == inode, "it was copied, and whoever looked meanwhile saw half of it"
    assert not made.folder.exists()
    assert {path.name for path in made.final.iterdir()} >= {"env", "record.json", "seal.json", "lock.txt", "command.sh"}


def test_an_image_is_whole_from_the_first_moment_it_is_seen(bay: Bay, index: Index, recipe: Recipe) -> None:
    assert index.url
    reference = recipe("alpha")
    digest = lock_of(reference).digest
    seen: list[tuple[str, bool]] = []

    def look(instant: str) -> None:
        image = find_image(bay.home, digest)
        assert (bay.home.images / digest).exists() is (image is not None)
        if image is not None:
            assert verify_image(image).problems == [], instant
        seen.append((instant, image is not None))

    with crash_points(look):
        ensure_image(bay, reference)
    there = [is_there for _, is_there in seen]
    assert there == sorted(there), "once there, it stays"
    assert (there[0], there[-1]) == (False, True)
    assert next(instant for instant, is_there in seen if is_there) == "after os.rename"


def test_the_record_of_what_was_unpacked_is_of_those_packages(stage: Callable[..., Stage]) -> None:
    made = stage("alpha")
    found = verify_records(made)
    assert found.packages == {"alpha": "1.0", "beta": "1.2", "pip": "26.0", "uv": "0.13.0"}
    assert found.problems == []
    assert found.content == verify_records(made).content


def test_the_same_packages_are_the_same_content_wherever_they_are_built(
    bay: Bay, index: Index, recipe: Recipe, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert index.url
    first, _ = ensure_image(bay, recipe("alpha", name="one"))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "other-cache"))
    second, _ = ensure_image(bay, recipe("alpha", name="two", more="env: {A: 1}\n"))
    assert first.digest != second.digest
    assert first.content == second.content


def test_what_is_built_is_not_built_again(bay: Bay, index: Index, recipe: Recipe) -> None:
    assert index.url
    reference = recipe("alpha")
    image, is_new = ensure_image(bay, reference)
    assert is_new
    for again in (reference, recipe("alpha", name="another-name"), image.digest, image.digest[:8], "small"):
        assert ensure_image(bay, again) == (image, False)
    assert [item.digest for item in list_images(bay.home)] == [image.digest]
    with open_journal(bay.home.journal, bay.clock, bay.reporter.note) as journal:
        steps = [(kind, step) for _, _, _, kind, step in journal.entries(image.digest)]
    done = [
        (kind, step) for step in ("install", "compile", "verify", "import", "publish") for kind in ("intent", "result")
    ]
    assert steps == [("begin", ""), *done, ("end", "")]


def test_variables_of_a_recipe_come_with_every_command(bay: Bay, index: Index, recipe: Recipe) -> None:
    index.add(make_wheel("tool", files={"tool.py": "def main():\n    pass\n"}, scripts={"tool": "tool:main"}))
    image, _ = ensure_image(bay, recipe("tool", more="env: {THREADS: 4, WORDS: 'it''s $HOME'}\n"))
    assert image.env == {"THREADS": "4", "WORDS": "it's $HOME"}
    shell = (image.folder / "command.sh").read_text()
    assert "export THREADS=4" in shell
    assert """export WORDS='it'"'"'s $HOME'""" in shell
    assert json.loads((image.folder / "commands.json").read_text()) == {"tool": "tool:main"}


@pytest.mark.parametrize("text", [None, "", "{}"])
def test_an_image_that_lost_its_record_is_built_again(
    bay: Bay, index: Index, recipe: Recipe, reporter: RecordingReporter, text: str | None
) -> None:
    assert index.url
    reference = recipe("alpha")
    image, _ = ensure_image(bay, reference)
    record = image.folder / "record.json"
    image.folder.chmod(0o755)
    record.unlink()
    if text is not None:
        record.write_text(text, encoding="utf-8")
    again, is_new = ensure_image(bay, reference)
    assert (is_new, again.digest, again.content) == (True, image.digest, image.content)
    assert any("had lost its record; it was built again" in note for note in reporter.notes)
    assert verify_image(again).problems == []
    assert list(bay.home.trash.glob("*")) == []


def test_an_image_that_lost_its_record_stays_until_there_is_another(
    bay: Bay, index: Index, recipe: Recipe, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Instances may stand on it: a build that fails must not take it away."""
    reference = recipe("alpha")
    image, _ = ensure_image(bay, reference)
    image.folder.chmod(0o755)
    (image.folder / "record.json").unlink()
    index.wheels.clear()
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "empty-cache"))
    with pytest.raises(BuildError):
        ensure_image(bay, reference)
    assert image.python_path.exists()
    assert list(bay.home.trash.glob("*")) == []


def test_a_folder_of_an_images_name_does_not_hide_it(
    bay: Bay, index: Index, recipe: Recipe, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert index.url
    image, _ = ensure_image(bay, recipe("alpha"))
    (tmp_path / "elsewhere" / "small").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert ensure_image(bay, "small") == (image, False)


def test_what_a_killed_removal_left_goes_with_the_next_build(bay: Bay, index: Index, recipe: Recipe) -> None:
    assert index.url
    (bay.home.trash / "an-image.1").mkdir(parents=True)
    ensure_image(bay, recipe("alpha"))
    assert list(bay.home.trash.glob("*")) == []
