"""What every file of the package keeps to, as checks over its source."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from tools.source import PACKAGE, Module

__all__ = [
    "MAX_LINES",
    "check_annotations",
    "check_docstrings",
    "check_exports",
    "check_handlers",
    "check_old_python",
    "check_packages",
    "check_prints",
    "check_size",
]

MAX_LINES = 500

NEWER_THAN_3_9 = {
    "file_digest",
    "pairwise",
    "UTC",
    "StrEnum",
    "ExceptionGroup",
    "Self",
    "TypeAlias",
    "tomllib",
}
NEWER_ARGUMENTS = {"dataclass": {"slots", "kw_only"}, "zip": {"strict"}}


def check_packages(modules: Sequence[Module]) -> list[str]:
    """Complain about a folder of modules without ``__init__.py``, which tools overlook."""
    packages = {module.name for module in modules if module.is_package}
    return [
        f"{module.path}:1: its folder has no __init__.py"
        for module in modules
        if not module.is_package and module.name.rpartition(".")[0] not in packages
    ]


def check_size(modules: Sequence[Module]) -> list[str]:
    """Complain about a file that nobody reads to its end."""
    sizes = {module.path: len(module.text.splitlines()) for module in modules}
    return [f"{path}:1: {size} lines, at most {MAX_LINES}" for path, size in sizes.items() if size > MAX_LINES]


def check_exports(modules: Sequence[Module]) -> list[str]:
    """Complain about a module that does not list in ``__all__`` what others may use."""
    return [
        f"{module.path}:1: has no __all__ (a list of texts)"
        for module in modules
        if not module.is_program and not any(_is_export_list(node) for node in module.tree.body)
    ]


def _is_export_list(node: ast.stmt) -> bool:
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        target, value = node.targets[0], node.value
    elif isinstance(node, ast.AnnAssign) and node.value:
        target, value = node.target, node.value
    else:
        return False
    if not (isinstance(target, ast.Name) and target.id == "__all__"):
        return False
    # The package's own list may be computed from its table of names; everywhere else it is written out.
    return not isinstance(value, ast.List | ast.Tuple) or all(
        isinstance(item, ast.Constant | ast.Starred) for item in value.elts
    )


def check_docstrings(modules: Sequence[Module]) -> list[str]:
    """Complain about a public name that does not say what it is for."""
    found = []
    for module in modules:
        if not ast.get_docstring(module.tree):
            found.append(f"{module.path}:1: the module has no docstring")
        found += [
            f"{module.path}:{node.lineno}: {name} has no docstring"
            for name, node in _public(module.tree)
            if not ast.get_docstring(node) and not _is_said_elsewhere(node)
        ]
    return found


def check_annotations(modules: Sequence[Module]) -> list[str]:
    """Complain about a public function whose arguments or result have no type."""
    found = []
    for module in modules:
        for name, node in _public(module.tree, special=True):
            if isinstance(node, ast.ClassDef):
                continue
            untyped = [item.arg for item in _arguments(node) if not item.annotation]
            untyped = [item for item in untyped if item not in ("self", "cls")]
            if not node.returns:
                untyped.append("the result")
            if untyped:
                found.append(f"{module.path}:{node.lineno}: {name}: no type for {', '.join(untyped)}")
    return found


_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def _public(
    parent: ast.Module | ast.ClassDef, *, special: bool = False, prefix: str = ""
) -> Iterator[tuple[str, _Definition]]:
    for node in parent.body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        is_special = node.name.startswith("__") and node.name.endswith("__")
        if node.name.startswith("_") and not (special and is_special):
            continue
        yield prefix + node.name, node
        if isinstance(node, ast.ClassDef):
            yield from _public(node, special=special, prefix=f"{prefix}{node.name}.")


def _is_said_elsewhere(node: _Definition) -> bool:
    names = {ast.unparse(item).rpartition(".")[2] for item in node.decorator_list}
    return bool(names & {"overload", "override", "setter"})


def _arguments(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.arg]:
    arguments = node.args
    stars = [item for item in (arguments.vararg, arguments.kwarg) if item]
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *stars]


def check_prints(modules: Sequence[Module]) -> list[str]:
    """Complain about printing outside the command line."""
    return [
        f"{module.path}:{node.lineno}: print() outside cli; tell the Reporter"
        for module in modules
        if module.part != "cli"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]


_OUTERMOST = ("cli.main", *(f"twin.{name}" for name in ("alarm", "app", "keeping", "wire", "world")))
"""Where every error ends: one that is not ours is shown with its traceback, or answered to a client and written to a log."""


def check_handlers(modules: Sequence[Module]) -> list[str]:
    """Complain about a handler that would swallow a bug.

    Cleaning up and raising on is fine; so is onboard code that turns what a person's script or a framework
    raises, which can be anything, into an error of ours.
    """
    found = []
    for module in modules:
        if module.name.removeprefix(f"{PACKAGE}.") in _OUTERMOST:
            continue
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ExceptHandler):
                is_broad = _is_broad(node, onboard=module.part == "onboard")
            else:
                is_broad = isinstance(node, ast.Call) and _is_broad_suppress(node)
            if is_broad:
                found.append(f"{module.path}:{getattr(node, 'lineno', 1)}: catches everything")
    return found


def _is_broad(node: ast.ExceptHandler, *, onboard: bool) -> bool:
    names = _names(node.type) if node.type else {"BaseException"}
    last = node.body[-1]
    if isinstance(last, ast.Raise) and (onboard or (last.exc is None and "Exception" not in names)):
        return False
    return bool(names & {"Exception", "BaseException"})


def _is_broad_suppress(node: ast.Call) -> bool:
    suppressed = set().union(*(_names(item) for item in node.args)) if node.args else set()
    return ast.unparse(node.func).endswith("suppress") and bool(suppressed & {"Exception", "BaseException"})


def _names(node: ast.expr) -> set[str]:
    return {item.id for item in ast.walk(node) if isinstance(item, ast.Name)}


def check_old_python(modules: Sequence[Module]) -> list[str]:
    """Complain about onboard code that Python 3.9 would not run."""
    found = []
    for module in modules:
        if module.part != "onboard":
            continue
        try:
            ast.parse(module.text, module.path, feature_version=(3, 9))
        except SyntaxError as error:
            found.append(f"{module.path}:{error.lineno}: not Python 3.9: {error.msg}")
        for node in ast.walk(module.tree):
            newer = set(_newer_names(node))
            if newer:
                line = getattr(node, "lineno", 1)
                found.append(f"{module.path}:{line}: not in Python 3.9: {', '.join(sorted(newer))}")
    return found


def _newer_names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Attribute) and node.attr in NEWER_THAN_3_9:
        yield node.attr
    elif isinstance(node, ast.Name) and node.id in NEWER_THAN_3_9:
        yield node.id
    elif isinstance(node, ast.Import | ast.ImportFrom):
        words = [getattr(node, "module", None), *(alias.name for alias in node.names)]
        yield from (word for word in words if word in NEWER_THAN_3_9)
    elif isinstance(node, ast.Call):
        newer = NEWER_ARGUMENTS.get(ast.unparse(node.func).rpartition(".")[2], set())
        yield from (item.arg for item in node.keywords if item.arg in newer)
