"""What was baked, as text. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launchbay.units import count_of

if TYPE_CHECKING:
    from launchbay.api.images import Baked

__all__ = ["baked_text"]

_MOST = 10


def baked_text(baked: Baked) -> str:
    """Say what was baked of an instance, and whether the image is the same."""
    image, count = baked.image, count_of(baked.packages, "package")
    proof = f"the same as {baked.instance}: {count}, {count_of(baked.compared, 'file')} compared"
    if not baked.same:
        proof = f"NOT the same as {baked.instance}"
    added = [f"{name} {version}" + _instead(baked.replaced.get(name)) for name, version in sorted(baked.added.items())]
    as_files = [f"{name} {version} (not from an index)" for name, version in baked.as_files.items()]
    groups = {
        "added": added,
        "removed": [f"{name} {version}" for name, version in baked.removed.items()],
        "as files": as_files,
        "files": baked.files,
        "system": baked.system,
        "left": [f"{path} {why}" for path, why in baked.left.items()],
        "differs": baked.differences,
    }
    lines = [
        f"{baked.name}: {proof}",
        f"  image     {image.name} {image.digest[:12]}" + (f", extends {baked.extends}" if baked.extends else ""),
        f"  recipe    {baked.recipe}",
        f"  lock      {baked.lock}",
    ]
    for name, items in groups.items():
        more = [f"... and {len(items) - _MOST} more"] if len(items) > _MOST else []
        shown = [*items[:_MOST], *more]
        lines += [f"  {name if index == 0 else '':9} {item}" for index, item in enumerate(shown)]
    return "\n".join(
        [
            *lines,
            f"  not taken {baked.instance}'s home and work folder (`bay cp` copies them)",
            f"  next      bay launch {baked.recipe}",
        ]
    )


def _instead(version: str | None) -> str:
    return f" (instead of {version})" if version else ""
