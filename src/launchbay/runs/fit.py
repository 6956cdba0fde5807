"""How well a script fits an image: by what it imports, and by what would fail there. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from launchbay.images.image import FRAMEWORKS
from launchbay.runs.foresee import Problem, foresee, missing_modules
from launchbay.runs.script.reading import Script

__all__ = ["Choice", "judge"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """An image, and how well a script fits it. `unneeded` are frameworks that the script does not ask for.

    Keras is not counted: it is small, and comes with others.
    """

    image: str
    built: bool
    retired: str
    missing: Sequence[str]
    problems: Sequence[Problem]
    unneeded: Sequence[str]

    @property
    def rank(self) -> tuple[object, ...]:
        """The smaller, the better it fits."""
        sure = sum(problem.is_sure for problem in self.problems)
        doubts = len(self.problems) - sure
        return (
            *(len(self.missing), sure, doubts, len(self.unneeded)),
            *(bool(self.retired), not self.built, self.image),
        )


def judge(
    script: Script,
    image: str,
    packages: Mapping[str, str],
    *,
    environ: Mapping[str, str],
    retired: str = "",
    is_built: bool = True,
) -> Choice:
    """Say how well a script fits an image with these packages, name -> version, and variables."""
    wanted = _wanted(script)
    return Choice(
        image=image,
        built=is_built,
        retired=retired,
        missing=tuple(missing_modules(script, packages)) + _missing_backend(script, packages),
        problems=foresee(script, packages, environ=environ),
        unneeded=tuple(name for name in FRAMEWORKS if name in packages and name not in {*wanted, "keras"}),
    )


def _wanted(script: Script) -> set[str]:
    """Return the frameworks that a script asks for. Left to itself, Keras takes TensorFlow."""
    wanted = {*script.modules, script.settings.get("KERAS_BACKEND", "")}
    if "keras" in wanted and "KERAS_BACKEND" not in script.settings:
        wanted.add("tensorflow")
    return wanted


def _missing_backend(script: Script, packages: Mapping[str, str]) -> tuple[str, ...]:
    """Return the backend that a script sets for Keras, where it is not there."""
    backend = script.settings.get("KERAS_BACKEND", "")
    is_missing = "keras" in script.modules and backend in FRAMEWORKS and backend not in packages
    return (backend,) if is_missing and backend not in script.modules else ()
