"""The shape that the package keeps, as checks over its source: a complaint is one line, `path:line: what`.

Every check takes parsed modules and returns complaints, so that a test can feed it a bad snippet. Shown by
``python -m tools.architecture``, held by ``tests/test_architecture.py``, explained in ``CONTRIBUTING.md``.
"""

from __future__ import annotations

import ast
import graphlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tools.house_rules import (
    check_annotations,
    check_docstrings,
    check_exports,
    check_handlers,
    check_old_python,
    check_packages,
    check_prints,
    check_size,
)
from tools.source import PACKAGE, Import, Module, imports, read_package

__all__ = ["CHECKS", "LAYERS", "complaints"]

LAYERS: tuple[tuple[str, ...], ...] = (
    (
        "database",
        "errors",
        "fields",
        "files",
        "home",
        "jsonable",
        "onboard",
        "ports",
        "relay",
        "settings",
        "units",
        "websocket",
    ),
    ("pictures", "spec"),
    ("catalog",),
    ("cost", "images"),
    ("planning",),
    ("providers", "store", "transport"),
    ("lifecycle",),
    ("models", "runs", "scaffold", "services", "serving"),
    ("afar", "sharing"),
    ("cloud",),
    ("api", "experiment"),
    ("cli", "web"),
)
"""Lowest first. A module imports its own part and lower layers; parts of a layer do not import each other."""

SOCIABLE = (LAYERS[0], LAYERS[-2])
"""Layers whose parts may import each other (without cycles): the ground, and the verbs."""

ALONE = ("errors", "onboard")
"""Parts that import nothing else of the package."""

NARROW = {"twin": ("errors", "units", "websocket", "catalog")}
"""Parts that stand beside the layers and may import only these."""

PURE = ("cost", "planning", "spec")
IMPURE = {"asyncio", "http", "multiprocessing", "os", "platform", "random", "secrets", "shutil", "socket"}
IMPURE |= {"sqlite3", "subprocess", "tempfile", "threading", "time", "urllib"}

DEPENDENCIES = {"matplotlib", "plotext", "rich", "uv", "yaml"}
OF_A_PART = {
    "catalog": {"boto3", "botocore"},
    "cost": {"highspy", "numpy"},
    "providers": {"boto3", "botocore"},
    "transport": {"asyncssh"},
}
"""What one part alone may import, inside the function that needs it: what the extras `aws` and `solver` bring."""
OF_A_PROCESS = {"twin": {"asyncssh", "boto3", "botocore", "cryptography", "moto", "werkzeug"}}
"""What one part alone may import anywhere: it is a process of its own, which has the extra `twin`."""
IN_AN_IMAGE = {"google", "jax", "jupyterlab", "keras", "mxnet", "numpy", "onnxruntime", "tensorboard", "tensorflow"}
IN_AN_IMAGE |= {"torch"}
"""What onboard code may import inside a function: the Python that runs it has them."""


def complaints(modules: Sequence[Module]) -> list[str]:
    """Run every check."""
    return [complaint for check in CHECKS for complaint in check(modules)]


def _ours(modules: Sequence[Module]) -> Iterator[tuple[Module, Import]]:
    known = {module.name for module in modules}
    for module in modules:
        for item in imports(module, known):
            if item.top == PACKAGE:
                yield module, item


def check_layers(modules: Sequence[Module]) -> list[str]:
    """Complain about an import that points up, sideways, or at a part that has no place yet."""
    ranks = {part: rank for rank, layer in enumerate(LAYERS) for part in layer}
    placed = {*ranks, *NARROW, "testing", "__main__", ""}
    found = [
        f"{module.path}:1: {module.part} has no place in tools/architecture.py LAYERS"
        for module in modules
        if module.part not in placed
    ]
    for module, item in _ours(modules):
        source, target = module.part, item.target.partition(".")[2].partition(".")[0]
        if source == target or {source, target} - placed:
            continue
        if not _may_import(source, target, item.names, ranks):
            found.append(f"{module.path}:{item.line}: {source or PACKAGE} must not import {target or PACKAGE}")
    return found


def _may_import(source: str, target: str, names: Sequence[str], ranks: dict[str, int]) -> bool:
    if source in ALONE:
        return False
    if source in NARROW:
        return target in NARROW[source]
    if target == "":
        return source in ("testing", "__main__") or set(names) <= {"__version__"}
    if target == "testing":
        return False
    if source == "__main__":
        return target == "cli"
    if source in ("", "testing"):
        return target not in ("cli", "web")
    if target not in ranks:
        return False
    layer = LAYERS[ranks[source]]
    return ranks[target] < ranks[source] or (target in layer and layer in SOCIABLE)


def check_cycles(modules: Sequence[Module]) -> list[str]:
    """Complain about modules that import each other in a ring, also inside functions; types may."""
    graph: dict[str, set[str]] = {module.name: set() for module in modules}
    for module, item in _ours(modules):
        if not item.typing_only and item.target in graph and item.target != module.name:
            graph[module.name].add(item.target)
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        ring: list[str] = error.args[1]
        return [f"{ring[0]}: imports go in a ring: {' <- '.join(ring)}"]
    return []


def check_dependencies(modules: Sequence[Module]) -> list[str]:
    """Complain about a package that is not declared; the ground layer uses the standard library only."""
    found = []
    for module in modules:
        allowed = {PACKAGE, *sys.stdlib_module_names}
        if module.part not in LAYERS[0]:
            allowed |= DEPENDENCIES
        allowed |= OF_A_PROCESS.get(module.part, set())
        for item in imports(module):
            is_extra = item.top in OF_A_PART.get(module.part, ()) and (item.deferred or item.typing_only)
            in_an_image = module.part == "onboard" and item.deferred and item.top in IN_AN_IMAGE
            if item.top not in allowed and not in_an_image and not is_extra:
                found.append(f"{module.path}:{item.line}: {item.top} is not a dependency here")
    return found


def check_purity(modules: Sequence[Module]) -> list[str]:
    """Complain where a module that decides could look at the clock, the network, the machine or chance."""
    found = []
    for module in modules:
        if module.part in PURE:
            found += [
                f"{module.path}:{item.line}: {module.part} is pure and must not import {item.target}"
                for item in imports(module)
                if item.top in IMPURE and not item.typing_only
            ]
            found += [
                f"{module.path}:{node.lineno}: {module.part} is pure and must not ask for the time"
                for node in ast.walk(module.tree)
                if isinstance(node, ast.Attribute) and node.attr in ("now", "utcnow", "today")
            ]
    return found


CHECKS: tuple[Callable[[Sequence[Module]], list[str]], ...] = (
    check_layers,
    check_cycles,
    check_dependencies,
    check_purity,
    check_packages,
    check_size,
    check_exports,
    check_docstrings,
    check_annotations,
    check_prints,
    check_handlers,
    check_old_python,
)


def main() -> int:
    """Print every complaint about this checkout."""
    found = complaints(read_package(Path(__file__).resolve().parents[1] / "src"))
    for complaint in found:
        print(complaint)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
