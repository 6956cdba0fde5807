"""`bay share` as it is typed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from launchbay.planning.fleet import Instance
from tests.cli.conftest import Said
from tests.sharing.server import make_key
from tests.spec.test_people import ED, other_key

Says = Callable[..., Said]
PEOPLE = f"people:\n- name: ada\n  key: {ED}\n- name: bob\n  key: {other_key(2)}\n"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the options that keep a share away from the person's own files; what is typed is typed in a project."""
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    make_key(tmp_path, "host")
    return ["--host-key", str(tmp_path / "host.pub"), "--authorized-keys", str(tmp_path / "keys"), "--ssh-port", "1"]


@pytest.mark.usefixtures("two")
def test_a_fleet_is_shared_and_taken_back(says: Says, place: list[str], tmp_path: Path) -> None:
    Path("bay.yaml").write_text(f"name: exp\n{PEOPLE}", encoding="utf-8")
    value = says("share", "--host", "gpu.example.org", "--json", *place).value
    assert [(row["person"], row["instance"]) for row in value["people"]] == [("ada", "exp-1"), ("bob", "exp-2")]
    assert value["people"][0]["sheet"] == str(tmp_path / "project" / "sheets" / "ada.md")
    assert (value["host"], value["port"], value["nobody"], value["unlisted"]) == ("gpu.example.org", 1, [], {})
    shown = says("share", "exp", *place).out
    assert "who can read every file: for colleagues, not strangers" in shown
    assert "No SSH server answers on port 1" in says("share", "exp", *place).err
    ps = says("ps").out.splitlines()
    assert ps[0].split()[:2] == ["NAME", "PERSON"]
    assert ps[1].split()[:2] == ["exp-1", "ada"]
    assert [row["person"] for row in says("ps", "--json").value] == ["ada", "bob"]

    revoked = says("share", "exp", "--revoke", "ada")
    assert "ada revoked: the key opens nothing of exp any more" in revoked.out
    assert "exp-1 belongs to nobody and keeps its files" in revoked.out
    assert says("share", "exp", "--revoke", "ada").out == "ada was revoked in exp before; nothing to do.\n"
    refused = says("share", *place)
    assert refused.code == 2
    assert "the key of ada was revoked in 'exp' (as ada's) (bay.yaml:4)" in refused.err
    assert "--readmit ada" in refused.err
    assert "are no longer revoked" in says("share", "--readmit", "ada").out
    assert says("share", *place).code == 0
    assert "ada revoked: " in says("share", "--revoke", "ada").out  # of the fleet that bay.yaml names
    assert "are no longer revoked" in says("share", "exp", "--readmit", "ada").out
    assert says("share", *place).code == 0


@pytest.mark.usefixtures("two")
def test_how_people_come_in_is_said_once(says: Says, place: list[str], tmp_path: Path) -> None:
    """Left out the second time, nobody is locked out: not another file, host or port."""
    Path("bay.yaml").write_text(f"name: exp\n{PEOPLE}", encoding="utf-8")
    first = says("share", "--host", "gpu.example.org", "--json", *place).value
    again = says("share", "--json").value
    assert again == first
    assert again["authorized_keys"] == str(tmp_path / "keys")
    other = says("share", "--host", "big.example.org", "--json").value
    assert (other["host"], other["port"]) == ("big.example.org", 1)
    assert says("share", "--json").value["host"] == "big.example.org"


@pytest.mark.usefixtures("two")
def test_what_cannot_be_shared_is_said(says: Says, place: list[str]) -> None:
    assert "share needs people, and there is no bay.yaml here" in says("share", "exp", *place).err
    Path("bay.yaml").write_text("name: exp\n", encoding="utf-8")
    assert "share needs people, and bay.yaml names no people" in says("share", *place).err
    Path("bay.yaml").write_text(f"name: later\n{PEOPLE}", encoding="utf-8")
    assert "'later', which bay.yaml names, is not launched\n  Try: bay launch, " in says("share", *place).err
    Path("bay.yaml").write_text(PEOPLE, encoding="utf-8")
    assert "share needs a fleet, and bay.yaml has no name" in says("share", *place).err
    assert "Try: bay share FLEET --revoke ada" in says("share", "--revoke", "ada").err
    assert "Try: bay share FLEET --readmit ada" in says("share", "--readmit", "ada").err
    assert "there is no instance or fleet named 'other'" in says("share", "other", *place).err
    wrong = says("share", "exp", "--host", "a b'; rm", *place)
    assert (wrong.code, "a host must be" in wrong.err) == (2, True)
    assert "not allowed with argument" in says("share", "exp", "--revoke", "a", "--readmit", "b").err
    assert "--host-key" in says("share", "exp", "--host-key", "no.pub").err


@pytest.mark.usefixtures("two")
def test_three_people_for_two_instances_name_the_way_out(says: Says, place: list[str]) -> None:
    Path("bay.yaml").write_text(f"name: exp\n{PEOPLE}- name: cyd\n  key: {other_key(3)}\n", encoding="utf-8")
    said = says("share", *place)
    assert said.code == 2
    assert "3 people for 2 instances (bay.yaml:8)" in said.err
    assert "bay launch IMAGE -n 1 --name ANOTHER" in said.err


def test_a_damaged_record_is_named(says: Says, two: list[Instance]) -> None:
    for name in ("person.json", "resources.json"):
        (two[0].root / name).write_text("{}", encoding="utf-8")
    said = says("doctor")
    assert said.code == 1
    assert "exp-1: record is damaged" in said.out
    assert f"rm {two[0].root / 'person.json'}" in said.out
    assert says("ps").out.split("\n")[1].startswith("exp-1")
