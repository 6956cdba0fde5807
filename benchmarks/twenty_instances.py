"""Twenty instances with the image present: `bay launch` against the ways a person would otherwise take, in turn.

Each method makes the environments with new names each time, and nothing is removed before the end. Methods that take
long are timed for a few environments and multiplied, and the table says so. What they make is not the same: only
`bay launch` gives commands, a home and a lock that later installs are held to, and proves that all are identical.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._figures import Spread, ratios, spread
from benchmarks._peers import Peers
from benchmarks._place import Place, make_parser, open_place, tiny_recipe
from benchmarks._report import Verdict, conclude, describe_machine, format_table
from benchmarks._timing import Sample, Unavailable, measure, take_turns
from launchbay.images.image import Image

TARGET_S = 1.2
TARGET_OVERLAY_S = 0.3
BAY = "bay launch"
OVERLAY = "bay launch --overlay"
UV = "uv venv + uv pip sync, hard links, warm cache"
PIP = "venv + pip install, local wheels"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A method in the table; `extrapolated` says from how many environments, `against` is its time over ours."""

    method: str
    wall_s: Spread
    cpu_s: float
    against: Spread | None
    extrapolated: str


def main() -> int:
    """Measure, print the table, keep the totals."""
    parser = make_parser(__doc__)
    parser.add_argument("--image", help="the image (default: tensorflow; with --quick the smallest there is)")
    parser.add_argument("--count", type=int, default=20, help="how many instances (default: 20)")
    parser.add_argument("--rounds", type=int, help="how often each method has its turn (default: 7; with --quick 2)")
    parser.add_argument(
        "--pip",
        action=argparse.BooleanOptionalAction,
        help="time one environment made by pip as well: minutes (default: only in `make prove`, unless --quick)",
    )
    parser.add_argument(
        "--from-nothing",
        action=argparse.BooleanOptionalAction,
        help="launch once in an empty home too, image included (default: unless --quick)",
    )
    given = parser.parse_args()
    with open_place(given.home) as place:
        machine = describe_machine()
        image = place.image(given.image or (tiny_recipe(place) if given.quick else "tensorflow"))
        rounds = given.rounds or (2 if given.quick else 7)
        print(
            f"{given.count} instances of {image.name} ({len(image.packages)} packages, {image.files:,} files, "
            f"{image.size_bytes / 1e9:.2f} GB, present), {rounds} rounds"
        )
        return _measure(place, image, given, rounds, machine)


def _measure(place: Place, image: Image, given: argparse.Namespace, rounds: int, machine: dict[str, Any]) -> int:
    reference = given.image or (tiny_recipe(place) if given.quick else "tensorflow")
    peers = Peers(place=place, image=image, count=given.count)
    clock = place.ask("launch", reference, "-n", str(given.count), "--name", place.name("first"))["clock"]

    def launch(number: int) -> Sample:
        name = place.name(number)
        return measure([*place.bay, "launch", reference, "-n", str(given.count), "--name", name], environ=place.environ)

    created: list[float] = []

    def launch_overlays(number: int) -> Sample:
        command = [*place.bay, "launch", reference, "-n", str(given.count), "--overlay", "--name"]
        return measure([*command, place.name("overlay", number)], environ=place.environ)

    in_turn: dict[str, Callable[[int], Sample]] = {
        BAY: launch,
        OVERLAY: launch_overlays,
        "venv --system-site-packages, one process, no pip": peers.venvs,
        "overlay mounts": peers.overlays,
    }
    print(f"{given.count} at a time, in turn:")
    samples = take_turns(in_turn, rounds)
    ours = [sample.wall_s for sample in samples[BAY]]
    for number in range(rounds):  # untimed as a whole: their own clock says how long making them takes
        name = place.name("made", number)
        told = place.ask("launch", reference, "-n", str(given.count), "--overlay", "--name", name)
        created.append(told["clock"]["create"])
    rows = [_row(name, found, ours, "") for name, found in samples.items()]
    print("one at a time, then multiplied:")
    single: dict[str, Callable[[int], Sample]] = {UV: peers.uv}
    if not given.quick:
        single["venv --system-site-packages, as typed, own pip"] = peers.venv_with_pip
    alone = take_turns(single, 1 if given.quick else 3)
    if given.pip if given.pip is not None else "LAUNCHBAY_PROVE" in os.environ and not given.quick:
        alone |= _pip_once(peers)
    rows += [_extrapolate(name, found, given.count, ours) for name, found in alone.items()]
    print(f"\n{_table(rows, given.count)}\n")
    print(f"stages of one launch, s: {', '.join(f'{name} {took}' for name, took in clock.items() if took is not None)}")
    nothing = _from_nothing(place, reference, given, rows)
    median = spread(ours).median
    verdict = Verdict(
        what=f"bay launch {image.name} -n {given.count}, image present",
        got=f"{median:.3f} s (median of {rounds}, {min(ours):.3f} to {max(ours):.3f})",
        target=f"under {TARGET_S} s",
        ok=median < TARGET_S,
    )
    made = spread(created)
    overlays = Verdict(
        what=f"making {given.count} overlay instances of {image.name} (the clock's `create`)",
        got=f"{made.median:.3f} s (median of {rounds}, {made.low:.3f} to {made.high:.3f})",
        target=f"under {TARGET_OVERLAY_S} s",
        ok=made.median < TARGET_OVERLAY_S,
    )
    totals = {
        "machine": machine,
        "overlays_created_s": created,
        "image": {"name": image.name, "digest": image.digest, "packages": len(image.packages), "files": image.files},
        "count": given.count,
        "samples": samples | alone,
        "rows": rows,
        "clock": clock,
        "from_nothing": nothing,
        "seeds": None,
    }
    return conclude("twenty_instances", totals, [verdict, overlays], quick=given.quick)


