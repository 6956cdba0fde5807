"""How the time and the proven gap of the cheapest plan grow with the workload: 6 to 250 services, and jobs beside them.

Each workload is seeded and planned for all machines of two regions: those of the packaged catalogue where it is there, else
made-up ones with prices near EC2's; every instance also pays for 100 GiB of disk and an address. Beside it stand first-fit-
decreasing, the best of first-fit-decreasing over every type to open, and, for few services, the plain formulation: a binary
for each service on each copy of each type, after the same dominance filter, with as many copies as a service has replicas.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._plain_model import Plain, solve_plainly
from benchmarks._report import Verdict, conclude, describe_machine, format_table
from benchmarks._workloads import (
    MONTH_HOURS,
    catalogue_machines,
    made_up_machines,
    random_jobs,
    random_services,
)
from launchbay.cost.optimum.cheapest import find_cheapest
from launchbay.cost.optimum.machine import Machine

_PLAIN_MOST = 14
"""Services: with more the plain formulation has too many copies to end in useful time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A workload to plan for, and the target that it is held against: a gap, and seconds."""

    services: int
    jobs: int = 0
    gpus: float = 0.0
    seconds: float = 60.0
    gap: float | None = None
    within: float | None = None
    most_seeds: int = 1000

    @property
    def name(self) -> str:
        """What it holds: ``25 services, 100 jobs``."""
        parts = [f"{self.services} services", f"{self.jobs} jobs" if self.jobs else "", "GPUs" if self.gpus else ""]
        return ", ".join(part for part in parts if part)


CASES = (
    Case(services=6, gpus=0.2, gap=0.0, within=1.5),
    Case(services=10, gpus=0.2, gap=0.0, within=1.5),
    Case(services=14, gpus=0.2, gap=0.0, within=1.5),
    Case(services=14, gap=0.0, within=1.5),
    Case(services=25, gap=0.01, within=60.0),
    Case(services=25, jobs=100, gap=0.015, within=60.0),
    Case(services=50, gap=0.015, within=60.0),
    Case(services=50, gpus=0.15, gap=0.015, within=60.0),
    Case(services=50, jobs=200, gap=0.015, within=60.0),
    Case(services=100, seconds=120.0),
    Case(services=250, seconds=300.0, most_seeds=1),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One plan: how long it took, what was proven, and how much dearer the plain ways are (None: not tried, or none)."""

    case: str
    seed: int
    copies: int
    machines: int
    usd: float
    gap: float
    seconds: float
    method: str
    is_cut_short: bool
    first_fit: float
    best_first_fit: float
    plain: Plain | None


def main() -> int:
    """Measure, print the table, keep the totals."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="the two smallest only, once: a look, not a measurement")
    parser.add_argument("--seeds", type=int, default=3, help="how many workloads of each size (default: 3)")
    parser.add_argument("--most", type=int, default=250, help="leave out workloads of more services (default: 250)")
    parser.add_argument(
        "--good-enough", type=float, default=0.01, help="the gap at which a search ends (default: 0.01)"
    )
    given = parser.parse_args()
    seeds = range(1, 2 if given.quick else given.seeds + 1)
    most = 10 if given.quick else given.most
    machines = catalogue_machines()
    source = "the packaged catalogue" if machines else "made up"
    machines = machines or made_up_machines(1)
    priced = sum(machine.always_on_usd is not None for machine in machines)
    print(f"{len(machines)} machines in two regions, {priced} with a price ({source})")
    cases = [case for case in CASES if case.services <= most]
    results = {
        case: [_measure(case, seed, machines, given.good_enough) for seed in seeds[: case.most_seeds]] for case in cases
    }
    print(f"\n{_table(results)}")
    verdicts = [verdict for case, measured in results.items() for verdict in _judge(case, measured)]
    totals = {
        "machine": describe_machine(),
        "machines": {"count": len(machines), "priced": priced, "source": source},
        "good_enough": given.good_enough,
        "measured": [item for measured in results.values() for item in measured],
        "seeds": {"workloads": list(seeds)},
    }
    return conclude("optimize", totals, verdicts, quick=given.quick)


def _measure(case: Case, seed: int, machines: list[Machine], good_enough: float) -> Measured:
    services, jobs = random_services(case.services, seed, gpus=case.gpus), random_jobs(case.jobs, seed)
    began = time.perf_counter()
    plan = find_cheapest(
        services,
        jobs,
        machines,
        month_hours=MONTH_HOURS,
        clock=time.perf_counter,
        seconds=case.seconds,
        good_enough=good_enough,
    )
    seconds = time.perf_counter() - began
    is_small = case.services <= _PLAIN_MOST and not jobs
    plain = solve_plainly(services, machines, MONTH_HOURS, seconds=max(10 * seconds, 10.0)) if is_small else None
    measured = Measured(
        case=case.name,
        seed=seed,
        copies=sum(service.replicas for service in services),
        machines=len(machines),
        usd=float(plan.usd),
        gap=float(plan.gap),
        seconds=seconds,
        method=plan.method,
        is_cut_short=plan.is_cut_short,
        first_fit=float(plan.baselines["first-fit-decreasing"] / plan.usd) - 1,
        best_first_fit=float(plan.baselines["best first-fit-decreasing"] / plan.usd) - 1,
        plain=plain,
    )
    print(f"  {case.name}, seed {seed}: ${measured.usd:.2f}, gap {measured.gap:.3%}, {seconds:.2f} s", flush=True)
    return measured


def _table(results: dict[Case, list[Measured]]) -> str:
    """Return the table of medians and of the worst."""
    rows = []
    for case, measured in results.items():
        gaps, seconds = sorted(item.gap for item in measured), sorted(item.seconds for item in measured)
        plain = [item.plain for item in measured if item.plain]
        rows.append(
            [
                case.name,
                str(len(measured)),
                "-".join(str(copies) for copies in sorted({f(item.copies for item in measured) for f in (min, max)})),
                f"{gaps[len(gaps) // 2]:.3%}",
                f"{gaps[-1]:.3%}",
                f"{seconds[len(seconds) // 2]:.2f}",
                f"{seconds[-1]:.2f}",
                f"+{max(item.first_fit for item in measured):.1%}",
                f"+{max(item.best_first_fit for item in measured):.1%}",
                f"{max(item.seconds for item in plain):.1f}" if plain else "not tried",
                f"{max(item.gap for item in plain):.2%}" if plain else "",
            ]
        )
    head = ["workload", "n", "copies", "gap", "worst gap", "s", "most s", "FFD", "best FFD", "plain s", "plain gap"]
    return format_table(head, rows)


def _judge(case: Case, measured: list[Measured]) -> list[Verdict]:
    if case.gap is None or case.within is None:
        return []
    gap, seconds = max(item.gap for item in measured), max(item.seconds for item in measured)
    return [
        Verdict(
            what=case.name,
            got=f"gap {gap:.3%} at most, in {seconds:.2f} s at most",
            target=f"{case.gap:.1%}, within {case.within:g} s",
            ok=gap <= case.gap and seconds <= case.within,
        )
    ]


if __name__ == "__main__":
    sys.exit(main())
