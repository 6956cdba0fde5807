"""Compare fingerprints: are these instances the same, and if not, which is the odd one and what is different? Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Base", "Difference", "find_differences"]

_REMOVED = "special:c"  # how an overlay marks what it hides: a character device
_OWN_PACKAGE_FILE = (".dist-info/", ".egg-info/")


@dataclass(frozen=True, slots=True)
class Base:
    """What lies below an environment: the image's packages, name -> version, and its top-level modules."""

    packages: Mapping[str, str]
    modules: Collection[str]


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
    bases: Mapping[str, Base],
) -> Sequence[Difference]:
    """Return what sets each instance apart from its untouched layer, and from the others.

    `fingerprints` by instance name; `pristine` is the untouched layer; `bases` say what lies below each environment, by
    the folder that it has among several, "" for one alone.
    """
    found: list[Difference] = []
    for name, print_ in fingerprints.items():
        if "broken" in print_:
            what = f"its Python does not run: {print_['broken']}"
            found.append(Difference(instance=name, kind="python", what=what))
            continue
        for part in [""] if "" in bases else sorted({*bases, *(path.split("/")[0] for path in print_["layer"])}):
            own = _own(
                _inside(part, print_["layer"]),
                _inside(part, pristine),
                _inside(part, print_["packages"]),
                bases.get(part, Base({}, ())),
            )
            found += (
                Difference(instance=name, kind=kind, what=f"{what} (in {part})" if part else what) for kind, what in own
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


def _inside(folder: str, values: Mapping[str, str]) -> dict[str, str]:
    """Return what lies in a folder, by what is left of its name; everything for ""."""
    prefix = f"{folder}/" if folder else ""
    return {name[len(prefix) :]: value for name, value in values.items() if name.startswith(prefix)}


def _own(
    layer: Mapping[str, str], pristine: Mapping[str, str], added: Mapping[str, str], base: Base
) -> list[tuple[str, str]]:
    """Return what one environment holds that an untouched one does not, and the other way round."""
    packages, modules = base.packages, set(base.modules)
    removed = _removed_packages(layer, packages) - added.keys()
    found = [("package", f"package {name} {packages[name]} of the image was removed") for name in sorted(removed)]
    for name, version in sorted(added.items()):
        if name in packages:
            found.append(("package", f"package {name} {version} in its layer shadows {packages[name]} of the image"))
        else:
            found.append(("package", f"package {name} {version} was added"))
    owned = {_module_name(name) for name in [*added, *removed]}
    for path in sorted(set(layer) | set(pristine)):
        if layer.get(path) == _REMOVED:
            if not path.endswith(".dist-info") and not _belongs_to_package(path, owned, any_package=bool(owned)):
                found.append(("file", f"{path} of the image was removed"))
        elif path not in layer:
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


def _removed_packages(layer: Mapping[str, str], packages: Mapping[str, str]) -> set[str]:
    """Return the image's packages whose own records an overlay hides."""
    hidden = [path.rpartition("/")[2] for path, value in layer.items() if value == _REMOVED]
    records = [name.removesuffix(".dist-info") for name in hidden if name.endswith(".dist-info")]
    return {name.rpartition("-")[0].replace("_", "-").lower() for name in records} & packages.keys()


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
