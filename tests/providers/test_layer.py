"""An instance's own packages, commands and surroundings, with the real pip, uv, jupyter and tensorboard."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from launchbay.errors import StateError
from launchbay.files import sha256_file
from launchbay.images.commands import is_reserved
from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay, connect
from launchbay.lifecycle.verify import verify_image
from launchbay.planning.fleet import Instance
from launchbay.providers.environment import Environment, instance_environment
from launchbay.providers.layer import PthLayer, find_layer
from launchbay.transport.base import Completed
from tests.providers.specs import make_instances
from tests.providers.wheels import make_wheel

INSTALLERS = {"pip": ["pip"], "uv": ["uv", "pip"]}
both_installers = pytest.mark.parametrize("installer", INSTALLERS)


@pytest.fixture
def image(with_image: Callable[[str], Image]) -> Image:
    return with_image("tiny")


@pytest.fixture
def two(bay: Bay, image: Image) -> list[Instance]:
    return make_instances(bay, image, 2)


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """Make packages: hello, two foreign versions of six, one that needs a foreign one, a six of our own."""
    folder = tmp_path / "wheels"
    make_wheel(folder, "hello")
    make_wheel(folder, "six", "1.16.0")
    make_wheel(folder, "six", "1.18.0")
    make_wheel(folder, "needsold", requires=["six<1.17"])
    make_wheel(folder / "own", "six", "1.17.0")
    return folder


def install(bay: Bay, instance: Instance, installer: str, folder: Path, *names: str) -> Completed:
    command = [*INSTALLERS[installer], "install", "--no-index", "--find-links", str(folder), *names]
    return connect(bay, instance).run(command)


def python(bay: Bay, instance: Instance, code: str) -> str:
    done = connect(bay, instance).run(["python", "-c", code])
    assert done.code == 0, done.stderr.decode()
    return done.stdout.decode().strip()


def version_of(bay: Bay, instance: Instance, module: str) -> str:
    lines = ["try:", f" import {module} as m", " print(getattr(m, 'version', None) or m.__version__)"]
    return python(bay, instance, "\n".join([*lines, "except ImportError:", " print('none')"]))


def image_files(image: Image) -> dict[str, str]:
    """Every file of an image's folder, outside the environment too, with its hash or its link."""
    return {
        str(path.relative_to(image.folder)): f"-> {os.readlink(path)}" if path.is_symlink() else sha256_file(path)
        for path in sorted(image.folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def states(image: Image) -> dict[str, tuple[int, int]]:
    """Size and change time of every file of an image; hashing gigabytes would take seconds."""
    found = {}
    for folder, _, names in os.walk(image.folder):
        for name in names:
            status = os.lstat(os.path.join(folder, name))
            found[os.path.join(folder, name)] = (status.st_size, status.st_mtime_ns)
    return found


# --- packages -------------------------------------------------------------------------------------------------------


@both_installers
def test_a_package_is_seen_by_its_instance_alone(
    bay: Bay, two: Sequence[Instance], image: Image, wheels: Path, installer: str
) -> None:
    before = image_files(image)
    done = install(bay, two[0], installer, wheels, "hello")
    assert done.code == 0, done.stderr.decode()
    assert version_of(bay, two[0], "hello") == "1.0"
    assert version_of(bay, two[1], "hello") == "none"
    assert version_of(bay, two[0], "six") == "1.17.0"
    assert image_files(image) == before
    assert verify_image(image).problems == []


def test_a_shadow_covers_the_image_for_one_instance_until_it_is_uninstalled(
    bay: Bay, two: Sequence[Instance], wheels: Path
) -> None:
    first, second = two
    where = "import six; print(six.__file__)"
    theirs = python(bay, first, where)
    assert theirs == python(bay, second, where)
    done = install(bay, first, "pip", wheels / "own", "--ignore-installed", "six")
    assert done.code == 0, done.stderr.decode()
    assert python(bay, first, where).startswith(str(first.root / "env"))
    assert python(bay, second, where) == theirs
    done = connect(bay, first).run(["pip", "uninstall", "--yes", "six"])
    assert done.code == 0, done.stderr.decode()
    assert python(bay, first, where) == theirs


@both_installers
@pytest.mark.parametrize("wanted", ["six==1.16.0", "needsold"])
def test_the_lock_holds(bay: Bay, two: Sequence[Instance], wheels: Path, installer: str, wanted: str) -> None:
    done = install(bay, two[0], installer, wheels, wanted)
    assert done.code != 0
    assert "six==1.17.0" in done.stderr.decode() + done.stdout.decode()
    assert version_of(bay, two[0], "six") == "1.17.0"
    assert version_of(bay, two[0], "needsold") == "none"


@both_installers
def test_an_upgrade_stays_with_the_lock(bay: Bay, two: Sequence[Instance], wheels: Path, installer: str) -> None:
    install(bay, two[0], installer, wheels, "--upgrade", "six")
    assert version_of(bay, two[0], "six") == "1.17.0"


def test_only_the_constraints_hold_it(bay: Bay, two: Sequence[Instance], wheels: Path) -> None:
    """Without them the same install goes through: what the tests above see is the constraint file at work."""
    (two[0].root / "env" / "pip.conf").unlink()
    python_path = str(two[0].root / "env" / "bin" / "python")
    command = ["env", "-u", "PIP_CONSTRAINT", python_path, "-m", "pip", "install", "--no-index", "-f", str(wheels)]
    done = connect(bay, two[0]).run([*command, "six==1.16.0"])
    assert done.code == 0, done.stderr.decode()
    assert version_of(bay, two[0], "six") == "1.16.0"


def test_pip_is_held_without_our_variables_too(bay: Bay, two: Sequence[Instance], wheels: Path) -> None:
    """A notebook's own terminal, or an editor, starts the instance's Python without the environment of `bay exec`."""
    command = ["env", "-i", str(two[0].root / "env" / "bin" / "python"), "-m", "pip", "install", "--no-index"]
    done = connect(bay, two[0]).run([*command, "--find-links", str(wheels), "six==1.16.0"])
    assert done.code != 0
    assert "six==1.17.0" in done.stderr.decode() + done.stdout.decode()


def test_constraints_carry_every_pin_and_no_hash(image: Image) -> None:
    lines = image.constraints.read_text(encoding="utf-8").split()
    assert lines == [f"{name}=={version}" for name, version in sorted(image.packages.items())]


# --- commands -------------------------------------------------------------------------------------------------------


def record_starts(instance: Instance, into: Path) -> None:
    """Let every Python of the instance write down its prefix when it starts."""
    (site_packages,) = (instance.root / "env" / "lib").glob("python*/site-packages")
    line = f"import sys; open({str(into)!r}, 'a').write(sys.prefix + '\\n')\n"
    (site_packages / "record.pth").write_text(line, encoding="utf-8")


def commands_run_with(bay: Bay, instance: Instance, commands: Sequence[Sequence[str]], seen: Path) -> None:
    record_starts(instance, seen)
    for command in commands:
        seen.write_text("", encoding="utf-8")
        done = connect(bay, instance).run(command)
        assert done.code == 0, f"{command}: {done.stderr.decode()}"
        assert set(seen.read_text(encoding="utf-8").split()) == {str(instance.root / "env")}, command


def test_commands_run_with_the_instances_python(bay: Bay, two: Sequence[Instance], tmp_path: Path) -> None:
    version = f"python{sysversion(bay, two[0])}"
    commands = [["python", "-c", ""], ["python3", "-c", ""], [version, "-c", ""], ["pip", "--version"]]
    commands_run_with(bay, two[0], commands, tmp_path / "starts")
    done = connect(bay, two[0]).run(["uv", "pip", "list", "--verbose"])
    assert str(two[0].root / "env") in done.stderr.decode()


def sysversion(bay: Bay, instance: Instance) -> str:
    return python(bay, instance, "import sys; print('%d.%d' % sys.version_info[:2])")


@pytest.mark.image("tensorflow")
def test_jupyter_and_tensorboard_run_with_the_instances_python(
    bay: Bay, with_image: Callable[[str], Image], tmp_path: Path
) -> None:
    image = with_image("tensorflow")
    (instance,) = make_instances(bay, image)
    before = states(image)
    commands = [["jupyter", "lab", "--version"], ["tensorboard", "--version_tb"]]
    commands_run_with(bay, instance, commands, tmp_path / "starts")
    done = connect(bay, instance).run(["jupyter", "kernelspec", "list", "--json"])
    kernel = json.loads(done.stdout)["kernelspecs"]["python3"]
    assert kernel["resource_dir"].startswith(str(image.environment))
    assert kernel["spec"]["argv"][0] == "python"  # found on the instance's own PATH
    done = connect(bay, instance).run(["jupyter", "--paths", "--json"])
    paths = json.loads(done.stdout)
    assert str(image.environment / "share" / "jupyter") in paths["data"]
    assert str(instance.root / "home" / ".jupyter") in paths["config"]
    assert states(image) == before


def test_a_command_reached_by_its_path_knows_its_instance(bay: Bay, two: Sequence[Instance], wheels: Path) -> None:
    path = str(two[1].root / "env" / "bin" / "pip")
    done = connect(bay, two[0]).run(["env", "-i", path, "install", "--no-index", "--find-links", str(wheels), "hello"])
    assert done.code == 0, done.stderr.decode()
    assert version_of(bay, two[1], "hello") == "1.0"
    assert version_of(bay, two[0], "hello") == "none"


def test_every_command_of_the_image_is_there_and_nothing_else(image: Image, two: Sequence[Instance]) -> None:
    names = {path.name for path in (two[0].root / "env" / "bin").iterdir()}
    assert {"python", "python3", f"python{image.python}", "pip", "uv", "uvx"} <= names
    assert all(os.access(two[0].root / "env" / "bin" / name, os.X_OK) for name in names)


# --- surroundings ---------------------------------------------------------------------------------------------------


def test_home_and_working_folder_are_its_own(bay: Bay, two: Sequence[Instance]) -> None:
    code = "import os; print(os.path.expanduser('~'), os.getcwd(), os.environ['LAUNCHBAY_INSTANCE_NAME'])"
    for instance in two:
        assert python(bay, instance, code).split() == [
            str(instance.root / "home"),
            str(instance.root / "work"),
            instance.name,
        ]


def test_nothing_of_the_persons_python_leaks_in(
    bay: Bay, two: Sequence[Instance], wheels: Path, tmp_path: Path
) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "six.py").write_text("version = 'foreign'\n", encoding="utf-8")
    (foreign / "sitecustomize.py").write_text("raise SystemExit(9)\n", encoding="utf-8")
    leaks = {
        "PYTHONPATH": str(foreign),
        "PYTHONHOME": str(foreign),
        "PYTHONSTARTUP": str(foreign / "six.py"),
        "PYTHONUSERBASE": str(foreign),
        "VIRTUAL_ENV": str(foreign),
        "CONDA_PREFIX": str(foreign),
        "PIP_TARGET": str(foreign / "target"),
        "PIP_PREFIX": str(foreign / "prefix"),
        "PIP_USER": "1",
        "PIP_CONSTRAINT": str(foreign / "none.txt"),
        "UV_SYSTEM_PYTHON": "1",
        "UV_PROJECT_ENVIRONMENT": str(foreign),
        "UV_CONSTRAINT": str(foreign / "none.txt"),
        "JUPYTER_PATH": str(foreign),
    }
    outside = replace(bay, environ={**bay.environ, **leaks})
    assert version_of(outside, two[0], "six") == "1.17.0"
    assert str(foreign) not in python(outside, two[0], "import sys; print(sys.path)")
    done = install(outside, two[0], "pip", wheels, "hello")
    assert done.code == 0, done.stderr.decode()
    assert version_of(bay, two[0], "hello") == "1.0"
    done = install(outside, two[1], "uv", wheels, "hello")
    assert done.code == 0, done.stderr.decode()
    assert version_of(bay, two[1], "hello") == "1.0"
    assert sorted(path.name for path in foreign.iterdir()) == ["sitecustomize.py", "six.py"]


def inside(root: Path, image: Image, **given: Any) -> dict[str, str]:
    return instance_environment(Environment(root / "env", image), person=root / "home", **given)


def test_what_reaches_the_index_comes_through_and_the_rest_does_not(image: Image, tmp_path: Path) -> None:
    outer = {
        "HOME": str(tmp_path),
        "PATH": "/usr/bin",
        "LANG": "C.UTF-8",
        "https_proxy": "http://proxy:1",
        "PIP_INDEX_URL": "http://example.org/simple",
        "UV_DEFAULT_INDEX": "http://example.org/simple",
        "PIP_EXTRA_INDEX_URL": "http://second.example.org/simple",
        "PIP_TRUSTED_HOST": "example.org",
        "PIP_NO_INDEX": "1",
        "UV_EXTRA_INDEX_URL": "http://second.example.org/simple",
        "UV_OFFLINE": "1",
    }
    foreign = {"PIP_REQUIRE_HASHES": "1", "UV_LINK_MODE": "hardlink", "UV_PYTHON": "3.12", "VIRTUAL_ENV_PROMPT": "(x)"}
    root = tmp_path / "i-1"
    inner = inside(root, image, outer=outer | foreign, name="exp-1", identity="i-1")
    for name in outer.keys() - {"HOME", "PATH"}:
        assert inner[name] == outer[name]
    assert not foreign.keys() & inner.keys()
    assert inner["PATH"] == f"{root}/env/bin:/usr/bin"
    assert inner["PIP_CONSTRAINT"] == inner["UV_CONSTRAINT"] == str(image.constraints)
    assert inner["UV_CACHE_DIR"] == str(tmp_path / ".cache" / "uv")  # the person's cache, from a home of its own
    assert "PIP_CONFIG_FILE" not in inner


def test_the_callers_own_environment_is_not_on_the_path(image: Image, tmp_path: Path) -> None:
    outer = {"PATH": f"/mine/.venv/bin:/usr/bin:{tmp_path}/b:/bin", "VIRTUAL_ENV": "/mine/.venv"}
    inner = inside(tmp_path / "i", image, outer=outer, name="", identity="")
    assert inner["PATH"] == f"{tmp_path}/i/env/bin:/usr/bin:{tmp_path}/b:/bin"


def test_no_recipe_can_set_what_we_set(image: Image, tmp_path: Path) -> None:
    for path in ("pip/pip.conf", "uv/uv.toml"):
        (tmp_path / ".config" / path).parent.mkdir(parents=True)
        (tmp_path / ".config" / path).touch()
    plain = replace(image, env={})
    inner = inside(tmp_path, plain, outer={"HOME": str(tmp_path)}, name="", identity="")
    assert "PIP_CONFIG_FILE" in inner
    assert [name for name in inner if not is_reserved(name)] == []


def test_the_persons_own_index_configuration_is_found_from_another_home(image: Image, tmp_path: Path) -> None:
    configs = {
        "PIP_CONFIG_FILE": tmp_path / ".config" / "pip" / "pip.conf",
        "UV_CONFIG_FILE": tmp_path / ".config/uv/uv.toml",
    }
    for path in configs.values():
        path.parent.mkdir(parents=True)
        path.write_text("", encoding="utf-8")
    inner = inside(tmp_path, image, outer={"HOME": str(tmp_path)}, name="", identity="")
    assert {key: inner[key] for key in configs} == {key: str(path) for key, path in configs.items()}


def test_a_recipes_variables_are_in_the_instance(image: Image, tmp_path: Path) -> None:
    named = replace(image, env={"KERAS_BACKEND": "jax"})
    inner = inside(tmp_path, named, outer={"KERAS_BACKEND": "torch"}, name="", identity="")
    assert inner["KERAS_BACKEND"] == "jax"


def test_a_layer_is_what_it_says_it_is(image: Image, tmp_path: Path) -> None:
    layer = find_layer("layer")
    layer.create(tmp_path / "i", image)
    environment = tmp_path / "i" / "env"
    found = {
        str(path.relative_to(environment)): f"link:{os.readlink(path)}"
        if path.is_symlink()
        else f"sha256:{sha256_file(path)}"
        for path in environment.rglob("*")
        if path.is_symlink() or path.is_file()
    }
    assert found == dict(layer.pristine(image))
    assert isinstance(layer, PthLayer)


def test_a_layer_of_a_later_version_is_refused() -> None:
    with pytest.raises(StateError, match="'onion' layers need a newer Launchbay"):
        find_layer("onion")
