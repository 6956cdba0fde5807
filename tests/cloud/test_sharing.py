"""Instances on the twin in people's hands: what they are sent opens theirs and nobody else's, from where it was said."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import launchbay
from launchbay.cli.main import main
from launchbay.cloud.fleet import fleet_folder
from launchbay.cloud.shares import Share, networks_of_people, people_of
from launchbay.cloud.sharing import FarShared
from launchbay.errors import NotFound, UsageError
from launchbay.lifecycle.bay import Bay
from launchbay.planning.ingress import networks_let_in
from launchbay.providers.ec2.groups import find_groups
from tests.cloud.fleets import client_of, set_power

pytestmark = pytest.mark.skipif(
    shutil.which("bwrap") is None or shutil.which("ssh") is None, reason="hosts need bubblewrap, people OpenSSH"
)

OFFICE = "198.51.100.0/24"
"""How the twin sees who comes from 127.0.1.x."""
FROM_OFFICE = "127.0.1.7"


@pytest.fixture(scope="module")
def bay(standing: Bay) -> Bay:
    return standing


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a bay.yaml that names two people, and their keys."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("ada", "bob"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    people = "\n".join(f"  - {{name: {name}, key: {name}.pub}}" for name in ("ada", "bob"))
    (folder / "bay.yaml").write_text(f"name: exp\npeople:\n{people}\n")
    return folder


def share(bay: Bay, project: Path, *networks: str) -> FarShared:
    shared = launchbay.share(bay, "exp", output=project / "sheets", folder=project, networks=networks)
    assert isinstance(shared, FarShared)
    return shared


def ssh(project: Path, person: str, *words: str, key: str = "", address: str = "", data: str = "") -> Any:
    """Run the system's own client, as the sheet says, in the folder of the sheets."""
    own = ["-i", str(project / (key or person)), *(["-b", address] if address else [])]
    command = ["ssh", "-F", f"{person}.ssh", *own, *words]
    return subprocess.run(
        command, cwd=project / "sheets", input=data, capture_output=True, text=True, timeout=60, check=False
    )


def let_in(bay: Bay) -> set[str]:
    return set(map(str, networks_let_in(find_groups(client_of(bay), "exp"))))


def test_each_comes_into_their_own_with_plain_openssh(bay: Bay, project: Path) -> None:
    shared = share(bay, project)
    assert [(item.person, item.instance) for item in shared.people] == [("ada", "exp-1"), ("bob", "exp-2")]
    assert people_of(bay.home, "exp") == {"exp-1": "ada", "exp-2": "bob"}
    done = ssh(project, "ada", "exp-1", "whoami")
    assert (done.returncode, done.stdout) == (0, "ubuntu\n"), done.stderr
    inside = ssh(project, "ada", "shell", data='python -c "import six, sys; print(six.__version__, sys.prefix)"\n')
    assert "1.17.0" in inside.stdout, inside.stderr
    assert "/.launchbay/instances/" in inside.stdout
    assert ssh(project, "ada", "exp-1", "true", key="bob").returncode == 255
    assert ssh(project, "bob", "exp-2", "true").returncode == 0
    (project / "sheets" / "note.txt").write_text("from ada")
    copied = subprocess.run(
        ["scp", "-F", "ada.ssh", "-i", str(project / "ada"), "note.txt", "exp-1:work/"],
        cwd=project / "sheets",
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert copied.returncode == 0, copied.stderr
    assert ssh(project, "ada", "shell", data="cat note.txt\n").stdout == "from ada"


def test_what_is_sent_holds_no_key_of_ours_and_only_its_owner_can_read_it(bay: Bay, project: Path) -> None:
    shared = share(bay, project)
    own = (fleet_folder(bay.home, "exp") / "key").read_text()
    for path in (project / "sheets").glob("*.*"):
        text = path.read_text()
        assert "PRIVATE" not in text
        assert own.splitlines()[1] not in text
        assert str(bay.home.root) not in text
    for item in shared.people:
        assert item.sheet.stat().st_mode & 0o077 == 0
        tokens = [line.strip() for line in item.sheet.read_text().splitlines() if len(line.strip()) == 43]
        assert len(set(tokens)) == 2
        assert item.config.read_text().count(tokens[0]) == 0


def test_nobody_comes_from_elsewhere_until_it_is_said(bay: Bay, project: Path) -> None:
    shared = share(bay, project)
    assert list(shared.networks) == []
    before = let_in(bay)
    assert ssh(project, "ada", "exp-1", "true", address=FROM_OFFICE).returncode == 255
    assert OFFICE not in (project / "sheets" / "ada.md").read_text()
    assert list(share(bay, project, OFFICE).networks) == [OFFICE]
    assert let_in(bay) == before | {OFFICE}
    assert ssh(project, "ada", "exp-1", "true", address=FROM_OFFICE).returncode == 0
    assert list(share(bay, project).networks) == [OFFICE]  # it stays, without being said again
    assert networks_of_people(bay.home, "exp") == (OFFICE,)
    assert OFFICE in (project / "sheets" / "ada.md").read_text()


def test_what_somebody_has_opened_beside_it_is_not_let_in_by_ssh(bay: Bay, project: Path) -> None:
    share(bay, project)
    before, (group,) = let_in(bay), find_groups(client_of(bay), "exp")
    web = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    client_of(bay).act("authorize_security_group_ingress", GroupId=group["GroupId"], IpPermissions=[web])
    share(bay, project)
    assert let_in(bay) == before


@pytest.mark.parametrize("network", ["0.0.0.0/0", "::/0", "10.0.0.1/8", "office"])
def test_a_network_that_is_none_or_too_wide_is_refused_before_anything_is_done(
    bay: Bay, project: Path, network: str
) -> None:
    before = let_in(bay)
    with pytest.raises(UsageError):
        share(bay, project, network)
    assert let_in(bay) == before


def test_what_is_of_another_place_is_refused(bay: Bay, project: Path) -> None:
    with pytest.raises(UsageError, match="on EC2"):
        launchbay.share(bay, "exp", folder=project, host="gpu.example.org")
    with pytest.raises(UsageError, match="an instance"):
        launchbay.share(bay, "exp-1", folder=project)


def test_a_person_with_another_key_comes_in_with_that_one_alone(bay: Bay, project: Path) -> None:
    (project / "bob").rename(project / "old")
    (project / "bob.pub").rename(project / "old.pub")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(project / "bob")], check=True)
    share(bay, project)
    assert ssh(project, "bob", "exp-2", "true").returncode == 0
    assert ssh(project, "bob", "exp-2", "true", key="old").returncode == 255


