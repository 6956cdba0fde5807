"""The way to a local instance, with real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from launchbay.errors import NotFound, UsageError, UserError
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


def test_an_interrupt_just_when_a_command_ends_does_not_lose_its_code(transport: LocalTransport) -> None:
    before = signal.getsignal(signal.SIGINT)
    codes = {transport.attach(["sh", "-c", "kill -INT $PPID; exit 7"]) for _ in range(60)}
    assert codes == {7}
    assert signal.getsignal(signal.SIGINT) == before
    with ThreadPoolExecutor() as pool:
        assert pool.submit(transport.attach, ["sh", "-c", "exit 7"]).result() == 7


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


def test_a_working_folder_that_is_gone_is_named(transport: LocalTransport, work: Path) -> None:
    work.rmdir()
    for call in (transport.run, transport.attach):
        for command in ("true", "./run"):
            with pytest.raises(NotFound, match="working folder is gone") as caught:
                call([command])
            assert (caught.value.where, f"mkdir {work}" in caught.value.hint) == (str(work), True)
    with pytest.raises(NotFound, match="working folder is gone"):
        transport.put(__file__, ".")
    assert not work.exists()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("echo no first line\n", "names its interpreter"),
        ("#!/no/such/shell\n", "is missing"),
        ("\x7fELF", "no program"),
    ],
)
def test_a_program_that_cannot_be_executed_is_named(transport: LocalTransport, work: Path, text: str, why: str) -> None:
    (work / "run").write_text(text, encoding="utf-8")
    (work / "run").chmod(0o755)
    for call in (transport.run, transport.attach):
        with pytest.raises(UserError, match=rf"^\./run cannot be executed: .*{why}") as caught:
            call(["./run"])
        assert caught.value.where == f"{work}/./run"


def test_arguments_beyond_all_measure_are_an_error(transport: LocalTransport) -> None:
    for call in (transport.run, transport.attach):
        with pytest.raises(UserError, match="while starting true"):
            call(["true", "x" * (1 << 20)])


def test_only_a_python_has_to_be_the_instances_own(transport: LocalTransport, tmp_path: Path) -> None:
    for folder in ("mine/bin", "machine"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("python", "python3", "python3.11", "python3-config", "pythonic"):
        (tmp_path / "machine" / name).write_text("#!/bin/sh\necho of the machine\n", encoding="utf-8")
        (tmp_path / "machine" / name).chmod(0o755)
    mine = tmp_path / "mine"
    environment = {"PATH": f"{mine}/bin:{tmp_path}/machine", "VIRTUAL_ENV": str(mine)}
    inside = LocalTransport(environment=environment, folder=transport.folder)
    for name in ("python", "python3", "python3.11"):
        with pytest.raises(NotFound, match="instance's own"):
            inside.run([name])
    for name in ("python3-config", "pythonic"):
        assert inside.run([name]).stdout == b"of the machine\n"


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


def test_what_is_no_file_is_named(transport: LocalTransport, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    os.mkfifo(folder / "pipe")
    (folder / "file").write_text("x", encoding="utf-8")
    for source in (folder, folder / "pipe"):
        with pytest.raises(UserError, match=r"cannot copy: .*pipe. is a named pipe") as caught:
            transport.put(str(source), "copy")
        assert caught.value.where == str(folder / "pipe")
    transport.put(str(folder / "file"), "file")
    with pytest.raises(UserError, match="are the same file"):
        transport.put(f"{transport.folder}/file", "file")


@pytest.fixture
def inside(tmp_path: Path) -> LocalTransport:
    """Return the way to an instance with a name, a home and a layer."""
    for folder in ("home", "work", "env"):
        (tmp_path / "root" / folder).mkdir(parents=True)
    root = tmp_path / "root"
    environment = {"HOME": f"{root}/home", "VIRTUAL_ENV": f"{root}/env", "LAUNCHBAY_INSTANCE_NAME": "exp-1"}
    return LocalTransport(environment=environment, folder=f"{root}/work")


def test_a_path_starts_in_the_working_folder_or_in_the_home(inside: LocalTransport, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in ("a", "~/b", "~", "../env/c", "~/.config/d/", f"{tmp_path}/root/work/e"):
        inside.put(str(tmp_path / "file"), path)
    made = sorted(str(path.relative_to(tmp_path / "root")) for path in tmp_path.glob("root/**/*") if path.is_file())
    assert made == ["env/c", "home/.config/d/file", "home/b", "home/file", "work/a", "work/e"]
    inside.get("~/b", str(tmp_path / "back"))
    assert (tmp_path / "back").exists()


@pytest.mark.parametrize("path", ["{}/x", "../../x", "../record.json", "..", "~/../x", "{}/root/workshop", "/"])
def test_the_machine_is_not_the_instance(inside: LocalTransport, tmp_path: Path, path: str) -> None:
    (tmp_path / "file").touch()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError, match="does not lie in the instance"):
        inside.put(str(tmp_path / "file"), path.format(tmp_path))
    with pytest.raises(UsageError, match="does not lie in the instance"):
        inside.get(path.format(tmp_path), str(tmp_path / "got"))
    assert sorted(tmp_path.rglob("*")) == before


def test_an_error_names_paths_as_they_are_typed(inside: LocalTransport, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"^there is no exp-1:deep/none$"):
        inside.get("deep/none", str(tmp_path / "x"))
    with pytest.raises(NotFound, match=r"^there is no exp-1:~/none$"):
        inside.get("~/none", str(tmp_path / "x"))
    os.mkfifo(f"{inside.folder}/pipe")
    with pytest.raises(UserError, match=r"`exp-1:pipe` is a named pipe \(exp-1:pipe\)"):
        inside.get("pipe", str(tmp_path / "x"))


def test_a_folder_is_not_copied_into_itself(transport: LocalTransport, work: Path, tmp_path: Path) -> None:
    (work / "a").mkdir()
    with pytest.raises(UsageError, match="cannot be copied into itself"):
        transport.put(str(tmp_path), "copy")
    with pytest.raises(UsageError, match="cannot be copied into itself"):
        transport.get("a", str(work / "a" / "b"))
    assert sorted(path.name for path in work.rglob("*")) == ["a"]
    transport.put(str(work / "a"), "ab")  # a name that only begins alike is another folder
    assert (work / "ab").is_dir()
