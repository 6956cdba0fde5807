"""The gate alone: whom it lets in, by the record and not by what the line says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from launchbay.cli.gate import enter
from launchbay.errors import StateError, UserError
from launchbay.lifecycle.bay import Bay
from launchbay.planning.fleet import Instance
from launchbay.spec.people import parse_key
from launchbay.store.person import Owner, Revocation, owner_mark, revoke_key, write_owner
from tests.spec.test_people import ED, other_key


@pytest.fixture
def theirs(two: list[Instance], tmp_path: Path) -> Instance:
    """Return an instance that is ada's."""
    owner = Owner(name="ada", key=ED, authorized_keys=tmp_path / "keys", notebook=1, board=2, since=0.0)
    write_owner(two[0].root, owner)
    return two[0]


def go_in(bay: Bay, instance: Instance, *, person: str = "ada", key: str = ED, asked: str = "true") -> int:
    mark, _, value = owner_mark(person, instance.id).partition("=")
    own = {"LAUNCHBAY_HOME": str(bay.home.root), "LAUNCHBAY_INSTANCE": instance.id, mark: value}
    return enter({**os.environ, **own, "SSH_ORIGINAL_COMMAND": asked}, [parse_key(key).fingerprint])


def test_the_one_it_belongs_to_comes_in(bay: Bay, theirs: Instance) -> None:
    assert go_in(bay, theirs) == 0
    assert go_in(bay, theirs, asked="exit 3") == 3


@pytest.mark.parametrize("wrong", [{"person": "bob"}, {"key": other_key(2)}, {"person": ""}])
def test_nobody_else_does(bay: Bay, theirs: Instance, wrong: dict[str, str]) -> None:
    with pytest.raises(UserError, match="opens nothing here any more"):
        go_in(bay, theirs, **wrong)


def test_an_instance_that_is_nobodys_lets_nobody_in(bay: Bay, two: list[Instance]) -> None:
    with pytest.raises(UserError, match="opens nothing here any more"):
        go_in(bay, two[1])


def test_a_revocation_that_was_killed_halfway_holds(bay: Bay, theirs: Instance) -> None:
    revoke_key(bay.home, theirs.fleet, Revocation(name="ada", key=ED, at=0.0))
    with pytest.raises(UserError, match="opens nothing here any more"):
        go_in(bay, theirs)


@pytest.mark.parametrize("damaged", ["person", "revocations"])
def test_what_cannot_be_read_lets_nobody_in(bay: Bay, theirs: Instance, damaged: str) -> None:
    bay.home.shares.mkdir()
    path = theirs.root / "person.json" if damaged == "person" else bay.home.shares / f"{theirs.fleet}.json"
    path.write_text("{", encoding="utf-8")
    with pytest.raises(StateError, match="record is damaged"):
        go_in(bay, theirs)
