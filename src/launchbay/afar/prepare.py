"""Make a machine elsewhere stand: the image from the same lock, one instance of the fleet's name on it, proven."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from launchbay.afar.bundle import find_bundle
from launchbay.afar.machine import FarMachine
from launchbay.afar.sending import read_tree, send_tree
from launchbay.errors import BuildError, Conflict, UsageError
from launchbay.images.lock import Lock, compose_digest, current_target, lock_path, lock_recipe, relabel
from launchbay.images.recipe import Recipe, find_recipe, read_recipe
from launchbay.images.uv import Uv, find_uv
from launchbay.lifecycle.bay import Bay
from launchbay.ports import Event

__all__ = ["Cargo", "Prepared", "carry_image", "pack_image", "prepare"]

_RECIPE_TEXTS = ("description", "python", "gpu_capability", "gpu_driver", "retired")
_RECIPE_LISTS = ("system", "cuda12", "cuda13")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cargo:
    """An image as it travels: a recipe and lock for each part, in order; one alone, or several side by side."""

    name: str
    description: str
    parts: Sequence[tuple[Recipe, Lock]]

    @property
    def digest(self) -> str:
        """The digest that the image will have over there."""
        if len(self.parts) == 1:
            return self.parts[0][1].digest
        return compose_digest([(recipe.name, lock.digest) for recipe, lock in self.parts])

    @property
    def digests(self) -> Sequence[str]:
        """The digests of all that has to be there: of several side by side, of each and of them all."""
        return tuple(dict.fromkeys([*(lock.digest for _, lock in self.parts), self.digest]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A machine with its instance. `seconds` by stage; `built` says whether the image was built there now.

    `verification` is the value that `bay --json verify` gave there, `fingerprint` the one of its only instance.
    """

    machine: FarMachine = field(repr=False)
    instance: str
    image: str
    digest: str
    built: bool
    fingerprint: Mapping[str, Any]
    verification: Mapping[str, Any]
    seconds: Mapping[str, float]


def pack_image(bay: Bay, reference: str, accelerator: str = "cpu") -> Cargo:
    """Return what a recipe means, locked here for a machine's accelerator: ``cpu``, ``cuda12`` or ``cuda13``.

    Which one a machine can use is known from its type before it stands; it need not be what this machine has. Raises
    NotFound, UsageError (a bad recipe, or one that is not for it), BuildError (it does not resolve).
    """
    recipe = find_recipe(reference)
    members = [find_recipe(item) for item in recipe.images] or [recipe]
    parts = []
    for member in members:
        if accelerator not in member.accelerators:
            what = f"{member.name} cannot be locked for {accelerator}, only for {', '.join(member.accelerators)}"
            raise UsageError(what, where=str(member.origin or ""))
        folder = bay.home.root / "locks-of-recipes"
        lock = lock_recipe(member, folder=folder, uv=Uv(find_uv()), accelerator=accelerator)
        parts.append((member, lock))
    return Cargo(name=recipe.name, description=recipe.description, parts=parts)


def prepare(
    bay: Bay,
    machine: FarMachine,
    cargo: Cargo,
    name: str,
    *,
    shared_images: Sequence[str] = (),
    identity: str = "",
    keys: Sequence[str] = (),
) -> Prepared:
    """Make sure that Launchbay, the image and one instance `name` are on a machine, and take its fingerprint. Blocks.

    `identity` is what the cloud calls the machine, and `keys` the public keys that open it, without type and comment: on one that
    was made from an image of another machine, that one's instances, runs and other keys are removed first.

    The same call again finds what stands. `shared_images` are folders there that may hold the image built (by digest, as
    a home's own ``images``): it is then used where it lies. Raises Conflict where another image stands under the name,
    BuildError where it cannot be built or comes out as another.
    """
    seconds: dict[str, float] = {}
    last = time.monotonic()

    def lap(stage: str) -> None:
        nonlocal last
        now = time.monotonic()
        seconds[stage], last = round(now - last, 3), now
        done = Event(task=f"{stage} on {machine.name or name}", message=f"{seconds[stage]:.1f} s", finished=True)
        bay.reporter.event(done)

    machine = machine.install(find_bundle(bay.home))
    if identity:
        machine.there({"do": "settle", "identity": identity, "keys": list(keys)})
    lap("install")
    built = carry_image(bay, machine, cargo, shared_images)
    lap("image")
    launched = machine.call(["launch", cargo.digest, "--name", name])
    if launched["image"]["digest"] != cargo.digest:
        raise Conflict(f"{name} stands on another image there", where=launched["image"]["digest"][:12])
    lap("instance")
    verification = machine.call(["verify", name])
    lap("verify")
    return Prepared(
        machine=machine,
        instance=name,
        image=cargo.name,
        digest=cargo.digest,
        built=built,
        fingerprint=verification["fingerprints"][0],
        verification=verification,
        seconds=seconds,
    )


