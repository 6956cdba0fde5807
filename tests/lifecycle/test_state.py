"""A journal or a record that is damaged, missing, or of a later version."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from launchbay.api.listing import ps
from launchbay.errors import StateError
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.doctor import run_checks
from launchbay.lifecycle.end import change_power, terminate
from launchbay.lifecycle.launch import launch_fleet
from launchbay.store.journal import open_journal
from launchbay.testing import RecordingReporter

WISH = ["exp-1", "exp-2"]


def names(bay: Bay) -> list[str]:
    return [row.name for row in ps(bay)]


def overwrite(path: Path) -> None:
    path.write_bytes(b"this was a database once\n" * 500)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def zero_a_page(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:8192] = bytes(4096)
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


DAMAGES = [overwrite, truncate, zero_a_page]
damaged = pytest.mark.parametrize("damage", [*DAMAGES, empty])


@pytest.fixture
def standing(bay: Bay, tiny: str) -> str:
    launch_fleet(bay, tiny, count=2, name="exp")
    return tiny


@damaged
def test_ps_does_without_the_journal(bay: Bay, standing: str, damage: Callable[[Path], None]) -> None:
    assert standing
    damage(bay.home.journal)
    before = bay.home.journal.read_bytes()
    assert names(bay) == WISH
    assert bay.home.journal.read_bytes() == before


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("verb", ["launch", "terminate", "stop"])
def test_a_damaged_journal_is_kept_and_begun_anew_with_a_note(
    bay: Bay, standing: str, reporter: RecordingReporter, damage: Callable[[Path], None], verb: str
) -> None:
    damage(bay.home.journal)
    before = bay.home.journal.read_bytes()
    if verb == "launch":
        again = launch_fleet(bay, standing, count=2, name="exp")
        assert (list(again.created), again.identical) == ([], True)
    elif verb == "terminate":
        terminate(bay, "exp")
        assert names(bay) == []
    else:
        change_power(bay, "stop", "exp")
        assert {row.state for row in ps(bay)} == {"stopped"}
    (note,) = reporter.notes
    assert "The journal was damaged" in note
    kept = bay.home.root / "state.db.damaged-1"
    assert kept.name in note
    assert kept.read_bytes() == before
    with open_journal(bay.home.journal, bay.clock, bay.reporter.note) as journal:
        assert journal.knows(verb, "exp")


def test_a_missing_journal_costs_nothing_but_history(bay: Bay, standing: str, reporter: RecordingReporter) -> None:
    for path in bay.home.root.glob("state.db*"):
        path.unlink()
    assert names(bay) == WISH
    assert list(launch_fleet(bay, standing, count=2, name="exp").created) == []
    bay.home.journal.unlink()
    terminate(bay, "exp")
    assert names(bay) == []
    assert reporter.notes == []


def test_a_killed_launch_whose_journal_is_lost_is_completed_all_the_same(bay: Bay, standing: str) -> None:
    bay.provider.delete(list(bay.provider.observe())[1:])
    bay.home.journal.unlink()
    again = launch_fleet(bay, standing, count=2, name="exp")
    assert list(again.created) == ["exp-2"]
    assert names(bay) == WISH


def make_newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")


@pytest.mark.parametrize("verb", ["launch", "terminate", "stop"])
def test_a_newer_journal_is_refused_and_nothing_is_changed(
    bay: Bay, standing: str, reporter: RecordingReporter, verb: str
) -> None:
    make_newer(bay.home.journal)
    before = {path: path.read_bytes() for path in bay.home.root.glob("instances/*/record.json")}
    journal = bay.home.journal.read_bytes()
    verbs: dict[str, Callable[[], object]] = {
        "launch": lambda: launch_fleet(bay, standing, count=3, name="other"),
        "terminate": lambda: terminate(bay, "exp"),
        "stop": lambda: change_power(bay, "stop", "exp"),
    }
    with pytest.raises(StateError, match="written by a newer Launchbay") as caught:
        verbs[verb]()
    assert "upgrade" in caught.value.hint
    assert names(bay) == WISH
    assert {path: path.read_bytes() for path in bay.home.root.glob("instances/*/record.json")} == before
    assert bay.home.journal.read_bytes() == journal
    assert reporter.notes == []


def test_a_journal_that_cannot_be_opened_is_an_error_and_stays(bay: Bay, standing: str) -> None:
    bay.home.journal.unlink()
    bay.home.journal.mkdir()
    with pytest.raises(StateError, match="the journal cannot be opened"):
        terminate(bay, "exp")
    assert names(bay) == WISH
    assert standing


# --- records --------------------------------------------------------------------------------------------------------


def found_by_doctor(bay: Bay, name: str) -> list[str]:
    return [check.found for check in run_checks(bay) if check.name == name and check.state == "broken"]


@pytest.mark.parametrize("text", ["", '{"id": ', "[]", '{"id": "x"}', None])
def test_a_damaged_record_stops_nobody_and_doctor_names_it(bay: Bay, standing: str, text: str | None) -> None:
    root = next(item.root for item in bay.provider.observe() if item.name == "exp-2")
    record = root / "record.json"
    if text is None:
        record.unlink()
    else:
        record.write_text(text, encoding="utf-8")
    assert names(bay) == ["exp-1"]
    (found,) = found_by_doctor(bay, "instance")
    assert str(root) in found
    again = launch_fleet(bay, standing, count=2, name="exp")
    assert list(again.created) == ["exp-2"]
    terminate(bay, "exp")
    assert root.exists()  # it may hold somebody's work; doctor says how to remove it


def test_doctor_tells_a_launch_that_was_cut_off(bay: Bay, standing: str) -> None:
    assert standing
    with open_journal(bay.home.journal, bay.clock, bay.reporter.note) as journal:
        journal.begin("launch", "half", {"digest": "0", "count": 1, "image": "tiny", "ids": {}})
    (check,) = [check for check in run_checks(bay) if check.name == "journal"]
    assert (check.state, check.found) == ("warning", "cut off: launch half")


def test_doctor_tells_instances_without_their_image(bay: Bay, standing: str) -> None:
    assert standing
    shutil.move(bay.home.images, bay.home.root / "elsewhere")
    assert len(found_by_doctor(bay, "instance")) == 2


@pytest.mark.parametrize("damage", [*DAMAGES, make_newer])
def test_doctor_looks_at_a_bad_journal_without_failing(bay: Bay, standing: str, damage: Callable[[Path], None]) -> None:
    assert standing
    damage(bay.home.journal)
    before = bay.home.journal.read_bytes()
    (check,) = [check for check in run_checks(bay) if check.name == "journal" and check.state != "ok"]
    kept = bay.home.journal if damage is make_newer else bay.home.root / "state.db.damaged-1"
    assert check.state == ("broken" if damage is make_newer else "warning")
    assert kept.read_bytes() == before


def test_doctor_on_an_empty_home_finds_nothing_broken_and_makes_nothing(bay: Bay) -> None:
    checks = run_checks(bay)
    assert [check.name for check in checks if check.state == "broken"] == []
    assert {"python", "uv", "home", "journal", "images", "gpu", "pictures"} <= {check.name for check in checks}
    assert not bay.home.root.exists()


@pytest.mark.parametrize(
    ("said", "finds"),
    [
        (("", ""), "warning credentials for AWS are missing, profile default"),
        (("AWS_ACCESS_KEY_ID=x", ""), "ok AWS_ACCESS_KEY_ID, profile default; whether AWS takes them is not asked"),
        (("AWS_PROFILE=me", "[profile me]\ncredential_process = false\n"), "ok credential_process, profile me;"),
        (("AWS_PROFILE=me", ""), "warning AWS's settings have no such profile"),
        (("", "[default\n"), "warning AWS cannot be asked"),
    ],
)
def test_doctor_looks_for_credentials_and_asks_nobody(
    bay: Bay, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: tuple[str, str], finds: str
) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    variable, settings = said
    (tmp_path / "config").write_text(settings, encoding="utf-8")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    if variable:
        monkeypatch.setenv(*variable.split("="))
    monkeypatch.setattr("socket.socket.connect", None)
    (found,) = [check for check in run_checks(bay) if check.name == "credentials"]
    assert f"{found.state} {found.found}".startswith(finds)
    assert bool(found.mend) is (found.state == "warning")


def test_doctor_breaks_over_nothing_that_one_can_do_without(bay: Bay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("launchbay.lifecycle.doctor.find_spec", lambda _: None)
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    checks = {check.name: check for check in run_checks(bay)}
    assert (checks["ec2"].state, checks["twin"].state) == ("warning", "warning")
    assert "launchbay[aws]" in checks["ec2"].mend
    assert "bubblewrap" in checks["twin"].mend


def test_doctor_says_when_the_home_cannot_be_written(bay: Bay) -> None:
    bay.home.root.write_text("a file in its place", encoding="utf-8")
    checks = {check.name: check for check in run_checks(bay)}
    assert checks["home"].state == "broken"
    assert "LAUNCHBAY_HOME" in checks["home"].mend


@pytest.mark.parametrize("part", ["work", "env"])
def test_doctor_names_an_instance_that_lacks_a_part(bay: Bay, standing: str, part: str) -> None:
    assert standing
    root = next(item.root for item in bay.provider.observe() if item.name == "exp-2")
    shutil.rmtree(root / part)
    (found,) = found_by_doctor(bay, "instance")
    assert found.startswith("exp-2 lacks")


def test_doctor_tells_what_killed_commands_left(bay: Bay, standing: str) -> None:
    assert standing
    assert not [check for check in run_checks(bay) if check.name == "left over"]
    (bay.home.tmp / "new-i-1").mkdir(parents=True)
    (bay.home.trash / "image.1").mkdir(parents=True)
    (check,) = [check for check in run_checks(bay) if check.name == "left over"]
    assert check.found.startswith("2 things")


def test_ps_says_that_a_record_cannot_be_read(bay: Bay, standing: str, reporter: RecordingReporter) -> None:
    assert standing
    assert (names(bay), reporter.notes) == (WISH, [])
    (bay.provider.observe()[0].root / "record.json").write_text("{", encoding="utf-8")
    assert names(bay) == ["exp-2"]
    assert reporter.notes == ["1 instance not listed: the record cannot be read (`bay doctor`)."]
