"""What the application no longer has: a test of it may go with it."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.repo.places import is_taken_for_tests
from skillrun.wall.diff import Diff

# Letters; shorter names, and those of every module, say nothing.
_SHORTEST = 4
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
    old: set[str] = set()
    new: set[str] = set()
    for file in diff.python_files():
        new.update(_list_defined(file.new_tree))
        if is_taken_for_tests(file.old_path):
            continue
        old.update(_list_defined(file.old_tree))
        if file.new is None and not file.old_path.endswith("__init__.py"):
            module = file.old_path.removesuffix(".py").rpartition("/")[2]
            old.add(module)
    return frozenset(name for name in old - new - _EVERYWHERE if len(name) >= _SHORTEST)


def names_in(*nodes: ast.AST | None) -> set[str]:
    """Every name, attribute and imported name in the nodes."""
    found: set[str] = set()
    for outer in nodes:
        if outer is None:
            continue
        for node in ast.walk(outer):
            found.update(_names_of_node(node))
    return found


def _names_of_node(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Attribute):
        yield node.attr
    elif isinstance(node, ast.ImportFrom):
        yield from (alias.name for alias in node.names)
        yield from (node.module or "").split(".")
    elif isinstance(node, ast.keyword) and node.arg:
        yield node.arg


def _list_defined(tree: ast.Module | None) -> Iterator[str]:
    if tree is None:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
