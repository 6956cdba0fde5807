from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from launchbay.home import Home
from launchbay.images.image import Image
from launchbay.models.inspect import Ask
from launchbay.transport.onboard import install_onboard, parse_answer

WORKER = """
import json, os, sys
channel = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
sys.path.insert(0, sys.argv[1])
from launchbay_onboard import inspecting, model
from launchbay_onboard.refused import Refused
for line in sys.stdin:
    command, request = json.loads(line)
    try:
        answer = {"ok": True, "result": {**vars(model), "inspect": inspecting.inspect}[command](request)}
    except Refused as refusal:
        answer = {"ok": False, "error": vars(refusal)}
    print(json.dumps({"v": 1, **answer}), file=channel, flush=True)
"""
MAKE_MODELS = Path(__file__).with_name("make_models.py")


@pytest.fixture(scope="session")
def keras_python(request: pytest.FixtureRequest) -> Path:
    """Return a Python that has Keras: the one named in LAUNCHBAY_TEST_PYTHON, else that of the tensorflow image."""
    named = os.environ.get("LAUNCHBAY_TEST_PYTHON")
    if named:
        return Path(named)
    image_store: Callable[[str], Image] = request.getfixturevalue("image_store")
    return image_store("tensorflow").python_path


@pytest.fixture(scope="session")
def saved(keras_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of saved models with facts.json beside them; see make_models.py."""
    folder = tmp_path_factory.mktemp("models")
    done = subprocess.run(
        [keras_python, MAKE_MODELS, folder], capture_output=True, text=True, check=False, env=_environ()
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


@pytest.fixture(scope="session")
def facts(saved: Path) -> dict[str, Any]:
    """Return what Keras itself says of the models."""
    found: dict[str, Any] = json.loads((saved / "facts.json").read_text())
    return found


@pytest.fixture(scope="session")
def onboard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the onboard program's folder."""
    return install_onboard(Home(tmp_path_factory.mktemp("onboard")))


@pytest.fixture(scope="session")
def ask_once(keras_python: Path, onboard: Path) -> Ask:
    """Return the way to ask the onboard program as `bay` does, in a process for each question."""

    def run(command: str, request: Mapping[str, object]) -> Mapping[str, Any]:
        done = subprocess.run(
            [keras_python, onboard, command],
            input=json.dumps({"v": 1, **request}).encode(),
            capture_output=True,
            check=False,
            env=_environ(),
        )
        return parse_answer(done.stdout, what=command, words=done.stderr, code=done.returncode)

    return run


@pytest.fixture(scope="session")
def ask(keras_python: Path, onboard: Path) -> Iterator[Ask]:
    """Return the way to ask the same code in one process for all questions: the framework is imported once."""
    with subprocess.Popen(
        [keras_python, "-c", WORKER, onboard], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=_environ()
    ) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        asking, answering = worker.stdin, worker.stdout

        def run(command: str, request: Mapping[str, object]) -> Mapping[str, Any]:
            asking.write(json.dumps([command, request]).encode() + b"\n")
            asking.flush()
            return parse_answer(answering.readline(), what=command, words=b"", code=worker.poll() or 0)

        yield run


def _environ() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "TF_"))}
    return {**kept, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
