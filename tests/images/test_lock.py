from __future__ import annotations

import platform
import random
import re
import string
import sys
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from launchbay.errors import StateError
from launchbay.images import lock as lock_module
from launchbay.images.lock import Lock, Pin, Target, current_target, is_lock_of, lock_recipe, parse_lock, relabel
from launchbay.images.recipe import builtin_names, find_recipe
from launchbay.images.uv import Uv

TARGET = Target(python="3.11", platform="linux-x86_64")
LOCK = Lock(
    recipe="small",
    inputs="i" * 64,
    target=TARGET,
    env=(("A", "1"), ("B", "two words")),
    pins=(Pin("alpha", "1.0", ("a" * 64,)), Pin("beta", "1.2", ("b" * 64, "c" * 64))),
)
NO_UV = Uv("/nowhere/uv")
SHIPPED = sorted(
    item.name for item in (resources.files("launchbay.images") / "locks").iterdir() if item.name.endswith(".txt")
)


def shipped(name: str) -> Lock:
    text = (resources.files("launchbay.images") / "locks" / name).read_text(encoding="utf-8")
    return parse_lock(text, where=name)


# --- the digest: what makes two images one ---


def test_the_digest_is_known_and_stays() -> None:
    """A change of it orphans every image that was ever built: raise LAYOUT on purpose, not by accident."""
    assert LOCK.digest == "daa37cedd8f423f3080e23f8f087a8a7477c8f820d16d7b758b214c0c7387f0e"


@pytest.mark.parametrize(
    "change",
    [
        {"env": (("A", "2"), ("B", "two words"))},
        {"env": (("A", "1"),)},
        {"env": ()},
        {"target": replace(TARGET, python="3.12")},
        {"target": replace(TARGET, platform="macos-arm64")},
        {"target": replace(TARGET, accelerator="cuda13")},
        {"pins": LOCK.pins[:1]},
        {"pins": (Pin("alpha", "1.1", ("a" * 64,)), LOCK.pins[1])},
        {"pins": (Pin("alpha", "1.0", ("d" * 64,)), LOCK.pins[1])},
        {"pins": (LOCK.pins[0], Pin("beta", "1.2", ("b" * 64,)))},
        {"pins": (Pin("gamma", "1.0", ("a" * 64,)), LOCK.pins[1])},
    ],
)
def test_the_digest_changes_with_each_ingredient(change: dict[str, Any]) -> None:
    assert replace(LOCK, **change).digest != LOCK.digest


def test_the_digest_changes_with_the_layout_of_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    before = LOCK.digest
    monkeypatch.setattr(lock_module, "LAYOUT", lock_module.LAYOUT + 1)
    assert LOCK.digest != before


def test_equal_content_is_one_image_whatever_its_recipe_is_called() -> None:
    assert replace(LOCK, recipe="other", inputs="j" * 64).digest == LOCK.digest


# --- as text ---


def test_a_lock_is_read_as_it_was_written() -> None:
    assert parse_lock(LOCK.text(), where="x.lock") == LOCK
    assert parse_lock(LOCK.text(), where="x.lock").text() == LOCK.text()


@pytest.mark.parametrize(
    "value", ["", " ", "a=b", "# no comment", "C:\\", "x \\", "'\"$(rm)`", "ä漢", "--hash=sha256:00"]
)
def test_any_variable_survives(value: str) -> None:
    lock = replace(LOCK, env=(("A", value), ("Z", "1")))
    assert parse_lock(lock.text(), where="x.lock") == lock


def test_any_text_in_a_variable_survives() -> None:
    draw = random.Random(5)
    letters = [letter for letter in string.printable + "é \\\\\\#=" if len(f"{letter}.".splitlines()) == 1]
    for _ in range(500):
        lock = replace(LOCK, env=(("A", "".join(draw.choices(letters, k=draw.randrange(12)))),))
        assert parse_lock(lock.text(), where="x.lock") == lock


def test_lines_in_any_order_are_the_same_lock() -> None:
    head, pins = LOCK.text().split("alpha==", 1)
    first, second = f"alpha=={pins}".split("beta==", 1)
    assert parse_lock(f"{head}beta=={second}{first}", where="x.lock") == LOCK


def test_other_installers_can_read_it() -> None:
    text = LOCK.requirements()
    expected = (
        f"alpha==1.0 \\\n    --hash=sha256:{'a' * 64}\n"
        f"beta==1.2 \\\n    --hash=sha256:{'b' * 64} \\\n    --hash=sha256:{'c' * 64}\n"
    )
    assert text == expected
    assert LOCK.text().endswith(expected)
    assert all(line.startswith("#") for line in LOCK.text().removesuffix(expected).splitlines())


def test_constraints_carry_no_hashes() -> None:
    """A hashed constraint makes every later install of anything fail."""
    assert LOCK.constraints() == "alpha==1.0\nbeta==1.2\n"


