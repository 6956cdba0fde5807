"""A launch on EC2 up to `running`, on the twin without hosts: ours against a bare boto3 script, in turn; whole processes.

What is ours in it is the plan (image, offers, prices, quota), the journal and the token of each rung. Calls are counted on both
sides. EC2 itself takes some ten seconds more for either.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._figures import ratios, spread
from benchmarks._place import make_parser, open_place, tiny_recipe
from benchmarks._report import Verdict, conclude, describe_machine, format_table
from benchmarks._timing import Sample, measure, take_turns
from launchbay.lifecycle.bay import open_bay
from launchbay.lifecycle.twin import ask_twin, start_twin, stop_twin

SCRIPT = Path(__file__).with_name("_launches.py")
COUNTS = (1, 20, 200, 1000)
MOST_MORE_S = 5.0
"""How much longer ours may take than the bare script, in seconds: what the plan and the journal cost, whatever the count."""


def main() -> int:
    """Measure, print the table, keep the totals."""
    parser = make_parser(__doc__)
    parser.add_argument("--rounds", type=int, help="how often each has its turn (default: 5; with --quick 1)")
    given = parser.parse_args()
    rounds, counts = given.rounds or (1 if given.quick else 5), COUNTS[:2] if given.quick else COUNTS
    rows, verdicts, totals = [], [], {}
    with open_place(given.home) as place:
        machine = describe_machine()
        recipe = tiny_recipe(place)
        bay = replace(open_bay(environ=place.environ))
        twin = start_twin(bay, clock="virtual", has_hosts=False)
        try:
            for count in counts:
                calls: dict[str, int] = {}

                def contender(who: str, count: int = count) -> Callable[[int], Sample]:
                    def run(number: int) -> Sample:
                        ask_twin(bay.home, "reset")
                        name = place.name(who, count, number)
                        words: list[str | Path] = [sys.executable, SCRIPT, who, str(count), name, twin.url, recipe]
                        return measure(words, environ=place.environ)

                    return run

                samples = take_turns({who: contender(who) for who in ("ours", "boto3")}, rounds)
                for who in ("ours", "boto3"):
                    ask_twin(bay.home, "reset")
                    words = [
                        sys.executable,
                        str(SCRIPT),
                        who,
                        str(count),
                        place.name("count", who, count),
                        twin.url,
                        recipe,
                    ]
                    done = subprocess.run(words, env=place.environ, capture_output=True, text=True, check=True)
                    calls[who] = json.loads(done.stdout.splitlines()[-1])["calls"]
                walls = {who: [item.wall_s for item in found] for who, found in samples.items()}
                cpus = {who: [item.cpu_s for item in found] for who, found in samples.items()}
                against = spread(ratios(walls["ours"], walls["boto3"]))
                more = spread([a - b for a, b in zip(walls["ours"], walls["boto3"], strict=True)])
                for who, took in walls.items():
                    found = spread(took)
                    cells = [
                        f"{value:.2f}" for value in (found.low, found.median, found.high, spread(cpus[who]).median)
                    ]
                    rows.append([f"{count} by {who}", str(calls[who]), *cells])
                verdicts.append(
                    Verdict(
                        what=f"{count} instances, over bare boto3",
                        got=f"{more.median:+.2f} s ({against.median:.2f} times, {against.low:.2f} to {against.high:.2f})",
                        target=f"under {MOST_MORE_S:g} s more",
                        ok=more.median < MOST_MORE_S,
                    )
                )
                totals[str(count)] = {"samples": samples, "calls": calls, "ratio": against}
        finally:
            stop_twin(bay, forget=True)
    print(f"\n{format_table(['launch', 'calls', 'min s', 'median s', 'max s', 'CPU s'], rows)}\n")
    return conclude(
        "launch_on_twin", {"machine": machine, "counts": totals, "seeds": None}, verdicts, quick=given.quick
    )


if __name__ == "__main__":
    sys.exit(main())
