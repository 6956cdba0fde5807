"""Which image a script asks for, best first, and why: by what it imports, and by what would fail where."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from launchbay.errors import NotFound
from launchbay.images.image import FRAMEWORKS, list_images
from launchbay.images.recipe import Recipe, builtin_names, find_recipe
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.build import known_lock
from launchbay.planning.fleet import Instance
from launchbay.runs.fit import Choice, judge
from launchbay.runs.imports import find_distribution
from launchbay.runs.script.reading import Script, read_script
from launchbay.spec.names import suggest_name

__all__ = ["Proposal", "propose"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """The image for a script, the name that one instance of it would have, why, and all images, best first."""

    script: Path
    image: str
    name: str
    why: str
    choices: Sequence[Choice]

    @property
    def best(self) -> Choice:
        """The image that is proposed."""
        return self.choices[0]


def propose(bay: Bay, path: Path) -> Proposal:
    """Say in which image a script should run. Reads the script, executes nothing, and needs no network.

    Raises UsageError when it cannot be read as Python, NotFound when it imports what no image has.
    """
    script = read_script(path)
    built = {image.name for image in list_images(bay.home)}
    recipes = [
        recipe for name in builtin_names() if not (recipe := find_recipe(name)).images
    ]  # one framework is enough
    choices = [_judge(bay, script, recipe, is_built=recipe.name in built) for recipe in recipes]
    choices.sort(key=lambda choice: choice.rank)
    best = choices[0]
    if best.missing:
        raise _explain_missing(script, best)
    name = _free_name(suggest_name(path.stem), bay.provider.observe())
    return Proposal(script=path, image=best.image, name=name, why=_why(script, choices), choices=choices)


def _judge(bay: Bay, script: Script, recipe: Recipe, *, is_built: bool) -> Choice:
    lock = known_lock(bay, recipe)
    packages = {pin.name: pin.version for pin in lock.pins} if lock else _named_packages(recipe)
    environ = dict(lock.env if lock else recipe.env)
    return judge(script, recipe.name, packages, environ=environ, retired=recipe.retired, is_built=is_built)


def _named_packages(recipe: Recipe) -> Mapping[str, str]:
    """Return what a recipe itself names; without a lock, nobody knows the versions."""
    return {re.split(r"[\s\[(<>=!~;@]", line, maxsplit=1)[0].lower(): "" for line in recipe.packages}


def _why(script: Script, choices: Sequence[Choice]) -> str:
    """Say what decided: the frameworks that are imported, and what fails in the images that have those too."""
    named = [name for name in FRAMEWORKS if name in script.modules] or [*script.modules][:3]
    backend = script.settings.get("KERAS_BACKEND")
    why = f"{script.path.name} imports {' and '.join(named)}" if named else f"{script.path.name} needs no framework"
    why += f" and sets KERAS_BACKEND to {backend}" if backend else ""
    fails_in: dict[str, list[str]] = {}
    for choice in choices[1:]:
        if not choice.missing and len(choice.problems) > len(choices[0].problems):
            fails_in.setdefault(str(choice.problems[0]), []).append(choice.image)
    return "; ".join([why, *(f"{problem} (in {' and '.join(images)})" for problem, images in fails_in.items())])


def _explain_missing(script: Script, nearest: Choice) -> NotFound:
    """Say which modules no image has, and how an instance or an image of one's own gets them."""
    place = script.modules.get(nearest.missing[0])
    packages = [find_distribution(name) for name in nearest.missing]
    modules = ", ".join(nearest.missing)
    name = suggest_name(script.path.stem)
    known = " ".join(package for package in packages if package)
    hint = (
        f"bay launch {nearest.image} --name {name} && bay exec {name} -- pip install {known}, then bay train {name} "
        f"{script.path.name}; or an image of your own: a file {name}.yaml with `extends: {nearest.image}` and "
        f"`packages: [{known.replace(' ', ', ')}]`, then bay launch ./{name}.yaml"
        if all(packages)
        else f"if {modules} is a file of yours, put it beside the script; if it is a package, find out first under which "
        f"name it is installed, then bay launch {nearest.image} --name {name} && bay exec {name} -- pip install NAME"
    )
    return NotFound(
        f"no image has {modules}, which {script.path.name} imports; {nearest.image} comes nearest",
        where=str(place) if place else "",
        hint=hint,
    )


def _free_name(name: str, observed: Sequence[Instance]) -> str:
    taken = {word for item in observed for word in (item.fleet, item.name)}
    tries = (name, *(f"{name}{number}" for number in range(2, len(taken) + 3)))
    return next(item for item in tries if not {item, f"{item}-1"} & taken)
