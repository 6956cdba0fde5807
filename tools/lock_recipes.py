"""Resolve the built-in recipes anew for this machine's platform and write the locks that ship with the package.

    .venv/bin/python tools/lock_recipes.py [NAME ...]

Needs the package index. The locks hold names, versions and hashes, and no address.
"""

from __future__ import annotations

import sys
from pathlib import Path

from launchbay.images.lock import current_target, resolve
from launchbay.images.recipe import builtin_names, find_recipe
from launchbay.images.uv import Uv, find_uv

FOLDER = Path(__file__).parent.parent / "src" / "launchbay" / "images" / "locks"


def main(names: list[str]) -> None:
    """Write one lock for each accelerator of a recipe; all hold the same versions where they can."""
    for name in names or builtin_names():
        recipe = find_recipe(name)
        pins = ""
        for accelerator in sorted(recipe.accelerators):  # cpu first
            target = current_target(recipe.python, accelerator)
            path = FOLDER / f"{name}.{target.slug}.txt"
            previous = path.read_text(encoding="utf-8") if path.exists() else pins
            lock = resolve(recipe, target, uv=Uv(find_uv(), accelerator=accelerator), previous=previous)
            pins = pins or lock.requirements()
            path.parent.mkdir(exist_ok=True)
            path.write_text(lock.text(), encoding="utf-8")
            sys.stdout.write(f"{path.name}: {len(lock.pins)} packages, digest {lock.digest[:12]}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
