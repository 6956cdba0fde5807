"""What one instance says of itself, asked by its own Python."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from launchbay.images.image import Image, find_image
from launchbay.lifecycle.bay import Bay, connect, python_of
from launchbay.onboard import fingerprint, prints
from launchbay.onboard.program import hash_program, read_program
from launchbay.planning.fleet import Instance
from launchbay.providers.layer import PthLayer
from launchbay.transport.onboard import ask, install_onboard
from tests.providers.specs import make_instances


@pytest.fixture
def image(with_image: Callable[[str], Image]) -> Image:
    return with_image("tiny")


@pytest.fixture
def instance(bay: Bay, image: Image) -> Instance:
    return make_instances(bay, image)[0]


@pytest.fixture
def take(bay: Bay, instance: Instance) -> Callable[..., dict[str, Any]]:
    def ask_it(**more: object) -> dict[str, Any]:
        folder = (bay.home.images / instance.digest) / "env"
        request = {"root": str(instance.root), "image": str(folder), **more}
        return ask(connect(bay, instance), python_of(bay, instance), install_onboard(bay.home), "fingerprint", request)

    return ask_it


def site_packages(instance: Instance) -> Path:
    return next((instance.root / "env" / "lib").glob("python*/site-packages"))


def test_it_says_what_the_instance_is(
    take: Callable[[], dict[str, Any]], bay: Bay, instance: Instance, image: Image
) -> None:
    print_ = take()
    base = image.python_path.resolve()
    assert print_["python"]["executable"] == str(base)
    assert print_["python"]["version"].startswith(image.python_version)
    assert print_["python"]["base"] == str(base.parent.parent)
    assert print_["packages"] == {}
    assert print_["kernel"] == f"Linux {os.uname().release} {os.uname().machine}"
    assert print_["onboard"] == hash_program(read_program())
    assert print_["onboard"].startswith(install_onboard(bay.home).name)
    assert not any(str(bay.home.onboard) in entry for entry in print_["path"])
    assert not any(str(instance.root) in entry for entry in print_["path"])
    assert [entry for entry in print_["path"] if "site-packages" in entry] == [
        f"<instance>/env/lib/python{image.python}/site-packages",
        f"<image>/lib/python{image.python}/site-packages",
    ]


def test_an_untouched_layer_is_pristine(
    take: Callable[[], dict[str, Any]], bay: Bay, instance: Instance, image: Image
) -> None:
    mine = find_image(bay.home, image.digest)
    assert mine is not None
    assert take()["layer"] == PthLayer().pristine(mine)
    assert instance.layer == "layer"


def test_two_instances_say_the_same(bay: Bay, image: Image) -> None:
    make_instances(bay, image)
    first, second = make_instances(bay, image, 2)
    program = install_onboard(bay.home)
    said = [
        ask(connect(bay, item), python_of(bay, item), program, "fingerprint", {"root": str(item.root), "image": "/x"})
        for item in (first, second)
    ]
    assert said[0] == said[1]


def test_it_writes_nothing_into_the_instance(take: Callable[[], dict[str, Any]], instance: Instance) -> None:
    before = {path: path.lstat().st_mtime_ns for path in instance.root.rglob("*")}
    take()
    assert {path: path.lstat().st_mtime_ns for path in instance.root.rglob("*")} == before


def test_what_python_and_uv_leave_by_themselves_does_not_count(
    take: Callable[[], dict[str, Any]], instance: Instance
) -> None:
    usual = take()
    cache = site_packages(instance) / "__pycache__"
    cache.mkdir()
    (cache / "x.cpython-311.pyc").write_bytes(b"")
    (instance.root / "env" / ".lock").write_bytes(b"")
    assert take() == usual


def test_every_kind_of_change_shows(take: Callable[[], dict[str, Any]], instance: Instance, tmp_path: Path) -> None:
    (site_packages(instance) / "stray.py").write_text("x", encoding="utf-8")
    (site_packages(instance) / "linked").symlink_to(tmp_path)
    (site_packages(instance) / "Flask_Cors-3.0.dist-info").mkdir()
    (site_packages(instance) / "extra.pth").write_text(f"{tmp_path}\n", encoding="utf-8")
    print_ = take()
    place = os.path.relpath(site_packages(instance), instance.root / "env")
    assert print_["layer"][f"{place}/stray.py"] == "sha256:" + hashlib.sha256(b"x").hexdigest()
    assert print_["layer"][f"{place}/linked"] == f"link:{tmp_path}"
    assert print_["packages"] == {"flask-cors": "3.0"}
    assert str(tmp_path) in print_["path"]


@pytest.mark.timeout(20)
def test_a_pipe_is_noted_and_not_waited_for(take: Callable[[], dict[str, Any]], instance: Instance) -> None:
    os.mkfifo(instance.root / "env" / "pipe")
    assert take()["layer"]["pipe"] == "special:p"


def test_gpus_are_those_that_the_driver_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\n[ $1 = -L ] && printf 'GPU 0: H200\\n  MIG 1g\\nGPU 1: H200\\n'\n", encoding="utf-8")
    monkeypatch.setenv("PATH", str(tmp_path))
    request = {"root": str(tmp_path), "image": ""}
    assert fingerprint.run(request)["gpus"] == []
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert fingerprint.run(request)["gpus"] == ["GPU 0: H200", "GPU 1: H200"]
    tool.write_text("#!/bin/sh\necho 'NVIDIA-SMI has failed'; exit 9\n", encoding="utf-8")
    assert fingerprint.run(request)["gpus"] == []
    tool.write_bytes(b"\x7fELF no program")
    assert fingerprint.run(request)["gpus"] == []


@pytest.mark.parametrize(
    ("command", "unwanted"),
    [
        ("fingerprint", {"typing", "subprocess", "csv", "concurrent", "ctypes", "socket", "select", "zipfile"}),
        ("supervise", {"typing", "socket", "zipfile", "pathlib", "hashlib", "shutil"}),
    ],
)
def test_it_imports_next_to_nothing(bay: Bay, command: str, unwanted: set[str]) -> None:
    """Twenty instances are fingerprinted in a launch, and beside every script there is a supervisor."""
    code = (
        f"import sys; sys.path.insert(0, {str(install_onboard(bay.home))!r}); before = set(sys.modules);"
        f" import launchbay_onboard.main, launchbay_onboard.{command}; print(*(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "launchbay_onboard" in loaded
    assert not loaded & unwanted


def test_packages_are_listed_by_their_normal_names(tmp_path: Path) -> None:
    for name in ("Six-1.17.0.dist-info", "jupyter_core-5.dist-info", "a-b", "x.egg-info"):
        (tmp_path / name).mkdir()
    assert prints.list_packages(str(tmp_path)) == {"six": "1.17.0", "jupyter-core": "5"}


def test_large_files_are_hashed_whole(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"ab" * (1 << 20))
    assert prints.hash_file(str(path)).hex() == hashlib.sha256(b"ab" * (1 << 20)).hexdigest()
    assert prints.hash_file(str(path), "sha512").hex() == hashlib.sha512(b"ab" * (1 << 20)).hexdigest()


def test_files_that_vanish_or_cannot_be_read_do_not_end_the_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody may install something just now; as a finding that would be a false one."""
    for name in ("gone", "secret", "usual"):
        (tmp_path / name).write_text("", encoding="utf-8")

    def look(path: str) -> str:
        if path.endswith("gone"):
            raise FileNotFoundError(path)
        if path.endswith("secret"):
            raise PermissionError(path)
        return "sha256:0"

    monkeypatch.setattr(fingerprint, "fingerprint_path", look)
    assert fingerprint.list_files(str(tmp_path)) == {"secret": "unreadable", "usual": "sha256:0"}


def test_what_uv_leaves_in_each_of_several_environments_does_not_count(tmp_path: Path) -> None:
    for name in ("one", "two", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / ".lock").write_text("", encoding="utf-8")
    assert fingerprint.list_files(str(tmp_path), ["one", "two"]).keys() == {"other/.lock"}


def test_only_who_asks_for_what_people_fill_is_told(take: Callable[..., dict[str, Any]], instance: Instance) -> None:
    (instance.root / "home" / ".bashrc").write_text("export X=1\n", encoding="utf-8")
    (instance.root / "work" / "data").mkdir()
    (instance.root / "work" / "data" / "a.csv").write_text("1\n", encoding="utf-8")
    print_ = take()
    assert (print_["home"], print_["data"]) == ({}, {})
    print_ = take(filled=True)
    assert print_["home"].keys() == {"variable X in ~/.bashrc"}
    assert print_["data"].keys() == {"data/a.csv"}
