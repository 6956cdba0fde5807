"""What goes to the store of a run: in an order in which being cut off harms nothing."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import urllib.error
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from launchbay.onboard import courier, parcel, rundir
from launchbay.onboard.parcel import Parcels, PostFailed, PostOver
from launchbay.onboard.process import identify
from launchbay.onboard.rundir import Look, find_files, look_at


class Store:
    """Takes what is posted; `fails` says how often it does not, and how."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.posted: list[str] = []
        self.fails: list[Exception] = []
        self.passes = 0

    def post(self, post: dict[str, Any], key: str, data: bytes) -> None:
        assert post["prefix"] == "p/"
        if self.passes:
            self.passes -= 1
        elif self.fails:
            raise self.fails.pop(0)
        self.objects[key] = data
        self.posted.append(key)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    made = Store()
    monkeypatch.setattr(parcel, "_post", made.post)
    monkeypatch.setattr(parcel, "_PIECE", 10)
    monkeypatch.setattr(parcel, "_GROWING_PIECE", 10)
    monkeypatch.setattr("launchbay.onboard.parcel.time.sleep", lambda _: None)
    yield made
    assert not made.fails


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "run" / "work").mkdir(parents=True)
    (tmp_path / "run" / "checkpoints").mkdir()
    (tmp_path / "courier").mkdir()
    return tmp_path / "run"


def parcels(run: Path) -> Parcels:
    return Parcels({"prefix": "p/", "url": "https://x", "fields": {}}, str(run.parent / "courier"), {})


def look(run: Path, name: str) -> Look:
    found = find_files(str(run))
    with look_at(str(run), str(run.parent / "scratch"), found) as looks:
        (one,) = [item for item in looks if item.name == name]
    return Look(name, str(run / name), one.mark, is_growing=one.is_growing, is_set=one.is_set)


def place(name: str) -> str:
    return f"p/files/{hashlib.sha256(name.encode()).hexdigest()[:32]}"


def whole(store: Store, name: str, entry: dict[str, Any]) -> bytes:
    pieces = sorted(key for key in store.objects if key.startswith(f"{place(name)}/{entry['slot']}/"))
    return b"".join(store.objects[key] for key in pieces)[: entry["size"]]


def refusal(code: int, text: bytes = b"") -> urllib.error.HTTPError:
    return urllib.error.HTTPError("https://x", code, "no", Message(), io.BytesIO(text))


def test_a_new_version_never_touches_what_the_last_list_names(store: Store, run: Path) -> None:
    name = "checkpoints/a"
    sending = parcels(run)
    (run / name).write_bytes(b"one" * 9)
    first = sending.send(look(run, name))
    assert first is not None
    sending.send_list({"files": {name: first}})
    (run / name).write_bytes(b"two" * 8)
    store.passes, store.fails = 1, [OSError("gone")] * 3
    with pytest.raises(PostFailed):
        sending.send(look(run, name))  # cut off in the middle
    assert whole(store, name, first) == b"one" * 9
    second = sending.send(look(run, name))
    assert second is not None
    assert second["slot"] != first["slot"]
    assert whole(store, name, first) == b"one" * 9  # until a list says otherwise
    sending.send_list({"files": {name: second}})
    assert whole(store, name, second) == b"two" * 8
    (run / name).write_bytes(b"three" * 5)
    third = sending.send(look(run, name))
    assert third is not None
    assert third["slot"] == first["slot"]


def test_what_was_sent_of_a_large_file_is_not_sent_again(store: Store, run: Path) -> None:
    name = "work/model"
    (run / name).write_bytes(bytes(range(50)))
    sending, found = parcels(run), look(run, name)
    store.passes, store.fails = 3, [OSError("gone")] * 3
    with pytest.raises(PostFailed, match="gone"):
        sending.send(found)
    entry = sending.send(found)
    assert entry is not None
    assert [key[-6:] for key in store.posted] == ["000000", "000001", "000002", "000003", "000004"]
    assert entry["sha256"] == hashlib.sha256(bytes(range(50))).hexdigest()
    assert whole(store, name, entry) == bytes(range(50))


def test_a_log_is_sent_as_it_grows_and_its_last_piece_again(store: Store, run: Path) -> None:
    name = "output.log"
    sending = parcels(run)
    text = b""
    for grown in (b"0123", b"456", b"789abcdefghij", b"klmnopqrst", b""):
        text += grown
        with (run / name).open("ab") as file:
            file.write(grown)
        entry = sending.send(look(run, name))
        assert entry is not None
        sending.send_list({"files": {name: entry}})
        assert (entry["size"], entry["slot"]) == (len(text), 0)
        assert entry["sha256"] == hashlib.sha256(text).hexdigest()
        assert whole(store, name, entry) == text
    numbers = [key[-1] for key in store.posted if "files" in key]
    assert numbers == ["0", "0", "0", "1", "2"]
    again = parcels(run)  # after the instance was started anew
    with (run / name).open("ab") as file:
        file.write(b"u")
    entry = again.send(look(run, name))
    assert entry is not None
    assert entry["sha256"] == hashlib.sha256(text + b"u").hexdigest()
    assert [key[-1] for key in store.posted if "files" in key][5:] == ["3"]


