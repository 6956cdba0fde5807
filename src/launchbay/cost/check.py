"""What a workload asks for, held against what there is. Pure."""

from __future__ import annotations

from launchbay.catalog.match import GPU_SLACK, plain_name
from launchbay.catalog.price import Catalogue
from launchbay.catalog.type import InstanceType
from launchbay.errors import NotFound, UsageError
from launchbay.spec.assignment import Assignment
from launchbay.spec.names import closest, nearest
from launchbay.spec.needs import Needs
from launchbay.spec.workload import Workload

__all__ = ["check_workload", "gpu_named", "shortfalls", "unmet"]


def check_workload(workload: Workload, catalogue: Catalogue) -> None:
    """Raise NotFound for a region or type that is not there, with the nearest names; UsageError for what cannot be bought."""
    for region in workload.regions:
        if region not in catalogue.regions:
            what = f"there is no region named {region!r}{closest(region, catalogue.regions)}"
            raise NotFound(what, where=workload.regions_at, hint="region: us-west-2")
    for item in workload.work:
        if item.needs.gpu:
            gpu_named(item.needs.gpu, catalogue, item.where)
    for assignment in workload.instances:
        found = catalogue.types.get(assignment.type)
        if found is None:
            what = f"there is no instance type named {assignment.type!r}{closest(assignment.type, catalogue.types)}"
            raise NotFound(what, where=assignment.where, hint="bay types")
        if assignment.market not in found.usage_classes:
            what = f"{assignment.type} cannot be had as {assignment.market}, only as {' or '.join(found.usage_classes)}"
            raise UsageError(what, where=assignment.where, hint=f"market: {found.usage_classes[0]}")


def gpu_named(name: str, catalogue: Catalogue, where: str) -> str:
    """Return a GPU's name as the catalogue has it. Raises NotFound, with the nearest names, for one that no type has."""
    gpus = {kind.gpu.name for kind in catalogue.types.values() if kind.gpu is not None}
    for known in gpus:
        if plain_name(known) == plain_name(name):
            return known
    error = nearest(name, gpus, kind="GPU", hint=f"one of {', '.join(sorted(gpus))}")
    error.where = where
    raise error


def unmet(workload: Workload, catalogue: Catalogue) -> tuple[str, ...]:
    """Say, in sentences, where an instance has less than what it runs needs."""
    work = {item.name: item for item in workload.work}
    return tuple(
        f"{assignment.name}: {lack}"
        for assignment in workload.instances
        for name in assignment.runs
        for lack in _lacks(name, work[name].needs, assignment, catalogue.types[assignment.type])
    )


def shortfalls(workload: Workload, catalogue: Catalogue) -> tuple[str, ...]:
    """Say, in sentences, where an instance has less than what it runs needs, or is a type that is on its way out."""
    found = [
        f"{item.name} is like {item.needs.like}, and there is no such run here (`bay runs`)"
        for item in workload.work
        if item.needs.like and item.needs.measured is None
    ]
    for assignment in workload.instances:
        kind = catalogue.types[assignment.type]
        if kind.is_retired:
            found.append(f"{assignment.name}: {kind.name} is a type that AWS no longer lists")
        elif assignment.region not in kind.regions:
            found.append(
                f"{assignment.name}: {kind.name} was not offered in {assignment.region} when the catalogue was made"
            )
    return (*found, *unmet(workload, catalogue))


def _least(needs: Needs) -> float:
    """Return the MiB that a GPU has to show: what is sold as 24 GB shows less, and what was measured is no name on a box."""
    wanted = needs.gpu_memory_mib or 0
    return wanted if needs.measured is not None else wanted * (1 - GPU_SLACK)


def _lacks(name: str, needs: Needs, assignment: Assignment, kind: InstanceType) -> list[str]:
    gpu = kind.gpu
    pairs = (
        (needs.vcpus is not None and kind.vcpus < needs.vcpus, f"{kind.vcpus} vCPUs", f"{needs.vcpus}"),
        (
            needs.memory_mib is not None and kind.memory_mib < needs.memory_mib,
            f"{kind.memory_mib} MiB of memory",
            f"{needs.memory_mib}",
        ),
        (kind.gpus < needs.gpus, f"{kind.gpus} GPUs", f"{needs.gpus}"),
        (
            gpu is not None and needs.gpu_memory_mib is not None and gpu.memory_mib < _least(needs),
            f"{gpu.memory_mib if gpu else 0} MiB on each GPU",
            f"{needs.gpu_memory_mib}",
        ),
        (
            gpu is not None and bool(needs.gpu) and plain_name(gpu.name) != plain_name(needs.gpu),
            f"the GPU {gpu.name if gpu else ''}",
            f"{needs.gpu}",
        ),
        (
            needs.local_disk_gb is not None and kind.local_disk_gb < needs.local_disk_gb,
            f"{kind.local_disk_gb} GB of local disk",
            f"{needs.local_disk_gb}",
        ),
        (
            bool(needs.architecture) and needs.architecture not in kind.architectures,
            f"the architecture {', '.join(kind.architectures)}",
            needs.architecture,
        ),
    )
    return [f"{assignment.type} has {has}, and {name} needs {wants}" for is_less, has, wants in pairs if is_less]
