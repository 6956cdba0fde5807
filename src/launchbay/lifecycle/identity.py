"""Compare fingerprints: are these instances the same, and if not, which is the odd one and what is different? Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Base", "Difference", "find_differences", "removed_packages"]

_REMOVED = "special:c"  # how an overlay marks what it hides: a character device
_OWN_PACKAGE_FILE = ".dist-info/"


@dataclass(frozen=True, slots=True)
class Base:
    """What lies below an environment: the image's packages, name -> version, and its top-level modules."""

    packages: Mapping[str, str]
    modules: Collection[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that sets an instance apart.

    `kind` is package, file, python, path, variable, setting, data, machine, image or gpu.
    """

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
        if "." in print_["layer"]:
            target = print_["layer"]["."].removeprefix("link:")
            found.append(Difference(instance=name, kind="file", what=f"the folder of its layer is a link to {target}"))
        layer = {path: value for path, value in print_["layer"].items() if path != "."}
        for part in sorted({*bases, *(_part(path, bases) for path in layer)}):
            own = _own(
                _inside(part, layer, bases),
                _inside(part, pristine, bases),
                _inside(part, print_["packages"], bases),
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
    return [*found, *_odd_entries(fingerprints)]


def _odd_entries(fingerprints: Mapping[str, Mapping[str, Any]]) -> list[Difference]:
    """Name those whose variables, settings or data are not what most have.

    What is set in a home is compared with an untouched one too. Data can only be compared among those that hold any.
    """
    found: list[Difference] = []
    for key in ("variables", "home", "data"):
        held: dict[str, Mapping[str, str]] = {
            name: print_[key] for name, print_ in fingerprints.items() if key in print_
        }
        if key == "data":
            held = {name: entries for name, entries in held.items() if entries}
        untouched: list[str | None] = [None] if key == "home" else []
        for entry in sorted({entry for entries in held.values() for entry in entries}):
            values = [*untouched, *(entries.get(entry) for entries in held.values())]
            usual = _usual(values, on_tie=values[0] if key == "data" else None)
            found += (
                Difference(instance=name, kind=_kind(key, entry), what=_sentence(key, entry, entries.get(entry), usual))
                for name, entries in held.items()
                if entries.get(entry) != usual
            )
    return found


def _kind(key: str, entry: str) -> str:
    return "data" if key == "data" else "variable" if entry.startswith("variable ") else "setting"


def _usual(values: Sequence[str | None], *, on_tie: str | None) -> str | None:
    (first, times), *others = Counter(values).most_common()
    is_tie = bool(others) and others[0][1] == times
    return on_tie if is_tie else first


def _sentence(key: str, entry: str, value: str | None, usual: str | None) -> str:
    if key == "variables":
        return f"{entry} is {value or 'left as it is'} when its Python starts"
    if value is None:
        return f"{entry} is missing"
    return f"{entry} was added" if usual is None else f"{entry} is not what the others have"


def _part(path: str, bases: Collection[str]) -> str:
    """Return the folder that a path lies in among several environments; "" in one alone, and beside them."""
    return "" if "" in bases or "/" not in path else path.partition("/")[0]


def _inside(part: str, values: Mapping[str, str], bases: Collection[str]) -> dict[str, str]:
    """Return what lies in a part, by what is left of its name."""
    prefix = f"{part}/" if part else ""
    return {path.removeprefix(prefix): value for path, value in values.items() if _part(path, bases) == part}


def _own(
    layer: Mapping[str, str], pristine: Mapping[str, str], added: Mapping[str, str], base: Base
) -> list[tuple[str, str]]:
    """Return what one environment holds that an untouched one does not, and the other way round."""
    packages, modules = base.packages, set(base.modules)
    removed = removed_packages(layer, packages) - added.keys()
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


def removed_packages(layer: Mapping[str, str], packages: Mapping[str, str]) -> set[str]:
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
        _OWN_PACKAGE_FILE in inside
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
