"""The onboard program as one file, and what is made of its answers."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from launchbay.errors import LaunchbayError, UserError
from launchbay.home import Home
from launchbay.testing import RecordingTransport
from launchbay.transport.base import Completed
from launchbay.transport.onboard import ask, install_onboard, pack_onboard, parse_answer


def answer(stdout: bytes, *, stderr: bytes = b"", code: int = 0) -> Completed:
    return Completed(code=code, stdout=stdout, stderr=stderr)


def test_the_same_code_packs_to_the_same_bytes_in_another_process() -> None:
    code = (
        "import hashlib; from launchbay.transport.onboard import pack_onboard;"
        " print(hashlib.sha256(pack_onboard()).hexdigest())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == hashlib.sha256(pack_onboard()).hexdigest()


def test_it_is_installed_once_under_its_hash(home: Home) -> None:
    path = install_onboard(home)
    assert path.name == hashlib.sha256(path.read_bytes()).hexdigest()[:32] + ".pyz"
    before = path.stat()
    assert install_onboard(home) == path
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert [item.name for item in home.onboard.iterdir()] == [path.name]


def test_a_request_goes_out_with_the_protocols_version() -> None:
    transport = RecordingTransport(answers=[answer(b'noise\n{"v": 1, "ok": true, "result": {"a": 1}}\n')])
    assert ask(transport, "python", Path("/x.pyz"), "fingerprint", {"root": "/r"}) == {"a": 1}
    assert transport.commands == [("python", "/x.pyz", "fingerprint")]


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
