"""Each way in which an instance can drift, made for real; verifying names the odd one and what differs."""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from launchbay.errors import StateError
from launchbay.images.image import Image, find_image
from launchbay.lifecycle.bay import Bay, connect
from launchbay.lifecycle.end import change_power
from launchbay.lifecycle.launch import launch_fleet
from launchbay.lifecycle.verify import Verification, verify_image, verify_instances
from launchbay.planning.fleet import Instance
from launchbay.testing import RecordingReporter
from tests.providers.specs import make_instances
from tests.providers.wheels import make_wheel

SMI = "#!/bin/sh\necho 'GPU 0: NVIDIA H200 (UUID: GPU-1)'\n"


@pytest.fixture
def image(with_image: Callable[[str], Image]) -> Image:
    return with_image("tiny")


@pytest.fixture
def three(bay: Bay, image: Image) -> list[Instance]:
    return make_instances(bay, image, 3)


@pytest.fixture
def own_image(bay: Bay, image: Image) -> Image:
    """Return a copy of the tiny image in this test's own home, to be damaged."""
    link = bay.home.images / image.digest
    target = link.resolve()
    link.unlink()
    shutil.copytree(target, link, symlinks=True)
    copy = find_image(bay.home, image.digest)
    assert copy is not None
    return copy


def verify(bay: Bay, *, full: bool = False) -> Verification:
    return verify_instances(bay, bay.provider.observe(), full=full)


def differences(bay: Bay) -> list[tuple[str, str, str]]:
    found = verify(bay)
    assert not found.identical
    return [(item.instance, item.kind, item.what) for item in found.differences]


def site_packages(instance: Instance) -> Path:
    return next((instance.root / "env" / "lib").glob("python*/site-packages"))


def install(bay: Bay, instance: Instance, folder: Path, *arguments: str) -> None:
    done = connect(bay, instance).run(["pip", "install", "--no-index", "--find-links", str(folder), *arguments])
    assert done.code == 0, done.stderr.decode()


def test_untouched_ones_are_identical_down_to_the_image(bay: Bay, three: Sequence[Instance], image: Image) -> None:
    found = verify(bay, full=True)
    assert found.identical
    assert (found.differences, found.image_problems) == ([], [])
    assert found.gpu_proven is None
    assert found.content == image.content
    assert [item["instance"] for item in found.fingerprints] == [item.name for item in three]
    assert {item["digest"] for item in found.fingerprints} == {image.digest}
    assert found.seconds.keys() == {"fingerprints", "images", "per_instance"}


def test_being_used_does_not_make_one_different(bay: Bay, three: Sequence[Instance]) -> None:
    """Files of one's own, compiled modules, started programs: none of it is drift."""
    (three[1].root / "work" / "notes.py").write_text("x = 1\n", encoding="utf-8")
    assert connect(bay, three[1]).run(["python", "-c", "import notes, six"]).code == 0
    connect(bay, three[1]).run(["uv", "pip", "list"])
    assert verify(bay).identical


def test_a_module_of_the_image_compiled_once_more_does_not_count(bay: Bay, own_image: Image) -> None:
    """For root, whom a read-only folder does not stop, `python -O` leaves its compiled modules in the image."""
    one, two = make_instances(bay, own_image, 2)
    folder = own_image.site_packages / "__pycache__"
    folder.chmod(0o755)
    assert connect(bay, one).run(["python", "-O", "-c", "import six"]).code == 0
    assert list(folder.glob("six*.opt-1.pyc"))
    assert verify(bay, full=True).identical
    (folder / "mine.cpython-311.pyc").write_bytes(b"")
    (place,) = verify_instances(bay, [two], full=True).image_problems
    assert place.endswith("/mine.cpython-311.pyc: added to the image")


# --- packages and files ---------------------------------------------------------------------------------------------


def test_an_added_package(bay: Bay, three: Sequence[Instance], tmp_path: Path) -> None:
    modules = {"deep/__init__.py": "", "deep/inner.py": "", "deep_extra.py": ""}
    make_wheel(tmp_path / "w", "deep", "2.1", modules=modules)
    install(bay, three[1], tmp_path / "w", "deep")
    found = differences(bay)
    assert ("exp-2", "package", "package deep 2.1 was added") in found
    assert {name for name, _, _ in found} == {"exp-2"}
    assert not any("inner.py" in what for _, _, what in found)  # one line a package, not one a file


def test_a_shadowed_package(bay: Bay, three: Sequence[Instance], tmp_path: Path) -> None:
    make_wheel(tmp_path / "w", "six", "1.17.0")
    install(bay, three[2], tmp_path / "w", "--ignore-installed", "six")
    assert differences(bay) == [
        ("exp-3", "package", "package six 1.17.0 in its layer shadows 1.17.0 of the image"),
    ]


