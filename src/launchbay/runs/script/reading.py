"""Read a script: the modules, calls and names that decide in which image it runs. Nothing of it is executed."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from launchbay.errors import UsageError
from launchbay.runs.script.program import Program, keras_name, load_program
from launchbay.runs.script.reach import Step, steps
from launchbay.runs.script.scope import PARTIAL, Scope
from launchbay.runs.script.source import imported_modules, is_local, read_sources

__all__ = ["UNKNOWN", "Place", "Script", "Use", "ends_with", "read_script"]

UNKNOWN = "?"
"""What stands for a value whose kind is not known: ``?.save``."""

_LONGEST = 60


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A line of a file of the script's folder; `is_sure` when running the script is certain to come there."""

    file: str
    line: int
    is_sure: bool = True

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """A call, or a name that is looked up, under its full name: ``numpy.bool``, ``keras.Model.save``.

    Texts in `args` and `options` are as far as their end is known; None stands for any other value.
    """

    name: str
    text: str
    place: Place
    is_call: bool = False
    args: Sequence[str | None] = ()
    options: Mapping[str, str | None] = field(default_factory=dict)
    is_open: bool = False
    """It may have arguments that are not seen: ``*args``, ``**options``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What reading a script tells. `modules` are those that are not its own, with where they are first imported."""

    path: Path
    modules: Mapping[str, Place]
    optional: frozenset[str]
    """Those that it is prepared to do without."""
    chosen: frozenset[str]
    """Those that it imports only where a condition names them: ``if backend() == "torch"``."""
    uses: Sequence[Use]
    settings: Mapping[str, str]
    """Environment variables that it sets itself."""
    finds_modules_itself: bool
    """It changes where modules are looked for, or installs some: what is missing now need not be then."""


def ends_with(text: str, suffixes: Sequence[str]) -> bool | None:
    """Say whether a text, of which perhaps only the end is known, ends with one of these; None: it cannot be told."""
    known = text.removeprefix(PARTIAL)
    if known.endswith(tuple(suffixes)):
        return True
    return None if known != text and any(suffix.endswith(known) for suffix in suffixes) else False


def read_script(path: Path) -> Script:
    """Read a script and the modules of its folder that it imports.

    Raises UsageError when the script cannot be read as Python.
    """
    try:
        return _read(path)
    except RecursionError:
        raise UsageError("it is nested too deeply to be read as Python", where=str(path)) from None


def _read(path: Path) -> Script:
    program = load_program(read_sources(path))
    done = steps(program)
    uses = sorted(
        (use for step in done if (use := _use(program, step, path.parent)) is not None), key=lambda use: use.place
    )
    return Script(
        path=path,
        modules=(modules := _modules(done, path.parent)),
        optional=frozenset(modules) - {name for step in done if not step.is_guarded for name in _imported(step)},
        chosen=frozenset(modules)
        - {name for step in done for name in _imported(step) if name not in step.chosen and not step.is_guarded},
        uses=uses,
        settings=dict(_settings(program, done)),
        finds_modules_itself=any(_finds_modules(step) for step in done),
    )


def _place(step: Step, folder: Path) -> Place:
    path = step.scope.source.path
    return Place(str(path.relative_to(folder)), getattr(step.node, "lineno", 0), step.is_sure)


def _modules(done: Sequence[Step], folder: Path) -> dict[str, Place]:
    """Return the modules that are neither Python's nor the script's own; a certain import counts before a doubtful one."""
    found: dict[str, Place] = {}
    for step in done:
        for top in _imported(step):
            place = _place(step, folder)
            if top in sys.stdlib_module_names or is_local(folder, top):
                continue
            if top not in found or (place.is_sure and not found[top].is_sure):
                found[top] = place
    return found


def _imported(step: Step) -> Iterator[str]:
    node = step.node
    if isinstance(node, ast.Import | ast.ImportFrom) and not getattr(node, "level", 0):
        yield from (name.split(".")[0] for name, _ in imported_modules(node, step.scope.source.package))


def _use(program: Program, step: Step, folder: Path) -> Use | None:
    scope, node = step.scope, step.node
    if isinstance(node, ast.Call):
        name = _name_of_call(program, scope, node)
        if not name:
            return None
        return Use(
            name=name,
            text=_shorten(node),
            place=_place(step, folder),
            is_call=True,
            args=tuple(_value(program, scope, item) for item in node.args),
            options={item.arg: _value(program, scope, item.value) for item in node.keywords if item.arg},
            is_open=any(isinstance(item, ast.Starred) for item in node.args)
            or any(item.arg is None for item in node.keywords),
        )
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load) and "." in (scope.dotted(node) or ""):
        return Use(name=scope.dotted(node) or "", text=ast.unparse(node), place=_place(step, folder))
    if isinstance(node, ast.ImportFrom) and not node.level:
        names = [name for name, _ in imported_modules(node, scope.source.package)]
        return Use(name=names[0], text=ast.unparse(node), place=_place(step, folder)) if len(names) == 1 else None
    return None


def _name_of_call(program: Program, scope: Scope, node: ast.Call) -> str:
    """Return the full name of what is called; of a method, with the kind of its object."""
    if not isinstance(node.func, ast.Attribute):
        return keras_name(scope.dotted(node.func))
    kind = program.kind(scope, node.func.value)
    if kind is None and (dotted := scope.dotted(node.func)) is not None and _is_module(scope, node.func):
        return keras_name(dotted)
    is_own = kind is None and program.definition(scope, node.func) is not None
    return "" if is_own else f"{kind or UNKNOWN}.{node.func.attr}"


def _is_module(scope: Scope, node: ast.expr) -> bool:
    """Say whether an expression begins with the name of an import."""
    while isinstance(node, ast.Attribute):
        node = node.value
    if not isinstance(node, ast.Name):
        return False
    place = scope.find(node.id)
    if place is None:
        return False
    value = place.only_value(node.id)
    return node.id in place.imports or (isinstance(value, ast.Name | ast.Attribute) and _is_module(place, value))


def _value(program: Program, scope: Scope, node: ast.expr) -> str | None:
    """Return a text as far as its end is known; of another constant, and of a known kind of object, what it is."""
    if (ending := scope.ending(node, program.modules)) is not None:
        return ending
    constant = scope.constant(node, program.modules)
    if constant is not None:
        return repr(constant.value)
    kind = program.kind(scope, node)
    return f"<{kind}>" if kind else None


def _shorten(node: ast.expr) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 2] + " …"


def _settings(program: Program, done: Sequence[Step]) -> Iterator[tuple[str, str]]:
    """Yield the environment variables that are set to a known text."""
    for step in done:
        scope, node = step.scope, step.node
        pair: tuple[ast.expr, ast.expr] | None = None
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
            place = node.targets[0]
            pair = (place.slice, node.value) if scope.dotted(place.value) == "os.environ" else None
        elif isinstance(node, ast.Call) and scope.dotted(node.func) in ("os.environ.setdefault", "os.putenv"):
            pair = (node.args[0], node.args[1]) if len(node.args) == 2 else None
        if pair is not None:
            key, value = (scope.constant(item, program.modules) for item in pair)
            if key is not None and value is not None:
                yield str(key.value), str(value.value)


def _finds_modules(step: Step) -> bool:
    if isinstance(step.node, ast.Constant):
        text = step.node.value
        return isinstance(text, str) and (text == "pip" or "pip install" in text)
    return isinstance(step.node, ast.Attribute) and step.scope.dotted(step.node) in ("sys.path", "sys.meta_path")