HEADLESS = LOCK.text().split("alpha==")[1]
DAMAGE: dict[str, str] = {
    "empty": "",
    "without a head": f"alpha=={HEADLESS}",
    "without packages": LOCK.text().split("alpha==")[0],
    "cut in a hash": LOCK.text()[:-20],
    "cut after a version": LOCK.text().split("beta==1.2")[0] + "beta==1.2",
    "cut after a backslash": LOCK.text().split("beta==1.2")[0] + "beta==1.2 \\\n",
    "without a hash": LOCK.text() + "gamma==1.0\n",
    "with another kind of hash": LOCK.text() + f"gamma==1.0 --hash=md5:{'0' * 32}\n",
    "with an address": LOCK.text() + "gamma @ https://example.invalid/gamma.whl\n",
    "with an option": LOCK.text() + "--index-url https://example.invalid\n",
    "not pinned": LOCK.text() + f"gamma>=1.0 --hash=sha256:{'0' * 64}\n",
    "without its python": re.sub(r"# python: .*\n", "", LOCK.text()),
    "html": "<!DOCTYPE html><html></html>",
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_lock_is_named(kind: str) -> None:
    with pytest.raises(StateError, match="lock is damaged") as caught:
        parse_lock(DAMAGE[kind], where="small.lock")
    assert caught.value.where == "small.lock"
    assert caught.value.hint == "delete it; it is made again"


# --- targets ---


def test_a_target_says_itself_in_a_file_name() -> None:
    assert TARGET.slug == "py311-linux-x86_64-cpu"
    assert replace(TARGET, python="3.9", accelerator="cuda13").slug == "py39-linux-x86_64-cuda13"


@pytest.mark.parametrize(
    ("system", "machine", "expected"),
    [("linux", "x86_64", "linux-x86_64"), ("darwin", "arm64", "macos-arm64"), ("linux", "AARCH64", "linux-aarch64")],
)
def test_this_machine_is_a_target(monkeypatch: pytest.MonkeyPatch, system: str, machine: str, expected: str) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert current_target("3.12") == Target(python="3.12", platform=expected, accelerator="cpu")


# --- the locks that come with Launchbay ---


def test_every_built_in_recipe_has_its_locks() -> None:
    recipes = [recipe for recipe in map(find_recipe, builtin_names()) if not recipe.images]
    wanted = {(recipe.name, accelerator) for recipe in recipes for accelerator in recipe.accelerators}
    assert {(lock.recipe, lock.target.accelerator) for lock in map(shipped, SHIPPED)} == wanted


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_lock_is_what_its_name_says(name: str) -> None:
    lock = shipped(name)
    assert name == f"{lock.recipe}.{lock.target.slug}.txt"
    assert lock.env == find_recipe(lock.recipe).env


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_lock_fits_its_recipe_so_that_no_network_is_needed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = shipped(name)
    monkeypatch.setattr(lock_module, "current_target", lambda *_: lock.target)
    accelerator = lock.target.accelerator
    # tools/lock_recipes.py makes it fit again
    found = lock_recipe(find_recipe(lock.recipe), folder=tmp_path, uv=NO_UV, accelerator=accelerator)
    assert found == lock
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_lock_holds_no_address(name: str) -> None:
    text = (resources.files("launchbay.images") / "locks" / name).read_text(encoding="utf-8")
    assert not re.search(r"://|\bwww\.|index-url|find-links|@ ", text)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_lock_pins_what_is_asked_for_and_of_a_gpu_what_is_its_own(name: str) -> None:
    lock = shipped(name)
    pinned = {pin.name: pin.version for pin in lock.pins}
    accelerator = lock.target.accelerator
    asked = {re.split(r"[\s<>=!~;\[]", line)[0] for line in find_recipe(lock.recipe).inputs(accelerator)}
    assert asked <= pinned.keys()
    assert {"pip", "uv"} <= pinned.keys()
    of_gpu = [name for name in pinned if name.startswith(("nvidia", "cuda", "triton")) or "-cuda1" in name]
    assert bool(of_gpu) is (accelerator != "cpu")
    assert accelerator == "cpu" or not [version for version in pinned.values() if version.endswith("+cpu")]
    if accelerator != "cpu":
        runtimes = {"cuda12": "nvidia-cuda-runtime-cu12", "cuda13": "nvidia-cuda-runtime"}
        assert pinned[runtimes[accelerator]].startswith(accelerator.removeprefix("cuda"))
    assert len(pinned) == len(lock.pins), "a package is pinned twice"


@pytest.mark.parametrize("name", [name for name in SHIPPED if "-cuda" in name])
def test_the_cuda_locks_hold_the_versions_of_the_cpu_lock(name: str) -> None:
    cpu = {pin.name: pin.version for pin in shipped(re.sub(r"-cuda\d+", "-cpu", name)).pins}
    cuda = {pin.name: pin.version for pin in shipped(name).pins}
    assert {key: cuda.get(key) for key in cpu} == {key: value.removesuffix("+cpu") for key, value in cpu.items()}


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_lock_is_kept_as_it_would_be_written(name: str) -> None:
    text = (resources.files("launchbay.images") / "locks" / name).read_text(encoding="utf-8")
    assert shipped(name).text() == text


def test_a_lock_can_be_that_of_another_recipe_and_is_the_same_image() -> None:
    recipe = replace(find_recipe("jax"), name="mine", packages=("alpha", "beta"), env=LOCK.env)
    assert not is_lock_of(LOCK, recipe)
    other = relabel(LOCK, recipe)
    assert is_lock_of(other, recipe)
    assert (other.digest, other.pins, other.recipe) == (LOCK.digest, LOCK.pins, "mine")
