"""`bay.yaml`: what a project launches and runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from launchbay.errors import UsageError
from launchbay.spec.document import Document, read_document
from launchbay.spec.names import check_count, check_fleet_name
from launchbay.spec.people import Person, read_people
from launchbay.spec.resources import Resources, read_resources

__all__ = ["PROJECT_FIELDS", "PROJECT_FILE", "PROVIDERS", "Project", "find_project", "read_project"]

PROJECT_FILE = "bay.yaml"

PROVIDERS = ("local", "ec2", "twin")
"""Where instances can be."""

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
        provider=_provider(document),
        region=document.text("region"),
        type=document.text("type"),
        spot=document.flag("spot", default=False),
        disk=document.typed("disk") if document.has("disk") else "",
        volumes=document.texts("volumes"),
        ttl=document.typed("ttl") if document.has("ttl") else "",
    )
    document.finish()
    return project


def _provider(document: Document) -> str:
    provider = document.text("provider")
    if provider not in ("", *PROVIDERS):
        what = f"provider must be {', '.join(PROVIDERS[:-1])} or {PROVIDERS[-1]}, got {provider!r}"
        raise UsageError(what, where=document.where("provider"))
    return provider


def find_project(folder: Path) -> Project | None:
    """Return the bay.yaml of `folder`, or None when there is none."""
    path = folder / PROJECT_FILE
    return read_project(path) if path.exists() else None
