"""A home on a machine that was made from an image of another: what was that one's is gone, what is anybody's stays."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from launchbay.afar.settling import DOES
from launchbay.errors import UsageError
from launchbay.home import Home

OLD = "ssh-ed25519 AAAAold class\nssh-ed25519 AAAAperson ada@laptop\n"


def settle(home: Home, identity: str, *keys: str) -> str:
    target = io.BytesIO()
    DOES["settle"](home, {"identity": identity, "keys": keys}, io.BytesIO(), target)
    return str(json.loads(target.getvalue())["was"])


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("HOME", str(tmp_path))
    home = Home(tmp_path / "home")
    for name in ("instances/i-1", "runs/run-1", "services/notebook-i-1", "images/abc"):
        (home.root / name).mkdir(parents=True)
    home.journal.write_text("what was meant there")
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "authorized_keys").write_text(
        f"{OLD}ssh-ed25519 AAAAevil AAAAnew\n# AAAAnew\nssh-ed25519 AAAAnew exp\n"
    )
    return home


def held(home: Home) -> set[str]:
    return {name for name in ("instances", "runs", "services", "images", "state.db") if (home.root / name).exists()}


def test_the_first_time_nothing_is_taken_away(home: Home, tmp_path: Path) -> None:
    assert settle(home, "i-a", "AAAAold") == ""
    assert settle(home, "i-a", "AAAAold") == "i-a"
    assert held(home) == {"instances", "runs", "services", "images", "state.db"}
    assert "ada@laptop" in (tmp_path / ".ssh" / "authorized_keys").read_text()


def test_on_another_machine_images_stay_and_what_was_the_old_ones_goes(home: Home, tmp_path: Path) -> None:
    settle(home, "i-a", "AAAAold")
    assert settle(home, "i-b", "AAAAnew") == "i-a"
    assert held(home) == {"images"}
    keys = tmp_path / ".ssh" / "authorized_keys"
    assert keys.read_text() == "ssh-ed25519 AAAAnew exp\n"
    assert keys.stat().st_mode & 0o022 == 0
    assert settle(home, "i-b", "AAAAnew") == "i-b"


def test_nobody_is_locked_out_by_a_key_that_is_not_there(home: Home, tmp_path: Path) -> None:
    settle(home, "i-a", "AAAAold")
    settle(home, "i-b", "AAAAnowhere")
    assert (tmp_path / ".ssh" / "authorized_keys").read_text().startswith(OLD)


def test_where_keys_are_for_a_minute_none_of_the_other_machine_stays(home: Home, tmp_path: Path) -> None:
    settle(home, "i-a", "AAAAold")
    settle(home, "i-b")
    assert (tmp_path / ".ssh" / "authorized_keys").read_text() == ""


def test_a_record_that_is_damaged_is_another_machines(home: Home) -> None:
    settle(home, "i-a", "AAAAnew")
    (home.root / "machine.json").write_text("{")
    assert settle(home, "i-a", "AAAAnew") == "damaged"
    assert held(home) == {"images"}


def test_a_machine_has_a_name(home: Home) -> None:
    with pytest.raises(UsageError):
        settle(home, "", "AAAAnew")
    assert held(home) == {"instances", "runs", "services", "images", "state.db"}
