"""Overlay instances: a whole environment each, held by a process that may die at any time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from launchbay.errors import Conflict
from launchbay.home import Home
from launchbay.images.image import Image, find_image
from launchbay.lifecycle.bay import Bay, connect, open_bay
from launchbay.lifecycle.launch import launch_fleet
from launchbay.lifecycle.verify import verify_instances
from launchbay.onboard.process import identify, process_alive
from launchbay.planning.fleet import Instance
from launchbay.providers import holding
from launchbay.providers.overlay import HOLDER_MARK, Mount, find_holder, hold
from launchbay.providers.processes import instance_processes, marked_processes
from tests.providers.specs import make_specs


@pytest.fixture
def image(bay: Bay, with_image: Callable[[str], Image]) -> Image:
    mine = find_image(bay.home, with_image("tiny").digest)
    assert mine is not None
    return mine


@pytest.fixture
def two(bay: Bay, image: Image) -> Iterator[Sequence[Instance]]:
    bay.provider.create([replace(spec, layer="overlay") for spec in make_specs(image, 2)], image, made=lambda _: None)
    yield bay.provider.observe()
    bay.provider.delete(bay.provider.observe())


def holders(instances: Sequence[Instance]) -> list[int]:
    return marked_processes(f"{HOLDER_MARK}={item.id}" for item in instances)


def kill(pid: int) -> None:
    """Kill a process of another parent, and wait until it is dead."""
    process = identify(pid)
    os.kill(pid, signal.SIGKILL)
    while process_alive(process):
        time.sleep(0.01)


def run(bay: Bay, instance: Instance, *command: str) -> str:
    done = connect(bay, instance).run(command)
    assert done.code == 0, done.stderr.decode()
    return done.stdout.decode().strip()


def test_it_sees_a_whole_environment_in_its_own_folder(bay: Bay, two: Sequence[Instance]) -> None:
    told = run(bay, two[0], "python", "-c", "import six, sys; print(sys.prefix, six.__file__)")
    prefix, module = told.split()
    assert prefix == str(two[0].root / "env")
    assert module.startswith(prefix)
    assert "six" in run(bay, two[0], "uv", "pip", "list")  # a layer's uv does not see the image


def test_what_is_removed_is_gone_for_one_alone(bay: Bay, two: Sequence[Instance], image: Image) -> None:
    run(bay, two[0], "pip", "uninstall", "-y", "six")
    assert connect(bay, two[0]).run(["python", "-c", "import six"]).code == 1
    run(bay, two[1], "python", "-c", "import six")
    assert (image.site_packages / "six.py").is_file()
    found = verify_instances(bay, two, full=True)
    assert [(item.instance, item.kind, item.what) for item in found.differences] == [
        ("exp-1", "package", "package six 1.17.0 of the image was removed")
    ]
    assert found.image_problems == []


def test_a_file_of_the_image_that_is_edited_or_removed_is_named(bay: Bay, two: Sequence[Instance]) -> None:
    packages = two[1].root / "env/lib/python3.11/site-packages"
    run(bay, two[1], "sh", "-c", f"echo '# mine' >> {packages}/six.py; rm {packages}/pip/py.typed")
    assert [(item.instance, item.kind, item.what) for item in verify_instances(bay, two, full=False).differences] == [
        ("exp-2", "file", "lib/python3.11/site-packages/pip/py.typed of the image was removed"),
        (
            "exp-2",
            "file",
            "lib/python3.11/site-packages/six.py was added to its layer and shadows a module of the image",
        ),
    ]


def test_untouched_and_used_ones_are_identical(bay: Bay, two: Sequence[Instance]) -> None:
    run(bay, two[0], "python", "-c", "import six, json")
    assert verify_instances(bay, two, full=False).identical


def test_a_dead_holder_is_replaced_and_nothing_is_lost(bay: Bay, two: Sequence[Instance]) -> None:
    run(bay, two[0], "pip", "uninstall", "-y", "six")
    before = find_holder(two[0])
    assert before is not None
    kill(before.pid)
    assert connect(bay, two[0]).run(["python", "-c", "import six"]).code == 1
    after = find_holder(two[0])
    assert after is not None
    assert after.pid != before.pid


def test_a_holder_that_nobody_wrote_down_is_ended_before_there_is_another(bay: Bay, two: Sequence[Instance]) -> None:
    """A command was killed between starting it and writing its record; two mounts on one folder damage it."""
    (two[0].root / "holder.json").unlink()
    (lost,) = holders(two[:1])
    run(bay, two[0], "true")
    (found,) = holders(two[:1])
    assert found != lost


def test_a_number_that_another_process_has_by_now_is_no_holder(bay: Bay, two: Sequence[Instance]) -> None:
    path = two[0].root / "holder.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "pid": os.getpid()}))
    assert find_holder(two[0]) is None
    run(bay, two[0], "true")


@pytest.mark.parametrize("text", ["", "{", "{}", '{"pid": "x"}', '{"pid": 999999999}'])
def test_a_damaged_record_is_made_again(bay: Bay, two: Sequence[Instance], text: str) -> None:
    (two[0].root / "holder.json").write_text(text)
    run(bay, two[0], "python", "-c", "import six")
    assert len(holders(two[:1])) == 1


def test_those_who_come_at_once_go_in_by_one_door(bay: Bay, two: Sequence[Instance]) -> None:
    for pid in holders(two[:1]):
        kill(pid)
    threads = [threading.Thread(target=run, args=(bay, two[0], "true")) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(holders(two[:1])) == 1


def test_the_holder_is_no_process_of_the_instance(two: Sequence[Instance]) -> None:
    assert len(holders(two)) == 2
    assert instance_processes(item.id for item in two) == []


def test_stop_ends_the_holder_and_start_finds_the_files(bay: Bay, two: Sequence[Instance]) -> None:
    run(bay, two[0], "pip", "uninstall", "-y", "six")
    bay.provider.stop(two)  # type: ignore[attr-defined]
    assert holders(two) == []
    bay.provider.start(two)  # type: ignore[attr-defined]
    assert connect(bay, two[0]).run(["python", "-c", "import six"]).code == 1
    run(bay, two[1], "python", "-c", "import six")


def test_nothing_is_left_of_one_that_is_deleted(bay: Bay, two: Sequence[Instance], home: Home) -> None:
    run(bay, two[0], "pip", "uninstall", "-y", "six")
    bay.provider.delete(two)
    assert holders(two) == []
    assert list(home.instances.iterdir()) == list(home.trash.iterdir()) == []


def test_commands_keep_their_folder_their_input_and_their_code(bay: Bay, two: Sequence[Instance]) -> None:
    transport = connect(bay, two[0])
    assert run(bay, two[0], "pwd") == str(two[0].root / "work")
    assert transport.run(["sh", "-c", "cat; exit 7"], data=b"in").code == 7
    assert transport.run(["cat"], data=b"in").stdout == b"in"


def test_a_command_that_it_has_not_is_said_like_everywhere(bay: Bay, two: Sequence[Instance]) -> None:
    with pytest.raises(Exception, match="the instance has no command 'nonesuch'"):
        connect(bay, two[0]).run(["nonesuch"])


def test_what_is_installed_brings_its_commands(bay: Bay, two: Sequence[Instance]) -> None:
    place = two[0].root / "env" / "bin" / "hello"
    run(bay, two[0], "sh", "-c", f"printf '#!/bin/sh\necho hi\n' > {place}; chmod +x {place}")
    assert run(bay, two[0], "hello") == "hi"
    assert not place.exists()  # it is seen inside only


def test_files_of_its_environment_are_copied_as_it_sees_them(bay: Bay, two: Sequence[Instance], tmp_path: Path) -> None:
    (tmp_path / "extra.py").write_text("x = 1\n")
    target = two[0].root / "env/lib/python3.11/site-packages/extra.py"
    connect(bay, two[0]).put(str(tmp_path / "extra.py"), str(target))
    run(bay, two[0], "python", "-c", "import extra")
    connect(bay, two[0]).get(str(target), str(tmp_path / "back.py"))
    assert (tmp_path / "back.py").read_text() == "x = 1\n"


def test_any_home_will_do(with_image: Callable[[str], Image], tmp_path: Path) -> None:
    image = with_image("tiny")
    bay = open_bay(environ={**os.environ, "LAUNCHBAY_HOME": str(tmp_path / "a,b")})
    bay.home.images.mkdir(parents=True)
    (bay.home.images / image.digest).symlink_to(image.folder)
    mine = find_image(bay.home, image.digest)
    assert mine is not None
    bay.provider.create([replace(spec, layer="overlay") for spec in make_specs(mine, 1)], mine, made=lambda _: None)
    (instance,) = bay.provider.observe()
    try:
        run(bay, instance, "python", "-c", "import six")
    finally:
        bay.provider.delete([instance])


@pytest.mark.image("tensorflow")
def test_a_framework_image_is_whole_and_untouched(bay: Bay, with_image: Callable[[str], Image]) -> None:
    with_image("tensorflow")
    launched = launch_fleet(bay, "tensorflow", count=2, name="exp", layer="overlay")
    try:
        assert launched.identical
        assert "python3" in run(bay, launched.instances[0], "jupyter", "kernelspec", "list")
        run(bay, launched.instances[0], "python", "-c", "import tensorboard, jupyterlab")
        assert verify_instances(bay, launched.instances, full=False).identical
    finally:
        bay.provider.delete(launched.instances)


def test_a_kernel_that_refuses_is_an_error_with_a_way_on(two: Sequence[Instance], tmp_path: Path) -> None:
    bare = replace(two[0], id="i-bare", root=tmp_path)
    missing = tmp_path / "missing"
    with pytest.raises(Conflict, match=r"the kernel mounts no overlay here .No such file or directory") as caught:
        hold({bare: [Mount(missing, missing, missing, missing)]})
    assert "without --overlay" in caught.value.hint
    assert holders([bare]) == []


def test_a_launch_that_the_kernel_refuses_leaves_nothing(
    bay: Bay, tiny: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "holding.py"
    program.write_text('print(\'{"error": "this kernel gives no namespace"}\')')
    monkeypatch.setattr("launchbay.providers.overlay._PROGRAM", program)
    with pytest.raises(Conflict, match="overlay instances cannot be had here: this kernel gives no namespace"):
        launch_fleet(bay, tiny, count=2, name="exp", layer="overlay")
    assert bay.provider.observe() == []


def test_an_ordinary_user_gets_a_namespace_of_users_besides() -> None:
    """Asked of the program itself, as a user who may not mount: nobody."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("lower", "upper", "work", "target"):
            Path(folder, name).mkdir()
        Path(folder, "lower", "file").touch()
        program = Path(folder, "holding.py")
        program.write_bytes(Path(holding.__file__).read_bytes())
        for path in (folder, *(f"{folder}/{name}" for name in os.listdir(folder))):
            os.chown(path, 65534, 65534)
        options = f"lowerdir={folder}/lower,upperdir={folder}/upper,workdir={folder}/work"
        request = [{"environment": {}, "mounts": [[f"{folder}/target", options]]}]
        python = next(path for path in ("/usr/bin/python3", sys.executable) if os.path.exists(path))
        done = subprocess.run(
            [python, "-I", "-S", str(program)],
            input=json.dumps(request).encode(),
            capture_output=True,
            check=True,
            user=65534,
            group=65534,
        )
        answer = json.loads(done.stdout)
        assert answer.keys() == {"pids", "has_user_namespace"}, answer
        assert answer["has_user_namespace"]
        (pid,) = answer["pids"]
        try:
            assert os.listdir(f"/proc/{pid}/root{folder}/target") == ["file"]
            assert os.listdir(f"{folder}/target") == []
        finally:
            kill(pid)  # its mounts go with it
