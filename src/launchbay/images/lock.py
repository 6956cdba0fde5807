"""Locks: a recipe resolved, every package pinned with its hashes, and the digest that names the image.

A lock is a requirements file, so pip and uv read it too. It carries no index address. Comments in its head say what it
was resolved from and for; when the recipe changes they no longer match and it is resolved again, keeping what it can.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

from launchbay.errors import BuildError, StateError
from launchbay.files import write_atomic
from launchbay.images.carried import list_carried
from launchbay.images.recipe import Recipe, check_wanted
from launchbay.images.uv import Uv

__all__ = [
    "LAYOUT",
    "Lock",
    "Pin",
    "Target",
    "compose_digest",
    "current_target",
    "find_lock",
    "is_lock_of",
    "lock_as_installed",
    "lock_path",
    "lock_recipe",
    "parse_lock",
    "relabel",
]

LAYOUT = 2
"""Version of the image folder's layout; part of the digest, so that an old image is never taken for a new one."""

_PIN = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>\S+)\s+(?P<hashes>(--hash=sha256:[0-9a-f]{64}\s*)+)\Z"
)
_HASH = re.compile(r"sha256:([0-9a-f]{64})")
_HEAD = re.compile(r"# (?P<key>recipe|inputs|python|platform|accelerator|env|file): (?P<value>.*)\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a lock is resolved for."""

    python: str
    platform: str
    accelerator: str = "cpu"

    @property
    def slug(self) -> str:
        """The target in a file name: ``py311-linux-x86_64-cpu``."""
        return f"py{self.python.replace('.', '')}-{self.platform}-{self.accelerator}"


@dataclass(frozen=True, slots=True)
class Pin:
    """One package, one version, the hashes of its files."""

    name: str
    version: str
    hashes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """A recipe resolved for a target."""

    recipe: str
    inputs: str
    target: Target
    env: tuple[tuple[str, str], ...]
    pins: tuple[Pin, ...]
    files: tuple[tuple[str, str], ...] = ()

    @property
    def digest(self) -> str:
        """The image's name: sha256 over canonical lock, Python minor, platform, accelerator and layout version.

        Known before anything is built. The recipe's own name is left out: equal content is one image.
        """
        canonical = {
            "layout": LAYOUT,
            "python": self.target.python,
            "platform": self.target.platform,
            "accelerator": self.target.accelerator,
            "env": [list(pair) for pair in self.env],
            "packages": [[pin.name, pin.version, list(pin.hashes)] for pin in self.pins],
            **({"files": [list(file) for file in self.files]} if self.files else {}),
        }
        return hashlib.sha256(json.dumps(canonical, separators=(",", ":")).encode()).hexdigest()

    def requirements(self) -> str:
        """Return what the installer reads: pins with hashes."""
        blocks = (
            " \\\n    ".join([f"{pin.name}=={pin.version}", *(f"--hash=sha256:{item}" for item in pin.hashes)])
            for pin in self.pins
        )
        return "\n".join(blocks) + "\n"

    def constraints(self) -> str:
        """Return ``name==version`` lines without hashes: a hashed constraint makes every later install fail."""
        return "".join(f"{pin.name}=={pin.version}\n" for pin in self.pins)

    def text(self) -> str:
        """Return the lock file."""
        head = [
            "# launchbay lock: made from the recipe, delete it to resolve anew",
            f"# recipe: {self.recipe}",
            f"# inputs: {self.inputs}",
            f"# python: {self.target.python}",
            f"# platform: {self.target.platform}",
            f"# accelerator: {self.target.accelerator}",
            *(f"# env: {key}={value}" for key, value in self.env),
            *(f"# file: {json.dumps(file)}" for file in self.files),
        ]
        return "\n".join(head) + "\n" + self.requirements()


def compose_digest(members: Sequence[tuple[str, str]]) -> str:
    """Return the digest of images side by side, from (name, digest) of each, in order: the first is the default."""
    canonical = {"layout": LAYOUT, "images": [list(member) for member in members]}
    return hashlib.sha256(json.dumps(canonical, separators=(",", ":")).encode()).hexdigest()


def current_target(python: str, accelerator: str = "cpu") -> Target:
    """Return the target of this machine for a Python minor version."""
    system = {"darwin": "macos", "linux": "linux"}.get(sys.platform, sys.platform)
    return Target(python=python, platform=f"{system}-{platform.machine().lower()}", accelerator=accelerator)


def parse_lock(text: str, *, where: str) -> Lock:
    """Read a lock file. Raises StateError when it is not one of ours or was damaged."""
    head: dict[str, str] = {}
    env: list[tuple[str, str]] = []
    files: list[tuple[str, str]] = []
    pins = []
    for line in _join_continued(text):
        match = _HEAD.match(line)
        if match and match["key"] == "env":
            key, _, value = match["value"].partition("=")
            env.append((key, value))
        elif match and match["key"] == "file":
            files.append(_parse_file(match["value"], where))
        elif match:
            head[match["key"]] = match["value"]
        elif line.strip() and not line.startswith("#"):
            try:
                pins.append(_parse_pin(line))
            except BuildError as error:
                raise StateError(f"lock is damaged: {error.what}", where=where, hint=_MADE_AGAIN) from None
    if not {"recipe", "inputs", "python", "platform", "accelerator"} <= head.keys() or not pins:
        raise StateError("lock is damaged: its head is incomplete", where=where, hint=_MADE_AGAIN)
    target = Target(python=head["python"], platform=head["platform"], accelerator=head["accelerator"])
    return Lock(
        recipe=head["recipe"],
        inputs=head["inputs"],
        target=target,
        env=tuple(sorted(env)),
        pins=tuple(sorted(pins, key=_by_name)),
        files=tuple(sorted(files)),
    )


_MADE_AGAIN = "delete it; it is made again"


def _parse_file(text: str, where: str) -> tuple[str, str]:
    try:
        path, value = json.loads(text)
    except (TypeError, ValueError):
        raise StateError("lock is damaged: a file in its head", where=where, hint=_MADE_AGAIN) from None
    return str(path), str(value)


def _join_continued(text: str) -> list[str]:
    """Return the lines, a pin with its hashes as one; a backslash at the end of a comment means nothing."""
    lines: list[str] = []
    is_open = False
    for line in text.split("\n"):
        if is_open:
            lines[-1] = f"{lines[-1]} {line.strip()}"
        else:
            lines.append(line)
        is_open = line.endswith("\\") and not line.startswith("#")
        if is_open:
            lines[-1] = lines[-1][:-1]
    return lines


def lock_recipe(recipe: Recipe, *, folder: Path, uv: Uv, accelerator: str = "cpu") -> Lock:
    """Return the recipe's lock for this machine: the one that stands if it still fits, else resolved now and kept.

    A lock stands beside the recipe's file, with the package for a built-in recipe, else in `folder`.
    Raises BuildError with the resolver's reason when the packages cannot live together.
    """
    lock = find_lock(recipe, folder=folder, accelerator=accelerator)
    target = current_target(recipe.python, accelerator)
    beside = _lock_path(recipe, target, folder)
    previous = _read_lock(beside) if beside.exists() else ""
    if lock is None:
        lock = resolve(recipe, target, uv=replace(uv, accelerator=accelerator), previous=previous)
    elif not previous or parse_lock(previous, where=str(beside)).files == lock.files:
        return lock
    try:
        write_atomic(beside, lock.text().encode())
    except OSError as error:
        what = f"the lock of {recipe.name} cannot be written: {error.strerror}"
        raise BuildError(what, where=str(beside), hint="copy the recipe to a folder of your own") from error
    return lock


def find_lock(recipe: Recipe, *, folder: Path, accelerator: str = "cpu") -> Lock | None:
    """Return the recipe's lock for this machine where one stands and still fits; nothing is resolved."""
    target = current_target(recipe.python, accelerator)
    inputs = _hash_inputs(recipe, target)
    if recipe.origin is None:
        name = f"{recipe.name}.{target.slug}.txt"
        shipped = resources.files("launchbay.images") / "locks" / name
        if shipped.is_file():
            lock = parse_lock(shipped.read_text(encoding="utf-8"), where=f"locks/{name}")
            if lock.inputs == inputs:
                return lock
    beside = _lock_path(recipe, target, folder)
    if beside.exists():
        lock = parse_lock(_read_lock(beside), where=str(beside))
        if lock.inputs == inputs and lock.env == recipe.env:
            return replace(lock, files=_files(recipe))  # whatever files there are, the packages stay as they are locked
    return None


def _lock_path(recipe: Recipe, target: Target, folder: Path) -> Path:
    """Return where a lock is kept that is made here: beside the recipe's file, or in `folder`."""
    if recipe.origin:
        return lock_path(recipe.origin, target)
    return folder / f"{recipe.name}.{target.slug}.txt"


def _read_lock(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise StateError("lock is damaged: not a text file", where=str(path), hint=_MADE_AGAIN) from None


def resolve(recipe: Recipe, target: Target, *, uv: Uv, previous: str = "") -> Lock:
    """Resolve a recipe with uv, preferring the pins of `previous`. Needs the package index."""
    check_wanted(recipe, target.accelerator)
    packages = (*recipe.packages_for(target.accelerator), "pip", "uv")
    text = uv.compile(packages, recipe.requirements, python=target.python, previous=previous, name=recipe.name)
    pins = [_parse_pin(line) for line in _join_continued(text) if line.strip()]
    _check_accelerator(recipe.name, target.accelerator, pins)
    demanded = _demanded_hashes(
        recipe, target.accelerator
    )  # who writes hashes down wants these files, whatever the index offers by now
    pins = [replace(pin, hashes=demanded.get(pin.name, pin.hashes)) for pin in pins]
    return Lock(
        recipe=recipe.name,
        inputs=_hash_inputs(recipe, target),
        target=target,
        env=recipe.env,
        pins=tuple(sorted(pins, key=_by_name)),
        files=_files(recipe),
    )


def _check_accelerator(name: str, accelerator: str, pins: Sequence[Pin]) -> None:
    """Raise BuildError when a lock for the CPU brings CUDA along, or one for CUDA would train on the CPU."""
    cuda = [pin for pin in pins if pin.name.startswith("nvidia-")]
    of_cpu = [pin for pin in pins if pin.version.endswith("+cpu")]
    if accelerator == "cpu" and cuda:
        raise BuildError(
            f"a CPU lock must hold no CUDA package, but {name} resolved to {cuda[0].name} {cuda[0].version}",
            hint="give uv a CPU build with UV_FIND_LINKS=FOLDER or UV_TORCH_BACKEND=cpu",
        )
    if accelerator != "cpu" and of_cpu:
        raise BuildError(
            f"a CUDA lock must hold no CPU build, but {name} resolved to {of_cpu[0].name} {of_cpu[0].version}",
            hint="take the folder with CPU builds out of UV_FIND_LINKS",
        )
    if accelerator != "cpu" and not cuda:
        raise BuildError(
            f"{name} asks for {accelerator}, and nothing in it brings CUDA along",
            hint=f"name what does under {accelerator} in the recipe, such as tensorflow[and-cuda]",
        )


def _demanded_hashes(recipe: Recipe, accelerator: str) -> dict[str, tuple[str, ...]]:
    found: dict[str, set[str]] = {}
    for line in recipe.inputs(accelerator):
        if hashes := _HASH.findall(line):
            found.setdefault(_normal(re.split(r"[\s\[(<>=!~;@]", line, maxsplit=1)[0]), set()).update(hashes)
    return {name: tuple(sorted(hashes)) for name, hashes in found.items()}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _by_name(pin: Pin) -> str:
    return pin.name


def _hash_inputs(recipe: Recipe, target: Target) -> str:
    lines = "\n".join(
        [target.slug, *recipe.inputs(target.accelerator), *(f"{key}={value}" for key, value in recipe.env)]
    )
    return hashlib.sha256(lines.encode()).hexdigest()


def _parse_pin(line: str) -> Pin:
    match = _PIN.match(line.strip())
    if match is None:
        raise BuildError(
            f"a lock can hold only packages of an index, pinned with sha256; got {line.strip()[:80]!r}",
            hint="publish it to your index, or install it in the instance with pip",
        )
    return Pin(_normal(match["name"]), match["version"], tuple(sorted(_HASH.findall(match["hashes"]))))


def lock_as_installed(recipe: Recipe, base: Lock, *, kept: Collection[str], added: Mapping[str, str], uv: Uv) -> Lock:
    """Return a lock of packages that are installed: those kept as `base` pins them, the added ones as the index has them.

    Nothing is resolved, so nothing can change: what an installer has put together stays together. Needs the index for
    what was added. Raises BuildError for a version that it does not have.
    """
    lines = [f"{name}=={version}" for name, version in sorted(added.items())]
    text = uv.compile(lines, (), python=base.target.python, previous="", name=recipe.name, alone=True) if lines else ""
    pins = [pin for pin in base.pins if pin.name in kept]
    pins += [_parse_pin(line) for line in _join_continued(text) if line.strip()]
    _check_accelerator(recipe.name, base.target.accelerator, pins)
    return Lock(
        recipe=recipe.name,
        inputs=_hash_inputs(recipe, base.target),
        target=base.target,
        env=recipe.env,
        pins=tuple(sorted(pins, key=_by_name)),
        files=_files(recipe),
    )


def is_lock_of(lock: Lock, recipe: Recipe) -> bool:
    """Say whether a lock was made from what a recipe says now."""
    return lock.inputs == _hash_inputs(recipe, lock.target) and lock.env == recipe.env


def relabel(lock: Lock, recipe: Recipe) -> Lock:
    """Return a lock as that of a recipe which says the same in other words; what it installs, and its digest, stay."""
    return replace(lock, recipe=recipe.name, inputs=_hash_inputs(recipe, lock.target), env=recipe.env)


def lock_path(origin: Path, target: Target) -> Path:
    """Return where the lock of a recipe's file lies."""
    return origin.with_name(f"{origin.stem}.{target.slug}.lock")


def _files(recipe: Recipe) -> tuple[tuple[str, str], ...]:
    return list_carried(recipe.files) if recipe.files else ()
