"""What is baked: look into it, copy the files that go along, write the recipe."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from launchbay.errors import Conflict
from launchbay.files import sha256_file, write_atomic
from launchbay.images.carried import mend_records
from launchbay.images.image import Image
from launchbay.images.lock import Lock, is_lock_of
from launchbay.images.recipe import builtin_names, find_recipe
from launchbay.lifecycle.baking import Baking
from launchbay.lifecycle.bay import Bay, connect
from launchbay.lifecycle.stock import Stock
from launchbay.lifecycle.system import find_system_packages
from launchbay.planning.fleet import Instance
from launchbay.providers.environment import Environment
from launchbay.transport.base import Transport

__all__ = ["Subject", "collect_files", "find_extended", "find_linked", "write_recipe"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
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


_BY_PYTHON = re.compile(rb"#!([^\n]*)(?:\n|\Z)")
_BY_SHELL = re.compile(rb"""#!/bin/sh\n'''exec' ['"]?([^\n]*?)['"]? "\$0" "\$@"\n' '''\n""")
"""How installers begin a program: with the path of a Python, or by way of the shell where that is too long for the kernel."""


def collect_files(bay: Bay, subject: Subject, paths: Sequence[str], folder: Path) -> dict[str, str]:
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


def _copy(bay: Bay, subject: Subject, path: str, copy: Path) -> None:
    instance, environment = subject.instance, subject.environment
    if subject.base.files.get(path) == subject.source.files[path]:
        shutil.copy2(environment.image.environment / path, copy)
    else:
        _connect(bay, subject).get(str(environment.path / path), str(copy))
    copy.chmod(copy.stat().st_mode | stat.S_IWUSR)
    if f"sha256:{sha256_file(copy)}" != subject.source.files[path]:
        what = f"{path} was changed while {instance.name} was being baked"
        raise Conflict(what, hint="the same command again, when nobody works in it")


def _connect(bay: Bay, subject: Subject) -> Transport:
    """Return the way into the instance, also a stopped one: nothing of it runs but what looks."""
    return connect(bay, replace(subject.instance, state="running"), subject.environment.name)


def _mend(path: Path, root: Path) -> bool:
    """Let a program whose first line names the instance's Python take that of whoever calls it; say if it was one."""
    data, inside = path.read_bytes(), os.fsencode(root) + b"/"
    far = _BY_SHELL.match(data)
    if far is None or not far[1].startswith(inside):
        far = _BY_PYTHON.match(data)
    if far is None or not far[1].startswith(inside):
        return False
    mode = path.stat().st_mode
    write_atomic(path, b"#!/usr/bin/env python\n" + data[far.end() :])
    path.chmod(mode)
    return not _leads_back(path, root)


def _leads_back(path: Path, root: Path) -> bool:
    """Say whether a file names a path of the instance."""
    return os.fsencode(root) + b"/" in path.read_bytes()


def find_extended(subject: Subject, baking: Baking) -> str | None:
    """Return the built-in recipe that the image's own lock was made from, where packages were only added to it."""
    name, below = subject.image.name, subject.below
    if baking.removed or baking.replaced or below.files or name not in builtin_names():
        return None
    return name if is_lock_of(below, find_recipe(name)) else None


def find_linked(bay: Bay, subject: Subject, baking: Baking) -> Sequence[str]:
    """Return the packages of the machine that the added packages link to."""
    environment, rows = subject.environment, subject.source.rows
    added = [path for path, (package, _) in rows.items() if package in baking.added and path in subject.source.files]
    libraries = [str(environment.path / path) for path in added if re.search(r"\.so(\.[\d.]+)?\Z", path)]
    inside = (str(environment.path), str(environment.image.environment))
    return find_system_packages(_connect(bay, subject), libraries, python=str(environment.python), inside=inside)


def write_recipe(subject: Subject, baking: Baking, extends: str | None, linked: Sequence[str], *, files: str) -> str:
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
