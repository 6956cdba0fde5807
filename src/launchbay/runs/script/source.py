"""The files that a script is made of: itself, and the modules of its own folder that it imports."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from launchbay.errors import UsageError

__all__ = ["MAIN", "Source", "imported_modules", "is_local", "read_sources"]

MAIN = "__main__"
_MOST_FILES = 100
_MOST_BYTES = 256 << 10  # a second or so: nobody waits for more, and hardly anybody has more beside a script


@dataclass(frozen=True, slots=True)
class Source:
    """A parsed file. `package` is what its relative imports start from."""

    module: str
    path: Path
    package: str
    tree: ast.Module


def read_sources(script: Path) -> dict[str, Source]:
    """Return the script (as ``__main__``) and the local modules that it leads to, by name; nothing is executed.

    Raises UsageError when the script itself cannot be read as Python; a module that cannot is left out.
    """
    found = {MAIN: _parse(script, MAIN, package="")}
    left, size = [MAIN], 0
    while left and len(found) < _MOST_FILES and size < _MOST_BYTES:
        source = found[left.pop()]
        for name in _local_names(source):
            if name not in found and (path := _find(script.parent, name)) is not None:
                package = name if path.name == "__init__.py" else name.rpartition(".")[0]
                try:
                    found[name] = _parse(path, name, package=package)
                except UsageError:
                    continue
                left.append(name)
                size += path.stat().st_size
    return found


def _parse(path: Path, module: str, *, package: str) -> Source:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an odd escape in a person's text is no concern of ours
            tree = ast.parse(path.read_bytes(), str(path))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = f":{error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        raise UsageError(f"it cannot be read as Python: {error}", where=f"{path}{line}") from None
    except OSError as error:
        raise UsageError(f"it cannot be read: {error.strerror}", where=str(path)) from error
    return Source(module, path, package, tree)


def _local_names(source: Source) -> Iterator[str]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            for name, _ in imported_modules(node, source.package):
                parts = name.split(".")
                yield from (".".join(parts[:count]) for count in range(1, len(parts) + 1))


def imported_modules(node: ast.Import | ast.ImportFrom, package: str) -> Iterator[tuple[str, ast.alias]]:
    """Yield what each name of an import stands for, in full: ``from os import path`` is ``os.path``."""
    if isinstance(node, ast.Import):
        yield from ((alias.name, alias) for alias in node.names)
        return
    parts = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
    base = ".".join([*(part for part in parts if part), *([node.module] if node.module else [])])
    yield from ((f"{base}.{alias.name}" if base else alias.name, alias) for alias in node.names)


def is_local(folder: Path, name: str) -> bool:
    """Say whether a module is one of the script's folder, also one that was not read; a folder of other things is none."""
    return _find(folder, name) is not None or any((folder / name).glob("*.py"))


def _find(folder: Path, name: str) -> Path | None:
    place = folder.joinpath(*name.split("."))
    for path in (place / "__init__.py", place.with_name(f"{place.name}.py")):
        if path.is_file():
            return path
    return None
