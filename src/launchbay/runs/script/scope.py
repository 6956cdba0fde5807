"""What the names in a script stand for, as far as reading tells: modules, texts, models. Silent where it does not."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from launchbay.runs.script.source import Source, imported_modules

__all__ = ["PARTIAL", "Definition", "Scope", "build_scope", "inner"]

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
PARTIAL = "…"
"""What stands for the unknown beginning of a text whose end is known."""

_SAME_TEXT = {"str", "os.fspath", "os.path.abspath", "os.path.expanduser", "os.path.normpath", "os.path.realpath"}
_PATHS = {"pathlib.Path", "pathlib.PurePath", "pathlib.PosixPath"}
_DEEPEST = 20  # names that stand for names; more is a ring


@dataclass(slots=True, eq=False)
class Scope:
    """The names of one module, function or class. `values` holds every value a name is given, None for an unknown one."""

    source: Source
    parent: Scope | None
    owner: ast.ClassDef | None = None
    """The class whose method this is."""
    values: dict[str, list[ast.expr | None]] = field(default_factory=dict)
    imports: dict[str, set[str]] = field(default_factory=dict)
    definitions: dict[str, list[Definition]] = field(default_factory=dict)

    def find(self, name: str) -> Scope | None:
        """Return the scope, this or an outer one, that binds a name."""
        scope: Scope | None = self
        while scope is not None and not (name in scope.values or name in scope.imports or name in scope.definitions):
            scope = scope.parent
        return scope

    def only_value(self, name: str) -> ast.expr | None:
        """Return the one value a name of this scope is ever given; None where there are several, or none is known."""
        values = self.values.get(name, [])
        return values[0] if len(values) == 1 and name not in self.imports and name not in self.definitions else None

    def only_definition(self, name: str) -> Definition | None:
        """Return the one function or class of that name in this scope."""
        found = self.definitions.get(name, [])
        return found[0] if len(found) == 1 and name not in self.imports and name not in self.values else None

    def dotted(self, node: ast.expr, depth: int = 0) -> str | None:
        """Return the full name of what an expression means: with ``import numpy as np``, ``np.sum`` is ``numpy.sum``."""
        if isinstance(node, ast.Attribute):
            base = self.dotted(node.value, depth + 1)
            return f"{base}.{node.attr}" if base else None
        if not isinstance(node, ast.Name) or depth > _DEEPEST:
            return None
        scope = self.find(node.id)
        if scope is None:
            return node.id  # a builtin
        if node.id in scope.imports:
            meant = scope.imports[node.id]
            return next(iter(meant)) if len(meant) == 1 and node.id not in scope.values else None
        if scope.only_definition(node.id) and scope.parent is None:
            return f"{scope.source.module}.{node.id}"
        value = scope.only_value(node.id)
        return scope.dotted(value, depth + 1) if isinstance(value, ast.Name | ast.Attribute) else None

    def constant(self, node: ast.expr, modules: Mapping[str, Scope], depth: int = 0) -> ast.Constant | None:
        """Return the constant that an expression stands for, through names that are given one value only."""
        if isinstance(node, ast.Constant):
            return node
        found = self.follow(node, modules)
        if found is None or depth > _DEEPEST:
            return None
        return found[0].constant(found[1], modules, depth + 1)

    def follow(self, node: ast.expr, modules: Mapping[str, Scope]) -> tuple[Scope, ast.expr] | None:
        """Return the one value that a name is given, with its scope; also one of a local module's."""
        if isinstance(node, ast.Name) and (scope := self.find(node.id)) is not None:
            value = scope.only_value(node.id)
            if value is not None:
                return scope, value
        module, _, name = (self.dotted(node) or "").rpartition(".")
        if module in modules and (value := modules[module].only_value(name)) is not None:
            return modules[module], value
        return None

    def ending(self, node: ast.expr, modules: Mapping[str, Scope], depth: int = 0) -> str | None:
        """Return how a text or path ends, as far back as is known; what comes before is `PARTIAL`. None: unknown."""
        if depth > _DEEPEST:
            return None
        if isinstance(node, ast.Constant):
            return node.value if isinstance(node.value, str) else None
        if isinstance(node, ast.Call):
            return self._ending_of_call(node, modules, depth)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):  # only paths are divided by a text
            right = self.ending(node.right, modules, depth + 1)
            return None if right is None else f"{PARTIAL}/{right.removeprefix(PARTIAL)}"
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            right = self.ending(node.right, modules, depth + 1)
            left = self.ending(node.left, modules, depth + 1)
            return right if right is None or right.startswith(PARTIAL) else _join(left, right)
        if isinstance(node, ast.JoinedStr):
            last = node.values[-1] if node.values else None
            return _join(None, str(last.value)) if isinstance(last, ast.Constant) else None
        found = self.follow(node, modules)
        return found[0].ending(found[1], modules, depth + 1) if found else None

    def _ending_of_call(self, node: ast.Call, modules: Mapping[str, Scope], depth: int) -> str | None:
        name = self.dotted(node.func)
        if not node.args or any(isinstance(item, ast.Starred) for item in node.args):
            return None
        last = self.ending(node.args[-1], modules, depth + 1)
        if last is None:
            return None
        if name == "os.path.join" or (name in _PATHS and len(node.args) > 1):
            return f"{PARTIAL}/{last.removeprefix(PARTIAL)}"
        return last if name in _PATHS or (name in _SAME_TEXT and len(node.args) == 1) else None


