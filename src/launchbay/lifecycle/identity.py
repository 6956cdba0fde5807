"""Compare fingerprints: are these instances the same, and if not, which is the odd one and what is different? Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Difference", "find_differences"]

_OWN_PACKAGE_FILE = (".dist-info/", ".egg-info/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that sets an instance apart. `kind` is package, file, python, path, machine or gpu."""

    instance: str
    kind: str
    what: str


def find_differences(
    fingerprints: Mapping[str, Mapping[str, Any]],
    *,
    pristine: Mapping[str, str],
    packages: Mapping[str, str],
    modules: Sequence[str],
) -> Sequence[Difference]:
    """Return what sets each instance apart from its untouched layer, and from the others.

    `fingerprints` by instance name; `pristine` is the untouched layer, `packages` name -> version and `modules` the
    top-level names of the image below it.
    """
    found: list[Difference] = []
    for name, print_ in fingerprints.items():
        found += (
            Difference(instance=name, kind=kind, what=what)
            for kind, what in _own(print_, pristine, packages, set(modules))
        )
    for key, kind in (
        ("python", "python"),
        ("path", "path"),
        ("kernel", "machine"),
        ("driver", "machine"),
        ("gpus", "machine"),
        ("onboard", "machine"),
    ):
        found += _odd_ones(fingerprints, key, kind)
    return found


def _own(
    print_: Mapping[str, Any], pristine: Mapping[str, str], packages: Mapping[str, str], modules: set[str]
) -> list[tuple[str, str]]:
    if "broken" in print_:
        return [("python", f"its Python does not run: {print_['broken']}")]
    added = print_["packages"]
    found = []
    for name, version in sorted(added.items()):
        if name in packages:
            found.append(("package", f"package {name} {version} in its layer shadows {packages[name]} of the image"))
        else:
            found.append(("package", f"package {name} {version} was added"))
    owned = {_module_name(name) for name in added}
    layer = print_["layer"]
    for path in sorted(set(layer) | set(pristine)):
        if path not in layer:
            found.append(("file", f"{path} is missing from its layer"))
        elif path in pristine and layer[path] != pristine[path]:
            kind = "python" if path.startswith("bin/python") else "file"
            found.append((kind, f"{path} was changed in its layer ({_short(layer[path])})"))
        elif path not in pristine:
            shadowed = _shadowing_module(path) in modules - owned
            if not shadowed and _belongs_to_package(path, owned, any_package=bool(added)):
                continue
            found.append(
                ("file", f"{path} was added to its layer" + (" and shadows a module of the image" if shadowed else ""))
            )
    return found


def _belongs_to_package(path: str, owned: set[str], *, any_package: bool) -> bool:
    """Say whether a file came with an added package, which is named already."""
    inside = path.partition("site-packages/")[2]
    if not inside:
        return any_package and path.startswith(("bin/", "share/", "etc/"))
    first = inside.split("/")[0]
    return (
        any(mark in inside for mark in _OWN_PACKAGE_FILE)
        or _module_name(first.removesuffix(".py")) in owned
        or (any_package and "/" in inside)
    )


def _module_name(name: str) -> str:
    return name.replace("-", "_").lower()


def _shadowing_module(path: str) -> str:
    """Return the module that is found here before the image's; a folder without ``__init__.py`` does not come first."""
    first, _, rest = path.partition("site-packages/")[2].partition("/")
    return first.split(".")[0] if rest in ("", "__init__.py") else ""


def _odd_ones(fingerprints: Mapping[str, Mapping[str, Any]], key: str, kind: str) -> list[Difference]:
    """Name those that differ from what most have (on a tie, from the first)."""
    values = {name: repr(print_[key]) for name, print_ in fingerprints.items() if key in print_}
    if len(set(values.values())) < 2:
        return []
    usual = Counter(values.values()).most_common(1)[0][0]
    return [
        Difference(instance=name, kind=kind, what=f"{key} is {_short(value)}, the others have {_short(usual)}")
        for name, value in values.items()
        if value != usual
    ]


def _short(text: str) -> str:
    return text if len(text) <= 160 else text[:157] + "..."
