from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from launchbay.afar.machine import FarMachine
from launchbay.afar.prepare import Cargo, Prepared, _write_cargo, pack_image, prepare
from launchbay.errors import BuildError, Conflict, UsageError
from launchbay.home import Home
from launchbay.images.image import Image, find_image
from launchbay.images.lock import find_lock
from launchbay.images.recipe import find_recipe, read_recipe
from launchbay.lifecycle.bay import Bay


def test_the_image_is_built_there_from_the_lock_of_here(bay: Bay, machine: FarMachine, cargo: Cargo) -> None:
    made = prepare(bay, machine, cargo, "exp-1")
    there = find_image(Home(Path(machine.home)), cargo.digest)
    here = find_image(bay.home, cargo.digest)
    assert there is not None
    assert here is not None
    assert made.built
    assert not there.folder.is_symlink()
    assert (there.digest, there.content, there.packages) == (here.digest, here.content, here.packages)
    assert made.verification["identical"]
    assert made.fingerprint["digest"] == cargo.digest


def test_the_same_call_again_finds_what_stands(bay: Bay, prepared: Prepared, cargo: Cargo) -> None:
    again = prepare(bay, prepared.machine, cargo, "exp-1")
    assert not again.built
    assert again.fingerprint == prepared.fingerprint
    assert list(again.seconds) == ["install", "image", "instance", "verify"]
    assert [row["fleet"] for row in prepared.machine.call(["ps"])] == ["exp-1"]


def test_an_image_that_lies_there_is_used_where_it_lies(bay: Bay, prepared: Prepared, cargo: Cargo) -> None:
    link = Path(prepared.machine.home) / "images" / cargo.digest
    assert not prepared.built
    assert link.is_symlink()
    assert link.resolve() == (bay.home.images / cargo.digest).resolve()


def test_another_image_under_the_name_is_a_conflict(
    bay: Bay, prepared: Prepared, with_image: Callable[[str], Image], tmp_path: Path
) -> None:
    with_image("older")
    other = pack_image(bay, str(tmp_path / "older.yaml"))
    with pytest.raises(Conflict, match="exp-1"):
        prepare(bay, prepared.machine, other, "exp-1", shared_images=[str(bay.home.images)])


def test_several_side_by_side_are_composed_there(
    bay: Bay, machine: FarMachine, with_image: Callable[[str], Image], tmp_path: Path
) -> None:
    image = with_image("pair")
    cargo = pack_image(bay, str(tmp_path / "pair.yaml"))
    assert cargo.digest == image.digest
    folder = str(bay.home.images)
    # the composed image is not handed over: its parts are found, and it is put together from what was sent
    parts = replace(cargo, name="pair")
    machine.there({"do": "link images", "digests": [member.digest for member in image.members], "folders": [folder]})
    made = prepare(bay, machine, parts, "duo")
    assert (made.digest, made.built) == (image.digest, True)


def test_a_machine_of_another_kind_is_refused(bay: Bay, machine: FarMachine, cargo: Cargo) -> None:
    assert machine.installed is not None
    assert cargo.parts[0][1].target.platform == machine.installed.platform
    recipe, lock = cargo.parts[0]
    arm = replace(cargo, parts=[(recipe, replace(lock, target=replace(lock.target, platform="linux-aarch64")))])
    with pytest.raises(BuildError, match="is locked for linux-aarch64, and the machine is linux-x86_64"):
        prepare(bay, machine, arm, "exp-1")


def test_a_recipe_that_is_not_for_the_accelerator_is_refused(bay: Bay, tiny: str) -> None:
    with pytest.raises(UsageError, match="tiny cannot be locked for cuda13, only for cpu"):
        pack_image(bay, tiny, "cuda13")


def test_a_lock_for_a_gpu_that_is_not_here_is_chosen_here(bay: Bay, tmp_path: Path) -> None:
    cargo = pack_image(bay, "tensorflow", "cuda12")
    (recipe, lock), digest = cargo.parts[0], cargo.digest
    assert lock.target.accelerator == "cuda12"
    top = tmp_path / "cargo"
    top.mkdir()
    sent = read_recipe(top / _write_cargo(cargo, top))
    found = find_lock(sent, folder=tmp_path, accelerator="cuda12")
    assert found is not None
    assert found.digest == digest
    assert (sent.accelerators, sent.gpu_driver) == (("cuda12",), recipe.gpu_driver)


def test_what_is_sent_needs_no_other_file(cargo: Cargo, tmp_path: Path) -> None:
    """Lines of requirements files, files that are carried, variables: all in one folder, and the lock still fits."""
    source = tmp_path / "source"
    (source / "carried" / "lib").mkdir(parents=True)
    (source / "carried" / "lib" / "note.txt").write_text("x", encoding="utf-8")
    (source / "base.txt").write_text("six==1.17.0\n", encoding="utf-8")
    (source / "all.txt").write_text("-r base.txt\n", encoding="utf-8")
    text = {"requirements": ["all.txt"], "files": "carried", "env": {"A": "b"}, "description": "d"}
    (source / "mine.yaml").write_text(json.dumps(text), encoding="utf-8")
    recipe = find_recipe(str(source / "mine.yaml"))
    lock = replace(cargo.parts[0][1], env=recipe.env, files=(("lib/note.txt", "0" * 64),), recipe="mine")
    top = tmp_path / "cargo"
    top.mkdir()
    name = _write_cargo(Cargo(name="mine", description="d", parts=[(recipe, lock)]), top)
    sent = read_recipe(top / name)
    found = find_lock(sent, folder=tmp_path)
    assert found is not None
    assert found.pins == lock.pins
    assert (sent.packages, sent.env, sent.requirements) == (("six==1.17.0",), recipe.env, ())
    assert sent.files is not None
    assert (sent.files / "lib" / "note.txt").read_text(encoding="utf-8") == "x"
