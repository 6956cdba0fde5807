"""The scaffold's training in the `jax` image against the same in the `tensorflow` image: CPU seconds, and test error.

Every seed runs in an instance of its own, so that nothing compiled is left from the last one, and logs its scalars.
CPU is user + system of the whole process and its children, as the kernel told the supervisor. The first seeds run
alone and in turn, and the ratio of CPU comes from them; the others may run side by side, because they only tell the
error. What is done stands in the totals and is not done again while script, data, images and epochs stay the same.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import launchbay
from benchmarks._figures import compare_medians, ratios, spread
from benchmarks._place import Place, make_parser, open_place
from benchmarks._report import Verdict, conclude, describe_machine, format_table, read_totals, save
from launchbay.files import remove_tree, sha256_file

NAME = "jax_against_tensorflow"
ROLES = ("jax", "tensorflow")
TARGET_RATIO = 4.0
TARGET_DIFFERENCE = 0.05
BOOTSTRAP_SEED = 20

Result = dict[str, Any]
"""What one training gave: role, seed, test_mse, cpu_s, wall_s, if it logged scalars, if it had the machine alone."""


@dataclass(frozen=True, slots=True)
class Campaign:
    """What is run: an image for each role, a script, its data, epochs; and the results so far, by role and seed."""

    place: Place
    images: Mapping[str, str]
    script: Path
    data: Path
    epochs: int
    quick: bool
    inputs: Mapping[str, Any]
    machine: Mapping[str, Any]
    results: dict[str, Result]
    lock: Lock = field(default_factory=Lock)

    def run(self, role: str, seed: int, *, alone: bool) -> None:
        """Train once, unless an earlier call did, and keep what came of it at once."""
        key = f"{role} {seed}"
        before = self.results.get(key)
        if before and (before["alone"] or not alone):
            return
        result = self._train(role, seed)
        with self.lock:
            self.results[key] = {"role": role, "seed": seed, "alone": alone, **result}
            totals = {"machine": self.machine, "inputs": self.inputs, "results": self.results}
            save(NAME, totals, quick=self.quick)
            print(f"  {role}, seed {seed}: {result['cpu_s']:.1f} CPU s, test MSE {result['test_mse']:.4f}", flush=True)

    def _train(self, role: str, seed: int) -> Result:
        name = self.place.name(role, seed)
        self.place.ask("launch", self.images[role], "-n", "1", "--name", name)
        arguments = ["--epochs", str(self.epochs), "--seed", str(seed)]
        run = self.place.ask("train", name, self.script, "--data", self.data, "--", *arguments)
        printed = Path(run["log"]).read_text(encoding="utf-8", errors="replace")
        result = {
            "test_mse": find_error(printed),
            "cpu_s": run["cpu_seconds"],
            "wall_s": run["seconds"],
            "logged": bool(run["logdirs"]),
        }
        self.place.ask("terminate", name, "-y")
        remove_tree(Path(run["folder"]))
        return result


def main() -> int:
    """Run what is left to run, print the tables, keep the totals."""
    given = _parser().parse_args()
    seeds = parse_seeds(given.seeds or ("0:2" if given.quick else "0:20"))
    epochs = given.epochs or (3 if given.quick else 500)
    with open_place(given.home) as place:
        machine = describe_machine()
        campaign = _prepare(place, given, epochs, machine)
        alone = seeds[: 1 if given.quick else given.pairs]
        print(f"{len(alone)} seeds alone and in turn, {epochs} epochs:")
        for seed in alone:
            for role in ROLES:
                campaign.run(role, seed, alone=True)
        rest = [seed for seed in seeds if seed not in alone]
        print(f"{len(rest)} more, {given.jobs} at a time:")
        with ThreadPoolExecutor(given.jobs) as pool:
            jobs = [pool.submit(campaign.run, role, seed, alone=False) for seed in rest for role in ROLES]
            try:
                for job in jobs:
                    job.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    return _show(campaign, seeds, alone)


def _parser() -> argparse.ArgumentParser:
    parser = make_parser(__doc__)
    parser.add_argument("--seeds", metavar="A:B", help="from A up to, but without B (default: 0:20; with --quick 0:2)")
    parser.add_argument("--pairs", type=int, default=5, help="how many seeds run alone, for the CPU (default: 5)")
    parser.add_argument("--jobs", type=int, default=2, help="how many of the other seeds run at a time (default: 2)")
    parser.add_argument("--epochs", type=int, help="how long to train (default: 500; with --quick 3)")
    parser.add_argument("--data", type=Path, help="a folder with train*, val* and test* CSVs (default: the scaffold's)")
    parser.add_argument("--script", type=Path, help="another script that takes --epochs and --seed, prints test_mse=X")
    parser.add_argument("--jax", default="jax", metavar="IMAGE", help="the image of the first (default: jax)")
    parser.add_argument(
        "--tensorflow", default="tensorflow", metavar="IMAGE", help="of the second (default: tensorflow)"
    )
    parser.add_argument("--again", action="store_true", help="forget what earlier calls did")
    return parser


def parse_seeds(text: str) -> list[int]:
    """Read ``A:B`` as Python slices a list."""
    match = re.fullmatch(r"(\d+):(\d+)", text)
    if match is None or int(match[1]) >= int(match[2]):
        sys.exit(f"--seeds must be A:B with A below B, got {text}")
    return list(range(int(match[1]), int(match[2])))


def find_error(printed: str) -> float:
    """Return the last test error that a script printed as ``test_mse=X``."""
    found = re.findall(r"^test_mse=(\S+)\s*$", printed, re.MULTILINE)
    if not found:
        sys.exit(f"the script printed no line test_mse=X, but: {printed[-300:]}")
    return float(found[-1])


def _prepare(place: Place, given: argparse.Namespace, epochs: int, machine: Mapping[str, Any]) -> Campaign:
    project = place.scratch / "project"
    launchbay.init(project)
    script, data = given.script or project / "train.py", given.data or project / "data"
    images = {"jax": given.jax, "tensorflow": given.tensorflow}
    inputs = {
        "epochs": epochs,
        "script": sha256_file(script),
        "data": _hash_folder(data),
        "images": {role: place.image(reference).digest for role, reference in images.items()},
    }
    before = {} if given.again else read_totals(NAME, quick=given.quick)
    results = before.get("results", {})
    if results and before.get("inputs") != inputs:
        print("the script, the data, an image or the epochs changed: earlier results do not count")
        results = {}
    return Campaign(
        place=place,
        images=images,
        script=script.absolute(),
        data=data.absolute(),
        epochs=epochs,
        quick=given.quick,
        inputs=inputs,
        machine=machine,
        results=results,
    )


def _hash_folder(folder: Path) -> str:
    lines = [f"{path.name} {sha256_file(path)}" for path in sorted(folder.glob("*.csv"))]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _show(campaign: Campaign, seeds: Sequence[int], alone: Sequence[int]) -> int:
    """Print both tables and judge."""

    def values(role: str, of: Sequence[int], key: str) -> list[float]:
        return [campaign.results[f"{role} {seed}"][key] for seed in of]

    cpu = {role: values(role, alone, "cpu_s") for role in ROLES}
    wall = {role: values(role, alone, "wall_s") for role in ROLES}
    error = {role: values(role, seeds, "test_mse") for role in ROLES}
    ratio = spread(ratios(cpu["tensorflow"], cpu["jax"]))
    difference = compare_medians(error["jax"], error["tensorflow"], seed=BOOTSTRAP_SEED)
    print(f"\nCPU seconds of the whole process, {len(alone)} seeds alone and in turn, nothing compiled beforehand")
    print(_table(cpu, 2, lambda role: [f"{spread(wall[role]).median:.1f}"], ["median wall s"]))
    print(f"tensorflow / jax, by seed: {ratio.median:.2f} ({ratio.low:.2f} to {ratio.high:.2f})")
    print(f"\nTest MSE over {len(seeds)} seeds ({seeds[0]} to {seeds[-1]})")

    def worst(role: str) -> list[str]:
        highest, seed = max(zip(error[role], seeds, strict=True))
        return [f"{highest:.4f} (seed {seed})"]

    print(_table(error, 4, worst, ["worst"]))
    low, high = difference.relative_interval
    print(
        f"jax less tensorflow, medians: {difference.difference:+.4f} ({difference.interval[0]:+.4f} to "
        f"{difference.interval[1]:+.4f}), {difference.relative:+.1%} ({low:+.1%} to {high:+.1%}): bootstrap interval of "
        f"{difference.confidence:.0%}, {difference.draws} draws, seed {difference.seed}"
    )
    verdicts = [
        Verdict(
            what="CPU seconds, tensorflow / jax",
            got=f"{ratio.median:.2f} (median of {ratio.count}, {ratio.low:.2f} to {ratio.high:.2f})",
            target=f"at least {TARGET_RATIO:.0f}",
            ok=ratio.median >= TARGET_RATIO,
        ),
        Verdict(
            what="medians of test MSE, jax less tensorflow",
            got=f"{difference.relative:+.1%}",
            target=f"within {TARGET_DIFFERENCE:.0%}",
            ok=abs(difference.relative) <= TARGET_DIFFERENCE,
        ),
    ]
    totals = {
        "machine": campaign.machine,
        "inputs": campaign.inputs,
        "seeds": {"training": list(seeds), "bootstrap": BOOTSTRAP_SEED},
        "cpu_ratio": ratio,
        "test_mse": {role: spread(found) for role, found in error.items()},
        "difference": difference,
        "results": campaign.results,
    }
    return conclude(NAME, totals, verdicts, quick=campaign.quick)


def _table(
    samples: Mapping[str, Sequence[float]], digits: int, more: Callable[[str], list[str]], heads: Sequence[str]
) -> str:
    rows = []
    for role, found in samples.items():
        five = spread(found)
        numbers = (five.low, five.lower_quartile, five.median, five.upper_quartile, five.high)
        rows.append([role, str(five.count), *(f"{value:.{digits}f}" for value in numbers), *more(role)])
    return format_table(["Keras on", "n", "min", "lower q.", "median", "upper q.", "max", *heads], rows)


if __name__ == "__main__":
    sys.exit(main())