def test_a_package_uninstalled_again_leaves_no_trace(bay: Bay, three: Sequence[Instance], tmp_path: Path) -> None:
    make_wheel(tmp_path / "w", "hello")
    install(bay, three[1], tmp_path / "w", "hello")
    assert connect(bay, three[1]).run(["pip", "uninstall", "-y", "hello"]).code == 0
    assert verify(bay).identical


def test_a_stray_module_that_shadows_the_images(bay: Bay, three: Sequence[Instance]) -> None:
    (site_packages(three[0]) / "six.py").write_text("", encoding="utf-8")
    place = os.path.relpath(site_packages(three[0]) / "six.py", three[0].root / "env")
    assert differences(bay) == [
        ("exp-1", "file", f"{place} was added to its layer and shadows a module of the image"),
    ]


def test_a_stray_module_beside_a_package_that_was_added(bay: Bay, three: Sequence[Instance], tmp_path: Path) -> None:
    make_wheel(tmp_path / "w", "hello")
    install(bay, three[0], tmp_path / "w", "hello")
    (site_packages(three[0]) / "six.py").write_text("", encoding="utf-8")
    assert [(name, kind) for name, kind, _ in differences(bay)] == [("exp-1", "package"), ("exp-1", "file")]


def test_a_changed_pth_file(bay: Bay, three: Sequence[Instance], tmp_path: Path) -> None:
    path = site_packages(three[1]) / "_launchbay.pth"
    path.write_text(path.read_text(encoding="utf-8") + f"{tmp_path}\n", encoding="utf-8")
    found = differences(bay)
    assert any(item[:2] == ("exp-2", "file") and "_launchbay.pth was changed" in item[2] for item in found)
    assert any(item[:2] == ("exp-2", "path") for item in found)  # what Python really searches, not only the file
    assert {name for name, _, _ in found} == {"exp-2"}


def test_a_missing_file(bay: Bay, three: Sequence[Instance]) -> None:
    (three[1].root / "env" / "bin" / "pip").unlink()
    assert differences(bay) == [("exp-2", "file", "bin/pip is missing from its layer")]


def test_loosened_constraints(bay: Bay, three: Sequence[Instance]) -> None:
    (three[1].root / "env" / "pip.conf").write_text("", encoding="utf-8")
    ((name, kind, what),) = differences(bay)
    assert (name, kind) == ("exp-2", "file")
    assert what.startswith("pip.conf was changed in its layer")


def test_several_are_all_named(bay: Bay, three: Sequence[Instance]) -> None:
    for instance in three[:2]:
        (instance.root / "env" / "bin" / "extra").write_text("", encoding="utf-8")
    assert [name for name, _, _ in differences(bay)] == ["exp-1", "exp-2"]


# --- pythons --------------------------------------------------------------------------------------------------------


def replace_python(instance: Instance, target: Path) -> None:
    link = instance.root / "env" / "bin" / "python"
    link.unlink()
    link.symlink_to(target)


def wrapper(tmp_path: Path, image: Image) -> Path:
    """Return a script that runs the right Python, with an optimisation that drops asserts."""
    path = tmp_path / "wrapper"
    path.write_text(f'#!/bin/sh\nexec {image.python_path.resolve()} -O "$@"\n', encoding="utf-8")
    path.chmod(0o755)
    return path


def test_another_python_behind_the_link(bay: Bay, three: Sequence[Instance], image: Image, tmp_path: Path) -> None:
    replace_python(three[2], wrapper(tmp_path, image))
    found = differences(bay)
    assert {name for name, _, _ in found} == {"exp-3"}
    assert any(kind == "python" and what.startswith("bin/python was changed") for _, kind, what in found)


def other_pythons(image: Image) -> list[Path]:
    mine = image.python_path.resolve()
    candidates = [Path(sys.executable), *Path("/usr/bin").glob("python3*")]
    found = {path.resolve() for path in candidates if not path.name.endswith("-config")}
    return sorted(found - {mine})


def test_a_real_other_python_is_told_by_what_it_is(bay: Bay, three: Sequence[Instance], image: Image) -> None:
    found = other_pythons(image)
    if not found:
        pytest.skip("there is only one Python on this machine")
    for path in found:
        replace_python(three[1], path)
        told = differences(bay)
        assert {name for name, _, _ in told} == {"exp-2"}
        assert any(kind == "python" and what.startswith(("python is", "its Python does not")) for _, kind, what in told)


@pytest.mark.parametrize("target", ["/nonexistent/python", "/bin/false", "/bin/echo"])
def test_a_broken_python_is_a_finding_and_the_others_are_still_looked_at(
    bay: Bay, three: Sequence[Instance], target: str
) -> None:
    replace_python(three[0], Path(target))
    (three[1].root / "env" / "extra").write_text("", encoding="utf-8")
    found = differences(bay)
    assert [(name, kind) for name, kind, _ in found] == [("exp-1", "python"), ("exp-2", "file")]
    assert found[0][2].startswith("its Python does not run:")


