"""Recipes: the short files that say what an image should contain."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

from launchbay.errors import UsageError
from launchbay.images.commands import is_reserved
from launchbay.spec.document import Document, parse_document, read_document
from launchbay.spec.names import nearest, suggest_name
from launchbay.spec.project import PROJECT_FILE

__all__ = [
    "ACCELERATORS",
    "RECIPE_FIELDS",
    "Recipe",
    "builtin_names",
    "check_wanted",
    "find_recipe",
    "is_recipe_path",
    "read_recipe",
]

ACCELERATORS = ("cpu", "cuda12", "cuda13")
"""What a recipe can be locked for, the newest last."""

RECIPE_FIELDS: dict[str, str] = {
    "description": "one line for people",
    "extends": "a built-in recipe to start from; packages and env are added to its own",
    "python": 'the Python minor version, in quotes ("3.11")',
    "images": "images side by side under one name, instead of packages: an environment and a notebook kernel each",
    "packages": "what to install, in the words of pip (`numpy`, `pandas>=2`)",
    "requirements": "an existing requirements file, instead of or beside packages",
    "files": "a folder of files that the image has besides, laid over its environment (`lib/...`, `bin/...`)",
    "system": "system packages that must be there; they are checked and named, not installed",
    "env": "environment variables of every instance",
    "accelerators": "what it can be locked for: cpu, cuda12, cuda13 (default: cpu)",
    "cuda12": "what to install besides when it is locked for CUDA 12 (`tensorflow[and-cuda]`)",
    "cuda13": "what to install besides when it is locked for CUDA 13 (`jax[cuda13]`)",
    "gpu_capability": 'the least CUDA compute capability that its builds run on ("7.5")',
    "gpu_driver": 'the least NVIDIA driver that its builds run with ("580")',
    "retired": "why it is no longer kept up, if it is not",
}
"""Every field of a recipe with its meaning; the reference is generated from it."""

_NUMBERS = re.compile(r"\d{1,4}(\.\d{1,4}){0,3}\Z")
_PYTHON = re.compile(r"3\.\d{1,2}\Z")
_INCLUDE = re.compile(r"(?:-r|--requirement|-c|--constraint)(?:\s+|=|(?<=-[rc]))(\S.*)")
_PLACE = re.compile(
    r"(-e|--editable)\b|(git|hg|svn|bzr)\+|[a-z]+://|file:|~?\.{0,2}/|\.{1,2}(\[|\Z)|[\w.-]+\s*(\[[^]]*\])?\s*@\s*\S",
    re.IGNORECASE,
)
"""A requirement that is found at an address or path, in all the ways in which pip takes one."""
_HINT = "look at the path; `bay images` lists the images that have a name"
_ALWAYS = ("pip", "uv")  # commands of every instance, held to the lock by its constraints


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What an image should contain. `origin` is the file it came from, None for a built-in one."""

    name: str
    origin: Path | None
    description: str = ""
    python: str = "3.11"
    images: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    requirements: tuple[Path, ...] = ()
    files: Path | None = None
    system: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    accelerators: tuple[str, ...] = ("cpu",)
    cuda12: tuple[str, ...] = ()
    cuda13: tuple[str, ...] = ()
    gpu_capability: str = ""
    gpu_driver: str = ""
    retired: str = ""

    def packages_for(self, accelerator: str) -> tuple[str, ...]:
        """Return its packages, with those that only a CUDA lock has."""
        return (*self.packages, *{"cuda12": self.cuda12, "cuda13": self.cuda13}.get(accelerator, ()))

    def inputs(self, accelerator: str = "cpu") -> tuple[str, ...]:
        """Return what decides the lock: requirement lines, those of files included, comments left out."""
        return tuple(sorted({*_ALWAYS, *(line for line, _ in self.wanted(accelerator))}))

    def wanted(self, accelerator: str = "cpu") -> Iterator[tuple[str, str]]:
        """Yield every requirement line with where it stands, those of files included, comments left out."""
        where = str(self.origin or f"{self.name}.yaml")
        yield from ((line, where) for line in self.packages_for(accelerator))
        left, seen = list(self.requirements), set[Path]()
        while left:
            path = left.pop()
            if path not in seen:
                seen.add(path)
                mine = _requirement_lines(path)
                yield from ((line, f"{path}:{number}") for line, number in mine)
                left += [
                    (path.parent / match[1]).resolve()
                    for match in (_INCLUDE.match(line) for line, _ in mine)
                    if match and "://" not in match[1]
                ]


