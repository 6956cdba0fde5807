"""What a person on EC2 is handed, as OpenSSH itself reads it."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from launchbay.cloud.sheet import FarSheet, config_text, known_hosts_text, page_text, tunnel_words
from launchbay.planning.way import Endpoint
from launchbay.spec.people import Person, parse_key
from launchbay.transport.door import Door
from tests.spec.test_people import ED

ID, OFFICE = "i-0123456789abcdef0", "198.51.100.0/24"
ENDPOINT = Endpoint(id="eice-1", name="eice-1.example", subnet="subnet-1", groups=("sg-1",), addresses=("10.0.0.9",))
KEEPING = replace(ENDPOINT, keeps_client=True)
DOOR = Door(address="203.0.113.9", user="ubuntu", keys=(Path("/x"),), known_hosts=Path("/known"), alias=ID)
THROUGH = replace(DOOR, address=ID, proxy=tunnel_words(ID, "eu-central-1"))
SHEET = FarSheet(
    person=Person(name="ada", key=parse_key(ED), where="bay.yaml:2"),
    instance="exp-1",
    image="tiny",
    type="c5.large",
    region="eu-central-1",
    door=DOOR,
    host_keys=[ED],
    host_fingerprint="SHA256:x",
    networks=(OFFICE,),
    notebook=8888,
    board=6006,
    notebook_token="secret-1",
    board_token="secret-2",
)


def read_by_ssh(folder: Path, sheet: FarSheet, host: str) -> dict[str, str]:
    """Return what OpenSSH makes of the file."""
    path = folder / "ada.ssh"
    path.write_text(config_text(sheet))
    done = subprocess.run(["ssh", "-G", "-F", str(path), host], capture_output=True, text=True, check=True)
    return dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)


@pytest.mark.skipif(shutil.which("ssh") is None, reason="people need OpenSSH")
@pytest.mark.parametrize("host", ["exp-1", "shell", "notebook", "board"])
def test_through_an_endpoint_it_is_the_aws_cli_that_leads_there(tmp_path: Path, host: str) -> None:
    read = read_by_ssh(tmp_path, replace(SHEET, door=THROUGH, endpoint=ENDPOINT), host)
    words = f"aws ec2-instance-connect open-tunnel --instance-id {ID} --region eu-central-1"
    assert (read["proxycommand"], read["hostname"], read["hostkeyalias"], read["port"]) == (words, ID, ID, "22")
    assert "proxycommand" not in read_by_ssh(tmp_path, replace(SHEET, endpoint=ENDPOINT), host)


@pytest.mark.skipif(shutil.which("ssh") is None, reason="people need OpenSSH")
def test_a_program_of_any_name_is_what_is_run(tmp_path: Path) -> None:
    words = ("/a folder/100%h/python", "-m", "it's", "$HOME")
    read = read_by_ssh(tmp_path, replace(SHEET, door=replace(THROUGH, proxy=words), endpoint=ENDPOINT), "exp-1")
    told = read["proxycommand"].replace("%%", "%")  # as OpenSSH does before it runs it
    ran = subprocess.run(["sh", "-c", f"printf '%s\\n' {told}"], capture_output=True, text=True, check=True)
    assert tuple(ran.stdout.splitlines()) == words


def test_the_page_says_what_is_needed_to_come_in() -> None:
    page = page_text(replace(SHEET, door=THROUGH, endpoint=ENDPOINT, networks=()))
    for words in (
        "version 2",
        "ec2-instance-connect:OpenTunnel",
        "ec2:DescribeInstances",
        "Nobody reaches it from any",
    ):
        assert words in page
    assert "another address" not in page
    assert "AWS CLI" not in page_text(replace(SHEET, endpoint=ENDPOINT))
    assert "AWS CLI" not in page_text(SHEET)
    assert "has another address" in page_text(SHEET)


@pytest.mark.parametrize(
    ("door", "endpoint", "networks", "said"),
    [
        (DOOR, None, (), "So far only the machine that launched it may come in. Whoever"),
        (DOOR, None, (OFFICE,), f"reached from {OFFICE}, with your key, and from where it was launched; from nowhere else"),
        (DOOR, ENDPOINT, (OFFICE,), f"from {OFFICE}, and through eice-1, by whoever may open tunnels there, with your key"),
        (THROUGH, ENDPOINT, (), "reached through eice-1, by whoever may open tunnels there, with your key; from nowhere else"),
        (THROUGH, ENDPOINT, (OFFICE,), f"at its private address from {OFFICE}, and through eice-1"),
        (THROUGH, KEEPING, (), "only the machine that launched it may come in through eice-1. Whoever"),
        (THROUGH, KEEPING, (OFFICE,), f"reached through eice-1 from {OFFICE}, with your key, and from where it was launched"),
        (DOOR, KEEPING, (OFFICE,), f"reached from {OFFICE}, with your key, and from where it was launched"),
    ],
)  # fmt: skip
def test_the_page_says_from_where_it_is_reached(
    door: Door, endpoint: Endpoint | None, networks: tuple[str, ...], said: str
) -> None:
    assert said in page_text(replace(SHEET, door=door, endpoint=endpoint, networks=networks))


def test_what_is_no_secret_holds_none() -> None:
    for text in (config_text(SHEET), known_hosts_text(SHEET), repr(SHEET)):
        assert "secret" not in text
    assert known_hosts_text(SHEET) == f"{ID} {ED}\n"
