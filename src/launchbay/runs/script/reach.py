"""What of a program is certain to run, what may, and what nothing leads to. A doubt is never called certain."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from launchbay.runs.script.program import Program
from launchbay.runs.script.scope import Definition, Scope
from launchbay.runs.script.source import imported_modules

__all__ = ["Step", "steps"]

_Block = ast.Module | ast.FunctionDef | ast.AsyncFunctionDef
_MENDS = {
    *("Exception", "BaseException", "AttributeError", "ImportError", "ModuleNotFoundError", "OSError", "RuntimeError"),
    *("TypeError", "ValueError", "NotImplementedError"),
}
"""What a script that catches it may be prepared for."""


@dataclass(frozen=True, slots=True)
class Step:
    """A node that is run, in its scope; `is_sure` when nothing could keep it from being run.

    `is_guarded` when the script catches what could go wrong there. `chosen` are the texts that a condition above
    compares with: under ``backend() == "torch"`` an import of torch is the script's own choice.
    """

    scope: Scope
    node: ast.AST
    is_sure: bool
    is_guarded: bool = False
    chosen: frozenset[str] = frozenset()


def steps(program: Program) -> list[Step]:
    """Return all nodes that running the script leads to, from its first line on; nothing that no name leads to."""
    return list(_Walk(program).run())


@dataclass(slots=True)
class _Walk:
    program: Program
    seen: dict[ast.AST, bool] = field(default_factory=dict)
    left: list[tuple[_Block, bool]] = field(default_factory=list)

    def run(self) -> Iterator[Step]:
        """Go through the blocks that are reached, the certain ones first, so that none is taken for doubtful."""
        found: dict[ast.AST, list[Step]] = {}
        self._reach(self.program.main.source.tree, is_sure=True)
        while self.left:
            self.left.sort(key=lambda item: item[1])
            block, is_sure = self.left.pop()
            if is_sure < self.seen[block]:
                continue  # it has turned out to be certain meanwhile
            found[block] = list(self._block(block, is_sure=is_sure))
            for step in found[block]:
                self._lead_on(step)
        for done in found.values():
            yield from done

    def _reach(self, block: _Block, *, is_sure: bool) -> None:
        if block not in self.seen or (is_sure and not self.seen[block]):
            self.seen[block] = is_sure
            self.left.append((block, is_sure))

    def _lead_on(self, step: Step) -> None:
        """Reach what a step leads to: imported files, called functions, methods of classes in use."""
        scope, node = step.scope, step.node
        if isinstance(node, ast.Import | ast.ImportFrom):
            for name, _ in imported_modules(node, scope.source.package):
                parts = name.split(".")
                for count in range(1, len(parts) + 1):
                    if module := self.program.modules.get(".".join(parts[:count])):
                        self._reach(module.source.tree, is_sure=step.is_sure)
        elif isinstance(node, ast.Call):
            self._use(self.program.definition(scope, node.func), is_sure=step.is_sure)
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
            self._use(self.program.definition(scope, node), is_sure=False)  # it is named, so it may be called

    def _use(self, used: Definition | None, *, is_sure: bool) -> None:
        if isinstance(used, ast.FunctionDef | ast.AsyncFunctionDef):
            self._reach(used, is_sure=is_sure)
        elif isinstance(used, ast.ClassDef):
            for method in used.body:
                if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef):  # a framework may call any of them
                    self._reach(method, is_sure=is_sure and method.name == "__init__")

    def _block(self, block: _Block, *, is_sure: bool) -> Iterator[Step]:
        yield from self._body(block.body, self.program.scopes[block], is_sure=is_sure)

    def _body(self, body: list[ast.stmt], scope: Scope, *, is_sure: bool) -> Iterator[Step]:
        for node in body:
            yield from self._statement(node, scope, is_sure=is_sure)
            if isinstance(node, ast.Return | ast.Raise | ast.Continue | ast.Break) or _ends(node, scope):
                return
            is_sure = is_sure and not _may_return(node, scope)

    def _statement(self, node: ast.stmt, scope: Scope, *, is_sure: bool) -> Iterator[Step]:
        match node:
            case ast.If(test=test, body=body, orelse=orelse):
                yield from self._expression(test, scope, is_sure=is_sure)
                known = self._truth(test, scope)
                if known is not False:
                    chosen = _compared(test)
                    for step in self._body(body, scope, is_sure=is_sure and known is True):
                        yield replace(step, chosen=step.chosen | chosen) if chosen else step
                if known is not True:
                    yield from self._body(orelse, scope, is_sure=is_sure and known is False)
            case ast.Try() | ast.TryStar():
                yield from self._try(node, scope, is_sure=is_sure)
            case ast.With(items=items, body=body) | ast.AsyncWith(items=items, body=body):
                for item in items:
                    yield from self._expression(item, scope, is_sure=is_sure)
                forgives = any("suppress" in ast.unparse(item.context_expr) for item in items)
                yield from self._body(body, scope, is_sure=is_sure and not forgives)
            case ast.Match(subject=subject, cases=cases):
                yield from self._expression(subject, scope, is_sure=is_sure)
                for case in cases:
                    yield from self._body(case.body, scope, is_sure=False)
            case ast.For(body=body, orelse=orelse) | ast.AsyncFor(body=body, orelse=orelse):
                yield from self._expression(node.iter, scope, is_sure=is_sure)
                yield from self._body(body, scope, is_sure=is_sure)
                yield from self._body(orelse, scope, is_sure=False)
            case ast.While(test=test, body=body, orelse=orelse):
                yield from self._expression(test, scope, is_sure=is_sure)
                yield from self._body(body, scope, is_sure=is_sure)
                yield from self._body(orelse, scope, is_sure=False)
            case ast.ClassDef(body=body):
                yield from self._body(body, self.program.scopes[node], is_sure=is_sure)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                for part in (*node.decorator_list, *node.args.defaults):
                    yield from self._expression(part, scope, is_sure=is_sure)
            case _:
                yield from self._expression(node, scope, is_sure=is_sure)

    def _try(self, node: ast.Try | ast.TryStar, scope: Scope, *, is_sure: bool) -> Iterator[Step]:
        is_guarded = any(_caught(handler) & _MENDS for handler in node.handlers)
        for step in self._body(node.body, scope, is_sure=is_sure and not is_guarded):
            yield replace(step, is_guarded=True) if is_guarded else step
        for handler in node.handlers:
            yield from self._body(handler.body, scope, is_sure=False)
        yield from self._body([*node.orelse], scope, is_sure=is_sure and not node.handlers)
        yield from self._body(node.finalbody, scope, is_sure=is_sure)

    def _expression(self, node: ast.AST, scope: Scope, *, is_sure: bool) -> Iterator[Step]:
        yield Step(scope, node, is_sure)
        for child in ast.iter_child_nodes(node):
            is_doubtful = (isinstance(node, ast.IfExp) and child is not node.test) or isinstance(node, ast.Lambda)
            is_doubtful = is_doubtful or (isinstance(node, ast.BoolOp) and child is not node.values[0])
            yield from self._expression(child, scope, is_sure=is_sure and not is_doubtful)

    def _truth(self, test: ast.expr, scope: Scope) -> bool | None:
        """Say what a condition is, where reading tells: ``__name__ == "__main__"``, a constant of the script."""
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            inside = self._truth(test.operand, scope)
            return None if inside is None else not inside
        if isinstance(test, ast.Compare) and {"__name__", "'__main__'"} == {
            ast.unparse(item) for item in (test.left, *test.comparators)
        }:
            return isinstance(test.ops[0], ast.Eq) == (scope.source.module == "__main__")
        if (scope.dotted(test) or "").rpartition(".")[2] == "TYPE_CHECKING":
            return False
        constant = scope.constant(test, self.program.modules)
        return bool(constant.value) if constant is not None else None


def _compared(test: ast.expr) -> frozenset[str]:
    """Return the texts that a condition finds equal to something: ``name == "torch"``, ``name in ("torch", "jax")``."""
    if not isinstance(test, ast.Compare) or not isinstance(test.ops[0], ast.Eq | ast.In):
        return frozenset()
    inside = (item for part in (test.left, *test.comparators) for item in ast.walk(part))
    return frozenset(item.value for item in inside if isinstance(item, ast.Constant) and isinstance(item.value, str))


def _caught(handler: ast.ExceptHandler) -> set[str]:
    if handler.type is None:
        return {"BaseException"}
    names = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    known = {ast.unparse(item).rpartition(".")[2] for item in names}
    return known if known <= _MENDS | {"KeyboardInterrupt", "SystemExit", "StopIteration"} else {"BaseException"}


def _ends(node: ast.stmt, scope: Scope) -> bool:
    """Say whether a statement ends the script."""
    value = node.value if isinstance(node, ast.Expr) else None
    return isinstance(value, ast.Call) and scope.dotted(value.func) in ("sys.exit", "exit", "quit", "os._exit")


def _may_return(node: ast.AST, scope: Scope, *, in_loop: bool = False) -> bool:
    """Say whether a statement may leave its block as if all were done: then what follows is not certain to run.

    Ending the script with an error is no such way out: it fails then, too.
    """
    if isinstance(node, Definition | ast.expr):
        return False
    if isinstance(node, ast.Return) or (isinstance(node, ast.stmt) and _ends(node, scope) and not _is_failure(node)):
        return True
    if isinstance(node, ast.Continue | ast.Break):
        return not in_loop
    in_loop = in_loop or isinstance(node, ast.For | ast.AsyncFor | ast.While)
    return any(_may_return(child, scope, in_loop=in_loop) for child in ast.iter_child_nodes(node))


def _is_failure(node: ast.stmt) -> bool:
    """Say whether a call that ends the script says that something went wrong."""
    arguments = node.value.args if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) else []
    return any(not isinstance(item, ast.Constant) or item.value not in (0, None) for item in arguments)
