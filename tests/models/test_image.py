"""Which image loads a model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from launchbay.errors import Conflict
from launchbay.home import Home
from launchbay.images.image import Image
from launchbay.models.image import choose_image
from launchbay.onboard.formats import LOADABLE
from launchbay.store.records import Run

Built = Callable[..., str]


@pytest.fixture
def built(home: Home, image_store: Callable[[str], Image]) -> Built:
    """Return a function that puts the record of an image with these packages into the home; it returns the digest."""
    record = json.loads((image_store("tiny").folder / "record.json").read_text(encoding="utf-8"))

    def make(day: int, **packages: str) -> str:
        digest = f"{day:064}"
        (home.images / digest).mkdir(parents=True)
        named = {name.replace("_", "-"): version for name, version in packages.items()}
        changed = {**record, "digest": digest, "packages": named, "built": f"2026-01-{day:02}T00:00:00Z"}
        (home.images / digest / "record.json").write_text(json.dumps(changed), encoding="utf-8")
        return digest

    return make


def run_on(digest: str) -> Run:
    nothing: dict[str, object] = dict.fromkeys(("data",))
    return Run(
        id="run-1", folder=Path("/r"), instance="a", fleet="a", image="mine", digest=digest, script="s", args=(),
        data_files={}, created_at=0.0, state="done", **nothing,  # type: ignore[arg-type]
    )  # fmt: skip


def chosen(home: Home, kind: str, run: Run | None = None, path: Path = Path("/m")) -> int:
    return int(choose_image(home, path, kind, run).digest)


def test_the_image_of_the_run_goes_before_a_newer_one(home: Home, built: Built) -> None:
    mine = built(1, torch="2.13.0")
    built(2, torch="2.14.0")
    assert chosen(home, "torchscript", run_on(mine)) == 1
    assert chosen(home, "torchscript") == 2, "of a model from elsewhere, the newest"


def test_an_image_that_lacks_what_the_format_needs_does_not_load_it(home: Home, built: Built) -> None:
    mine = built(1, tensorflow="2.15.1", keras="2.15.0")
    built(2, torch="2.13.0", onnxruntime="1.32.0")
    assert chosen(home, "onnx", run_on(mine)) == 2
    with pytest.raises(Conflict, match="needs an image with mxnet") as caught:
        choose_image(home, Path("/m"), "mxnet", run_on(mine))
    assert caught.value.hint == "bay image build mxnet"


def test_keras_2_goes_before_the_newest_for_what_it_made(home: Home, built: Built, tmp_path: Path) -> None:
    built(1, tensorflow="2.15.1", keras="2.15.0")
    built(2, tensorflow="2.21.0", keras="3.15.1")
    assert (chosen(home, "keras"), chosen(home, "keras-h5")) == (2, 1)
    assert chosen(home, "savedmodel", path=tmp_path) == 2
    (tmp_path / "keras_metadata.pb").touch()
    assert chosen(home, "savedmodel", path=tmp_path) == 1


def test_a_run_may_load_what_its_own_keras_made(home: Home, built: Built) -> None:
    mine = built(1, tensorflow="2.15.1", keras="2.15.0")
    built(2, tensorflow="2.21.0", keras="3.15.1")
    assert chosen(home, "keras", run_on(mine)) == 1


def test_of_images_side_by_side_the_one_that_can_load_it_is_taken(home: Home, built: Built) -> None:
    members = [built(1, tensorflow="2.21.0", keras="3.15.1"), built(2, torch="2.13.0"), built(3, torch="2.14.0")]
    composed = f"{4:064}"
    named = [{"name": name, "digest": digest} for name, digest in zip("ab", members, strict=False)]
    record = {"name": "both", "digest": composed, "built": "2026-01-04T00:00:00Z", "description": "", "members": named}
    (home.images / composed).mkdir()
    (home.images / composed / "record.json").write_text(json.dumps(record), encoding="utf-8")
    assert (chosen(home, "torchscript", run_on(composed)), chosen(home, "keras", run_on(composed))) == (2, 1)
    assert chosen(home, "torchscript") == 3


def test_a_package_that_bears_cuda_in_its_name_is_that_package(home: Home, built: Built) -> None:
    built(1, mxnet_cu112="1.9.1", torchvision="1.0", mxnet_custom="1")
    assert chosen(home, "mxnet") == 1
    with pytest.raises(Conflict, match="torch"):
        choose_image(home, Path("/m"), "torchscript", None)


@pytest.mark.parametrize("kind", sorted(LOADABLE))
def test_every_format_that_can_be_loaded_says_what_to_build(home: Home, kind: str) -> None:
    with pytest.raises(Conflict) as caught:
        choose_image(home, Path("/m"), kind, None)
    assert caught.value.hint.startswith("bay image build ")
