"""`bay.yaml`: what a project launches and runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from launchbay.errors import UsageError
from launchbay.spec.document import Document, read_document
from launchbay.spec.names import check_count, check_fleet_name
from launchbay.spec.people import Person, read_people
from launchbay.spec.resources import Resources, read_resources

__all__ = ["AUTHS", "PROJECT_FIELDS", "PROJECT_FILE", "PROVIDERS", "REACHES", "Project", "find_project", "read_project"]

PROJECT_FILE = "bay.yaml"

PROVIDERS = ("local", "ec2", "twin")
"""Where instances can be."""
REACHES = ("endpoint", "address")
"""How instances on EC2 can be reached: through an Instance Connect Endpoint of their network, or at an address of theirs."""
AUTHS = ("one-time", "injected")
"""What can open them: a key that EC2 Instance Connect lets in for 60 seconds, or one that is there from the launch on."""

PROJECT_FIELDS: dict[str, str] = {
    "name": "the fleet's name; instances are NAME-1 to NAME-N",
    "image": "an image's name, a recipe file, or a requirements file",
    "count": "how many instances to launch (1 to 1000)",
    "script": "the script that `bay train` runs",
    "data": "the folder that the script finds as data/",
    "args": "arguments for the script",
    "people": "whom the instances belong to: a list of entries with `name` and `key`; `bay share` hands them out",
    "resources": "what each instance may use of the machine: `cpus`, `memory` and `gpus`",
    "provider": "where instances are: local, ec2 or twin",
    "region": "where on EC2, such as us-east-1",
    "type": "the instance type on EC2, such as p3.2xlarge",
    "spot": "true for the spot market",
    "disk": "the size of the root disk on EC2, such as 100GiB",
    "volumes": "more disks on EC2, each such as `35GiB:/data`",
    "ttl": "for how long an instance on EC2 may live, such as 8h; then it ends itself",
    "reach": "how instances on EC2 are reached: endpoint or address",
    "auth": "what opens instances on EC2: one-time or injected",
}
"""Every field of bay.yaml with its meaning; the reference is generated from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """The content of a bay.yaml; empty texts where it says nothing. Sizes and times of EC2 are as they were written."""

    folder: Path
    name: str = ""
    image: str = ""
    count: int = 1
    script: str = ""
    data: str = ""
    args: tuple[str, ...] = ()
    people: tuple[Person, ...] = ()
    resources: Resources | None = None
    provider: str = ""
    region: str = ""
    type: str = ""
    spot: bool = False
    disk: str = ""
    volumes: tuple[str, ...] = ()
    ttl: str = ""
    reach: str = ""
    auth: str = ""


def read_project(path: Path) -> Project:
    """Read a bay.yaml. Raises UsageError naming file, line and field."""
    document = read_document(path)
    name = document.text("name")
    project = Project(
        folder=path.parent,
        name=check_fleet_name(name, where=document.where("name")) if name else "",
        image=document.text("image"),
        count=check_count(document.integer("count", 1), where=document.where("count")),
        script=document.text("script"),
        data=document.text("data"),
        args=document.texts("args"),
        people=read_people(document.documents("people"), path.parent),
        resources=read_resources(document.documents("resources")),
        provider=_one_of(document, "provider", PROVIDERS),
        region=document.text("region"),
        type=document.text("type"),
        spot=document.flag("spot", default=False),
        disk=document.typed("disk") if document.has("disk") else "",
        volumes=document.texts("volumes"),
        ttl=document.typed("ttl") if document.has("ttl") else "",
        reach=_one_of(document, "reach", REACHES),
        auth=_one_of(document, "auth", AUTHS),
    )
    document.finish()
    return project


def _one_of(document: Document, name: str, words: Sequence[str]) -> str:
    said = document.text(name)
    if said not in ("", *words):
        what = f"{name} must be {', '.join(words[:-1])} or {words[-1]}, got {said!r}"
        raise UsageError(what, where=document.where(name))
    return said


def find_project(folder: Path) -> Project | None:
    """Return the bay.yaml of `folder`, or None when there is none."""
    path = folder / PROJECT_FILE
    return read_project(path) if path.exists() else None
