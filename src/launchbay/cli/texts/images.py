"""Images as text for people. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from launchbay.cli.table import table
from launchbay.cli.texts.lists import few
from launchbay.units import count_of, format_bytes

if TYPE_CHECKING:
    from launchbay.api.images import Exported, ImageCheck, ImageRow, Imported

__all__ = ["exported_text", "image_check_text", "image_text", "images_text", "imported_text"]


_BUILD_STEPS = ("install", "compile", "verify", "import")
"""In the order in which they are made, which a record, sorted by name, does not keep."""


def images_text(rows: Sequence[ImageRow], width: int | None = None) -> str:
    """Say what images there are."""
    if not rows:
        return "No image matches."
    return table(
        ("NAME", "KIND", "FRAMEWORKS", "PYTHON", "SIZE", "BUILT", "INSTANCES", "DIGEST"),
        [
            (
                row.name,
                row.kind if row.accelerator in (None, "cpu") else f"{row.kind} {row.accelerator}",
                ", ".join(f"{name} {version}" for name, version in row.frameworks.items()) or "-",
                row.python,
                format_bytes(row.size_bytes) if row.size_bytes is not None else "-",
                (row.built or "not yet")[:10],
                str(row.instances),
                (row.digest or "-")[:12],
            )
            for row in rows
        ],
        right=(4, 6),
        width=width,
        least=("DIGEST", "KIND", "INSTANCES", "PYTHON"),
    )


def image_text(shown: Mapping[str, Any]) -> str:
    """Describe one image."""
    lines = [f"{shown['name']}  {shown.get('description', '')}".rstrip()]
    for key in ("digest", "content", "python_version", "python", "platform", "accelerator", "built"):
        lines += [f"  {key.replace('_', ' '):15} {shown[key]}"] if shown.get(key) else []
    if shown.get("size_bytes") is not None:
        lines.append(f"  {'size':15} {format_bytes(shown['size_bytes'])} in {shown['files']} files")
        took = shown["build_seconds"]
        order = [name for name in _BUILD_STEPS if name in took] + [name for name in took if name not in _BUILD_STEPS]
        lines.append(f"  {'build':15} {', '.join(f'{name} {took[name]:.1f} s' for name in order)}")
    if shown.get("first_import_s"):
        lines.append(f"  {'first import':15} {shown['first_import_s']:.1f} s")
    if shown.get("env"):
        lines.append(f"  {'env':15} " + " ".join(f"{key}={value}" for key, value in shown["env"].items()))
    if shown.get("built") is None:
        lines.append(f"  {'not built yet':15} bay image build {shown['name']}")
    packages = shown["packages"]
    lines += ["", f"{len(packages)} packages:", *(f"  {name} {version}" for name, version in sorted(packages.items()))]
    return "\n".join(lines)


def image_check_text(check: ImageCheck) -> str:
    """Say how an image's hashing came out."""
    if check.ok:
        return (
            f"{check.name} {check.digest[:12]}: {check.files} files are what their packages say, and nothing was added."
        )
    return "\n".join(
        [f"{check.name} {check.digest[:12]}: {count_of(len(check.problems), 'problem')}", *few(check.problems)]
    )


def exported_text(exported: Exported) -> str:
    """Say where an image was written to."""
    return "\n".join(
        [
            f"{exported.path}: {exported.name} {exported.digest[:12]}, {format_bytes(exported.bytes)}",
            f"  sha256  {exported.sha256}",
            f"  next    on the other machine: bay image import {shlex.quote(exported.path.name)}",
        ]
    )


def imported_text(imported: Imported) -> str:
    """Say which image came from an archive."""
    image = imported.image
    if not imported.is_new:
        return f"{image.name} {image.digest[:12]} was there already."
    return "\n".join(
        [
            f"{image.name} {image.digest[:12]}: {format_bytes(image.size_bytes)} in {image.files} files, all as exported",
            f"  sha256  {imported.sha256}",
            f"  next    bay launch {image.name}",
        ]
    )
