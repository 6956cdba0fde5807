"""Bake an instance: make a recipe, a lock and an image of what a person has built up in it, and prove them the same.

All of it is made in a folder that no reader looks at, the recipe last to get its place; killed before, the same command
again finds its own files and goes on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from launchbay.errors import BuildError, Conflict, UsageError
from launchbay.files import explain_os_error, locked
from launchbay.images.carried import list_carried
from launchbay.images.image import Image
from launchbay.images.lock import Lock, lock_as_installed, lock_path, parse_lock
from launchbay.images.recipe import builtin_names, read_recipe
from launchbay.images.uv import Uv, find_uv
from launchbay.lifecycle.baking import Baking, decide_baking, find_baked_differences
from launchbay.lifecycle.bay import Bay, image_of
from launchbay.lifecycle.build import ensure_image
from launchbay.lifecycle.placing import place, sign
from launchbay.lifecycle.scratch import scratch
from launchbay.lifecycle.stock import stock_of_image, stock_of_instance
from launchbay.lifecycle.subject import Subject, collect_files, find_extended, find_linked, write_recipe
from launchbay.planning.decide import select_one
from launchbay.planning.fleet import Instance
from launchbay.ports import Event
from launchbay.providers.environment import Environment, find_environment
from launchbay.spec.names import suggest_name

__all__ = ["Baked", "bake_instance"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Baked:
    """What was baked. Packages are name -> version; `replaced` has the image's own versions of those added.

    `same` says whether the image was found to hold what the instance does; `left` (path -> why) and `differences` say
    what it has otherwise.
    """

    name: str
    instance: str
    extends: str | None
    image: Image
    recipe: Path
    lock: Path
    added: Mapping[str, str]
    replaced: Mapping[str, str]
    removed: Mapping[str, str]
    as_files: Mapping[str, str]
    files: Sequence[str]
    system: Sequence[str]
    left: Mapping[str, str]
    differences: Sequence[str]
    same: bool
    packages: int
    compared: int


def bake_instance(
    bay: Bay, name: str, *, image_name: str | None = None, env: str | None = None, output: Path | None = None
) -> Baked:
    """Make a recipe, its lock, a folder of files and an image of an environment of an instance. Blocks.

    They are called `image_name` (default: INSTANCE-baked) and written to `output` (default: here). Raises NotFound;
    UsageError for a name that cannot be; Conflict where there is nothing to bake, a file of that name is not ours, or
    a package that nothing can hold; BuildError where the index has not what was installed.
    """
    instance = select_one(bay.provider.observe(), name)
    environment = _choose_environment(instance, image_of(bay, instance), env)
    target = _choose_target(image_name or f"{instance.name}-baked", output or Path.cwd())
    key = hashlib.sha256(str(target).encode("utf-8", "surrogateescape")).hexdigest()[:32]
    with locked(bay.home.lock(f"bake-{key}")):
        baked = _bake(bay, _take_stock(bay, instance, environment), target)
    bay.provider.sweep()
    return baked


def _choose_environment(instance: Instance, image: Image, env: str | None) -> Environment:
    if image.members and env is None:
        names = [member.name for member in image.members]
        what = f"{instance.name} has several environments ({', '.join(names)}), and one is baked at a time"
        raise UsageError(what, hint=f"bay image bake {instance.name} --env {names[0]}")
    return find_environment(instance.root, image, env)


def _choose_target(name: str, folder: Path) -> Path:
    """Return the path of the recipe to be."""
    fitting = suggest_name(name)
    if name != fitting:
        what = f"an image's name must be 1 to 63 letters, digits or '-', got {name!r}"
        raise UsageError(what, hint=f"--name {fitting}")
    if name in builtin_names():
        raise UsageError(f"{name!r} is an image that comes with Launchbay", hint=f"--name my-{name}")
    if not folder.is_dir():
        raise UsageError("there is no such folder", where=str(folder), hint=f"mkdir -p {folder}")
    return folder.absolute() / f"{name}.yaml"


def _take_stock(bay: Bay, instance: Instance, environment: Environment) -> Subject:
    lock = environment.image.folder / "lock.txt"
    with _telling(bay, f"take stock of {instance.name}"):
        base = stock_of_image(environment.image)
        return Subject(
            instance=instance,
            environment=environment,
            source=stock_of_instance(bay, instance, environment, base),
            base=base,
            below=parse_lock(lock.read_text(encoding="utf-8"), where=str(lock)),
        )


@contextmanager
def _telling(bay: Bay, task: str) -> Iterator[None]:
    bay.reporter.event(Event(task=task))
    yield
    bay.reporter.event(Event(task=task, message="done", finished=True))


def _bake(bay: Bay, subject: Subject, target: Path) -> Baked:
    instance, below = subject.instance, subject.below
    baking = decide_baking(
        instance.name,
        subject.source,
        subject.base,
        pins={pin.name for pin in below.pins},
        carried=[path for path, _ in below.files],
        accelerator=below.target.accelerator,
    )
    with scratch(bay) as folder:
        draft, files = folder / target.name, folder / f"{target.stem}.files"
        left = {**baking.left, **collect_files(bay, subject, baking.carried, files)}
        carried = list_carried(files) if files.exists() else ()
        if not (baking.added or baking.removed or carried != below.files):
            raise _nothing(subject, left)
        extends, linked = find_extended(subject, baking), find_linked(bay, subject, baking)
        text = write_recipe(subject, baking, extends, linked, files=files.name if carried else "")
        draft.write_text(sign(text, instance), encoding="utf-8")
        lock = _lock(bay, draft, subject, baking)
        try:
            if place(draft, target, lock, instance):
                bay.reporter.note(f"{target.name} had been baked from {instance.name} before; it was written anew.")
        except OSError as error:
            raise explain_os_error(error, f"writing {target.name}") from error
    built, _ = ensure_image(bay, str(target), "cpu" if lock.target.accelerator == "cpu" else "cuda")
    with _telling(bay, f"compare {target.stem} with {instance.name}"):
        prints = {path: value.replace("program:", "sha256:") for path, value in carried}
        differences = find_baked_differences(subject.source, stock_of_image(built), carried=prints, left=left)
    return Baked(
        name=target.stem,
        instance=instance.name,
        extends=extends,
        image=built,
        recipe=target,
        lock=lock_path(target, lock.target),
        added=baking.added,
        replaced=baking.replaced,
        removed=baking.removed,
        as_files=baking.as_files,
        files=[path for path, _ in carried],
        system=read_recipe(target).system,
        left=left,
        differences=differences,
        same=not differences and not left,
        packages=len(subject.source.packages),
        compared=len(subject.source.files),
    )


def _nothing(subject: Subject, left: Mapping[str, str]) -> Conflict:
    name, image = subject.instance.name, subject.image.name
    but = "".join(f"; {path} {why}" for path, why in list(left.items())[:3])
    return Conflict(
        f"{name} holds nothing that its image {image} does not hold: there is nothing to bake{but}",
        hint=f"bay launch {image}; home and work folder are not part of an image (`bay cp` copies them)",
    )


def _lock(bay: Bay, draft: Path, subject: Subject, baking: Baking) -> Lock:
    """Lock the recipe: what the image had as it was, what was added as the index has it."""
    name, uv = subject.instance.name, Uv(find_uv())
    try:
        with _telling(bay, f"lock {draft.stem}"):
            return lock_as_installed(read_recipe(draft), subject.below, kept=baking.kept, added=baking.added, uv=uv)
    except BuildError as error:
        if error.hint:  # the network, a full disk
            raise
        raise BuildError(
            error.what,
            where=name,
            hint=f"publish it to your index, or name the folder of its wheel (UV_FIND_LINKS=FOLDER); or let its files go "
            f"along: bay exec {name} -- pip install --force-reinstall --no-deps FILE.whl",
        ) from error
