"""A script with its local modules as one program: which function a call means, and of what kind a value is."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from launchbay.runs.script.scope import Definition, Scope, build_scope, inner
from launchbay.runs.script.source import MAIN, Source

__all__ = ["KERAS_MODEL", "TORCH_MODULE", "Program", "keras_name", "load_program"]

KERAS_MODEL = "keras.Model"
TORCH_MODULE = "torch.nn.Module"

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_MAKE_KERAS_MODELS = {
    *("keras.Model", "keras.Sequential", "keras.models.Model", "keras.models.Sequential", "keras.models.clone_model"),
    *("keras.models.load_model", "keras.saving.load_model", "keras.models.model_from_json"),
}
_DEEPEST = 12
_Given = tuple[Scope, ast.expr | None]
"""A value that is given somewhere, with the scope that says what its names mean; None where it is not known."""


def keras_name(name: str | None) -> str:
    """Return the name under which Keras itself has what TensorFlow hands on: ``tensorflow.keras.Model``."""
    return (name or "").removeprefix("tensorflow.") if (name or "").startswith("tensorflow.keras") else name or ""


@dataclass(slots=True)
class Program:
    """All scopes of a script. `scopes` has them by the node they belong to, `modules` those of modules by name.

    `attributes` has all that the methods of a class ever give to an attribute of `self`.
    """

    modules: dict[str, Scope] = field(default_factory=dict)
    scopes: dict[ast.AST, Scope] = field(default_factory=dict)
    attributes: dict[ast.ClassDef, dict[str, list[_Given]]] = field(default_factory=dict)
    kinds: dict[ast.expr, str | None] = field(default_factory=dict)
    """What was found out already."""

    @property
    def main(self) -> Scope:
        """The script's own scope."""
        return self.modules[MAIN]

    def definition(self, scope: Scope, node: ast.expr) -> Definition | None:
        """Return the function, method or class of the program that an expression names, if it can be only one."""
        if isinstance(node, ast.Attribute) and (owner := self.local_class(scope, node.value)) is not None:
            return self.scopes[owner].only_definition(node.attr)
        if isinstance(node, ast.Name) and (place := scope.find(node.id)) is not None and node.id not in place.imports:
            return place.only_definition(node.id)
        module, _, name = (scope.dotted(node) or "").rpartition(".")
        return self.modules[module].only_definition(name) if module in self.modules else None

    def local_class(self, scope: Scope, node: ast.expr, depth: int = 0) -> ast.ClassDef | None:
        """Return the class of the program that a value is of."""
        if isinstance(node, ast.Name) and node.id == "self" and scope.owner is not None:
            return scope.owner
        if isinstance(node, ast.Call):
            made = self.definition(scope, node.func) if depth < _DEEPEST else None
            return made if isinstance(made, ast.ClassDef) else None
        found = scope.follow(node, self.modules)
        return self.local_class(*found, depth + 1) if found and depth < _DEEPEST else None

    def kind(self, scope: Scope, node: ast.expr, depth: int = 0) -> str | None:
        """Say whether a value is sure to be a Keras model or a PyTorch module; None where that is not known."""
        if depth > _DEEPEST:
            return None
        if node not in self.kinds:
            self.kinds[node] = None  # while it is looked at: what depends on itself is not known
            self.kinds[node] = self._look_at(scope, node, depth)
        return self.kinds[node]

    def _look_at(self, scope: Scope, node: ast.expr, depth: int) -> str | None:
        if isinstance(node, ast.Call):
            return self._kind_of_call(scope, node, depth)
        if isinstance(node, ast.Name) and node.id == "self" and scope.owner is not None:
            return self._kind_of_class(self._around(scope), scope.owner, depth)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
            given = self.attributes.get(scope.owner, {}) if scope.owner is not None else {}
            return self._common(given.get(node.attr, []), depth)
        place = scope.find(node.id) if isinstance(node, ast.Name) else None
        if isinstance(node, ast.Name) and place is not None and node.id not in place.imports:
            return self._common([(place, value) for value in place.values.get(node.id, [])], depth)
        found = scope.follow(node, self.modules)
        return self.kind(*found, depth + 1) if found else None

    def _common(self, values: list[_Given], depth: int) -> str | None:
        """Return what all values are, if they are of one kind."""
        kinds = {self.kind(scope, value, depth + 1) if value is not None else None for scope, value in values}
        return next(iter(kinds)) if len(kinds) == 1 else None

    def _kind_of_call(self, scope: Scope, node: ast.Call, depth: int) -> str | None:
        name = scope.dotted(node.func) or ""
        if keras_name(name) in _MAKE_KERAS_MODELS or _is_application(keras_name(name)):
            return KERAS_MODEL
        if name.startswith("torch.nn.") and name.count(".") == 2 and name.rpartition(".")[2][:1].isupper():
            return TORCH_MODULE
        if isinstance(node.func, ast.Attribute) and node.func.attr in ("to", "cuda", "cpu", "eval", "train"):
            return TORCH_MODULE if self.kind(scope, node.func.value, depth + 1) == TORCH_MODULE else None
        made = self.definition(scope, node.func)
        if isinstance(made, ast.ClassDef):
            return self._kind_of_class(self._around(self.scopes[made]), made, depth)
        if isinstance(made, _Function):
            inside = self.scopes[made]
            returned = [item.value for item in inner(made.body) if isinstance(item, ast.Return)]
            return self._common([(inside, value) for value in returned], depth) if returned else None
        return None

    def _kind_of_class(self, scope: Scope, node: ast.ClassDef, depth: int) -> str | None:
        if {"save", "save_weights"} & self.scopes[node].definitions.keys():
            return None  # its own ways
        for base in node.bases:
            name = scope.dotted(base)
            if keras_name(name) in ("keras.Model", "keras.models.Model", "keras.Sequential", "keras.models.Sequential"):
                return KERAS_MODEL
            if name == TORCH_MODULE:
                return TORCH_MODULE
            made = self.definition(scope, base)
            if isinstance(made, ast.ClassDef) and depth < _DEEPEST:
                return self._kind_of_class(self._around(self.scopes[made]), made, depth + 1)
        return None

    def _around(self, scope: Scope) -> Scope:
        return scope.parent or scope


