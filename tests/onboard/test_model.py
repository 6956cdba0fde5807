from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from launchbay.onboard import model
from launchbay.onboard.inspecting import inspect
from launchbay.onboard.refused import Refused

CONFIG = {"module": "keras", "class_name": "Sequential", "config": {"name": "m", "layers": []}}
METADATA = {"keras_version": "3.15.1", "date_saved": "2026-11-23@11:18:17"}


def archive(path: Path, changes: Mapping[str, object] | None = None, compression: int = zipfile.ZIP_STORED) -> Path:
    """Make a file with the three members, some changed, added, or (with None) left out."""
    parts: dict[str, object] = {"metadata.json": METADATA, "config.json": CONFIG, "model.weights.h5": b"not HDF5"}
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, value in {**parts, **(changes or {})}.items():
            if value is not None:
                file.writestr(name, value if isinstance(value, (bytes, str)) else json.dumps(value))
    return path


def refusal(path: Path) -> Refused:
    with pytest.raises(Refused) as caught:
        inspect({"model": str(path), "format": "keras"})
    assert str(path) in caught.value.where
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"config.json": None}, "config.json is missing"),
        ({"metadata.json": None}, "metadata.json is missing"),
        ({"model.weights.h5": None}, "model.weights.h5 is missing"),
        ({"config.json": "{"}, "not JSON"),
        ({"config.json": b"\xff\xfe\x00"}, "not JSON"),
        ({"config.json": "[1]"}, "expected a JSON object, got list"),
        ({"config.json": "[" * 100_000}, "not JSON"),
    ],
)
def test_refuses_missing_or_broken_parts(tmp_path: Path, members: dict[str, object], says: str) -> None:
    assert says in refusal(archive(tmp_path / "m.keras", members)).what


def test_refuses_what_is_no_zip(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    path.write_bytes(b"PK\x03\x04 and no more")
    assert "not a readable Keras file" in refusal(path).what
    path.write_bytes(b"")
    assert "not a readable Keras file" in refusal(path).what


def test_refuses_what_is_no_file(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "none.keras").what
    assert "directory" in refusal(tmp_path).what
    assert "not a regular file" in refusal(Path(os.devnull)).what
    os.mkfifo(tmp_path / "pipe.keras")
    assert "not a regular file" in refusal(tmp_path / "pipe.keras").what


def test_refuses_a_configuration_that_is_a_bomb(tmp_path: Path) -> None:
    path = archive(tmp_path / "m.keras", {"config.json": b" " * (65 << 20)}, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 1 << 20
    assert "more than any model needs" in refusal(path).what


def test_refuses_a_configuration_that_is_longer_than_it_says(tmp_path: Path) -> None:
    path = archive(tmp_path / "m.keras", {"config.json": b" " * (65 << 20)}, zipfile.ZIP_DEFLATED)
    data = path.read_bytes()
    path.write_bytes(data.replace(struct.pack("<L", 65 << 20), struct.pack("<L", 100)))
    assert "not a readable Keras file" in refusal(path).what or "not JSON" in refusal(path).what


def test_refuses_members_of_other_kinds(tmp_path: Path) -> None:
    assert "never uses" in refusal(archive(tmp_path / "m.keras", compression=zipfile.ZIP_LZMA)).what
    path = archive(tmp_path / "e.keras")
    data = bytearray(path.read_bytes())
    start = data.index(b"PK\x01\x02")
    while start >= 0:  # set the flag "encrypted" in every entry of the directory
        data[start + 8] |= 1
        start = data.find(b"PK\x01\x02", start + 1)
    path.write_bytes(data)
    assert "encrypted" in refusal(path).what


def test_refuses_a_zip_of_many_members(tmp_path: Path) -> None:
    path = archive(tmp_path / "m.keras", {f"extra{number}": b"" for number in range(10_001)})
    assert "10,004" in refusal(path).what


def test_extracts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "in"
    folder.mkdir()
    path = archive(folder / "m.keras", {"../evil": b"x", "assets/evil": b"x"})
    with contextlib.suppress(Refused):  # where there is no h5py, the weights are not looked at
        inspect({"model": str(path)})
    assert sorted(tmp_path.rglob("*")) == [folder, path]


def request(path: Path, data: Path, **more: object) -> dict[str, Any]:
    return {"model": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "data": str(data), **more}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "test.csv"
    path.write_text("1,2\n3,4\n", encoding="utf-8")
    return path


def test_refuses_a_file_that_has_changed(tmp_path: Path, data: Path) -> None:
    path = archive(tmp_path / "m.keras")
    asked = request(path, data)
    path.write_bytes(path.read_bytes() + b"\0")
    for command in (model.evaluate, model.predict):
        with pytest.raises(Refused, match="the file has changed: expected sha256") as caught:
            command(asked)
        assert caught.value.where == str(path)


def test_looks_at_the_table_before_the_framework_is_loaded(tmp_path: Path, data: Path) -> None:
    data.write_text("1,2\n3,x\n", encoding="utf-8")
    with pytest.raises(Refused, match="column 2 holds 'x'") as caught:
        model.evaluate(request(archive(tmp_path / "m.keras"), data))
    assert caught.value.where == f"{data}:2"


@pytest.mark.parametrize("rows", ["5", "a:b", "1:2:3", "-:3", "1.5:2", ":" + "9" * 30])
def test_refuses_rows_that_are_no_slice(tmp_path: Path, data: Path, rows: str) -> None:
    with pytest.raises(Refused, match="rows must be a slice"):
        model.predict(request(archive(tmp_path / "m.keras"), data, rows=rows))


@pytest.mark.parametrize("rows", ["1:1", "2:", "5:9", "-1:-2"])
def test_refuses_rows_that_are_none(tmp_path: Path, data: Path, rows: str) -> None:
    with pytest.raises(Refused, match="of a table with 2 rows are none"):
        model.predict(request(archive(tmp_path / "m.keras"), data, rows=rows))


@pytest.mark.parametrize("batch_size", [-1, 1.5, "8", True])
def test_refuses_a_batch_size(tmp_path: Path, data: Path, batch_size: object) -> None:
    with pytest.raises(Refused, match="batch size must be 1 or more"):
        model.evaluate(request(archive(tmp_path / "m.keras"), data, batch_size=batch_size))


def test_an_empty_zip_says_what_it_holds(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    zipfile.ZipFile(buffer, "w").close()
    path = tmp_path / "m.keras"
    path.write_bytes(buffer.getvalue())
    assert "the file holds nothing" in refusal(path).what
