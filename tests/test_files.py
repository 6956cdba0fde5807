from __future__ import annotations

import errno
import os
import shutil
import signal
import stat
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from launchbay import files
from launchbay.errors import StateError, UserError
from launchbay.files import (
    discard,
    explain_os_error,
    locked,
    read_json,
    remove_temporaries,
    remove_tree,
    sha256_file,
    write_atomic,
    write_json,
)

HOLD = """
import sys
from pathlib import Path
from launchbay.files import locked
with locked(Path(sys.argv[1]), shared="shared" in sys.argv):
    print("held", flush=True)
    sys.stdin.read()
"""

NOBODY = 65534


class Killed(BaseException):
    """What a kill is to the code that it hits: nothing after it happens."""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- writing ---


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "file"
    write_atomic(path, b"old")
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert names(path.parent) == ["file"]


def test_a_folder_that_cannot_be_made_is_named() -> None:
    path = Path("/proc/nope/locks/x.lock")
    with pytest.raises(UserError, match="cannot be made") as caught, locked(path):
        pass
    assert caught.value.where == "/proc/nope/locks"
    with pytest.raises(UserError, match="cannot be made"):
        write_atomic(path, b"")


@pytest.mark.parametrize("instant", ["open", "replace"])
def test_killed_while_writing_the_old_file_is_still_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, instant: str
) -> None:
    path = tmp_path / "file"
    write_atomic(path, b"old")
    if instant == "open":  # the disk fills up after some bytes

        def open_and_break(descriptor: int, mode: str) -> object:
            with os.fdopen(descriptor, mode) as file:
                file.write(b"ne")
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr("launchbay.files.open", open_and_break, raising=False)
        expected: type[BaseException] = OSError
    else:

        def killed(self: Path, target: Path) -> None:
            assert self.read_bytes() == b"new", "what is renamed into place must be complete"
            assert target.read_bytes() == b"old"
            raise Killed

        monkeypatch.setattr(Path, "replace", killed)
        expected = Killed
    with pytest.raises(expected):
        write_atomic(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_what_was_left_by_one_who_was_killed_goes_and_what_somebody_writes_stays(tmp_path: Path) -> None:
    with subprocess.Popen(["true"]) as dead:
        dead.wait()
    mine = [f".record.json.{os.getpid()}.tmp", ".notes.tmp", "record.json"]
    for name in [*mine, f".record.json.{dead.pid}.tmp"]:
        (tmp_path / name).touch()
    remove_temporaries(tmp_path)
    assert names(tmp_path) == sorted(mine)


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomic(path, b"0" * 3_000_000)
    code = (
        "import sys; from pathlib import Path; from launchbay.files import write_atomic\n"
        "for n in range(60): write_atomic(Path(sys.argv[1]), str(n % 10).encode() * 3_000_000)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(path)]) as writer:
        seen = set()
        while writer.poll() is None:
            data = path.read_bytes()
            seen.add((len(data), len(set(data))))
    assert writer.returncode == 0
    assert seen == {(3_000_000, 1)}


def test_a_durable_write_is_on_the_disk_before_it_has_its_name(tmp_path: Path, disk_steps: list[str]) -> None:
    write_atomic(tmp_path / "file", b"data", durable=True)
    assert disk_steps == ["file", "rename", "folder"]


# --- records ---


def test_equal_records_are_equal_files(tmp_path: Path) -> None:
    write_json(tmp_path / "a", {"b": 1, "a": {"y": None, "x": "µ"}})
    write_json(tmp_path / "b", {"a": {"x": "µ", "y": None}, "b": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert read_json(tmp_path / "a") == {"a": {"x": "µ", "y": None}, "b": 1}


def test_any_path_can_be_written_and_comes_back(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9-\xc2\xb5.csv")  # Latin-1 and UTF-8
    write_json(tmp_path / "record.json", {name: name})
    assert read_json(tmp_path / "record.json") == {name: name}


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b"[]", b"null", b'"text"', b'{"a": 1}{'])
def test_a_damaged_record_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "record.json"
    path.write_bytes(content)
    with pytest.raises(StateError, match="record is damaged") as caught:
        read_json(path)
    assert caught.value.where == str(path)
    assert caught.value.hint


def test_a_record_that_is_not_there_is_not_damaged(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "record.json")


def test_a_file_is_hashed(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc" * 100_000)
    expected = subprocess.run(["sha256sum", tmp_path / "file"], capture_output=True, text=True, check=True)
    assert sha256_file(tmp_path / "file") == expected.stdout.split()[0]


# --- locks ---


@pytest.fixture
def hold(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Hold the lock in another process."""
    started: list[subprocess.Popen[str]] = []

    def start(*words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", HOLD, str(tmp_path / "lock"), *words]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def got(path: Path, *, shared: bool = False) -> bool:
    with locked(path, wait=False, shared=shared) as is_got:
        return is_got


def test_a_lock_excludes_other_processes(tmp_path: Path, hold: Callable[..., subprocess.Popen[str]]) -> None:
    hold()
    assert not got(tmp_path / "lock")
    assert not got(tmp_path / "lock", shared=True)


def test_sharers_exclude_only_who_wants_it_alone(tmp_path: Path, hold: Callable[..., subprocess.Popen[str]]) -> None:
    hold("shared")
    assert got(tmp_path / "lock", shared=True)
    assert not got(tmp_path / "lock")


def test_one_process_excludes_itself(tmp_path: Path) -> None:
    with locked(tmp_path / "lock"):
        assert not got(tmp_path / "lock")
    assert got(tmp_path / "lock")


def test_a_killed_holder_frees_the_lock(tmp_path: Path, hold: Callable[..., subprocess.Popen[str]]) -> None:
    holder = hold()
    holder.kill()
    with locked(tmp_path / "lock") as is_got:  # waits until the kernel has dropped it
        assert is_got
    assert holder.wait() == -signal.SIGKILL


def test_an_error_inside_frees_the_lock(tmp_path: Path) -> None:
    with pytest.raises(Killed), locked(tmp_path / "deep" / "lock"):
        raise Killed
    assert got(tmp_path / "deep" / "lock")


@pytest.mark.parametrize("inherit", [True, False])
def test_children_hold_a_lock_only_when_told(tmp_path: Path, inherit: bool) -> None:  # noqa: FBT001
    with locked(tmp_path / "lock", inherit=inherit):
        child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, close_fds=False)
    assert got(tmp_path / "lock") is not inherit
    child.communicate()
    assert got(tmp_path / "lock")


# --- removing ---


def make_sealed(folder: Path) -> Path:
    """Make a tree that is sealed as an image is: nothing in it can be written."""
    (folder / "env" / "lib").mkdir(parents=True)
    (folder / "env" / "lib" / "module.py").write_text("x = 1")
    (folder / "env" / "link").symlink_to("lib")
    (folder / "outside").symlink_to(folder.parent / "precious")
    for parent, _, found in os.walk(folder, topdown=False):
        for name in found:
            if not os.path.islink(os.path.join(parent, name)):
                os.chmod(os.path.join(parent, name), 0o444)
        os.chmod(parent, 0o555)
    return folder


def as_nobody(folder: Path, act: Callable[[], None]) -> None:
    """Do it in a child without root's privileges, to which permissions mean something; `folder` is made its own."""
    if os.geteuid() != 0:
        act()
        return
    for parent, folders, found in os.walk(folder):
        for name in (*folders, *found):
            os.lchown(os.path.join(parent, name), NOBODY, NOBODY)
    os.chown(folder, NOBODY, NOBODY)
    mine = [path for path in folder.parents if path.stat().st_uid == 0 and not path.stat().st_mode & stat.S_IXOTH]
    for path in mine:
        path.chmod(path.stat().st_mode | stat.S_IXOTH)  # pytest's own folders above are for root only
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            act()
            code = 0
        except BaseException:  # noqa: BLE001 - whatever it is, the parent has to see that it failed
            traceback.print_exc()
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_sealed_folder_really_is_sealed(tmp_path: Path) -> None:
    image = make_sealed(tmp_path / "image")

    def try_it() -> None:
        for path in (image / "env" / "lib" / "module.py", image / "env" / "new"):
            with pytest.raises(PermissionError):
                path.write_text("x = 2")

    as_nobody(tmp_path, try_it)


def test_a_sealed_folder_is_removed_and_nothing_beyond_its_links(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "data").write_text("keep")
    image = make_sealed(tmp_path / "image")
    as_nobody(tmp_path, lambda: remove_tree(image))
    assert names(tmp_path) == ["precious"]
    assert names(tmp_path / "precious") == ["data"]


def test_a_sealed_folder_is_discarded(tmp_path: Path) -> None:
    image = make_sealed(tmp_path / "images" / "image")
    (tmp_path / "trash").mkdir()
    as_nobody(tmp_path, lambda: discard(image, tmp_path / "trash"))
    assert names(tmp_path / "images") == []
    assert names(tmp_path / "trash") == []


def test_files_links_and_nothing_are_removed_too(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (tmp_path / "link").symlink_to(target)
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    for name in ("link", "broken", "file", "nothing"):
        remove_tree(tmp_path / name)
    assert names(tmp_path) == ["target"]


def test_discarding_is_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, trash = tmp_path / "folder", tmp_path / "trash"
    folder.mkdir()
    for name in "abc":
        (folder / name).touch()
    inode = folder.stat().st_ino

    def removing(path: Path) -> None:
        if path.exists():
            raise Killed

    monkeypatch.setattr(files, "remove_tree", removing)
    with pytest.raises(Killed):
        discard(folder, trash)
    assert not folder.exists()
    [thrown] = trash.iterdir()
    assert (thrown.stat().st_ino, names(thrown)) == (inode, ["a", "b", "c"])


def test_discarding_what_is_gone_already_is_fine(tmp_path: Path) -> None:
    discard(tmp_path / "nothing", tmp_path / "trash")
    assert names(tmp_path / "trash") == []


def test_discarding_again_after_a_kill_clears_what_was_left(tmp_path: Path) -> None:
    (tmp_path / "trash" / f"folder.{os.getpid()}" / "left").mkdir(parents=True)
    (tmp_path / "folder").mkdir()
    discard(tmp_path / "folder", tmp_path / "trash")
    assert names(tmp_path) == ["trash"]
    assert names(tmp_path / "trash") == []


# --- what the system refuses ---


@pytest.mark.parametrize(
    ("number", "what", "hint"),
    [
        (errno.ENOSPC, "the disk is full while building tiny; nothing half-made was left", "free some space"),
        (errno.EDQUOT, "the disk is full while building tiny; nothing half-made was left", "free some space"),
        (errno.EACCES, "no permission while building tiny", "see who owns it; LAUNCHBAY_HOME chooses another home"),
        (errno.EROFS, "no permission while building tiny", "see who owns it; LAUNCHBAY_HOME chooses another home"),
        (errno.EIO, "Input/output error while building tiny", ""),
    ],
)
def test_the_systems_refusal_says_what_next(number: int, what: str, hint: str) -> None:
    error = explain_os_error(OSError(number, os.strerror(number), "/data/file"), "building tiny")
    assert error.what == what
    assert error.where == "/data/file"
    assert error.hint.startswith(hint)


def test_a_copy_that_fills_the_disk_is_told_as_what_it_is() -> None:
    full = shutil.Error([("a", "b", "[Errno 28] No space left on device: 'b'")])
    assert "the disk is full while starting train.py" in explain_os_error(full, "starting train.py").what
    other = shutil.Error([("a", "b", "[Errno 13] Permission denied: 'a'")])
    assert explain_os_error(other, "starting train.py").what.startswith("cannot copy while starting train.py")
