"""Instances on the twin in people's hands that are reached through an endpoint: by plain OpenSSH, and from no address."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import launchbay
from launchbay.cloud.launch import launch_cloud
from launchbay.cloud.plan import plan_cloud
from launchbay.cloud.shares import read_share
from launchbay.cloud.sharing import FarShared
from launchbay.lifecycle.bay import Bay
from launchbay.providers.ec2.client import Client
from launchbay.providers.ec2.groups import find_groups
from tests.cloud.conftest import begin_anew
from tests.cloud.fleets import asked, client_of, make_endpoint, row_of

pytestmark = pytest.mark.skipif(
    shutil.which("bwrap") is None or shutil.which("ssh") is None, reason="hosts need bubblewrap, people OpenSSH"
)

OFFICE = "198.51.100.0/24"
"""How the twin sees who comes from 127.0.1.x. It drops whom it has seen and may not let in, so each file has an x of its own."""
FROM_OFFICE = "127.0.1.8"
HERE = "203.0.113.1/32"


def rules_of(client: Client) -> set[tuple[str, str]]:
    """Return protocol and peer of all that the fleet's group lets in."""
    (group,) = find_groups(client, "exp")
    return {
        (str(rule["IpProtocol"]), str(peer.get("CidrIp") or peer["GroupId"]))
        for rule in group["IpPermissions"]
        for peer in (*rule["IpRanges"], *rule["UserIdGroupPairs"])
    }


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a folder with a bay.yaml that names a person, and their key."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "ada")], check=True)
    (tmp_path / "bay.yaml").write_text("name: exp\npeople:\n  - {name: ada, key: ada.pub}\n")
    return tmp_path


def share(bay: Bay, project: Path, *networks: str) -> FarShared:
    shared = launchbay.share(bay, "exp", output=project / "sheets", folder=project, networks=networks)
    assert isinstance(shared, FarShared)
    return shared


def ssh(project: Path, *words: str) -> Any:
    command = ["ssh", "-F", "ada.ssh", "-i", str(project / "ada"), *words]
    return subprocess.run(
        command,
        cwd=project / "sheets",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_each_comes_in_through_it_and_no_address_is_let_in(place: Bay, project: Path) -> None:
    bay = begin_anew(place)
    endpoint = make_endpoint(bay)
    fleet = launch_cloud(bay, plan_cloud(bay, asked(bay, reach="endpoint", auth="one-time"))).fleet
    assert fleet.endpoint is not None
    (near,) = fleet.endpoint.networks
    client, row = client_of(bay), row_of(bay, "exp-1")
    before = rules_of(client)
    assert before == {("tcp", near)}
    shared = share(bay, project)
    assert (shared.endpoint, shared.caller, [item.address for item in shared.people]) == (endpoint, "", [row.id])
    assert rules_of(client) == before
    done = ssh(project, "exp-1", "whoami")
    assert (done.returncode, done.stdout) == (0, "ubuntu\n"), done.stderr
    assert f"HostName {row.id}\n" in (project / "sheets" / "ada.ssh").read_text()
    assert f"reached through {endpoint}" in (project / "sheets" / "ada.md").read_text()

    launchbay.revoke(bay, "exp", "ada", folder=project)
    assert rules_of(client) == before
    assert ssh(project, "exp-1", "true").returncode == 255
    assert launchbay.verify(bay, "exp-1").identical  # we ourselves come in as before

    launchbay.readmit_person(bay, "exp", "ada", folder=project)
    shared = share(bay, project, OFFICE)
    assert rules_of(client) == {("tcp", near), ("tcp", OFFICE)}
    assert [item.address for item in shared.people] == [row.public_address]
    assert ssh(project, "-b", FROM_OFFICE, "exp-1", "true").returncode == 0
    launchbay.revoke(bay, "exp", "ada", folder=project)
    assert rules_of(client) == before


def test_an_endpoint_that_keeps_addresses_leaves_them_to_be_let_in(place: Bay, project: Path) -> None:
    bay = begin_anew(place)
    endpoint = make_endpoint(bay, PreserveClientIp=True)
    launch_cloud(bay, plan_cloud(bay, asked(bay, reach="endpoint", auth="injected")))
    client = client_of(bay)
    own = str(find_groups(client, "exp")[0]["GroupId"])
    rule = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": own}]}  # as for EFA
    client.act("authorize_security_group_ingress", GroupId=own, IpPermissions=[rule])
    shared = share(bay, project)
    assert (shared.endpoint, shared.caller) == (endpoint, HERE)
    assert rules_of(client) == {("tcp", HERE), ("-1", own)}
    assert ssh(project, "exp-1", "true").returncode == 0
    assert read_share(bay.home, "exp").caller == HERE
