"""What the application no longer has: a test of it may go with it."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.stages.tests import is_test_file
from skillrun.wall.diff import Diff

_SHORTEST = 4  # letters; shorter names, and those of every module, say nothing
_EVERYWHERE = {
    "main",
    "name",
    "path",
    "self",
    "data",
    "text",
    "value",
    "result",
    "config",
    "find",
    "read",
    "state",
}


def removed_names(diff: Diff) -> frozenset[str]:
    """Functions, classes, constants, attributes and modules that the base defines outside of tests,
    HEAD nowhere.
    """
    files = [file for file in diff.python_files() if not is_test_file(file.old_path)]
    old = {name for file in files for name in _defined(file.old_tree)}
    new = {name for file in diff.python_files() for name in _defined(file.new_tree)}
    gone = {file.old_path for file in files if file.new is None}
    old |= {
        path.removesuffix(".py").rpartition("/")[2]
        for path in gone
        if not path.endswith("__init__.py")
    }
    return frozenset(name for name in old - new - _EVERYWHERE if len(name) >= _SHORTEST)


def names_in(*nodes: ast.AST | None) -> set[str]:
    """Every name, attribute and imported name in the nodes."""
    found: set[str] = set()
    for node in (inner for outer in nodes if outer is not None for inner in ast.walk(outer)):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.ImportFrom):
            found |= {alias.name for alias in node.names} | set((node.module or "").split("."))
        elif isinstance(node, ast.keyword) and node.arg:
            found.add(node.arg)
    return found


def _defined(tree: ast.Module | None) -> Iterator[str]:
    for node in ast.walk(tree) if tree is not None else ():
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
