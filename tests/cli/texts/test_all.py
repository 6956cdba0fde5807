"""Every text has a test."""

from __future__ import annotations

import ast
from pathlib import Path

from launchbay.cli import texts


def _public(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    return {name for name in names if name.endswith("_text") and not name.startswith("_")}


def test_every_text_is_tried_here() -> None:
    """A new text must come with a test of its own."""
    there = {name for path in Path(str(texts.__file__)).parent.glob("*.py") for name in _public(path)}
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in Path(__file__).parent.glob("test_*.py")]
    called = {
        node.func.id
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert there - called == set()
