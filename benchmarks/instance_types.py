"""How long `bay types` takes to answer, beside SkyPilot's list of GPUs where SkyPilot is installed.

As whole processes, in turn, with an interpreter that does nothing as the floor; and in the library, where the catalogue
is loaded already. SkyPilot downloads its catalogue at its first use, and starts a server that goes on; the warm-up pays for
both, and `sky api stop` ends the server.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._figures import Spread, ratios, spread
from benchmarks._place import Place, make_parser, open_place
from benchmarks._report import Verdict, conclude, describe_machine, format_table, spread_cells
from benchmarks._timing import CommandFailed, Sample, Unavailable, measure, take_turns
from launchbay.catalog.query import find_types
from launchbay.catalog.question import Question
from launchbay.catalog.ranges import Range
from launchbay.catalog.snapshot import load_snapshot

PROCESS_TARGET_S, QUERY_TARGET_S = 0.250, 0.005
BAY, FLOOR, SKY = "bay types --gpus 1+ --sort price", "python -c pass", "SkyPilot's list of GPUs"
ALL = "every type, by price"
_SKY_VERBS = {("gpus", "list"): ["--all", "--infra", "aws"], ("show-gpus",): ["--all", "--cloud", "aws"]}
"""How SkyPilot lists the GPUs of AWS, in newer versions and in older ones."""


def main() -> int:
    """Measure, print both tables, keep the totals."""
    parser = make_parser(__doc__)
    parser.add_argument("--rounds", type=int, help="how often each has its turn (default: 25; with --quick 3)")
    given = parser.parse_args()
    rounds = given.rounds or (3 if given.quick else 25)
    with open_place(given.home) as place:
        machine = describe_machine()
        samples = take_turns(_processes(place), rounds, tell=_tell)
    queries = {name: spread(_time_query(ask, rounds)) for name, ask in _queries().items()}
    print(f"\n{_process_table(samples)}\n\n{_query_table(queries)}")
    if SKY not in samples:
        print("\nSkyPilot was not measured: it is not installed here, or has no catalogue.")
    totals = {"machine": machine, "rounds": rounds, "samples": samples, "queries": queries, "seeds": None}
    return conclude("instance_types", totals, _judge(samples, queries), quick=given.quick)


def _tell(text: str) -> None:
    """Show what is not measured, and every fifth round."""
    number = text.partition("/")[0].rpartition(" ")[2]
    if not number.isdigit() or int(number) % 5 == 0:
        print(text, flush=True)


def _processes(place: Place) -> dict[str, Callable[[int], Sample]]:
    def timed(argv: list[str]) -> Callable[[int], Sample]:
        return lambda _: measure(argv, environ=place.environ)

    question = ["types", "--gpus", "1+", "--sort", "price"]
    return {
        BAY: timed([*place.bay, *question]),
        f"{BAY} --json": timed([*place.bay, *question, "--json"]),
        "bay types --region all": timed([*place.bay, "types", "--region", "all"]),
        FLOOR: timed([sys.executable, "-c", "pass"]),
        SKY: _sky(place),
    }


def _sky(place: Place) -> Callable[[int], Sample]:
    """Return what lists SkyPilot's GPUs in its own words; unavailable where it is not, or finds no catalogue."""
    program = shutil.which("sky")

    def run(_: int) -> Sample:
        if program is None:
            raise Unavailable("it is not installed")
        verb = next((verb for verb in _SKY_VERBS if _is_known((program, *verb, "--help"))), None)
        if verb is None:
            raise Unavailable("this version has neither `sky gpus list` nor `sky show-gpus`")
        try:
            return measure([program, *verb, *_SKY_VERBS[verb]], environ=place.environ)
        except CommandFailed as error:
            raise Unavailable(str(error)) from error

    return run


@cache
def _is_known(command: tuple[str, ...]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _queries() -> dict[str, Callable[[], Any]]:
    """Return what is asked of a catalogue in memory, and what loading it takes."""
    one, every = load_snapshot(["us-east-1"]), load_snapshot()
    here = ("us-east-1",)
    return {
        ALL: lambda: find_types(one, Question(regions=here)),
        "with a GPU, by price": lambda: find_types(one, Question(regions=here, gpus=Range(low=1))),
        "by GPU, memory, vCPUs": lambda: find_types(
            one, Question(regions=here, gpu="a10g", memory_gib=Range(low=64), vcpus=Range(high=64), sort="vcpus")
        ),
        "with a GPU, in all 30 regions": lambda: find_types(every, Question(regions=every.regions, gpus=Range(low=1))),
        "loading the catalogue of a region": lambda: load_snapshot(here),
    }


def _time_query(ask: Callable[[], Any], rounds: int) -> list[float]:
    """Return the seconds that a question takes, after one that does not count."""
    ask()
    seconds = []
    for _ in range(4 * rounds):
        began = time.perf_counter()
        ask()
        seconds.append(time.perf_counter() - began)
    return seconds


def _process_table(samples: dict[str, list[Sample]]) -> str:
    walls = {name: [sample.wall_s * 1000 for sample in found] for name, found in samples.items()}
    rows = [
        [
            name,
            *spread_cells(spread(found), 0),
            f"{median(sample.cpu_s * 1000 for sample in samples[name]):.0f}",
            f"{median(ratios(found, walls[BAY])):.2f}",
        ]
        for name, found in walls.items()
    ]
    return format_table(["whole process", "n", "min ms", "median ms", "max ms", "CPU ms", "x bay types"], rows)


def _query_table(queries: dict[str, Spread]) -> str:
    rows = [[name, *spread_cells(_ms(found), 2)] for name, found in queries.items()]
    return format_table(["in the library", "n", "min ms", "median ms", "max ms"], rows)


def _ms(found: Spread) -> Spread:
    return Spread(
        count=found.count,
        low=found.low * 1000,
        lower_quartile=found.lower_quartile * 1000,
        median=found.median * 1000,
        upper_quartile=found.upper_quartile * 1000,
        high=found.high * 1000,
    )


def _judge(samples: dict[str, list[Sample]], queries: dict[str, Spread]) -> list[Verdict]:
    wall, query = spread([sample.wall_s for sample in samples[BAY]]), queries[ALL]
    return [
        Verdict(
            what=BAY,
            got=f"{wall.median * 1000:.0f} ms (median of {wall.count})",
            target=f"under {PROCESS_TARGET_S * 1000:.0f} ms",
            ok=wall.median < PROCESS_TARGET_S,
        ),
        Verdict(
            what=f"a query in the library, {ALL}",
            got=f"{query.median * 1000:.2f} ms (median of {query.count})",
            target=f"under {QUERY_TARGET_S * 1000:.0f} ms",
            ok=query.median < QUERY_TARGET_S,
        ),
    ]


if __name__ == "__main__":
    sys.exit(main())
