"""Images baked from instances, with packages of an index on loopback; on both kinds of layer."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import pytest

from launchbay.errors import Conflict, UsageError
from launchbay.images.image import Image, find_image
from launchbay.images.lock import parse_lock
from launchbay.images.uv import find_uv
from launchbay.lifecycle.build import ensure_image
from launchbay.lifecycle.verify import verify_image
from tests.images.baking import PACKAGES, Site
from tests.images.index import Index, make_wheel

Recipe = Callable[..., str]
LIBSSL = Path("/usr/lib/x86_64-linux-gnu/libssl.so.3")  # it links to a library of another name
BOTH = pytest.mark.parametrize("layer", ["layer", "overlay"])


def image_pins(image: Image) -> dict[str, tuple[str, ...]]:
    lock = parse_lock((image.folder / "lock.txt").read_text(), where="")
    return {f"{pin.name} {pin.version}": pin.hashes for pin in lock.pins}


@BOTH
def test_what_was_installed_is_locked_and_everything_else_keeps_its_pin(
    site: Site, index: Index, recipe: Recipe, layer: str
) -> None:
    site.layer = layer
    source = site.launch(recipe("alpha"))
    below = find_image(site.bay.home, source.digest)
    assert below is not None
    index.add(make_wheel("beta", "1.9"), make_wheel("gamma", needs=("delta",)), make_wheel("delta", "2.0"))
    site.uv("install", "gamma")
    baked = site.bake()
    assert (baked.same, baked.differences, baked.left) == (True, [], {})
    assert (dict(baked.added), baked.files) == ({"gamma": "1.0", "delta": "2.0"}, [])
    assert baked.image.packages == {
        "alpha": "1.0",
        "beta": "1.2",
        "delta": "2.0",
        "gamma": "1.0",
        "pip": "26.0",
        "uv": "0.13.0",
    }
    pins = image_pins(baked.image)
    assert {name: pins[name] for name in image_pins(below)} == image_pins(below)
    assert verify_image(baked.image).problems == []
    assert ensure_image(site.bay, str(baked.recipe)) == (baked.image, False)
    site.launch(str(baked.recipe), "again")
    assert site.run("python", "-c", "import gamma, delta, alpha; print(delta.VERSION)", name="again") == "2.0"


@BOTH
def test_files_go_along_and_decide_the_digest(site: Site, recipe: Recipe, layer: str) -> None:
    site.layer = layer
    site.launch(recipe("alpha"))
    site.write(f"{PACKAGES}/mine.py", "x = 1\n")
    first = site.bake(image_name="one")
    assert (first.same, first.files) == (True, [f"{PACKAGES}/mine.py"])
    assert (site.folder / "one.files" / PACKAGES / "mine.py").read_text() == "x = 1\n"
    site.write(f"{PACKAGES}/mine.py", "x = 2\n")
    second = site.bake(image_name="two")
    assert first.image.digest != second.image.digest
    assert verify_image(second.image).problems == []
    site.launch(str(second.recipe), "again")
    assert site.run("python", "-c", "import mine; print(mine.x)", name="again") == "2"


@BOTH
def test_programs_run_with_the_python_of_who_calls_them(site: Site, recipe: Recipe, layer: str) -> None:
    site.layer = layer
    python = site.launch(recipe("alpha")).root / "env" / "bin" / "python"
    site.write("bin/mine", f"#!{python}\nimport sys, alpha\nprint(sys.prefix)\n", "755")
    site.write("bin/plain", "#!/bin/sh\necho plain\n", "755")
    baked = site.bake()
    assert (baked.same, baked.files) == (True, ["bin/mine", "bin/plain"])
    again = site.launch(str(baked.recipe), "again")
    assert site.run("mine", name="again") == str(again.root / "env")
    assert site.run("plain", name="again") == "plain"


@BOTH
def test_a_file_of_a_package_that_was_edited_goes_along(site: Site, index: Index, recipe: Recipe, layer: str) -> None:
    site.layer = layer
    site.launch(recipe("alpha"))
    index.add(make_wheel("gamma"))
    site.uv("install", "gamma")
    site.write(f"{PACKAGES}/gamma.py", "VERSION = 'mine'\n")
    baked = site.bake()
    assert (baked.same, baked.files) == (True, [f"{PACKAGES}/gamma.py"])
    assert verify_image(baked.image).problems == []
    site.launch(str(baked.recipe), "again")
    assert site.run("python", "-c", "import gamma; print(gamma.VERSION)", name="again") == "mine"


@BOTH
def test_a_package_of_no_index_goes_along_as_files(site: Site, recipe: Recipe, tmp_path: Path, layer: str) -> None:
    site.layer = layer
    site.launch(recipe("alpha"))
    wheel = make_wheel(
        "local", "3.0", scripts={"hello": "local:main"}, files={"local.py": "def main():\n    print('hi')\n"}
    )
    (tmp_path / wheel.file).write_bytes(wheel.data)
    site.uv("install", str(tmp_path / wheel.file))
    baked = site.bake()
    assert (baked.same, baked.differences, baked.left) == (True, [], {})
    assert (dict(baked.as_files), dict(baked.added)) == ({"local": "3.0"}, {})
    assert baked.image.packages["local"] == "3.0"
    assert not list(site.folder.rglob("direct_url.json")), "it names a place of this machine"
    assert verify_image(baked.image).problems == []
    site.launch(str(baked.recipe), "again")
    assert site.run("hello", name="again") == "hi"


@pytest.mark.parametrize("quote", ["", "'", '"'])
def test_a_program_whose_python_lies_too_deep_for_the_kernel_goes_along(site: Site, recipe: Recipe, quote: str) -> None:
    python = site.launch(recipe("alpha")).root / "env" / "bin" / "python"
    begin = f"#!/bin/sh\n'''exec' {quote}{python}{quote} \"$0\" \"$@\"\n' '''\n"
    site.write("bin/hello", f"{begin}print('hi')\n", "755")
    assert site.run("hello") == "hi"
    baked = site.bake()
    assert (baked.left, list(baked.files)) == ({}, ["bin/hello"])
    site.launch(str(baked.recipe), "again")
    assert site.run("hello", name="again") == "hi"


@BOTH
def test_an_image_that_was_baked_can_be_baked_again(
    site: Site, index: Index, recipe: Recipe, tmp_path: Path, layer: str
) -> None:
    site.layer = layer
    site.launch(recipe("alpha"), "before")
    index.add(make_wheel("gamma"))
    wheel = make_wheel("local", "3.0")
    (tmp_path / wheel.file).write_bytes(wheel.data)
    site.launch(recipe("alpha"))
    site.uv("install", str(tmp_path / wheel.file))
    site.write(f"{PACKAGES}/mine.py", "x = 1\n")
    first = site.bake(image_name="one")
    site.bay.provider.delete([site.instance()])
    site.launch(str(first.recipe))
    with pytest.raises(Conflict, match="exp-1 holds nothing that its image one does not hold"):
        site.bake(image_name="two")
    site.uv("install", "gamma")
    second = site.bake(image_name="two")
    assert (second.same, second.differences) == (True, [])
    assert second.files == first.files
    assert dict(second.added) == {"gamma": "1.0"}


def test_what_was_removed_from_an_overlay_is_not_in_the_image(site: Site, recipe: Recipe) -> None:
    site.layer = "overlay"
    site.launch(recipe("alpha", "beta", more="env: {FLAVOUR: 'a b'}\nsystem: []\n"))
    site.uv("uninstall", "alpha")
    baked = site.bake()
    assert (baked.same, dict(baked.removed), dict(baked.added)) == (True, {"alpha": "1.0"}, {})
    assert "alpha" not in baked.image.packages
    assert baked.image.env == {"FLAVOUR": "a b"}


@BOTH
def test_another_version_in_place_of_the_images(site: Site, index: Index, recipe: Recipe, layer: str) -> None:
    site.layer = layer
    site.launch(recipe("alpha"))
    wheel = next(item for item in index.wheels if item.file.startswith("beta-1.0"))
    (site.folder / "constraints.txt").touch()
    python = str(site.instance().root / "env" / "bin" / "python")
    command = [
        "env",
        "-u",
        "UV_CONSTRAINT",
        find_uv(),
        "pip",
        "install",
        "--python",
        python,
        "--no-deps",
        f"beta=={wheel.version}",
    ]
    site.run(*command)
    baked = site.bake()
    assert (baked.same, baked.differences) == (True, [])
    assert (dict(baked.added), dict(baked.replaced)) == ({"beta": "1.0"}, {"beta": "1.2"})
    assert baked.image.packages["beta"] == "1.0"


def test_the_same_command_again_changes_nothing(site: Site, recipe: Recipe) -> None:
    site.launch(recipe("alpha"))
    site.write(f"{PACKAGES}/mine.py", "x = 1\n")
    first = site.bake()
    before = {path: path.read_bytes() for path in site.folder.rglob("*") if path.is_file()}
    assert site.bake() == first
    assert {path: path.read_bytes() for path in site.folder.rglob("*") if path.is_file()} == before


def test_what_was_baked_before_is_written_anew(site: Site, recipe: Recipe) -> None:
    site.launch(recipe("alpha"))
    site.write(f"{PACKAGES}/mine.py", "x = 1\n")
    first = site.bake()
    site.write(f"{PACKAGES}/mine.py", "x = 2\n")
    assert site.bake().image.digest != first.image.digest
    assert any("written anew" in note for note in site.bay.reporter.notes)  # type: ignore[attr-defined]


@BOTH
def test_of_several_environments_one_is_chosen(site: Site, recipe: Recipe, tmp_path: Path, layer: str) -> None:
    site.layer = layer
    recipe("alpha", name="one")
    recipe("beta", name="two")
    (tmp_path / "both.yaml").write_text("images: [./one.yaml, ./two.yaml]\n")
    site.launch(str(tmp_path / "both.yaml"))
    site.write(f"two/{PACKAGES}/mine.py", "x = 1\n")
    with pytest.raises(UsageError, match=r"exp-1 has several environments \(one, two\)") as caught:
        site.bake()
    assert caught.value.hint == "bay image bake exp-1 --env one"
    with pytest.raises(Conflict, match="its image one does not hold"):
        site.bake(env="one")
    baked = site.bake(env="two")
    assert (baked.same, baked.files) == (True, [f"{PACKAGES}/mine.py"])
    assert "alpha" not in baked.image.packages


def test_what_extends_a_built_in_recipe_says_so_and_lists_what_was_added(
    site: Site, index: Index, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own, files = tmp_path / "package", resources.files
    (own / "recipes").mkdir(parents=True)
    (own / "recipes" / "base.yaml").write_text("packages: [alpha]\nsystem: []\nenv: {FLAVOUR: base}\n")
    monkeypatch.setattr(resources, "files", lambda name: own if name == "launchbay.images" else files(name))
    site.launch("base")
    index.add(make_wheel("beta", "1.9"), make_wheel("gamma"))
    site.uv("install", "gamma")
    baked = site.bake()
    assert (baked.same, baked.extends) == (True, "base")
    assert baked.recipe.read_text().splitlines()[2:] == ["extends: base", "packages:", '  - "gamma==1.0"']
    assert (baked.image.packages["beta"], dict(baked.image.env)) == ("1.2", {"FLAVOUR": "base"})
    site.bay.provider.delete([site.instance()])
    (own / "recipes" / "base.yaml").write_text("packages: [alpha, 'beta>1.5']\n")
    site.launch(f"{baked.image.digest}")
    index.add(make_wheel("delta"))
    site.uv("install", "delta")
    assert site.bake(image_name="other").extends is None


@pytest.mark.skipif(shutil.which("dpkg-query") is None, reason="asks Debian's packages")
def test_the_system_packages_of_a_recipe_go_along(site: Site, recipe: Recipe) -> None:
    site.launch(recipe("alpha", more="system: [dpkg]\n"))
    site.write(f"{PACKAGES}/mine.py", "x = 1\n")
    baked = site.bake()
    assert (baked.same, list(baked.system)) == (True, ["dpkg"])


@pytest.mark.skipif(not LIBSSL.is_file() or shutil.which("dpkg-query") is None, reason="asks Debian's packages")
@BOTH
def test_what_a_compiled_package_links_to_is_named(site: Site, index: Index, recipe: Recipe, layer: str) -> None:
    site.layer = layer
    site.launch(recipe("alpha"))
    index.add(make_wheel("gamma", files={"gamma/part.so": LIBSSL.read_bytes(), "gamma/other.so.1": b"no library"}))
    site.uv("install", "gamma")
    baked = site.bake()
    owner = subprocess.run(["dpkg-query", "-S", "*/libcrypto.so.3"], capture_output=True, text=True, check=True).stdout
    assert list(baked.system) == [owner.split(":")[0]]
    assert baked.same


def test_a_stopped_instance_can_be_baked(site: Site, recipe: Recipe) -> None:
    site.launch(recipe("alpha"))
    site.write(f"{PACKAGES}/mine.py", "x = 1\n")
    site.bay.provider.stop(site.bay.provider.observe())  # type: ignore[attr-defined]
    assert site.bake().same
