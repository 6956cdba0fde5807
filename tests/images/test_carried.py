"""A recipe's folder of files: what it may hold, how it decides the digest, how it is laid over packages."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from launchbay.errors import BuildError, StateError, UsageError
from launchbay.images.carried import check_carried, lay_over, list_carried
from launchbay.images.lock import lock_as_installed, lock_path, lock_recipe, parse_lock
from launchbay.images.recipe import read_recipe
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.build import ensure_image
from launchbay.lifecycle.verify import verify_image
from launchbay.onboard import content
from tests.images.index import Index
from tests.images.test_lock import LOCK, NO_UV, TARGET

PACKAGES = "lib/python3.11/site-packages"


def put(folder: Path, *paths: str, text: str = "x = 1\n") -> Path:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


# --- what such a folder may hold ---


def test_files_programs_and_links_are_listed(tmp_path: Path) -> None:
    put(tmp_path, f"{PACKAGES}/mine.py", f"{PACKAGES}/__pycache__/mine.cpython-311.pyc", "bin/tool")
    (tmp_path / "bin/tool").chmod(0o755)
    (tmp_path / "share").mkdir()
    (tmp_path / "share/data").symlink_to("/data")
    found = list_carried(tmp_path)
    assert [(path, value.split(":")[0]) for path, value in found] == [
        ("bin/tool", "program"),
        (f"{PACKAGES}/mine.py", "sha256"),
        ("share/data", "link"),
    ]
    (tmp_path / "bin/tool").chmod(0o644)
    assert list_carried(tmp_path) != found


@pytest.mark.parametrize(
    "path", ["README.md", "pyvenv.cfg", "bin/python", "bin/python3.11", f"{PACKAGES}/_launchbay.pth"]
)
def test_what_makes_an_environment_is_not_replaced(tmp_path: Path, path: str) -> None:
    with pytest.raises(UsageError, match="files can lie below bin/, etc/, include/, lib/, share/") as caught:
        list_carried(put(tmp_path, path))
    assert path in caught.value.what


def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    os.mkfifo(tmp_path / "lib" / "pipe")
    with pytest.raises(UsageError, match="files must be files, folders and links"):
        list_carried(tmp_path)


def test_a_folder_that_is_not_there_is_named_with_its_line(tmp_path: Path) -> None:
    recipe = tmp_path / "ml.yaml"
    recipe.write_text("packages: [six]\nfiles: ./none\n")
    with pytest.raises(UsageError, match="there is no folder") as caught:
        read_recipe(recipe)
    assert caught.value.where == f"{recipe}:2"


def test_images_side_by_side_have_no_files_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "both.yaml").write_text("images: [jax, pytorch]\nfiles: ./more\n")
    with pytest.raises(UsageError, match="files and env belong into their recipes"):
        read_recipe(tmp_path / "both.yaml")


# --- in the lock ---


def test_the_lock_lists_them_whatever_they_are_called() -> None:
    names = ("a b", "a=b", "new\nline", "gr\u00f6\u00dfe", os.fsdecode(b"\xff"), '"', "\\")
    lock = replace(LOCK, files=tuple(sorted((f"lib/{name}", f"link:{name}") for name in names)))
    assert parse_lock(lock.text(), where="") == lock


def test_they_decide_the_digest_and_their_absence_changes_none() -> None:
    one, two = (replace(LOCK, files=(("lib/a", f"sha256:{letter * 64}"),)) for letter in "ab")
    assert len({LOCK.digest, one.digest, two.digest}) == 3
    assert replace(one, files=()).digest == LOCK.digest


@pytest.mark.parametrize("text", ["", "x", "[1]", '["a", "b", "c"]', "7"])
def test_a_damaged_line_is_no_lock(text: str) -> None:
    with pytest.raises(StateError, match="lock is damaged"):
        parse_lock(f"# file: {text}\n{LOCK.text()}", where="x")


def test_other_files_ask_no_index(tmp_path: Path) -> None:
    """No uv is there to be asked: the packages stay as they are locked."""
    recipe = tmp_path / "ml.yaml"
    recipe.write_text("packages: [alpha]\nfiles: ./more\n")
    put(tmp_path / "more", "lib/a")
    found = read_recipe(recipe)
    kept = {pin.name for pin in LOCK.pins}
    first = lock_as_installed(found, replace(LOCK, target=TARGET), kept=kept, added={}, uv=NO_UV)
    lock_path(recipe, TARGET).write_text(first.text())
    put(tmp_path / "more", "lib/a", text="another\n")
    second = lock_recipe(found, folder=tmp_path, uv=NO_UV)
    assert second.pins == first.pins
    assert second.files != first.files
    assert parse_lock(lock_path(recipe, TARGET).read_text(), where="") == second


# --- over an environment ---


def test_an_image_with_files_is_whole(index: Index, bay: Bay, recipe: Callable[..., str], tmp_path: Path) -> None:
    assert index.url
    put(tmp_path / "more", f"{PACKAGES}/mine.py", f"{PACKAGES}/alpha.py", text="VERSION = 'mine'\n")
    image, _ = ensure_image(bay, recipe("alpha", more="files: ./more\n"))
    assert (image.site_packages / "alpha.py").read_text() == "VERSION = 'mine'\n"
    assert verify_image(image).problems == []
    assert content.verify_records(str(image.site_packages)).content == image.content
    put(tmp_path / "more", f"{PACKAGES}/alpha.py", text="VERSION = 'other'\n")
    other, is_new = ensure_image(bay, str(tmp_path / "small.yaml"))
    assert is_new
    assert (other.site_packages / "alpha.py").read_text() == "VERSION = 'other'\n"


def test_files_that_change_during_the_build_end_it(tmp_path: Path) -> None:
    folder, environment = put(tmp_path / "more", "lib/a"), tmp_path / "env"
    listed = list_carried(folder)
    put(folder, "lib/a", text="another\n")
    with pytest.raises(BuildError, match="lib/a is not the file that the lock lists"):
        lay_over(environment, environment / PACKAGES, folder, listed)


def test_a_folder_of_a_package_is_not_replaced(tmp_path: Path) -> None:
    folder, environment = put(tmp_path / "more", "lib/a"), put(tmp_path / "env", "lib/a/b")
    with pytest.raises(BuildError, match="files hold lib/a, and a package has a folder there"):
        lay_over(environment, environment / PACKAGES, folder, list_carried(folder))


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="lib/a is not the file that the lock lists"):
        check_carried(tmp_path, [("lib/a", "link:b")])