def test_revoked_their_key_their_sessions_and_their_network_are_gone(
    bay: Bay, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    share(bay, project, OFFICE)
    words = ["ssh", "-F", "ada.ssh", "-i", str(project / "ada"), "exp-1", "echo up; exec sleep 600"]
    with subprocess.Popen(words, cwd=project / "sheets", stdout=subprocess.PIPE, text=True) as open_one:
        assert open_one.stdout is not None
        assert open_one.stdout.readline() == "up\n"
        other = (project / "old.pub").read_text().strip()  # a key that they let in themselves goes too
        assert ssh(project, "ada", "exp-1", f"echo '{other}' >> .ssh/authorized_keys").returncode == 0
        assert ssh(project, "ada", "exp-1", "true", key="old").returncode == 0
        monkeypatch.setenv("LAUNCHBAY_HOME", str(bay.home.root))
        monkeypatch.chdir(project)
        capsys.readouterr()
        assert main(["--json", "share", "exp", "--revoke", "ada"]) == 0
        said = json.loads(capsys.readouterr().out)
        assert (said["person"], said["instance"], said["changed"]) == ("ada", "exp-1", True)
        assert open_one.wait(timeout=30) != 0
    assert {ssh(project, "ada", "exp-1", "true", key=key).returncode for key in ("ada", "old")} == {255}
    assert launchbay.verify(bay, "exp-1").identical  # we ourselves come in as before
    assert OFFICE in let_in(bay)  # bob needs it
    again = launchbay.revoke(bay, "exp", "ada", folder=project)
    assert not again.changed
    with pytest.raises(UsageError, match="was revoked"):
        share(bay, project)
    launchbay.revoke(bay, "exp", "bob", folder=project)
    assert OFFICE not in let_in(bay)
    assert people_of(bay.home, "exp") == {}
    with pytest.raises(NotFound):
        launchbay.revoke(bay, "exp", "eve", folder=project)


def test_readmitted_they_get_it_back_and_a_stopped_one_is_said(bay: Bay, project: Path) -> None:
    for name in ("ada", "bob"):
        launchbay.readmit_person(bay, "exp", name, folder=project)
    assert ssh(project, "ada", "exp-1", "true").returncode == 255
    share(bay, project)
    assert ssh(project, "ada", "exp-1", "true").returncode == 0
    set_power(bay, "exp-2", "terminate")
    revoked = launchbay.revoke(bay, "exp", "bob", folder=project)
    assert (revoked.changed, revoked.processes_ended) == (True, 0)


def test_a_network_goes_with_the_last_who_needs_it() -> None:
    shared = Share(networks={"10.0.0.0/8": ["ada", "bob"], "192.0.2.0/24": ["ada"]})
    assert shared.without("ada").networks == {"10.0.0.0/8": ["bob"]}
    assert shared.without("ada").without("bob").networks == {}
