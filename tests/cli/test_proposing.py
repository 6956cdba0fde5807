"""`bay train SCRIPT` where nothing stands: an image is proposed, and launched when the person agrees."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay
from launchbay.providers.processes import end_processes, instance_processes
from tests.cli.conftest import Said
from tests.cli.terminal import Terminal, on_terminal

Says = Callable[..., Said]
OLD = "import tensorflow as tf\nmodel = tf.keras.Sequential()\nmodel.save('model')\n"


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], str]:
    def write(text: str) -> str:
        path = tmp_path / "project" / "train.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


Script = Callable[[str], str]


Begin = Callable[[str], contextlib.AbstractContextManager[Terminal]]


@pytest.fixture
def begin(bay_command: list[str], with_image: Callable[[str], Image]) -> Begin:
    """Return a function that runs `bay train SCRIPT` on a terminal, with the tensorflow image built."""
    with_image("tensorflow")
    return lambda path: on_terminal([*bay_command, "train", path])


def test_nobody_to_ask(says: Says, bay: Bay, script: Script) -> None:
    path = script(OLD)
    for more in ((), ("--json",)):
        said = says("train", path, "--data", ".", *more)
        assert (said.code, said.out) == (2, "")
        assert "train.py imports tensorflow; train.py:3  model.save('model') fails under Keras 3" in said.err
        assert "image tensorflow-2.15 (not built yet" in said.err
        assert "Launching one tensorflow-2.15 instance named train to train there: this needs your consent" in said.err
        by_hand = f"bay launch tensorflow-2.15 --name train, then bay train train {path} --data ."
        assert f"Try: {by_hand}; or the same command with -y" in said.err
    assert not bay.provider.observe()


def test_what_no_image_has(says: Says, script: Script) -> None:
    said = says("train", script("import polars\n"), "-y")
    assert said.code == 1
    assert "bay: no image has polars, which train.py imports" in said.err


def test_what_fails_in_every_image_launches_nothing(says: Says, bay: Bay, script: Script) -> None:
    said = says("train", script("import tensorflow as tf\ntf.Session()\n"), "-y")
    assert said.code == 1
    assert "train.py was not started: it will fail in every image" in said.err
    assert not bay.provider.observe()


@pytest.mark.usefixtures("two")
def test_several_instances_are_not_chosen_among(says: Says, script: Script) -> None:
    said = says("train", script("print(1)\n"))
    assert said.code == 2
    assert "train needs an instance, and 2 instances stand here" in said.err
    assert "bay train " in said.err


@pytest.mark.image("tensorflow")
def test_agreed_beforehand(says: Says, bay: Bay, script: Script, with_image: Callable[[str], Image]) -> None:
    with_image("tensorflow")
    said = says("train", script("import pandas\nprint('trained')\n"), "-y", "--json")
    assert said.code == 0
    assert (said.value["state"], said.value["instance"], said.value["image"]) == ("done", "train-1", "tensorflow")
    assert "trained" in said.err
    again = says("train", script("print('once more')\n"))  # the only instance there is
    assert again.code == 0
    assert len(bay.provider.observe()) == 1


@pytest.mark.image("tensorflow")
@pytest.mark.parametrize(("typed", "fleets"), [("\n", ["train"]), ("y\n", ["train"]), ("n\n", [])])
def test_asked_on_a_terminal(bay: Bay, script: Script, begin: Begin, typed: str, fleets: list[str]) -> None:
    with begin(script("import pandas\nprint('trained')\n")) as terminal:
        terminal.until("Launching one tensorflow instance named train to train there. Go on? [Y/n] ")
        terminal.type(typed)
        assert terminal.end() == (0 if fleets else 2)
    standing = bay.provider.observe()
    assert [item.fleet for item in standing] == fleets
    assert ("trained" in terminal.shown) is bool(fleets)
    end_processes(instance_processes(item.id for item in standing))


def test_a_closed_terminal_is_no_consent(bay: Bay, script: Script, bay_command: list[str]) -> None:
    with on_terminal([*bay_command, "train", script("import torch\n")]) as terminal:
        terminal.until("[Y/n] ")
        terminal.type("\x04")  # the end of what is typed
        assert terminal.end() == 2
    assert not bay.provider.observe()


@pytest.mark.usefixtures("two")
def test_a_sure_loss_is_refused_and_told_as_json(says: Says, script: Script) -> None:
    said = says("train", "exp-1", script("print('up')\nimport scipy\n"), "--json")
    assert said.code == 1
    (problem,) = said.value["problems"]
    assert said.value["run"] is None
    assert (problem["file"], problem["line"], problem["is_sure"]) == ("train.py", 2, True)
    assert "imports scipy, which exp-1 does not have" in said.err
    forced = says("train", "exp-1", script("print('up')\nimport scipy\n"), "--json", "--force")
    assert forced.code == 1
    assert forced.value["foreseen"] == ["train.py:2  imports scipy, which exp-1 does not have"]


def test_the_project_s_image_is_not_second_guessed(says: Says, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bay.yaml").write_text("image: jax\nscript: train.py\n", encoding="utf-8")
    shutil.copy(__file__, tmp_path / "train.py")
    monkeypatch.chdir(tmp_path)
    said = says("train")
    assert said.code == 2
    assert "train needs an instance\n  Try: bay launch;" in said.err
