from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from launchbay.errors import LaunchbayError, StateError, UserError
from launchbay.files import locked
from launchbay.store import journal as journal_module
from launchbay.store.journal import SCHEMA_VERSION, Journal, open_journal
from launchbay.testing import VirtualClock

WRITE = """
import sys
from pathlib import Path
from launchbay.ports import SystemClock
from launchbay.store.journal import open_journal
for number in range(int(sys.argv[3])):
    with open_journal(Path(sys.argv[1]), SystemClock(), sys.exit) as journal:
        operation = journal.begin("launch", sys.argv[2], {"number": number})
        with journal.step(operation, "create"):
            pass
        journal.end(operation, "done")
"""

DIE = """
import os, signal, sys
from pathlib import Path
from launchbay.ports import SystemClock
from launchbay.store.journal import open_journal
with open_journal(Path(sys.argv[1]), SystemClock(), sys.exit) as journal:
    operation = journal.begin("launch", "exp", {"ids": {"exp-1": "i-1"}})
    with journal.step(operation, "create", names=["exp-1"]):
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "state.db"


def opened(
    path: Path, notes: list[str] | None = None, *, frees: bool = False
) -> contextlib.AbstractContextManager[Journal]:
    return open_journal(path, VirtualClock(), ([] if notes is None else notes).append, frees=frees)


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    with opened(path) as journal:
        yield journal


def kinds(journal: Journal, subject: str | None = None) -> list[tuple[str, str]]:
    return [(kind, step) for _, _, _, kind, step in journal.entries(subject)]


# --- what is written, and when ---


def test_an_intent_is_written_before_the_act_and_the_result_after(journal: Journal) -> None:
    operation = journal.begin("launch", "exp", {"count": 2})
    with journal.step(operation, "create", names=["exp-1"]) as result:
        assert kinds(journal) == [("begin", ""), ("intent", "create")]
        result["created"] = ["exp-1"]
    journal.end(operation, "done")
    assert kinds(journal) == [("begin", ""), ("intent", "create"), ("result", "create"), ("end", "")]
    details = [row[0] for row in journal.connection.execute("SELECT detail FROM journal ORDER BY seq")]
    assert details == ['{"count": 2}', '{"names": ["exp-1"]}', '{"created": ["exp-1"]}', '{"outcome": "done"}']


@pytest.mark.parametrize("error", [UserError("no capacity"), OSError(28, "No space left on device")])
def test_a_step_that_fails_is_written_too(journal: Journal, error: Exception) -> None:
    operation = journal.begin("launch", "exp", {})
    with pytest.raises(type(error)), journal.step(operation, "create"):
        raise error
    assert kinds(journal)[1:] == [("intent", "create"), ("failed", "create")]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_what_nobody_foresaw_leaves_the_intent_alone(journal: Journal, error: type[BaseException]) -> None:
    operation = journal.begin("launch", "exp", {})
    with pytest.raises(error), journal.step(operation, "create"):
        raise error
    assert kinds(journal)[1:] == [("intent", "create")]


def test_only_what_never_ended_is_unfinished(journal: Journal) -> None:
    first = journal.begin("launch", "a", {"n": 1})
    second = journal.begin("launch", "b", {"n": 2})
    third = journal.begin("launch", "b", {"n": 3})
    journal.begin("image build", "b", {})
    journal.end(second, "done")
    assert [(item.id, item.subject, item.wish) for item in journal.unfinished("launch")] == [
        (first.id, "a", {"n": 1}),
        (third.id, "b", {"n": 3}),
    ]
    assert [item.id for item in journal.unfinished("launch", "b")] == [third.id]
    journal.end(third, "failed")
    assert journal.unfinished("launch", "b") == []


def test_what_was_ever_asked_for_is_known(journal: Journal) -> None:
    journal.end(journal.begin("launch", "exp", {}), "done")
    assert journal.knows("launch", "exp")
    assert not journal.knows("launch", "other")
    assert not journal.knows("terminate", "exp")
    assert kinds(journal, "other") == []


def test_a_killed_command_is_found_unfinished_with_what_it_meant(path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", DIE, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    notes: list[str] = []
    with opened(path, notes) as journal:
        assert notes == []
        [operation] = journal.unfinished("launch", "exp")
        assert operation.wish == {"ids": {"exp-1": "i-1"}}
        assert kinds(journal) == [("begin", ""), ("intent", "create")]


# --- it stays as it was written ---


@pytest.mark.parametrize("statement", ["UPDATE journal SET kind = 'end'", "DELETE FROM journal"])
def test_nobody_changes_what_was_written(path: Path, journal: Journal, statement: str) -> None:
    journal.begin("launch", "exp", {})
    with contextlib.closing(sqlite3.connect(path)) as other:
        with pytest.raises(sqlite3.IntegrityError, match="the journal is append-only"):
            other.execute(statement)
        other.rollback()
    assert kinds(journal) == [("begin", "")]


def test_an_entry_of_an_unknown_kind_is_refused(journal: Journal) -> None:
    operation = journal.begin("launch", "exp", {})
    with pytest.raises(sqlite3.IntegrityError):
        journal.write(operation, "guess", "", {})


def test_every_write_waits_for_the_disk(journal: Journal) -> None:
    full = 2
    assert journal.connection.execute("PRAGMA synchronous").fetchone() == (full,)
    assert journal.connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_two_processes_write_at_once(path: Path) -> None:
    command = [sys.executable, "-c", WRITE, str(path)]
    each, subjects = 40, ["a", "b"]
    running = [subprocess.Popen([*command, subject, str(each)]) for subject in subjects]
    assert [process.wait() for process in running] == [0, 0]
    with opened(path) as journal:
        for subject in subjects:
            assert (
                kinds(journal, subject)
                == [("begin", ""), ("intent", "create"), ("result", "create"), ("end", "")] * each
            )
        assert journal.unfinished("launch") == []


def test_many_processes_begin_one_journal(path: Path) -> None:
    command = [sys.executable, "-c", WRITE, str(path)]
    running = [subprocess.Popen([*command, str(number), "1"]) for number in range(6)]
    assert [process.wait() for process in running] == [0] * 6
    with opened(path) as journal:
        assert len(journal.entries()) == 6 * 4


# --- lost, damaged, newer ---


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return the bytes of a journal of some size: table and index have several pages, and there are free ones."""
    path = tmp_path_factory.mktemp("good") / "state.db"
    with opened(path) as journal:
        journal.connection.execute("PRAGMA synchronous = OFF")
        for number in range(120):
            operation = journal.begin("launch", f"exp{number}", {"ids": {f"exp{number}-{k}": "i-x" for k in range(4)}})
            with journal.step(operation, "create"):
                pass
            if number % 3:
                journal.end(operation, "done")
        journal.connection.execute("CREATE TABLE gone (text TEXT)")
        journal.connection.execute("INSERT INTO gone VALUES (?)", ("x" * 20_000,))
        journal.connection.commit()
        journal.connection.execute("DROP TABLE gone")
        journal.connection.commit()
        assert journal.connection.execute("PRAGMA freelist_count").fetchone()[0] > 0
    return path.read_bytes()


