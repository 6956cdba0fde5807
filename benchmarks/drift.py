"""What telling drift costs per instance: `bay verify`, against comparing `pip freeze` and against hashing everything.

Each looks at all instances of one fleet and says whether they are alike. They do not see the same: `pip freeze` with
`pip check` sees names and versions of packages; hashing sees every file of each environment, links followed to the
image, but neither variables nor what Python really searches. `bay verify` reads the image once for all instances, so
its time is told apart from the fingerprints. The fleet holds data, as the table says.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._figures import ratios, spread
from benchmarks._place import Place, make_parser, open_place, tiny_recipe
from benchmarks._report import Verdict, conclude, describe_machine, format_table, spread_cells
from benchmarks._timing import CommandFailed, Sample, measure, take_turns

TARGET_S = 0.1
FINGERPRINTS, WHOLE = "bay verify, fingerprints", "bay verify, with the image"
PIP, HASHES = "pip freeze + pip check, compared", "sha256 of every file, compared"
_ROWS = 100_000
_PIP = """
set -e
for bin in "$@"; do
  "$bin/python" -m pip freeze --all > "$out/now"
  "$bin/python" -m pip check > /dev/null
  [ -e "$out/first" ] || cp "$out/now" "$out/first"
  cmp "$out/first" "$out/now"
done
"""
_HASHES = """
set -e
for bin in "$@"; do
  for folder in "${bin%/bin}" "$image"; do (cd "$folder" && find . -type f ! -path '*/__pycache__/*' -print0) \\
    | (cd "$folder" && sort -z | xargs -0 sha256sum); done > "$out/now"
  [ -e "$out/first" ] || cp "$out/now" "$out/first"
  cmp "$out/first" "$out/now"
done
"""


def main() -> int:
    """Measure, print the table, keep the totals."""
    parser = make_parser(__doc__)
    parser.add_argument("--image", help="the image (default: tensorflow; with --quick the smallest there is)")
    parser.add_argument("--count", type=int, default=20, help="how many instances (default: 20)")
    parser.add_argument("--peers", type=int, help="how many of them the peers look at (default: 3; with --quick 1)")
    parser.add_argument("--rounds", type=int, help="how often each has its turn (default: 5; with --quick 1)")
    given = parser.parse_args()
    with open_place(given.home) as place:
        machine = describe_machine()
        reference = given.image or (tiny_recipe(place) if given.quick else "tensorflow")
        fleet = place.name("drift")
        launched = place.ask("launch", reference, "-n", str(given.count), "--name", fleet)
        roots = [Path(item["root"]) for item in launched["instances"]]
        size = _give_data(roots)
        rounds, looked_at = given.rounds or (1 if given.quick else 5), given.peers or (1 if given.quick else 3)
        print(f"{given.count} instances of {launched['image']['name']}, {size / 1e6:.1f} MB of data in each:")
        samples, fingerprints_s = _measure(place, fleet, roots, looked_at, rounds)
        print(f"\n{_table(samples, fingerprints_s)}")
    walls = spread(fingerprints_s)
    verdict = Verdict(
        what=f"bay verify, fingerprint of one of {given.count} instances",
        got=f"{walls.median * 1000:.0f} ms (median of {rounds}, {walls.low * 1000:.0f} to {walls.high * 1000:.0f})",
        target=f"under {TARGET_S * 1000:.0f} ms",
        ok=walls.median < TARGET_S,
    )
    totals = {
        "machine": machine,
        "image": launched["image"]["name"],
        "count": given.count,
        "looked_at_by_peers": looked_at,
        "data_bytes": size,
        "samples": samples,
        "fingerprints_s": fingerprints_s,
        "seeds": None,
    }
    return conclude("drift", totals, [verdict], quick=given.quick)


def _give_data(roots: Sequence[Path]) -> int:
    """Give each instance the same table; return its size."""
    text = "".join(f"{number},{number % 97}\n" for number in range(_ROWS))
    for root in roots:
        (root / "work" / "data").mkdir()
        (root / "work" / "data" / "train.csv").write_text(text, encoding="utf-8")
    return len(text)


def _measure(
    place: Place, fleet: str, roots: Sequence[Path], looked_at: int, rounds: int
) -> tuple[dict[str, list[Sample]], list[float]]:
    """Return what each took per instance it looked at, and what `bay verify` says of its fingerprints alone."""
    fingerprints_s: list[float] = []

    def verify(number: int) -> Sample:
        took, proof = _verify(place, fleet)
        if number:
            fingerprints_s.append(proof["seconds"]["per_instance"])
        return took.scaled(1 / len(roots))

    def peer(kind: str, words: str) -> Callable[[int], Sample]:
        def look(number: int) -> Sample:
            out = place.scratch / f"{kind}-{number}"
            out.mkdir()
            image = roots[0].parents[1] / "images" / _digest(place, fleet) / "env"
            environ = {**place.environ, "out": str(out), "image": str(image), "PYTHONDONTWRITEBYTECODE": "1"}
            folders = [root / "env" / "bin" for root in roots[:looked_at]]
            return measure(["sh", "-c", words, "sh", *folders], environ=environ).scaled(1 / looked_at)

        return look

    contenders = {WHOLE: verify, PIP: peer("pip", _PIP), HASHES: peer("hashes", _HASHES)}
    return take_turns(contenders, rounds), fingerprints_s


def _digest(place: Place, fleet: str) -> str:
    return next(str(row["digest"]) for row in place.ask("ps") if row["fleet"] == fleet)


def _verify(place: Place, fleet: str) -> tuple[Sample, dict[str, Any]]:
    """Run `bay verify` once; return what it took as a whole, and its proof."""
    out = place.scratch / "proof.json"
    words = 'out=$1; shift; exec "$@" > "$out"'
    command: list[str | Path] = ["sh", "-c", words, "sh", out, *place.bay, "verify", fleet, "--json"]
    took = measure(command, environ=place.environ)
    proof: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    if not proof["identical"]:
        raise CommandFailed(f"the fleet is not identical: {proof['differences'][:3]}")
    return took, proof


def _table(samples: dict[str, list[Sample]], fingerprints_s: list[float]) -> str:
    """Return the table in milliseconds per instance; a ratio is per round, over our fingerprint."""
    walls = {FINGERPRINTS: fingerprints_s, **{name: [item.wall_s for item in found] for name, found in samples.items()}}
    rows = []
    for name, found in walls.items():
        spent = spread([wall * 1000 for wall in found])
        rows.append([name, *spread_cells(spent, 1), f"{spread(ratios(found, fingerprints_s)).median:.1f}"])
    return format_table(["per instance", "n", "min ms", "median ms", "max ms", "x fingerprint"], rows)


if __name__ == "__main__":
    sys.exit(main())