def _join(left: str | None, right: str) -> str | None:
    """Put two texts together; an end that could still be a part of a suffix tells nothing."""
    if left is not None:
        return left + right
    return PARTIAL + right if "." in right or "/" in right else None


def build_scope(
    source: Source,
    block: ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef,
    *,
    parent: Scope | None,
    owner: ast.ClassDef | None = None,
) -> Scope:
    """Return the scope of a block: every name it binds, but for those of functions and classes inside it."""
    scope = Scope(source, parent, owner)
    if isinstance(block, ast.FunctionDef | ast.AsyncFunctionDef):
        scope.values = {item.arg: [None] for item in ast.walk(block.args) if isinstance(item, ast.arg)}
    given: set[int] = set()
    for node in inner(block.body):
        _bind(scope, node, given)
    return scope


def inner(body: list[ast.stmt]) -> Iterator[ast.AST]:
    """Yield all nodes of a block, outer ones first, and nothing from inside its functions and classes."""
    left: list[ast.AST] = list(reversed(body))
    while left:
        node = left.pop()
        yield node
        if not isinstance(node, Definition | ast.Lambda):
            left += reversed(list(ast.iter_child_nodes(node)))


def _bind(scope: Scope, node: ast.AST, given: set[int]) -> None:
    """Note what a node binds. `given` holds the names that were given a value that is known (by identity)."""
    match node:
        case ast.Import() | ast.ImportFrom():
            for name, alias in imported_modules(node, scope.source.package):
                is_plain = isinstance(node, ast.Import) and alias.asname is None
                bound = alias.name.split(".")[0] if is_plain else alias.asname or alias.name
                scope.imports.setdefault(bound, set()).add(name.split(".")[0] if is_plain else name)
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            scope.definitions.setdefault(node.name, []).append(node)
        case ast.Assign(targets=[ast.Name() as target], value=value):
            _give(scope, target, value, given)
        case ast.AnnAssign(target=ast.Name() as target, value=value) if value is not None:
            _give(scope, target, value, given)
        case ast.NamedExpr(target=target, value=value):
            _give(scope, target, value, given)
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()) if id(node) not in given:
            scope.values.setdefault(name, []).append(None)
        case ast.ExceptHandler(name=str(name)):
            scope.values.setdefault(name, []).append(None)
        case ast.Global(names=names) | ast.Nonlocal(names=names):
            for name in names:
                _spoil(scope, name)


def _give(scope: Scope, target: ast.Name, value: ast.expr, given: set[int]) -> None:
    scope.values.setdefault(target.id, []).append(value)
    given.add(id(target))


def _spoil(scope: Scope, name: str) -> None:
    """Let nothing be known of a name that is given values in several places."""
    outer = scope.parent.find(name) if scope.parent else None
    for place in (scope, outer):
        if place is not None:
            place.values.setdefault(name, []).extend([None, None])
