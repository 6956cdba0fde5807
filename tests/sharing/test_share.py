"""Who gets what, and what is written down: without a server."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

import launchbay
from launchbay.errors import Conflict, NotFound, UsageError
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.end import terminate
from launchbay.lifecycle.launch import launch_fleet
from launchbay.services.standing import find_service
from launchbay.sharing.place import Place
from launchbay.sharing.share import assign, readmit, revoke_person, share_fleet
from launchbay.spec.people import Person
from launchbay.store.person import find_owner
from launchbay.store.service import list_services
from launchbay.testing import RecordingReporter
from tests.lifecycle.killing import kill_at
from tests.sharing.conftest import Share


@pytest.fixture
def fleet(bay: Bay, tiny: str) -> str:
    launch_fleet(bay, tiny, count=3, name="class")
    return "class"


def owners(bay: Bay) -> dict[str, str]:
    found = {item.name: find_owner(item.root) for item in bay.provider.observe()}
    return {name: owner.name for name, owner in found.items() if owner}


def lines(tmp_path: Path) -> list[str]:
    return (tmp_path / "ssh" / "authorized_keys").read_text(encoding="utf-8").splitlines()


def rights(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# --- who gets which -------------------------------------------------------------------------------------------------


def test_instance_k_belongs_to_person_k(bay: Bay, fleet: str, share: Share) -> None:
    shared = share(fleet, ["ada", "bob"])
    assert owners(bay) == {"class-1": "ada", "class-2": "bob"}
    assert [(item.person, item.instance) for item in shared.people] == [("ada", "class-1"), ("bob", "class-2")]
    assert shared.nobody == ["class-3"]
    assert [row.person for row in launchbay.ps(bay)] == ["ada", "bob", None]


def test_who_has_an_instance_keeps_it_when_the_list_changes(bay: Bay, fleet: str, share: Share) -> None:
    share(fleet, ["ada", "bob", "cyd"])
    revoke_person(bay, fleet, "ada")
    shared = share(fleet, ["bob", "cyd", "eve"])  # everybody moved up a line
    assert owners(bay) == {"class-1": "eve", "class-2": "bob", "class-3": "cyd"}
    assert shared.unlisted == {}


def test_who_is_no_longer_listed_keeps_theirs_until_it_is_taken_back(bay: Bay, fleet: str, share: Share) -> None:
    share(fleet, ["ada", "bob"])
    assert share(fleet, ["bob"]).unlisted == {"ada": "class-1"}
    assert owners(bay) == {"class-1": "ada", "class-2": "bob"}
    assert any(line.endswith(":ada") for line in lines(bay.home.root.parent))


def test_more_people_than_instances_change_nothing(bay: Bay, fleet: str, share: Share, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="4 people for 3 instances") as caught:
        share(fleet, ["ada", "bob", "cyd", "eve"])
    assert caught.value.where == "bay.yaml:eve"
    assert "bay launch IMAGE -n 1" in caught.value.hint
    assert owners(bay) == {}
    assert not (tmp_path / "ssh" / "authorized_keys").exists()


@pytest.mark.usefixtures("bay")
def test_people_who_kept_theirs_count_too(keys: Callable[[str], Person]) -> None:
    with pytest.raises(UsageError, match="1 people for 1 instance, 1 instance of which somebody has") as caught:
        assign([keys("bob")], ["class-1"], {"class-1": "ada"})
    assert "--revoke" in caught.value.hint


@pytest.mark.usefixtures("fleet")
def test_an_instance_is_no_fleet(share: Share) -> None:
    with pytest.raises(UsageError, match="is an instance"):
        share("class-1", ["ada"])
    with pytest.raises(NotFound, match="did you mean class"):
        share("clas", ["ada"])


# --- what lets them in ----------------------------------------------------------------------------------------------


def test_lines_of_others_stay_as_they_are(bay: Bay, fleet: str, share: Share, tmp_path: Path) -> None:
    file = tmp_path / "ssh" / "authorized_keys"
    others = b'# mine \xff\r\nfrom="10.0.0.1" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHl0 root@box\n\n  # no end of line'
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(others)
    file.chmod(0o644)
    share(fleet, ["ada", "bob"])
    assert file.read_bytes().startswith(others + b"\n")
    assert len(file.read_bytes()[len(others) + 1 :].splitlines()) == 2
    assert rights(file) == 0o600
    before = file.stat().st_ino
    share(fleet, ["ada", "bob"])
    assert file.stat().st_ino == before, "nothing to change, and it was written all the same"
    revoke_person(bay, fleet, "ada")
    terminate(bay, fleet)
    assert file.read_bytes() == others + b"\n"


def test_a_folder_that_is_not_there_is_made_private(
    bay: Bay, fleet: str, keys: Callable[[str], Person], place: Place, tmp_path: Path
) -> None:
    file = tmp_path / "new" / ".ssh" / "authorized_keys"
    share_fleet(bay, fleet, [keys("ada")], place, output=tmp_path / "sheets", authorized_keys=file)
    assert (rights(file.parent), rights(file)) == (0o700, 0o600)


@pytest.mark.usefixtures("bay")
def test_a_link_stays_one(fleet: str, share: Share, tmp_path: Path) -> None:
    (tmp_path / "ssh").mkdir(exist_ok=True)
    link = tmp_path / "ssh" / "authorized_keys"
    link.symlink_to(tmp_path / "elsewhere")
    share(fleet, ["ada"])
    assert link.is_symlink()
    assert b"launchbay:" in (tmp_path / "elsewhere").read_bytes()


def test_a_line_restricts_all_that_it_can(fleet: str, share: Share, tmp_path: Path) -> None:
    shared = share(fleet, ["ada"]).people[0]
    (line,) = lines(tmp_path)
    assert line.startswith(
        f'restrict,pty,port-forwarding,permitopen="127.0.0.1:{shared.notebook_port}",'
        f'permitopen="127.0.0.1:{shared.board_port}",permitlisten="launchbay.invalid:1",command="/usr/bin/env '
    )
    assert "no-" not in line


@pytest.mark.parametrize("comment", ["", "# ", 'command="true" '])
def test_a_key_that_another_line_lets_in_is_refused(
    fleet: str, share: Share, keys: Callable[[str], Person], tmp_path: Path, comment: str
) -> None:
    file = tmp_path / "ssh" / "authorized_keys"
    file.write_text(f"# first\n{comment}{keys('ada').key} ada@laptop\n", encoding="ascii")
    if comment == "# ":
        share(fleet, ["ada"])
        return
    with pytest.raises(Conflict, match="the key of ada stands in that file already") as caught:
        share(fleet, ["ada"])
    assert caught.value.where == f"{file}:2"


def test_a_key_opens_one_instance_alone(bay: Bay, tiny: str, fleet: str, share: Share) -> None:
    launch_fleet(bay, tiny, count=1, name="other")
    share(fleet, ["ada"])
    with pytest.raises(Conflict, match="opens the instance"):
        share("other", ["ada"])


@pytest.mark.usefixtures("fleet")
def test_another_file_lets_in_what_the_first_one_did(
    bay: Bay, share: Share, keys: Callable[[str], Person], place: Place, tmp_path: Path
) -> None:
    fleet = "class"
    share(fleet, ["ada"])
    other = tmp_path / "other"
    share_fleet(bay, fleet, [keys("ada")], place, output=tmp_path / "sheets", authorized_keys=other)
    assert lines(tmp_path) == []
    assert len(other.read_text(encoding="ascii").splitlines()) == 1


def test_terminating_shuts_them_out(bay: Bay, fleet: str, share: Share, tmp_path: Path) -> None:
    share(fleet, ["ada", "bob"])
    terminate(bay, "class-1")
    assert [line.rpartition(":")[2] for line in lines(tmp_path)] == ["bob"]
    terminate(bay, fleet)
    assert lines(tmp_path) == []


# --- sheets ---------------------------------------------------------------------------------------------------------


def test_a_sheet_holds_its_own_secrets_and_nobody_elses(bay: Bay, fleet: str, share: Share, tmp_path: Path) -> None:
    shared = share(fleet, ["ada", "bob", "cyd"])
    tokens = {}
    for item, instance in zip(shared.people, bay.provider.observe(), strict=True):
        services = [find_service(bay, kind, instance) for kind in ("notebook", "board")]
        tokens[item.person] = {service.token for service in services if service}
        assert rights(item.sheet) == 0o600
    assert rights(tmp_path / "sheets") == 0o700
    assert len(set.union(*tokens.values())) == 6
    for item in shared.people:
        text = item.sheet.read_text(encoding="utf-8")
        assert {person for person, mine in tokens.items() if any(token in text for token in mine)} == {item.person}
        assert all(token in text for token in tokens[item.person])
        for other in shared.people:
            if other is not item:
                assert other.person not in text
                assert str(other.notebook_port) not in text
        assert "gpu.example.org" in text
        assert "This is for colleagues" in text


def test_nothing_that_is_shown_holds_a_token(bay: Bay, fleet: str, share: Share) -> None:
    shared = share(fleet, ["ada"])
    service = find_service(bay, "notebook", bay.provider.observe()[0])
    assert service is not None
    shown = str(launchbay.to_json(shared)) + repr(shared) + str(launchbay.to_json(launchbay.ps(bay)))
    assert service.token not in shown
    record = (bay.provider.observe()[0].root / "person.json").read_text(encoding="utf-8")
    assert service.token not in record


def test_a_server_that_does_not_answer_is_said(fleet: str, share: Share, reporter: RecordingReporter) -> None:
    share(fleet, ["ada"])
    assert any("No SSH server answers on port 1" in note for note in reporter.notes)


# --- taking back ----------------------------------------------------------------------------------------------------


def test_a_revoked_key_is_refused_until_it_is_readmitted(bay: Bay, fleet: str, share: Share, tmp_path: Path) -> None:
    share(fleet, ["ada", "bob"])
    revoked = revoke_person(bay, fleet, "ada")
    assert (revoked.instance, revoked.changed) == ("class-1", True)
    assert owners(bay) == {"class-2": "bob"}
    assert [line.rpartition(":")[2] for line in lines(tmp_path)] == ["bob"]
    with pytest.raises(UsageError, match="the key of ada was revoked in 'class'") as caught:
        share(fleet, ["ada", "bob"])
    assert caught.value.where == "bay.yaml:ada"
    assert not revoke_person(bay, fleet, "ada").changed
    readmit(bay, fleet, "ada")
    share(fleet, ["ada", "bob"])
    assert owners(bay) == {"class-1": "ada", "class-2": "bob"}
    with pytest.raises(NotFound, match="no key of 'ada' was revoked"):
        readmit(bay, fleet, "ada")


def test_the_revoked_key_under_another_name_is_refused_too(bay: Bay, fleet: str, share: Share, tmp_path: Path) -> None:
    share(fleet, ["ada"])
    revoke_person(bay, fleet, "ada")
    for end in ("", ".pub"):
        os.link(tmp_path / "ssh" / f"ada{end}", tmp_path / "ssh" / f"eve{end}")
    with pytest.raises(UsageError, match=r"the key of eve was revoked in 'class' \(as ada's\)"):
        share(fleet, ["eve"])


def test_ports_and_tokens_are_others_afterwards(bay: Bay, fleet: str, share: Share) -> None:
    before = share(fleet, ["ada"]).people[0]
    instance = bay.provider.observe()[0]
    services = [find_service(bay, kind, instance) for kind in ("notebook", "board")]
    old = {service.token for service in services if service}
    revoke_person(bay, fleet, "ada")
    after = share(fleet, ["bob"]).people[0]
    assert after.instance == before.instance
    assert not {after.notebook_port, after.board_port} & {before.notebook_port, before.board_port}
    assert not any(token in after.sheet.read_text(encoding="utf-8") for token in old)


def test_another_key_of_the_same_person_takes_the_first_ones_place(
    bay: Bay, fleet: str, share: Share, tmp_path: Path
) -> None:
    share(fleet, ["ada"])
    (old,) = lines(tmp_path)
    for end in ("", ".pub"):
        (tmp_path / "ssh" / f"ada{end}").rename(tmp_path / "ssh" / f"lost{end}")
    share(fleet, ["ada"])
    (new,) = lines(tmp_path)
    assert owners(bay) == {"class-1": "ada"}
    assert old.split()[-2] != new.split()[-2]
    (tmp_path / "ssh" / "lost.pub").rename(tmp_path / "ssh" / "ada.pub")
    with pytest.raises(UsageError, match="was revoked"):
        share(fleet, ["ada"])


def test_who_has_nothing_cannot_be_revoked(bay: Bay, fleet: str, share: Share) -> None:
    share(fleet, ["ada"])
    with pytest.raises(NotFound, match="did you mean ada"):
        revoke_person(bay, fleet, "adda")


# --- killed ---------------------------------------------------------------------------------------------------------


def test_sharing_may_be_killed_at_any_step(bay: Bay, fleet: str, share: Share, tmp_path: Path) -> None:
    def hand_out() -> None:
        share(fleet, ["ada", "bob"])

    crossing = 0
    while kill_at(crossing := crossing + 1, hand_out):
        hand_out()
        assert owners(bay) == {"class-1": "ada", "class-2": "bob"}
        assert [line.rpartition(":")[2] for line in lines(tmp_path)] == ["ada", "bob"]
        for name in ("ada", "bob"):
            revoke_person(bay, fleet, name)
            readmit(bay, fleet, name)
    assert crossing > 10


def test_a_revocation_may_be_killed_at_any_step(bay: Bay, fleet: str, share: Share, tmp_path: Path) -> None:
    crossing = 0
    while True:
        before = share(fleet, ["ada"]).people[0]
        is_killed = kill_at(crossing := crossing + 1, lambda: revoke_person(bay, fleet, "ada"))
        revoke_person(bay, fleet, "ada")
        assert owners(bay) == {}
        assert lines(tmp_path) == []
        ports = {service.port for service in list_services(bay.home)}
        assert not ports & {before.notebook_port, before.board_port}
        readmit(bay, fleet, "ada")
        if not is_killed:
            break
    assert crossing > 10
