"""The frozen value that every verb takes first: where state lies, what time it is, who is told, who makes instances."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from launchbay.errors import Conflict, StateError
from launchbay.home import Home, find_home
from launchbay.images.image import Image, find_image
from launchbay.planning.fleet import Instance
from launchbay.ports import Clock, Reporter, SilentReporter, SystemClock
from launchbay.providers.base import Provider
from launchbay.providers.environment import Environment, find_environment, instance_environment
from launchbay.providers.layer import find_layer
from launchbay.providers.local import LocalProvider
from launchbay.providers.resources import find_part
from launchbay.transport.base import Transport
from launchbay.transport.local import LocalTransport

__all__ = [
    "Bay",
    "connect",
    "fleet_names",
    "image_mark",
    "image_of",
    "image_transport",
    "open_bay",
    "python_of",
    "variables_of",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bay:
    """One place to launch from. Make it with `open_bay`; tests pass their own parts."""

    home: Home
    clock: Clock
    reporter: Reporter
    provider: Provider
    environ: Mapping[str, str] = field(repr=False)


def open_bay(*, reporter: Reporter | None = None, environ: Mapping[str, str] | None = None) -> Bay:
    """Return the person's own bay: `$LAUNCHBAY_HOME`, the system's clock, local instances."""
    environ = os.environ if environ is None else environ
    home, clock = find_home(environ), SystemClock()
    reporter = reporter or SilentReporter()
    provider = LocalProvider(home, clock, reporter)
    return Bay(home=home, clock=clock, reporter=reporter, provider=provider, environ=environ)


def image_of(bay: Bay, instance: Instance) -> Image:
    """Return the image an instance stands on. Raises StateError when somebody removed it."""
    image = find_image(bay.home, instance.digest)
    if image is None:
        raise StateError(
            f"the image of {instance.name} is gone",
            where=instance.digest[:12],
            hint=f"`bay image build {instance.image}`, or its recipe file if it came from one",
        )
    return image


def connect(bay: Bay, instance: Instance, env: str | None = None) -> Transport:
    """Return the way into one environment of a running instance, its default one unless `env` names another.

    Raises Conflict when it is stopped, NotFound when it has no such environment.
    """
    if instance.state != "running":
        raise Conflict(f"{instance.name} is {instance.state}", hint=f"bay start {instance.name}")
    if (instance.root / "next").exists() and not (instance.root / "env").exists():  # between two renames
        hint = f"wait for `bay update {instance.fleet}`, or give it again if it was killed"
        raise Conflict(f"{instance.name} is being moved to another image", hint=hint)
    image = image_of(bay, instance)
    variables = variables_of(bay, instance, image, env)
    door = find_layer(instance.layer).door(instance, image)
    part = find_part(instance.root)
    return LocalTransport(
        environment=variables,
        folder=str(instance.root / "work"),
        door=[*part.words, *door.words],
        view=door.view,
        processors=part.processors,
    )


def variables_of(bay: Bay, instance: Instance, image: Image, env: str | None = None) -> dict[str, str]:
    """Return the variables that everything in one environment of an instance is given."""
    variables = instance_environment(
        find_environment(instance.root, image, env),
        person=instance.root / "home",
        outer=bay.environ,
        name=instance.name,
        identity=instance.id,
    )
    return {**variables, **find_part(instance.root).variables}


def image_transport(bay: Bay, image: Image, *, folder: str) -> Transport:
    """Return a way to run onboard commands with an image's own Python, without an instance."""
    variables = instance_environment(
        Environment(image.environment, image),
        person=Path(folder),
        outer=bay.environ,
        name="",
        identity=image_mark(image),
    )
    # the image is sealed, also against the root user whom permissions do not stop: nothing may be compiled into it
    variables |= {"PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": folder}
    return LocalTransport(environment=variables, folder=folder)


def image_mark(image: Image) -> str:
    """Return what stands for an instance's id where an image's own Python runs."""
    return f"image {image.digest}"


def python_of(bay: Bay, instance: Instance, env: str | None = None) -> str:
    """Return the path of the Python in one environment of an instance."""
    return str(find_environment(instance.root, image_of(bay, instance), env).python)


def fleet_names(instances: Sequence[Instance]) -> Sequence[str]:
    """Return the fleets of instances, in order."""
    return tuple(dict.fromkeys(instance.fleet for instance in instances))
