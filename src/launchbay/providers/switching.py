"""Put another image under a local instance: made beside what it has, exchanged, and the old kept until it is settled.

``next/`` in an instance's folder is a whole layer that waits, ``previous/`` one that is kept. Each function may be killed
between any two renames and called again; the record names the image that the layer in place belongs to, except in the
midst of `switch`, while ``next/`` still holds a part.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from launchbay.files import discard, remove_tree, write_atomic
from launchbay.home import Home
from launchbay.images.image import Image
from launchbay.planning.fleet import Instance
from launchbay.providers.layer import Layer

__all__ = ["revert", "settle", "stage", "switch"]

_PARTS = ("env", "upper", "mounting")
"""The folders that a layer consists of; those that it has."""

Write = Callable[[Instance], None]
"""Writes an instance's record."""


def stage(instance: Instance, image: Image, layer: Layer, home: Home) -> None:
    """Make the layer on `image` that shall be the instance's next, unless it waits already or is in place."""
    place = instance.root / "next"
    if instance.previous is None and (instance.root / "previous").exists():
        _move_back(instance, home)  # a revert was killed after it had written the record
    if _waits(place, image) or (instance.digest == image.digest and not place.exists()):
        return
    draft = home.tmp / f"new-next-{instance.id}"
    remove_tree(draft)
    draft.mkdir(parents=True)
    try:
        layer.create(draft, image)
        write_atomic(draft / "digest", image.digest.encode())
    except BaseException:
        remove_tree(draft)
        raise
    discard(place, home.trash)  # of an update that meant another image
    draft.rename(place)


def _waits(place: Path, image: Image) -> bool:
    try:
        return (place / "digest").read_text(encoding="ascii") == image.digest
    except FileNotFoundError:
        return False


def switch(instance: Instance, image: Image, layer: Layer, home: Home, write: Write) -> None:
    """Put the layer that waits in place, and keep the one that was there. Does nothing where none waits."""
    place, kept = instance.root / "next", instance.root / "previous"
    if not place.exists():
        return
    layer.shut([instance])
    kept.mkdir(exist_ok=True)
    for part in _PARTS:
        if not (place / part).exists():
            continue
        if (kept / part).exists():
            discard(instance.root / part, home.trash)
        elif (instance.root / part).exists():
            (instance.root / part).rename(kept / part)
        (place / part).rename(instance.root / part)
    left = instance.previous if instance.digest == image.digest else instance.digest
    write(replace(instance, image=image.name, digest=image.digest, previous=left))
    remove_tree(place)


def revert(instance: Instance, image: Image, layer: Layer, home: Home, write: Write) -> None:
    """Give back the layer on `image`, which is the one that was kept. Does nothing where none is."""
    layer.shut([instance])
    write(replace(instance, image=image.name, digest=image.digest, previous=None))
    _move_back(instance, home)


def _move_back(instance: Instance, home: Home) -> None:
    kept = instance.root / "previous"
    discard(instance.root / "next", home.trash)
    for part in _PARTS:
        if (kept / part).exists():
            if (instance.root / part).exists():
                discard(instance.root / part, home.trash)
            (kept / part).rename(instance.root / part)
    remove_tree(kept)


def settle(instance: Instance, home: Home, write: Write) -> None:
    """Let go of the layer that was kept."""
    discard(instance.root / "previous", home.trash)
    write(replace(instance, previous=None))