def use(path: Path) -> tuple[list[str], int]:
    """Do with a journal all that commands do; return its notes and how many entries there were."""
    notes: list[str] = []
    with opened(path, notes) as journal:
        count = len(journal.entries())
        for operation in journal.unfinished("launch"):
            assert operation.wish["ids"]
        journal.knows("launch", "exp1")
        operation = journal.begin("launch", "new", {"ids": {"new-1": "i-1"}})
        with journal.step(operation, "create"):
            pass
        journal.end(operation, "done")
        return notes, count


def pages(content: bytes) -> dict[str, int]:
    """Return where a page of each class begins: schema, interior and leaves of table and index, free."""
    size = int.from_bytes(content[16:18], "big")
    names = {2: "index interior", 5: "table interior", 10: "index leaf", 13: "table leaf"}
    found = {"schema": 0, "free": (int.from_bytes(content[32:36], "big") - 1) * size}
    for start in range(size, len(content), size):
        if content[start] in names and content[start + 5 : start + 7] != b"\0\0":
            found.setdefault(names[content[start]], start)
    return found


def test_the_example_has_pages_of_every_class(good: bytes) -> None:
    assert set(pages(good)) == {"schema", "free", "index interior", "table interior", "index leaf", "table leaf"}


def test_a_sound_journal_is_not_damaged(path: Path, good: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(good)
    assert use(path) == ([], 120 * 3 + 80)


def test_a_lost_journal_is_begun_anew(path: Path) -> None:
    use(path)
    shutil.rmtree(path.parent)
    assert use(path) == ([], 0)


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "garbage": lambda _: random.Random(1).randbytes(40_000),
    "text": lambda _: b"this is no database\n" * 100,
    "cut in a page": lambda good: good[: len(good) // 2 + 100],
    "cut between pages": lambda good: good[: len(good) // 8192 * 4096],
    "first page only": lambda good: good[:4096],
    "header only": lambda good: good[:100],
    "middle zeroed": lambda good: good[:8192] + bytes(len(good) - 8192),
    "version zeroed": lambda good: good[:60] + bytes(4) + good[64:],
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_journal_is_set_aside_and_a_new_one_begun(path: Path, good: bytes, kind: str) -> None:
    path.parent.mkdir()
    bad = DAMAGE[kind](good)
    path.write_bytes(bad)
    notes, count = use(path)
    assert count == 0
    [note] = notes
    assert "it is kept as state.db.damaged-1, and a new one was begun" in note
    assert path.with_name("state.db.damaged-1").read_bytes() == bad
    assert use(path) == ([], 4)  # the new one is sound


def test_an_empty_file_is_a_new_journal(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    assert use(path) == ([], 0)


def test_every_damaged_file_is_kept(path: Path) -> None:
    for number in (1, 2, 3):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"garbage %d" % number * 100)
        use(path)
    kept = sorted(path.parent.glob("state.db.damaged-?"))
    assert [item.read_bytes()[:9] for item in kept] == [b"garbage 1", b"garbage 2", b"garbage 3"]


def test_a_damaged_journal_is_mended_once_whoever_finds_it(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"garbage" * 1000)
    code = WRITE.replace("sys.exit", "str")
    running = [subprocess.Popen([sys.executable, "-c", code, str(path), str(number), "3"]) for number in range(4)]
    assert [process.wait() for process in running] == [0] * 4
    assert [item.name for item in path.parent.glob("*damaged*")] == ["state.db.damaged-1"]
    with opened(path) as journal:
        assert len(journal.entries()) == 4 * 3 * 4, "what one command wrote was set aside by another"


def test_who_finds_damage_waits_for_who_is_mending_it(path: Path, good: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(b"garbage" * 1000)
    lock = path.parent / "locks" / "journal.lock"
    with locked(lock):
        other = subprocess.Popen([sys.executable, "-c", WRITE, str(path), "other", "1"])
        while not is_open(lock, other.pid):
            assert other.poll() is None, "it did not wait"
        path.write_bytes(good)  # mended
    assert other.wait() == 0
    assert list(path.parent.glob("*damaged*")) == []
    assert use(path) == ([], 120 * 3 + 80 + 4)


def is_open(path: Path, pid: int) -> bool:
    with contextlib.suppress(OSError):  # it may end meanwhile
        return any(os.readlink(item) == str(path) for item in Path(f"/proc/{pid}/fd").iterdir())
    return False


def flip(path: Path, good: bytes, position: int, value: int) -> str:
    """Say what comes of one changed byte: fine, set aside, or refused; anything else is raised."""
    for item in path.parent.iterdir():
        if item.is_file():
            item.unlink()
    path.write_bytes(good[:position] + bytes([value]) + good[position + 1 :])
    try:
        notes, _ = use(path)
    except StateError as error:
        return f"refused: {error}"
    return "set aside" if notes else "fine"


def check_flips(folder: Path, good: bytes, positions: list[int], seed: int) -> dict[str, int]:
    draw = random.Random(seed)
    path = folder / "state.db"
    seen: dict[str, int] = {}
    for position in positions:
        value = good[position] ^ (1 << draw.randrange(8))
        what = flip(path, good, position, value)
        # the header holds the schema's version and how the file may be written: nobody can tell such a flip from a wish
        allowed = ("fine", "set aside", *(["refused"] if position < 100 else []))
        assert what.startswith(allowed), f"byte {position} as {value:#x}: {what}"
        seen[what] = seen.get(what, 0) + 1
    return seen


@pytest.fixture
def memory() -> Iterator[Path]:
    """Return a folder in memory: hundreds of journals are opened in it, and each waits for the disk."""
    base = Path("/dev/shm")
    folder = (base if base.is_dir() else Path("/tmp")) / f"launchbay-journal-{os.getpid()}"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("kind", ["schema", "table interior", "table leaf", "index interior", "index leaf", "free"])
def test_a_flipped_bit_is_harmless_or_noticed(memory: Path, good: bytes, kind: str) -> None:
    start = pages(good)[kind]
    positions = [*range(start, start + 16), *range(start + 16, start + 4096, 127)]
    if kind == "schema":
        positions += range(16, 100, 3)
    seen = check_flips(memory, good, positions, seed=3)
    assert seen.get("set aside", 0) > 0 or kind == "free"


@pytest.mark.prove
@pytest.mark.parametrize("seed", range(4))
def test_any_flipped_bit_is_harmless_or_noticed(memory: Path, good: bytes, seed: int) -> None:
    check_flips(memory, good, list(range(seed, len(good), 16)), seed=seed)


@pytest.mark.parametrize("kind", ["operation", "verb", "subject", "step", "detail"])
def test_no_text_is_read_back_changed(path: Path, kind: str) -> None:
    # sqlite checks its own structure, and not what was written into it
    with opened(path) as journal:
        journal.begin("launch-verb", "some-subject", {"some": "detail"})
        journal.write(journal.unfinished("launch-verb")[0], "intent", "some-step", {})
        operation = journal.unfinished("launch-verb")[0].id
    word = {
        "operation": operation[-3:],
        "verb": "launch-verb",
        "subject": "some-subject",
        "step": "some-step",
        "detail": '"detail"',
    }[kind].encode()
    content = path.read_bytes()
    assert word in content
    path.write_bytes(content.replace(word, word[:-1] + b"!"))  # also in the index, so that both agree
    notes, count = use(path)
    assert count == 0
    assert "an entry is not what was written" in notes[0] or "failed its check" in notes[0]


@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
def test_a_newer_journal_is_refused_and_left_as_it_is(path: Path, mode: str) -> None:
    use(path)
    with contextlib.closing(sqlite3.connect(path)) as newer:
        newer.execute(f"PRAGMA journal_mode = {mode}")
        newer.execute("ALTER TABLE journal ADD COLUMN more TEXT")
        newer.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    before = path.read_bytes()
    with pytest.raises(StateError, match=f"schema {SCHEMA_VERSION + 1}, this one knows {SCHEMA_VERSION}") as caught:
        use(path)
    assert caught.value.where == str(path)
    assert "upgrade launchbay" in caught.value.hint
    assert path.read_bytes() == before
    assert [item.name for item in path.parent.iterdir() if "damaged" in item.name] == []


def test_a_place_where_no_journal_can_be_says_so(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(StateError, match="the journal cannot be opened") as caught:
        use(path)
    assert caught.value.where == str(path)
    assert path.is_dir()


def test_a_journal_that_cannot_grow_refuses_before_the_act(path: Path) -> None:
    with opened(path) as journal:
        operation = journal.begin("launch", "exp", {})
        pages_now = journal.connection.execute("PRAGMA page_count").fetchone()[0]
        journal.connection.execute(f"PRAGMA max_page_count = {pages_now}")  # a full disk, as sqlite sees it
        acted = False
        with (
            pytest.raises(LaunchbayError, match="cannot be written: database or disk is full; nothing was begun"),
            journal.step(operation, "create", much="x" * 100_000),
        ):
            acted = True
        assert not acted
        journal.end(operation, "failed")  # cleaning up must not fail for it


def test_a_result_that_cannot_be_written_does_not_say_that_nothing_was_done(journal: Journal) -> None:
    operation = journal.begin("launch", "exp", {})
    pages_now = journal.connection.execute("PRAGMA page_count").fetchone()[0]
    journal.connection.execute(f"PRAGMA max_page_count = {pages_now}")
    with pytest.raises(StateError, match="the step itself was done"):
        journal.write(operation, "result", "create", {"much": "x" * 100_000})


def test_what_gives_room_back_goes_on_without_a_journal_that_cannot_grow(path: Path) -> None:
    notes: list[str] = []
    with opened(path, notes, frees=True) as journal:
        pages_now = journal.connection.execute("PRAGMA page_count").fetchone()[0]
        journal.connection.execute(f"PRAGMA max_page_count = {pages_now}")
        operation = journal.begin("terminate", "exp", {"much": "x" * 100_000})
        with journal.step(operation, "delete", much="x" * 100_000):
            pass
        journal.end(operation, "done")
    (note,) = notes
    assert "database or disk is full" in note
    assert "going on without it" in note
    with opened(path) as journal:
        assert journal.entries() == []


def refuse_to_connect(path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    connect = journal_module._connect  # noqa: SLF001 - what sqlite answers cannot be had otherwise

    def refuse(place: Path) -> sqlite3.Connection:
        if place == path:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = code
            raise error
        return connect(place)

    monkeypatch.setattr(journal_module, "_connect", refuse)


@pytest.mark.parametrize("code", [sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR | 22 << 8])
def test_what_gives_room_back_only_reads_a_journal_that_cannot_be_opened(
    path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    with opened(path) as journal:
        journal.end(journal.begin("launch", "exp", {}), "done")
        journal.begin("launch", "half", {})
    refuse_to_connect(path, monkeypatch, code)
    with pytest.raises(StateError, match="the journal cannot be opened: disk I/O error"), opened(path):
        pass
    notes: list[str] = []
    with opened(path, notes, frees=True) as journal:
        assert journal.knows("launch", "exp")
        assert [item.subject for item in journal.unfinished("launch")] == ["half"]
        journal.end(journal.begin("terminate", "exp", {}), "done")
    assert len(notes) == 1


def test_what_gives_room_back_needs_no_journal_at_all(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_to_connect(path, monkeypatch, sqlite3.SQLITE_FULL)
    with opened(path, frees=True) as journal:
        assert not journal.knows("launch", "exp")
        journal.end(journal.begin("terminate", "exp", {}), "done")


def test_a_newer_journal_is_refused_also_by_what_gives_room_back(path: Path) -> None:
    with opened(path) as journal:
        journal.connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    with pytest.raises(StateError, match="newer Launchbay"), opened(path, frees=True):
        pass
