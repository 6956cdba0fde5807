"""Look at a script before it runs in an instance: what is certain to fail stops it, what may is told."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from launchbay.errors import Conflict, NotFound, UsageError, WillFail
from launchbay.images.image import FRAMEWORKS
from launchbay.lifecycle.bay import Bay, connect, image_of, python_of
from launchbay.onboard.fingerprint import list_added
from launchbay.planning.fleet import Instance
from launchbay.providers.environment import Environment, environments, find_environment
from launchbay.providers.layer import find_layer
from launchbay.runs.fit import judge
from launchbay.runs.foresee import Problem, foresee, missing_modules
from launchbay.runs.imports import find_distribution
from launchbay.runs.script.reading import Place, Script, read_script

__all__ = ["choose_environment", "preview", "refuse", "refuse_in"]

_FIND = """
import importlib.util, json, sys
print(json.dumps([name for name in sys.argv[1:] if importlib.util.find_spec(name) is None]))
"""


def preview(bay: Bay, instance: Instance, path: Path, *, env: str | None = None) -> Sequence[Problem]:
    """Return what will fail, or may, when a script runs in an instance; nothing of it is executed.

    A script that cannot be read as Python is left to say so itself.
    """
    try:
        script = read_script(path)
    except UsageError:
        return ()
    environment = find_environment(instance.root, image_of(bay, instance), env)
    packages = _packages(instance, environment)
    missing = _missing(bay, instance, script, packages, env)
    return (*missing, *foresee(script, packages, environ={**bay.environ, **environment.image.env}))


def choose_environment(bay: Bay, instance: Instance, path: Path) -> str | None:
    """Return which of several environments a script fits best, the first where several do; None where there is one."""
    there = environments(instance.root, image_of(bay, instance))
    if len(there) == 1:
        return None
    try:
        script = read_script(path)
    except UsageError:
        return None
    choices = [
        judge(script, item.image.name, _packages(instance, item), environ={**bay.environ, **item.image.env})
        for item in there
    ]
    return min(choices, key=lambda choice: choice.rank[:-1]).image  # the last part of it is the name


def _packages(instance: Instance, environment: Environment) -> Mapping[str, str]:
    """Return name -> version of what an environment has, its person's own packages before the image's."""
    image = environment.image
    top = find_layer(instance.layer).written(instance.root)[""]
    folder = top / image.name if environment.is_one_of_several else top
    return {**image.packages, **list_added(str(folder), [""])}


def refuse(script: str, place: str, problems: Sequence[Problem], *, beside: Collection[str] = ()) -> WillFail:
    """Return the error for a script that is certain to fail in a place; `beside` are other environments that it has."""
    sure = [problem for problem in problems if problem.is_sure]
    lines = "".join(f"\n  {problem}" for problem in sure)
    hints = dict.fromkeys(problem.hint for problem in sure)
    images = dict.fromkeys(problem.image for problem in sure)
    other = next(iter(images)) if len(images) == 1 else ""
    how = (
        f"with --env {other}"
        if other in beside
        else f"in the image {other}: bay launch {other}, then bay train {other} SCRIPT"
    )
    elsewhere = f"; or run it as it is {how}" if other else ""
    return WillFail(
        f"{script} was not started: it will fail in {place}{lines}",
        hint=f"{'; '.join(hints)}{elsewhere}; or --force to run it all the same",
        problems=problems,
    )


def refuse_in(bay: Bay, instance: Instance, script: str, problems: Sequence[Problem], *, env: str | None) -> WillFail:
    """Return the error for a script that is certain to fail in an instance."""
    image = image_of(bay, instance)
    chosen = find_environment(instance.root, image, env)
    where = f"environment {chosen.image.name}" if chosen.is_one_of_several else f"image {instance.image}"
    beside = [item.image.name for item in environments(instance.root, image) if item.is_one_of_several]
    return refuse(script, f"{instance.name} ({where})", problems, beside=beside)


def _missing(
    bay: Bay, instance: Instance, script: Script, packages: Mapping[str, str], env: str | None
) -> Sequence[Problem]:
    """Return a problem for each module that the instance's own Python does not find either, and nothing else chooses."""
    suspects = {
        module: place
        for module, place in missing_modules(script, packages).items()
        if place.is_sure or module not in script.chosen
    }
    if not suspects:
        return ()
    absent = _ask(bay, instance, [*suspects], env)
    other = _other_image(bay, instance, script.path) if absent else ""
    frameworks = [name for name in FRAMEWORKS if name in absent]
    return tuple(
        Problem(
            file=place.file,
            line=place.line,
            what=f"{'imports' if place.is_sure else 'may import'} {module}, which {instance.name} does not have",
            hint=f"it needs an image with {' and '.join(frameworks)}" if frameworks else _how_to_get(module, instance),
            is_sure=place.is_sure and not script.finds_modules_itself,
            image=other,
        )
        for module, place in _in_order(suspects)
        if module in absent
    )


def _other_image(bay: Bay, instance: Instance, path: Path) -> str:
    """Return the image that has all that a script imports; empty where none has."""
    from launchbay.runs.propose import propose  # 20 ms for recipes and locks: every `bay train` would pay them

    try:
        image = propose(bay, path).image
    except NotFound:
        return ""
    return image if image != instance.image else ""


def _in_order(suspects: Mapping[str, Place]) -> Sequence[tuple[str, Place]]:
    return sorted(suspects.items(), key=lambda item: item[1])


def _ask(bay: Bay, instance: Instance, modules: Sequence[str], env: str | None) -> set[str]:
    """Ask the instance's Python, which alone knows every way in which a module can be there."""
    try:
        done = connect(bay, instance, env).run([python_of(bay, instance, env), "-c", _FIND, *modules], timeout=30)
    except Conflict:  # it is stopped: whoever starts the run says so
        return set()
    return set(json.loads(done.stdout)) if done.code == 0 else set()


def _how_to_get(module: str, instance: Instance) -> str:
    if package := find_distribution(module):
        return f"install it in the instance: bay exec {instance.name} -- pip install {package}"
    return (
        f"if {module} is a file of yours, put it beside the script; if it is a package, find out first under which name "
        "it is installed"
    )