def _pip_once(peers: Peers) -> dict[str, list[Sample]]:
    try:
        sample = peers.pip()
    except Unavailable as reason:
        print(f"  pip: not measured: {reason}")
        return {}
    print(f"  {PIP}: {sample.wall_s:.1f} s")
    return {PIP: [sample]}


def _row(method: str, samples: Sequence[Sample], ours: Sequence[float], extrapolated: str) -> Row:
    walls = [sample.wall_s for sample in samples]
    paired = len(walls) == len(ours) and not extrapolated
    against = ratios(walls, ours) if paired else [wall / spread(ours).median for wall in walls]
    return Row(
        method=method,
        wall_s=spread(walls),
        cpu_s=spread([sample.cpu_s for sample in samples]).median,
        against=None if method == BAY else spread(against),
        extrapolated=extrapolated,
    )


def _extrapolate(method: str, samples: Sequence[Sample], count: int, ours: Sequence[float]) -> Row:
    scaled = [sample.scaled(count) for sample in samples]
    return _row(method, scaled, ours, f"extrapolated from {len(samples)}")


def _table(rows: Sequence[Row], count: int) -> str:
    """Return the table; a ratio is the method's wall time over that of `bay launch`, per round where both ran in it."""
    lines = []
    for row in rows:
        took, against = row.wall_s, row.against
        digits = 1 if took.median >= 10 else 3
        ratio = f"{against.median:.2f}" if against else "1"
        between = f"{against.low:.2f}-{against.high:.2f}" if against and against.count > 1 else ""
        walls = [f"{value:.{digits}f}" for value in (took.low, took.median, took.high)]
        lines.append([row.method, str(took.count), *walls, f"{row.cpu_s:.2f}", ratio, between, row.extrapolated])
    head = [f"{count} environments", "n", "min s", "median s", "max s", "CPU s", "x bay", "x bay, spread", ""]
    return format_table(head, lines)


def _from_nothing(
    place: Place, reference: str, given: argparse.Namespace, rows: Sequence[Row]
) -> dict[str, Any] | None:
    """Launch once in an empty home: what the first launch of all costs, beside the same for the others."""
    wanted = not given.quick if given.from_nothing is None else given.from_nothing
    if not wanted:
        return None
    print("from nothing (an empty home: the image is built first; uv's package cache is warm):", flush=True)
    home = place.scratch / "empty-home"
    environ = {**place.environ, "LAUNCHBAY_HOME": str(home)}
    command = [*place.bay, "launch", reference, "-n", str(given.count), "--name", place.name("nothing")]
    took = measure(command, environ=environ)
    print(f"  bay launch, image built now: {took.wall_s:.1f} s wall, {took.cpu_s:.1f} s CPU (once)")
    others = {row.method: row.wall_s.median / took.wall_s for row in rows if row.method in (UV, PIP)}
    for method, ratio in others.items():
        print(f"  {method}: {ratio:.2f} x that (extrapolated; needs no image)")
    return {"bay_launch": took, "others_over_ours": others, "package_cache": "warm"}


if __name__ == "__main__":
    sys.exit(main())
