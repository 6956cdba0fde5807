"""Bake an instance: make a recipe, a lock and an image of what a person has built up in it, and prove them the same.

All of it is made in a folder that no reader looks at, the recipe last to get its place; killed before, the same command
again finds its own files and goes on.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from launchbay.errors import BuildError, Conflict, UsageError
from launchbay.files import explain_os_error, locked, sha256_file, write_atomic
from launchbay.images.carried import list_carried, mend_records
from launchbay.images.image import Image
from launchbay.images.lock import Lock, is_lock_of, lock_as_installed, lock_path, parse_lock
from launchbay.images.recipe import builtin_names, find_recipe, read_recipe
from launchbay.images.uv import Uv, find_uv
from launchbay.lifecycle.baking import Baking, decide_baking, find_baked_differences
from launchbay.lifecycle.bay import Bay, connect, image_of
from launchbay.lifecycle.build import ensure_image
from launchbay.lifecycle.placing import place, sign
from launchbay.lifecycle.scratch import scratch
from launchbay.lifecycle.stock import Stock, stock_of_image, stock_of_instance
from launchbay.lifecycle.system import find_system_packages
from launchbay.planning.decide import select_one
from launchbay.planning.fleet import Instance
from launchbay.ports import Event
from launchbay.providers.environment import Environment, find_environment
from launchbay.spec.names import suggest_name
from launchbay.transport.base import Transport

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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Subject:
    """What is baked: an environment of an instance, all that it holds, and what the image below holds."""

    instance: Instance
    environment: Environment
    source: Stock
    base: Stock
    below: Lock

    @property
    def image(self) -> Image:
        """The image below."""
        return self.environment.image


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


def _take_stock(bay: Bay, instance: Instance, environment: Environment) -> _Subject:
    lock = environment.image.folder / "lock.txt"
    with _telling(bay, f"take stock of {instance.name}"):
        base = stock_of_image(environment.image)
        return _Subject(
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


def _bake(bay: Bay, subject: _Subject, target: Path) -> Baked:
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
        left = {**baking.left, **_collect(bay, subject, baking.carried, files)}
        carried = list_carried(files) if files.exists() else ()
        if not (baking.added or baking.removed or carried != below.files):
            raise _nothing(subject, left)
        extends = _extended(subject, baking)
        linked = _linked_system_packages(bay, subject, baking)
        draft.write_text(
            sign(_recipe(subject, baking, extends, linked, files=f"{target.stem}.files" if carried else ""), instance),
            "utf-8",
        )
        lock = _lock(bay, draft, subject, baking)
        try:
            if place(draft, target, lock, instance):
                bay.reporter.note(f"{target.name} had been baked from {instance.name} before; it was written anew.")
        except OSError as error:
            raise explain_os_error(error, f"writing {target.name}") from error
    built, _ = ensure_image(bay, str(target))
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


def _nothing(subject: _Subject, left: Mapping[str, str]) -> Conflict:
    name, image = subject.instance.name, subject.image.name
    but = "".join(f"; {path} {why}" for path, why in list(left.items())[:3])
    return Conflict(
        f"{name} holds nothing that its image {image} does not hold: there is nothing to bake{but}",
        hint=f"bay launch {image}; home and work folder are not part of an image (`bay cp` copies them)",
    )


def _collect(bay: Bay, subject: _Subject, paths: Sequence[str], folder: Path) -> dict[str, str]:
    """Copy the files to carry into a folder; return those that cannot be carried (path -> why)."""
    left, mended = {}, []
    for path in paths:
        copy, value = folder / path, subject.source.files[path]
        if value.startswith(f"link:{subject.instance.root}/"):
            left[path] = "is a link into this instance"
            continue
        copy.parent.mkdir(parents=True, exist_ok=True)
        if value.startswith("link:"):
            copy.symlink_to(value.removeprefix("link:"))
        else:
            _copy(bay, subject, path, copy)
            if _mend(copy, subject.instance.root):
                mended.append(copy)
            elif _leads_back(copy, subject.instance.root):
                left[path] = "names the folder of this instance"
                copy.unlink()
    for packages in folder.glob("lib/python*/site-packages"):
        mend_records(packages, mended)
    return left


def _copy(bay: Bay, subject: _Subject, path: str, copy: Path) -> None:
    instance, environment = subject.instance, subject.environment
    if subject.base.files.get(path) == subject.source.files[path]:
        shutil.copy2(environment.image.environment / path, copy)
    else:
        _connect(bay, subject).get(str(environment.path / path), str(copy))
    copy.chmod(copy.stat().st_mode | stat.S_IWUSR)
    if f"sha256:{sha256_file(copy)}" != subject.source.files[path]:
        what = f"{path} was changed while {instance.name} was being baked"
        raise Conflict(what, hint="the same command again, when nobody works in it")


def _connect(bay: Bay, subject: _Subject) -> Transport:
    """Return the way into the instance, also a stopped one: nothing of it runs but what looks."""
    return connect(bay, replace(subject.instance, state="running"), subject.environment.name)


def _mend(path: Path, root: Path) -> bool:
    """Let a program whose first line names the instance's Python take that of whoever calls it; say if it was one."""
    first, end, rest = path.read_bytes().partition(b"\n")
    if not first.startswith(b"#!" + os.fsencode(root) + b"/"):
        return False
    mode = path.stat().st_mode
    write_atomic(path, b"#!/usr/bin/env python" + end + rest)
    path.chmod(mode)
    return not _leads_back(path, root)


