"""Fleets on EC2: plan one as it was asked for, show it, save it, launch it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from launchbay.api.place import regions_of
from launchbay.cloud.asked import CloudAsked
from launchbay.cloud.launch import CloudLaunch, launch_cloud
from launchbay.cloud.plan import CloudPlan, check_launchable, plan_cloud
from launchbay.cloud.saved import check_still_true, plan_from_json, plan_to_json
from launchbay.errors import Conflict, NotFound, StateError, UsageError
from launchbay.files import explain_os_error, read_json, write_json
from launchbay.images.recipe import find_recipe
from launchbay.jsonable import fields_of
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.cloud import open_cloud
from launchbay.planning.cloudwish import Volume, parse_lease
from launchbay.planning.way import auth_costs
from launchbay.providers.ec2.templates import export_template
from launchbay.spec.names import instance_names, suggest_name
from launchbay.spec.project import Project, find_project
from launchbay.units import parse_bytes

__all__ = [
    "CloudOptions",
    "ask_cloud",
    "check_launchable",
    "describe_plan",
    "export_plan",
    "launch_planned",
    "place_of_launch",
    "plan_launch",
    "read_plan",
    "save_plan",
]

_GIB = 2**30
_CENT = Decimal("0.01")
_TTL = "8h"
_VOLUME = re.compile(r"(?P<size>[^:]+):(?P<mount>/[^:]*)(?P<kept>:keep)?\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudOptions:
    """What was said of a launch on EC2, as it was typed; empty where nothing was, and then bay.yaml's word counts.

    `volumes` are such as ``35GiB:/data`` (``:keep`` after it: it outlives its instance), `tags` such as ``team=vision``.
    """

    region: str = ""
    type: str = ""
    is_spot: bool = False
    with_sisters: bool = False
    disk: str = ""
    volumes: Sequence[str] = ()
    ttl: str = ""
    budget: str = ""
    networks: Sequence[str] = ()
    is_open_to_anyone: bool = False
    zone: str = ""
    subnet: str = ""
    groups: Sequence[str] = ()
    reach: str = ""
    auth: str = ""
    profile: str = ""
    key_name: str = ""
    identity_file: str = ""
    tags: Sequence[str] = ()
    template: str = ""
    efa: bool = False
    machine_image: str = ""
    rate: int | None = None

    @property
    def said(self) -> Sequence[str]:
        """The names of what was said."""
        return [name for name in self.__dataclass_fields__ if getattr(self, name) not in ("", (), [], False, None)]


def place_of_launch(provider: str | None, *, folder: Path | None = None, is_project: bool) -> str:
    """Return where a launch goes: as it was said, else as bay.yaml says, else this machine."""
    project = find_project(folder or Path()) if is_project and provider is None else None
    return provider or (project.provider if project else "") or "local"


def ask_cloud(
    bay: Bay,
    image: str,
    *,
    provider: str,
    count: int = 1,
    name: str | None = None,
    options: CloudOptions | None = None,
    folder: Path | None = None,
    is_project: bool = False,
) -> CloudAsked:
    """Return what a launch on EC2 means, read from what was typed, and with `is_project` from bay.yaml what was not.

    Raises UsageError, naming what cannot be read and how it should look.
    """
    given = options or CloudOptions()
    project = (find_project(folder or Path()) if is_project else None) or Project(folder=folder or Path())
    kind = given.type or project.type
    if not kind and not given.template:
        hint = "--type p3.2xlarge; `bay types --gpus 1+` lists them"
        raise UsageError("a launch on EC2 needs an instance type", hint=hint)
    disk = given.disk or project.disk
    return CloudAsked(
        image=image,
        fleet=name or suggest_name(find_recipe(image).name),
        provider=provider,
        region=regions_of(bay, (given.region or project.region,) if given.region or project.region else ())[0],
        type=kind,
        count=count,
        is_spot=given.is_spot or project.spot,
        with_sisters=given.with_sisters,
        disk_gib=_read_gib(disk, "--disk 100GiB") if disk else None,
        volumes=tuple(_read_volume(text) for text in (given.volumes or project.volumes)),
        ttl_s=parse_lease(given.ttl or project.ttl or _TTL, hint="--ttl 8h"),
        networks=tuple(given.networks),
        is_open_to_anyone=given.is_open_to_anyone,
        zone=given.zone,
        subnet=given.subnet,
        groups=tuple(given.groups),
        reach=given.reach or project.reach,
        auth=given.auth or project.auth,
        profile=given.profile,
        key_name=given.key_name,
        identity_file=str(Path(given.identity_file).expanduser().absolute()) if given.identity_file else "",
        tags=_read_tags(given.tags),
        template=given.template,
        efa=given.efa,
        machine_image=given.machine_image,
        rate=given.rate,
        budget=_read_budget(given.budget),
    )


def _read_gib(text: str, example: str) -> int:
    """Read a size in GiB, rounded up to a whole one; a bare number is one already."""
    try:
        if text.strip().isdecimal() and int(text) > 0:
            return int(text)
        return math.ceil(parse_bytes(text) / _GIB)
    except UsageError as error:
        raise UsageError(f"a disk's size must look like 100, 100GiB or 107GB, got {text!r}", hint=example) from error


def _read_volume(text: str) -> Volume:
    found = _VOLUME.match(text)
    if found is None:
        raise UsageError(f"a volume must look like 35GiB:/data, got {text!r}", hint="--volume 35GiB:/data")
    size = _read_gib(found["size"], "--volume 35GiB:/data")
    return Volume(gib=size, mount=found["mount"], is_kept=found["kept"] is not None)


def _read_tags(texts: Sequence[str]) -> Mapping[str, str]:
    tags: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise UsageError(f"a tag must look like team=vision, got {text!r}", hint="--tag team=vision")
        tags[key] = value
    return tags


def _read_budget(text: str) -> Decimal | None:
    if not text:
        return None
    try:
        budget = Decimal(text.casefold().removesuffix("usd").strip().removeprefix("$"))
        if budget.is_finite() and budget >= _CENT:
            return budget
    except InvalidOperation:
        pass
    raise UsageError(f"a budget must look like 5usd, of a cent at least, got {text!r}", hint="--budget 5usd")


def plan_launch(bay: Bay, asked: CloudAsked) -> CloudPlan:
    """Return what a launch on EC2 would be: machine image, places, prices, what it can cost at most. Changes nothing.

    Raises UsageError and UserError for what cannot be, each with what to do.
    """
    return plan_cloud(bay, asked)


def launch_planned(bay: Bay, plan: CloudPlan) -> CloudLaunch:
    """Launch what was planned: all identical instances of it, proven, or none. The same again finds what stands."""
    return launch_cloud(bay, plan)


def describe_plan(plan: CloudPlan) -> Mapping[str, Any]:
    """Return a plan as a value that `--json` shows: what would be done, at which price, and what it can cost at most."""
    asked, names = plan.asked, instance_names(plan.asked.fleet, plan.asked.count)
    made = {
        "security-group": plan.makes_group,
        "key-pair": plan.makes_key,
        "placement-group": plan.makes_placement,
    }
    actions = [
        {"verb": "create", "kind": kind, "names": [f"launchbay-{asked.fleet}"]}
        for kind, is_made in made.items()
        if is_made
    ]
    launch = {"verb": "launch", "kind": "instance", "names": list(names), "type": plan.type.name}
    prove = {"verb": "verify", "kind": "instance", "names": list(names)}
    return {
        "fleet": asked.fleet,
        "provider": asked.provider,
        "region": asked.region,
        "image": {"name": plan.cargo.name, "digest": plan.cargo.digest},
        "machine_image": plan.image.id,
        "actions": [*actions, launch, prove],
        "rungs": [fields_of(rung) for rung in plan.rungs],
        "reach": {
            "by": plan.way.reach,
            "endpoint": plan.way.endpoint.id if plan.way.endpoint else None,
            "networks": list(plan.way.networks),
            "costs": plan.reach_costs,
        },
        "auth": {
            "by": plan.way.auth,
            "user": plan.image.login,
            "key_name": plan.wish.key_name or None,
            "costs": auth_costs(plan.way),
        },
        "usd_per_hour": None if plan.usd_per_hour is None else f"{plan.usd_per_hour:f}",
        "worst_case": plan.worst.as_json(),
        "quota": plan.quota,
        "lease_s": plan.lease_s,
        "is_declared": plan.is_declared,
        "notes": list(plan.notes),
    }


def save_plan(plan: CloudPlan, path: Path) -> None:
    """Write a plan into a file, from which `read_plan` reads it. No secret is in it.

    Raises UsageError for a folder, and for a path whose folder is not there: none is made.
    """
    hint = "bay plan ... -o plan.json"
    try:
        if path.is_dir():
            raise UsageError("a plan is saved in a file, and that is a folder", where=str(path), hint=hint)
        if not path.parent.is_dir():
            raise UsageError("there is no such folder to save the plan in", where=str(path.parent), hint=hint)
        write_json(path, plan_to_json(plan))
    except OSError as error:
        raise explain_os_error(error, "saving the plan") from error


def export_plan(bay: Bay, plan: CloudPlan, name: str) -> str:
    """Write a plan as a launch template of EC2, from which other tools launch the same; return ``NAME:VERSION``.

    What belongs to one fleet alone (group, key, boot script, tags of ours) is not in it. Idempotent. Raises Conflict for a name
    that is somebody else's.
    """
    said = export_template(open_cloud(bay, plan.asked.provider, plan.asked.region), plan.wish, name)
    return f"{name}:{said.version}"


def read_plan(bay: Bay, path: Path) -> CloudPlan:
    """Read a plan and make it anew. Raises Conflict, naming what, where the world is another than when it was made.

    Raises NotFound where there is no such file, UsageError for one that is no plan.
    """
    try:
        value: Any = read_json(path)
    except FileNotFoundError as error:
        raise NotFound(f"there is no plan {path}", hint="bay plan ... -o plan.json") from error
    except (StateError, IsADirectoryError):
        value = None  # no record of ours at all
    except OSError as error:
        raise explain_os_error(error, "reading the plan") from error
    saved = plan_from_json(value, where=str(path))
    fresh = plan_cloud(bay, saved.asked)
    if moved := check_still_true(saved, fresh):
        what = f"the world is not as this plan saw it: {'; '.join(moved)}"
        raise Conflict(what, where=str(path), hint="bay plan again, and read it")
    return fresh
