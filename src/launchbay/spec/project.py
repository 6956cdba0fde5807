"""`bay.yaml`: what a project launches and runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from launchbay.spec.document import read_document
from launchbay.spec.names import check_count, check_fleet_name
from launchbay.spec.people import Person, read_people
from launchbay.spec.resources import Resources, read_resources

__all__ = ["PROJECT_FIELDS", "PROJECT_FILE", "Project", "find_project", "read_project"]

PROJECT_FILE = "bay.yaml"

PROJECT_FIELDS: dict[str, str] = {
    "name": "the fleet's name; instances are NAME-1 to NAME-N",
    "image": "an image's name, a recipe file, or a requirements file",
    "count": "how many instances to launch (1 to 1000)",
    "script": "the script that `bay train` runs",
    "data": "the folder that the script finds as data/",
    "args": "arguments for the script",
    "people": "whom the instances belong to: a list of entries with `name` and `key`; `bay share` hands them out",
    "resources": "what each instance may use of the machine: `cpus`, `memory` and `gpus`",
}
"""Every field of bay.yaml with its meaning; the reference is generated from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """The content of a bay.yaml; empty texts where it says nothing."""

    folder: Path
    name: str = ""
    image: str = ""
    count: int = 1
    script: str = ""
    data: str = ""
    args: tuple[str, ...] = ()
    people: tuple[Person, ...] = ()
    resources: Resources | None = None


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
    )
    document.finish()
    return project


def find_project(folder: Path) -> Project | None:
    """Return the bay.yaml of `folder`, or None when there is none."""
    path = folder / PROJECT_FILE
    return read_project(path) if path.exists() else None
