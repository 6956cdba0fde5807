"""Where benchmarks work: a home of their own whose images are kept, and a scratch folder that is not.

Nothing is removed before the end. Where files were deleted a moment ago, some file systems (ext4 without a journal)
make new ones many times more slowly, and that would be measured instead.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks._timing import CommandFailed, clean_environ
from launchbay.files import locked, remove_tree
from launchbay.home import Home, random_letters
from launchbay.images.image import Image, find_image

__all__ = ["Place", "make_parser", "open_place", "tiny_recipe"]

ROOT = Path(__file__).resolve().parents[1]
_SLOW_FILE_US = 150.0
_OURS = "bench-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A home, a scratch folder, the variables of every child, and a tag that no earlier name carries."""

    home: Home
    scratch: Path
    environ: Mapping[str, str]
    tag: str

    @property
    def bay(self) -> list[str]:
        """How a person starts `bay`, in this environment."""
        beside = Path(sys.executable).with_name("bay")
        return [str(beside)] if beside.exists() else [sys.executable, "-m", "launchbay"]

    def name(self, *parts: object) -> str:
        """Return the name of a fleet that never was before; the end of the benchmark removes it."""
        return "-".join([_OURS + self.tag, *map(str, parts)])

    def ask(self, *arguments: str | Path) -> Any:
        """Run `bay` untimed and return its JSON. Raises CommandFailed with what it said."""
        command = [*self.bay, *map(str, arguments)]
        after = command.index("--") if "--" in command else len(command)
        command[after:after] = ["--json"]
        done = subprocess.run(command, env=dict(self.environ), capture_output=True, text=True, check=False)
        if done.returncode:
            raise CommandFailed(f"{' '.join(command[:8])} ended with code {done.returncode}: {done.stderr[-800:]}")
        return json.loads(done.stdout)

    def image(self, reference: str) -> Image:
        """Return an image, built now if it is missing."""
        built = self.ask("image", "build", reference)
        found = find_image(self.home, built["digest"])
        assert found is not None
        return found


def make_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with what every benchmark takes."""
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a quick look: few rounds, no verdict")
    parser.add_argument("--home", type=Path, default=ROOT / "build" / "bench-home", help="where images are kept")
    return parser


@contextlib.contextmanager
def open_place(home: Path) -> Iterator[Place]:
    """Hold the home alone; at the end remove every benchmark's instances and runs, also those of one that was killed."""
    home = home.absolute()
    scratches = home.with_name(f"{home.name}.scratch")
    tag = random_letters(5)
    place = Place(home=Home(home), scratch=scratches / tag, environ=clean_environ(LAUNCHBAY_HOME=str(home)), tag=tag)
    with locked(home / "benchmark.lock", wait=False) as alone:
        if not alone:
            sys.exit("another benchmark is at work in this home; two at once would measure each other")
        place.scratch.mkdir(parents=True)
        _look_around(place)
        try:
            yield place
        finally:
            _clean_up(place)
            remove_tree(scratches)


def _clean_up(place: Place) -> None:
    """Remove what is ours by its name, and nothing else: the home may be a person's own."""
    for fleet in {row["fleet"] for row in place.ask("ps")}:
        if fleet.startswith(_OURS):
            place.ask("terminate", fleet, "-y")
    for run in place.ask("runs"):
        if run["instance"].startswith(_OURS):
            remove_tree(Path(run["folder"]))


def _look_around(place: Place) -> None:
    """Say so beforehand when the machine is in no state to be measured."""
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    if load > cores / 2:
        print(f"note: other work runs on this machine (load {load:.1f} on {cores} cores): read ratios, not seconds")
    began = time.perf_counter()
    for number in range(200):
        (place.scratch / f"probe-{number}").touch()
    each_us = (time.perf_counter() - began) / 200 * 1e6
    if each_us > _SLOW_FILE_US:
        print(
            f"note: making an empty file takes {each_us:.0f} us here, many times the usual; were many files deleted in "
            "the last five minutes? What makes files is measured too slow"
        )


def tiny_recipe(place: Place) -> str:
    """Return the recipe of the smallest image that is one, for what does not depend on the image's size."""
    path = place.home.root / "tiny.yaml"
    if not path.exists():
        path.write_text("description: the smallest image that is one\npackages: [six==1.17.0]\n", encoding="utf-8")
    return str(path)
