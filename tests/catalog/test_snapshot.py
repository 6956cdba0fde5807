from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import pytest

from launchbay.catalog.snapshot import load_snapshot, read_date, read_regions
from launchbay.errors import NotFound, StateError


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a copy of the packaged catalogue that may be damaged."""
    folder = tmp_path / "data"
    folder.mkdir()
    for item in (resources.files("launchbay.catalog") / "data").iterdir():
        (folder / item.name).write_bytes(item.read_bytes())
    return folder


def test_only_the_prices_that_were_asked_for_are_read(copy: Path) -> None:
    one = load_snapshot(["us-west-2"], folder=copy)
    assert {region for _, region, _ in one.prices} == {"us-west-2"}
    assert {region for _, region in one.side} == {"us-west-2"}
    assert one.regions == read_regions(folder=copy)
    assert len(one.types) == 1422
    assert load_snapshot([], folder=copy).prices == {}


def test_a_region_that_there_is_not_is_answered_with_the_nearest() -> None:
    with pytest.raises(NotFound, match=r"no region named 'us-wast-2'; did you mean .*us-west-2"):
        load_snapshot(["us-wast-2"])


@pytest.mark.parametrize("name", ["types.csv.gz", "prices.csv.gz", "side.csv"])
def test_a_file_with_one_other_byte_is_refused(copy: Path, name: str) -> None:
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(data)
    with pytest.raises(StateError, match=rf"sha256 is not what the manifest says \(.*{name}") as caught:
        load_snapshot(folder=copy)
    assert "install launchbay again" in caught.value.hint


@pytest.mark.parametrize("name", ["types.csv.gz", "prices.csv.gz", "side.csv", "manifest.json"])
def test_a_file_that_is_gone_is_one_error(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(StateError, match="it cannot be read"):
        load_snapshot(folder=copy)


@pytest.mark.parametrize("text", ["", "{", "[]", "\0", '{"format": 2}', '{"format": 1}', "{}"])
def test_a_manifest_that_is_not_one_is_one_error(copy: Path, text: str) -> None:
    (copy / "manifest.json").write_text(text, encoding="utf-8")
    with pytest.raises(StateError, match="catalogue of instance types is damaged"):
        load_snapshot(folder=copy)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("described_on",), None),
        (("described_on",), "x"),
        (("origins", "a", "as_of"), "x"),
        (("origins", "a", "stale"), 1),
    ],
)
def test_a_manifest_with_anything_else_in_it_is_one_error(copy: Path, place: tuple[str, ...], value: object) -> None:
    manifest = json.loads((copy / "manifest.json").read_bytes())
    inner = manifest
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    (copy / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    for read in (load_snapshot, read_date, read_regions):
        with pytest.raises(StateError, match="catalogue of instance types is damaged"):
            read(folder=copy)


def test_the_manifest_names_every_source_with_its_hash(copy: Path) -> None:
    manifest = json.loads((copy / "manifest.json").read_bytes())
    assert [item["package"] for item in manifest["sources"]].count("moto") == 6
    assert all(len(item["sha256"]) == 64 and item["licence"] for item in manifest["sources"])
    assert {"as_of", "method", "source", "stale"} == manifest["origins"]["a"].keys()
