"""What can be rented: a type in a region, what it can hold and what it costs. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from launchbay.cost.optimum.needs import GIB_STEP, VCPU_STEP, Job, Needs, Units, round_down
from launchbay.errors import UsageError

__all__ = ["Machine", "check_machines", "why_not"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """An instance type in a region. Prices are US dollars and hold everything an instance pays: its disk, its address.

    `always_on_usd` is a month, day and night; `hourly_usd` an hour on demand; `spot_usd` an hour on the spot market, where
    an instance runs `spot_mean_hours` on average before it is taken back. `surplus_usd` is what an hour at full processor
    costs on top, on a burstable type. `place` is that of its region among those that were asked for: of equals the first is
    taken. What is None is unknown, and then the machine is not used in that way.
    """

    type: str
    region: str
    vcpus: float
    memory_gib: float
    gpus: int = 0
    gpu_memory_gib: float = 0.0
    traits: frozenset[str] = frozenset()
    always_on_usd: Decimal | None = None
    hourly_usd: Decimal | None = None
    spot_usd: Decimal | None = None
    spot_mean_hours: float | None = None
    surplus_usd: Decimal = Decimal(0)
    place: int = 0

    @property
    def name(self) -> str:
        """Type and region: ``g5.xlarge in us-west-2``."""
        return f"{self.type} in {self.region}"

    @property
    def order(self) -> tuple[str, int, str]:
        """The order in which machines of one price are preferred: type, then region as asked for, then name."""
        return self.type, self.place, self.region

    @property
    def units(self) -> Units:
        """What adds up, rounded down to whole steps."""
        return round_down(self.vcpus, VCPU_STEP), round_down(self.memory_gib, GIB_STEP), self.gpus


def check_machines(machines: Sequence[Machine]) -> None:
    """Raise UsageError for a price or a rate that cannot be: unknown is None, and nothing costs 0."""
    seen: set[str] = set()
    for machine in machines:
        if machine.name in seen:
            raise UsageError(f"{machine.name} is there twice")
        seen.add(machine.name)
        for what, amount in (
            ("always_on_usd", machine.always_on_usd),
            ("hourly_usd", machine.hourly_usd),
            ("spot_usd", machine.spot_usd),
            ("spot_mean_hours", machine.spot_mean_hours),
        ):
            if amount is not None and not 0 < float(amount) < math.inf:
                raise UsageError(
                    f"{what} must be above 0, or None where it is unknown, got {amount}", where=machine.name
                )


def why_not(needs: Needs, machine: Machine, job: Job | None = None) -> str:
    """Say why a machine cannot serve these needs alone, in a few words; "" where it can. Of a job, also its deadline."""
    if not needs.requires <= machine.traits | {machine.region}:
        return f"is not {' and not '.join(sorted(needs.requires - machine.traits - {machine.region}))}"
    if needs.gpus > machine.gpus:
        return f"has {machine.gpus} GPUs, {needs.gpus} needed" if machine.gpus else "has no GPU"
    if needs.gpus and needs.least_gpu_memory_gib > machine.gpu_memory_gib:
        return f"has {machine.gpu_memory_gib:g} GiB a GPU, {needs.gpu_memory_gib:g} needed"
    wanted, there = needs.units, machine.units
    if wanted[0] > there[0]:
        return f"has {there[0] * VCPU_STEP:g} vCPUs, {wanted[0] * VCPU_STEP:g} needed"
    if wanted[1] > there[1]:
        return f"has {there[1] * GIB_STEP:g} GiB of memory, {wanted[1] * GIB_STEP:g} needed"
    if job and job.deadline_hours is not None and job.run_hours(machine.type) > job.deadline_hours:
        return f"takes {job.run_hours(machine.type):g} h, the deadline is {job.deadline_hours:g} h"
    return ""
