"""Instances on this machine: a folder each, whose record is the truth about it.

An instance is made in a temporary folder and renamed into place, so it is there whole or not at all; it is removed by
renaming it away first. Whatever runs in it carries its id in the environment, so all of it can be found and ended.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from launchbay.errors import StateError, UserError
from launchbay.fields import INTEGER, NUMBER, TEXT, check_fields, optional
from launchbay.files import discard, explain_os_error, locked, read_json, remove_temporaries, remove_tree, write_json
from launchbay.home import Home
from launchbay.images.image import Image
from launchbay.planning.fleet import Instance, InstanceSpec, made_from
from launchbay.ports import Clock, Reporter, SilentReporter
from launchbay.providers import switching
from launchbay.providers.layer import Layer, find_layer
from launchbay.providers.processes import INSTANCE_MARK, end_marked
from launchbay.providers.resources import find_part, remove_group

__all__ = ["LocalProvider", "damaged_instances"]

_RECORD = {
    **dict.fromkeys(("id", "name", "fleet", "image", "digest", "token", "provider", "layer", "state"), TEXT),
    "count": INTEGER,
    "created_at": NUMBER,
    "previous": optional(TEXT),
    "ran_s": optional(NUMBER),
    "up_since": optional(NUMBER),
}


@dataclass(frozen=True, slots=True)
class LocalProvider:
    """Makes instances under the home folder, each on the layer that its spec names."""

    home: Home
    clock: Clock
    reporter: Reporter = field(default_factory=SilentReporter)
    layers: Callable[[str], Layer] = find_layer
    name: str = "local"

    def observe(self) -> Sequence[Instance]:
        """Read every record; a folder whose record cannot be read is no instance (`bay doctor` names it)."""
        found = []
        for folder in _folders(self.home.instances):
            with contextlib.suppress(OSError, StateError):
                found.append(_read(folder))
        return sorted(found, key=lambda instance: (instance.fleet, _index(instance.name), instance.id))

    def unread(self, observed: Sequence[Instance]) -> int:
        """Count the folders."""
        return len(_folders(self.home.instances)) - len(observed)

    def create(self, specs: Sequence[InstanceSpec], image: Image, *, made: Callable[[Instance], None]) -> None:
        """Make what is not there yet, in order, and open all of it."""
        self.home.instances.mkdir(parents=True, exist_ok=True)
        self.home.trash.mkdir(parents=True, exist_ok=True)  # already now: a full disk may have no room for it
        for spec in specs:
            final = self.home.instances / spec.id
            if final.exists():
                continue
            try:
                instance = self._create(spec, image, final)
            except BaseException as error:
                remove_tree(self._draft(spec.id))
                if isinstance(error, OSError):
                    raise explain_os_error(error, f"creating {spec.name}") from error
                raise
            made(instance)
        mine = {spec.id for spec in specs}
        self._open([item for item in self.observe() if item.id in mine], image)

    def _create(self, spec: InstanceSpec, image: Image, final: Path) -> Instance:
        draft = self._draft(spec.id)
        remove_tree(draft)
        for folder in ("home", "work"):
            (draft / folder).mkdir(parents=True)
        self.layers(spec.layer).create(draft, image)
        instance = made_from(
            spec,
            provider=self.name,
            created_at=self.clock.now(),
            root=final,
            usd_per_hour="0.00",
        )
        _write(draft, instance)
        draft.rename(final)
        return instance

    def _draft(self, identity: str) -> Path:
        return self.home.tmp / f"new-{identity}"

    def delete(self, instances: Sequence[Instance]) -> None:
        """End what runs in them, then remove them; each vanishes in one step."""
        self._end_all(instances)
        for instance in instances:
            with contextlib.suppress(StateError):
                remove_group(find_part(instance.root).group)
            with contextlib.suppress(FileNotFoundError):
                discard(instance.root, self.home.trash)

    def stop(self, instances: Sequence[Instance]) -> int:
        """Mark them stopped and end what runs in them, the latter also where there is no room to write the former."""
        refused = None
        try:
            self._mark(instances, "stopped")
        except OSError as error:
            refused = error
        ended = self._end_all(instances)
        if refused is not None:
            raise UserError(
                f"what ran in them was ended, and that they are stopped could not be written down: {refused.strerror}",
                where=str(refused.filename or self.home.instances),
                hint="`bay terminate` needs no room",
            ) from refused
        return ended

    def start(self, instances: Sequence[Instance]) -> None:
        """Mark them running; what their layers need besides is made by whoever goes inside."""
        self._mark(instances, "running")

    def stage(self, instances: Sequence[Instance], image: Image) -> None:
        """Make the next layer of each in its own folder."""
        for instance in instances:
            with _explained(f"updating {instance.name}"):
                switching.stage(instance, image, self.layers(instance.layer), self.home)

    def switch(self, instances: Sequence[Instance], image: Image) -> None:
        """Exchange the layers, and open them."""
        for instance in instances:
            with _explained(f"updating {instance.name}"):
                switching.switch(instance, image, self.layers(instance.layer), self.home, _write_own)
        self._open(instances, image)

    def revert(self, instances: Sequence[Instance], image: Image) -> None:
        """Give back the layers that were kept, and open them."""
        for instance in instances:
            switching.revert(instance, image, self.layers(instance.layer), self.home, _write_own)
        self._open(instances, image)

    def settle(self, instances: Sequence[Instance]) -> None:
        """Remove the layers that were kept."""
        for instance in instances:
            switching.settle(instance, self.home, _write_own)

    def _open(self, instances: Sequence[Instance], image: Image) -> None:
        for name, members in _by_layer(item for item in instances if item.state == "running").items():
            self.layers(name).open(members, image)

    def _mark(self, instances: Sequence[Instance], state: str) -> None:
        now = self.clock.now()
        for instance in instances:
            if (
                instance.root.exists()
            ):  # as it is now, and not as it was when somebody looked: hours are counted from it
                _write(instance.root, _read(instance.root).in_state(state, now))

    def sweep(self) -> Sequence[str]:
        """Remove drafts, trash and half-built images. Whoever makes one holds a lock, which is how a live one is told."""
        builds = [
            path for path in _folders(self.home.tmp) if path.name.startswith("build-") and self._remove_build(path)
        ]
        left = [path for path in _folders(self.home.tmp) if path.name.startswith("new-")] + _folders(self.home.trash)
        with locked(self.home.lock("create"), wait=False) as free:
            if not free:
                return ()
            for path in left:
                remove_tree(path)
        for folder in _folders(self.home.instances):
            remove_temporaries(folder)
        return tuple(path.name for path in builds + left)

    def _end_all(self, instances: Sequence[Instance]) -> int:
        marks = [f"{INSTANCE_MARK}={instance.id}" for instance in instances]
        ended = end_marked(marks, tell=self.reporter.event)
        for name, members in _by_layer(instances).items():
            self.layers(name).shut(members)
        return ended

    def _remove_build(self, path: Path) -> bool:
        with locked(self.home.lock(f"image-{path.name.removeprefix('build-')}"), wait=False) as free:
            if free:
                remove_tree(path)
        return free


def _by_layer(instances: Iterable[Instance]) -> Mapping[str, Sequence[Instance]]:
    found: dict[str, list[Instance]] = {}
    for instance in instances:
        found.setdefault(instance.layer, []).append(instance)
    return found


@contextlib.contextmanager
def _explained(doing: str) -> Iterator[None]:
    """Turn the system's refusal into an error of ours."""
    try:
        yield
    except OSError as error:
        raise explain_os_error(error, doing) from error


def _write_own(instance: Instance) -> None:
    _write(instance.root, instance)


def _write(folder: Path, instance: Instance) -> None:
    write_json(folder / "record.json", {key: getattr(instance, key) for key in _RECORD})


def _read(folder: Path) -> Instance:
    """Read an instance from its folder. Raises StateError when its record is damaged, OSError when it is not there."""
    record = read_json(folder / "record.json")
    check_fields(record, _RECORD, where=folder / "record.json")
    return Instance(root=folder, usd_per_hour="0.00", **{key: record[key] for key in _RECORD if key in record})


def _folders(parent: Path) -> list[Path]:
    return sorted(path for path in parent.iterdir() if path.is_dir()) if parent.is_dir() else []


def _index(name: str) -> int:
    tail = name.rpartition("-")[2]
    return int(tail) if tail.isdigit() else 0


def damaged_instances(home: Home) -> Sequence[Path]:
    """Return the instance folders whose record is missing or cannot be read."""
    damaged = []
    for folder in _folders(home.instances):
        try:
            _read(folder)
        except (StateError, OSError):
            damaged.append(folder)
    return damaged
