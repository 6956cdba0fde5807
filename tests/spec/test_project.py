from __future__ import annotations

from pathlib import Path

import pytest

from launchbay.errors import UsageError
from launchbay.spec.people import Person, PublicKey
from launchbay.spec.project import PROJECT_FIELDS, Project, find_project, read_project
from launchbay.spec.resources import Resources

WHOLE = """\
name: exp
image: tensorflow
count: 20
script: train.py
data: data
args: [--epochs, "500"]
people: [{name: ada, key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f}]
resources: {cpus: 2}
provider: twin
region: eu-west-1
type: p3.2xlarge
spot: true
disk: 100GiB
volumes: ["35GiB:/data"]
ttl: 8h
reach: endpoint
auth: one-time
"""
KEY = PublicKey("ssh-ed25519", "AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f")


def write(folder: Path, text: str) -> Path:
    path = folder / "bay.yaml"
    path.write_text(text)
    return path


def test_a_project_says_all_it_can_say(tmp_path: Path) -> None:
    assert find_project(tmp_path) is None
    write(tmp_path, WHOLE)
    assert find_project(tmp_path) == Project(
        folder=tmp_path,
        name="exp",
        image="tensorflow",
        count=20,
        script="train.py",
        data="data",
        args=("--epochs", "500"),
        people=(Person(name="ada", key=KEY, where=f"{tmp_path / 'bay.yaml'}:7"),),
        resources=Resources(cpus=2),
        provider="twin",
        region="eu-west-1",
        type="p3.2xlarge",
        spot=True,
        disk="100GiB",
        volumes=("35GiB:/data",),
        ttl="8h",
        reach="endpoint",
        auth="one-time",
    )


def test_a_project_may_say_nothing(tmp_path: Path) -> None:
    assert read_project(write(tmp_path, "")) == Project(folder=tmp_path)


def test_every_documented_field_is_a_field(tmp_path: Path) -> None:
    known = {line.partition(":")[0] for line in WHOLE.splitlines()}
    assert set(PROJECT_FIELDS) == known
    write(tmp_path, "nothing: 1\n")
    with pytest.raises(UsageError, match=f"known fields are {', '.join(sorted(known))}"):
        find_project(tmp_path)


@pytest.mark.parametrize(
    ("text", "what", "line"),
    [
        ("image: jax\ncount: 0\n", "count must be 1 to 1000, got 0", 2),
        ("count: -1\n", "count must be 1 to 1000, got -1", 1),
        ("reach: ssm\n", "reach must be endpoint or address, got 'ssm'", 1),
        ("auth: password\n", "auth must be one-time or injected, got 'password'", 1),
        ("provider: moon\n", "provider must be local, ec2 or twin, got 'moon'", 1),
        ("count: 1001\n", "count must be 1 to 1000, got 1001", 1),
        ("count: 100000\n", "count must be 1 to 1000, got 100000", 1),
        ("count: '3'\n", "count must be a whole number, got '3'", 1),
        ("\n\nname: my exp\n", "a fleet name must be 1 to 63 letters", 3),
        ("name: 7\n", "name must be a text in quotes", 1),
        ("args: [--epochs, 500]\n", "args must be a list of texts, got 500", 1),
        ("image: jax\nimage: tensorflow\n", "field 'image' stands twice, first in line 1", 2),
    ],
)
def test_what_cannot_be_is_named_with_file_and_line(tmp_path: Path, text: str, what: str, line: int) -> None:
    path = write(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        read_project(path)
    assert caught.value.what.startswith(what)
    assert caught.value.where == f"{path}:{line}"