def _leads_back(path: Path, root: Path) -> bool:
    """Say whether a file names a path of the instance."""
    return os.fsencode(root) + b"/" in path.read_bytes()


def _extended(subject: _Subject, baking: Baking) -> str | None:
    """Return the built-in recipe that the image's own lock was made from, where packages were only added to it."""
    name, below = subject.image.name, subject.below
    if baking.removed or baking.replaced or below.files or name not in builtin_names():
        return None
    return name if is_lock_of(below, find_recipe(name)) else None


def _linked_system_packages(bay: Bay, subject: _Subject, baking: Baking) -> Sequence[str]:
    """Return the packages of the machine that the added packages link to."""
    environment, rows = subject.environment, subject.source.rows
    added = [path for path, (package, _) in rows.items() if package in baking.added and path in subject.source.files]
    libraries = [str(environment.path / path) for path in added if re.search(r"\.so(\.[\d.]+)?\Z", path)]
    inside = (str(environment.path), str(environment.image.environment))
    return find_system_packages(_connect(bay, subject), libraries, python=str(environment.python), inside=inside)


def _recipe(subject: _Subject, baking: Baking, extends: str | None, linked: Sequence[str], *, files: str) -> str:
    """Write the recipe; where it extends nothing, it names every package."""
    image, below = subject.image, subject.below
    lines = [f"description: {_quote(f'what {subject.instance.name} held, on {image.name}')}"]
    packages = [f"{name}=={version}" for name, version in sorted(baking.added.items())]
    if extends:
        lines.append(f"extends: {extends}")
    else:
        packages = sorted([*packages, *(f"{pin.name}=={pin.version}" for pin in below.pins if pin.name in baking.kept)])
        lines += [f"python: {_quote(below.target.python)}", *_beyond_the_lock(image, below)]
    known = find_recipe(extends).system if extends else ()
    system = sorted({*(() if extends else image.system), *linked} - {*known})
    if packages:
        lines += ["packages:", *(f"  - {_quote(line)}" for line in packages)]
    if files:
        lines.append(f"files: ./{files}")
    if system:
        lines += ["system:", *(f"  - {_quote(name)}" for name in system)]
    return "\n".join([*lines, ""])


def _beyond_the_lock(image: Image, below: Lock) -> list[str]:
    """Return what else the image's recipe said, as far as it is known."""
    known = {}
    if image.name in builtin_names():
        recipe = find_recipe(image.name)
        known = {"gpu_capability": recipe.gpu_capability, "gpu_driver": recipe.gpu_driver, "retired": recipe.retired}
    lines = [f"{name}: {_quote(value)}" for name, value in known.items() if value]
    lines += [f"accelerators: [{below.target.accelerator}]"] if below.target.accelerator != "cpu" else []
    return lines + (["env:", *(f"  {key}: {_quote(value)}" for key, value in below.env)] if below.env else [])


def _quote(text: str) -> str:
    return json.dumps(text)  # which YAML reads as a text, whatever is in it


def _lock(bay: Bay, draft: Path, subject: _Subject, baking: Baking) -> Lock:
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