def test_a_log_that_was_cut_off_in_the_middle_is_hashed_as_it_is(store: Store, run: Path) -> None:
    sending = parcels(run)
    (run / "output.log").write_bytes(b"a" * 5)
    first = sending.send(look(run, "output.log"))
    assert first is not None
    sending.send_list({"files": {"output.log": first}})
    with (run / "output.log").open("ab") as file:
        file.write(b"b" * 40)
    store.passes, store.fails = 2, [OSError("gone")] * 3
    with pytest.raises(PostFailed):
        sending.send(look(run, "output.log"))
    entry = sending.send(look(run, "output.log"))
    assert entry is not None
    assert entry["sha256"] == hashlib.sha256(b"a" * 5 + b"b" * 40).hexdigest()
    assert whole(store, "output.log", entry) == b"a" * 5 + b"b" * 40


def test_a_log_that_begins_anew_goes_elsewhere(store: Store, run: Path) -> None:
    sending = parcels(run)
    (run / "output.log").write_bytes(b"a" * 25)
    first = sending.send(look(run, "output.log"))
    assert first is not None
    sending.send_list({"files": {"output.log": first}})
    (run / "output.log").write_bytes(b"b" * 5)
    second = sending.send(look(run, "output.log"))
    assert second is not None
    assert second["slot"] == 1
    assert whole(store, "output.log", first) == b"a" * 25
    assert whole(store, "output.log", second) == b"b" * 5


