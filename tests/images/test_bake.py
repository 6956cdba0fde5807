"""Images baked from instances, with packages of an index on loopback; on both kinds of layer."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path

import pytest

from launchbay.cli.main import main
from launchbay.errors import BuildError, Conflict, NotFound, UsageError
from launchbay.images.image import Image, find_image
from launchbay.images.lock import parse_lock
from launchbay.images.uv import find_uv
from launchbay.lifecycle.bake import Baked, bake_instance
from launchbay.lifecycle.bay import Bay, connect
from launchbay.lifecycle.build import ensure_image
from launchbay.lifecycle.launch import launch_fleet
from launchbay.lifecycle.verify import verify_image
from launchbay.planning.fleet import Instance
from tests.images.index import Index, make_wheel

Recipe = Callable[..., str]
PACKAGES = "lib/python3.11/site-packages"
LIBSSL = Path("/usr/lib/x86_64-linux-gnu/libssl.so.3")  # it links to a library of another name
BOTH = pytest.mark.parametrize("layer", ["layer", "overlay"])


class Site:
    """An instance on an image of the index, and a folder to bake into."""

    def __init__(self, bay: Bay, folder: Path) -> None:
        self.bay = bay
        self.folder = folder
        self.layer = "layer"

    def launch(self, reference: str, name: str = "exp") -> Instance:
        launch_fleet(self.bay, reference, count=1, name=name, layer=self.layer)
        return self.instance(name)

    def instance(self, name: str = "exp") -> Instance:
        return next(item for item in self.bay.provider.observe() if item.fleet == name)

    def run(self, *command: str, name: str = "exp") -> str:
        done = connect(self.bay, self.instance(name)).run(command)
        assert done.code == 0, done.stderr.decode()
        return done.stdout.decode().strip()

    def uv(self, verb: str, *arguments: str) -> None:
        python = str(self.instance().root / "env" / "bin" / "python")
        self.run(find_uv(), "pip", verb, "--python", python, *arguments)

    def write(self, path: str, text: str, mode: str = "644") -> None:
        target = self.instance().root / "env" / path
        self.run(
            "sh", "-c", 'mkdir -p "${1%/*}" && printf %s "$2" > "$1" && chmod "$3" "$1"', "sh", str(target), text, mode
        )

    def bake(self, **options: object) -> Baked:
        return bake_instance(self.bay, "exp", output=self.folder, **options)  # type: ignore[arg-type]


@pytest.fixture
def site(index: Index, bay: Bay, tmp_path: Path) -> Iterator[Site]:
    assert index.url
    (tmp_path / "out").mkdir()
    site = Site(bay, tmp_path / "out")
    yield site
    bay.provider.delete(bay.provider.observe())


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


def test_a_file_that_a_package_always_brings_is_named(site: Site, recipe: Recipe) -> None:
    site.layer = "overlay"
    root = site.launch(recipe("alpha")).root
    site.run("rm", str(root / "env" / PACKAGES / "alpha.py"))
    site.write(f"{PACKAGES}/mine.py", "x = 1\n")
    baked = site.bake()
    assert (baked.same, baked.differences) == (False, [])
    assert dict(baked.left) == {f"{PACKAGES}/alpha.py": "was removed, and alpha always brings it along"}


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