def builtin_names() -> tuple[str, ...]:
    """Return the names of the recipes that come with Launchbay."""
    folder = resources.files("launchbay.images") / "recipes"
    return tuple(sorted(item.name.removesuffix(".yaml") for item in folder.iterdir() if item.name.endswith(".yaml")))


def find_recipe(reference: str) -> Recipe:
    """Return a built-in recipe by name, or read a recipe or requirements file by path.

    Raises NotFound with the nearest names, or UsageError naming file and line.
    """
    if reference in builtin_names():
        return _read_builtin(reference)
    if is_recipe_path(reference):
        return read_recipe(Path(reference).expanduser().absolute())
    raise nearest(
        reference, builtin_names(), kind="image", hint="`bay images` lists them; or give a recipe file (./ml.yaml)"
    )


def is_recipe_path(reference: str) -> bool:
    """Say whether a reference is a path to a recipe or requirements file rather than a name; it need not be there."""
    return "/" in reference or Path(reference).suffix in (".yaml", ".yml", ".txt", ".in")


def read_recipe(path: Path) -> Recipe:
    """Read a recipe from YAML, or take a requirements file (.txt, .in) as one."""
    name = suggest_name(path.name.split(".")[0])
    if path.suffix in (".txt", ".in"):
        if not path.is_file():
            raise UsageError("there is no such requirements file", where=str(path), hint=_HINT)
        return Recipe(name=name, origin=path, description=f"from {path.name}", requirements=(path,))
    if path.name == PROJECT_FILE:
        what = f"{PROJECT_FILE} says what a folder launches, and is no recipe"
        raise UsageError(
            what, where=str(path), hint="bay launch, without a name and in that folder; a recipe is ml.yaml"
        )
    document = read_document(path, hint=_HINT)
    recipe = _parse(document, name=name, origin=path)
    if not recipe.packages and not recipe.requirements and not recipe.images:
        what = "a recipe needs packages, requirements, extends or images"
        raise UsageError(what, where=str(path), hint="packages: [numpy]")
    return recipe


def _read_builtin(name: str) -> Recipe:
    text = (resources.files("launchbay.images") / "recipes" / f"{name}.yaml").read_text(encoding="utf-8")
    return _parse(parse_document(text, f"{name}.yaml"), name=name, origin=None)


def _parse(document: Document, *, name: str, origin: Path | None) -> Recipe:
    parent = Recipe(name=name, origin=origin)
    if document.has("extends"):
        extended = document.text("extends")
        if extended not in builtin_names():
            raise UsageError(
                f"extends must name a built-in recipe ({', '.join(builtin_names())}), got {extended!r}",
                where=document.where("extends"),
            )
        parent = _read_builtin(extended)
    folder = origin.parent if origin else Path()
    recipe = replace(
        parent,
        name=name,
        origin=origin,
        description=document.text("description", parent.description),
        python=document.text("python", parent.python),
        images=tuple(_member(item, folder) for item in document.texts("images")) or parent.images,
        packages=(*parent.packages, *document.texts("packages")),
        requirements=(*parent.requirements, *(folder / item for item in document.texts("requirements"))),
        files=folder / document.text("files") if document.has("files") else parent.files,
        system=(*parent.system, *document.texts("system")),
        env=tuple(sorted({**dict(parent.env), **document.mapping("env")}.items())),
        accelerators=document.texts("accelerators") or parent.accelerators,
        cuda12=(*parent.cuda12, *document.texts("cuda12")),
        cuda13=(*parent.cuda13, *document.texts("cuda13")),
        gpu_capability=document.text("gpu_capability", parent.gpu_capability),
        gpu_driver=document.text("gpu_driver", parent.gpu_driver),
        retired=document.text("retired", parent.retired),
    )
    document.finish()
    _check(recipe, document)
    return recipe


def _member(reference: str, folder: Path) -> str:
    """Return what an image of `images` is found by: its name, or its recipe's path."""
    return str(folder / reference) if is_recipe_path(reference) else reference


