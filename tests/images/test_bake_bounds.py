"""What cannot be baked, what is named, and what a kill leaves."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from launchbay.cli.main import main
from launchbay.errors import BuildError, Conflict, NotFound, UsageError
from launchbay.lifecycle.bake import bake_instance
from tests.images.baking import PACKAGES, Site
from tests.images.index import Index, make_wheel

Recipe = Callable[..., str]


def test_a_file_that_a_package_always_brings_is_named(site: Site, recipe: Recipe) -> None:
    site.layer = "overlay"
    root = site.launch(recipe("alpha")).root
    site.run("rm", str(root / "env" / PACKAGES / "alpha.py"))
    site.write(f"{PACKAGES}/mine.py", "x = 1\n")
    baked = site.bake()
    assert (baked.same, baked.differences) == (False, [])
    assert dict(baked.left) == {f"{PACKAGES}/alpha.py": "was removed, and alpha always brings it along"}


@pytest.mark.parametrize("name", ["mine.yaml", "mine.files", "mine.py311-linux-x86_64-cpu.lock"])
def test_nothing_of_somebody_else_is_replaced(site: Site, recipe: Recipe, name: str) -> None:
    site.launch(recipe("alpha"))
    site.write(f"{PACKAGES}/mine.py", "x = 1\n")
    (site.folder / name).write_text("packages: [numpy]\n")
    with pytest.raises(Conflict, match=f"{name} is there already"):
        site.bake(image_name="mine")
    assert (site.folder / name).read_text() == "packages: [numpy]\n"
    assert [path.name for path in site.folder.iterdir()] == [name]


def test_a_recipe_that_was_edited_since_is_somebodys_own(site: Site, recipe: Recipe) -> None:
    site.launch(recipe("alpha"))
    site.write(f"{PACKAGES}/mine.py", "x = 1\n")
    baked = site.bake()
    baked.recipe.write_text(baked.recipe.read_text() + "# my own\n")
    with pytest.raises(Conflict, match=r"exp-1-baked\.yaml is there already"):
        site.bake()


def test_a_package_that_the_index_has_not_is_named(site: Site, recipe: Recipe, tmp_path: Path) -> None:
    site.launch(recipe("alpha"))
    wheel = make_wheel("local", "3.0")
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / wheel.file).write_bytes(wheel.data)
    site.uv("install", "--find-links", str(tmp_path / "wheels"), "local")
    with pytest.raises(BuildError, match="local") as caught:
        site.bake()
    assert "UV_FIND_LINKS" in caught.value.hint
    assert list(site.folder.iterdir()) == []


def test_an_index_that_does_not_answer_leaves_nothing(
    site: Site, index: Index, recipe: Recipe, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    site.launch(recipe("alpha"))
    index.add(make_wheel("gamma"))
    site.uv("install", "gamma")
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple/")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "another-cache"))
    with pytest.raises(BuildError, match="network failed"):
        site.bake()
    assert list(site.folder.iterdir()) == []


def test_a_package_installed_in_place_is_refused(site: Site, recipe: Recipe) -> None:
    site.launch(recipe("alpha"))
    info = f"{PACKAGES}/local-1.0.dist-info"
    site.write(f"{info}/RECORD", "local-1.0.dist-info/RECORD,,\n")
    site.write(f"{info}/direct_url.json", '{"url": "file:///home/me/local", "dir_info": {"editable": true}}')
    with pytest.raises(Conflict, match=r"local 1\.0 is installed in place from file:///home/me/local"):
        site.bake()


def test_a_package_compiled_from_a_folder_is_refused(site: Site, recipe: Recipe) -> None:
    site.launch(recipe("alpha"))
    info = f"{PACKAGES}/local-1.0.dist-info"
    site.write(f"{info}/WHEEL", "Root-Is-Purelib: false\n")
    site.write(f"{info}/direct_url.json", '{"url": "file:///home/me/local", "dir_info": {}}')
    with pytest.raises(Conflict, match=r"local 1\.0 was compiled from file:///home/me/local"):
        site.bake()


def test_an_untouched_instance_is_its_image(site: Site, recipe: Recipe) -> None:
    site.launch(recipe("alpha"))
    site.run("python", "-c", "import alpha")
    with pytest.raises(Conflict, match="exp-1 holds nothing that its image small does not hold"):
        site.bake()
    assert list(site.folder.iterdir()) == []


def test_files_that_no_image_can_have_are_named(site: Site, recipe: Recipe) -> None:
    root = site.launch(recipe("alpha", name="folder")).root
    site.write(f"{PACKAGES}/mine.py", "x = 1\n")
    site.write(f"{PACKAGES}/place.py", f"x = '{root}/work'\n")
    site.write("pip.conf", "")
    (root / "env" / PACKAGES / "link").symlink_to(root / "work")
    site.run("mkfifo", str(root / "env" / PACKAGES / "pipe"))
    baked = site.bake()
    assert not baked.same
    assert baked.files == [f"{PACKAGES}/mine.py"]
    assert dict(baked.left) == {
        f"{PACKAGES}/link": "is a link into this instance",
        f"{PACKAGES}/pipe": "is no file",
        f"{PACKAGES}/place.py": "names the folder of this instance",
        "pip.conf": "belongs to the layer itself",
    }
    assert baked.differences == []


def test_a_file_over_a_package_of_the_image_is_named_and_not_taken_for_its_own(
    site: Site, index: Index, recipe: Recipe
) -> None:
    index.add(make_wheel("omega", files={"omega/__init__.py": "x = 1\n", "omega/part.py": "y = 1\n"}))
    site.launch(recipe("omega"))
    site.write(f"{PACKAGES}/omega/part.py", "y = 2\n")
    site.write(f"{PACKAGES}/mine.py", "x = 1\n")
    assert site.run("python", "-c", "import omega.part; print(omega.part.y)") == "1"  # it has no effect
    baked = site.bake()
    assert not baked.same
    assert list(baked.left) == [f"{PACKAGES}/omega/part.py"]
    assert baked.files == [f"{PACKAGES}/mine.py"]


def test_an_image_that_is_not_the_same_is_told(site: Site, index: Index, recipe: Recipe, tmp_path: Path) -> None:
    """The index has other bytes under that version than those that were installed."""
    site.launch(recipe("alpha"))
    wheel = make_wheel("gamma", files={"gamma.py": "x = 'installed'\n"})
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / wheel.file).write_bytes(wheel.data)
    site.uv("install", "--no-cache", "--no-index", "--find-links", str(tmp_path / "wheels"), "gamma")
    index.add(make_wheel("gamma", files={"gamma.py": "x = 'published'\n"}))
    baked = site.bake()
    assert not baked.same
    assert baked.differences == [f"{PACKAGES}/gamma.py is another in the image"]


def test_names_that_cannot_be(site: Site, recipe: Recipe) -> None:
    site.launch(recipe("alpha"))
    with pytest.raises(NotFound, match="no instance or fleet named 'exq'"):
        bake_instance(site.bay, "exq")
    with pytest.raises(UsageError, match="'tensorflow' is an image that comes with Launchbay"):
        site.bake(image_name="tensorflow")
    with pytest.raises(UsageError, match="got 'a/b'") as caught:
        site.bake(image_name="a/b")
    assert caught.value.hint == "--name a-b"
    with pytest.raises(NotFound, match="no environment 'other'"):
        site.bake(env="other")
    with pytest.raises(UsageError, match="there is no such folder"):
        bake_instance(site.bay, "exp", output=site.folder / "missing")


def test_what_the_terminal_shows(site: Site, index: Index, recipe: Recipe, capfd: pytest.CaptureFixture[str]) -> None:
    site.launch(recipe("alpha"))
    index.add(make_wheel("gamma"))
    site.uv("install", "gamma")
    site.write(f"{PACKAGES}/mine.py", "x = 1\n")
    capfd.readouterr()
    assert main(["image", "bake", "exp", "--name", "mine", "-o", str(site.folder)]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].startswith("mine: the same as exp-1: 5 packages, ")
    assert "  added     gamma 1.0" in lines
    assert f"  files     {PACKAGES}/mine.py" in lines
    assert "  not taken exp-1's home and work folder (`bay cp` copies them)" in lines
    assert lines[-1] == f"  next      bay launch {site.folder}/mine.yaml"
    assert main(["image", "bake", "exp", "--name", "mine", "-o", str(site.folder), "--json"]) == 0
    value = json.loads(capfd.readouterr().out)
    assert (value["same"], value["added"], value["files"]) == (True, {"gamma": "1.0"}, [f"{PACKAGES}/mine.py"])
    assert value["recipe"] == str(site.folder / "mine.yaml")
    assert len(value["image"]["digest"]) == 64
    (site.instance().root / "env" / "pip.conf").write_text("")
    assert main(["image", "bake", "exp", "--name", "mine", "-o", str(site.folder)]) == 1
    assert "  left      pip.conf belongs to the layer itself" in capfd.readouterr().out.splitlines()


def test_killed_at_any_step_the_same_command_ends_in_the_same(site: Site, recipe: Recipe, tmp_path: Path) -> None:
    site.launch(recipe("alpha"))
    site.write(f"{PACKAGES}/mine.py", "x = 1\n")
    crash = [sys.executable, "-W", "ignore::RuntimeWarning", "-m", "launchbay.testing.crash"]
    wanted = site.bake(image_name="wanted")
    bake = ["image", "bake", "exp", "--name", "wanted", "--output"]
    step, done = 1, None
    while done is None or done.returncode == -9:
        out = tmp_path / f"out-{step}"
        out.mkdir()
        done = subprocess.run([*crash, str(step), *bake, str(out)], capture_output=True, text=True, check=False)
        again = bake_instance(site.bay, "exp", image_name="wanted", output=out)
        assert again.same
        assert again.image == wanted.image
        assert sorted(path.name for path in out.iterdir()) == sorted(path.name for path in site.folder.iterdir())
        assert not list(site.bay.home.tmp.glob("[!t]*")), "left over"
        step += 1
    assert done.returncode == 0, done.stderr
    assert step > 10
