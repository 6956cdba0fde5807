"""Make sure that an image is there: resolve its recipe, build it if it is missing, once, whoever else is building it too."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from launchbay.errors import BuildError, Conflict, LaunchbayError, StateError, UsageError
from launchbay.files import discard, explain_os_error, locked, remove_tree, write_json
from launchbay.home import Home
from launchbay.images import build
from launchbay.images.image import FRAMEWORKS, Image, find_image, image_folder, list_images
from launchbay.images.lock import Lock, compose_digest, find_lock, lock_recipe
from launchbay.images.recipe import Recipe, builtin_names, find_recipe, is_recipe_path
from launchbay.images.uv import Uv, find_uv
from launchbay.jsonable import fields_of
from launchbay.lifecycle.accelerator import AUTO, check_built_for, choose_accelerator
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.scratch import ask_image
from launchbay.onboard.content import Content
from launchbay.onboard.prints import list_packages
from launchbay.ports import Event
from launchbay.store.journal import Journal, Operation, open_journal

__all__ = [
    "ensure_image",
    "find_built",
    "find_whole",
    "image_lock",
    "image_lock_path",
    "images_held",
    "known_lock",
    "make_image",
    "resolve_lock",
]


def resolve_lock(bay: Bay, recipe: Recipe, accelerator: str = AUTO) -> Lock:
    """Return a recipe's lock for this machine, resolving it when there is none that fits.

    Raises BuildError for a GPU or driver that is too old for it: it would train on the CPU, and say nothing.
    """
    chosen = choose_accelerator(bay, recipe, accelerator)
    return lock_recipe(recipe, folder=_own_locks(bay), uv=Uv(find_uv()), accelerator=chosen)


def known_lock(bay: Bay, recipe: Recipe) -> Lock | None:
    """Return a recipe's lock for this machine's CPU where there is one; nothing is resolved, so no network is needed."""
    return find_lock(recipe, folder=_own_locks(bay))


def _own_locks(bay: Bay) -> Path:
    return bay.home.root / "locks-of-recipes"


def find_built(bay: Bay, reference: str) -> Image | None:
    """Return the newest built image of that name, or of that digest or beginning of one (8 or more)."""
    found = [
        image
        for image in list_images(bay.home)
        if image.name == reference or (len(reference) >= 8 and image.digest.startswith(reference))
    ]
    return found[-1] if found else None


def ensure_image(bay: Bay, reference: str, accelerator: str = AUTO) -> tuple[Image, bool]:
    """Return the image that a recipe's name or file, a requirements file or a digest means, and if it was built now.

    `accelerator` is ``cpu``, ``cuda``, or ``auto``: CUDA where the machine has an NVIDIA GPU and the recipe a CUDA lock.
    Blocks until it is there. Raises NotFound, UsageError (a bad recipe) or BuildError (then nothing was left behind).
    """
    is_name = reference not in builtin_names() and not is_recipe_path(reference)
    if is_name and (image := find_built(bay, reference)):
        check_built_for(image, accelerator)
        return image, False
    recipe = find_recipe(reference)
    return _ensure_members(bay, recipe, accelerator) if recipe.images else _ensure_built(bay, recipe, accelerator)


def _ensure_members(bay: Bay, recipe: Recipe, accelerator: str) -> tuple[Image, bool]:
    """Make sure of every image of `images`, and write down that they stand side by side."""
    parts = [find_recipe(reference) for reference in recipe.images]  # all, before minutes go by with the first
    if nested := next((part.name for part in parts if part.images), None):
        raise UsageError(f"images cannot hold {nested!r}, which is several itself", where=str(recipe.origin or ""))
    made = [_ensure_built(bay, part, accelerator) for part in parts]
    members = [(part.name, image) for part, (image, _) in zip(parts, made, strict=True)]
    digest = compose_digest([(name, image.digest) for name, image in members])
    folder = image_folder(bay.home, digest)
    is_new = not (folder / "record.json").exists()
    if is_new:
        write_json(
            folder / "record.json",
            {
                "name": recipe.name,
                "digest": digest,
                "description": recipe.description,
                "built": _date(bay),
                "members": [{"name": name, "digest": image.digest} for name, image in members],
            },
            durable=True,
        )
    image = find_image(bay.home, digest)
    if image is None:
        raise Conflict(f"an image of {recipe.name} was removed meanwhile", hint="the same command again")
    return image, is_new or any(built for _, built in made)


def _date(bay: Bay) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(bay.clock.now()))


def _ensure_built(bay: Bay, recipe: Recipe, accelerator: str) -> tuple[Image, bool]:
    lock = resolve_lock(bay, recipe, accelerator)
    image = find_whole(bay, lock)
    if image is not None:
        if image.name != recipe.name:
            bay.reporter.note(f"{recipe.name} holds just what {image.name} holds: that image is used, under its name")
        return image, False
    with image_lock(bay, lock.digest, what=f"building {recipe.name}"):
        image = find_whole(bay, lock)
        if image is not None:
            return image, False
        _check_system_packages(recipe)
        image = make_image(bay, recipe, lock, fill=partial(_install, bay))
    bay.provider.sweep()
    return image, True


def find_whole(bay: Bay, lock: Lock) -> Image | None:
    """Return the image of a lock, or None when it is not there or its record is lost: then it has to be built again."""
    try:
        return find_image(bay.home, lock.digest)
    except StateError:
        return None


def image_lock_path(home: Home, digest: str) -> Path:
    """Return the lock that builders and removers of an image hold alone, and launches on it together."""
    return home.lock(f"image-{digest[:32]}")


@contextmanager
def images_held(bay: Bay, image: Image) -> Iterator[None]:
    """Let nobody remove an image, or one of several side by side, while instances are made on it."""
    with ExitStack() as stack:
        for digest in sorted({image.digest, *(part.digest for part in image.parts)}):
            stack.enter_context(locked(image_lock_path(bay.home, digest), shared=True))
        yield


@contextmanager
def image_lock(bay: Bay, digest: str, *, what: str) -> Iterator[None]:
    """Hold the right to build or remove an image; say so when somebody else holds it, and wait.

    Installer and compiler hold it too: those of a killed build go on for a while, and nobody may build beside them.
    """
    path = image_lock_path(bay.home, digest)
    with locked(path, wait=False, inherit=True) as got:
        if got:
            yield
            return
    bay.reporter.note(f"Another command is at work on this image; waiting before {what}.")
    with locked(path, inherit=True):
        yield


def _install(bay: Bay, stage: build.Stage) -> int:
    uv = Uv(find_uv(), accelerator=stage.lock.target.accelerator)
    return build.install_packages(stage, uv=uv, reporter=bay.reporter)


def make_image(
    bay: Bay, recipe: Recipe, lock: Lock, *, fill: Callable[[build.Stage], int], content: str = "", verb: str = "build"
) -> Image:
    """Make an image under its lock; whatever goes wrong, nothing half-made is left.

    `fill` makes the environment and puts the packages into it, and returns the bytes that were downloaded. With
    `content`, they must be what it stands for.
    """
    folder = bay.home.tmp / f"build-{lock.digest[:32]}"
    stage = build.Stage(lock=lock, folder=folder, final=image_folder(bay.home, lock.digest))
    with open_journal(bay.home.journal, bay.clock, bay.reporter.note) as journal:
        for earlier in (
            *journal.unfinished("image build", lock.digest),
            *journal.unfinished("image import", lock.digest),
        ):
            journal.end(earlier, "killed")
        operation = journal.begin(f"image {verb}", lock.digest, {"recipe": recipe.name, "folder": str(folder)})
        try:
            remove_tree(folder)  # what a killed build left; we hold the lock, so nobody is at it
            _Making(bay, recipe, stage, journal, operation, fill, content).run()
        except BaseException as error:
            remove_tree(folder)
            journal.end(operation, "failed")
            if isinstance(error, OSError):
                raise explain_os_error(error, f"{verb}ing {recipe.name}") from error
            raise
        journal.end(operation, "done")
    image = find_image(bay.home, lock.digest)
    assert image is not None
    return image


@dataclass(frozen=True, slots=True)
class _Making:
    """One image in the making."""

    bay: Bay
    recipe: Recipe
    stage: build.Stage
    journal: Journal
    operation: Operation
    fill: Callable[[build.Stage], int]
    content: str
    seconds: dict[str, float] = field(default_factory=dict)

    def run(self) -> None:
        """Go through the steps; each is journalled, timed and shown."""
        stage = self.stage
        with self._step("install", "install") as result:
            downloaded = self.fill(stage)
            result["downloaded_bytes"] = downloaded
            build.carry_files(stage, self.recipe.files)
        with self._step("compile", "compile"):
            build.compile_bytecode(stage)
        with self._step("verify", "verify") as result:
            hint = "`bay image export` it anew where it came from" if self.content else ""
            installed = build.verify_records(stage, hint=hint)
            result["content"] = installed.content
            if self.content not in ("", installed.content):
                what = f"the packages of {self.recipe.name} are not those that its record names"
                raise BuildError(what, hint=hint)
        image = self._describe(installed, downloaded)
        with self._step("import", "first import of") as result:
            probed = self._probe(image)
            result.update(probed)
        with self._step("publish", "seal"):
            image = replace(image, first_import_s=probed["seconds"], build_seconds=self.seconds, built=_date(self.bay))
            record = {name: value for name, value in fields_of(image).items() if name not in ("folder", "members")}
            build.seal(stage, record)
            if stage.final.exists():  # without its record; only now, since instances may stand on it
                self.bay.reporter.note(f"The image {self.recipe.name} had lost its record; it was built again.")
                discard(stage.final, self.bay.home.trash)
            build.publish(stage)

    @contextmanager
    def _step(self, name: str, message: str) -> Iterator[dict[str, Any]]:
        task = f"{message} {self.recipe.name}"
        self.bay.reporter.event(Event(task=task))
        began = time.monotonic()
        with self.journal.step(self.operation, name) as result:
            yield result
            self.seconds[name] = result["seconds"] = round(time.monotonic() - began, 2)
        self.bay.reporter.event(Event(task=task, finished=True, message=f"{self.seconds[name]:.1f} s"))

    def _probe(self, image: Image) -> dict[str, Any]:
        """Import the frameworks once for real: an image that installs but does not import is no image."""
        if not image.frameworks:
            return {"seconds": None, "versions": {}, "gpus": {}}
        try:
            return ask_image(self.bay, image, "probe", {"modules": list(image.frameworks)})
        except LaunchbayError as error:
            hint = "pin other versions in the recipe"
            raise BuildError(f"{self.recipe.name} installs, but {error.what}", hint=hint) from error

    def _describe(self, installed: Content, downloaded: int) -> Image:
        """Return the image that is being made, as far as it is known before its first import."""
        stage, target = self.stage, self.stage.lock.target
        packages = list_packages(str(stage.site_packages))
        config = (stage.environment / "pyvenv.cfg").read_text(encoding="utf-8").splitlines()
        versions = [line.split("=")[1].strip() for line in config if line.startswith("version_info")]
        frameworks = {name: packages[name] for name in FRAMEWORKS if name in packages}
        files, size = _measure(stage.folder)
        return Image(
            name=self.recipe.name,
            kind="framework" if frameworks else "custom",
            digest=stage.lock.digest,
            content=installed.content,
            folder=stage.folder,
            python=target.python,
            python_version=versions[0] if versions else target.python,
            platform=target.platform,
            accelerator=target.accelerator,
            frameworks=frameworks,
            packages=packages,
            env=dict(stage.lock.env),
            size_bytes=size,
            files=files,
            downloaded_bytes=downloaded,
            built="",
            build_seconds={},
            first_import_s=None,
            description=self.recipe.description,
            retired=self.recipe.retired,
            system=self.recipe.system,
        )


def _measure(folder: Path) -> tuple[int, int]:
    files = size = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            files += 1
            size += os.lstat(os.path.join(parent, name)).st_size
    return files, size


def _check_system_packages(recipe: Recipe) -> None:
    """Name the system packages that a recipe needs and the machine lacks; installing them is the machine owner's."""
    query = shutil.which("dpkg-query")
    missing = []
    for name in recipe.system if query else ():
        done = subprocess.run([str(query), "-W", "-f=${Status}", name], capture_output=True, text=True, check=False)
        if "ok installed" not in done.stdout:
            missing.append(name)
    if missing:
        raise BuildError(
            f"{recipe.name} needs system packages that are not there: {', '.join(missing)}",
            hint=f"sudo apt-get install {' '.join(missing)}",
        )
    if recipe.system and not query:
        raise Conflict(
            f"{recipe.name} needs system packages ({', '.join(recipe.system)}), and on {sys.platform} we cannot check them",
            hint="take `system` out of the recipe once they are installed",
        )
