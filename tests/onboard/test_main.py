"""The protocol of the onboard program: a request on stdin, the answer as the last line on stdout."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from launchbay.home import Home
from launchbay.transport.onboard import install_onboard


def call(home: Home, *arguments: str, request: object = None) -> tuple[int, dict[str, Any], str]:
    data = b"" if request is None else json.dumps(request).encode()
    done = subprocess.run(
        [sys.executable, str(install_onboard(home)), *arguments], input=data, capture_output=True, check=False
    )
    return done.returncode, json.loads(done.stdout.splitlines()[-1]), done.stderr.decode()


def module(folder: Path, text: str) -> str:
    folder.mkdir()
    (folder / "chatty.py").write_text(text, encoding="utf-8")
    return str(folder)


def test_an_answer(home: Home, tmp_path: Path) -> None:
    code, answer, _ = call(home, "fingerprint", request={"v": 1, "root": str(tmp_path)})
    assert (code, answer["v"], answer["ok"]) == (0, 1, True)
    assert answer["result"]["layer"] == {}


def test_what_is_printed_meanwhile_is_not_the_answer(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "import os; print('hello'); os.system('echo from a child'); __version__ = '7'\n"
    monkeypatch.setenv("PYTHONPATH", module(tmp_path / "m", text))
    code, answer, words = call(home, "probe", request={"modules": ["chatty"]})
    assert (code, answer["result"]["versions"], answer["result"]["gpus"]) == (0, {"chatty": "7"}, {})
    assert sorted(words.split()) == ["a", "child", "from", "hello"]


def test_a_refusal(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", module(tmp_path / "m", "raise OSError('libcuda.so.1 is missing')\n"))
    code, answer, _ = call(home, "probe", request={"modules": ["chatty"]})
    assert (code, answer["ok"]) == (1, False)
    assert answer["error"]["what"] == "`import chatty` fails: OSError: libcuda.so.1 is missing"


@pytest.mark.parametrize("arguments", [[], ["dance"]])
def test_an_unknown_command(home: Home, arguments: list[str]) -> None:
    code, answer, _ = call(home, *arguments)
    assert (code, answer["ok"]) == (2, False)
    assert answer["error"]["what"].startswith("unknown command")


def test_another_protocol_is_refused(home: Home) -> None:
    code, answer, _ = call(home, "fingerprint", request={"v": 2, "root": "/"})
    assert (code, answer["error"]["what"]) == (2, "protocol version is 1")


def test_every_module_is_python_3_9() -> None:
    """The image's Python may be as old as that, and may not be ours."""
    for item in resources.files("launchbay.onboard").iterdir():
        if item.name.endswith(".py"):
            tree = ast.parse(item.read_text(encoding="utf-8"), item.name, feature_version=(3, 9))
            names = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
            assert not any(str(name).startswith("launchbay") for name in names), item.name