def test_a_file_that_changes_while_it_is_read_stays_as_it_was(
    store: Store, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "checkpoints/a"
    sending = parcels(run)
    (run / name).write_bytes(b"one" * 9)
    first = sending.send(look(run, name))
    assert first is not None
    sending.send_list({"files": {name: first}})
    (run / name).write_bytes(b"two" * 9)
    found = look(run, name)

    def post(post: dict[str, Any], key: str, data: bytes) -> None:
        store.post(post, key, data)
        with (run / name).open("r+b") as file:  # in place, as no careful script does
            file.write(b"six")

    monkeypatch.setattr(parcel, "_post", post)
    assert sending.send(found) == first


def test_a_list_is_sent_last_and_only_when_it_says_something_new(store: Store, run: Path) -> None:
    sending = parcels(run)
    (run / "output.log").write_bytes(b"a")
    for _ in range(3):
        entry = sending.send(look(run, "output.log"))
        sending.send_list({"files": {"output.log": entry}})
    assert [key.split("/")[1] for key in store.posted] == ["files", "list.json"]
    shown = json.loads(store.objects["p/list.json"])["files"]["output.log"]
    assert "mark" not in shown
    assert shown["sha256"] == hashlib.sha256(b"a").hexdigest()


def test_what_is_refused_for_good_is_told_from_what_may_be_taken_later(store: Store, run: Path) -> None:
    (run / "output.log").write_bytes(b"a")
    store.fails = [refusal(403, b"<Error><Code>AccessDenied</Code></Error>")]
    with pytest.raises(PostOver, match=r"nothing more \(AccessDenied\)"):
        parcels(run).send(look(run, "output.log"))
    store.fails = [refusal(503), refusal(500)]
    assert parcels(run).send(look(run, "output.log")) is not None
    store.fails = [refusal(429) for _ in range(3)]
    with pytest.raises(PostFailed, match="429"):
        parcels(run).send(look(run, "output.log"))


def test_a_large_file_is_sent_when_it_has_come_to_rest(
    store: Store, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del store
    monkeypatch.setattr(parcel, "_SMALL", 3)
    sending = parcels(run)
    (run / "work" / "model").write_bytes(b"abcd")
    assert not sending.is_at_rest(look(run, "work/model"))
    (run / "work" / "model").write_bytes(b"abcde")
    assert not sending.is_at_rest(look(run, "work/model"))
    assert sending.is_at_rest(look(run, "work/model"))
    (run / "work" / "note").write_bytes(b"abc")
    assert sending.is_at_rest(look(run, "work/note"))


class Rounds:
    """A courier whose rounds a test goes one by one."""

    def __init__(self, run: Path, store: Store, stored: dict[str, Any] | None = None) -> None:
        asked: dict[str, Any] = {"stored": stored}
        asked |= {
            "run": str(run),
            "home": "/far",
            "post": {"prefix": "p/", "url": "https://x", "fields": {}},
            "every_s": 1,
        }
        self._courier = courier._Courier(asked, str(run.parent / "courier"), -1)  # noqa: SLF001
        self._store = store

    def send(self) -> dict[str, Any]:
        self._courier._send(over=False)  # noqa: SLF001
        found: dict[str, Any] = json.loads(self._store.objects["p/list.json"])["files"]
        return found


def test_checkpoints_are_named_whole_or_as_before(store: Store, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = Rounds(run, store)
    for name in ("arrays", "manifest"):
        (run / "checkpoints" / name).write_bytes(name.encode())
    first = rounds.send()
    assert {"checkpoints/arrays", "checkpoints/manifest"} <= first.keys()
    (run / "checkpoints" / "arrays").write_bytes(b"newer arrays")
    (run / "checkpoints" / "manifest").write_bytes(b"newer manifest")
    (run / "output.log").write_bytes(b"a")
    with monkeypatch.context() as patch:
        patch.setattr(rundir, "_hold", lambda *_: [])  # they never held still
        second = rounds.send()
    assert "output.log" in second
    assert {name: second[name] for name in first} == first
    with monkeypatch.context() as patch:
        unsame = lambda look: look.name != "checkpoints/manifest"  # noqa: E731 - one was written to in place
        patch.setattr(rundir.Look, "is_same", unsame)
        third = rounds.send()
    assert {name: third[name] for name in first} == first
    fourth = rounds.send()
    assert fourth["checkpoints/arrays"]["sha256"] == hashlib.sha256(b"newer arrays").hexdigest()
    assert fourth["checkpoints/manifest"]["sha256"] == hashlib.sha256(b"newer manifest").hexdigest()
    assert whole(store, "checkpoints/manifest", fourth["checkpoints/manifest"]) == b"newer manifest"
    (run / "checkpoints" / "arrays").unlink()
    assert "checkpoints/arrays" not in rounds.send()


def test_a_run_is_told_as_whoever_reads_its_folder_sees_it(store: Store, run: Path) -> None:
    del store
    asked = {"run": str(run), "home": "/far", "post": {}, "every_s": 1}
    here = courier._Courier(asked, str(run.parent / "courier"), -1)  # noqa: SLF001

    def state() -> str:
        return here._state()  # noqa: SLF001

    assert state() == "starting"
    (run / "process.json").write_text(json.dumps(identify(os.getpid())))
    assert state() == "running"
    (run / "result.json").write_text(json.dumps({"state": "done", "taking_stock": True}))
    assert state() == "running"
    (run / "process.json").write_text(json.dumps({**identify(os.getpid()), "start": 1}))
    assert state() == "done"
    (run / "result.json").unlink()
    assert state() == "lost"
    (run / "attempts" / "2").mkdir(parents=True)
    (run / "attempts" / "2" / "process.json").write_text(json.dumps(identify(os.getpid())))
    assert state() == "running"


def test_a_run_that_comes_from_another_machine_keeps_what_was_sent_there(store: Store, run: Path) -> None:
    for name in ("arrays", "manifest"):
        (run / "checkpoints" / name).write_bytes(name.encode())
    (run / "output.log").write_bytes(b"0123456789abc")
    there = Rounds(run, store).send()
    other = run.parent / "elsewhere"  # where it was brought, and is resumed
    shutil.copytree(run, other / "run")
    (other / "courier").mkdir()
    (other / "run" / "checkpoints" / "arrays").write_bytes(b"newer")
    with (other / "run" / "output.log").open("ab") as file:
        file.write(b"more")
    store.passes, store.fails = 4, [refusal(403)]  # all but the list
    rounds = Rounds(other / "run", store, there)
    with pytest.raises(PostOver):
        rounds.send()  # cut off in its first round
    for name, content in (("checkpoints/arrays", b"arrays"), ("output.log", b"0123456789abc")):
        assert whole(store, name, there[name]) == content
    found = rounds.send()
    assert whole(store, "checkpoints/arrays", found["checkpoints/arrays"]) == b"newer"
    assert whole(store, "output.log", found["output.log"]) == b"0123456789abcmore"
    assert whole(store, "checkpoints/manifest", found["checkpoints/manifest"]) == b"manifest"


def test_what_grows_is_listed_before_the_rest_is_sent_and_the_result_comes_last(store: Store, run: Path) -> None:
    (run / "output.log").write_bytes(b"a")
    (run / "work" / "many").write_bytes(b"b")
    (run / "result.json").write_bytes(b'{"state": "done"}')
    found = Rounds(run, store).send()
    names = {place(name): name for name in found}
    sent = [names.get(key.rpartition("/")[0].rpartition("/")[0], key) for key in store.posted]
    assert sent == ["output.log", "p/list.json", "work/many", "result.json", "result.json", "p/list.json"]


def test_a_round_ends_in_time_and_the_next_goes_on(store: Store, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        (run / "work" / f"{number}").write_bytes(b"b")
    rounds = Rounds(run, store)
    now = 0.0

    def later() -> float:
        nonlocal now
        now += 0.9
        return now

    monkeypatch.setattr("launchbay.onboard.courier.time.monotonic", later)
    assert len([name for name in rounds.send() if name.startswith("work/")]) == 2  # two seconds' worth
    assert len([name for name in rounds.send() if name.startswith("work/")]) == 4
    assert len([name for name in rounds.send() if name.startswith("work/")]) == 5
