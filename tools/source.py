"""The package's source as values: modules, and what they import."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PACKAGE", "Import", "Module", "imports", "parse", "read_package"]

PACKAGE = "launchbay"

DATA = ("scaffold/files",)
"""Folders whose Python files are data of ours and somebody else's code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """One source file. `part` is the layer table's word for it, empty for the package's own ``__init__``."""

    name: str
    path: str
    text: str
    tree: ast.Module
    is_package: bool

    @property
    def part(self) -> str:
        """Return the second word of the dotted name."""
        return self.name.partition(".")[2].partition(".")[0]

    @property
    def is_program(self) -> bool:
        """Say whether it is run, not imported."""
        return self.name.endswith("__main__")


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """One imported module, fully named. `deferred` is one inside a function."""

    target: str
    line: int
    typing_only: bool
    deferred: bool
    names: tuple[str, ...] = ()

    @property
    def top(self) -> str:
        """Return the first word of the dotted name."""
        return self.target.partition(".")[0]


def parse(path: str, text: str) -> Module:
    """Parse one file; `path` is relative to the folder that holds the package (``launchbay/files.py``)."""
    parts = path.removesuffix(".py").split("/")
    is_package = parts[-1] == "__init__"
    name = ".".join(parts[:-1] if is_package else parts)
    tree = ast.parse(text, path, feature_version=(3, 11))
    return Module(name=name, path=path, text=text, tree=tree, is_package=is_package)


def read_package(source: Path, package: str = PACKAGE) -> tuple[Module, ...]:
    """Parse every module of the package that lies in the folder `source`."""
    found = []
    for path in sorted((source / package).rglob("*.py")):
        relative = path.relative_to(source).as_posix()
        if not any(f"/{folder}/" in relative for folder in DATA):
            found.append(parse(relative, path.read_text(encoding="utf-8")))
    return tuple(found)


def imports(module: Module, known: Iterable[str] = ()) -> Iterator[Import]:
    """Yield what a module imports, wherever it stands. `known` tells a module from a name inside one."""
    known = set(known)
    for node, typing_only, deferred in _walk(module.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(target=alias.name, line=node.lineno, typing_only=typing_only, deferred=deferred)
        elif isinstance(node, ast.ImportFrom):
            base = _base(module, node)
            inner = {alias.name: f"{base}.{alias.name}" for alias in node.names}
            names = tuple(name for name in inner if inner[name] not in known)
            for name in inner.keys() - set(names):
                target = inner[name]
                yield Import(target=target, line=node.lineno, typing_only=typing_only, deferred=deferred)
            if names:
                yield Import(target=base, line=node.lineno, typing_only=typing_only, deferred=deferred, names=names)


def _walk(node: ast.AST, *, typing_only: bool = False, deferred: bool = False) -> Iterator[tuple[ast.AST, bool, bool]]:
    yield node, typing_only, deferred
    if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
        for statement in node.body:
            yield from _walk(statement, typing_only=True, deferred=deferred)
        for statement in node.orelse:
            yield from _walk(statement, typing_only=typing_only, deferred=deferred)
        return
    deferred = deferred or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    for child in ast.iter_child_nodes(node):
        yield from _walk(child, typing_only=typing_only, deferred=deferred)


def _base(module: Module, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    package = module.name.split(".") if module.is_package else module.name.split(".")[:-1]
    package = package[: len(package) - node.level + 1]
    return ".".join([*package, *([node.module] if node.module else [])])
