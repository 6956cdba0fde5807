from __future__ import annotations

import ast
import inspect

import pytest

from launchbay import errors
from launchbay.errors import BuildError, Conflict, LaunchbayError, NotFound, StateError, UsageError, UserError

CLASSES = [getattr(errors, name) for name in errors.__all__]


def test_an_error_says_what_where_and_what_next() -> None:
    error = UsageError("count must be 1 to 1000, got 0", where="bay.yaml:7", hint="-n 3")
    assert str(error) == "count must be 1 to 1000, got 0 (bay.yaml:7)\n  Try: -n 3"
    assert (error.what, error.where, error.hint) == ("count must be 1 to 1000, got 0", "bay.yaml:7", "-n 3")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (NotFound("no such run"), "no such run"),
        (Conflict("taken", where="exp-1"), "taken (exp-1)"),
        (BuildError("no uv", hint="pip install uv"), "no uv\n  Try: pip install uv"),
    ],
)
def test_an_error_leaves_out_what_it_does_not_know(error: LaunchbayError, text: str) -> None:
    assert str(error) == text


def test_wrong_usage_exits_2_and_everything_else_1() -> None:
    assert {kind: kind.exit_code for kind in CLASSES} == {kind: 2 if kind is UsageError else 1 for kind in CLASSES}


def test_errors_are_also_what_python_would_have_raised() -> None:
    assert issubclass(UsageError, ValueError)
    assert issubclass(NotFound, LookupError)


def test_our_own_damaged_state_is_not_the_persons_mistake() -> None:
    assert not issubclass(StateError, UserError)
    assert issubclass(StateError, LaunchbayError)


def test_the_tree_in_the_documentation_is_the_tree() -> None:
    drawn: dict[str, str] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        name = line.strip(" │├└─").split(" ")[0]
        if name in errors.__all__:
            depth = (line.index(name) - 4) // 4
            drawn[name] = above[depth - 1] if depth else "Exception"
            above[depth:] = [name]
    assert drawn == {kind.__name__: kind.__bases__[0].__name__ for kind in CLASSES}


def test_every_error_is_explained_and_none_is_hidden() -> None:
    tree = ast.parse(inspect.getsource(errors))
    classes = {node.name: ast.get_docstring(node) for node in tree.body if isinstance(node, ast.ClassDef)}
    assert set(classes) == set(errors.__all__)
    assert all(classes.values())