def carry_image(bay: Bay, machine: FarMachine, cargo: Cargo, folders: Sequence[str]) -> bool:
    """Find the image there, or have it built from the lock that was chosen here; say whether it was built now."""
    request = {"do": "link images", "digests": cargo.digests, "folders": list(folders)}
    if cargo.digest in json.loads(machine.there(request))["found"]:
        return False
    _check_platform(machine, cargo)
    with tempfile.TemporaryDirectory(prefix="launchbay-cargo-") as folder:
        top = _write_cargo(cargo, Path(folder))
        sent = send_tree(machine, read_tree(Path(folder)), reporter=bay.reporter, task=f"send {cargo.name}")
    lock = cargo.parts[0][1]
    wish = "cpu" if lock.target.accelerator == "cpu" else "cuda"
    image = machine.call(["image", "build", f"{sent.folder}/{top}", "--accelerator", wish])
    if image["digest"] != cargo.digest:
        what = f"{cargo.name} was built as {image['digest'][:12]} there, and was meant to be {cargo.digest[:12]}"
        raise BuildError(what, hint="is Launchbay there another version than here?")
    return True


def _check_platform(machine: FarMachine, cargo: Cargo) -> None:
    assert machine.installed is not None
    wanted = cargo.parts[0][1].target.platform
    if machine.installed.platform != wanted:
        what = f"{cargo.name} is locked for {wanted}, and the machine is {machine.installed.platform}"
        raise BuildError(what, hint="lock it on a machine of that kind, or launch one of this kind")


def _write_cargo(cargo: Cargo, folder: Path) -> str:
    """Write recipes that stand for themselves, each with its lock; return the name of the one that is built."""
    for recipe, lock in cargo.parts:
        path = folder / f"{recipe.name}.yaml"
        path.write_text(json.dumps(_as_document(recipe, lock.target.accelerator), indent=1), encoding="utf-8")
        if recipe.files:
            for name, file in _carried(recipe.files):
                target = folder / f"{recipe.name}-files" / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(file.read_bytes())
                target.chmod(0o755 if file.stat().st_mode & 0o100 else 0o644)
        mine = relabel(lock, read_recipe(path))
        lock_path(path, current_target(recipe.python, lock.target.accelerator)).write_text(mine.text(), "utf-8")
    if len(cargo.parts) == 1:
        return f"{cargo.parts[0][0].name}.yaml"
    images = [f"./{recipe.name}.yaml" for recipe, _ in cargo.parts]
    text = json.dumps({"description": cargo.description, "images": images})
    (folder / f"{cargo.name}.yaml").write_text(text, encoding="utf-8")
    return f"{cargo.name}.yaml"


def _carried(folder: Path) -> Sequence[tuple[str, Path]]:
    return [(path.relative_to(folder).as_posix(), path) for path in sorted(folder.rglob("*")) if path.is_file()]


def _as_document(recipe: Recipe, accelerator: str) -> dict[str, Any]:
    """Return a recipe as a document that needs no other file; lines of requirements files stand among its packages.

    What includes another file is left out: its lines are here, and the lock says all.
    """
    lines = [line for line, _ in recipe.wanted("cpu") if not line.startswith("-")]
    value: dict[str, Any] = {
        "packages": list(dict.fromkeys(lines)),
        "accelerators": [accelerator],
        "env": dict(recipe.env),
        **{name: getattr(recipe, name) for name in _RECIPE_TEXTS},
        **{name: list(getattr(recipe, name)) for name in _RECIPE_LISTS if name in ("system", accelerator)},
        **({"files": f"{recipe.name}-files"} if recipe.files else {}),
    }
    return {name: item for name, item in value.items() if item}
