"""Images as text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from launchbay.api.images import Exported, Imported
from launchbay.cli.texts.images import exported_text, image_check_text, image_text, images_text, imported_text
from launchbay.lifecycle.images import ImageCheck, ImageRow
from tests.cli.texts.values import DIGEST, IMAGE


def test_images() -> None:
    recipe = ImageRow(
        name="jax",
        kind="recipe",
        description="",
        frameworks={},
        python="3.13",
        accelerator=None,
        digest=None,
        size_bytes=None,
        built=None,
        support_ends=None,
        instances=0,
    )
    built = replace(
        recipe, frameworks={"jax": "0.7"}, digest=DIGEST, size_bytes=812_000_000, built="2026-01-02T03", instances=3
    )
    head, first, second = images_text([recipe, built]).splitlines()
    assert head.split() == ["NAME", "KIND", "FRAMEWORKS", "PYTHON", "SIZE", "BUILT", "INSTANCES", "DIGEST"]
    assert first.split() == ["jax", "recipe", "-", "3.13", "-", "not", "yet", "0", "-"]
    assert second.split() == ["jax", "recipe", "jax", "0.7", "3.13", "812.0", "MB", "2026-01-02", "3", DIGEST[:12]]
    assert images_text([]) == "No image matches."


def test_a_cuda_image_is_told_apart() -> None:
    row = ImageRow(
        name="jax",
        kind="framework",
        description="",
        frameworks={"jax": "0.7"},
        python="3.13",
        accelerator="cuda13",
        digest=DIGEST,
        size_bytes=1,
        built="2026-01-02T03",
        support_ends=None,
        instances=0,
    )
    assert "framework cuda13" in images_text([row])
    assert "framework  " in images_text([replace(row, accelerator="cpu"), row]).splitlines()[1]


def test_an_image_that_went_out() -> None:
    exported = Exported(
        name="jax", digest=DIGEST, path=Path("/mnt/my disk/a b.tar.gz"), bytes=1_500_000, sha256="f" * 64
    )
    text = exported_text(exported)
    assert text.startswith(f"/mnt/my disk/a b.tar.gz: jax {DIGEST[:12]}, 1.5 MB\n")
    assert "f" * 64 in text
    assert text.endswith("bay image import 'a b.tar.gz'")


def test_an_image_that_came_in() -> None:
    imported = Imported(image=IMAGE, sha256="f" * 64, is_new=True)
    assert imported_text(imported).splitlines() == [
        f"tensorflow {DIGEST[:12]}: 1.0 MB in 10 files, all as exported",
        f"  sha256  {'f' * 64}",
        "  next    bay launch tensorflow",
    ]
    assert imported_text(replace(imported, is_new=False)) == f"tensorflow {DIGEST[:12]} was there already."


def test_an_image_that_was_built() -> None:
    shown = {
        "name": "tensorflow",
        "description": "for training",
        "digest": DIGEST,
        "built": "2026-01-02",
        "size_bytes": 1_500_000,
        "files": 12,
        "build_seconds": {"compile": 10.0, "import": 3.0, "install": 2.5, "verify": 1.0},
        "python_version": "3.11.7",
        "first_import_s": 3.21,
        "env": {"A": "1", "B": "2"},
        "packages": {"b": "2", "a": "1"},
    }
    text = image_text(shown)
    assert text.startswith("tensorflow  for training\n")
    assert "1.5 MB in 12 files" in text
    assert "install 2.5 s, compile 10.0 s, verify 1.0 s, import 3.0 s" in text
    assert "python version  3.11.7" in text
    assert "A=1 B=2" in text
    assert "first import    3.2 s" in text
    assert "not built" not in text
    assert text.endswith("2 packages:\n  a 1\n  b 2")


def test_an_image_that_is_only_a_recipe() -> None:
    text = image_text({"name": "jax", "digest": None, "built": None, "size_bytes": None, "env": {}, "packages": {}})
    assert text.splitlines() == ["jax", "  not built yet   bay image build jax", "", "0 packages:"]


def test_what_hashing_an_image_found() -> None:
    good = ImageCheck(name="jax", digest=DIGEST, content="c", ok=True, files=7, problems=())
    assert image_check_text(good).startswith(f"jax {DIGEST[:12]}: 7 files are what their packages say")
    bad = replace(good, ok=False, problems=[f"file {number}: missing" for number in range(25)])
    lines = image_check_text(bad).splitlines()
    assert lines[0] == f"jax {DIGEST[:12]}: 25 problems"
    assert (len(lines), lines[-1]) == (22, "  ... and 5 more")
