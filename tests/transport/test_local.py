"""The way to a local instance, with real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from launchbay.errors import NotFound, UserError
from launchbay.transport.base import Completed
from launchbay.transport.local import LocalTransport


@pytest.fixture
def transport(tmp_path: Path) -> LocalTransport:
    work = tmp_path / "work"
    work.mkdir()
    return LocalTransport(environment={"PATH": os.environ["PATH"], "MARK": "here"}, folder=str(work))


@pytest.fixture
def work(transport: LocalTransport) -> Path:
    return Path(transport.folder)


def test_a_command_gets_its_input_its_variables_and_its_folder(transport: LocalTransport, work: Path) -> None:
    done = transport.run(["sh", "-c", "cat; echo $MARK; pwd; echo bad >&2; env | grep -c . "], data=b"in\n")
    assert done.stdout.decode().split()[:3] == ["in", "here", str(work)]
    assert int(done.stdout.split()[3]) < 8  # nothing of ours: PATH, MARK, and what the shell itself sets
    assert (done.stderr, done.code) == (b"bad\n", 0)


@pytest.mark.parametrize(("command", "code"), [("exit 3", 3), ("kill -9 $$", -9), ("true", 0)])
def test_the_code_is_passed_on(transport: LocalTransport, command: str, code: int) -> None:
    assert transport.run(["sh", "-c", command]).code == code
    assert transport.attach(["sh", "-c", command]) == (code if code >= 0 else 128 - code)


def test_a_command_that_is_missing_is_named(transport: LocalTransport) -> None:
    for call in (transport.run, transport.attach):
        with pytest.raises(NotFound, match="the instance has no command 'no-such'"):
            call(["no-such", "x"])


def test_the_program_is_looked_for_on_the_instances_path(transport: LocalTransport, tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    tool = folder / "only-there"
    tool.write_text("#!/bin/sh\necho found\n", encoding="utf-8")
    tool.chmod(0o755)
    there = LocalTransport(environment={"PATH": f"{folder}:/bin:/usr/bin"}, folder=transport.folder)
    assert there.run(["only-there"]).stdout == b"found\n"
    with pytest.raises(NotFound):
        transport.run(["only-there"])


def test_a_relative_program_lies_in_the_working_folder(
    transport: LocalTransport, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, word in ((work, "instance"), (tmp_path, "ours")):
        script = folder / "run.sh"
        script.write_text(f"#!/bin/sh\necho {word}\n", encoding="utf-8")
        script.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    assert transport.run(["./run.sh"]).stdout == b"instance\n"
    (work / "run.sh").unlink()
    with pytest.raises(NotFound):
        transport.run(["./run.sh"])


def test_no_answer_in_time_is_an_error_and_ends_the_command(transport: LocalTransport, work: Path) -> None:
    with pytest.raises(UserError, match="gave no answer within"):
        transport.run(["sh", "-c", "echo $$ > pid; exec sleep 600"], timeout=0.3)
    assert not Path(f"/proc/{(work / 'pid').read_text().strip()}").exists()


def test_a_started_program_answers_and_outlives_its_starter(transport: LocalTransport, work: Path) -> None:
    code = (
        "import os, sys, time; print(sys.stdin.read(), os.environ['MARK'], os.environ['MORE'], flush=True);"
        " sys.stderr.write('words'); sys.stderr.flush(); time.sleep(600)"
    )
    starter = (
        "import sys; from launchbay.transport.local import LocalTransport;"
        f"t = LocalTransport(environment={dict(transport.environment)!r}, folder={transport.folder!r});"
        f"print(t.start([sys.executable, '-c', {code!r}], data=b'hello', errors={str(work / 'errors')!r},"
        " variables={'MORE': 'too'}));"
        f"import os; print(open('/proc/%d/task/%d/children' % (os.getpid(), os.getpid())).read())"
    )
    done = subprocess.run([sys.executable, "-c", starter], capture_output=True, text=True, check=True)
    answer, pid = done.stdout.split("\n")[:2]
    assert answer == "Completed(code=0, stdout=b'hello here too\\n', stderr=b'')"
    try:
        assert Path(f"/proc/{int(pid)}/exe").exists()
        assert os.getsid(int(pid)) == int(pid)
        assert wait_for(work / "errors", "words")
    finally:
        os.kill(int(pid), signal.SIGKILL)


def wait_for(path: Path, text: str) -> bool:
    until = time.monotonic() + 5
    while time.monotonic() < until:
        if path.read_text(encoding="utf-8") == text:
            return True
        time.sleep(0.01)
    return False


@pytest.mark.parametrize(("command", "code"), [("exit 1", 1), ("exit 0", 0), ("kill -9 $$", -9)])
def test_a_program_that_dies_first_has_its_own_code(
    transport: LocalTransport, work: Path, command: str, code: int
) -> None:
    errors = str(work / "errors")
    done = transport.start(["sh", "-c", f"echo why >&2; {command}"], data=b"x" * 100_000, errors=errors, variables={})
    assert done == Completed(code=code, stdout=b"", stderr=b"")
    assert (work / "errors").read_bytes() == b"why\n"


def test_one_that_closes_its_output_and_lives_on_is_ended(
    transport: LocalTransport, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("launchbay.transport.local._PATIENCE_S", 0.2)
    command = ["sh", "-c", "echo $$ > pid; exec sleep 600 >&-"]
    assert transport.start(command, data=b"", errors=str(work / "errors"), variables={}).code == -9
    assert not Path(f"/proc/{(work / 'pid').read_text().strip()}").exists()


def test_files_and_folders_go_both_ways(transport: LocalTransport, work: Path, tmp_path: Path) -> None:
    ours = tmp_path / "ours"
    (ours / "inner").mkdir(parents=True)
    (ours / "inner" / "a.txt").write_text("a", encoding="utf-8")
    (ours / "link").symlink_to("inner/a.txt")
    script = ours / "run.sh"
    script.write_text("", encoding="utf-8")
    script.chmod(0o755)

    transport.put(str(ours / "inner" / "a.txt"), "b.txt")
    transport.put(str(ours / "inner" / "a.txt"), "deep/er/c.txt")
    transport.put(str(ours / "inner" / "a.txt"), "into/")
    transport.put(str(ours), ".")
    transport.put(str(ours) + "/", "other")
    assert sorted(str(path.relative_to(work)) for path in work.rglob("*") if not path.is_dir()) == [
        "b.txt",
        "deep/er/c.txt",
        "into/a.txt",
        *(f"{folder}/{name}" for folder in ("other", "ours") for name in ("inner/a.txt", "link", "run.sh")),
    ]
    assert os.readlink(work / "ours" / "link") == "inner/a.txt"
    assert os.access(work / "ours" / "run.sh", os.X_OK)

    transport.get("ours", str(tmp_path / "back"))
    transport.get("b.txt", str(tmp_path))
    assert (tmp_path / "back" / "inner" / "a.txt").read_text(encoding="utf-8") == "a"
    assert (tmp_path / "b.txt").read_text(encoding="utf-8") == "a"
    transport.get(str(work / "b.txt"), str(tmp_path / "absolute"))
    assert (tmp_path / "absolute").read_text(encoding="utf-8") == "a"


def test_a_source_that_is_missing_is_named(transport: LocalTransport, work: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=f"there is no {work}/none"):
        transport.get("none", str(tmp_path / "x"))
    with pytest.raises(NotFound, match=f"there is no {tmp_path}/none"):
        transport.put(str(tmp_path / "none"), "x")
    assert list(work.iterdir()) == []


def test_a_copy_that_cannot_be_made_says_why(transport: LocalTransport, work: Path, tmp_path: Path) -> None:
    (work / "file").write_text("", encoding="utf-8")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match="cannot copy"):
        transport.put(str(tmp_path / "folder"), "file/inner")
    with pytest.raises(UserError, match="cannot copy"):
        transport.put(str(tmp_path / "folder"), "file")
