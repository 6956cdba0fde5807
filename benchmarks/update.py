"""`bay update` of a standing fleet, against a fresh launch of as many on the same image, in turn; all images present.

Launching fresh is what a person would do who has nothing to keep; an update keeps homes, working folders and runs.
Each round updates a fleet that was launched for it, untimed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._figures import ratios, spread
from benchmarks._place import make_parser, open_place, tiny_recipe
from benchmarks._report import Verdict, conclude, describe_machine, format_table
from benchmarks._timing import Sample, measure, take_turns

TARGET = 2.0
UPDATE = "bay update"
LAUNCH = "bay launch, fresh"


def main() -> int:
    """Measure, print the table, keep the totals."""
    parser = make_parser(__doc__)
    parser.add_argument(
        "--before", help="the image that the fleet stands on (default: tensorflow; --quick: a tiny one)"
    )
    parser.add_argument("--after", help="the image that it moves to (default: multi; --quick: the same as --before)")
    parser.add_argument("--count", type=int, default=20, help="how many instances (default: 20)")
    parser.add_argument("--rounds", type=int, help="how often each has its turn (default: 5; with --quick 1)")
    given = parser.parse_args()
    with open_place(given.home) as place:
        machine = describe_machine()
        small = tiny_recipe(place) if given.quick else ""
        before, after = given.before or small or "tensorflow", given.after or small or "multi"
        rounds = given.rounds or (1 if given.quick else 5)
        for image in (before, after):
            place.ask("image", "build", image)
        clocks: list[dict[str, float | None]] = []

        def update(number: int) -> Sample:
            name = place.name("moved", number)
            place.ask("launch", before, "-n", str(given.count), "--name", name)
            return measure([*place.bay, "update", name, after], environ=place.environ)

        def launch(number: int) -> Sample:
            name = place.name("fresh", number)
            return measure([*place.bay, "launch", after, "-n", str(given.count), "--name", name], environ=place.environ)

        in_turn: dict[str, Callable[[int], Sample]] = {UPDATE: update, LAUNCH: launch}
        print(f"{given.count} instances, {before} to {after}, {rounds} rounds, in turn:")
        samples = take_turns(in_turn, rounds)
        place.ask("launch", before, "-n", str(given.count), "--name", place.name("clock"))
        clocks.append(place.ask("update", place.name("clock"), after)["clock"])
    walls = {name: [sample.wall_s for sample in found] for name, found in samples.items()}
    against = spread(ratios(walls[UPDATE], walls[LAUNCH]))
    rows = [
        [name, *(f"{value:.3f}" for value in (min(found), spread(found).median, max(found)))]
        for name, found in walls.items()
    ]
    print(f"\n{format_table([f'{given.count} instances', 'min s', 'median s', 'max s'], rows)}\n")
    print(
        f"stages of one update, s: {', '.join(f'{name} {took}' for name, took in clocks[0].items() if took is not None)}"
    )
    verdict = Verdict(
        what=f"bay update of {given.count} from {before} to {after}, over a fresh launch",
        got=f"{against.median:.2f} times (median of {rounds}, {against.low:.2f} to {against.high:.2f})",
        target=f"under {TARGET:g} times",
        ok=against.median < TARGET,
    )
    totals = {
        "machine": machine,
        "count": given.count,
        "before": before,
        "after": after,
        "samples": samples,
        "ratio": against,
        "clock": clocks[0],
        "seeds": None,
    }
    return conclude("update", totals, [verdict], quick=given.quick)


if __name__ == "__main__":
    sys.exit(main())