# --- images ---------------------------------------------------------------------------------------------------------


def edit(path: Path) -> None:
    path.chmod(path.stat().st_mode | stat.S_IWUSR)
    path.write_bytes(path.read_bytes() + b"\n# edited\n")


def test_a_file_of_the_image_edited_in_place(bay: Bay, own_image: Image, reporter: RecordingReporter) -> None:
    make_instances(bay, own_image, 3)
    assert verify(bay, full=True).identical
    edit(own_image.site_packages / "six.py")
    found = verify(bay, full=True)
    assert (found.identical, found.differences) == (False, [])
    assert found.image_problems == ["six.py of six-1.17.0: changed in place"]
    assert reporter.notes == []


@pytest.mark.parametrize("what", ["compiled", "script", "added", "missing", "record"])
def test_what_no_package_vouches_for_is_held_by_the_seal(own_image: Image, what: str) -> None:
    compiled = next(own_image.site_packages.glob("__pycache__/six*.pyc"))
    place = {
        "compiled": compiled,
        "script": own_image.environment / "bin" / "pip",
        "added": own_image.site_packages / "stray.pth",
        "missing": compiled,
        "record": own_image.site_packages / "six-1.17.0.dist-info" / "RECORD",
    }[what]
    place.parent.chmod(0o755)
    if what == "missing":
        place.unlink()
    elif what == "added":
        place.write_text("", encoding="utf-8")
    else:
        edit(place)
    problems = verify_image(own_image).problems
    relative = os.path.relpath(place, own_image.environment)
    words = {"added": "added to the image", "missing": "missing"}.get(what, "changed in place")
    assert f"{relative}: {words}" in problems


def test_a_forged_record_is_told_by_the_content(own_image: Image) -> None:
    """Whoever edits a module and its package's RECORD alike is betrayed by the content written at the build."""
    record = own_image.site_packages / "six-1.17.0.dist-info" / "RECORD"
    lines = [line for line in record.read_text(encoding="utf-8").splitlines() if not line.startswith("six.py,")]
    record.chmod(0o644)
    record.write_text("\n".join(lines) + "\n", encoding="utf-8")
    edit(own_image.site_packages / "six.py")
    assert any("not those of the day it was built" in item for item in verify_image(own_image).problems)


@pytest.mark.parametrize("what", ["command list", "packages"])
def test_an_image_that_lacks_a_part_is_a_finding(bay: Bay, own_image: Image, what: str) -> None:
    make_instances(bay, own_image, 2)
    place = {"command list": own_image.folder / "commands.json", "packages": own_image.site_packages}[what]
    for folder in (own_image.folder, place.parent):
        folder.chmod(0o755)
    place.rename(own_image.folder / "elsewhere")
    found = verify(bay, full=True)
    assert not found.identical
    assert any(place.name in problem for problem in found.image_problems)


@pytest.mark.parametrize("text", ["{}", '{"entries": 3}', "["])
def test_a_damaged_seal_is_said_plainly(own_image: Image, text: str) -> None:
    seal = own_image.folder / "seal.json"
    own_image.folder.chmod(0o755)
    seal.unlink()
    seal.write_text(text, encoding="utf-8")
    with pytest.raises(StateError, match="damaged"):
        verify_image(own_image)


def test_an_image_that_is_gone_is_an_error_with_a_way_on(bay: Bay, three: Sequence[Instance]) -> None:
    assert three
    (bay.home.images / three[0].digest).unlink()
    with pytest.raises(StateError, match="the image of exp-1 is gone") as caught:
        verify(bay)
    assert "bay image build tiny" in caught.value.hint


# --- machines -------------------------------------------------------------------------------------------------------


def with_gpu(bay: Bay, folder: Path) -> Bay:
    """Return a bay on a machine whose driver shows a GPU."""
    folder.mkdir()
    tool = folder / "nvidia-smi"
    tool.write_text(SMI, encoding="utf-8")
    tool.chmod(0o755)
    return replace(bay, environ={**bay.environ, "PATH": f"{folder}:{os.environ['PATH']}"})


def add_framework(image: Image, name: str, source: str) -> None:
    """Let the image hold a framework, as far as anybody asks for its GPUs."""
    image.site_packages.chmod(0o755)
    (image.site_packages / f"{name}.py").write_text(source, encoding="utf-8")
    record = image.folder / "record.json"
    value = json.loads(record.read_text(encoding="utf-8"))
    image.folder.chmod(0o755)
    record.unlink()
    record.write_text(json.dumps({**value, "frameworks": {name: "1.0"}}), encoding="utf-8")


