"""What takes a bundle in: run as it is over there, by a Python that has nothing of ours."""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from launchbay.afar import receive


def pack(files: dict[str, str], *, link: str = "") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
        if link:
            info = tarfile.TarInfo("lib")
            info.type, info.linkname = tarfile.SYMTYPE, link
            archive.addfile(info)
    return packed.getvalue()


def send(home: Path, data: bytes, **request: Any) -> dict[str, Any]:
    given = {"home": str(home), "sha256": hashlib.sha256(data).hexdigest(), "uv": "/srv/uv bin/uv", **request}
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", Path(receive.__file__).read_text(encoding="utf-8")],
        input=json.dumps(given).encode() + b"\n" + data,
        capture_output=True,
        check=True,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


PROGRAM = {
    "__main__.py": "import os, sys\nprint(os.environ['LAUNCHBAY_HOME'], os.environ['PATH'].split(':')[0], *sys.argv[1:])"
}


def test_what_was_put_there_runs_as_bay(tmp_path: Path) -> None:
    home = tmp_path / "it's here"
    answer = send(home, pack(PROGRAM))
    assert answer["ok"]
    done = subprocess.run([str(home / "bin" / "bay"), "ps", "a b"], capture_output=True, text=True, check=True)
    assert done.stdout == f"{home} /srv/uv bin ps a b\n"


def test_it_is_asked_for_when_it_is_not_there(tmp_path: Path) -> None:
    data = pack(PROGRAM)
    name = hashlib.sha256(data).hexdigest()
    assert send(tmp_path, b"", sha256=name)["result"] == {"wanted": True}
    assert send(tmp_path, data)["result"]["new"]
    assert not send(tmp_path, b"", sha256=name)["result"]["wanted"]


def test_one_that_is_damaged_leaves_nothing(tmp_path: Path) -> None:
    data = pack(PROGRAM)
    answer = send(tmp_path, data[:-3], sha256=hashlib.sha256(data).hexdigest())
    assert answer["error"]["what"] == "the bundle was cut off or altered on its way"
    assert [path.name for path in (tmp_path / "programs").iterdir()] == [".lock"]


@pytest.mark.parametrize("name", ["TOP/escaped", "../escaped", "a/../../escaped"])
def test_no_name_leads_out(tmp_path: Path, name: str) -> None:
    answer = send(tmp_path / "home", pack({name.replace("TOP", str(tmp_path)): "x"}))
    assert "is no plain file of its own" in answer["error"]["what"]
    assert not list(tmp_path.rglob("*escaped*"))


def test_no_link_is_followed(tmp_path: Path) -> None:
    answer = send(tmp_path / "home", pack({}, link=str(tmp_path)))
    assert not answer["ok"]


def test_what_a_killed_one_left_is_no_hindrance(tmp_path: Path) -> None:
    data = pack(PROGRAM)
    half = tmp_path / "programs" / f"{hashlib.sha256(data).hexdigest()[:32]}.half"
    half.mkdir(parents=True)
    (half / "old.py").write_text("", encoding="utf-8")
    program = Path(send(tmp_path, data)["result"]["program"])
    assert sorted(path.name for path in program.iterdir()) == ["__main__.py", "bay"]
    assert not half.exists()


def test_older_ones_go_unless_something_runs_from_them(tmp_path: Path) -> None:
    programs = []
    for number in range(4):
        answer = send(tmp_path, pack({"__main__.py": f"{number}"}))["result"]
        programs.append(Path(answer["program"]))
        os.utime(programs[-1], (number, number))
        if number == 0:
            held = (tmp_path / "programs" / f"{programs[0].name}.lock").open("ab")
            fcntl.flock(held, fcntl.LOCK_SH)  # as a program does that runs
    with held:
        assert [path.exists() for path in programs] == [True, False, True, True]
    send(tmp_path, pack({"__main__.py": "4"}))
    assert [path.exists() for path in programs] == [False, False, False, True]


def test_uv_is_got_with_pip_where_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        if command[1:3] == ["-m", "pip"]:
            uv = tmp_path / "uv" / "bin" / "uv"
            uv.parent.mkdir(parents=True)
            uv.write_text("", encoding="utf-8")
            uv.chmod(0o755)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(subprocess, "run", run)
    assert receive.find_uv(str(tmp_path)) == str(tmp_path / "uv" / "bin" / "uv")
    assert [command[1:3] for command in commands] == [["-m", "venv"], ["-m", "pip"]]
    assert "://" not in str(commands)  # pip knows itself where packages are


def test_a_machine_without_uv_and_pip_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "", "no module named ensurepip\n")

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(
        receive.Refused, match="has no uv, and pip could not bring it: no module named ensurepip"
    ) as raised:
        receive.find_uv(str(tmp_path))
    assert raised.value.hint == "install uv there, or python3-venv"