def _is_application(name: str) -> bool:
    """Say whether a name is one of Keras' ready-made models: ``keras.applications.ResNet50``."""
    return name.startswith("keras.applications.") and name.rpartition(".")[2][:1].isupper()


def load_program(sources: dict[str, Source]) -> Program:
    """Make the scopes of all files."""
    program = Program()
    for source in sources.values():
        scope = program.modules[source.module] = build_scope(source, source.tree, parent=None)
        program.scopes[source.tree] = scope
        for node, made in _scopes_within(source.tree.body, scope, owner=None):
            program.scopes[node] = made
            if made.owner is not None:
                for name, value in _given_to_self(node.body):
                    program.attributes.setdefault(made.owner, {}).setdefault(name, []).append((made, value))
    return program


def _given_to_self(body: list[ast.stmt]) -> Iterator[tuple[str, ast.expr | None]]:
    known: set[ast.AST] = set()
    for node in inner(body):
        match node:
            case ast.Assign(targets=[ast.Attribute(value=ast.Name(id="self"), attr=name) as target], value=value):
                known.add(target)
                yield name, value
            case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store()) if node not in known:
                yield name, None


def _scopes_within(
    body: list[ast.stmt], scope: Scope, owner: ast.ClassDef | None
) -> Iterator[tuple[Definition, Scope]]:
    """Yield the functions and classes in a block with their scopes. A method does not see the names of its class."""
    for node in inner(body):
        if isinstance(node, ast.ClassDef):
            made = build_scope(scope.source, node, parent=scope)
            yield node, made
            yield from _scopes_within(node.body, scope, owner=node)
        elif isinstance(node, _Function):
            made = build_scope(scope.source, node, parent=scope, owner=owner)
            yield node, made
            yield from _scopes_within(node.body, made, owner=owner)
