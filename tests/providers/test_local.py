"""What only local instances have: folders, records, processes."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from launchbay.files import locked
from launchbay.home import Home
from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.doctor import run_checks
from launchbay.providers.local import damaged_instances
from tests.providers.specs import make_instances


@pytest.fixture
def image(with_image: Callable[[str], Image]) -> Image:
    return with_image("tiny")


def test_an_instance_is_renamed_into_place_when_it_is_whole(
    bay: Bay, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[set[str]] = []
    rename = os.rename

    def watch(source: str | Path, target: str | Path) -> None:
        if Path(target).parent == bay.home.instances:
            assert list(bay.provider.observe()) == []
            seen.append({path.name for path in Path(source).iterdir()})
        rename(source, target)

    monkeypatch.setattr(os, "rename", watch)
    make_instances(bay, image)
    assert seen == [{"env", "home", "work", "record.json"}]


def test_a_half_made_one_is_never_observed_and_swept(bay: Bay, image: Image, home: Home) -> None:
    make_instances(bay, image)
    for name in ("new-i-exp-7", "trash/i-exp-8.1"):
        (home.tmp / name / "env").mkdir(parents=True)
    (home.tmp / "build-abc").mkdir()
    assert [item.name for item in bay.provider.observe()] == ["exp-1"]
    (home.tmp / "build-def").mkdir()
    with locked(home.lock("image-def")):  # somebody is building this one
        assert sorted(bay.provider.sweep()) == ["build-abc", "i-exp-8.1", "new-i-exp-7"]
    assert sorted(path.name for path in home.tmp.iterdir()) == ["build-def", "trash"]


def test_sweep_leaves_the_draft_of_a_launch_under_way(bay: Bay, home: Home) -> None:
    (home.tmp / "new-i-exp-1").mkdir(parents=True)
    with locked(home.lock("create"), shared=True):
        assert bay.provider.sweep() == ()
    assert (home.tmp / "new-i-exp-1").is_dir()
    assert bay.provider.sweep() == ("new-i-exp-1",)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"id": "i-exp-2"}'])
def test_a_damaged_record_hides_one_instance_and_is_found(bay: Bay, image: Image, home: Home, text: str) -> None:
    make_instances(bay, image, 3)
    (home.instances / "i-exp-2" / "record.json").write_text(text, encoding="utf-8")
    assert [item.name for item in bay.provider.observe()] == ["exp-1", "exp-3"]
    assert damaged_instances(home) == [home.instances / "i-exp-2"]


def test_a_missing_record_is_found_as_damage(bay: Bay, image: Image, home: Home) -> None:
    make_instances(bay, image, 2)
    (home.instances / "i-exp-1" / "record.json").unlink()
    (home.instances / "a-file").write_text("", encoding="utf-8")
    assert [item.name for item in bay.provider.observe()] == ["exp-2"]
    assert damaged_instances(home) == [home.instances / "i-exp-1"]


@pytest.mark.parametrize(
    ("field", "text"),
    [("created_at", '"abc"'), ("created_at", "1e400"), ("created_at", "null"), ("name", "5"), ("count", '"2"')],
)
def test_a_record_of_the_wrong_kind_is_damaged(bay: Bay, image: Image, home: Home, field: str, text: str) -> None:
    make_instances(bay, image, 2)
    path = home.instances / "i-exp-1" / "record.json"
    record = {**json.loads(path.read_text(encoding="utf-8")), field: json.loads(text)}
    path.write_text(json.dumps(record), encoding="utf-8")
    assert [item.name for item in bay.provider.observe()] == ["exp-2"]
    assert damaged_instances(home) == [path.parent]
    (found,) = [check for check in run_checks(bay) if check.name == "instance"]
    assert str(path.parent) in found.found


def test_the_fleet_is_listed_in_the_order_of_its_numbers(bay: Bay, image: Image) -> None:
    assert [item.name for item in make_instances(bay, image, 11)] == [f"exp-{number}" for number in range(1, 12)]


def test_a_record_of_a_later_version_is_read_for_what_is_known(bay: Bay, image: Image, home: Home) -> None:
    make_instances(bay, image)
    path = home.instances / "i-exp-1" / "record.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), "colour": "red"}), encoding="utf-8")
    assert [item.name for item in bay.provider.observe()] == ["exp-1"]


def test_stop_ends_what_runs_in_one_instance_only(
    bay: Bay, image: Image, marked: Callable[..., subprocess.Popen[bytes]]
) -> None:
    first, _ = make_instances(bay, image, 2)
    mine, neighbours = marked("i-exp-1"), marked("i-exp-2")
    assert bay.provider.stop([first]) == 1  # type: ignore[attr-defined]
    assert mine.wait(5) == -15
    assert neighbours.poll() is None


def test_delete_ends_what_runs_in_it(bay: Bay, image: Image, marked: Callable[..., subprocess.Popen[bytes]]) -> None:
    instances = make_instances(bay, image, 2)
    processes = [marked("i-exp-1"), marked("i-exp-2")]
    bay.provider.delete(instances)
    assert [process.wait(5) for process in processes] == [-15, -15]
