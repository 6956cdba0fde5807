"""Sharing as text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from launchbay.cli.texts.sharing import far_shared_text, revoked_text, shared_text
from launchbay.cloud.sharing import FarHanded, FarShared
from launchbay.sharing.share import Handed, Revoked, Shared


def test_who_got_what() -> None:
    handed = Handed(person="ada", instance="exp-1", sheet=Path("sheets/ada.md"), notebook_port=8888, board_port=6006)
    shared = Shared(
        fleet="exp",
        host="box",
        port=22,
        user="ml",
        host_key="SHA256:x",
        authorized_keys=Path("/home/ml/.ssh/authorized_keys"),
        people=[handed],
        nobody=["exp-2"],
        unlisted={"bob": "exp-3"},
    )
    head, row, _, *lines = shared_text(shared).splitlines()
    assert head.split() == ["PERSON", "INSTANCE", "NOTEBOOK", "BOARD", "SHEET"]
    assert row.split() == ["ada", "exp-1", "8888", "6006", "sheets/ada.md"]
    assert lines[0].startswith("  reached at  ml@box, host key SHA256:x;")
    assert "  nobody's    exp-2" in lines
    assert any("bob keeps exp-3" in line for line in lines)
    assert "for colleagues, not strangers" in lines[-1]
    assert "ml@box port 2222" in shared_text(replace(shared, port=2222))


def test_what_was_taken_back() -> None:
    revoked = Revoked(person="ada", fleet="exp", instance="exp-1", processes_ended=3, changed=True)
    assert revoked_text(revoked).startswith("ada revoked, 3 processes ended: the key opens nothing of exp any more")
    assert "nothing to do" in revoked_text(replace(revoked, changed=False))
    assert "are no longer revoked" in revoked_text(revoked, is_again=True)


def test_who_got_what_on_ec2_and_from_where_it_is_reached() -> None:
    handed = FarHanded(
        person="ada",
        instance="exp-1",
        sheet=Path("sheets/ada.md"),
        config=Path("sheets/ada.ssh"),
        address="203.0.113.9",
        notebook_port=8888,
        board_port=6006,
    )
    shared = FarShared(
        fleet="exp",
        provider="ec2",
        region="us-east-1",
        user="ubuntu",
        caller="203.0.113.1/32",
        networks=(),
        people=[handed],
        nobody=["exp-2"],
        unlisted={"bob": "exp-3"},
    )
    text = far_shared_text(shared)
    assert text.splitlines()[1].split() == ["ada", "exp-1", "203.0.113.9", "sheets/ada.md"]
    assert "this machine alone (203.0.113.1/32): bay share exp --allow-cidr CIDR adds" in text
    assert "nobody's     exp-2" in text
    assert "bob keeps exp-3" in text
    assert "let in from  198.51.100.0/24, and this machine" in far_shared_text(
        replace(shared, networks=("198.51.100.0/24",))
    )


@pytest.mark.parametrize(
    ("caller", "networks", "said"),
    [
        ("", (), "no address; through eice-1, by who may open tunnels there"),
        ("", ("198.51.100.0/24",), "198.51.100.0/24, and through eice-1, by who may open tunnels there"),
        ("203.0.113.1/32", (), "this machine alone (203.0.113.1/32), through eice-1: bay share exp --allow-cidr CIDR adds"),
        ("203.0.113.1/32", ("198.51.100.0/24",), "198.51.100.0/24, and this machine (203.0.113.1/32), through eice-1"),
    ],
)  # fmt: skip
def test_through_what_people_come_in_is_said(caller: str, networks: tuple[str, ...], said: str) -> None:
    """Only an endpoint that keeps the address of its clients leaves it to networks who comes in."""
    shared = FarShared(
        fleet="exp",
        provider="ec2",
        region="us-east-1",
        user="ubuntu",
        caller=caller,
        networks=networks,
        people=[],
        nobody=[],
        unlisted={},
        endpoint="eice-1",
    )
    assert f"  let in from  {said}" in far_shared_text(shared).splitlines()
