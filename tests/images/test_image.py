from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from launchbay.errors import StateError
from launchbay.files import write_json
from launchbay.home import Home
from launchbay.images.image import Image, damaged_images, find_image, from_record, image_folder, list_images
from launchbay.jsonable import fields_of, to_json

IMAGE = Image(
    name="small",
    kind="custom",
    digest="d" * 64,
    content="c" * 64,
    folder=Path("/nowhere"),
    python="3.11",
    python_version="3.11.7",
    platform="linux-x86_64",
    accelerator="cpu",
    frameworks={},
    packages={"six": "1.17.0"},
    env={"A": "1"},
    size_bytes=7,
    files=1,
    downloaded_bytes=0,
    built="2027-01-15T08:00:00Z",
    build_seconds={"install": 1.5},
    first_import_s=None,
)


def put(home: Home, image: Image, **more: Any) -> Path:
    folder = image_folder(home, image.digest)
    folder.mkdir(parents=True)
    write_json(folder / "record.json", to_json({**fields_of(image), **more}))
    return folder


def test_an_image_is_found_by_its_digest(home: Home) -> None:
    folder = put(home, IMAGE)
    assert find_image(home, IMAGE.digest) == replace(IMAGE, folder=folder)
    assert find_image(home, "e" * 64) is None


def test_an_image_says_where_its_parts_lie() -> None:
    assert IMAGE.python_path == Path("/nowhere/env/bin/python")
    assert IMAGE.site_packages == Path("/nowhere/env/lib/python3.11/site-packages")
    assert IMAGE.constraints == Path("/nowhere/constraints.txt")


def test_images_are_listed_oldest_first(home: Home) -> None:
    assert list(list_images(home)) == []
    for day, digest in (("16", "a" * 64), ("15", "b" * 64), ("17", "c" * 64)):
        put(home, replace(IMAGE, digest=digest, built=f"2027-01-{day}T08:00:00Z"))
    assert [image.digest[0] for image in list_images(home)] == ["b", "a", "c"]


def test_a_record_of_a_later_version_is_read_as_far_as_we_know_it(home: Home) -> None:
    put(home, IMAGE, signature="later")
    assert find_image(home, IMAGE.digest) is not None


@pytest.mark.parametrize("content", ["", "{", "{}", "[]", '{"name": "small"}'])
def test_a_damaged_image_is_named_and_hides_no_other(home: Home, content: str) -> None:
    put(home, IMAGE)
    bad = put(home, replace(IMAGE, digest="e" * 64))
    (bad / "record.json").write_text(content)
    (home.images / "a-file").touch()
    assert [image.digest for image in list_images(home)] == [IMAGE.digest]
    assert damaged_images(home) == [home.images / "a-file", bad]
    with pytest.raises(StateError, match="record is damaged") as caught:
        find_image(home, "e" * 64)
    assert caught.value.where == str(bad / "record.json")


def test_a_record_that_lacks_something_says_what() -> None:
    record = to_json(fields_of(IMAGE))
    del record["digest"], record["files"]
    with pytest.raises(StateError, match="damaged: it lacks digest, files"):
        from_record(record, Path("/nowhere"))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("packages", None),
        ("packages", ["six"]),
        ("packages", {"six": 1}),
        ("env", {"A": None}),
        ("build_seconds", {"install": "1.5"}),
        ("built", None),
        ("size_bytes", "7"),
        ("first_import_s", "1"),
        ("support_ends", 2027),
        ("description", None),
    ],
)
def test_a_record_of_the_wrong_kind_is_damaged(home: Home, field: str, value: Any) -> None:
    put(home, IMAGE)
    bad = put(home, replace(IMAGE, digest="e" * 64), **{field: value})
    assert [image.digest for image in list_images(home)] == [IMAGE.digest]
    assert damaged_images(home) == [bad]
    with pytest.raises(StateError, match=f"damaged: {field} must be "):
        find_image(home, "e" * 64)


def test_a_folder_without_a_record_is_no_image(home: Home) -> None:
    (home.images / ("f" * 64)).mkdir(parents=True)
    assert find_image(home, "f" * 64) is None
    assert list(list_images(home)) == []


def test_the_list_of_all_packages_is_not_shown_with_every_image() -> None:
    shown = to_json(IMAGE)
    assert "packages" not in shown
    assert (shown["digest"], shown["first_import_s"], shown["folder"]) == (IMAGE.digest, None, "/nowhere")
