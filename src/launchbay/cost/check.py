"""What a workload asks for, held against what there is. Pure."""

from __future__ import annotations

from launchbay.catalog.price import Catalogue
from launchbay.catalog.type import InstanceType
from launchbay.errors import NotFound, UsageError
from launchbay.spec.assignment import Assignment
from launchbay.spec.names import closest
from launchbay.spec.needs import Needs
from launchbay.spec.workload import Workload

__all__ = ["check_workload", "shortfalls"]


def check_workload(workload: Workload, catalogue: Catalogue) -> None:
    """Raise NotFound for a region or type that is not there, with the nearest names; UsageError for what cannot be bought."""
    for region in workload.regions:
        if region not in catalogue.regions:
            what = f"there is no region named {region!r}{closest(region, catalogue.regions)}"
            raise NotFound(what, where=workload.source, hint="region: us-west-2")
    for assignment in workload.instances:
        found = catalogue.types.get(assignment.type)
        if found is None:
            what = f"there is no instance type named {assignment.type!r}{closest(assignment.type, catalogue.types)}"
            raise NotFound(what, where=assignment.where, hint="bay types")
        if assignment.market not in found.usage_classes:
            what = f"{assignment.type} cannot be had as {assignment.market}, only as {' or '.join(found.usage_classes)}"
            raise UsageError(what, where=assignment.where, hint=f"market: {found.usage_classes[0]}")


def shortfalls(workload: Workload, catalogue: Catalogue) -> tuple[str, ...]:
    """Say, in sentences, where an instance has less than what it runs needs, or is a type that is on its way out."""
    work = {item.name: item for item in workload.work}
    found = []
    for assignment in workload.instances:
        kind = catalogue.types[assignment.type]
        if kind.is_retired:
            found.append(f"{assignment.name}: {kind.name} is a type that AWS no longer lists")
        elif assignment.region not in kind.regions:
            found.append(
                f"{assignment.name}: {kind.name} was not offered in {assignment.region} when the catalogue was made"
            )
        for name in assignment.runs:
            found += [f"{assignment.name}: {lack}" for lack in _lacks(name, work[name].needs, assignment, kind)]
    return tuple(found)


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
            gpu is not None and needs.gpu_memory_mib is not None and gpu.memory_mib < needs.gpu_memory_mib,
            f"{gpu.memory_mib if gpu else 0} MiB on each GPU",
            f"{needs.gpu_memory_mib}",
        ),
        (
            bool(needs.architecture) and needs.architecture not in kind.architectures,
            f"the architecture {', '.join(kind.architectures)}",
            needs.architecture,
        ),
    )
    return [f"{assignment.type} has {has}, and {name} needs {wants}" for is_less, has, wants in pairs if is_less]
