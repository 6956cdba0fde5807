"""Sharing as text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from launchbay.cli.texts.sharing import revoked_text, shared_text
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
