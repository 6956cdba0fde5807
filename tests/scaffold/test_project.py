from __future__ import annotations

import errno
from pathlib import Path

import pytest

from launchbay.errors import Conflict, UserError
from launchbay.scaffold import write_project
from launchbay.spec.project import read_project

FILES = ["bay.yaml", "data/test.csv", "data/train.csv", "data/validation.csv", "train.py"]


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_writes_a_project_that_can_be_read(tmp_path: Path) -> None:
    folder = tmp_path / "some where" / "my first_run"
    written = write_project(folder, image="jax")
    assert tree(folder) == FILES
    assert sorted(str(path.relative_to(folder)) for path in written) == FILES
    project = read_project(folder / "bay.yaml")
    assert (project.name, project.image, project.count) == ("my-first-run", "jax", 1)
    assert (project.script, project.data, project.args) == ("train.py", "data", ())
    assert (folder / project.script).is_file()
    assert (folder / project.data).is_dir()


@pytest.mark.parametrize("name", ["2024", "true", "___"])
def test_any_folder_name_makes_a_name(tmp_path: Path, name: str) -> None:
    write_project(tmp_path / name)
    assert read_project(tmp_path / name / "bay.yaml").name


@pytest.mark.parametrize("image", ['a"b', "a: b # c", "./é \\ 🚢.yaml", "yes"])
def test_any_image_can_be_named(tmp_path: Path, image: str) -> None:
    write_project(tmp_path, image=image)
    assert read_project(tmp_path / "bay.yaml").image == image


def test_writes_into_a_folder_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    write_project(tmp_path)
    assert tree(tmp_path) == sorted([*FILES, "notes.txt"])


def test_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name in ("train.py", "data/test.csv"):
        (tmp_path / name).write_text("mine", encoding="utf-8")
    with pytest.raises(Conflict) as caught:
        write_project(tmp_path)
    assert str(tmp_path / "train.py") in caught.value.what
    assert str(tmp_path / "data" / "test.csv") in caught.value.what
    assert tree(tmp_path) == ["data/test.csv", "train.py"]
    assert (tmp_path / "train.py").read_text(encoding="utf-8") == "mine"


def test_a_dangling_link_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "train.py").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Conflict):
        write_project(tmp_path)
    assert not (tmp_path / "elsewhere").exists()


def test_a_full_disk_leaves_everything_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Path.open

    def fill_up(path: Path, *args: object, **kwargs: object) -> object:
        if path.name == "test.csv":
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return original(path, *args, **kwargs)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", fill_up)
    with pytest.raises(UserError, match="disk is full"):
        write_project(tmp_path / "new" / "project")
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "project").write_text("a file", encoding="utf-8")
    with pytest.raises(UserError):
        write_project(tmp_path / "project")
    assert (tmp_path / "project").read_text(encoding="utf-8") == "a file"