TORCH = """
class cuda:
    device_count = staticmethod(lambda: {count})
    get_device_name = staticmethod(lambda index: "NVIDIA H200")
"""


@pytest.mark.parametrize("usable", [0, 1, 2])
def test_a_framework_proves_the_gpus_it_can_use(
    bay: Bay, own_image: Image, tmp_path: Path, reporter: RecordingReporter, usable: int
) -> None:
    proven = usable == 1
    add_framework(own_image, "torch", TORCH.format(count=usable))
    machine = with_gpu(bay, tmp_path / "driver")
    launched = launch_fleet(machine, own_image.digest, count=2, name="exp")
    assert launched.identical  # a GPU that none of them can use does not tell them apart
    what = f"the driver shows 1 GPU, torch can use {usable} (the image is locked for cpu)"
    assert reporter.notes == ([] if proven else [f"Not on the GPU: {what}."])
    found = verify(machine)
    assert (found.identical, found.gpu_proven) == (True, proven)
    names = [] if proven else ["exp-1", "exp-2"]
    assert [(item.instance, item.kind, item.what) for item in found.differences] == [
        (name, "gpu", what) for name in names
    ]
    assert [len(item["gpus"]) for item in found.fingerprints] == [1, 1]


def test_a_launch_remembers_what_a_framework_could_use_until_the_driver_changes(
    bay: Bay, own_image: Image, tmp_path: Path
) -> None:
    """Importing a framework takes seconds: twenty instances are launched in one."""
    imported = tmp_path / "imported"
    add_framework(own_image, "torch", TORCH.format(count=1) + f"open({str(imported)!r}, 'a').write('x')\n")
    machine = with_gpu(bay, tmp_path / "driver")
    for name in ("a", "b"):
        launch_fleet(machine, own_image.digest, count=2, name=name)
    assert imported.read_text() == "x"
    assert verify_instances(machine, bay.provider.observe(), full=True).gpu_proven
    assert imported.read_text() == "xx", "`bay verify` proves it anew"
    (tmp_path / "driver" / "nvidia-smi").write_text(SMI.replace("H200", "H100"), encoding="utf-8")
    assert verify_instances(machine, bay.provider.observe(), full=False).gpu_proven
    assert imported.read_text() == "xxx"


def test_the_driver_is_asked_once_for_all_on_this_machine(bay: Bay, own_image: Image, tmp_path: Path) -> None:
    make_instances(bay, own_image, 5)
    machine, asked = with_gpu(bay, tmp_path / "driver"), tmp_path / "asked"
    tool = tmp_path / "driver" / "nvidia-smi"
    tool.write_text(SMI.replace("#!/bin/sh\n", f"#!/bin/sh\necho x >> {asked}\n"), encoding="utf-8")
    found = verify(machine)
    assert asked.read_text() == "x\n"
    assert [len(item["gpus"]) for item in found.fingerprints] == [1] * 5
    assert found.identical


def test_a_framework_that_has_no_say_proves_nothing(bay: Bay, own_image: Image, tmp_path: Path) -> None:
    add_framework(own_image, "mxnet", "")
    make_instances(bay, own_image)
    assert verify(with_gpu(bay, tmp_path / "driver")).gpu_proven is None


@pytest.mark.image("tensorflow")
def test_tensorflow_without_cuda_does_not_prove_a_gpu(
    bay: Bay, with_image: Callable[[str], Image], tmp_path: Path
) -> None:
    make_instances(bay, with_image("tensorflow"), 2)
    found = verify(with_gpu(bay, tmp_path / "driver"))
    assert (found.identical, found.gpu_proven) == (True, False)
    assert {item.what for item in found.differences} == {
        "the driver shows 1 GPU, tensorflow can use 0 (the image is locked for cpu)"
    }


def test_without_a_framework_a_gpu_is_neither_proven_nor_refuted(
    bay: Bay, three: Sequence[Instance], tmp_path: Path
) -> None:
    assert three
    found = verify(with_gpu(bay, tmp_path / "driver"))
    assert (found.identical, found.gpu_proven) == (True, None)


def test_stopped_ones_are_verified_too(bay: Bay, three: Sequence[Instance]) -> None:
    change_power(bay, "stop", "exp-2")
    assert verify(bay).identical
    (three[1].root / "env" / "extra").write_text("", encoding="utf-8")
    assert differences(bay) == [("exp-2", "file", "extra was added to its layer")]
    assert [item.state for item in bay.provider.observe()] == ["running", "stopped", "running"]


def test_one_alone_is_compared_with_its_untouched_layer(bay: Bay, image: Image) -> None:
    (instance,) = make_instances(bay, image)
    assert verify(bay).identical
    (instance.root / "env" / "extra").write_text("", encoding="utf-8")
    assert [item[:2] for item in differences(bay)] == [("exp-1", "file")]
