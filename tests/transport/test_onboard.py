"""The onboard program as a folder, and what is made of its answers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from launchbay.errors import LaunchbayError, UserError
from launchbay.home import Home
from launchbay.onboard.program import hash_program, read_program
from launchbay.testing import RecordingTransport
from launchbay.transport import onboard
from launchbay.transport.base import Completed
from launchbay.transport.onboard import ask, install_onboard, parse_answer


def answer(stdout: bytes, *, stderr: bytes = b"", code: int = 0) -> Completed:
    return Completed(code=code, stdout=stdout, stderr=stderr)


def test_the_same_code_has_the_same_name_in_another_process(home: Home) -> None:
    code = "from launchbay.onboard.program import hash_program, read_program; print(hash_program(read_program())[:32])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == install_onboard(home).name


def test_it_is_installed_once_and_is_what_its_name_says(home: Home) -> None:
    folder = install_onboard(home)
    sources = {path.name: path.read_bytes() for path in sorted((folder / "launchbay_onboard").glob("*.py"))}
    assert hash_program(sources)[:32] == folder.name
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert install_onboard(home) == folder
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    assert [item.name for item in home.onboard.iterdir()] == [folder.name]


def test_a_changed_source_has_another_name() -> None:
    sources = read_program()
    assert (
        len({hash_program(item) for item in (sources, {**sources, "main.py": b""}, {**sources, "more.py": b""})}) == 3
    )


def test_one_that_was_cut_off_leaves_nothing_behind(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = read_program()

    def cut_off() -> dict[str, bytes]:
        return {"main.py": whole["main.py"], "probe.py": "not bytes"}  # type: ignore[dict-item]

    install_onboard(Home(home.root / "other"))  # its name is known from here on
    monkeypatch.setattr(onboard, "read_program", cut_off)
    with pytest.raises(TypeError):
        install_onboard(home)
    assert not home.onboard.exists()
    monkeypatch.undo()
    folder = install_onboard(home)
    assert {path.name for path in (folder / "launchbay_onboard").iterdir()} == set(whole)
    assert not [path for path in home.tmp.iterdir() if path != home.trash]


def test_the_second_process_compiles_nothing(home: Home) -> None:
    program = install_onboard(home)
    environ = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    for _ in range(2):
        kept = {path.name: path.stat().st_ino for path in program.rglob("*.pyc")}
        subprocess.run(
            [sys.executable, str(program), "nothing"], input=b"", capture_output=True, env=environ, check=False
        )
    assert kept
    assert {path.name: path.stat().st_ino for path in program.rglob("*.pyc")} == kept


def test_a_request_goes_out_with_the_protocols_version() -> None:
    transport = RecordingTransport(answers=[answer(b'noise\n{"v": 1, "ok": true, "result": {"a": 1}}\n')])
    assert ask(transport, "python", Path("/x"), "fingerprint", {"root": "/r"}) == {"a": 1}
    assert transport.commands == [("python", "/x", "fingerprint")]


def test_a_refusal_keeps_its_place_and_hint() -> None:
    said = b'{"v": 1, "ok": false, "error": {"what": "no", "where": "x.csv:3", "hint": "put a number there"}}\n'
    with pytest.raises(UserError) as caught:
        parse_answer(said, what="evaluate", words=b"", code=1)
    assert (caught.value.what, caught.value.where, caught.value.hint) == ("no", "x.csv:3", "put a number there")


@pytest.mark.parametrize("output", [b"", b"\n", b"Segmentation fault\n"])
def test_no_answer_is_told_with_the_last_words(output: bytes) -> None:
    with pytest.raises(LaunchbayError, match=r"probe gave no answer \(ended with code 1\): b / c / d") as caught:
        parse_answer(output, what="probe", words=b"a\nb\nc\nd\n", code=1)
    assert not isinstance(caught.value, UserError)


def test_a_killed_program_is_told_by_its_signal() -> None:
    with pytest.raises(LaunchbayError, match="killed by signal 9"):
        parse_answer(b"", what="probe", words=b"", code=-9)
