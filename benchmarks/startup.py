"""How long `bay` takes to answer, against other commands that a person types as often, in turn.

`bay ps` is timed in an empty home and in one with 20 instances. The others are the same interpreter doing nothing, pip
and uv saying their version, and, if an image is built, its `jupyter`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._figures import ratios, spread
from benchmarks._place import Place, make_parser, open_place, tiny_recipe
from benchmarks._report import Verdict, conclude, describe_machine, format_table, spread_cells
from benchmarks._timing import Sample, measure, take_turns
from launchbay.images.image import list_images
from launchbay.images.uv import find_uv

TARGET_S = 0.150
FLOOR, PEER = "python -c pass", "pip --version"


def main() -> int:
    """Measure, print the table, keep the totals."""
    parser = make_parser(__doc__)
    parser.add_argument("--image", help="what the 20 instances stand on (default: the smallest image there is)")
    parser.add_argument("--rounds", type=int, help="how often each command has its turn (default: 25; with --quick 3)")
    given = parser.parse_args()
    rounds = given.rounds or (3 if given.quick else 25)
    with open_place(given.home) as place:
        machine = describe_machine()
        reference = given.image or tiny_recipe(place)
        place.ask("launch", reference, "-n", "20", "--name", place.name("many"))
        commands = _commands(place)
        print(f"{len(commands)} commands in turn, {rounds} rounds:")
        samples = take_turns(commands, rounds, tell=_quietly(rounds))
        held = len(place.ask("ps"))
        print(f"\n{_table(samples)}\n\n`bay ps` (20) listed {held} instances")
    verdicts = [_judge(name, samples[name]) for name in samples if name.startswith("bay")]
    totals = {"machine": machine, "rounds": rounds, "samples": samples, "seeds": None}
    return conclude("startup", totals, verdicts, quick=given.quick)


def _quietly(rounds: int) -> Callable[[str], None]:
    """Show every fifth round."""

    def tell(text: str) -> None:
        number = text.partition("/")[0].rpartition(" ")[2]
        if not number.isdigit() or int(number) % 5 == 0 or int(number) == rounds:
            print(text.partition(":")[0] if number.isdigit() else text, flush=True)

    return tell


def _commands(place: Place) -> dict[str, Callable[[int], Sample]]:
    """Return every command; each is a whole process, started as a person starts it."""
    empty = {**place.environ, "LAUNCHBAY_HOME": str(place.scratch / "empty-home")}
    argvs: dict[str, tuple[list[str], Any]] = {
        "bay --help": ([*place.bay, "--help"], place.environ),
        "bay --version": ([*place.bay, "--version"], place.environ),
        "bay ps (0 instances)": ([*place.bay, "ps"], empty),
        "bay ps (20 instances)": ([*place.bay, "ps"], place.environ),
        FLOOR: ([sys.executable, "-c", "pass"], place.environ),
        PEER: ([sys.executable, "-m", "pip", "--version"], place.environ),
        "uv --version": ([find_uv(), "--version"], place.environ),
    }
    for image in list_images(place.home):
        jupyter = image.environment / "bin" / "jupyter"
        if jupyter.exists():
            sealed = {**place.environ, "PYTHONDONTWRITEBYTECODE": "1"}  # it is compiled, and nothing may be written
            argvs[f"jupyter --version ({image.name})"] = ([str(jupyter), "--version"], sealed)
            break
    return {name: _timed(argv, environ) for name, (argv, environ) in argvs.items()}


def _timed(argv: list[str], environ: dict[str, str]) -> Callable[[int], Sample]:
    return lambda _: measure(argv, environ=environ)


def _table(samples: dict[str, list[Sample]]) -> str:
    """Return the table in milliseconds; ratios are per round, against the floor and against the peer."""
    walls = {name: [sample.wall_s * 1000 for sample in found] for name, found in samples.items()}
    rows = []
    for name, found in walls.items():
        against = [f"{spread(ratios(found, walls[other])).median:.2f}" for other in (FLOOR, PEER)]
        cpu = spread([sample.cpu_s * 1000 for sample in samples[name]]).median
        quartiles = spread(found)
        between = f"{quartiles.lower_quartile:.0f}-{quartiles.upper_quartile:.0f}"
        rows.append([name, *spread_cells(quartiles, 0), between, f"{cpu:.0f}", *against])
    head = ["command", "n", "min ms", "median ms", "max ms", "quartiles", "CPU ms", f"x {FLOOR}", f"x {PEER}"]
    return format_table(head, rows)


def _judge(name: str, samples: list[Sample]) -> Verdict:
    walls = spread([sample.wall_s for sample in samples])
    got = f"{walls.median * 1000:.0f} ms (median of {walls.count}, quartiles {walls.lower_quartile * 1000:.0f} to "
    got += f"{walls.upper_quartile * 1000:.0f})"
    return Verdict(what=name, got=got, target=f"under {TARGET_S * 1000:.0f} ms", ok=walls.median < TARGET_S)


if __name__ == "__main__":
    sys.exit(main())
