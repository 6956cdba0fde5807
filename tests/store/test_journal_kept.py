"""Who can read the journal, and what is read back of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from launchbay.store.journal import open_journal
from launchbay.testing import VirtualClock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "state.db"


def test_nobody_else_can_read_it(path: Path) -> None:
    """Neither the journal nor what sqlite keeps beside it, also where an older version left them open."""
    with open_journal(path, VirtualClock(), lambda _: None) as journal:
        with journal.step(journal.begin("launch", "exp", {}), "create"):
            pass
        files = sorted(path.parent.glob("state.db*"))
        assert [file.name for file in files] == ["state.db", "state.db-shm", "state.db-wal"]
        assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
        for file in files:
            file.chmod(0o644)
        with open_journal(path, VirtualClock(), lambda _: None):
            assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


def test_the_steps_of_an_operation_are_read_back_in_order(path: Path) -> None:
    with open_journal(path, VirtualClock(), lambda _: None) as journal:
        first, other = journal.begin("launch", "exp", {"n": 1}), journal.begin("launch", "exp", {"n": 2})
        with journal.step(first, "create", names=["exp-1"]) as result, journal.step(other, "create"):
            result["ids"] = ["i-1"]
        now = journal.clock.now()
        assert list(journal.steps(first)) == [
            (now, "begin", "", {"n": 1}),
            (now, "intent", "create", {"names": ["exp-1"]}),
            (now, "result", "create", {"ids": ["i-1"]}),
        ]