def _check(recipe: Recipe, document: Document) -> None:
    if recipe.images:
        _check_members(recipe, document)
    if recipe.files and not recipe.files.is_dir():
        raise UsageError(f"there is no folder {recipe.files}", where=document.where("files"))
    if not _PYTHON.match(recipe.python):
        raise UsageError(
            f'python must be a minor version such as "3.11", got {recipe.python!r}', where=document.where("python")
        )
    for path in recipe.requirements:
        if not path.is_file():
            raise UsageError(f"there is no requirements file {path}", where=document.where("requirements"))
    _check_accelerators(recipe, document)
    for key, value in recipe.env:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key) or "\0" in value or len(f"{value}.".splitlines()) > 1:
            raise UsageError(f"env must hold NAME: one line of text, got {key}={value!r}", where=document.where("env"))
        if is_reserved(key):
            raise UsageError(
                f"env cannot hold {key}: Launchbay sets it itself, or it would loosen the lock",
                where=document.where("env"),
            )


def _check_members(recipe: Recipe, document: Document) -> None:
    """Refuse a recipe of images that cannot stand side by side, or that asks for packages besides."""
    where = document.where("images")
    if recipe.packages or recipe.requirements or recipe.env or recipe.files:
        what = "images stand side by side as they are: packages, requirements, files and env belong into their recipes"
        raise UsageError(what, where=where, hint="a recipe file each, named in images")
    names = [suggest_name(Path(item).name.split(".")[0]) if is_recipe_path(item) else item for item in recipe.images]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UsageError(f"images must have a name each, and {twice!r} stands twice", where=where)
    if len(names) < 2:
        raise UsageError(f"images must name two or more, got {', '.join(names)}", where=where)


def _check_accelerators(recipe: Recipe, document: Document) -> None:
    unknown = sorted(set(recipe.accelerators) - set(ACCELERATORS))
    if unknown:
        raise UsageError(
            f"accelerators must be some of {', '.join(ACCELERATORS)}, got {', '.join(unknown)}",
            where=document.where("accelerators"),
        )
    for name, packages in (("cuda12", recipe.cuda12), ("cuda13", recipe.cuda13)):
        if packages and name not in recipe.accelerators:
            raise UsageError(
                f"{name} names packages, and accelerators does not name {name}",
                where=document.where(name),
                hint=f"accelerators: [cpu, {name}]",
            )
    for field, value in (("gpu_capability", recipe.gpu_capability), ("gpu_driver", recipe.gpu_driver)):
        if value and not _NUMBERS.match(value):
            raise UsageError(
                f'{field} must be numbers with dots such as "7.5", got {value!r}', where=document.where(field)
            )


def check_wanted(recipe: Recipe, accelerator: str = "cpu") -> None:
    """Raise UsageError for a line that names a place and not a package, and for a recipe that asks for nothing.

    An installer would clone or build it first, and only then would it turn out that no lock can hold it.
    """
    wanted = list(recipe.wanted(accelerator))
    for line, where in wanted:
        if _PLACE.match(line):
            raise UsageError(
                f"a lock can hold only packages of an index, pinned with sha256; got {line[:80]!r}",
                where=where,
                hint="publish it to your index, or leave the line out and install it in the instance with pip",
            )
    if all(line.startswith("-") and "://" not in line for line, _ in wanted):  # one with an address includes a file
        where = str(recipe.requirements[0] if recipe.requirements else recipe.origin)
        raise UsageError("it names no package", where=where, hint="a line such as numpy>=2")


def _requirement_lines(path: Path) -> list[tuple[str, int]]:
    """Return the lines that ask for something, each with the number of its first line in the file."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"not a text file: byte {error.start} is not UTF-8", where=str(path)) from error
    except OSError as error:
        raise UsageError(f"requirements file cannot be read: {error.strerror}", where=str(path)) from error
    found, number = [], 1
    for logical in re.split(r"(?<!\\)\n", text):
        line = re.sub(r"(^|\s)#.*", "", logical.replace("\\\n", " ")).strip()
        if line:
            found.append((re.sub(r"\s+", " ", line), number))
        number += logical.count("\n") + 1
    return found
