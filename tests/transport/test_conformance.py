"""What every way to an instance does alike: the same assertions over child processes and over SSH."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from launchbay.errors import NotFound, UserError
from launchbay.transport.base import Completed
from tests.transport.conftest import Way, wait_for


def test_a_command_gets_its_input_its_variables_and_its_folder(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_OURS", "ours")
    done = way.transport.run(["sh", "-c", "cat; echo $MARK; pwd; echo bad >&2; env"], data=b"in\n")
    assert done.stdout.decode().split()[:3] == ["in", "here", way.folder]
    assert b"ours" not in done.stdout
    assert (done.stderr, done.code) == (b"bad\n", 0)


@pytest.mark.parametrize(("command", "code"), [("exit 3", 3), ("kill -9 $$", -9), ("kill $$", -15), ("true", 0)])
def test_the_code_is_passed_on(way: Way, command: str, code: int) -> None:
    assert way.transport.run(["sh", "-c", command]).code == code


@pytest.mark.parametrize(("command", "code"), [("exit 3", 3), ("kill -9 $$", 137)])
def test_the_code_of_a_command_on_the_terminal_too(way: Way, command: str, code: int) -> None:
    assert way.transport.attach(["sh", "-c", command]) == code


def test_values_and_words_come_as_they_are(way: Way) -> None:
    odd = 'it\'s "$HOME" `id` \\n %s !x\nand ä\tmore; exit 9 #'
    there = way.make(folder=way.folder, ODD=odd)
    done = there.run(["python3", "-c", ECHO, odd, ""])
    assert done.stdout.decode().split("|") == [odd, odd, ""]


ECHO = "import os, sys; sys.stdout.write('|'.join([os.environ['ODD'], *sys.argv[1:]]))"


def test_much_goes_in_and_out(way: Way) -> None:
    data = os.urandom(6 << 20)
    assert way.transport.run(["cat"], data=data).stdout == data
    done = way.transport.run(["sh", "-c", "exec <&-; head -c 300000 /dev/zero >&2"], data=data)
    assert done == Completed(code=0, stdout=b"", stderr=bytes(300_000))


def test_what_is_missing_is_named(way: Way) -> None:
    for call in (way.transport.run, way.transport.attach):
        with pytest.raises(NotFound, match="the instance has no command 'no-such'"):
            call(["no-such", "x"])
    way.sh("printf '#!/bin/sh\\necho instance\\n' > run.sh; chmod +x run.sh")
    assert way.transport.run(["./run.sh"]).stdout == b"instance\n"
    gone = way.make(folder=f"{way.folder}/gone")
    for call in (gone.run, gone.attach):
        with pytest.raises(NotFound, match="working folder is gone"):
            call(["true"])


def test_a_program_that_cannot_be_executed_is_named(way: Way) -> None:
    way.sh("printf '#!/no/such/shell\\n' > run; chmod +x run")
    with pytest.raises(UserError, match=r"^\./run cannot be executed"):
        way.transport.run(["./run"])
    with pytest.raises(UserError, match=r"^\./run cannot be executed"):
        way.transport.stream(["./run"], out=_ignore, err=_ignore)
    with pytest.raises(UserError, match=r"^\./run cannot be executed"):
        way.transport.start(["./run"], data=b"", errors=f"{way.folder}/errors", variables={})


def test_a_python_must_be_the_instances_own(way: Way) -> None:
    bare = way.make(folder=way.folder, VIRTUAL_ENV=f"{way.folder}/env", PATH=f"{way.folder}/env/bin:/usr/bin:/bin")
    with pytest.raises(NotFound, match="instance's own python"):
        bare.run(["python3", "-V"])
    way.sh("mkdir -p env/bin; printf '#!/bin/sh\\necho own\\n' > env/bin/python3; chmod +x env/bin/python3")
    assert bare.run(["python3", "-V"]).stdout == b"own\n"


def test_no_answer_in_time_is_an_error_and_ends_the_command(way: Way) -> None:
    with pytest.raises(UserError, match="gave no answer within"):
        way.transport.run(["sh", "-c", "echo $$ > pid; exec sleep 600"], timeout=0.5)
    wait_for(lambda: way.transport.run(["sh", "-c", "test -d /proc/$(cat pid)"]).code)


def _ignore(_: bytes) -> None:
    """Take what is said."""


def test_an_interrupt_ends_the_command(way: Way) -> None:
    threading.Timer(0.4, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        way.transport.stream(["sh", "-c", "echo $$ > pid; exec sleep 600"], out=_ignore, err=_ignore)
    assert way.transport.run(["sh", "-c", "test -d /proc/$(cat pid)"]).code


def test_a_started_program_answers_and_goes_on(way: Way) -> None:
    starter = way.make(folder=way.folder, MARK="here", LAUNCHBAY_RUN="r1")
    code = 'read a; echo "$a $MARK $MORE $LAUNCHBAY_RUN"; echo why >&2; echo $$ > pid; exec sleep 600'
    done = starter.start(["sh", "-c", code], data=b"hello\n", errors=f"{way.folder}/errors", variables={"MORE": "too"})
    assert done == Completed(code=0, stdout=b"hello here too \n", stderr=b"")
    starter.close()
    wait_for(lambda: way.sh("cat errors; cat pid || true").split()[:1] == ["why"])
    wait_for(lambda: way.sh("cat pid || true"))
    assert way.sh("p=$(cat pid); cut -d' ' -f6 /proc/$p/stat") == way.sh("cat pid")  # it leads its session
    assert way.sh("tr '\\0' ' ' < /proc/$(cat pid)/cmdline") == "sleep 600 "
    way.sh("kill -9 $(cat pid)")


@pytest.mark.parametrize(("command", "code"), [("exit 1", 1), ("exit 0", 0), ("kill -9 $$", -9)])
def test_a_program_that_dies_first_has_its_own_code(way: Way, command: str, code: int) -> None:
    errors = f"{way.folder}/errors"
    done = way.transport.start(["sh", "-c", f"echo why >&2; {command}"], data=b"x\n", errors=errors, variables={})
    assert done == Completed(code=code, stdout=b"", stderr=b"")
    assert way.sh("cat errors") == "why\n"


def test_one_that_closes_its_output_and_lives_on_is_ended(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("launchbay.transport.local._PATIENCE_S", 0.2)
    monkeypatch.setattr("launchbay.transport.channel._PATIENCE_S", 0.2)
    command = ["sh", "-c", "echo $$ > pid; exec sleep 600 >&-"]
    assert way.transport.start(command, data=b"", errors=f"{way.folder}/errors", variables={}).code == -9
    assert way.transport.run(["sh", "-c", "test -d /proc/$(cat pid)"]).code


def test_what_is_said_is_passed_on_as_it_comes(way: Way) -> None:
    said: list[tuple[str, bytes, int]] = []

    def out(part: bytes) -> None:
        said.append(("out", part, threading.get_ident()))
        if part == b"first\n":
            way.sh("touch go")

    code = "read a; echo first; while ! test -e go; do sleep 0.02; done; echo $a >&2; exit 4"
    err = lambda part: said.append(("err", part, threading.get_ident()))  # noqa: E731
    assert way.transport.stream(["sh", "-c", code], data=b"second\n", out=out, err=err) == 4
    mine = threading.get_ident()
    assert said == [("out", b"first\n", mine), ("err", b"second\n", mine)]


def test_one_whose_words_are_not_wanted_any_more_is_asked_to_end(way: Way) -> None:
    def out(_: bytes) -> None:
        raise RuntimeError("enough")

    code = "trap 'echo asked > asked; exit 0' TERM; echo $$ > pid; echo x; while :; do sleep 0.02; done"
    with pytest.raises(RuntimeError, match="enough"):
        way.transport.stream(["sh", "-c", code], out=out, err=out)
    assert way.sh("cat asked") == "asked\n"
    assert way.transport.run(["sh", "-c", "test -d /proc/$(cat pid)"]).code


def test_files_and_folders_go_both_ways(way: Way, tmp_path: Path) -> None:
    ours = tmp_path / "ours"
    (ours / "inner").mkdir(parents=True)
    (ours / "inner" / "a.txt").write_text("a")
    os.utime(ours / "inner" / "a.txt", (1_000_000_000, 1_000_000_000))
    (ours / "link").symlink_to("inner/a.txt")
    (ours / "out").symlink_to("/etc/passwd")
    (ours / "away").symlink_to("/etc")
    Path(os.fsdecode(os.fsencode(ours) + b"/odd\xff")).write_text("x")
    (ours / "run.sh").write_text("")
    (ours / "run.sh").chmod(0o750)

    way.transport.put(str(ours / "inner" / "a.txt"), "b.txt")
    way.transport.put(str(ours / "link"), "followed")
    way.transport.put(str(ours / "inner" / "a.txt"), "deep/er/c.txt")
    way.transport.put(str(ours / "inner" / "a.txt"), "into/")
    way.transport.put(str(ours), ".")
    way.transport.put(f"{ours}/", "other")
    there = os.fsdecode(way.transport.run(["find", ".", "!", "-type", "d"]).stdout).split()
    names = ("away", "inner/a.txt", "link", "odd\udcff", "out", "run.sh")
    assert sorted(there) == sorted(
        [
            "./b.txt",
            "./deep/er/c.txt",
            "./followed",
            "./into/a.txt",
            *(f"./{folder}/{name}" for folder in ("other", "ours") for name in names),
        ]
    )
    assert way.sh("stat -c '%F' followed").strip() == "regular file"
    assert way.sh("readlink ours/link ours/out ours/away").split() == ["inner/a.txt", "/etc/passwd", "/etc"]
    assert way.sh("stat -c '%a' ours/run.sh; stat -c %Y b.txt ours/inner/a.txt").split() == [
        "750",
        "1000000000",
        "1000000000",
    ]

    way.transport.get("ours", str(tmp_path / "back"))
    way.transport.get("b.txt", str(tmp_path))
    assert (tmp_path / "b.txt").read_text() == "a"
    assert os.readlink(tmp_path / "back" / "away") == "/etc"
    found = [path for path in (tmp_path / "back").rglob("*") if not path.is_dir() or path.is_symlink()]
    assert sorted(str(path.relative_to(tmp_path / "back")) for path in found) == sorted(names)
    assert (tmp_path / "back" / "run.sh").stat().st_mode & 0o777 == 0o750
    assert (tmp_path / "back" / "inner" / "a.txt").stat().st_mtime == 1_000_000_000


def test_a_source_that_is_missing_is_named(way: Way, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=f"there is no {way.folder}/none"):
        way.transport.get("none", str(tmp_path / "x"))
    with pytest.raises(NotFound, match=f"there is no {tmp_path}/none"):
        way.transport.put(str(tmp_path / "none"), "x")
    assert way.sh("ls") == ""
    assert not (tmp_path / "x").exists()


def test_a_copy_that_cannot_be_made_says_why(way: Way, tmp_path: Path) -> None:
    way.sh("touch file")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match="cannot copy"):
        way.transport.put(str(tmp_path / "folder"), "file/inner")
    with pytest.raises(UserError, match="cannot copy"):
        way.transport.put(str(tmp_path / "folder"), "file")


def test_what_is_no_file_is_named(way: Way, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    os.mkfifo(folder / "pipe")
    for source in (folder, folder / "pipe"):
        with pytest.raises(UserError, match=r"cannot copy: .*pipe. is a named pipe"):
            way.transport.put(str(source), "copy")
    way.sh("mkdir -p theirs; mkfifo theirs/pipe")
    with pytest.raises(UserError, match=r"cannot copy: .*pipe. is a named pipe"):
        way.transport.get("theirs", str(tmp_path / "theirs"))
